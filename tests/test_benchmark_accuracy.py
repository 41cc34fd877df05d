"""The peers: trained on the reviews of a run, measured on its parts, shown by its card."""

import json
import sys
from pathlib import Path
from typing import Any

import benchmark_accuracy
import pytest

from sentiment_lstm.peers import read_peers


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
    run(monkeypatch, run_folder, "--peers", "tfidf")
    (peer,) = read_peers(run_folder / "peers.json")
    results = json.loads((run_folder / "results.json").read_text())
    assert list(peer.metrics) == list(results["metrics"])
    for found in peer.metrics.values():
        assert found["reviews"] == 10
        assert found["accuracy"] == 1.0, "the same reviews, seen on another day"
    assert peer.parameters is not None
    assert peer.parameters > 100
    printed = capsys.readouterr().out
    assert "| the model | 7 | 50.00% (20.00% to 80.00%) |" in printed
    assert "| TF-IDF + logistic regression |" in printed


def test_a_folder_without_results_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"benchmark_accuracy: .*results\.json"):
        run(monkeypatch, tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(SystemExit, match="no finished run"):
        run(monkeypatch, tmp_path)
