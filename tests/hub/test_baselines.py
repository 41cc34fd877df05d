"""`baselines.json`: what is written is read, and what is no such file says so."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support import make_baseline, make_behaviour, make_results

from sentiment_lstm.hub.baselines import (
    BaselinesError,
    read_baselines,
    redact_baselines,
    write_baselines,
)

FIGURES = {"reviews": 9, "accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75}
MARBLES = make_baseline(
    description="counts märbles",
    trained_on="/home/me/train.csv",
    command="python scripts/marbles.py ../data/x.csv",
    metrics={"test": {"b/x.csv": FIGURES}},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    baselines = [
        MARBLES,
        dataclasses.replace(MARBLES, name="Gut", parameters=None, train_seconds=None),
        dataclasses.replace(MARBLES, name="Rules", behaviour=make_behaviour(typos=0.5)),
    ]
    write_baselines(baselines, tmp_path / "baselines.json")
    written = json.loads((tmp_path / "baselines.json").read_text())
    assert ["behaviour" in entry for entry in written] == [False, False, True]
    assert read_baselines(tmp_path / "baselines.json") == baselines
    write_baselines([], tmp_path / "baselines.json")
    assert read_baselines(tmp_path / "baselines.json") == []


def test_baselines_of_version_0_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / "baselines.json"
    path.write_text(change(metrics={"test/b/x.csv": FIGURES}))
    assert read_baselines(path) == [MARBLES]


def test_sources_are_called_as_in_the_results() -> None:
    results = make_results(reviews={"train": {"a/x.csv": {}}, "test": {"b/x.csv": {}}})
    (redacted,) = redact_baselines([MARBLES], results)
    assert redacted.metrics == {"test": {"x.csv (2)": FIGURES}}
    assert redacted.trained_on == "train.csv"
    assert redacted.command == "python scripts/marbles.py x.csv"
    assert redact_baselines([redacted], results.redact()) == [redacted]


def change(**fields: Any) -> str:
    return json.dumps([dataclasses.asdict(MARBLES) | fields])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "no valid json"),
        ("{}", "baselines are a list of objects, not dict"),
        ("[3]", "baseline 1: missing or unknown fields: command, description"),
        (change(speed=3), "baseline 1: missing or unknown fields: speed"),
        (change(name=" "), "baseline 1: name must be a text"),
        (change(command=None), "baseline 1: command must be a text, not None"),
        (change(parameters="many"), "baseline 1: parameters must be a number or null, not 'many'"),
        (change(train_seconds=True), "baseline 1: train_seconds must be a number"),
        (change(metrics=[]), "baseline 1: metrics must be an object"),
        (change(metrics={"test/x": {"accuracy": 0.5}}), "test, x: lacks reviews, accuracy_low"),
        (change(behaviour={"suite": "0ddd"}), "behaviour: lacks cases, failure_rate, capabilities"),
        (change(metrics={"test": {"x": 0.5}}), "test, x: lacks reviews, accuracy"),
        (change()[:-1] + "," + change()[1:], "two baselines share a name"),
    ],
)
def test_what_is_no_list_of_baselines_says_so(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "baselines.json"
    path.write_text(content)
    with pytest.raises(BaselinesError, match=message) as error:
        read_baselines(path)
    assert str(path) in str(error.value)
