"""Other models, measured on the same reviews, for the card to compare with: `peers.json`.

The file is a list with an object for each peer, whose keys are the fields of `Peer`:

    [
      {
        "name": "TF-IDF + logistic regression",
        "description": "counts of words and pairs of words, with a linear classifier",
        "parameters": 1200000,
        "trained_on": "the same reviews",
        "train_seconds": 54.2,
        "command": "python scripts/benchmark_accuracy.py --peer tfidf",
        "metrics": {
          "test/reviews.ft.txt": {
            "reviews": 1000, "accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.917
          }
        }
      }
    ]
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .publishing import public_names, publish_part, without_folders

PEERS_FILE = "peers.json"

_FIGURES = ("reviews", "accuracy", "accuracy_low", "accuracy_high")


class PeersError(ValueError):
    """A `peers.json` that is none; the message names the file, the peer and the field."""


@dataclass(frozen=True)
class Peer:
    """A model to compare with.

    Args:
        name: What the card calls it; no two peers share one.
        description: What it is, in a line.
        parameters: Their number; None for a model that has none, as a list of words.
        trained_on: On what it was trained, in a few words: `the same reviews`.
        train_seconds: How long that took on the machine of the results; None if it was not.
        command: What to run to get these figures.
        metrics: Part -> its figures. A part is called as in `results.json` (`test/SOURCE`), and
            the figures are those of `evaluate`, of which `reviews`, `accuracy`, `accuracy_low` and
            `accuracy_high` are needed.
    """

    name: str
    description: str
    parameters: int | None
    trained_on: str
    train_seconds: float | None
    command: str
    metrics: Mapping[str, Mapping[str, Any]]


def read_peers(path: str | os.PathLike[str]) -> list[Peer]:
    """Read a `peers.json`.

    Raises:
        FileNotFoundError: If there is no such file.
        PeersError: If it is not what `write_peers` writes.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PeersError(f"{path}: no valid json ({error})") from error
    if not isinstance(content, list):
        raise PeersError(f"{path}: peers are a list of objects, not {type(content).__name__}")
    peers = [_parse(entry, f"{path}: peer {number}") for number, entry in enumerate(content, 1)]
    if len({peer.name for peer in peers}) < len(peers):
        raise PeersError(f"{path}: two peers share a name")
    return peers


def write_peers(peers: Iterable[Peer], path: str | os.PathLike[str]) -> None:
    """Write a `peers.json`."""
    Path(path).write_text(dump_peers(peers), encoding="utf-8")


def dump_peers(peers: Iterable[Peer]) -> str:
    """The content of a `peers.json`."""
    content = [dataclasses.asdict(peer) for peer in peers]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def publish_peers(peers: Iterable[Peer], results: Mapping[str, Any]) -> list[Peer]:
    """Take folders from what peers say, so that parts are called as in published results.

    Args:
        peers: The peers.
        results: The content of `results.json`, before or after `publish_results`.

    Returns:
        Copies to publish.
    """
    names = public_names(results)
    return [
        dataclasses.replace(
            peer,
            command=without_folders(peer.command),
            trained_on=without_folders(peer.trained_on),
            metrics={publish_part(part, names): found for part, found in peer.metrics.items()},
        )
        for peer in peers
    ]


def _parse(entry: Any, where: str) -> Peer:
    fields = {field.name for field in dataclasses.fields(Peer)}
    if not isinstance(entry, dict) or set(entry) != fields:
        found = set(entry) if isinstance(entry, dict) else set()
        different = ", ".join(sorted(fields ^ found))
        raise PeersError(f"{where}: missing or unknown fields: {different}")
    for name in ("name", "description", "trained_on", "command"):
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise PeersError(f"{where}: {name} must be a text, not {entry[name]!r}")
    for name in ("parameters", "train_seconds"):
        if entry[name] is not None and not _is_number(entry[name]):
            raise PeersError(f"{where}: {name} must be a number or null, not {entry[name]!r}")
    if not isinstance(entry["metrics"], dict):
        raise PeersError(f"{where}: metrics must be an object, part -> figures")
    for part, found in entry["metrics"].items():
        missing = [
            name
            for name in _FIGURES
            if not isinstance(found, dict) or not _is_number(found.get(name))
        ]
        if missing:
            raise PeersError(f"{where}: {part} lacks {', '.join(missing)}")
    return Peer(**entry)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
