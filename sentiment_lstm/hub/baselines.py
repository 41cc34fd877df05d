"""Other models, measured on the same reviews, for the card to compare with: `baselines.json`.

The file is a list with an object for each baseline, whose keys are the fields of `Baseline`:

    [
      {
        "name": "TF-IDF + logistic regression",
        "description": "counts of words and pairs of words, with a linear classifier",
        "parameters": 1200000,
        "trained_on": "the same reviews",
        "train_seconds": 54.2,
        "command": "python scripts/baselines.py FOLDER --baselines tfidf",
        "metrics": {
          "test": {
            "reviews.ft.txt": {
              "reviews": 1000, "accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.917
            }
          }
        }
      }
    ]
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.sources import without_folders
from ..evaluation.results import (
    BySource,
    Run,
    behaviour_missing,
    figures_missing,
    is_number,
    nest_metrics,
    redact_sources,
)
from ..files import BASELINES_FILE, dump_json, write_text


class BaselinesError(ValueError):
    """A `baselines.json` that is none; the message names the file, the baseline and the field."""


@dataclass(frozen=True)
class Baseline:
    """A model to compare with.

    Args:
        name: What the card calls it; no two baselines share one.
        description: What it is, in a line.
        parameters: Their number; None for a model that has none, as a list of words.
        trained_on: On what it was trained, in a few words: `the same reviews`.
        train_seconds: How long that took on the machine of the results; None if it was not.
        command: What to run to get these figures.
        metrics: Split -> source -> figures, as in `results.json`. The figures are those of
            `measure`; `reviews`, `accuracy`, `accuracy_low` and `accuracy_high` are needed.
        behaviour: What `Behaviour.as_dict` gives; None, or not in the file, if it was not measured.
    """

    name: str
    description: str
    parameters: int | None
    trained_on: str
    train_seconds: float | None
    command: str
    metrics: BySource
    behaviour: dict[str, Any] | None = None


def find_baselines(folder: str | os.PathLike[str]) -> Path | None:
    """The baselines of a model folder: `baselines.json`, or `peers.json` of version 0.1."""
    paths = [Path(folder, name) for name in (BASELINES_FILE, "peers.json")]
    return next((path for path in paths if path.exists()), None)


def read_baselines(path: str | os.PathLike[str]) -> list[Baseline]:
    """Read a `baselines.json`.

    Raises:
        FileNotFoundError: If there is no such file.
        BaselinesError: If it is not what `write_baselines` writes.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BaselinesError(f"{path}: no valid json ({error})") from error
    if not isinstance(content, list):
        raise BaselinesError(
            f"{path}: baselines are a list of objects, not {type(content).__name__}"
        )
    baselines = [
        _parse(entry, f"{path}: baseline {number}") for number, entry in enumerate(content, 1)
    ]
    if len({baseline.name for baseline in baselines}) < len(baselines):
        raise BaselinesError(f"{path}: two baselines share a name")
    return baselines


def write_baselines(baselines: Iterable[Baseline], path: str | os.PathLike[str]) -> None:
    """Write a `baselines.json`."""
    write_text(path, dump_baselines(baselines))


def dump_baselines(baselines: Iterable[Baseline]) -> str:
    """The content of a `baselines.json`."""
    entries = [dataclasses.asdict(baseline) for baseline in baselines]
    for entry in entries:
        if entry["behaviour"] is None:
            del entry["behaviour"]
    return dump_json(entries)


def redact_baselines(baselines: Iterable[Baseline], run: Run | None) -> list[Baseline]:
    """Take folders from what baselines say, so that sources are called as in redacted results.

    Args:
        baselines: The baselines.
        run: Of the model that they are compared with, redacted or not, where it is known.

    Returns:
        Copies for others to see.
    """
    names = {} if run is None else run.public_names()
    return [
        dataclasses.replace(
            baseline,
            command=without_folders(baseline.command),
            trained_on=without_folders(baseline.trained_on),
            metrics=redact_sources(baseline.metrics, names),
        )
        for baseline in baselines
    ]


def _parse(entry: Any, where: str) -> Baseline:
    fields = {field.name for field in dataclasses.fields(Baseline)}
    if not isinstance(entry, dict) or set(entry) | {"behaviour"} != fields:
        given = set(entry) if isinstance(entry, dict) else set()
        different = ", ".join(sorted(fields ^ (given | {"behaviour"})))
        raise BaselinesError(f"{where}: missing or unknown fields: {different}")
    for name in ("name", "description", "trained_on", "command"):
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise BaselinesError(f"{where}: {name} must be a text, not {entry[name]!r}")
    for name in ("parameters", "train_seconds"):
        if entry[name] is not None and not is_number(entry[name]):
            raise BaselinesError(f"{where}: {name} must be a number or null, not {entry[name]!r}")
    if not isinstance(entry["metrics"], dict):
        raise BaselinesError(f"{where}: metrics must be an object, split -> source -> figures")
    # Version 0.1 wrote `split/source`.
    baseline = Baseline(**entry | {"metrics": nest_metrics(entry["metrics"])})
    _check_figures(baseline, where)
    return baseline


def _check_figures(baseline: Baseline, where: str) -> None:
    for split, sources in baseline.metrics.items():
        for source, found in sources.items():
            if missing := figures_missing(found):
                raise BaselinesError(f"{where}: {split}, {source}: lacks {', '.join(missing)}")
    if missing := behaviour_missing(baseline.behaviour):
        raise BaselinesError(f"{where}: behaviour: lacks {', '.join(missing)}")
