"""An LSTM sentiment classifier for Amazon reviews as a Hugging Face model package.

Importing the package registers its classes with `AutoConfig`, `AutoModel` and
`AutoModelForSequenceClassification`, so that a model folder or a Hub repository loads without
`trust_remote_code`.
"""

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from .configuration_sentiment_lstm import SentimentLSTMConfig
from .modeling_sentiment_lstm import (
    SentimentLSTMForSequenceClassification,
    SentimentLSTMModel,
    SentimentLSTMPreTrainedModel,
)
from .tokenization import train_tokenizer

__all__ = [
    "SentimentLSTMConfig",
    "SentimentLSTMForSequenceClassification",
    "SentimentLSTMModel",
    "SentimentLSTMPreTrainedModel",
    "train_tokenizer",
]

AutoConfig.register(SentimentLSTMConfig.model_type, SentimentLSTMConfig)
AutoModel.register(SentimentLSTMConfig, SentimentLSTMModel)
AutoModelForSequenceClassification.register(
    SentimentLSTMConfig, SentimentLSTMForSequenceClassification
)

# Saved models carry the two files that define these classes (`auto_map` in config.json), so that
# they also load with `trust_remote_code=True` where this package is not installed.
SentimentLSTMConfig.register_for_auto_class()
SentimentLSTMModel.register_for_auto_class("AutoModel")
SentimentLSTMForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
