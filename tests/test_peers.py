"""`peers.json`: what is written is read, and what is no such file says so."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sentiment_lstm.peers import Peer, PeersError, publish_peers, read_peers, write_peers

FIGURES = {"reviews": 9, "accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75}
PEER = Peer(
    name="Bag of Marbles",
    description="counts märbles",
    parameters=123,
    trained_on="/home/me/train.csv",
    train_seconds=1.5,
    command="python scripts/marbles.py ../data/x.csv",
    metrics={"test/b/x.csv": FIGURES},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    peers = [PEER, dataclasses.replace(PEER, name="Gut", parameters=None, train_seconds=None)]
    write_peers(peers, tmp_path / "peers.json")
    assert read_peers(tmp_path / "peers.json") == peers
    write_peers([], tmp_path / "peers.json")
    assert read_peers(tmp_path / "peers.json") == []


def test_parts_are_published_under_the_names_of_the_results() -> None:
    results: dict[str, Any] = {"reviews": {"train": {"a/x.csv": {}}, "test": {"b/x.csv": {}}}}
    (published,) = publish_peers([PEER], results)
    assert published.metrics == {"test/x.csv (2)": FIGURES}
    assert published.trained_on == "train.csv"
    assert published.command == "python scripts/marbles.py x.csv"
    published_results: dict[str, Any] = {
        "reviews": {"train": {"x.csv": {}}, "test": {"x.csv (2)": {}}}
    }
    assert publish_peers([published], published_results) == [published]


def change(**fields: Any) -> str:
    return json.dumps([dataclasses.asdict(PEER) | fields])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "no valid json"),
        ("{}", "peers are a list of objects, not dict"),
        ("[3]", "peer 1: missing or unknown fields: command, description"),
        (change(speed=3), "peer 1: missing or unknown fields: speed"),
        (change(name=" "), "peer 1: name must be a text"),
        (change(command=None), "peer 1: command must be a text, not None"),
        (change(parameters="many"), "peer 1: parameters must be a number or null, not 'many'"),
        (change(train_seconds=True), "peer 1: train_seconds must be a number"),
        (change(metrics=[]), "peer 1: metrics must be an object"),
        (change(metrics={"test/x": {"accuracy": 0.5}}), "test/x lacks reviews, accuracy_low"),
        (change(metrics={"test/x": 0.5}), "test/x lacks reviews, accuracy"),
        (change()[:-1] + "," + change()[1:], "two peers share a name"),
    ],
)
def test_what_is_no_list_of_peers_says_so(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    path.write_text(content)
    with pytest.raises(PeersError, match=message) as error:
        read_peers(path)
    assert str(path) in str(error.value)
