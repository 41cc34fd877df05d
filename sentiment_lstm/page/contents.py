"""What the page says: reviews as they were pasted or uploaded, their answers, scores to draw.

Plain functions of a predictor, without the library that draws the page. All that comes from a
review is still as it was written: who shows it escapes it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.columns import NAME_COLUMNS
from ..data.labels import BINARY, NUMBER, SEVERAL, LabelSet
from ..data.sources import ReviewError
from ..data.texts import read_texts
from ..inference.explanation import Explanation
from ..inference.predictor import Prediction, SentimentPredictor
from ..inference.rows import Rows

# What a page can answer while somebody waits; `sentiment-lstm predict` has no such limits.
MAX_REVIEWS = 10_000
MAX_CHARACTERS = 20_000  # of one review
MAX_ALL_CHARACTERS = 5_000_000
# Words of a review that is explained: its gradient is taken at some dozens of points at least.
MAX_WORDS = 1_000
FORMATS = (".csv", ".txt", ".jsonl")

# Rows of the table, and characters of a review in it: what a browser draws at once.
ROWS, ROW_CHARACTERS = 500, 300
# Places at which a review is cut, and bars of the histogram.
CUTS, BARS = 60, 20

_NO_LIMIT = "`sentiment-lstm predict --input FILE --output FILE` takes any"


class PageError(ValueError):
    """Reviews that the page does not take; the message says why and what to do."""


@dataclass(frozen=True)
class Answers:
    """Reviews and what the model says of them.

    Args:
        texts: One review or more.
        predictions: As many.
    """

    texts: Sequence[str]
    predictions: Sequence[Prediction]
    label_set: LabelSet = BINARY

    @property
    def summary(self) -> str:
        """What was said, in a sentence or two."""
        if len(self.texts) == 1:
            (only,) = self.predictions
            several = self.label_set.problem_type == SEVERAL
            return self._answer(only) + ("" if several else f", score {only.score:.3f}")
        counts = Counter(map(self._answer, self.predictions)).most_common()
        said = ", ".join(f"{number:,} {label}" for label, number in counts)
        more = f" The table shows the first {ROWS:,}." if len(self.texts) > ROWS else ""
        return f"{len(self.texts):,} reviews: {said}.{more}"

    def to_rows(self) -> list[list[Any]]:
        """Rows of a table: number (from 1), label, score, and the review, cut where it is long."""
        first = zip(self.texts[:ROWS], self.predictions[:ROWS], strict=True)
        return [
            [number, self._answer(prediction), f"{prediction.score:.3f}", _shortened(text)]
            for number, (text, prediction) in enumerate(first, 1)
        ]

    def to_csv(self) -> str:
        """All of them, as `sentiment-lstm predict --format csv --include_text` writes them."""
        rows = Rows("csv", include_text=True, label_set=self.label_set)
        answered = zip(self.texts, self.predictions, strict=True)
        return rows.header + "".join(rows.row(*each) for each in answered)

    def _answer(self, prediction: Prediction) -> str:
        """The label, or of several at once those that the review has."""
        if self.label_set.problem_type != SEVERAL:
            return prediction.label
        return ", ".join(prediction.labels) or "none"


class Cut(NamedTuple):
    """A review that ends early: how many words it has, the last of them, and its score."""

    words: int
    word: str
    score: float


class Bar(NamedTuple):
    """A bar of the histogram: where it begins on the axis, the label that it counts, how often."""

    start: float
    label: str
    reviews: int


def read_pasted(pasted: str | None) -> list[str]:
    """The reviews in what was pasted, one a line; empty lines are none.

    Args:
        pasted: Any text, or none.

    Returns:
        One review or more.

    Raises:
        PageError: If there is none, or they are too many or too long.
    """
    lines = (line.strip() for line in (pasted or "").split("\n"))
    return _limited(
        (line for line in lines if line), "Paste a review first, or several, one a line."
    )


def read_uploaded(path: str | os.PathLike[str] | None) -> list[str]:
    """The reviews in a file, as `sentiment-lstm predict --input` reads it.

    Args:
        path: A csv file with a header, lines of text or JSON lines, told by its ending; or none.

    Returns:
        One review or more.

    Raises:
        PageError: If there is no file or nothing in it, it cannot be read, or its reviews are too
            many or too long. It calls the file by its name, without the folders of the server.
    """
    if path is None:
        raise PageError("Choose a file first.")
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise PageError(f"{path.name}: choose a file of {', '.join(FORMATS)}, not packed.")
    try:
        return _limited(read_texts(path), f"{path.name}: there is no review in it.")
    except ReviewError as error:
        said = str(error).replace(os.fspath(path), path.name)
        # The page always takes the first of the usual columns.
        raise PageError(said.replace(NAME_COLUMNS, _RENAME_COLUMN)) from error


def check_words(predictor: SentimentPredictor, text: str) -> None:
    """Raise for a review that would take too long to explain.

    Args:
        predictor: The model.
        text: The review.

    Raises:
        PageError: If it has too many words.
    """
    (ids,) = predictor.encode([text])
    if len(ids) > MAX_WORDS:
        raise PageError(
            f"The review has {len(ids):,} words, and the page explains at most {MAX_WORDS:,}: use "
            "`sentiment-lstm explain`, or paste a part of it."
        )


def score_cuts(predictor: SentimentPredictor, explanation: Explanation) -> list[Cut]:
    """The score of a review that ends before its first word, after it, and so on to its end.

    Each is the score of a text of its own, so that it is defined whichever way the model reads. Of
    one that reads in one direction it is the score so far.

    Args:
        predictor: The model.
        explanation: Of the review; its words say where it can be cut.

    Returns:
        The scores of the label that is explained, after each word or, of a long review, after some
        that are evenly apart. The last one is that of the whole review.
    """
    words = explanation.words
    counts = np.unique(np.linspace(0, len(words), CUTS + 1).round().astype(int)).tolist()
    ends = [words[count - 1].end if count else 0 for count in counts]
    texts = [*(explanation.text[:end] for end in ends[:-1]), explanation.text]
    label = predictor.label_set.names.index(explanation.label)
    scores = predictor.predict_proba(texts)[:, label].tolist()
    return [
        Cut(count, words[count - 1].text if count else "", score)
        for count, score in zip(counts, scores, strict=True)
    ]


def histogram(predictor: SentimentPredictor, predictions: Sequence[Prediction]) -> list[Bar]:
    """How the scores of many reviews are spread.

    Args:
        predictor: The model.
        predictions: Its answers, one or more.

    Returns:
        As many bars for each label as the axis has, from left to right, also those that count
        nothing; `score_axis` says what the axis is.
    """
    second = _second_of_two(predictor)
    scores = [float(each.probabilities[1]) if second else each.score for each in predictions]
    ends = (min(scores), max(scores)) if is_regression(predictor) else (0.0, 1.0)
    edges = np.histogram_bin_edges(scores, BARS, ends)
    # A score on an edge belongs to the right of it, but for the last one.
    places = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, BARS - 1)
    labels = [prediction.label for prediction in predictions]
    counts = Counter(zip(places.tolist(), labels, strict=True))
    return [
        Bar(float(edges[place]), label, counts[place, label])
        for place in range(BARS)
        for label in sorted(set(labels))
    ]


def score_axis(predictor: SentimentPredictor) -> str:
    """What the axis of the histogram is.

    Of two labels that exclude each other the score of the second, POSITIVE, which says all; else
    the score of the label that was predicted.
    """
    second = _second_of_two(predictor)
    return f"score of {second}" if second else "score"


def is_regression(predictor: SentimentPredictor) -> bool:
    """Whether a score is any number, and not one from 0 to 1."""
    return predictor.label_set.problem_type == NUMBER


def _second_of_two(predictor: SentimentPredictor) -> str | None:
    """The second of two labels that exclude each other, if these are such."""
    names = predictor.label_set.names
    return names[1] if len(names) == 2 and predictor.label_set.exclude_each_other else None


def _limited(texts: Iterable[str], nothing: str) -> list[str]:
    """The texts, if there are any and they are not too many or too long."""
    found: list[str] = []
    characters = 0
    for text in texts:
        found.append(text)
        characters += len(text)
        if len(found) > MAX_REVIEWS:
            raise PageError(f"More than {MAX_REVIEWS:,} reviews: {_NO_LIMIT} number.")
        if len(text) > MAX_CHARACTERS:
            raise PageError(
                f"Review {len(found):,} has more than {MAX_CHARACTERS:,} characters: {_NO_LIMIT} "
                "length."
            )
        if characters > MAX_ALL_CHARACTERS:
            raise PageError(
                f"More than {MAX_ALL_CHARACTERS:,} characters in all: {_NO_LIMIT} number."
            )
    if not found:
        raise PageError(nothing)
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= ROW_CHARACTERS else text[:ROW_CHARACTERS] + "…"


_RENAME_COLUMN = "Rename the column of the reviews to text."
