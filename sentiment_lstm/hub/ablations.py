"""Ablations, choices measured one at a time, for the card and the documents: `ablation.json`.

`scripts/ablation.py` writes the file. It holds an object for each row of its table, of which the
first is what the others are compared with:

    {
      "baseline": {
        "seeds": [0, 1, 2],
        "accuracy": {"dev.ft.txt": [0.84, 0.85, 0.83], "all": [0.84, 0.85, 0.83]},
        "parameters": 4361218,
        "seconds": 71.5
      },
      "two layers": {"...": "as above", "difference": 0.004, "standard_error": 0.003}
    }
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.sources import parse_source


class AblationError(ValueError):
    """An `ablation.json` that is none; the message names the file."""


def read_ablation(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an `ablation.json`.

    Raises:
        FileNotFoundError: If there is no such file.
        AblationError: If it is not what `scripts/ablation.py` writes.
    """
    try:
        rows: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        ablation_table(rows)
    except (
        AttributeError,
        KeyError,
        RecursionError,
        StopIteration,
        TypeError,
        ValueError,
    ) as error:
        raise AblationError(f"{path}: no table of ablations ({error!r})") from error
    return rows


def ablation_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The table in Markdown: medians and spread over seeds, and paired differences.

    Args:
        rows: The content of an `ablation.json`.

    Returns:
        A row for each choice, without folders in the names of the reviews.
    """
    sources = list(next(iter(rows.values()))["accuracy"])
    header = [
        "",
        *(parse_source(source).public for source in sources),
        "difference to baseline",
        "parameters",
        "training",
    ]
    lines = [header, ["---"] * len(header)]
    for name, row in rows.items():
        against = "–"
        if "difference" in row:
            against = f"{row['difference'] * 100:+.2f} ± {row['standard_error'] * 100:.2f}"
        lines.append(
            [
                name,
                *(spread(row["accuracy"][source]) for source in sources),
                against,
                f"{row['parameters'] / 1e6:.2f}M",
                f"{row['seconds']:.0f} s",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(accuracies: list[float]) -> str:
    """Median of the seeds and, of several, the lowest and the highest, in percent."""
    median = f"{statistics.median(accuracies) * 100:.2f} %"
    if len(accuracies) == 1:
        return median
    return f"{median} ({min(accuracies) * 100:.2f} to {max(accuracies) * 100:.2f})"
