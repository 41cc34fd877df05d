"""How a prediction looks in a file of labels."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predictor import Prediction


def lock_of(output: Path) -> Path:
    """The lock of those who write an output, a batch job or a stream: one at a time.

    Args:
        output: The file, with links followed.

    Returns:
        A file beside it, under the name of the parts of a job, which no other file has.
    """
    return output.with_name(f"{output.name}.part.lock")


@dataclass(frozen=True)
class Rows:
    """How a prediction looks in the output.

    Args:
        format: `"jsonl"` or `"csv"`.
        include_text: Whether a row repeats its text.
    """

    format: str = "jsonl"
    include_text: bool = False

    @property
    def header(self) -> str:
        """What stands above the rows."""
        return _csv_line(self._names) if self.format == "csv" else ""

    def row(self, text: str, prediction: Prediction) -> str:
        """One prediction, with its line end."""
        values = [prediction.label, prediction.score, text][: len(self._names)]
        if self.format == "csv":
            return _csv_line(values)
        return json.dumps(dict(zip(self._names, values, strict=True)), ensure_ascii=False) + "\n"

    @property
    def _names(self) -> list[str]:
        return ["label", "score"] + ["text"] * self.include_text


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
