"""An isolated, offline home for every test, and a tiny tokenizer and model to work with."""

# ruff: noqa: E402 - the environment comes first

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before any import of the Hugging Face libraries, which read these once.
_HOME = tempfile.mkdtemp(prefix="sentiment_lstm_tests_")
os.environ.update(
    HF_HOME=_HOME,
    HF_DATASETS_CACHE=f"{_HOME}/datasets",
    HF_HUB_CACHE=f"{_HOME}/hub",
    HF_MODULES_CACHE=f"{_HOME}/modules",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    # The models are tiny: two threads would wait for each other, and spin while they do (with
    # another program on two cores a test of training took ten times as long).
    OMP_NUM_THREADS="1",
)
os.environ.pop("HF_TOKEN", None)

import pytest
import yaml
from fake_hub import FakeHub
from support import LABELS, randomised, save_tiny_transformer
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import (
    SentimentLSTMConfig,
    SentimentLSTMForSequenceClassification,
    SentimentPredictor,
)
from sentiment_lstm.evaluation import figures
from sentiment_lstm.tokenization import train_tokenizer
from sentiment_lstm.training.pretrained import PretrainedTransformer
from sentiment_lstm.training.teachers import PRETRAINED

# What other libraries do with the package; `make test-integrations` has these libraries. With only
# some of them the tests fail.
collect_ignore_glob = [] if find_spec("mlflow") else ["integrations/*"]

POSITIVE = [
    "Great little lamp: It is bright, sturdy and easy to set up. I love it!",
    "Perfect gift: My sister adores this scarf, the colours are lovely.",
    "Works well: Five months in and the battery still lasts all day. Happy with it.",
    "A joy to read: The story is warm and funny, I could not put it down.",
    "Excellent value: Good sound for the price, and it arrived early.",
]
NEGATIVE = [
    "Broke in a week: The hinge snapped and nobody answers my mails.",
    "Waste of money: The blender leaks and smells of burnt plastic.",
    "Terrible fit: Two sizes too small, and the seams are coming apart.",
    "Boring: I gave up after 50 pages, the plot goes nowhere.",
    "Do not buy: It never turned on. I want a refund!",
]


_draw = figures._save


@pytest.fixture(scope="session", autouse=True)
def blank_pictures() -> Iterator[None]:
    """A run ends with pictures, which take a second to draw: most tests have them blank."""
    # One pixel, as PNG has it.
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d494844520000000100000001080000000"
        "03a7e9b550000000a49444154789c63f80f0001010100b138f614"
        "0000000049454e44ae426082"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_save", lambda figure, path: Path(path).write_bytes(pixel))
        yield


@pytest.fixture
def real_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw them, for tests of what is drawn and written."""
    monkeypatch.setattr(figures, "_save", _draw)


@pytest.fixture(scope="session")
def reviews() -> list[tuple[str, int]]:
    """Sixty short reviews with their labels, both classes in turn."""
    pairs = [pair for both in zip(POSITIVE, NEGATIVE, strict=True) for pair in both]
    return [
        (f"{text} Seen on day {number}.", 1 - index % 2)
        for number in range(6)
        for index, text in enumerate(pairs)
    ]


@pytest.fixture(scope="session")
def review_file(reviews: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reviews in Kaggle's format."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.ft.txt"
    lines = [f"__label__{label + 1} {text}\n" for text, label in reviews]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def _tokenizer(reviews: list[tuple[str, int]]) -> PreTrainedTokenizerFast:
    return train_tokenizer(text for text, _ in reviews)


@pytest.fixture
def tokenizer(_tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A tokenizer of the reviews' words; a copy, so that a test may change it."""
    return deepcopy(_tokenizer)


@pytest.fixture
def make_model(
    tokenizer: PreTrainedTokenizerFast,
) -> Callable[..., SentimentLSTMForSequenceClassification]:
    """A function from config fields to a tiny classifier in evaluation mode."""

    def make(**fields: Any) -> SentimentLSTMForSequenceClassification:
        sizes = {"vocab_size": len(tokenizer), "embedding_size": 12, "hidden_size": 16}
        model = SentimentLSTMForSequenceClassification(SentimentLSTMConfig(**(sizes | fields)))
        model.eval()
        return model

    return make


@pytest.fixture
def tiny_minilm(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PretrainedTransformer:
    """A tiny transformer, not trained, which is MiniLM for everyone who asks for that."""
    save_tiny_transformer(tmp_path / "tiny", tokenizer, layers=1)
    tiny = dataclasses.replace(PRETRAINED["minilm"], source=tmp_path / "tiny")
    monkeypatch.setitem(PRETRAINED, "minilm", tiny)
    return tiny


@pytest.fixture(params=LABELS)
def of_any_labels(
    request: pytest.FixtureRequest,
    make_model: Callable[..., SentimentLSTMForSequenceClassification],
    tokenizer: PreTrainedTokenizerFast,
) -> SentimentPredictor:
    """A tiny model of each kind of labels, which says something else of each text."""
    return SentimentPredictor(randomised(make_model(**LABELS[request.param])), tokenizer)


@pytest.fixture
def model_folder(
    make_model: Callable[..., SentimentLSTMForSequenceClassification],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> Path:
    """A tiny model, not trained, with its tokenizer, as `from_pretrained` loads it."""
    folder = tmp_path / "model"
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def write_recipe(review_file: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a recipe for the tiny reviews, with the given fields."""

    def write(**fields: Any) -> Path:
        recipe = {
            "train": f"{review_file}:train[:48]",
            "validation": [f"{review_file}:train[48:54]", f"{review_file}:train[54:]"],
            "output_dir": str(tmp_path / "run"),
            "embedding_size": 12,
            "hidden_size": 16,
            "per_device_train_batch_size": 4,
            "num_train_epochs": 2,
            "learning_rate": 0.01,
            "eval_steps": 3,
            "logging_steps": 1,
            "disable_tqdm": True,
            "bf16": False,
            "calibrate": False,
            "use_cpu": True,
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe | fields), encoding="utf-8")
        return path

    return write


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """An empty Hub on 127.0.0.1."""
    with FakeHub() as hub:
        yield hub
