"""How a prediction looks in a file of labels."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.labels import BINARY, NUMBER, SEVERAL, LabelSet

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
        label_set: Which labels the model gives. One label has a name and a score. Of several labels
            at once there are the names of those that the text has, and the score of each label:
            in csv with commas between the names, and a column `score_NAME` each. A number is the
            score alone.
    """

    format: str = "jsonl"
    include_text: bool = False
    label_set: LabelSet = BINARY

    @property
    def header(self) -> str:
        """What stands above the rows."""
        return _csv_line(self._names) if self.format == "csv" else ""

    def row(self, text: str, prediction: Prediction) -> str:
        """One prediction, with its line end."""
        values: list[Any] = [prediction.label, prediction.score]
        if self.label_set.problem_type == NUMBER:
            values = [prediction.score]
        elif self.label_set.problem_type == SEVERAL:
            scores = prediction.probabilities.tolist()
            if self.format == "csv":
                values = [",".join(prediction.labels), *scores]
            else:
                by_name = dict(zip(self.label_set.names, scores, strict=True))
                values = [list(prediction.labels), by_name]
        values += [text] * self.include_text
        if self.format == "csv":
            return _csv_line(values)
        return json.dumps(dict(zip(self._names, values, strict=True)), ensure_ascii=False) + "\n"

    @property
    def _names(self) -> list[str]:
        names = ["label", "score"]
        if self.label_set.problem_type == NUMBER:
            names = ["score"]
        elif self.label_set.problem_type == SEVERAL:
            in_csv = [f"score_{name}" for name in self.label_set.names]
            names = ["labels", *(in_csv if self.format == "csv" else ["scores"])]
        return names + ["text"] * self.include_text


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # whose line end is why a carriage return is quoted
    return line.getvalue().removesuffix("\r\n") + "\n"
