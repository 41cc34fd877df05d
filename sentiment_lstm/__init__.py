"""An LSTM sentiment classifier for Amazon reviews as a Hugging Face model package.

Importing the package registers its classes with `AutoConfig`, `AutoModel` and
`AutoModelForSequenceClassification`, so that a model folder or a Hub repository loads without
`trust_remote_code`. The names below are imported when they are first used.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration_sentiment_lstm import SentimentLSTMConfig
    from .data.dataset import load_reviews
    from .evaluation.evaluate import evaluate
    from .hub.push import push
    from .inference.predictor import SentimentPredictor
    from .modeling_sentiment_lstm import (
        SentimentLSTMForSequenceClassification,
        SentimentLSTMModel,
        SentimentLSTMPreTrainedModel,
    )
    from .tokenization import train_tokenizer
    from .training.recipe import read_recipe
    from .training.run import train

    DEFAULT_MODEL: str
    __version__: str

__all__ = [
    "DEFAULT_MODEL",
    "SentimentLSTMConfig",
    "SentimentLSTMForSequenceClassification",
    "SentimentLSTMModel",
    "SentimentLSTMPreTrainedModel",
    "SentimentPredictor",
    "__version__",
    "evaluate",
    "load_reviews",
    "push",
    "read_recipe",
    "train",
    "train_tokenizer",
]

# Public name -> its module.
_MODULES = {
    "SentimentLSTMConfig": "configuration_sentiment_lstm",
    "SentimentLSTMForSequenceClassification": "modeling_sentiment_lstm",
    "SentimentLSTMModel": "modeling_sentiment_lstm",
    "SentimentLSTMPreTrainedModel": "modeling_sentiment_lstm",
    "SentimentPredictor": "inference.predictor",
    "evaluate": "evaluation.evaluate",
    "load_reviews": "data.dataset",
    "push": "hub.push",
    "read_recipe": "training.recipe",
    "train": "training.run",
    "train_tokenizer": "tokenization",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("sentiment-lstm")
    elif name == "DEFAULT_MODEL":  # the folder of the released checkpoint
        from .files import default_model

        value = str(default_model())
    elif name in _MODULES:
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _is_own_command() -> bool:
    """Whether this process is `sentiment-lstm`, which answers `--help` without transformers.

    What its commands import to work with a model imports `auto_classes` too.
    """
    # While Python imports the package of `python -m NAME ...`, `sys.argv` is `["-m", ...]`.
    if sys.argv[:1] == ["-m"]:
        return sys.orig_argv[-len(sys.argv) :][:1] == [__name__]
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return program in ("sentiment-lstm", "sentiment-lstm.exe")


if not _is_own_command():
    from . import auto_classes  # noqa: F401 - registers the classes
