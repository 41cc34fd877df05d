"""A run that a full disk has stopped says where, and the same command ends with the same model."""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from support import no_file_beyond

from sentiment_lstm.cli.main import main
from sentiment_lstm.files import LOCK_FILE
from sentiment_lstm.training.checkpoints import STAGING_FOLDER

FIELDS = {
    "embedding_size": 12,
    "hidden_size": 16,
    "per_device_train_batch_size": 4,
    "num_train_epochs": 1,
    "learning_rate": 0.01,
    "eval_steps": 3,
    "ema_decay": 0.8,
    "disable_tqdm": True,
    "bf16": False,
    "use_cpu": True,
    "seed": 3,
}


@pytest.fixture(scope="module")
def recipe(review_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    reviews = {"train": f"{review_file}:train[:48]", "validation": f"{review_file}:train[48:]"}
    path.write_text(yaml.safe_dump(FIELDS | reviews))
    return path


@pytest.fixture(scope="module")
def expected(recipe: Path) -> dict[str, torch.Tensor]:
    """The weights of a run that nothing has stopped."""
    folder = recipe.parent / "whole"
    assert main(["train", str(recipe), "--output_dir", str(folder)]) == 0
    return load_file(folder / "model.safetensors")


Run = Callable[[], int]


@pytest.fixture
def run(recipe: Path, tmp_path: Path) -> Run:
    return lambda: main(["train", str(recipe), "--output_dir", str(tmp_path / "run")])


def check_stopped(folder: Path, said: str) -> None:
    (line,) = [line for line in said.splitlines() if line.startswith("sentiment-lstm: ")]
    assert "there is no room for it" in line
    assert " free" in line
    assert "give the same command again" in line
    assert not (folder / STAGING_FOLDER).exists(), "half a checkpoint takes room"
    assert not (folder / LOCK_FILE).exists()
    assert not list(folder.glob(".*.part"))


def check_resumed(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    found = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "check"))]


FULL = OSError(errno.ENOSPC, "No space left on device")
RUST = "No space left on device (os error 28)"


@pytest.mark.parametrize(
    ("place", "error", "named"),
    [
        ("pathlib.Path.write_text", FULL, "run/run.lock: "),
        ("sentiment_lstm.files.os.fsync", FULL, "run/run.json: "),
        ("transformers.PreTrainedTokenizerFast.save_pretrained", Exception(RUST), "run: "),
        ("datasets.Dataset.map", FULL, "while tokenising, 1 of 1"),
        ("transformers.PreTrainedModel.save_pretrained", SafetensorError(RUST), "checkpoint-3"),
        ("torch.save", RuntimeError("[enforce fail] . unexpected pos 640 vs 598"), "checkpoint-3"),
        ("transformers.TrainerState.save_to_json", FULL, "checkpoint-3"),
        ("sentiment_lstm.training.checkpoints.sync_folder", FULL, "checkpoint-3"),
        ("sentiment_lstm.training.trainer.save_file", SafetensorError(RUST), "checkpoint-3"),
        ("sentiment_lstm.training.run.draw_all", FULL, "run: "),
        ("sentiment_lstm.evaluation.results.Results.write", FULL, "run: "),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_full_disk_changes_nothing_of_the_result(
    place: str,
    error: Exception,
    named: str,
    run: Run,
    expected: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        assert run() == 1
    said = capsys.readouterr().err
    assert named in said
    check_stopped(tmp_path / "run", said)
    assert run() == 0
    check_resumed(tmp_path / "run", expected)


def test_the_second_checkpoint_fails_and_the_first_one_stays(
    run: Run,
    expected: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With room for one file less, in truth: of the state alone it is known that it grows."""
    folder = tmp_path / "run"
    rename = os.rename

    def limit(source: Any, target: Any) -> None:
        rename(source, target)
        if Path(target).name == "checkpoint-3":
            # From now on, the optimizer's state can be written no more.
            limits.enter_context(no_file_beyond(Path(target, "optimizer.pt").stat().st_size - 1))

    with monkeypatch.context() as patch, ExitStack() as limits:
        patch.setattr("sentiment_lstm.training.checkpoints.os.rename", limit)
        assert run() == 1
    said = capsys.readouterr().err
    assert "while checkpoint-6 is saved" in said
    check_stopped(folder, said)
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-3"]
    assert run() == 0
    assert '"resumed_from": "checkpoint-3"' in (folder / "results.json").read_text()
    check_resumed(folder, expected)
