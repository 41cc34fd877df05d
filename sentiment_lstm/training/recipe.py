"""Recipes: everything that determines a training run, read from YAML and the command line.

A recipe is a YAML file of flat fields (see `scripts/recipes/`), any of which the command line may
override. The fields are those of `ReviewArguments`, `TokenizerArguments`, `SentimentLSTMConfig` and
transformers' `TrainingArguments`.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import itertools
import json
import os
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..inference.predictor import computes_in_bf16


class RecipeError(ValueError):
    """A recipe that cannot be run; the message names the file or the field."""


@dataclass
class ReviewArguments:
    """Which reviews; see `load_reviews` for what a source is."""

    train: list[str] = field(
        default_factory=list, metadata={"help": "Sources of the training reviews."}
    )
    validation: list[str] = field(
        default_factory=list,
        metadata={"help": "Sources that choose the checkpoint; each is reported by itself too."},
    )
    test: list[str] = field(
        default_factory=list,
        metadata={"help": "Sources that are looked at once, at the end."},
    )
    unlabelled: list[str] = field(
        default_factory=list,
        metadata={"help": "Files of texts without labels: for pretraining, and with soft labels."},
    )
    soft_labels: str | None = field(
        default=None,
        metadata={"help": "What a teacher says of the training texts; see scripts/teacher.py."},
    )
    soft_label_weight: float | None = field(
        default=None,
        metadata={
            "help": "What the teacher's word counts against the label, from 0 to 1 (default: 0.5)."
        },
    )
    augment_halves: bool = field(
        default=False,
        metadata={
            "help": "Also learn from the halves of each training text, judged by the teacher."
        },
    )
    on_bad_line: str = field(
        default="raise",
        metadata={
            "help": "What to do with a bad line.",
            "choices": ["raise", "skip"],
        },
    )


@dataclass
class TokenizerArguments:
    """How text becomes ids; see `train_tokenizer`."""

    min_frequency: int = field(default=2, metadata={"help": "Rarer words become `_UNK`."})
    max_vocab_size: int | None = field(
        default=None, metadata={"help": "Keep the most frequent words, `_PAD` and `_UNK` included."}
    )
    tutorial_tokenizer: bool = field(
        default=False,
        metadata={"help": "The tutorial's: pads on the left to 200, unknown words become `_PAD`."},
    )
    max_word_pieces: int = field(
        default=0, metadata={"help": "Cut unknown words into up to so many pieces (`##ing`)."}
    )
    mark_title: bool = field(
        default=False, metadata={"help": "Put a mark where the title of a review ends."}
    )
    max_train_length: int | None = field(
        default=None,
        metadata={
            "help": "Train on the first so many tokens of each review, for speed. Reviews are "
            "validated and predicted whole."
        },
    )


def _model_arguments() -> type:
    """The fields of the architecture with the config's own types and defaults.

    The vocabulary is not among them: it comes from the reviews.
    """
    names = SentimentLSTMConfig.__annotations__.keys()
    fields = [
        # The parser knows no `float | int`, which a config needs to accept a dropout of 0.
        (item.name, float if item.type == float | int else item.type, item.default)
        for item in dataclasses.fields(SentimentLSTMConfig)
        if item.name in names - {"vocab_size", "pad_token_id", "tie_word_embeddings"}
    ]
    return dataclasses.make_dataclass("ModelArguments", fields)


ModelArguments = _model_arguments()


@dataclass
class RecipeTrainingArguments(TrainingArguments):
    """transformers' `TrainingArguments`, with defaults for training an LSTM to its best."""

    eval_strategy: str = "steps"
    eval_steps: float | None = field(
        default=1000,
        metadata={"help": "Validate and save every so many steps, at least twice an epoch."},
    )
    save_total_limit: int | None = 1
    load_best_model_at_end: bool = True
    # Else a resumed run starts to count the patience anew, and stops later.
    restore_callback_states_from_checkpoint: bool = True
    metric_for_best_model: str | None = "loss"
    train_sampling_strategy: str = "group_by_length"
    bf16: bool | None = field(  # type: ignore[assignment] # None until __post_init__
        default=None,
        metadata={"help": "Train in bf16. Default: where the machine computes in bf16."},
    )
    save_steps: float | None = field(  # type: ignore[assignment] # None until __post_init__
        default=None, metadata={"help": "Follows eval_steps: the best checkpoint must be saved."}
    )
    init_from: str | None = field(
        default=None,
        metadata={
            "help": "Model folder whose weights to start from, word by word where the "
            "vocabularies differ."
        },
    )
    calibrate: bool = field(
        default=True,
        metadata={"help": "At the end, fit the temperature to the validation reviews."},
    )
    ema_decay: float | None = field(
        default=None,
        metadata={
            "help": "Validate and keep an exponential moving average of the weights; each step "
            "keeps this share of it (0.999)."
        },
    )
    adversarial_epsilon: float | None = field(
        default=None,
        metadata={
            "help": "Also train on word vectors moved so far in the direction that raises the "
            "loss, in lengths of a mean word vector (Miyato et al. 2017)."
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after so many validations without a lower loss."},
    )

    def __post_init__(self) -> None:
        """Decide on precision and saving before transformers sets them up."""
        self.use_cpu |= not torch.accelerator.is_available()  # bf16 on a CPU is refused otherwise
        if self.bf16 is None:
            self.bf16 = not self.fp16 and _computes_in_bf16(self.use_cpu)
        if self.save_steps not in (None, self.eval_steps):
            raise ValueError("`save_steps` follows `eval_steps`: leave it out")
        self._check()
        self.save_steps = self.eval_steps or 0
        super().__post_init__()

    def _check(self) -> None:
        """Raise `ValueError` for what would train something else than was meant."""
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"`ema_decay` must be between 0 and 1; got {self.ema_decay}")
        if self.ema_decay is not None and not self.load_best_model_at_end:
            raise ValueError("`ema_decay` needs `load_best_model_at_end`: it is what is kept")
        epsilon, patience = self.adversarial_epsilon, self.early_stopping_patience
        if epsilon is not None and epsilon <= 0:
            raise ValueError(f"`adversarial_epsilon` must be above 0; got {epsilon}")
        if patience is not None:
            if patience < 1:
                raise ValueError(f"`early_stopping_patience` must be 1 or more; got {patience}")
            if not self.load_best_model_at_end or self.eval_strategy == "no":
                raise ValueError(
                    "`early_stopping_patience` needs validation and `load_best_model_at_end`"
                )


@dataclass
class Recipe:
    """Everything that determines a training run.

    Args:
        fields: What the recipe says, as flat YAML fields; the rest are defaults.
        reviews: Which reviews.
        tokenizer: How text becomes ids.
        model: The architecture: fields of `SentimentLSTMConfig`.
        training: transformers' `TrainingArguments`.
    """

    fields: dict[str, Any]
    reviews: ReviewArguments
    tokenizer: TokenizerArguments
    model: Any
    training: RecipeTrainingArguments


def read_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file of flat fields. `null` stands for nothing: no limit, no reviews.
        overrides: Command-line arguments (`["--learning_rate", "0.001"]`) that take precedence;
            `null` unsets a field here too (`["--test", "null"]`).

    Returns:
        The recipe, ready for `train`.

    Raises:
        FileNotFoundError: If there is no such file.
        RecipeError: If the file is no mapping, a field is unknown or a value does not fit it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping, `field: value` on each line")
    fields = _explicit_fields(as_arguments(content), str(path))
    fields |= _explicit_fields(overrides, "command line")
    _check_sources(fields, str(path))
    fields.setdefault("output_dir", f"runs/{Path(path).stem}")
    try:
        parts = _RecipeParser().parse_dict(fields)
        SentimentLSTMConfig(**dataclasses.asdict(parts[2]))  # wrong fields show now, not later
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{path}: {error}") from error
    return Recipe(fields, *parts)


class _RecipeParser(HfArgumentParser):
    """A parser whose errors are exceptions and which does not guess at shortened names."""

    def __init__(self) -> None:
        kinds: list[Any] = [
            ReviewArguments,
            TokenizerArguments,
            ModelArguments,
            RecipeTrainingArguments,
        ]
        self.field_types = {
            name: hint for kind in kinds for name, hint in typing.get_type_hints(kind).items()
        }
        super().__init__(kinds, allow_abbrev=False, add_help=False)

    def error(self, message: str) -> NoReturn:
        raise RecipeError(message)


def _explicit_fields(arguments: Sequence[str], where: str) -> dict[str, Any]:
    """The fields that command-line arguments set, with values of their types, and no defaults."""
    parser = _RecipeParser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    try:
        unset, arguments = _without_nulls(arguments, parser)
        namespace, unknown = parser.parse_known_args(arguments)
        for name in unknown:
            known = [option for action in parser._actions for option in action.option_strings]
            similar = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise RecipeError(f"no field {name}{hint}")
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    return vars(namespace) | unset


def _without_nulls(
    arguments: Sequence[str], parser: _RecipeParser
) -> tuple[dict[str, Any], list[str]]:
    """Take `--field null` out: what it sets, and the other arguments.

    Raises:
        RecipeError: If a field cannot be nothing.
    """
    unset: dict[str, Any] = {}
    others: list[str] = []
    pairs = iter(itertools.pairwise([*arguments, ""]))
    for argument, following in pairs:
        action = parser._option_string_actions.get(argument)
        if action is None or following != "null":
            others.append(argument)
            continue
        field_type = parser.field_types[action.dest]
        if typing.get_origin(field_type) is list:
            unset[action.dest] = []
        elif type(None) in typing.get_args(field_type):
            unset[action.dest] = None
        else:
            raise RecipeError(f"{argument} cannot be null: leave it out for its default")
        next(pairs)
    return unset, others


def as_arguments(fields: Mapping[str, Any]) -> list[str]:
    """A YAML mapping as command-line arguments, so that both are read by the same rules.

    Args:
        fields: Field of a recipe -> its value; a list is several values, `None` is `null`.

    Returns:
        Arguments for `read_recipe`.
    """
    arguments: list[str] = []
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        if value is False and name.endswith("_strategy"):
            values = ["no"]  # which YAML reads as false
        arguments.append(f"--{name}")
        arguments += [v if isinstance(v, str) else json.dumps(v) for v in values or [None]]
    return arguments


def _check_sources(fields: Mapping[str, Any], path: str) -> None:
    """Raise `RecipeError` if reviews are missing, or would count twice."""
    length = fields.get("max_train_length")
    if length is not None and length < 1:
        raise RecipeError(f"{path}: `max_train_length` must be 1 or more; got {length}")
    weight = fields.get("soft_label_weight")
    if weight is not None and not 0 <= weight <= 1:
        raise RecipeError(f"{path}: `soft_label_weight` must be from 0 to 1; got {weight}")
    if not fields.get("train") or not fields.get("validation"):
        raise RecipeError(f"{path}: name the reviews: `train` and `validation` are needed")
    for split in ("train", "validation", "test", "unlabelled"):
        sources = fields.get(split) or []
        for source in sources:
            if sources.count(source) > 1:
                raise RecipeError(f"{path}: `{split}` names {source} more than once")


def _computes_in_bf16(use_cpu: bool) -> bool:
    on_gpu = torch.cuda.is_available() and not use_cpu
    return computes_in_bf16(torch.device("cuda" if on_gpu else "cpu"))
