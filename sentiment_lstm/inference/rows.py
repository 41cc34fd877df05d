"""How a prediction looks in a file of labels."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predictor import Prediction


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
