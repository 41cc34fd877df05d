"""Figures of more labels than two, several at once, and numbers: they are those of scikit-learn."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    cohen_kappa_score,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    precision_recall_fscore_support,
)
from transformers import EvalPrediction

from sentiment_lstm.data.labels import BINARY, NUMBER, SEVERAL, LabelSet
from sentiment_lstm.data.sources import ReviewError
from sentiment_lstm.evaluation.evaluate import Predictions, _labels_of, calibrate, measure
from sentiment_lstm.evaluation.label_metrics import (
    metrics_of,
    quadratic_weighted_kappa,
    score_classes,
    score_numbers,
    score_several,
)

REVIEWS = 400
STARS = LabelSet(("1", "2", "3", "4", "5"), ordered=True)
TOPICS = LabelSet(("price", "quality", "delivery"), SEVERAL)
NUMBERS = LabelSet(("stars",), NUMBER)


def drawn(label_set: LabelSet, temperature: float = 1.0) -> tuple[Any, Any]:
    """Logits, and labels drawn from what they say at a temperature."""
    generator = np.random.default_rng(3)
    size = len(label_set.names)
    logits = 3 * generator.standard_normal((REVIEWS, size))
    if label_set.problem_type == SEVERAL:
        labels = generator.random(logits.shape) < expit(logits / temperature)
        return logits, labels.astype(np.int64)
    if label_set.problem_type == NUMBER:
        return logits, logits[:, 0] + generator.standard_normal(REVIEWS)
    chances = softmax(logits / temperature, axis=1)
    return logits, np.array([generator.choice(size, p=row) for row in chances])


def predictions(label_set: LabelSet, temperature: float = 1.0) -> Predictions:
    logits, labels = drawn(label_set, temperature)
    said = softmax(logits, axis=1) if label_set == STARS else logits
    said = expit(logits) if label_set == TOPICS else said
    lengths = np.arange(REVIEWS)
    return Predictions(said.astype(np.float32), labels, lengths, lengths % 2 > 0, label_set)


def test_kappa_is_that_of_scikit_learn() -> None:
    logits, labels = drawn(STARS)
    predicted = logits.argmax(axis=1)
    found = quadratic_weighted_kappa(confusion_matrix(labels, predicted))
    assert found == pytest.approx(cohen_kappa_score(labels, predicted, weights="quadratic"))
    assert quadratic_weighted_kappa(np.diag([3, 2, 1])) == 1
    assert quadratic_weighted_kappa([[0, 0], [0, 7]]) is None
    near, far = [[0, 5, 0], [0, 0, 0], [0, 0, 5]], [[0, 0, 5], [0, 0, 0], [0, 0, 5]]
    nearer, further = quadratic_weighted_kappa(near), quadratic_weighted_kappa(far)
    assert nearer is not None
    assert further is not None
    assert nearer > further


def test_figures_of_each_label_are_those_of_scikit_learn() -> None:
    logits, labels = drawn(STARS)
    predicted = logits.argmax(axis=1)
    found = measure(predictions(STARS))
    theirs = precision_recall_fscore_support(labels, predicted, zero_division=0.0)
    ours = found["per_label"]
    assert list(ours) == list(STARS.names)
    for name, precision, recall, f1, reviews in zip(STARS.names, *theirs, strict=True):
        assert ours[name] == pytest.approx(
            {"reviews": reviews, "precision": precision, "recall": recall, "f1": f1}
        )
    assert found["f1"] == pytest.approx(np.mean(theirs[2])), "the macro F1"
    assert "quadratic_weighted_kappa" in found
    unordered = score_classes(found["confusion_matrix"], LabelSet(STARS.names))
    assert "quadratic_weighted_kappa" not in unordered
    assert score_classes([[1, 2], [3, 4]], BINARY) == {}


def test_several_labels_at_once_are_measured_as_by_scikit_learn() -> None:
    logits, labels = drawn(TOPICS)
    found = measure(predictions(TOPICS))
    predicted = (logits > 0).astype(int)
    for average in ("micro", "macro"):
        theirs = precision_recall_fscore_support(labels, predicted, average=average)
        assert found[f"{average}_f1"] == pytest.approx(theirs[2])
        if average == "micro":
            assert (found["precision"], found["recall"]) == pytest.approx(theirs[:2])
    assert found["accuracy"] == pytest.approx((predicted == labels).all(axis=1).mean())
    assert found["accuracy"] == predictions(TOPICS).correct.mean()
    loss = np.logaddexp(0, np.where(labels > 0, -logits, logits)).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
    each = precision_recall_fscore_support(labels, predicted)
    assert [one["f1"] for one in found["per_label"].values()] == pytest.approx(list(each[2]))
    with pytest.raises(ValueError, match=r"3 labels, but probabilities of shape \(2, 2\)"):
        score_several([[0.1, 0.2], [0.3, 0.4]], [[0, 1], [1, 1]], TOPICS.names)


def test_numbers_are_measured_as_by_scipy_and_scikit_learn() -> None:
    found, numbers = drawn(NUMBERS)
    figures = measure(predictions(NUMBERS))
    assert figures["mean_squared_error"] == pytest.approx(mean_squared_error(numbers, found))
    assert figures["mean_absolute_error"] == pytest.approx(mean_absolute_error(numbers, found))
    assert figures["pearson"] == pytest.approx(pearsonr(found[:, 0], numbers).statistic)
    assert figures["spearman"] == pytest.approx(spearmanr(found[:, 0], numbers).statistic)
    assert figures["loss"] == figures["mean_squared_error"]
    constant = score_numbers([1.0, 1.0], [1.0, 2.0])
    assert (constant["pearson"], constant["spearman"]) == (None, None)
    for predicted, right in [([], []), ([1.0], [1.0, 2.0]), ([np.nan], [1.0])]:
        with pytest.raises(ValueError, match=r"numbers, but|NaN"):
            score_numbers(predicted, right)


@pytest.mark.parametrize("label_set", [STARS, TOPICS, NUMBERS])
def test_slices_are_parts_of_the_whole(label_set: LabelSet) -> None:
    found = measure(predictions(label_set))
    key = "mean_absolute_error" if label_set == NUMBERS else "accuracy"
    for slices in (found["slices"]["length"], list(found["slices"]["negation"].values())):
        assert sum(one["reviews"] for one in slices) == REVIEWS
        weighted = sum(one["reviews"] * one[key] for one in slices)
        assert weighted / REVIEWS == pytest.approx(found[key])
    assert ("confidence" in found["slices"]) == (label_set == STARS)


@pytest.mark.parametrize("label_set", [STARS, TOPICS])
def test_a_fitted_temperature_leaves_nothing_to_fit(label_set: LabelSet) -> None:
    sure = predictions(label_set, temperature=2.0)
    temperature = calibrate(sure)
    assert temperature == pytest.approx(2, rel=0.2)
    scaled = sure.scaled(temperature)
    assert calibrate(scaled) == pytest.approx(1, abs=0.01)
    assert measure(scaled)["loss"] < measure(sure)["loss"]
    logits, _ = drawn(label_set, temperature=2.0)
    activate = expit if label_set == TOPICS else lambda rows: softmax(rows, axis=1)
    np.testing.assert_allclose(scaled.probabilities, activate(logits / temperature), atol=1e-5)
    np.testing.assert_array_equal(scaled.correct, sure.correct)


def test_numbers_have_no_temperature() -> None:
    found = predictions(NUMBERS)
    for ask in (lambda: calibrate(found), lambda: found.scaled(2.0), lambda: found.correct):
        with pytest.raises(ValueError, match=r"no temperature|not right or wrong"):
            ask()


@pytest.mark.parametrize("label_set", [STARS, LabelSet(STARS.names), TOPICS, NUMBERS, BINARY])
def test_trainer_is_given_the_same_figures(label_set: LabelSet) -> None:
    logits, labels = drawn(label_set)
    figures = metrics_of(label_set)(EvalPrediction(predictions=logits, label_ids=labels))
    said = softmax(logits, axis=1).astype(np.float32)
    if label_set.problem_type == SEVERAL:
        said = expit(logits)
    if label_set.problem_type == NUMBER:
        said = logits
    whole = measure(Predictions(said, labels, label_set=label_set))
    assert figures == pytest.approx({name: whole[name] for name in figures}, abs=1e-6)
    assert "loss" not in figures
    assert all(isinstance(value, float) for value in figures.values())


def test_what_is_undefined_counts_as_chance_in_training() -> None:
    """A model that says the same of all reviews must not end a run."""
    same = np.zeros((3, 1)), np.array([1.0, 2.0, 3.0])
    figures = metrics_of(NUMBERS)(EvalPrediction(predictions=same[0], label_ids=same[1]))
    assert (figures["pearson"], figures["spearman"]) == (0, 0)
    one = np.eye(5)[[2, 2]], np.array([2, 2])
    figures = metrics_of(STARS)(EvalPrediction(predictions=one[0], label_ids=one[1]))
    assert figures["quadratic_weighted_kappa"] == 0


def test_labels_are_found_by_name() -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "BAD"])}
    )
    reviews = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features)
    assert _labels_of(reviews, LabelSet(("bad", "fair", "good"))).tolist() == [2, 0]
    with pytest.raises(ReviewError, match="good, BAD, and the model's 1, 2, 3, 4, 5"):
        _labels_of(reviews, STARS)
    with pytest.raises(ReviewError, match=r"and the model's stars \(a number\)"):
        _labels_of(reviews, NUMBERS)
    binary = reviews.cast_column("label", datasets.ClassLabel(names=["NEGATIVE", "POSITIVE"]))
    assert _labels_of(binary, LabelSet(("pos", "neg"))).tolist() == [1, 0]
    three = ["negative", "0", "positive"]
    own = datasets.Dataset.from_dict({"text": ["a"] * 3, "label": [0, 1, 2]})
    own = own.cast_column("label", datasets.ClassLabel(names=three))
    assert _labels_of(own, LabelSet(tuple(three))).tolist() == [0, 1, 2]
    two = LabelSet(("schlecht", "gut"))
    assert _labels_of(binary, two, is_sentiment=True).tolist() == [0, 1]
    with pytest.raises(ReviewError, match="the model's schlecht, gut: say what each means"):
        _labels_of(binary, two)


@pytest.mark.parametrize("label_set", [BINARY, STARS, TOPICS, NUMBERS])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_training_that_has_diverged_is_told(label_set: LabelSet, value: float) -> None:
    logits, labels = drawn(label_set)
    logits[-1] = value
    with pytest.raises(ValueError, match=r"training has diverged\..*lower `learning_rate`"):
        metrics_of(label_set)(EvalPrediction(predictions=logits, label_ids=labels))
