"""The baselines: trained on the reviews of a run, and measured where it was measured."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import baselines
import pytest
import yaml
from support import make_results, metrics

from sentiment_lstm.data.labels import LabelSet
from sentiment_lstm.evaluation.results import read_results
from sentiment_lstm.hub.baselines import read_baselines
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import train
from sentiment_lstm.training.teachers import CLASSIFIERS, Classifier, Trained


def untrained(texts: list[str], labels: list[int]) -> Trained:
    raise AssertionError("nothing is trained again")


@pytest.fixture
def run_folder(review_file: Path, tmp_path: Path) -> Path:
    figures = metrics(0.5, reviews=10, accuracy_low=0.2, accuracy_high=0.8)
    results = make_results(
        recipe={"train": [f"{review_file}:train[:20]", f"{review_file}:train[20:40]"]},
        parameters=7,
        metrics={
            "validation": {f"{review_file}:train[40:50]": figures},
            "test": {f"{review_file}:train[50:]": figures},
        },
    )
    results.write(tmp_path / "results.json")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["baselines.py", *map(str, arguments)])
    baselines.main()


def test_a_baseline_is_trained_and_measured_where_the_model_was(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, run_folder, "--baselines", "tfidf")
    (baseline,) = read_baselines(run_folder / "baselines.json")
    results = read_results(run_folder / "results.json")
    for split, source, _ in results.parts():
        found = baseline.metrics[split][source]
        assert found["reviews"] == 10
        assert found["accuracy"] == 1.0, "the same reviews, seen on another day"
    assert list(baseline.metrics) == ["validation", "test"]
    assert baseline.command == "python scripts/baselines.py FOLDER --baselines tfidf"
    assert baseline.parameters is not None
    assert baseline.parameters > 100
    assert baseline.behaviour is not None
    assert 0 < baseline.behaviour["failure_rate"] < 1
    printed = capsys.readouterr().out
    assert "| the model | 7 | 50.00% (20.00% to 80.00%) |" in printed
    assert "| TF-IDF + logistic regression, on the same reviews |" in printed

    # On others, which is another measurement; once.
    fewer = ("--baselines", "tfidf", "--train", *results.recipe["train"][:1])
    run(monkeypatch, run_folder, *fewer)
    (other,) = read_baselines(run_folder / "baselines.json")
    assert other.trained_on == "20 reviews"
    assert other.behaviour != baseline.behaviour
    assert other.command == "python scripts/baselines.py FOLDER --baselines tfidf --train SOURCES"
    known = CLASSIFIERS["tfidf"]
    monkeypatch.setitem(CLASSIFIERS, "tfidf", replace(known, train=untrained))
    for again in (fewer, ("--baselines", "tfidf")):  # there may be as many reviews, but others
        with pytest.raises(AssertionError, match="nothing is trained again"):
            run(monkeypatch, run_folder, *again)


def test_a_baseline_is_measured_again_on_another_suite(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, run_folder, "--baselines", "tfidf")
    known = CLASSIFIERS["tfidf"]
    monkeypatch.setitem(CLASSIFIERS, "tfidf", replace(known, train=untrained))
    run(monkeypatch, run_folder, "--baselines", "tfidf")
    monkeypatch.setattr("baselines.fingerprint", lambda _: "another")
    with pytest.raises(AssertionError, match="nothing is trained again"):
        run(monkeypatch, run_folder, "--baselines", "tfidf")


def test_a_folder_without_results_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"baselines: .*results\.json"):
        run(monkeypatch, tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(SystemExit, match="not the results of a finished run"):
        run(monkeypatch, tmp_path)


def test_a_curve_is_of_the_runs_own_reviews(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "runs/x", "--train", "few.jsonl", "--sizes", "20"])
    with pytest.raises(SystemExit):
        baselines.main()
    assert "--sizes draws from the run's own reviews: leave --train out" in capsys.readouterr().err


def test_the_curve_has_a_point_for_each_size_and_model(
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(baselines, "READ_AT_LEAST", 100)
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
        CLASSIFIERS, "tfidf", Classifier("TF-IDF + logistic regression", "", untrained)
    )
    run(monkeypatch, *arguments)
    with pytest.raises(SystemExit, match="sizes are from 2 to 39"):
        run(monkeypatch, folder, "--baselines", "tfidf", "--sizes", 40)


def test_other_labels_have_no_baselines(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelSet(("1", "2", "3")).as_dict()
    replace(read_results(run_folder / "results.json"), label_set=labels).write(
        run_folder / "results.json"
    )
    with pytest.raises(SystemExit, match="its labels are 1, 2, 3, and the baselines know NEGATIVE"):
        run(monkeypatch, run_folder, "--baselines", "tfidf")


def test_a_pretrained_model_is_named_by_folder_or_id(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="baselines: tfidf=x: say NAME=SOURCE"):
        run(monkeypatch, run_folder, "--pretrained", "tfidf=x")
    # A folder that is not there is no model; nothing is asked of the Hub, which is off in tests.
    nowhere = run_folder / "nowhere"
    with pytest.raises(SystemExit, match=r"baselines: .*nowhere"):
        run(monkeypatch, run_folder, "--baselines", "mpnet", "--pretrained", f"mpnet={nowhere}")
