"""Accuracy by confidence, length and negation: where a model fails.

A *slice* is the part of a set of reviews that has something in common. One accuracy for all of
them can hide a kind of review that the model does not understand.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.labels import BINARY, NUMBER, SEVERAL, SINGLE, LabelSet
from .label_metrics import score_numbers, score_several
from .metrics import accuracy_interval, reliability_curve, score

# The most tokens of each slice but the last. Twice as many each time, since a review of 20 tokens
# differs from one of 40 as one of 200 does from one of 400.
LENGTH_LIMITS = (25, 50, 100, 200, 400)

# The explicit negation cues of Councill, McDonald and Velikovich (2010), "What's Great and What's
# Not", without `lack`; with `barely`, `scarcely` and the verb forms that their list leaves out.
# Words that end in n't count as well ("isn't", and "is n't" in reviews that are tokenised already).
# fmt: off
NEGATIONS = frozenset([
    "no", "not", "never", "none", "nobody", "nothing", "nowhere", "neither", "nor", "without",
    "cannot", "hardly", "barely", "scarcely", "aint", "arent", "cant", "couldnt", "didnt",
    "doesnt", "dont", "hadnt", "hasnt", "havent", "havnt", "isnt", "mightnt", "mustnt", "neednt",
    "shant", "shouldnt", "wasnt", "werent", "wont", "wouldnt",
])
# fmt: on
_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)?")
_SLICE_FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "confusion_matrix")
_SEVERAL_FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "micro_f1", "macro_f1")
_NUMBER_FIGURES = ("mean_squared_error", "mean_absolute_error")


def has_negation(text: str) -> bool:
    """Whether a text has one of the `NEGATIONS`, or a word that ends in n't, in any case.

    What is negated is not asked: "not only good but cheap" counts.
    """
    return any(
        word in NEGATIONS or word.endswith(("n't", "n’t")) for word in _WORD.findall(text.lower())
    )


def score_slices(
    probabilities: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike,
    negated: ArrayLike,
    label_set: LabelSet = BINARY,
) -> dict[str, Any]:
    """Measure predicted probabilities slice by slice.

    Args:
        probabilities: Class probabilities, `(reviews, classes)`, as `score` takes them.
        labels: Right classes, integers from 0, `(reviews,)`.
        lengths: Tokens of each review, `(reviews,)`.
        negated: Whether each review has a negation, `(reviews,)`, as `has_negation` says.
        label_set: Of several labels at once, the first two are as `score_several` takes them, and
            of a number as `score_numbers` does.

    Returns:
        Python numbers, ready for JSON. Slices without a review are left out:

        - `confidence`: the bins of `reliability_curve` from low to high, each with its mean
          `confidence`, `reviews`, `accuracy` and the interval, as below;
        - `length`: from short to long, each with `tokens_from` and `tokens_to` (inclusive; `None`
          for the last) and the figures below;
        - `negation`: `without` and `with`, each with the figures below.

        The figures of a slice are `reviews`, `accuracy`, its 95 % Wilson interval
        (`accuracy_low`, `accuracy_high`) and `confusion_matrix`, as in `score`. Of several labels
        at once there are `micro_f1` and `macro_f1` in the place of the matrix, and of a number
        `mean_squared_error` and `mean_absolute_error` in the place of all; both have no
        `confidence`.

    Raises:
        ValueError: As `score`, and if there are not as many lengths or negations as reviews.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    lengths, negated = np.asarray(lengths), np.asarray(negated, dtype=bool)
    for name, values in [("lengths", lengths), ("negated", negated)]:
        if values.shape != labels.shape[:1]:
            raise ValueError(f"there are {len(labels)} labels, but {name} of shape {values.shape}.")

    def figures(inside: NDArray[np.bool_]) -> dict[str, Any]:
        those = probabilities[inside], labels[inside]
        names: tuple[str, ...]
        if label_set.problem_type == SEVERAL:
            found, names = score_several(*those, label_set.names), _SEVERAL_FIGURES
        elif label_set.problem_type == NUMBER:
            found, names = score_numbers(*those), _NUMBER_FIGURES
        else:
            found, names = score(*those), _SLICE_FIGURES
        return {"reviews": int(inside.sum())} | {name: found[name] for name in names}

    confidences = {}
    if label_set.problem_type == SINGLE:
        curve = reliability_curve(probabilities, labels)
        confidences["confidence"] = [
            _bin(float(confidence), float(accuracy), int(count))
            for confidence, accuracy, count in zip(*curve, strict=True)
            if count
        ]
    return confidences | {
        "length": [
            {"tokens_from": low + 1, "tokens_to": None if high == np.inf else high}
            | figures(inside)
            for low, high in pairwise((-1, *LENGTH_LIMITS, np.inf))
            if (inside := (lengths > low) & (lengths <= high)).any()
        ],
        "negation": {
            name: figures(inside)
            for name, inside in [("without", ~negated), ("with", negated)]
            if inside.any()
        },
    }


def _bin(confidence: float, accuracy: float, reviews: int) -> dict[str, Any]:
    low, high = accuracy_interval(round(accuracy * reviews), reviews)
    return {
        "confidence": confidence,
        "reviews": reviews,
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
    }
