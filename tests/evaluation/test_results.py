"""The schema of results: what is written is read, old files too, and redacted before it leaves."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support import make_behaviour

from sentiment_lstm.evaluation.results import (
    Results,
    ResultsError,
    Run,
    read_results,
    read_run,
    redact_recipe,
)

FIGURES = {"reviews": 4, "accuracy": 0.75, "accuracy_low": 0.3, "accuracy_high": 0.95}


@pytest.fixture
def content() -> dict[str, Any]:
    """What a finished run writes."""
    facts = {"reviews": 4, "fingerprint": "0ddd", "positive": 2}
    return {
        "recipe": {"train": ["a/x.txt", "b/x.txt"], "seed": 3, "hub_token": "hf_secret"},
        "reviews": {
            "train": {"a/x.txt": facts, "b/x.txt": facts},
            "validation": {"c/x.txt:train[:5]": facts},
        },
        "bf16": False,
        "model": "SentimentLSTMForSequenceClassification",
        "files": {},
        "written": {"config.json": "0ddd"},
        "seed": 3,
        "parameters": 100,
        "vocab_size": 10,
        "training": {"steps": 1, "epochs": 1.0},
        "machine": {"bf16": False},
        "versions": {"torch": "2.13.0"},
        "metrics": {"validation": {"c/x.txt:train[:5]": FIGURES, "b/x.txt": FIGURES}},
        "wall_time_seconds": {"train": 1.0},
    }


def save(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return path


def test_what_is_written_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    results = Results(**content)
    path = results.write(tmp_path / "again.json")
    assert "secret" not in path.read_text(), "no file holds a token"
    del content["recipe"]["hub_token"]
    assert read_results(path) == Results(**content)
    # A finished run is a run.
    run = read_run(path)
    assert run == Run(**{f.name: content[f.name] for f in dataclasses.fields(Run)})
    assert read_run(run.write(tmp_path / "run.json")) == run
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_results_of_version_0_1_are_read(content: dict[str, Any], tmp_path: Path) -> None:
    old = copy.deepcopy(content)
    old["metrics"] = {
        f"validation/{source}": FIGURES for source in ("c/x.txt:train[:5]", "b/x.txt")
    }
    for field in ("model", "files"):  # the first results lacked them
        del old[field]
    assert read_results(save(tmp_path, old)) == Results(**content)


def test_behaviour_is_a_part_that_may_be_missing(content: dict[str, Any], tmp_path: Path) -> None:
    without = Results(**content).write(tmp_path / "without.json")
    assert "behaviour" not in json.loads(without.read_text())
    assert read_results(without).behaviour is None
    del content["recipe"]["hub_token"]
    content["behaviour"] = make_behaviour(negation=0.25, typos=0.5)
    path = Results(**content).write(tmp_path / "with.json")
    assert read_results(path) == Results(**content)
    assert read_results(path).redact().behaviour == content["behaviour"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda part: part.clear(), "lacks suite, cases, failure_rate, capabilities"),
        (lambda part: part.update(suite=3), "lacks suite"),
        (lambda part: part.update(failure_rate="low"), "lacks failure_rate"),
        (lambda part: part.update(capabilities={}), "lacks capabilities"),
        (lambda part: part.update(capabilities={"typos": 0.5}), "lacks cases of typos, failure_ra"),
        (lambda part: part["capabilities"]["typos"].pop("cases"), "lacks cases of typos"),
    ],
)
def test_what_is_no_behaviour_says_so(
    change: Any, message: str, content: dict[str, Any], tmp_path: Path
) -> None:
    content["behaviour"] = make_behaviour(typos=0.5)
    change(content["behaviour"])
    with pytest.raises(ResultsError, match=f"behaviour: {message}"):
        read_results(save(tmp_path, content))


def test_parts_are_split_source_and_figures(content: dict[str, Any]) -> None:
    results = Results(**content)
    assert list(results.parts()) == [
        ("validation", "c/x.txt:train[:5]", FIGURES),
        ("validation", "b/x.txt", FIGURES),
    ]
    assert list(results.metrics_by_name()) == [
        "validation/c/x.txt:train[:5]",
        "validation/b/x.txt",
    ]
    assert results.number_of_reviews("train") == 8
    assert results.number_of_reviews("test") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.clear(), "lacks recipe, reviews"),
        (lambda content: content.pop("metrics"), "lacks metrics: these are not the results of a"),
        (lambda content: content.update(metrics=3), "`metrics` is 3"),
        (lambda content: content.update(metrics={"test": {"x": {}}}), "test, x: lacks reviews"),
        (lambda content: content.update(reviews={"train": 3}), "`reviews` of train is 3"),
        (lambda content: content.update(metrics={"test": 3}), "`metrics` of test is 3"),
        (lambda content: content.update(metrics={"test": {"x": 3}}), "`metrics` of test, x: 3"),
        (lambda content: content.update(reviews={"train": {"x": 3}}), "of train, x: 3"),
        (lambda content: content.update(parameters="many"), "`parameters` is 'many'"),
    ],
)
def test_what_are_no_results_says_so(
    change: Any, message: str, content: dict[str, Any], tmp_path: Path
) -> None:
    change(content)
    path = save(tmp_path, content)
    with pytest.raises(ResultsError, match=message) as error:
        read_results(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(("text", "message"), [("[]", "not list"), ("{", "no valid JSON")])
def test_what_is_no_object_says_so(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=message):
        read_results(path)
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path / "gone.json")


def test_a_redacted_recipe_pushes_nothing() -> None:
    """Who runs it again has a repository of their own, if any."""
    recipe = {"seed": 3, "push_to_hub": True, "hub_model_id": "me/mine", "hub_strategy": "end"}
    assert redact_recipe(recipe) == {"seed": 3}


def test_redacted_names_keep_sources_apart(content: dict[str, Any]) -> None:
    recipe = {"train": ["a/x.txt", "b/x.txt"], "validation": ["a/x.txt", "sample:test"]}
    assert redact_recipe(recipe) == {
        "train": ["x.txt", "x.txt (2)"],
        "validation": ["x.txt", "sample:test"],
    }
    content["metrics"]["test"] = {"d/y.csv": FIGURES}
    results = Results(**content)
    redacted = results.redact()
    assert redacted.recipe == {"train": ["x.txt", "x.txt (2)"], "seed": 3}
    assert list(redacted.reviews["train"]) == ["x.txt", "x.txt (2)"]
    assert list(redacted.reviews["validation"]) == ["x.txt:train[:5]"]
    assert redacted.metrics == {
        "validation": {"x.txt:train[:5]": FIGURES, "x.txt (2)": FIGURES},
        "test": {"y.csv": FIGURES},
    }
    assert redacted.redact() == redacted
    assert results == Results(**content)
