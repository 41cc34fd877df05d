"""`evaluate`: what it costs to measure a model after training, temperature and slices included."""

from __future__ import annotations

import argparse
from typing import Any

import datasets

from benchmark.common import Side, measure
from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.evaluation.evaluate import (
    Predictions,
    calibrate,
    predict_reviews,
)
from sentiment_lstm.evaluation.evaluate import measure as figures_of
from sentiment_lstm.evaluation.metrics import SentimentMetrics, fit_temperature
from sentiment_lstm.evaluation.slices import has_negation, score_slices
from sentiment_lstm.inference.predictor import SentimentPredictor


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure a model on the reviews, with a new temperature: predicted once, and as version 0.1.

    All sides have the same predictor and give the same figures.
    """
    reviews = load_reviews(options.reviews)
    reviews = reviews.select(range(min(options.limit or 20_000, len(reviews))))
    predictor = SentimentPredictor.from_pretrained(options.model)
    kept = predict_reviews(predictor, reviews)
    found: dict[str, dict[str, Any]] = {}

    def once() -> None:
        found["once"] = recalibrated(predict_reviews(predictor, reviews))

    def again() -> None:
        found["again"] = predict_again(predictor, reviews)

    sides = [
        Side("ours", once, len(reviews), "predicted and tokenised once"),
        Side("ours, predicted already", lambda: recalibrated(kept), len(reviews), "no model"),
        Side("as version 0.1", again, len(reviews), "predicted twice, tokenised three times"),
    ]
    measured = measure(sides, options.rounds)
    same = {
        name: round(abs(found["once"][name] - found["again"][name]), 6)
        for name in ("accuracy", "loss", "expected_calibration_error")
    }
    return {"sides": measured, "differences_to_version_0.1": same}


def recalibrated(predictions: Predictions) -> dict[str, Any]:
    """The figures in view of a new temperature, without a new prediction."""
    return figures_of(predictions.scaled(calibrate(predictions)))


def predict_again(predictor: SentimentPredictor, reviews: datasets.Dataset) -> dict[str, Any]:
    """The figures as version 0.1 made them: from the texts for each thing that it needed."""
    config = predictor.model.config
    temperature = config.temperature
    labels = reviews["label"][:]
    probabilities = predictor.predict_proba(reviews["text"][:])
    config.temperature *= fit_temperature(probabilities, labels)
    try:
        probabilities = predictor.predict_proba(reviews["text"][:])
    finally:
        config.temperature = temperature
    lengths: list[int] = []
    negated: list[bool] = []
    for batch in reviews.iter(batch_size=1000):
        encoded = predictor.tokenizer(batch["text"], return_attention_mask=False, verbose=False)
        lengths += map(len, encoded["input_ids"])
        negated += map(has_negation, batch["text"])
    return {
        "reviews": len(reviews),
        **SentimentMetrics().compute(predictions=probabilities, references=labels),
        "slices": score_slices(probabilities, labels, lengths, negated),
    }
