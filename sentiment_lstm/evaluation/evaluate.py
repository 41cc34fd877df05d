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

from ..data.texts import chunks
from ..extras import require
from ..inference.predictor import SentimentPredictor
from .metrics import SentimentMetrics, fit_temperature, log_probabilities
from .slices import has_negation, score_slices

with require("train"):
    import datasets
    from scipy.special import log_softmax


@dataclass(frozen=True, eq=False)  # arrays have no single answer to whether they are equal
class Predictions:
    """What a model says of labelled reviews.

    Args:
        probabilities: `(reviews, num_labels)` float32.
        labels: The right label of each, `(reviews,)` int64.
        lengths: Tokens of each review, `(reviews,)` int64; `None` if unknown.
        negated: Whether each has a negation (see `has_negation`), `(reviews,)` bool; `None` if
            unknown.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    lengths: NDArray[np.int64] | None = None
    negated: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each review got its label, `(reviews,)`; a tie goes to the lower label."""
        correct: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == self.labels
        return correct

    def scaled(self, temperature: float) -> Predictions:
        """What the model would say with its logits divided by a temperature (Guo et al. 2017).

        Args:
            temperature: Above 0; in units of the temperature that the predictions were made with.

        Returns:
            New predictions of the same reviews, with the same labels predicted where they are no
            tie but for rounding.

        Raises:
            ValueError: If the temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"a temperature is above 0; got {temperature}")
        scaled = np.exp(log_softmax(log_probabilities(self.probabilities) / temperature, axis=1))
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
        """The predictions of several sets of reviews as one."""

        def joined(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            return None if any(value is None for value in values) else np.concatenate(values)

        return cls(joined("probabilities"), joined("labels"), joined("lengths"), joined("negated"))


def evaluate(predictor: SentimentPredictor, reviews: datasets.Dataset) -> dict[str, Any]:
    """Measure a model on labelled reviews, read whole, as `predict` and the pipeline read them.

    Args:
        predictor: The model.
        reviews: Columns `text` and `label`.

    Returns:
        What `measure` gives.
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
    """The temperature that makes predictions most likely; `predictions.scaled` applies it."""
    return fit_temperature(predictions.probabilities, predictions.labels)


def measure(predictions: Predictions) -> dict[str, Any]:
    """The figures of predictions.

    Args:
        predictions: Of at least one review.

    Returns:
        Python numbers, ready for JSON: `reviews`, their number; the metrics of `SentimentMetrics`;
        and, where lengths and negations are known, `slices`: accuracy by confidence,
        length and negation, as `score_slices` gives them.

    Raises:
        ValueError: If there are no reviews, or the probabilities are none.
    """
    found = {
        "reviews": len(predictions),
        **SentimentMetrics().compute(
            predictions=predictions.probabilities, references=predictions.labels
        ),
    }
    if predictions.lengths is not None and predictions.negated is not None:
        found["slices"] = score_slices(
            predictions.probabilities,
            predictions.labels,
            predictions.lengths,
            predictions.negated,
        )
    return found


def _texts_of(reviews: datasets.Dataset) -> Iterator[str]:
    # Few at a time: a review may have up to `max_line_bytes`.
    for batch in reviews.select_columns("text").iter(batch_size=32):
        yield from batch["text"]


def _collect(
    predictor: SentimentPredictor,
    chunks: Iterable[list[list[int]]],
    reviews: datasets.Dataset,
) -> Predictions:
    probabilities: list[NDArray[np.float32]] = []
    lengths: list[int] = []
    for ids in chunks:
        probabilities.append(predictor.predict_proba_ids(ids, start=len(lengths)))
        lengths += map(len, ids)
    negated = [has_negation(text) for text in _texts_of(reviews)]
    return Predictions(
        np.concatenate(probabilities),
        np.array(reviews["label"][:], dtype=np.int64),
        np.array(lengths, dtype=np.int64),
        np.array(negated, dtype=bool),
    )
