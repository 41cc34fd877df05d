"""How good predicted probabilities are: accuracy with its interval, F1, ranking, loss, calibration.

[`SentimentMetrics`] is an `evaluate.Metric` that lives in the package, so it works offline.
[`compute_metrics`] gives the same figures to a `transformers.Trainer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..extras import require

with require("train"):
    import datasets
    import evaluate
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, softmax
    from scipy.stats import binomtest
    from sklearn.metrics import (
        confusion_matrix,
        log_loss,
        precision_recall_fscore_support,
        roc_auc_score,
    )

if TYPE_CHECKING:
    from transformers import EvalPrediction

# The smallest float32 that is not denormal.
_SMALLEST = float(np.finfo(np.float32).tiny)

_DESCRIPTION = """
Accuracy with its 95 % interval, F1, precision, recall, area under the ROC curve, loss, expected
calibration error and confusion matrix of predicted class probabilities.
"""

_INPUTS = """
Args:
    predictions: Class probabilities, one row for each review, `(reviews, classes)`; for sentiment
        the columns are NEGATIVE and POSITIVE. Rows sum to one: apply a softmax to logits first.
    references: The right class of each review, an integer from 0.

Returns:
    A dictionary of plain numbers (see `sentiment_lstm.evaluation.metrics.score`).

Example:
    >>> metrics = SentimentMetrics()
    >>> metrics.compute(predictions=[[0.9, 0.1], [0.2, 0.8]], references=[0, 1])["accuracy"]
    1.0
"""

_CITATION = """
@article{wilson1927probable, title={Probable Inference, the Law of Succession, and Statistical
Inference}, author={Wilson, Edwin B.}, journal={Journal of the American Statistical Association},
volume={22}, number={158}, pages={209--212}, year={1927}}
@inproceedings{guo2017calibration, title={On Calibration of Modern Neural Networks}, author={Guo,
Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.}, booktitle={ICML}, year={2017}}
"""


class ReliabilityCurve(NamedTuple):
    """What a model's confidence is worth: for each bin of confidence, the accuracy.

    All arrays have one entry for each bin, from low confidence to high.

    Attributes:
        confidence: Mean confidence in the bin (float64), NaN where the bin is empty.
        accuracy: Share of right predictions in the bin (float64), NaN where the bin is empty.
        counts: Number of reviews in the bin (int64).
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]


class SentimentMetrics(evaluate.Metric):
    """The figures of [`score`] as a metric of the library `evaluate`.

    `compute(predictions=probabilities, references=labels)` returns a flat, JSON-able dictionary;
    `add_batch` collects batches first, and `evaluate.combine` joins the metric with others.

    Args:
        keep_in_memory: Collect predictions in memory (16 bytes a review) instead of in a locked
            file of the `evaluate` cache. Defaults to `True` in a single process; has to be
            `False` where several processes share a metric.
        **kwargs: Passed on to `evaluate.Metric`.
    """

    def __init__(self, *, keep_in_memory: bool | None = None, **kwargs: Any) -> None:
        if keep_in_memory is None:
            keep_in_memory = kwargs.get("num_process", 1) == 1
        super().__init__(keep_in_memory=keep_in_memory, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(  # type: ignore[override, unused-ignore]
        self, *, predictions: ArrayLike, references: ArrayLike
    ) -> dict[str, Any]:
        return score(predictions, references)


def score(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, Any]:
    """Measure predicted probabilities against the labels.

    With two classes, `f1`, `precision` and `recall` are those of class 1 (POSITIVE), and 0 where
    they are undefined. With more, they are means over the classes (macro averages), and `roc_auc`
    is the mean of each class against the rest.

    Args:
        probabilities: Class probabilities, `(reviews, classes)`, at least two classes.
        labels: Right classes, integers from 0, `(reviews,)`.

    Returns:
        Python numbers, ready for JSON:

        - `accuracy`, and `accuracy_low`, `accuracy_high`: its 95 % Wilson interval;
        - `f1`, `precision`, `recall`;
        - `roc_auc`: area under the ROC curve; `None` where a class has no review;
        - `loss`: mean negative log-likelihood in nats. Probabilities are kept at least 2.2e-16
          (float64's epsilon) away from zero, so that it is finite;
        - `expected_calibration_error`: over 15 bins, see [`reliability_curve`];
        - `confusion_matrix`: rows are right classes and columns predicted ones, so
          `[[tn, fp], [fn, tp]]` with two classes.

        On a tie the lower class is predicted.

    Raises:
        ValueError: If there are no reviews, the two inputs differ in length, a probability is not
            finite or not in [0, 1], a row does not sum to one (within 0.001), or a label is not
            a class.
    """
    probabilities, labels = _validated(probabilities, labels)
    reviews, classes = probabilities.shape
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    low, high = accuracy_interval(right, reviews)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels,
        predicted,
        labels=range(classes),
        # Per class, to choose or average below: sklearn's own average="binary" takes no labels.
        average=None,
        zero_division=0.0,
    )
    of_interest = slice(1, 2) if classes == 2 else slice(None)
    curve = _curve(probabilities, labels)
    return {
        "accuracy": right / reviews,
        "accuracy_low": low,
        "accuracy_high": high,
        "f1": float(f1[of_interest].mean()),
        "precision": float(precision[of_interest].mean()),
        "recall": float(recall[of_interest].mean()),
        "roc_auc": _roc_auc(probabilities, labels),
        "loss": float(log_loss(labels, probabilities, labels=range(classes))),
        "expected_calibration_error": _calibration_error(curve),
        "confusion_matrix": confusion_matrix(labels, predicted, labels=range(classes)).tolist(),
    }


def accuracy_interval(right: int, reviews: int) -> tuple[float, float]:
    """Return the lower and the upper end of the 95 % Wilson interval of `right / reviews`."""
    interval = binomtest(right, reviews).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def compute_metrics(eval_prediction: EvalPrediction) -> dict[str, float]:
    """The scalar figures of [`score`] for `Trainer(compute_metrics=...)`.

    `loss` is left out, because Trainer reports its own as `eval_loss`, and so is `roc_auc` where
    it is undefined.

    Args:
        eval_prediction: Trainer's logits `(reviews, classes)`, or a tuple that begins with them,
            and the labels `(reviews,)`.

    Returns:
        The figures by name; Trainer puts `eval_` before each.

    Raises:
        ValueError: If the logits or the labels are not what [`score`] takes.
    """
    logits = eval_prediction.predictions
    if isinstance(logits, tuple):
        logits = logits[0]
    probabilities = softmax(np.asarray(logits, dtype=np.float64), axis=-1)
    figures = score(probabilities, np.asarray(eval_prediction.label_ids))
    return {
        name: value
        for name, value in figures.items()
        if name not in ("loss", "confusion_matrix") and value is not None
    }


def reliability_curve(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> ReliabilityCurve:
    """Confidence against accuracy, in bins of equal width (Guo et al., 2017).

    Confidence is the probability of the predicted class. Bin `i` of `n` holds the confidences in
    `(i/n, (i+1)/n]`; with two classes, those below 1/2 stay empty. The expected calibration error
    is the mean of `|accuracy - confidence|` over the bins, weighted by their counts.

    Args:
        probabilities: Class probabilities, `(reviews, classes)`.
        labels: Right classes, integers from 0, `(reviews,)`.
        bins: Number of bins. Defaults to 15.

    Returns:
        The mean confidence, the accuracy and the number of reviews of each bin.

    Raises:
        ValueError: As [`score`], and if there is no bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}.")
    return _curve(*_validated(probabilities, labels), bins)


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that makes probabilities most likely (Guo et al., 2017).

    Args:
        probabilities: Class probabilities, `(reviews, classes)`, at temperature 1.
        labels: Right classes, integers from 0, `(reviews,)`.

    Returns:
        What to divide the logits by, from 0.05 to 20; 1.0 where the labels decide on none, as where
        every prediction is right, so that the surest would be the best.

    Raises:
        ValueError: As [`score`].
    """
    rows, right = _validated(probabilities, labels)
    logits = log_probabilities(rows)  # up to a constant in each row, which changes nothing

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(right)), right].mean())

    if (rows.argmax(axis=1) == right).all():
        return 1.0
    end = np.log(20)
    found = minimize_scalar(loss, bounds=(-end, end), method="bounded")
    return float(np.exp(found.x)) if abs(found.x) < end - 1e-3 else 1.0


def log_probabilities(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Natural logarithms, finite for what a softmax in float32 has rounded to zero as well."""
    logs: NDArray[np.float64] = np.log(probabilities.astype(np.float64).clip(min=_SMALLEST))
    return logs


def _curve(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 15
) -> ReliabilityCurve:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # The inner edges alone, so that 1 + rounding error still falls into the last bin.
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin is NaN on purpose
        return ReliabilityCurve(
            confidence=np.bincount(bin_of, weights=confidence, minlength=bins) / counts,
            accuracy=np.bincount(bin_of, weights=right, minlength=bins) / counts,
            counts=counts,
        )


def _calibration_error(curve: ReliabilityCurve) -> float:
    gap = np.abs(curve.accuracy - curve.confidence)
    return float(np.nansum(gap * curve.counts) / curve.counts.sum())


def _roc_auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    classes = probabilities.shape[1]
    if len(np.unique(labels)) < classes:
        return None
    if classes == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    return float(roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"))


def _validated(
    probabilities: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        rows = np.array(probabilities, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"probabilities must be rows of numbers, all of the same length: {error}"
        ) from error
    right = np.asarray(labels)
    if rows.size == 0 or right.size == 0:
        raise ValueError("there are no reviews to measure: probabilities or labels are empty.")
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise ValueError(
            "probabilities must be of shape (reviews, classes) with at least two classes, not "
            f"{rows.shape}."
        )
    if right.shape != rows.shape[:1]:
        raise ValueError(
            f"there are {len(rows)} rows of probabilities, but labels of shape {right.shape}."
        )
    return _validated_probabilities(rows), _validated_labels(right, rows.shape[1])


def _validated_probabilities(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(rows).all():
        raise ValueError(f"row {_first(~np.isfinite(rows).all(axis=1))} has a NaN or an infinity.")
    sums = rows.sum(axis=1, keepdims=True)
    bad = ((rows < 0) | (rows > 1 + 1e-3)).any(axis=1) | (np.abs(sums[:, 0] - 1) > 1e-3)
    if bad.any():
        at = _first(bad)
        raise ValueError(
            f"row {at} holds no probabilities that sum to one, but {rows[at].tolist()}. Apply a "
            "softmax to logits first."
        )
    # float32 and bfloat16 sum to one only nearly; the likelihood should not depend on that.
    rows /= sums
    return rows


def _validated_labels(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers, not {labels.dtype}.")
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        at = _first(bad)
        raise ValueError(f"label {at} is {labels[at]}, which is none of the {classes} classes.")
    return labels.astype(np.int64)


def _first(mask: Any) -> int:
    return int(np.argmax(mask))
