from __future__ import annotations

import json
from typing import Any

import evaluate
import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray
from transformers import EvalPrediction

from sentiment_lstm.evaluation.metrics import (
    SentimentMetrics,
    compute_metrics,
    fit_temperature,
    reliability_curve,
    score,
)

Arrays = tuple[NDArray[np.float64], NDArray[np.int64]]


def perfectly_calibrated(reviews: int, classes: int = 2, seed: int = 0) -> Arrays:
    """Probabilities, and labels drawn from just these probabilities."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), size=reviews)
    cumulated = probabilities.cumsum(axis=1)
    labels = (rng.random((reviews, 1)) > cumulated[:, :-1]).sum(axis=1)
    return probabilities, labels


def coin(share_right: float, reviews: int, confidence: float = 0.8) -> Arrays:
    """Always the same confidence in POSITIVE, right in a given share of the reviews."""
    probabilities = np.tile([1 - confidence, confidence], (reviews, 1))
    labels = (np.arange(reviews) < round(share_right * reviews)).astype(np.int64)
    return probabilities, labels


def test_by_hand() -> None:
    probabilities = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6]]
    labels = [0, 1, 1, 1, 0]
    figures = score(probabilities, labels)
    assert figures["accuracy"] == 3 / 5
    assert figures["confusion_matrix"] == [[1, 1], [1, 2]]
    assert figures["precision"] == figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(2 / 3)
    # Pairs of a positive and a negative review in the right order: all but (0.4, 0.6).
    assert figures["roc_auc"] == pytest.approx(5 / 6)
    assert figures["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8, 0.4]).mean())
    # One bin holds the two reviews at 0.6, both wrong; the others hold one each, all right.
    gaps = 2 * abs(0.6 - 0 / 2) + abs(0.7 - 1) + abs(0.8 - 1) + abs(0.9 - 1)
    assert figures["expected_calibration_error"] == pytest.approx(gaps / 5)
    # Wilson (1927) for 3 of 5, worked out with z = 1.959964.
    assert figures["accuracy_low"] == pytest.approx(0.2307, abs=1e-4)
    assert figures["accuracy_high"] == pytest.approx(0.8824, abs=1e-4)


def test_against_sklearn() -> None:
    probabilities, labels = perfectly_calibrated(500)
    predicted = probabilities.argmax(axis=1)
    figures = score(probabilities, labels)
    assert figures["accuracy"] == sklearn.metrics.accuracy_score(labels, predicted)
    assert figures["f1"] == pytest.approx(sklearn.metrics.f1_score(labels, predicted))
    assert figures["precision"] == pytest.approx(sklearn.metrics.precision_score(labels, predicted))
    assert figures["recall"] == pytest.approx(sklearn.metrics.recall_score(labels, predicted))
    assert figures["roc_auc"] == sklearn.metrics.roc_auc_score(labels, probabilities[:, 1])
    assert figures["loss"] == pytest.approx(sklearn.metrics.log_loss(labels, probabilities))


def test_more_than_two_classes_are_averaged() -> None:
    probabilities, labels = perfectly_calibrated(500, classes=4)
    predicted = probabilities.argmax(axis=1)
    figures = score(probabilities, labels)
    assert figures["f1"] == pytest.approx(
        sklearn.metrics.f1_score(labels, predicted, average="macro")
    )
    assert figures["roc_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, probabilities, multi_class="ovr")
    )
    assert np.array(figures["confusion_matrix"]).shape == (4, 4)
    assert np.trace(figures["confusion_matrix"]) / 500 == figures["accuracy"]


@pytest.mark.parametrize("reviews", [1, 10, 1000])
@pytest.mark.parametrize("share_right", [0.0, 0.3, 1.0])
def test_interval_holds_the_accuracy(share_right: float, reviews: int) -> None:
    figures = score(*coin(share_right, reviews))
    assert 0 <= figures["accuracy_low"] <= figures["accuracy"] <= figures["accuracy_high"] <= 1
    assert figures["accuracy_low"] < figures["accuracy_high"]


def test_interval_narrows_with_the_root_of_the_reviews() -> None:
    def width(reviews: int) -> float:
        figures = score(*coin(0.9, reviews))
        return float(figures["accuracy_high"] - figures["accuracy_low"])

    assert width(400) / width(1600) == pytest.approx(2, rel=0.02)


def test_one_class_alone_has_no_ranking() -> None:
    figures = score(*coin(1.0, 10))
    assert figures["roc_auc"] is None
    assert figures["confusion_matrix"] == [[0, 0], [0, 10]]
    assert score([[0.9, 0.1]], [0])["f1"] == 0.0  # no positive review, none predicted
    json.dumps(figures, allow_nan=False)


def test_certain_and_wrong_is_finite() -> None:
    loss = score([[1.0, 0.0]], [1])["loss"]
    assert loss == pytest.approx(-np.log(np.finfo(np.float64).eps))


# --- calibration ---------------------------------------------------------------------------------


def test_calibrated_and_overconfident_predictors() -> None:
    probabilities, labels = perfectly_calibrated(20_000)
    calibrated = score(probabilities, labels)["expected_calibration_error"]
    assert calibrated < 0.015
    # Certain of everything: the error is the share of wrong predictions.
    certain = np.eye(2)[probabilities.argmax(axis=1)]
    figures = score(certain, labels)
    assert figures["expected_calibration_error"] == pytest.approx(1 - figures["accuracy"])
    # Right in 6 of 10, at a confidence of 0.9.
    overconfident = score(*coin(0.6, 100, confidence=0.9))
    assert overconfident["expected_calibration_error"] == pytest.approx(0.3)


@pytest.mark.parametrize("classes", [2, 5])
def test_reliability_curve_tells_every_review_once(classes: int) -> None:
    probabilities, labels = perfectly_calibrated(1000, classes)
    confidence, accuracy, counts = reliability_curve(probabilities, labels, bins=10)
    assert len(confidence) == len(accuracy) == len(counts) == 10
    assert counts.sum() == 1000
    full = counts > 0
    assert np.isnan(confidence[~full]).all()
    assert np.isnan(accuracy[~full]).all()
    assert (counts * accuracy)[full].sum() / 1000 == pytest.approx(
        score(probabilities, labels)["accuracy"]
    )
    edges = np.linspace(0, 1, 11)
    assert (confidence[full] > edges[:-1][full]).all()
    assert (confidence[full] <= edges[1:][full]).all()
    if classes == 2:
        assert not counts[:5].any()


def test_bins_are_closed_on_the_right() -> None:
    counts = reliability_curve([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]], [0, 1, 1], bins=4).counts
    assert counts.tolist() == [0, 1, 1, 1]


# --- evaluate and Trainer ------------------------------------------------------------------------


@pytest.mark.parametrize("keep_in_memory", [None, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_metric_agrees_with_the_function(
    dtype: type, keep_in_memory: bool | None, tmp_path: Any
) -> None:
    probabilities, labels = perfectly_calibrated(300)
    probabilities = probabilities.astype(dtype)
    metric = SentimentMetrics(keep_in_memory=keep_in_memory, cache_dir=str(tmp_path))
    figures = metric.compute(predictions=probabilities, references=labels)
    assert figures == score(probabilities, labels)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    for part in np.split(np.arange(300), 3):
        metric.add_batch(predictions=probabilities[part].tolist(), references=labels[part].tolist())
    assert metric.compute() == figures


def test_metric_combines_with_others(tmp_path: Any) -> None:
    class Count(SentimentMetrics):
        def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
            return {"reviews": len(references)}

    probabilities, labels = perfectly_calibrated(30)
    metrics = [kind(cache_dir=str(tmp_path)) for kind in (SentimentMetrics, Count)]
    figures = evaluate.combine(metrics).compute(predictions=probabilities, references=labels)
    assert figures == {**score(probabilities, labels), "reviews": 30}


def test_metric_goes_on_after_an_error(tmp_path: Any) -> None:
    metric = SentimentMetrics(cache_dir=str(tmp_path))
    for predictions, references in (([[2.0, 3.0]], [1]), ([[0.5, 0.5]], [0, 1])):
        with pytest.raises(ValueError, match=r"softmax|Mismatch"):
            metric.compute(predictions=predictions, references=references)
    assert metric.compute(predictions=[[0.2, 0.8]], references=[1])["accuracy"] == 1.0


def test_trainer_gets_the_same_figures() -> None:
    probabilities, labels = perfectly_calibrated(200)
    logits = np.log(probabilities).astype(np.float32) + np.float32(3)
    figures = compute_metrics(EvalPrediction(predictions=logits, label_ids=labels))
    expected = score(probabilities, labels)
    assert set(figures) == set(expected) - {"loss", "confusion_matrix"}
    for name, value in figures.items():
        assert isinstance(value, float)
        assert value == pytest.approx(expected[name], abs=1e-4)
    outputs: Any = (logits, np.zeros((200, 3)))  # as with output_hidden_states
    with_states = EvalPrediction(predictions=outputs, label_ids=labels)
    assert compute_metrics(with_states) == figures


def test_trainer_logits_may_be_huge() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype=np.float32)
    figures = compute_metrics(EvalPrediction(predictions=logits, label_ids=np.array([0, 1])))
    assert figures["accuracy"] == 1.0


def test_trainer_is_not_told_what_is_undefined() -> None:
    prediction = EvalPrediction(predictions=np.zeros((2, 2)), label_ids=np.array([1, 1]))
    assert "roc_auc" not in compute_metrics(prediction)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([], [], "no reviews"),
        ([[0.5, 0.5]], [], "no reviews"),
        ([[0.5, 0.5]], [0, 1], r"1 rows of probabilities, but labels of shape \(2,\)"),
        ([[0.5, 0.5]], [[0]], r"labels of shape \(1, 1\)"),
        ([0.1, 0.9], [0, 1], r"shape \(reviews, classes\)"),
        ([[0.1], [0.9]], [0, 1], r"at least two classes"),
        ([[0.5, 0.5], [1.0]], [0, 1], "same length"),
        ([[0.5, 0.5], [0.5, float("nan")]], [0, 1], "row 1 has a NaN"),
        ([[0.5, 0.5], [2.0, -3.0]], [0, 1], r"row 1 holds no prob.*softmax"),
        ([[1.5, -0.5]], [0], "row 0 holds no prob"),
        ([[0.5, 0.4]], [0], "sum to one"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 2], "label 1 is 2, which is none of the 2 classes"),
        ([[0.5, 0.5]], [-100], "label 0 is -100"),
        ([[0.5, 0.5]], [0.5], "labels must be integers"),
    ],
)
def test_bad_input(probabilities: Any, labels: Any, message: str) -> None:
    for judge in (score, reliability_curve):
        with pytest.raises(ValueError, match=message):
            judge(probabilities, labels)


def test_a_curve_needs_bins() -> None:
    with pytest.raises(ValueError, match="bins"):
        reliability_curve([[0.5, 0.5]], [0], bins=0)


def test_bad_logits_are_no_probabilities() -> None:
    logits = np.array([[0.0, np.nan]])
    with pytest.raises(ValueError, match="NaN"):
        compute_metrics(EvalPrediction(predictions=logits, label_ids=np.array([0])))


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(int)
    for factor in (0.5, 1.0, 3.0):
        positive = 1 / (1 + np.exp(-factor * logits))
        probabilities = np.stack([1 - positive, positive], axis=1)
        assert fit_temperature(probabilities, labels) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("labels", [[0, 1, 1], [1, 0, 0]], ids=["all right", "all wrong"])
def test_labels_that_decide_on_no_temperature(labels: list[int]) -> None:
    """The surest, or the least sure, would be the best, however far that goes."""
    assert fit_temperature([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6]], labels) == 1.0
