"""Reviews to tokens: the tokenizer of a recipe, and what there is to train and to validate on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import datasets
from datasets.fingerprint import Hasher
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast

from ..data.arrow import map_cached
from ..data.dataset import label_set_of, load_many, load_texts
from ..data.sources import ReviewError
from ..tokenization import (
    DEFAULT_PRESET,
    TUTORIAL_PRESET,
    Words,
    private_backend,
    train_tokenizer,
)
from .distillation import SoftLabels, halves_dataset
from .recipe import Recipe, ReviewArguments, TokenizerArguments, reading_options
from .starting import kept_tokenizer

# Split -> source -> its reviews.
Reviews = dict[str, dict[str, datasets.Dataset]]

# Reviews in one file of tokens.
_TOKENIZED_TOGETHER = 200_000


def make_tokens(
    recipe: Recipe,
) -> tuple[PreTrainedTokenizerFast, datasets.Dataset, datasets.Dataset]:
    """Read and tokenise the reviews of a recipe without a folder for the result.

    Args:
        recipe: What to read.

    Returns:
        The tokenizer, and the training and the validation reviews as `input_ids`, `length` and
        `labels`.

    Raises:
        ReviewError: If reviews cannot be read.
    """
    reviews = load_all(recipe.reviews)
    tokenizer = kept_tokenizer(recipe) or make_tokenizer(recipe.tokenizer, reviews)
    train_tokens = training_tokens(recipe, tokenizer, reviews, labels=True)
    return tokenizer, train_tokens, tokenize(list(reviews["validation"].values()), tokenizer)


def load_all(arguments: ReviewArguments) -> Reviews:
    """Read the reviews of a recipe, each file once.

    Args:
        arguments: Which.

    Returns:
        Split (`train`, `validation`, `test` and, if there are any, `unlabelled`) -> source ->
        reviews.

    Raises:
        ReviewError: If reviews cannot be read, or some are labelled otherwise than others.
    """
    options = reading_options(vars(arguments))
    named = {
        "train": arguments.train,
        "validation": arguments.validation,
        "test": arguments.test,
    }
    loaded = load_many([source for sources in named.values() for source in sources], **options)
    reviews = {
        split: {source: loaded[source] for source in sources} for split, sources in named.items()
    }
    _refuse_other_labels(loaded)
    if arguments.unlabelled:
        limit = arguments.max_line_bytes
        reviews["unlabelled"] = {
            path: load_texts(path, max_line_bytes=limit) for path in arguments.unlabelled
        }
    return reviews


def make_tokenizer(arguments: TokenizerArguments, reviews: Reviews) -> PreTrainedTokenizerFast:
    """Train the tokenizer of a recipe on the texts that there are to learn from.

    Args:
        arguments: How.
        reviews: What `load_all` gave.

    Returns:
        The tokenizer.

    Raises:
        ReviewError: If the extra words cannot be read.
        ValueError: If they are more than the vocabulary may hold.
    """
    parts = _training_parts(reviews)
    preset = (TUTORIAL_PRESET if arguments.tutorial_tokenizer else DEFAULT_PRESET).copy()
    if arguments.words is not None:
        preset["words"] = cast(Words, arguments.words)
    extra = load_texts(arguments.extra_words)["text"][:] if arguments.extra_words else []
    # Closed also where it fails, or the error would stand behind the bar.
    with tqdm(_texts(parts), "words", sum(map(len, parts)), unit=" reviews") as texts:
        return train_tokenizer(
            texts,
            min_frequency=arguments.min_frequency,
            vocab_size=arguments.max_vocab_size,
            max_word_pieces=arguments.max_word_pieces,
            mark_title=arguments.mark_title,
            extra_words=extra,
            **preset,
        )


def training_tokens(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, reviews: Reviews, labels: bool
) -> datasets.Dataset:
    """The tokens to train on.

    Args:
        recipe: Soft labels, halves, and how much of each review.
        tokenizer: What cuts them into words.
        reviews: What `load_all` gave.
        labels: Whether labels are needed; a language model has none.

    Returns:
        What `tokenize` gives; `labels` are classes, or with soft labels probabilities.

    Raises:
        SoftLabelError: If there are texts that have neither a label nor a soft one.
    """
    max_length = recipe.tokenizer.max_train_length
    arguments = recipe.reviews
    parts = _training_parts(reviews)
    if not labels:
        return tokenize([part.select_columns("text") for part in parts], tokenizer, max_length)
    if arguments.soft_labels is None:
        return tokenize(parts, tokenizer, max_length)
    weight = 0.5 if arguments.soft_label_weight is None else arguments.soft_label_weight
    soft_labels = SoftLabels(arguments.soft_labels, weight)
    if arguments.augment_halves:
        parts += [halves_dataset(part) for part in parts]
    return tokenize([soft_labels.apply(part) for part in parts], tokenizer, max_length)


def tokenize(
    parts: list[datasets.Dataset],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int | None = None,
) -> datasets.Dataset:
    """Tokenise reviews.

    Memory-mapped, and cached by content, `_TOKENIZED_TOGETHER` reviews in a file: what an
    interruption stops begins anew with the file that was being written (issue 6).

    Args:
        parts: Sets of reviews, one after the other.
        tokenizer: What cuts them into words.
        max_length: Keep the first so many tokens of each. Defaults to all.

    Returns:
        `input_ids`, `length` and, if the reviews have labels, `labels`, of the same type.
    """
    dataset = datasets.concatenate_datasets(parts)
    # A copy, so that what is cached depends on the tokenizer's words alone.
    backend = private_backend(tokenizer)

    def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        # Without offsets, which nobody needs here: 1.4 times faster than calling the tokenizer.
        encodings = backend.encode_batch_fast(batch["text"])
        token_ids = [encoding.ids[:max_length] for encoding in encodings]
        columns: dict[str, list[Any]] = {
            "input_ids": token_ids,
            "length": [len(ids) for ids in token_ids],
        }
        if "label" in batch:
            columns["labels"] = batch["label"]
        return columns

    features = {
        "input_ids": datasets.List(datasets.Value("int32")),
        "length": datasets.Value("int32"),
    }
    if "label" in dataset.column_names:
        features["labels"] = dataset.features["label"]
    key = Hasher.hash([dataset._fingerprint, backend.to_str(), max_length])
    starts = range(0, max(1, len(dataset)), _TOKENIZED_TOGETHER)
    pieces = []
    for number, start in enumerate(starts, 1):
        piece = dataset.select(range(start, min(start + _TOKENIZED_TOGETHER, len(dataset))))
        pieces.append(
            map_cached(
                piece,
                encode,
                remove_columns=dataset.column_names,
                features=features,
                fingerprint=f"{key}-{start}-{len(piece)}",
                desc=f"tokenising, {number} of {len(starts)}",
            )
        )
    return datasets.concatenate_datasets(pieces)


def _refuse_other_labels(loaded: dict[str, datasets.Dataset]) -> None:
    """Raise unless all sources have the same labels, in the same order."""
    (first, reviews), *others = loaded.items()
    for source, dataset in others:
        if dataset.features["label"] != reviews.features["label"]:
            raise ReviewError(
                f"{source}: its labels are {label_set_of(dataset)}, and those of {first} are "
                f"{label_set_of(reviews)}: say which there are, and in which order, with labels"
            )


def _training_parts(reviews: Reviews) -> list[datasets.Dataset]:
    """What there is to learn from: the training reviews, then the texts without labels."""
    return [*reviews["train"].values(), *reviews.get("unlabelled", {}).values()]


def _texts(parts: Iterable[datasets.Dataset]) -> Iterator[str]:
    for dataset in parts:
        for batch in dataset.iter(batch_size=1000):
            yield from batch["text"]
