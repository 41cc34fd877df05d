"""Predict reviews once, and derive from the predictions whatever is asked of them.

Tokenising and predicting is what evaluation costs. [`Predictions`] keep what came of it, so that
temperature, metrics, slices and comparisons need no second look at the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.dataset import label_set_of
from ..data.labels import (
    BINARY,
    NUMBER,
    SEVERAL,
    SINGLE,
    LabelSet,
    label_code,
    label_meaning,
    means_sentiment,
)
from ..data.sources import ReviewError
from ..data.texts import chunks
from ..extras import require
from ..inference.predictor import SentimentPredictor
from .label_metrics import decisions, score_classes, score_numbers, score_several
from .metrics import SentimentMetrics, fit_temperature, log_probabilities
from .slices import has_negation, score_slices

with require("train"):
    import datasets
    from scipy.special import log_softmax


@dataclass(frozen=True, eq=False)  # arrays have no single answer to whether they are equal
class Predictions:
    """What a model says of labelled reviews.

    Args:
        probabilities: `(reviews, num_labels)` float32; of a number the number itself.
        labels: The right label of each, `(reviews,)` int64; of several labels at once 1 for each
            that a review has, else 0, `(reviews, num_labels)` int64; numbers are float64.
        lengths: Tokens of each review, `(reviews,)` int64; `None` if unknown.
        negated: Whether each has a negation (see `has_negation`), `(reviews,)` bool; `None` if
            unknown.
        label_set: Which labels there are.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[Any]
    lengths: NDArray[np.int64] | None = None
    negated: NDArray[np.bool_] | None = None
    label_set: LabelSet = BINARY

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each review got its label, `(reviews,)`; a tie goes to the lower label.

        Of several labels at once, whether it got all of them and no other.

        Raises:
            ValueError: If the labels are numbers, of which hardly any is met.
        """
        if self.label_set.problem_type == NUMBER:
            raise ValueError("numbers are near or far, and not right or wrong")
        correct: NDArray[np.bool_]
        if self.label_set.problem_type == SEVERAL:
            correct = ((self.probabilities > 0.5) == (self.labels > 0)).all(axis=1)
        else:
            correct = self.probabilities.argmax(axis=1) == self.labels
        return correct

    def scaled(self, temperature: float) -> Predictions:
        """What the model would say with its logits divided by a temperature (Guo et al. 2017).

        Args:
            temperature: Above 0; in units of the temperature that the predictions were made with.

        Returns:
            New predictions of the same reviews, with the same labels predicted where they are no
            tie but for rounding.

        Raises:
            ValueError: If the temperature is not above 0, or the labels are numbers.
        """
        if not temperature > 0:
            raise ValueError(f"a temperature is above 0; got {temperature}")
        if self.label_set.problem_type == NUMBER:
            raise ValueError("numbers have no temperature")
        rows, shape = self.probabilities, self.probabilities.shape
        if self.label_set.problem_type == SEVERAL:
            rows, _ = decisions(rows, self.labels)
        scaled = np.exp(log_softmax(log_probabilities(rows) / temperature, axis=1))
        if self.label_set.problem_type == SEVERAL:
            scaled = scaled[:, 1].reshape(shape)
        return replace(self, probabilities=scaled.astype(np.float32))

    @classmethod
    def of_positive(cls, positive: ArrayLike, labels: ArrayLike) -> Predictions:
        """Predictions of a model that only gives the probability of POSITIVE.

        Args:
            positive: `(reviews,)`, from 0 to 1.
            labels: 0 or 1 for each.
        """
        positive = np.asarray(positive, dtype=np.float64)
        both = np.stack([1 - positive, positive], axis=1).astype(np.float32)
        return cls(both, np.asarray(labels, dtype=np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """The predictions of several sets of reviews, of one label set, as one."""

        def joined(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            return None if any(value is None for value in values) else np.concatenate(values)

        names = ("probabilities", "labels", "lengths", "negated")
        return replace(parts[0], **{name: joined(name) for name in names})


def evaluate(predictor: SentimentPredictor, reviews: datasets.Dataset) -> dict[str, Any]:
    """Measure a model on labelled reviews, read whole, as `predict` and the pipeline read them.

    Args:
        predictor: The model.
        reviews: Columns `text` and `label`.

    Returns:
        What `measure` gives.

    Raises:
        ReviewError: If the reviews have labels that the model does not know.
    """
    return measure(predict_reviews(predictor, reviews))


def predict_reviews(predictor: SentimentPredictor, reviews: datasets.Dataset) -> Predictions:
    """Predict labelled reviews, each tokenised once.

    Args:
        predictor: The model.
        reviews: Columns `text` and `label`.

    Returns:
        The predictions, in the order of the reviews.
    """

    def token_ids() -> Iterable[list[list[int]]]:
        for chunk in chunks(_texts_of(reviews), predictor.chunk_size):
            yield predictor.encode(chunk)

    return _collect(predictor, token_ids(), reviews)


def predict_tokens(
    predictor: SentimentPredictor, tokens: datasets.Dataset, reviews: datasets.Dataset
) -> Predictions:
    """As `predict_reviews`, of reviews that training has tokenised already.

    Args:
        predictor: The model.
        tokens: `input_ids` of each review, whole.
        reviews: The same reviews, as `text` and `label`.

    Returns:
        The predictions, in the order of the reviews.
    """
    known_ids = (batch["input_ids"] for batch in tokens.iter(batch_size=predictor.chunk_size))
    return _collect(predictor, known_ids, reviews)


def calibrate(predictions: Predictions) -> float:
    """The temperature that makes predictions most likely; `predictions.scaled` applies it.

    It divides the logits before a softmax, of several labels at once before a sigmoid each.

    Raises:
        ValueError: If the labels are numbers: there are no probabilities to fit.
    """
    if predictions.label_set.problem_type == NUMBER:
        raise ValueError("numbers have no temperature")
    given: tuple[Any, Any] = predictions.probabilities, predictions.labels
    if predictions.label_set.problem_type == SEVERAL:
        given = decisions(*given)
    return fit_temperature(*given)


def measure(predictions: Predictions) -> dict[str, Any]:
    """The figures of predictions.

    Args:
        predictions: Of at least one review.

    Returns:
        Python numbers, ready for JSON: `reviews`, their number; the metrics of `SentimentMetrics`,
        and with three labels and more those of `score_classes`, or in their place those of
        `score_several` or `score_numbers`; and, where lengths and negations are known, `slices`:
        accuracy by confidence, length and negation, as `score_slices` gives them.

    Raises:
        ValueError: If there are no reviews, or the probabilities are none.
    """
    found = {"reviews": len(predictions), **_figures(predictions)}
    if predictions.lengths is not None and predictions.negated is not None:
        found["slices"] = score_slices(
            predictions.probabilities,
            predictions.labels,
            predictions.lengths,
            predictions.negated,
            predictions.label_set,
        )
    return found


def _figures(predictions: Predictions) -> dict[str, Any]:
    """The figures that the kind of label set has."""
    given, label_set = (predictions.probabilities, predictions.labels), predictions.label_set
    if label_set.problem_type == SEVERAL:
        return score_several(*given, label_set.names)
    if label_set.problem_type == NUMBER:
        return score_numbers(*given)
    found: dict[str, Any] = SentimentMetrics().compute(predictions=given[0], references=given[1])
    return found | score_classes(found["confusion_matrix"], label_set)


def _labels_of(
    reviews: datasets.Dataset, label_set: LabelSet, *, is_sentiment: bool = False
) -> NDArray[Any]:
    """The labels of reviews by the numbers that a model has for them; see `Predictions`.

    Args:
        reviews: With a column `label`.
        label_set: The model's.
        is_sentiment: Whether that is NEGATIVE and POSITIVE, by whatever names.

    Raises:
        ReviewError: If the model knows other labels.
    """
    labels = reviews["label"][:]
    if getattr(reviews.features["label"], "dtype", "") == "int64" and not hasattr(
        reviews.features["label"], "names"
    ):
        return np.array(labels, dtype=np.int64)  # numbers of labels that have no names
    theirs = label_set_of(reviews)
    if theirs.problem_type == label_set.problem_type == NUMBER:
        return np.array(labels, dtype=np.float64)
    by = label_meaning if theirs == BINARY else label_code
    known = {by(name): number for number, name in enumerate(label_set.names)}
    numbers = [known.get(by(name)) for name in theirs.names]
    if is_sentiment and theirs == BINARY and numbers == [None, None]:
        numbers = [0, 1]  # by names of the model's own
    if theirs.problem_type != label_set.problem_type or None in numbers:
        raise ReviewError(
            f"the labels of the reviews are {theirs}, and the model's {label_set}: say what each "
            "means to the model with labels (`--labels` on the command line)"
        )
    if label_set.problem_type == SINGLE:
        return np.array(numbers, dtype=np.int64)[np.array(labels, dtype=np.int64)]
    several = np.zeros((len(labels), len(label_set.names)), dtype=np.int64)
    for row, those in enumerate(labels):
        several[row, [numbers[one] for one in those]] = 1
    return several


def _texts_of(reviews: datasets.Dataset) -> Iterator[str]:
    # Few at a time: a review may have up to `max_line_bytes`.
    for batch in reviews.select_columns("text").iter(batch_size=32):
        yield from batch["text"]


def _collect(
    predictor: SentimentPredictor,
    chunks: Iterable[list[list[int]]],
    reviews: datasets.Dataset,
) -> Predictions:
    label_set = predictor.label_set
    # Before the work, if there is no answer to it.
    labels = _labels_of(reviews, label_set, is_sentiment=means_sentiment(predictor.model.config))
    probabilities: list[NDArray[np.float32]] = []
    lengths: list[int] = []
    for ids in chunks:
        probabilities.append(predictor.predict_proba_ids(ids, start=len(lengths)))
        lengths += map(len, ids)
    negated = [has_negation(text) for text in _texts_of(reviews)]
    return Predictions(
        np.concatenate(probabilities),
        labels,
        np.array(lengths, dtype=np.int64),
        np.array(negated, dtype=bool),
        label_set,
    )
