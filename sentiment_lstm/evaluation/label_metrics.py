"""How good answers are where there are more labels than two, several at once, or a number.

What goes for classes of any number is in [`metrics`]; this is what the kind of label set adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.labels import NUMBER, SEVERAL, LabelSet
from ..extras import require
from .metrics import accuracy_interval, compute_metrics, score

with require("train"):
    from scipy.special import expit
    from scipy.stats import pearsonr, spearmanr

if TYPE_CHECKING:
    from transformers import EvalPrediction


def score_classes(confusion_matrix: ArrayLike, label_set: LabelSet) -> dict[str, Any]:
    """What three labels and more have besides the figures of `score`.

    Args:
        confusion_matrix: Rows are right labels and columns predicted ones, as `score` gives it.
        label_set: Which labels.

    Returns:
        Python numbers, ready for JSON: `per_label`, name -> `reviews` (of that label),
        `precision`, `recall` and `f1`; and, where the labels are ordered,
        `quadratic_weighted_kappa`. Nothing for two labels, which need neither.
    """
    if len(label_set.names) <= 2:
        return {}
    matrix = np.asarray(confusion_matrix, dtype=np.int64)
    right = matrix.diagonal()
    found: dict[str, Any] = {
        "per_label": _per_label(label_set.names, right, matrix.sum(axis=0), matrix.sum(axis=1))
    }
    if label_set.ordered:
        found["quadratic_weighted_kappa"] = quadratic_weighted_kappa(matrix)
    return found


def quadratic_weighted_kappa(confusion_matrix: ArrayLike) -> float | None:
    """Agreement beyond chance, where a miss counts by the square of its steps (Cohen 1968).

    Args:
        confusion_matrix: Rows are right labels and columns predicted ones, in their order.

    Returns:
        1 where all is right, 0 where it is chance; `None` where all labels and all answers are
        one and the same, which leaves nothing to agree on.
    """
    matrix = np.asarray(confusion_matrix, dtype=np.float64)
    steps = np.arange(len(matrix))
    weights = (steps[:, None] - steps) ** 2
    by_chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    expected = float((weights * by_chance).sum())
    return None if expected == 0 else 1 - float((weights * matrix).sum()) / expected


def decisions(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Any, Any]:
    """Several labels at once as so many questions with two answers: is it so labelled, or not?

    Their F1 is the micro F1 of the labels, and a temperature that fits them is one of a sigmoid.

    Args:
        probabilities: Of each label, `(reviews, labels)`.
        labels: 1 for each label that a review has, else 0, `(reviews, labels)`.

    Returns:
        What `score` takes: probabilities `(reviews * labels, 2)`, and the right answers.
    """
    yes = np.asarray(probabilities, dtype=np.float64).reshape(-1)
    return np.stack([1 - yes, yes], axis=1), np.asarray(labels).reshape(-1).astype(np.int64)


def score_several(
    probabilities: ArrayLike, labels: ArrayLike, names: Sequence[str]
) -> dict[str, Any]:
    """Measure the probabilities of several labels at once.

    A label is predicted where its probability is above one half.

    Args:
        probabilities: Of each label, `(reviews, labels)`.
        labels: 1 for each label that a review has, else 0, `(reviews, labels)`.
        names: Of the labels.

    Returns:
        Python numbers, ready for JSON:

        - `accuracy`, `accuracy_low`, `accuracy_high`: of reviews with all labels right, and the
          95 % Wilson interval;
        - `micro_f1`, `precision`, `recall`: over all labels of all reviews together;
        - `macro_f1`: the mean of the labels' own; 0 for one where it is undefined;
        - `loss`, `expected_calibration_error`: of the decisions, each label of each review;
        - `per_label`: name -> `reviews` (that have it), `precision`, `recall`, `f1`.

    Raises:
        ValueError: As `score`, and if the two differ in shape.
    """
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if probabilities.shape != labels.shape or probabilities.shape[1:] != (len(names),):
        raise ValueError(
            f"there are {len(names)} labels, but probabilities of shape {probabilities.shape} and "
            f"labels of shape {labels.shape}."
        )
    together = score(*decisions(probabilities, labels))
    predicted, has = probabilities > 0.5, labels.astype(bool)
    right = int((predicted == has).all(axis=1).sum())
    low, high = accuracy_interval(right, len(labels))
    per_label = _per_label(
        names, (predicted & has).sum(axis=0), predicted.sum(axis=0), has.sum(axis=0)
    )
    return {
        "accuracy": right / len(labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "micro_f1": together["f1"],
        "macro_f1": float(np.mean([figures["f1"] for figures in per_label.values()])),
        "precision": together["precision"],
        "recall": together["recall"],
        "loss": together["loss"],
        "expected_calibration_error": together["expected_calibration_error"],
        "per_label": per_label,
    }


def score_numbers(predicted: ArrayLike, numbers: ArrayLike) -> dict[str, Any]:
    """Measure predicted numbers.

    Args:
        predicted: `(reviews,)` or `(reviews, 1)`.
        numbers: What they should be, `(reviews,)`.

    Returns:
        Python numbers, ready for JSON: `mean_squared_error`, `mean_absolute_error`, the
        correlations `pearson` and `spearman` (`None` where all predictions or all numbers are the
        same), and `loss`, which is the mean squared error.

    Raises:
        ValueError: If there are none, they are not as many, or one of them is not finite.
    """
    found = np.asarray(predicted, dtype=np.float64).reshape(-1)
    right = np.asarray(numbers, dtype=np.float64).reshape(-1)
    if len(found) != len(right) or not len(right):
        raise ValueError(f"there are {len(right)} numbers, but {len(found)} predictions.")
    if not (np.isfinite(found).all() and np.isfinite(right).all()):
        raise ValueError("a number or a prediction is NaN or infinite.")
    varied = len(right) > 1 and np.ptp(found) > 0 and np.ptp(right) > 0
    squared = float(((found - right) ** 2).mean())
    return {
        "mean_squared_error": squared,
        "mean_absolute_error": float(np.abs(found - right).mean()),
        "pearson": float(pearsonr(found, right).statistic) if varied else None,
        "spearman": float(spearmanr(found, right).statistic) if varied else None,
        "loss": squared,
    }


def metrics_of(label_set: LabelSet) -> Callable[[EvalPrediction], dict[str, float]]:
    """What a label set is measured by in training: the argument `compute_metrics` of `Trainer`.

    Args:
        label_set: Which labels.

    Returns:
        A function from Trainer's predictions to the scalar figures but `loss`, which Trainer
        reports itself. Agreement and correlations that are undefined are 0, as by chance: a
        checkpoint may be chosen by them. It raises `ValueError` for logits that are not finite.
    """

    def scalars(figures: dict[str, Any]) -> dict[str, float]:
        return {
            name: 0.0 if value is None else value
            for name, value in figures.items()
            if name not in ("loss", "per_label")
        }

    def logits_of(prediction: EvalPrediction) -> NDArray[Any]:
        logits = prediction.predictions
        return np.asarray(logits[0] if isinstance(logits, tuple) else logits, dtype=np.float64)

    def of_several(prediction: EvalPrediction) -> dict[str, float]:
        probabilities = expit(logits_of(prediction))
        return scalars(
            score_several(probabilities, np.asarray(prediction.label_ids), label_set.names)
        )

    def of_numbers(prediction: EvalPrediction) -> dict[str, float]:
        return scalars(score_numbers(logits_of(prediction), np.asarray(prediction.label_ids)))

    def of_steps(prediction: EvalPrediction) -> dict[str, float]:
        figures = compute_metrics(prediction)
        predicted = logits_of(prediction).argmax(axis=1)
        matrix = np.zeros((len(label_set.names),) * 2, dtype=np.int64)
        np.add.at(matrix, (np.asarray(prediction.label_ids), predicted), 1)
        return figures | scalars({"quadratic_weighted_kappa": quadratic_weighted_kappa(matrix)})

    measure = of_steps if label_set.ordered else compute_metrics
    measure = {SEVERAL: of_several, NUMBER: of_numbers}.get(label_set.problem_type, measure)

    def unless_diverged(prediction: EvalPrediction) -> dict[str, float]:
        if not np.isfinite(logits_of(prediction)).all():
            raise ValueError(
                "the model answers NaN or infinity: its training has diverged. Start anew with a "
                "lower `learning_rate`, or a lower `max_grad_norm`"
            )
        return measure(prediction)

    return unless_diverged


def _per_label(
    names: Sequence[str], right: NDArray[Any], predicted: NDArray[Any], labelled: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Figures of each label by counts of reviews: rightly, ever, and to be labelled so."""

    def share(part: Any, whole: Any) -> float:
        return float(part) / float(whole) if whole else 0.0

    return {
        name: {
            "reviews": int(there),
            "precision": share(hit, said),
            "recall": share(hit, there),
            "f1": share(2 * hit, said + there),
        }
        for name, hit, said, there in zip(names, right, predicted, labelled, strict=True)
    }
