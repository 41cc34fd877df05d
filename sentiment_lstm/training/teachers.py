"""Other classifiers, trained on the same reviews: baselines to compare with, and teachers.

`CLASSIFIERS` has them by name. Each is a function from labelled reviews to a `Trained`, which
predicts. fastText and MiniLM come with the extra `benchmark`, MPNet with the extra `teacher` or
from the Hub (see `pretrained.mpnet_folder`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import load_many, load_texts
from .fine_tuning import fine_tune
from .pretrained import MINILM, MPNET, PretrainedTransformer
from .recipe import Recipe, RecipeError

# On few reviews a small model needs more epochs than on many: this many reviews are read.
READ_AT_LEAST = 32_000

# Fields of a recipe that learns from labels alone, for `Recipe.replace`.
WITHOUT_TEACHER = MappingProxyType(
    {"unlabelled": None, "soft_labels": None, "soft_label_weight": None, "augment_halves": False}
)


@dataclass(frozen=True)
class Trained:
    """A classifier that has been trained.

    Args:
        predict: Texts -> probabilities of POSITIVE, `(texts,)`.
        parameters: Their number.
        seconds: How long training took, where that is not how long the call took.
    """

    predict: Callable[[list[str]], NDArray[np.float64]]
    parameters: int
    seconds: float | None = None


@dataclass(frozen=True)
class Classifier:
    """A way to make a classifier.

    Args:
        name: What tables call it.
        description: What it is, in a line.
        train: Texts and labels (0 or 1) -> the trained classifier.
    """

    name: str
    description: str
    train: Callable[[list[str], list[int]], Trained]


def tfidf(texts: list[str], labels: list[int]) -> Trained:
    """Train a logistic regression on TF-IDF of words and pairs of words.

    Args:
        texts: Reviews.
        labels: 0 or 1 for each.

    Returns:
        The trained classifier.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    classifier = LogisticRegression(C=4, max_iter=1000)
    model = make_pipeline(vectorizer, classifier).fit(texts, labels)
    return Trained(lambda unseen: model.predict_proba(unseen)[:, 1], int(classifier.coef_.size) + 1)


def fasttext(texts: list[str], labels: list[int]) -> Trained:
    """Train fastText with pairs of words.

    Args:
        texts: Reviews.
        labels: 0 or 1 for each.

    Returns:
        The trained classifier.

    Raises:
        ModuleNotFoundError: If fastText is not installed.
    """
    import fasttext as package

    def cleaned(text: str) -> str:
        return " ".join(text.lower().split())

    epochs = max(5, math.ceil(READ_AT_LEAST / len(texts)))
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for text, label in zip(texts, labels, strict=True):
            file.write(f"__label__{label} {cleaned(text)}\n")
        file.flush()
        model = package.train_supervised(
            file.name, wordNgrams=2, dim=10, epoch=epochs, lr=0.5, minCount=2, verbose=0
        )

    def predict(unseen: list[str]) -> NDArray[np.float64]:
        # The method below `predict`, which a numpy of version 2 breaks.
        names, found = model.f.multilinePredict([cleaned(t) + "\n" for t in unseen], 1, 0.0, "")
        best = np.array([probability[0] for probability in found]).clip(0, 1)
        positive = np.array([name[0] == "__label__1" for name in names])
        return np.where(positive, best, 1 - best)

    parameters = model.get_input_matrix().size + model.get_output_matrix().size
    return Trained(predict, int(parameters))


def of_transformer(transformer: PretrainedTransformer) -> Classifier:
    """A pretrained transformer as a classifier.

    Args:
        transformer: Which one, and how it is fine-tuned.

    Returns:
        The classifier.
    """

    def train(texts: list[str], labels: list[int]) -> Trained:
        tuned = fine_tune(transformer, texts, labels)
        return Trained(tuned.predict, tuned.parameters, tuned.seconds)

    return Classifier(transformer.name, transformer.description, train)


PRETRAINED: dict[str, PretrainedTransformer] = {"minilm": MINILM, "mpnet": MPNET}
CLASSIFIERS: dict[str, Classifier] = {
    "tfidf": Classifier(
        "TF-IDF + logistic regression",
        "Words and pairs of words by TF-IDF, and a logistic regression with C = 4",
        tfidf,
    ),
    "fasttext": Classifier(
        "fastText",
        "FastText with pairs of words, 10 dimensions and 5 epochs (at least 32,000 reviews read)",
        fasttext,
    ),
    **{name: of_transformer(transformer) for name, transformer in PRETRAINED.items()},
}


def classifiers(sources: Iterable[str] = (), int8: bool = False) -> dict[str, Classifier]:
    """The classifiers by name, with other folders of the pretrained ones.

    Args:
        sources: `NAME=SOURCE`, where `NAME` is a key of `PRETRAINED` and `SOURCE` a folder or an
            id on the Hub, for example `mpnet=sentence-transformers/all-mpnet-base-v2`.

        int8: Whether the pretrained ones predict in 8-bit integers.

    Returns:
        A copy of `CLASSIFIERS`.

    Raises:
        ValueError: If one of `sources` is something else.
    """
    changes: dict[str, dict[str, Any]] = {name: {"int8": int8} for name in PRETRAINED if int8}
    for item in sources:
        name, _, source = item.partition("=")
        if name not in PRETRAINED or not source:
            raise ValueError(f"{item}: say NAME=SOURCE, where NAME is {' or '.join(PRETRAINED)}")
        changes.setdefault(name, {})["source"] = source
    return CLASSIFIERS | {
        name: of_transformer(dataclasses.replace(PRETRAINED[name], **changed))
        for name, changed in changes.items()
    }


def add_pretrained_option(parser: argparse.ArgumentParser) -> None:
    """Let a script take `--pretrained NAME=SOURCE ...`, which is what `classifiers` takes."""
    parser.add_argument(
        "--pretrained",
        nargs="+",
        default=[],
        metavar="NAME=SOURCE",
        help="folder or Hub id of minilm or mpnet (default: the packages that carry them)",
    )


def read_reviews(sources: Iterable[str], **options: Any) -> tuple[list[str], list[int]]:
    """Read several sources into memory, one after the other.

    Args:
        sources: As for `load_reviews`.
        **options: As for `load_many`; see `recipe.reading_options`.

    Returns:
        The texts, and the label of each.

    Raises:
        ReviewError: If reviews cannot be read.
    """
    texts: list[str] = []
    labels: list[int] = []
    for reviews in load_many(sources, **options).values():
        texts += reviews["text"][:]
        labels += reviews["label"][:]
    return texts, labels


def read_texts(sources: Iterable[str], max_line_bytes: int) -> list[str]:
    """Read several files of texts without labels into memory, one after the other.

    Args:
        sources: As for `load_texts`.
        max_line_bytes: See there.

    Returns:
        The texts.

    Raises:
        ReviewError: If texts cannot be read.
    """
    loaded = (load_texts(source, max_line_bytes=max_line_bytes) for source in sources)
    return [text for texts in loaded for text in texts["text"][:]]


def refuse_own_labels(recipe: Recipe) -> None:
    """Refuse a recipe that says what labels mean: those of `write_reviews` are 0 and 1.

    Args:
        recipe: Of which another is made that reads such reviews.

    Raises:
        RecipeError: If it has `labels`.
    """
    if recipe.reviews.labels is not None:
        raise RecipeError(
            "`labels`: here reviews are written anew with the labels 0 and 1, which the recipe's "
            "do not know; give reviews with these labels, and leave the field out"
        )


def write_reviews(path: str | os.PathLike[str], texts: list[str], labels: list[int]) -> None:
    """Write reviews as a source that a recipe can name.

    Args:
        path: A file that ends in `.jsonl`.
        texts: Reviews.
        labels: 0 or 1 for each.
    """
    with open(path, "w", encoding="utf-8") as lines:
        for text, label in zip(texts, labels, strict=True):
            lines.write(json.dumps({"text": text, "label": label}) + "\n")
