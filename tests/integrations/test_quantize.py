"""What docs/quantize.md says of torchao: what it can make smaller, what not, and at what price."""

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchao.quantization import (
    Int8DynamicActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    quantize_,
)

from sentiment_lstm import DEFAULT_MODEL, SentimentPredictor, load_reviews


@pytest.fixture(scope="module")
def predictor() -> SentimentPredictor:
    return SentimentPredictor.from_pretrained(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*load_reviews("sample:test[:200]")["text"]]


def quantized(predictor: SentimentPredictor, config: Any, kind: type) -> SentimentPredictor:
    model = copy.deepcopy(predictor.model)
    quantize_(model, config, lambda module, name: isinstance(module, kind))
    return SentimentPredictor(model, predictor.tokenizer)


def size(predictor: SentimentPredictor) -> int:
    buffer = io.BytesIO()
    torch.save(predictor.model.state_dict(), buffer)
    return buffer.tell()


def moved(predictor: SentimentPredictor, other: SentimentPredictor, texts: list[str]) -> float:
    """How far the probabilities lie apart where they do most."""
    return float(np.abs(predictor.predict_proba(texts) - other.predict_proba(texts)).max())


def test_word_vectors_take_a_third_and_the_scores_hardly_move(
    predictor: SentimentPredictor, texts: list[str]
) -> None:
    small = quantized(predictor, Int8WeightOnlyConfig(), nn.Embedding)
    assert size(small) < size(predictor) / 3
    assert 0 < moved(predictor, small, texts) < 0.01
    for text, one, other in zip(texts, predictor.predict(texts), small.predict(texts), strict=True):
        assert one.label == other.label or one.score < 0.51, text


def test_the_head_alone_is_no_gain(predictor: SentimentPredictor) -> None:
    assert size(quantized(predictor, Int8WeightOnlyConfig(), nn.Linear)) > 0.99 * size(predictor)


@pytest.mark.parametrize(
    "config",
    [Int8WeightOnlyConfig(), Int8DynamicActivationInt8WeightConfig()],
    ids=lambda config: type(config).__name__,
)
def test_an_lstm_is_refused(predictor: SentimentPredictor, config: Any) -> None:
    with pytest.raises(AssertionError, match="requires module to have"):
        quantized(predictor, config, nn.LSTM)
