"""Recipes: everything that determines a training run, as a value.

A recipe is a YAML file of flat fields (see `scripts/recipes/`), any of which may be overridden. The
fields are those of `ReviewArguments`, `TokenizerArguments`, `SentimentLSTMConfig` and transformers'
`TrainingArguments`.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import difflib
import functools
import logging
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from transformers import TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..data.labels import (
    NUMBER,
    NUMBER_NAME,
    PROBLEM_TYPES,
    SEVERAL,
    LabelSet,
    ProblemType,
    read_label_set,
    read_labels,
)
from ..data.sources import MAX_LINE_BYTES, ReviewError
from ..evaluation.recipe_files import (
    MAX_YAML_ALIASES,
    MAX_YAML_BYTES,
    RENAMED_FIELDS,
    read_yaml,
)
from ..evaluation.recipe_files import RecipeError as RecipeError
from ..inference.predictor import computes_in_bf16
from ..tokenization import Words

logger = logging.getLogger(__name__)


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
            "help": "Also learn from the halves of each training text, labelled by the teacher."
        },
    )
    on_bad_line: str = field(
        default="raise",
        metadata={
            "help": "What to do with a bad line.",
            "choices": ["raise", "skip"],
        },
    )
    labels: dict[str, Any] | list[str] | None = field(
        default=None,
        metadata={
            "help": "What the labels of all sources mean, as a mapping {1: 0, 5: 1} or as words: "
            "1=0 5=1; or the names of other labels, [bad, fair, good] or {1: bad, 5: good} "
            "(default: NEGATIVE and POSITIVE, or what the sources name)."
        },
    )
    problem_type: str | None = field(
        default=None,
        metadata={
            "help": "How many labels a review has: one (the default), several or a number.",
            "choices": list(PROBLEM_TYPES),
        },
    )
    ordered_labels: bool = field(
        default=False,
        metadata={"help": "The labels are steps from low to high, such as stars."},
    )
    max_line_bytes: int = field(
        default=MAX_LINE_BYTES,
        metadata={"help": "How many bytes of memory a line may take, or a row of a table."},
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
        metadata={
            "help": "The tutorial's: NLTK's words, pads on the left to 200, unknown words become "
            "`_PAD`."
        },
    )
    words: str | None = field(
        default=None,
        metadata={
            "help": "Whose rules say what a word is (default: plain, of tutorial_tokenizer nltk).",
            "choices": list(typing.get_args(Words)),
        },
    )
    max_word_pieces: int = field(
        default=0, metadata={"help": "Cut unknown words into up to so many pieces (`##ing`)."}
    )
    extra_words: str | None = field(
        default=None,
        metadata={
            "help": "File of words, a line each, that enter the vocabulary however rare they are, "
            "for `init_from` to bring their vectors; see scripts/extra_words.py."
        },
    )
    mark_title: bool = field(
        default=False,
        metadata={"help": "Put a mark where the title of a review ends; with `words: nltk` alone."},
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


# The least that a field may be, of those that may be null.
_LEAST_IN_TRAINING = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "eval_accumulation_steps": 1,
    "neftune_noise_alpha": 0,
    "embedding_learning_rate": 0,
}


# What chooses the best checkpoint: what is measured at each validation. Pretraining has the loss.
_METRICS = (
    "loss",
    "accuracy",
    "f1",
    "precision",
    "recall",
    "roc_auc",
)

# The same where the labels are others. But for the loss, none may be better where it is lower.
_METRICS_OF_STEPS = (*_METRICS, "quadratic_weighted_kappa")
_METRICS_OF: dict[str | None, tuple[str, ...]] = {
    SEVERAL: ("loss", "accuracy", "micro_f1", "macro_f1", "precision", "recall"),
    NUMBER: ("loss", "pearson", "spearman"),
}

# Fields of transformers that would stop the training of such a model -> what they may be.
_FIXED: dict[str, tuple[Any, ...]] = {
    "label_names": (None, ["labels"]),
    "length_column_name": ("length",),
    "eval_do_concat_batches": (True,),
    "parallelism_config": (None,),
    "remove_unused_columns": (True,),
}


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
            "help": "Model folder to start from: a classifier is kept whole, with its tokenizer "
            "and architecture; a language model gives its words and the weights of its names."
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
    embedding_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Peak learning rate of the word vectors (default: learning_rate). Adam moves "
            "that of a rare word further than its own length each time it is read; a lower rate "
            "keeps what `init_from` brought, 0 all of it."
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
        self._check_ranges()
        self.save_steps = self.eval_steps or 0
        super().__post_init__()
        self._try_scheduler()
        get_reporting_integration_callbacks(self.report_to)  # which raises for what it knows not
        if self.torch_compile_mode is not None:
            torch.compile(torch.nn.Identity(), mode=self.torch_compile_mode)  # and so does this

    def _try_scheduler(self) -> None:
        """Make a schedule of nothing: its arguments would fail when all reviews are tokenised."""
        arguments: Any = self.lr_scheduler_kwargs or {}
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=self.learning_rate)
        get_scheduler(
            self.lr_scheduler_type,
            optimizer,
            num_warmup_steps=0,
            num_training_steps=1,
            scheduler_specific_kwargs=dict(arguments),
        )

    def _check_ranges(self) -> None:
        """Raise `ValueError` for numbers that transformers takes as given, or divides by."""
        for name, least in _LEAST_IN_TRAINING.items():
            number = getattr(self, name)
            if number is not None and number < least:
                raise ValueError(f"`{name}` must be {least} or more; got {number}")
        if self.num_train_epochs <= 0 and self.max_steps <= 0:
            raise ValueError(f"`num_train_epochs` must be above 0; got {self.num_train_epochs}")
        if not 0 <= self.label_smoothing_factor <= 1:
            smoothing = self.label_smoothing_factor
            raise ValueError(f"`label_smoothing_factor` must be from 0 to 1; got {smoothing}")
        for name in ("seed", "data_seed"):
            if not 0 <= (getattr(self, name) or 0) < 2**32:
                raise ValueError(f"`{name}` must be from 0 to 2**32 - 1; got {getattr(self, name)}")
        for name in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be 0 or more and below 1; got {getattr(self, name)}"
                )

    def _check_metric(self) -> None:
        """Raise `ValueError` for an unknown metric, or one whose worst is to be kept."""
        metric = self.metric_for_best_model
        known = {*_METRICS_OF_STEPS, *_METRICS_OF[SEVERAL], *_METRICS_OF[NUMBER]}
        if metric is not None and metric.removeprefix("eval_") not in known:
            raise ValueError(f"`metric_for_best_model` must be one of {', '.join(_METRICS)}")
        if self.greater_is_better not in (None, not str(metric or "loss").endswith("loss")):
            raise ValueError(
                f"`greater_is_better` is {self.greater_is_better}, and of {metric} the contrary "
                "holds: leave it out"
            )

    def _check(self) -> None:
        """Raise `ValueError` for what would train something else than was meant, or nothing."""
        for name, allowed in _FIXED.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` cannot be chosen here: leave it out")
        self._check_metric()
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


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a training run; a value, which nobody changes.

    Args:
        fields: What the recipe says, as flat fields; the rest are defaults.
        reviews: Which reviews.
        tokenizer: How text becomes ids.
        model: The architecture: fields of `SentimentLSTMConfig`.
        training: transformers' `TrainingArguments`.
    """

    fields: Mapping[str, Any]
    reviews: ReviewArguments
    tokenizer: TokenizerArguments
    model: Any
    training: RecipeTrainingArguments

    def __reduce__(self) -> tuple[Any, ...]:  # the fields are read-only, which cannot be pickled
        return _recipe, (dict(self.fields), "recipe")

    def replace(self, **fields: Any) -> Recipe:
        """The recipe with other fields.

        Args:
            **fields: As in `read_recipe`.

        Returns:
            A new recipe.

        Raises:
            RecipeError: If a field is unknown, or its value does not fit.
        """
        return _recipe({**self.fields, **_read_fields(fields, "recipe")}, "recipe")

    @property
    def number_name(self) -> str:
        """What the number is called, if the labels are numbers."""
        labels = self.reviews.labels
        return str(labels[0]) if isinstance(labels, list) and labels else NUMBER_NAME

    def check_labels(self, label_set: LabelSet) -> LabelSet:
        """Complete the label set that the reviews turned out to have, and check the recipe with it.

        Args:
            label_set: That of the reviews.

        Returns:
            The same, ordered if the recipe says so.

        Raises:
            RecipeError: If a field of the recipe does not fit it; the message names it.
        """
        label_set = dataclasses.replace(label_set, ordered=self.reviews.ordered_labels)
        _check_label_set(self.fields, label_set, "recipe")
        return label_set

    def check_task(self, task: Literal["classification", "pretraining"]) -> None:
        """Refuse fields that mean nothing to a task, before anything is written.

        Args:
            task: What the recipe is for.

        Raises:
            RecipeError: If a field would be ignored; the message names it.
        """
        if task == "pretraining":
            for name in _OF_CLASSIFIERS:
                if self.fields.get(name):
                    raise RecipeError(f"`{name}` means nothing to pretraining: leave it out")
            if self.training.metric_for_best_model not in (None, "loss", "eval_loss"):
                raise RecipeError("`metric_for_best_model` must be loss in pretraining")
        elif self.reviews.soft_labels is None:
            if self.reviews.unlabelled:
                raise RecipeError("`unlabelled` texts need `soft_labels` to learn from")
            if self.fields.get("soft_label_weight") is not None:
                raise RecipeError("`soft_label_weight` means nothing without `soft_labels`")
            if self.reviews.augment_halves:
                raise RecipeError(
                    "`augment_halves` needs `soft_labels`: half a review has no label of its own"
                )


def reading_options(fields: Mapping[str, Any]) -> dict[str, Any]:
    """How the reviews of a recipe are read.

    Args:
        fields: Those of a recipe, or of `ReviewArguments`.

    Returns:
        Arguments of `load_reviews` and `load_many`: `on_bad_line`, `labels`, `problem_type`,
        `max_line_bytes`.
    """
    options = {name: fields[name] for name in _READING if fields.get(name) is not None}
    if isinstance(options.get("labels"), list):
        options["labels"] = read_labels(options["labels"])
    return options


_READING = ("on_bad_line", "labels", "problem_type", "max_line_bytes")


def read_recipe(
    path: str | os.PathLike[str],
    overrides: Mapping[str, Any] = MappingProxyType({}),
    *,
    max_bytes: int = MAX_YAML_BYTES,
    max_aliases: int = MAX_YAML_ALIASES,
) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file of flat fields. `null` stands for nothing: no limit, no reviews.
        overrides: Field -> value that takes precedence. Text is read by the field's type, so
            that `"0.001"`, `"true"` and `"null"` are what they say.
        max_bytes: See `read_yaml`.
        max_aliases: See `read_yaml`.

    Returns:
        The recipe, ready for `train`.

    Raises:
        FileNotFoundError: If there is no such file.
        RecipeError: If the file is no mapping, a field is unknown or a value does not fit it.
    """
    content = read_yaml(path, max_bytes=max_bytes, max_aliases=max_aliases)
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping, `field: value` on each line")
    fields = _read_fields(content, str(path))
    fields |= _read_fields(overrides, f"override of {path}")
    fields.setdefault("output_dir", f"runs/{Path(path).stem}")
    return _recipe(fields, str(path))


# --- checks --------------------------------------------------------------------------------------

# Fields that mean nothing to a language model.
_OF_CLASSIFIERS = (
    "soft_labels",
    "augment_halves",
    "test",
    "adversarial_epsilon",
    "label_smoothing_factor",
    "push_to_hub",
)

_KINDS: tuple[Any, ...] = (
    ReviewArguments,
    TokenizerArguments,
    ModelArguments,
    RecipeTrainingArguments,
)


def _recipe(fields: dict[str, Any], where: str) -> Recipe:
    """Make a recipe of checked fields, if they fit each other."""
    _check_reviews(fields, where)
    parts = []
    for kind in _KINDS:
        names = [item.name for item in dataclasses.fields(kind) if item.name in fields]
        given = {name: fields[name] for name in names}
        try:
            parts.append(_part(kind, given))
        except Exception as error:  # whatever transformers raises for a value: it checks few
            said = " ".join(str(error).split()) or type(error).__name__
            raise RecipeError(f"{where}: {_blame(kind, given, said)}{said}") from error
    return Recipe(MappingProxyType(fields), *parts)


def _part(kind: Any, given: Mapping[str, Any]) -> Any:
    """One part of a recipe, with all checks."""
    hints = _type_hints()
    # A whole number stays one in the fields, so that recipe.yaml says 6, not 6.0. A copy, since
    # transformers takes keys out of the mappings that it is given.
    values = {name: _as_float(copy.deepcopy(value), hints[name]) for name, value in given.items()}
    part = kind(**values)
    if kind is ModelArguments:
        SentimentLSTMConfig(**dataclasses.asdict(part))  # wrong fields show now, not later
    return part


def _blame(kind: Any, given: Mapping[str, Any], said: str) -> str:
    """The name of the field that an error is about, where the error does not say it itself."""
    if any(f"`{name}`" in said for name in given):
        return ""
    for name in given:
        with contextlib.suppress(Exception):
            _part(kind, {other: value for other, value in given.items() if other != name})
            return f"`{name}`: "
    return ""


# Field of the reviews or the tokenizer -> the least that it can be, which else would be found out
# when all reviews have been read. The vocabulary has the padding and the unknown word.
_LEAST = {
    "max_line_bytes": 1,
    "max_train_length": 1,
    "min_frequency": 1,
    "max_vocab_size": 3,
    "max_word_pieces": 0,
}


def _check_reviews(fields: Mapping[str, Any], where: str) -> None:
    """Raise `RecipeError` if reviews are missing, would count twice, or cannot be read so."""
    try:
        options = reading_options(fields)
        label_set, coding = read_label_set(options.get("labels"), options.get("problem_type"))
    except ReviewError as error:
        raise RecipeError(f"{where}: `labels`: {error}") from None
    if label_set is not None or coding is not None:  # else the sources may name theirs
        ordered = bool(fields.get("ordered_labels"))
        label_set = dataclasses.replace(label_set or LabelSet(), ordered=ordered)
        _check_label_set(fields, label_set, where)
    for name, least in _LEAST.items():
        number = fields.get(name)
        if number is not None and number < least:
            raise RecipeError(f"{where}: `{name}` must be {least} or more; got {number}")
    weight = fields.get("soft_label_weight")
    if weight is not None and not 0 <= weight <= 1:
        raise RecipeError(f"{where}: `soft_label_weight` must be from 0 to 1; got {weight}")
    if not fields.get("train") or not fields.get("validation"):
        raise RecipeError(f"{where}: name the reviews: `train` and `validation` are needed")
    for split in ("train", "validation", "test", "unlabelled"):
        sources = fields.get(split) or []
        for source in sources:
            if sources.count(source) > 1:
                raise RecipeError(f"{where}: `{split}` names {source} more than once")


# Fields that are for NEGATIVE and POSITIVE alone.
_OF_TWO_LABELS = ("soft_labels", "soft_label_weight", "augment_halves", "single_logit")


def _check_label_set(fields: Mapping[str, Any], label_set: LabelSet, where: str) -> None:
    """Raise `RecipeError` if a field does not fit the labels.

    Of several labels at once, their names may not be known yet.
    """
    kind: ProblemType = label_set.problem_type
    several_or_number = kind in (SEVERAL, NUMBER)
    two = not several_or_number and len(label_set.names) == 2
    if label_set.ordered and (two or several_or_number):
        raise RecipeError(
            f"{where}: `ordered_labels` is for three labels and more, of which a review has one; "
            f"the labels are {label_set}"
        )
    for name in _OF_TWO_LABELS:
        if fields.get(name) and not (two and (name == "single_logit" or label_set == LabelSet())):
            raise RecipeError(
                f"{where}: `{name}` is for NEGATIVE and POSITIVE, and the labels are {label_set}: "
                "leave one of the two out"
            )
    if several_or_number and fields.get("label_smoothing_factor"):
        raise RecipeError(
            f"{where}: `label_smoothing_factor` means nothing where the labels are {label_set}"
        )
    if kind == NUMBER and fields.get("temperature", 1) != 1:
        raise RecipeError(f"{where}: `temperature` means nothing where the label is a number")
    metric = str(fields.get("metric_for_best_model") or "loss").removeprefix("eval_")
    allowed = _METRICS_OF.get(kind, _METRICS_OF_STEPS if label_set.ordered else _METRICS)
    if metric not in allowed:
        raise RecipeError(
            f"{where}: `metric_for_best_model` must be one of {', '.join(allowed)} where the "
            f"labels are {label_set}"
        )


# --- values --------------------------------------------------------------------------------------


@functools.cache
def _type_hints() -> dict[str, Any]:
    """Field -> its type, over all parts of a recipe."""
    return {name: hint for kind in _KINDS for name, hint in typing.get_type_hints(kind).items()}


@functools.cache
def _choices() -> dict[str, Sequence[str]]:
    """Field -> the values that it may have, where these are few."""
    return {
        item.name: list(item.metadata["choices"])
        for kind in _KINDS
        for item in dataclasses.fields(kind)
        if "choices" in item.metadata
    }


def _read_fields(content: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Values of the types that the fields have.

    Raises:
        RecipeError: If a field is unknown, or a value is of another type.
    """
    hints = _type_hints()
    fields: dict[str, Any] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            kind = type(name).__name__
            raise RecipeError(f"{where}: no field `{name}`: a name is text, and this is of {kind}")
        if name in RENAMED_FIELDS:
            logger.warning("%s: `%s` is called `%s` now", where, name, RENAMED_FIELDS[name])
            name = RENAMED_FIELDS[name]
        if name.removeprefix("no_") in hints and name not in hints and value is True:
            name, value = name.removeprefix("no_"), False  # transformers' `--no_FIELD`
        if name not in hints:
            similar = difflib.get_close_matches(str(name), hints, 1)
            hint = f"; did you mean `{similar[0]}`?" if similar else ""
            raise RecipeError(f"{where}: no field `{name}`{hint}")
        try:
            if name == "labels":
                _check_no_truth(value)
            fields[name] = _read_value(name, value, hints[name])
        except ValueError as error:
            raise RecipeError(f"{where}: `{name}` {error}; got {value!r:.200}") from None
    return fields


def _read_value(name: str, value: Any, hint: Any) -> Any:
    """A value of a field's type, from YAML or from text.

    Raises:
        ValueError: If it is none; the message says what it must be.
    """
    _check_plain(value)
    kinds = _kinds_of(hint)
    if value is None or value == "null":
        return _read_null(hint)
    if value is False and name.endswith("_strategy"):
        value = "no"  # which YAML reads as false
    if isinstance(value, (list, tuple, Mapping)):
        return _read_several(value, kinds)
    names = _choices().get(name)
    if names is not None and value not in names:
        raise ValueError(f"must be one of {', '.join(names)}")
    if value is True and bool not in kinds:  # `--field` on the command line, and nothing behind it
        raise ValueError("needs a value")
    if name.endswith("_kwargs") and not str(value).lstrip().startswith("{"):
        raise ValueError("must be a mapping")
    if str in kinds:
        if value is False and bool not in kinds:
            raise ValueError("must be text: put quotes around it if a word is meant")
        return value if isinstance(value, bool) else str(value)
    if any(typing.get_origin(kind) is list for kind in kinds):
        return [str(value)]
    return next((_READERS[kind] for kind in kinds if kind in _READERS), str)(value)


# Levels of lists and mappings in a field: transformers has none with more than three.
_DEEPEST = 8


def _check_plain(value: Any, depth: int = 0) -> None:
    """Raise `ValueError` for what YAML makes of a text, but JSON has no word for."""
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    if isinstance(value, (datetime.date, datetime.time, set, frozenset, bytes)):
        raise ValueError(
            f"is a {type(value).__name__}: put quotes around it if text is meant, and write "
            "several values as a list, [a, b]"
        )
    for item in _words_of(value):
        _check_plain(item, depth + 1)


def _check_no_truth(labels: Any) -> None:
    """Raise `ValueError` for a label that YAML has read as true or false."""
    if any(isinstance(word, bool) for word in _words_of(labels)):
        raise ValueError("has true or false, which YAML makes of yes and no: put them in quotes")


def _words_of(value: Any) -> list[Any]:
    """What is in a list, or in a mapping on both sides."""
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple)) else []


def _read_several(value: Any, kinds: Sequence[Any]) -> Any:
    """A list or a mapping, where the field takes one."""
    wanted = dict if isinstance(value, Mapping) else list
    if not any(wanted in (kind, typing.get_origin(kind)) for kind in kinds):
        raise ValueError(f"takes one value, not {'a mapping' if wanted is dict else 'several'}")
    if wanted is dict:
        return dict(value)
    return [str(item) for item in value if item is not None]


def _read_null(hint: Any) -> Any:
    if type(None) in _kinds_of(hint):
        return None
    if typing.get_origin(hint) is list:
        return []
    raise ValueError("cannot be null: leave it out for its default")


def _read_bool(value: Any) -> bool:
    word = str(value).lower()
    if word in ("true", "t", "yes", "y", "1"):
        return True
    if word in ("false", "f", "no", "n", "0"):
        return False
    raise ValueError("must be true or false")


def _read_int(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise ValueError("must be a whole number")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError("must be a whole number") from None


def _read_number(value: Any) -> int | float:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    number = value if isinstance(value, (int, float)) else _number_of(value)
    if not -math.inf < number < math.inf:
        raise ValueError("must be a finite number")
    return number


def _number_of(text: Any) -> int | float:
    for kind in (int, float):  # YAML takes 1e-3 for text
        with contextlib.suppress(TypeError, ValueError):
            number: int | float = kind(text)
            return number
    raise ValueError("must be a number")


_READERS: dict[Any, Any] = {bool: _read_bool, int: _read_int, float: _read_number}


def _kinds_of(hint: Any) -> tuple[Any, ...]:
    """The types that a field may have."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _as_float(value: Any, hint: Any) -> Any:
    return float(value) if float in _kinds_of(hint) and isinstance(value, int) else value


def _computes_in_bf16(use_cpu: bool) -> bool:
    on_gpu = torch.cuda.is_available() and not use_cpu
    return computes_in_bf16(torch.device("cuda" if on_gpu else "cpu"))
