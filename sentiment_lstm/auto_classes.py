"""Registers our classes with transformers' Auto classes; importing this module does it, once.

The config class is registered at once, the model classes when the first config is made: their
import takes as long again as that of the Auto classes, and no way leads to a model but over a
config.
"""

from __future__ import annotations

from transformers import AutoConfig

from .configuration_sentiment_lstm import SentimentLSTMConfig


def _register_models() -> None:
    from transformers import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        MODEL_MAPPING,
        AutoModel,
        AutoModelForSequenceClassification,
    )

    from .modeling_sentiment_lstm import SentimentLSTMForSequenceClassification, SentimentLSTMModel

    # Saved models carry the two files that define these classes (`auto_map` in config.json), so
    # that they also load with `trust_remote_code=True` where this package is not installed.
    SentimentLSTMModel.register_for_auto_class("AutoModel")
    SentimentLSTMForSequenceClassification.register_for_auto_class(
        "AutoModelForSequenceClassification"
    )
    # A class that somebody else has registered in the meantime stays.
    if SentimentLSTMConfig not in MODEL_MAPPING:
        AutoModel.register(SentimentLSTMConfig, SentimentLSTMModel)
    if SentimentLSTMConfig not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        AutoModelForSequenceClassification.register(
            SentimentLSTMConfig, SentimentLSTMForSequenceClassification
        )
    SentimentLSTMConfig.register_models = None


AutoConfig.register(SentimentLSTMConfig.model_type, SentimentLSTMConfig)
SentimentLSTMConfig.register_for_auto_class()
SentimentLSTMConfig.register_models = _register_models
