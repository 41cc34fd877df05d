"""The baselines: trained on the reviews of a run, measured on its parts, shown by its card."""

import json
import sys
from pathlib import Path
from typing import Any

import benchmark_accuracy
import pytest
import yaml

from sentiment_lstm.hub.baselines import read_baselines
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import train


@pytest.fixture
def run_folder(review_file: Path, tmp_path: Path) -> Path:
    parts = [f"validation/{review_file}:train[40:50]", f"test/{review_file}:train[50:]"]
    figures = {"accuracy": 0.5, "accuracy_low": 0.2, "accuracy_high": 0.8}
    results: dict[str, Any] = {
        "recipe": {"train": [f"{review_file}:train[:20]", f"{review_file}:train[20:40]"]},
        "parameters": 7,
        "metrics": {part: {"reviews": 10, **figures} for part in parts},
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark_accuracy.py", *map(str, arguments)])
    benchmark_accuracy.main()


def test_a_peer_is_trained_and_measured_where_the_model_was(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, run_folder, "--baselines", "tfidf")
    (baseline,) = read_baselines(run_folder / "baselines.json")
    results = json.loads((run_folder / "results.json").read_text())
    assert list(baseline.metrics) == list(results["metrics"])
    for found in baseline.metrics.values():
        assert found["reviews"] == 10
        assert found["accuracy"] == 1.0, "the same reviews, seen on another day"
    assert baseline.parameters is not None
    assert baseline.parameters > 100
    printed = capsys.readouterr().out
    assert "| the model | 7 | 50.00% (20.00% to 80.00%) |" in printed
    assert "| TF-IDF + logistic regression |" in printed


def test_a_folder_without_results_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"benchmark_accuracy: .*results\.json"):
        run(monkeypatch, tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(SystemExit, match="no finished run"):
        run(monkeypatch, tmp_path)


def test_the_curve_has_a_point_for_each_size_and_model(
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark_accuracy, "READ_AT_LEAST", 100)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"train: ['{review_file}:train[:30]', '{review_file}:train[30:40]']\n"
        f"validation: {review_file}:train[40:]\noutput_dir: {tmp_path / 'run'}\n"
        "num_train_epochs: 1\nembedding_size: 4\nhidden_size: 4\nuse_cpu: true\n"
        "disable_tqdm: true\n"
    )
    folder = train(read_recipe(recipe))
    curve_dir = tmp_path / "curve"
    arguments = (folder, "--baselines", "tfidf", "--sizes", 10, 20, "--curve_dir", curve_dir)
    run(monkeypatch, *arguments)
    curve = json.loads((folder / "curve.json").read_text())
    (models,) = curve.values()
    assert {name: list(points) for name, points in models.items()} == {
        "this model": ["10", "20", "40"],
        "TF-IDF + logistic regression": ["10", "20", "40"],
    }
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "| reviews | model | 10 | 20 | 40 |" in capsys.readouterr().out
    small, large = ((curve_dir / f"{size}.jsonl").read_text() for size in (10, 20))
    assert large.startswith(small), "the larger set holds the smaller one"
    epochs = yaml.safe_load((curve_dir / "10" / "recipe.yaml").read_text())["num_train_epochs"]
    assert epochs == 10

    monkeypatch.setitem(
        benchmark_accuracy.BASELINES, "tfidf", ("TF-IDF + logistic regression", None)
    )
    run(monkeypatch, *arguments)  # nothing is trained again
    with pytest.raises(SystemExit, match="sizes are from 2 to 39"):
        run(monkeypatch, folder, "--baselines", "tfidf", "--sizes", 40)
