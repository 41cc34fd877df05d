"""Slices are parts of the reviews: together they are all of them, each judged like a whole."""

import json
from typing import Any

import numpy as np
import pytest

from sentiment_lstm.evaluation.metrics import reliability_curve, score
from sentiment_lstm.evaluation.slices import LENGTH_LIMITS, NEGATIONS, has_negation, score_slices


@pytest.fixture
def measured() -> dict[str, Any]:
    """Probabilities, labels, lengths and negations of 500 reviews that were never written."""
    random = np.random.default_rng(0)
    positive = random.beta(0.4, 0.4, 500)
    return {
        "probabilities": np.stack([1 - positive, positive], axis=1),
        "labels": (random.random(500) < positive).astype(int),
        "lengths": random.integers(0, 600, 500),
        "negated": random.random(500) < 0.3,
    }


@pytest.mark.parametrize(
    "text",
    [
        "I do not like it",
        "Nothing works.",
        "It isn't bad",
        "It isn’t bad",
        "it is n't bad",
        "CAN'T recommend",
        "Cannot recommend",
        "dont buy",
        "hardly any sound",
        "no-nonsense",
    ],
)
def test_negation_words_are_found(text: str) -> None:
    assert has_negation(text)


@pytest.mark.parametrize(
    "text", ["", "A notable novel, nobly done", "I know it's the best", "Northern knots, 100 %"]
)
def test_words_that_only_look_like_negations_are_not(text: str) -> None:
    assert not has_negation(text)


def test_every_negation_of_the_list_is_found() -> None:
    assert all(has_negation(f"It was {word.upper()}, I think") for word in NEGATIONS)


@pytest.mark.parametrize("kind", ["confidence", "length", "negation"])
def test_slices_make_up_the_whole(kind: str, measured: dict[str, Any]) -> None:
    slices = score_slices(**measured)[kind]
    slices = list(slices.values()) if isinstance(slices, dict) else slices
    whole = score(measured["probabilities"], measured["labels"])
    assert len(slices) > 1
    assert sum(one["reviews"] for one in slices) == 500
    right = sum(one["reviews"] * one["accuracy"] for one in slices)
    assert right / 500 == pytest.approx(whole["accuracy"])
    for one in slices:
        assert one["accuracy_low"] <= one["accuracy"] <= one["accuracy_high"]
    if kind != "confidence":
        matrices = np.array([one["confusion_matrix"] for one in slices])
        assert matrices.sum(axis=0).tolist() == whole["confusion_matrix"]


def test_a_slice_is_judged_by_its_own_reviews(measured: dict[str, Any]) -> None:
    slices = score_slices(**measured)
    inside = (measured["lengths"] > 50) & (measured["lengths"] <= 100)
    (one,) = (one for one in slices["length"] if one["tokens_to"] == 100)
    expected = score(measured["probabilities"][inside], measured["labels"][inside])
    assert one == {"tokens_from": 51, "tokens_to": 100, "reviews": int(inside.sum())} | {
        name: expected[name]
        for name in ("accuracy", "accuracy_low", "accuracy_high", "confusion_matrix")
    }
    inside = measured["negated"]
    expected = score(measured["probabilities"][inside], measured["labels"][inside])
    assert slices["negation"]["with"]["confusion_matrix"] == expected["confusion_matrix"]


def test_lengths_on_a_limit_belong_below_it() -> None:
    lengths = [0, *LENGTH_LIMITS, *(limit + 1 for limit in LENGTH_LIMITS)]
    count = len(lengths)
    found = score_slices([[0.2, 0.8]] * count, [1] * count, lengths, [False] * count)
    assert [(one["tokens_from"], one["tokens_to"], one["reviews"]) for one in found["length"]] == [
        (0, 25, 2),
        (26, 50, 2),
        (51, 100, 2),
        (101, 200, 2),
        (201, 400, 2),
        (401, None, 1),
    ]


def test_confidence_is_the_reliability_curve(measured: dict[str, Any]) -> None:
    curve = reliability_curve(measured["probabilities"], measured["labels"])
    bins = score_slices(**measured)["confidence"]
    some = curve.counts > 0
    assert [one["reviews"] for one in bins] == curve.counts[some].tolist()
    assert [one["confidence"] for one in bins] == curve.confidence[some].tolist()
    assert [one["accuracy"] for one in bins] == curve.accuracy[some].tolist()


def test_empty_slices_are_left_out_and_json_holds_the_rest() -> None:
    found = score_slices([[0.9, 0.1]], [0], [30], [True])
    assert [one["tokens_from"] for one in found["length"]] == [26]
    assert list(found["negation"]) == ["with"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_lengths_of_other_reviews_are_refused(measured: dict[str, Any]) -> None:
    for name in ("lengths", "negated"):
        with pytest.raises(ValueError, match=f"500 labels, but {name} of shape"):
            score_slices(**measured | {name: measured[name][1:]})
