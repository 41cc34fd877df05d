"""What a run starts from: `init_from` of a recipe, a folder of one of two kinds.

The class in its `config.json` decides. A *classifier* is kept whole: its tokenizer, its
architecture, its weights and its temperature, so that the run goes on where the folder's ended. Any
other folder, a language model or a table of word vectors, gives each word's vector to the same word
of a new vocabulary, and the weights of the same names.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..data.labels import BINARY, SINGLE, LabelSet
from ..inference.predictor import ModelError, load_model
from ..modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from .recipe import ModelArguments, Recipe, RecipeError, TokenizerArguments

logger = logging.getLogger(__name__)

TOKENIZER_NAME = "tokenizer.json"


def classifier_config(
    recipe: Recipe,
    fields: Mapping[str, Any] = MappingProxyType({}),
    label_set: LabelSet = BINARY,
) -> SentimentLSTMConfig | None:
    """The architecture of a run that starts from a classifier.

    It is the classifier's own, with the recipe's dropouts where it names some. Its temperature
    stays, unless the labels are others: then the head is a new one.

    Args:
        recipe: What to train.
        fields: Fields of the architecture that count as the recipe's.
        label_set: The labels of the run.

    Returns:
        The config, or `None` if the recipe does not start from a classifier.

    Raises:
        RecipeError: If the recipe asks for another architecture or another tokenizer, or the
            folder is a model of another kind.
    """
    folder = recipe.training.init_from
    if folder is None or not is_classifier(folder):
        return None
    theirs = _read_config(folder)
    names = _names(ModelArguments)
    given = {name: getattr(recipe.model, name) for name in names & {*recipe.fields}} | {**fields}
    refused = [
        f"`{name}` is {getattr(theirs, name)} there and {given[name]} in the recipe"
        for name in sorted(given.keys() - _FREE)
        if given[name] != getattr(theirs, name)
    ] + [f"`{name}` is for a new tokenizer" for name in _tokenizer_fields(recipe, theirs)]
    if refused:
        raise RecipeError(
            f"init_from: {folder} is a classifier, which is kept whole: {'; '.join(refused)}: "
            "leave that out (null), or start from a language model"
        )
    kept = {name: getattr(theirs, name) for name in names}
    if label_set.problem_type != SINGLE or len(label_set.names) != 2:
        kept["single_logit"] = False  # the head is a new one
    config = SentimentLSTMConfig(
        **(kept | given),
        **label_set.config_fields(),
        vocab_size=theirs.vocab_size,
        pad_token_id=theirs.pad_token_id,
    )
    if "temperature" not in given and not _same_labels(config, theirs):
        config.temperature = 1.0  # what was fitted is for the other head
    return config


def kept_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast | None:
    """The tokenizer of the classifier that a run starts from.

    Args:
        recipe: What to train.

    Returns:
        The tokenizer, or `None` if the recipe does not start from a classifier.

    Raises:
        RecipeError: If the folder has none.
    """
    folder = recipe.training.init_from
    return _read_tokenizer(folder) if folder is not None and is_classifier(folder) else None


def files_to_start_from(folder: str) -> dict[str, Path]:
    """The files of a folder that decide what a run starts from.

    Args:
        folder: `init_from` of a recipe.

    Returns:
        `init_from`, and of a classifier also `init_from/NAME`, -> the file.
    """
    files = {"init_from": Path(folder, SAFE_WEIGHTS_NAME)}
    if is_classifier(folder):
        files |= {f"init_from/{name}": Path(folder, name) for name in (CONFIG_NAME, TOKENIZER_NAME)}
    return files


def is_classifier(folder: str) -> bool:
    """Whether the folder holds a classifier, by the class that its config names.

    Args:
        folder: `init_from` of a recipe.

    Raises:
        RecipeError: If it holds a model that is none of this package, or its config is damaged.
    """
    path = Path(folder, CONFIG_NAME)
    try:
        config = json.loads(path.read_bytes())
        kind, classes = config.get("model_type"), config.get("architectures") or [None]
    except OSError:
        return False  # word vectors have none, and that there is nothing at all is found out later
    except (AttributeError, ValueError) as error:
        raise RecipeError(f"init_from: {path} is damaged ({error})") from error
    if kind != SentimentLSTMConfig.model_type:
        raise RecipeError(
            f"init_from: {folder} is a model of type {kind}, and what can be started from is a "
            f"{SentimentLSTMConfig.model_type}: a folder that `train` or `pretrain` wrote"
        )
    return SentimentLSTMForSequenceClassification.__name__ in classes


def start_from(folder: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Copy what a model folder has learned: of a classifier all, else what is known of words.

    Args:
        folder: The model folder.
        model: What to start; it keeps what the folder does not have. For a classifier that starts
            from one, its config is that of `classifier_config`.
        tokenizer: The words of `model`.

    Raises:
        RecipeError: If it is no model folder, is damaged, or a weight has another shape.
    """
    if isinstance(model, SentimentLSTMForSequenceClassification) and is_classifier(folder):
        _copy_classifier(folder, model)
    else:
        _copy_words(folder, model, tokenizer)


# --- a classifier --------------------------------------------------------------------------------

# Fields of the architecture that no weight depends on: a run may have its own.
_FREE = {
    "embedding_dropout",
    "hidden_dropout",
    "classifier_dropout",
    "word_dropout",
    "weight_dropout",
    "locked_dropout",
    "temperature",
    "initializer_range",
    "initialization",
}


def _names(cls: type) -> set[str]:
    return {item.name for item in dataclasses.fields(cls)}


def _tokenizer_fields(recipe: Recipe, theirs: SentimentLSTMConfig) -> list[str]:
    """The recipe's fields that ask for another tokenizer than that of the classifier."""
    asked = {
        item.name
        for item in dataclasses.fields(TokenizerArguments)
        if getattr(recipe.tokenizer, item.name) != item.default
    }
    if theirs.vocab_size <= (recipe.tokenizer.max_vocab_size or 0):
        asked.discard("max_vocab_size")  # a limit that is kept
    return sorted(asked - {"max_train_length"})


def _read_config(folder: str) -> SentimentLSTMConfig:
    try:
        config: SentimentLSTMConfig = SentimentLSTMConfig.from_pretrained(
            folder, local_files_only=True
        )
    except (OSError, TypeError, ValueError) as error:
        raise RecipeError(f"init_from: {folder}/{CONFIG_NAME}: {error}") from error
    return config


def _read_tokenizer(folder: str) -> PreTrainedTokenizerFast:
    try:
        tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # tokenizers raises nothing else
        raise RecipeError(f"init_from: {folder} has no tokenizer that loads ({error})") from error
    return tokenizer


def _same_labels(one: SentimentLSTMConfig, other: SentimentLSTMConfig) -> bool:
    """Whether the same output means the same label."""
    single = (None, "single_label_classification")
    of_one_kind = one.problem_type == other.problem_type or (
        one.problem_type in single and other.problem_type in single
    )
    return of_one_kind and one.id2label == other.id2label


def _copy_classifier(folder: str, model: SentimentLSTMForSequenceClassification) -> None:
    try:
        theirs: Any = load_model(folder)[0]
    except ModelError as error:
        raise RecipeError(f"init_from: {error}") from error
    if _same_labels(model.config, theirs.config):
        model.load_state_dict(theirs.state_dict())
        logger.warning("starts from the classifier %s, whole", folder)
        return
    model.model.load_state_dict(theirs.model.state_dict())
    logger.warning(
        "starts from the classifier %s with a new head: its labels are %s, and the run's %s",
        folder,
        _labels(theirs.config),
        _labels(model.config),
    )


def _labels(config: SentimentLSTMConfig) -> str:
    kind = f" ({config.problem_type})" if config.problem_type else ""
    return ", ".join((config.id2label or {}).values()) + kind


# --- words ---------------------------------------------------------------------------------------

_EMBEDDINGS = "embeddings.weight"


@torch.no_grad()
def _copy_words(folder: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Copy each word's vector to the same word, and the weights of the same names."""
    try:
        weights = load_file(Path(folder, SAFE_WEIGHTS_NAME))
        words = PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()
    except (OSError, SafetensorError, ValueError) as error:
        raise RecipeError(f"init_from: {folder} is no model folder ({error})") from error
    theirs = {name.removeprefix("model."): weight for name, weight in weights.items()}
    ours = {name.removeprefix("model."): weight for name, weight in model.named_parameters()}
    shared = [name for name in ours if name in theirs]
    for name in shared:
        shapes = [tuple(weights[name].shape) for weights in (ours, theirs)]
        same = shapes[0][1:] == shapes[1][1:] if name == _EMBEDDINGS else shapes[0] == shapes[1]
        if not same:
            raise RecipeError(
                f"init_from: {name} is {shapes[1]} in {folder} and {shapes[0]} in the recipe"
            )
        if name != _EMBEDDINGS:
            ours[name].copy_(theirs[name])
    known = [(index, words[word]) for word, index in tokenizer.get_vocab().items() if word in words]
    if _EMBEDDINGS in shared:
        to, of = torch.tensor(known).T
        ours[_EMBEDDINGS][to] = theirs[_EMBEDDINGS][of].to(ours[_EMBEDDINGS])
    logger.warning(
        "starts from %s: %d of %d words, %d of %d weights",
        folder,
        len(known),
        len(tokenizer),
        len(shared),
        len(ours),
    )
