"""Reviews are tokenised and predicted once, and everything else derives from that."""

from collections.abc import Callable

import datasets
import numpy as np
import pytest
import torch
from support import randomised
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.data.labels import SINGLE
from sentiment_lstm.data.sources import ReviewError
from sentiment_lstm.evaluation.evaluate import (
    Predictions,
    calibrate,
    evaluate,
    measure,
    predict_reviews,
    predict_tokens,
)
from sentiment_lstm.evaluation.slices import has_negation
from sentiment_lstm.inference.predictor import SentimentPredictor
from sentiment_lstm.training.preprocessing import tokenize

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]


@pytest.fixture
def dataset(reviews: list[tuple[str, int]]) -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {"text": [text for text, _ in reviews], "label": [label for _, label in reviews]}
    )


@pytest.fixture
def predictor(make_model: MakeModel, tokenizer: PreTrainedTokenizerFast) -> SentimentPredictor:
    torch.manual_seed(1)
    return SentimentPredictor(randomised(make_model()), tokenizer, chunk_size=16)


def test_predictions_are_those_of_the_predictor(
    predictor: SentimentPredictor, dataset: datasets.Dataset
) -> None:
    found = predict_reviews(predictor, dataset)
    np.testing.assert_array_equal(found.probabilities, predictor.predict_proba(dataset["text"]))
    assert found.labels.tolist() == dataset["label"][:]
    assert found.lengths is not None
    assert found.lengths.tolist() == [len(ids) for ids in predictor.encode(dataset["text"][:])]
    assert found.negated is not None
    assert found.negated.tolist() == list(map(has_negation, dataset["text"]))
    assert found.correct.mean() == measure(found)["accuracy"]


def test_tokens_of_training_give_the_same(
    predictor: SentimentPredictor, dataset: datasets.Dataset, tokenizer: PreTrainedTokenizerFast
) -> None:
    whole = predict_reviews(predictor, dataset)
    found = predict_tokens(predictor, tokenize([dataset], tokenizer), dataset)
    for name, values in vars(whole).items():
        np.testing.assert_equal(getattr(found, name), values)


def test_reviews_are_tokenised_and_predicted_once(
    predictor: SentimentPredictor, dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenised, predicted = 0, 0
    encode, forward = predictor.encode, predictor.predict_proba_ids

    def counting_encode(texts: list[str]) -> list[list[int]]:
        nonlocal tokenised
        tokenised += len(texts)
        return encode(texts)

    def counting_forward(ids: list[list[int]], *, start: int) -> np.ndarray:
        nonlocal predicted
        assert start == predicted
        predicted += len(ids)
        return forward(ids)

    monkeypatch.setattr(predictor, "encode", counting_encode)
    monkeypatch.setattr(predictor, "predict_proba_ids", counting_forward)
    assert evaluate(predictor, dataset)["slices"]["negation"]
    assert (tokenised, predicted) == (len(dataset), len(dataset))


def test_a_new_temperature_needs_no_new_prediction(
    predictor: SentimentPredictor, dataset: datasets.Dataset
) -> None:
    before = predict_reviews(predictor, dataset)
    for factor in (0.05, 0.7, 20.0):
        predictor.model.config.temperature = factor
        again = predict_reviews(predictor, dataset)
        scaled = before.scaled(factor)
        np.testing.assert_allclose(scaled.probabilities, again.probabilities, atol=2e-6)
        np.testing.assert_array_equal(scaled.correct, before.correct)


def test_a_fitted_temperature_leaves_nothing_to_fit() -> None:
    """Labels are drawn from what the model says at temperature 2."""
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(4000, 2, generator=generator)
    labels = torch.multinomial((logits / 2).softmax(-1), 1, generator=generator)[:, 0]
    sure = Predictions(logits.softmax(-1).numpy(), labels.numpy())
    temperature = calibrate(sure)
    assert temperature == pytest.approx(2, rel=0.1)
    assert calibrate(sure.scaled(temperature)) == pytest.approx(1, abs=0.01)


def test_parts_joined_are_the_whole(
    predictor: SentimentPredictor, dataset: datasets.Dataset
) -> None:
    whole = predict_reviews(predictor, dataset)
    parts = [predict_reviews(predictor, dataset.select(range(*ends))) for ends in ((0, 7), (7, 60))]
    joined = Predictions.concatenate(parts)
    assert joined.label_set == whole.label_set
    for name in ("probabilities", "labels", "lengths", "negated"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), atol=1e-6)


def test_a_model_that_says_no_more_than_positive_has_no_slices() -> None:
    found = Predictions.of_positive([0.9, 0.2, 0.6], [1, 0, 0])
    assert found.correct.tolist() == [True, True, False]
    figures = measure(found)
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert "slices" not in figures


@pytest.mark.parametrize(
    ("names", "fields", "is_turned"),
    [
        (("Negative", "Positive"), {}, False),
        (("neg", "pos"), {"problem_type": SINGLE}, False),
        (("0", "1"), {}, False),
        (("POSITIVE", "NEGATIVE"), {}, True),
        (("schlecht", "gut"), {}, False),  # NEGATIVE and POSITIVE, by names they were given later
        (("praise", "complaint"), {"problem_type": SINGLE}, None),
        (("1", "2"), {"problem_type": SINGLE}, None),
        (("POSITIVE", "gut"), {}, None),
    ],
)
def test_labels_are_told_by_their_names(
    names: tuple[str, str],
    fields: dict[str, str],
    is_turned: bool | None,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    dataset: datasets.Dataset,
) -> None:
    """Else the accuracy of a model that has them in the other order is what it gets wrong."""
    dataset = dataset.cast_column("label", datasets.ClassLabel(names=["NEGATIVE", "POSITIVE"]))
    model = make_model(id2label=dict(enumerate(names)), **fields)
    predictor = SentimentPredictor(model, tokenizer)
    if is_turned is None:
        with pytest.raises(ReviewError, match="say what each means"):
            predict_reviews(predictor, dataset)
    else:
        found = predict_reviews(predictor, dataset).labels
        assert found.tolist() == [label ^ is_turned for label in dataset["label"]]
