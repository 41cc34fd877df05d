"""From a recipe to a finished model folder: reviews, tokenizer, `Trainer`, metrics, pictures.

A *recipe* is everything that determines a training run: a YAML file of flat fields (see
`scripts/recipes/`), any of which the command line may override. The fields are those of
`ReviewArguments`, `TokenizerArguments`, `SentimentLSTMConfig` and transformers'
`TrainingArguments`.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import itertools
import json
import logging
import math
import os
import platform
import shutil
import time
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import datasets
import numpy as np
import torch
import yaml
from datasets.fingerprint import Hasher
from matplotlib.figure import Figure
from tokenizers import Tokenizer
from tqdm.auto import tqdm
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    HfArgumentParser,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import ExportableState
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from .configuration_sentiment_lstm import SentimentLSTMConfig
from .inference import predict_probabilities
from .metrics import SentimentMetrics, compute_metrics
from .modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from .reviews import load_reviews
from .tokenization import DEFAULT_FACE, TUTORIAL_FACE, train_tokenizer

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"
RESULTS_FILE = "results.json"
CURVES_FILE = "learning_curves.png"


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
        self.save_steps = self.eval_steps or 0
        super().__post_init__()


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
    fields = _explicit_fields(_as_arguments(content), str(path))
    fields |= _explicit_fields(overrides, "command line")
    _check_sources(fields, str(path))
    fields.setdefault("output_dir", f"runs/{Path(path).stem}")
    try:
        parts = _RecipeParser().parse_dict(fields)
        SentimentLSTMConfig(**dataclasses.asdict(parts[2]))  # wrong fields show now, not later
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{path}: {error}") from error
    return Recipe(fields, *parts)


def train(recipe: Recipe) -> Path:
    """Train a model and write its folder; go on where an interrupted run of it stopped.

    The folder (`output_dir`) ends up with weights, config and tokenizer, the recipe as run
    (`recipe.yaml`), `results.json` and `learning_curves.png`. Until then it also holds the best
    and the latest checkpoint.

    Args:
        recipe: What to do.

    Returns:
        The model folder.

    Raises:
        RecipeError: If the folder holds something else than a run of this recipe.
        ReviewError: If reviews cannot be read.
    """
    arguments = recipe.training
    folder = Path(str(arguments.output_dir))
    started = time.perf_counter()
    with arguments.main_process_first(desc="reading the reviews"):
        reviews = _load(recipe.reviews)
        results: dict[str, Any] = {
            "recipe": recipe.fields,
            "reviews": _describe(reviews),
            "bf16": arguments.bf16,
        }
        if _is_finished(folder, results):
            logger.warning("%s is finished: nothing to do", folder)
            return folder
        tokenizer = _claim(folder, recipe, results, reviews["train"])
        max_length = recipe.tokenizer.max_train_length
        train_tokens = _tokenize(reviews["train"], tokenizer, max_length)
        validation_tokens = _tokenize(reviews["validation"], tokenizer, None)

    trainer = _trainer(recipe, tokenizer, train_tokens, validation_tokens)
    checkpoint = _last_checkpoint(folder)
    prepared = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trained = time.perf_counter()
    if trainer.is_world_process_zero():
        # Without the wrapper that keeps computing in bf16: what counts is what the folder gives.
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        results |= _results(recipe, trainer.state, model)
        results["metrics"] = {
            f"{split}/{source}": evaluate(model, tokenizer, dataset)
            for split in ("validation", "test")
            for source, dataset in reviews[split].items()
        }
        results["training"]["resumed_from"] = checkpoint and checkpoint.name
        results["wall_time_seconds"] = {
            "prepare": round(prepared - started, 1),
            "train": round(_Clock.of(trainer).seconds, 1),
            "evaluate": round(time.perf_counter() - trained, 1),
        }
        _finish(folder, model, results)
    trainer.accelerator.wait_for_everyone()
    return folder


def evaluate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reviews: datasets.Dataset
) -> dict[str, Any]:
    """Measure a model on labelled reviews, read whole, as `predict` and the pipeline read them.

    Args:
        model: A sequence classifier.
        tokenizer: Its tokenizer.
        reviews: Columns `text` and `label`.

    Returns:
        The metrics of `SentimentMetrics`, and `reviews`, their number.
    """
    was_training = model.training
    model.eval()
    probabilities = np.stack(list(predict_probabilities(model, tokenizer, _texts([reviews]))))
    model.train(was_training)
    metrics = SentimentMetrics().compute(predictions=probabilities, references=reviews["label"])
    return {"reviews": len(reviews), **metrics}


class SentimentTrainer(Trainer):
    """`Trainer` whose length-grouped batches come in random order and can be resumed exactly."""

    def _get_train_sampler(
        self, train_dataset: datasets.Dataset | None = None
    ) -> torch.utils.data.Sampler[int] | None:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        # Not of `train_dataset`, from which Trainer has taken the columns that the model lacks.
        dataset: Any = self.train_dataset
        return LengthGroupedBatches(
            self.args.train_batch_size * self.args.gradient_accumulation_steps,
            lengths=list(dataset[self.args.length_column_name]),
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
        )

    def _get_eval_sampler(self, eval_dataset: Any) -> torch.utils.data.Sampler[int] | None:
        # The order is that of the dataset, which `train` sorts by length once; Trainer's own
        # grouping would measure the length of every review at every validation.
        return torch.utils.data.SequentialSampler(eval_dataset)


class _Clock(TrainerCallback, ExportableState):
    """Seconds spent in training up to now, those before the last checkpoint included."""

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    @classmethod
    def of(cls, trainer: Trainer) -> _Clock:
        """The clock of a trainer, which replaces its callbacks when it resumes."""
        callbacks = trainer.callback_handler.callbacks
        return next(callback for callback in callbacks if isinstance(callback, cls))

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def state(self) -> dict[str, Any]:
        return {"args": {"before": self.seconds}, "attributes": {}}


class LengthGroupedBatches(LengthGroupedSampler):
    """Batches of similar length, in an order that only the seed and the epoch decide.

    transformers' own sampler leaves the batches of each group of 50 sorted by length, so that the
    loss follows the lengths up and down, and draws from the global generator, so that a run
    resumed in the middle of an epoch sees other reviews (transformers issue 46628).

    Args:
        batch_size: Reviews in a batch.
        lengths: Tokens in each review.
        seed: Together with the epoch, decides the order.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Trainer calls it before each one, also when it resumes."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        indices = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        batches = [
            indices[start : start + self.batch_size]
            for start in range(0, len(indices), self.batch_size)
        ]
        # A last batch of fewer reviews stays last, so that no other one is cut in two.
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        order = torch.randperm(len(batches), generator=generator).tolist()
        return itertools.chain.from_iterable([batches[index] for index in order] + last)


# --- reading recipes -----------------------------------------------------------------------------


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


def _as_arguments(fields: Mapping[str, Any]) -> list[str]:
    """A YAML mapping as command-line arguments, so that both are read by the same rules."""
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
    if not fields.get("train") or not fields.get("validation"):
        raise RecipeError(f"{path}: name the reviews: `train` and `validation` are needed")
    for split in ("train", "validation", "test"):
        sources = fields.get(split) or []
        for source in sources:
            if sources.count(source) > 1:
                raise RecipeError(f"{path}: `{split}` names {source} more than once")


# --- preparing -----------------------------------------------------------------------------------

# Split -> source -> its reviews.
_Reviews = dict[str, dict[str, datasets.Dataset]]


def _load(arguments: ReviewArguments) -> _Reviews:
    on_bad_line: Any = arguments.on_bad_line
    return {
        split: {source: load_reviews(source, on_bad_line=on_bad_line) for source in sources}
        for split, sources in [
            ("train", arguments.train),
            ("validation", arguments.validation),
            ("test", arguments.test),
        ]
    }


def _describe(reviews: _Reviews) -> dict[str, dict[str, dict[str, Any]]]:
    """What identifies the reviews: number, positive ones, and a fingerprint of their content."""
    return {
        split: {
            source: {
                "reviews": len(dataset),
                "positive": _count_positive(dataset),
                "fingerprint": dataset._fingerprint,
            }
            for source, dataset in parts.items()
        }
        for split, parts in reviews.items()
    }


def _count_positive(dataset: datasets.Dataset) -> int:
    labels = dataset.select_columns("label").with_format("numpy")
    return sum(int(batch["label"].sum()) for batch in labels.iter(batch_size=100_000))


# Fields that say where a run is written and how it is watched, but change nothing of its outcome.
_INCIDENTAL_FIELDS = {
    "output_dir",
    "disable_tqdm",
    "logging_steps",
    "log_level",
    "report_to",
    "run_name",
    "dataloader_num_workers",
    "hub_token",
}


def _is_finished(folder: Path, results: dict[str, Any]) -> bool:
    """Whether the folder holds this run, finished.

    Raises:
        RecipeError: If it holds anything but this run or the beginning of it.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    advice = "choose another output_dir, or delete the folder to start anew"
    if not (folder / RESULTS_FILE).exists():
        raise RecipeError(f"{folder}: not empty, and no training run; {advice}")
    found = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(results))
    recipes = found.get("recipe", {}), wanted["recipe"]
    different = [
        f"`{name}` was {recipes[0].get(name, 'left out')}, is {recipes[1].get(name, 'left out')}"
        for name in sorted(recipes[0].keys() | recipes[1].keys())
        if name not in _INCIDENTAL_FIELDS and recipes[0].get(name) != recipes[1].get(name)
    ]
    if different:
        raise RecipeError(f"{folder}: holds another run: {'; '.join(different)}; {advice}")
    if found.get("reviews") != wanted["reviews"]:
        raise RecipeError(f"{folder}: holds a run on other reviews of the same names; {advice}")
    if "metrics" not in found and found["bf16"] != wanted["bf16"]:
        words = {True: "bf16", False: "fp32"}
        logger.warning(
            "%s: begun in %s, goes on in %s: the result will differ a little from that of a run "
            "on one machine",
            folder,
            words[found["bf16"]],
            words[wanted["bf16"]],
        )
    return "metrics" in found


def _claim(
    folder: Path, recipe: Recipe, results: dict[str, Any], reviews: dict[str, datasets.Dataset]
) -> PreTrainedTokenizerFast:
    """Give the folder to this run, or find that it has been: write recipe and tokenizer."""
    if (folder / RESULTS_FILE).exists():  # written after the tokenizer, which thus is whole
        loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
        return loaded
    arguments = recipe.tokenizer
    tokenizer = train_tokenizer(
        tqdm(_texts(reviews.values()), "words", sum(map(len, reviews.values())), unit=" reviews"),
        min_frequency=arguments.min_frequency,
        vocab_size=arguments.max_vocab_size,
        **(TUTORIAL_FACE if arguments.tutorial_tokenizer else DEFAULT_FACE),
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    recipe_text = yaml.safe_dump(recipe.fields, sort_keys=False, allow_unicode=True)
    (folder / RECIPE_FILE).write_text(recipe_text, encoding="utf-8")
    _write_json(folder / RESULTS_FILE, results)
    return tokenizer


def _last_checkpoint(folder: Path) -> Path | None:
    """The latest whole checkpoint; a run that was killed while it saved leaves half a one."""
    # Trainer writes this file after all the others.
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def _texts(datasets_: Iterable[datasets.Dataset]) -> Iterator[str]:
    for dataset in datasets_:
        for batch in dataset.iter(batch_size=1000):
            yield from batch["text"]


def _tokenize(
    reviews: dict[str, datasets.Dataset], tokenizer: PreTrainedTokenizerFast, max_length: int | None
) -> datasets.Dataset:
    """Reviews as `input_ids`, `length` and `labels`, memory-mapped and cached by content."""
    dataset = datasets.concatenate_datasets(list(reviews.values()))
    # A copy as the tokenizer was trained: use of a tokenizer leaves truncation settings in it, and
    # what is cached should depend on its words alone.
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()

    def tokenize(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        # Without offsets, which nobody needs here: 1.4 times faster than calling the tokenizer.
        encodings = backend.encode_batch_fast(batch["text"])
        token_ids = [encoding.ids[:max_length] for encoding in encodings]
        return {
            "input_ids": token_ids,
            "length": [len(ids) for ids in token_ids],
            "labels": batch["label"],
        }

    return dataset.map(
        tokenize,
        batched=True,
        remove_columns=["text", "label"],
        features=datasets.Features(
            {
                "input_ids": datasets.List(datasets.Value("int32")),
                "length": datasets.Value("int32"),
                "labels": dataset.features["label"],
            }
        ),
        new_fingerprint=Hasher.hash([dataset._fingerprint, backend.to_str(), max_length]),
        desc="tokenizing",
    )


def _trainer(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    train_tokens: datasets.Dataset,
    validation_tokens: datasets.Dataset,
) -> SentimentTrainer:
    arguments = recipe.training
    steps_per_epoch = math.ceil(
        len(train_tokens)
        / arguments.train_batch_size
        / arguments.gradient_accumulation_steps
        / arguments.world_size
    )
    if arguments.eval_steps is not None and arguments.eval_steps >= 1:  # below: a share of all
        # At least twice an epoch, where the recipe's rhythm is made for more reviews.
        arguments.eval_steps = max(1, min(int(arguments.eval_steps), steps_per_epoch // 2))
        arguments.save_steps = arguments.eval_steps
    set_seed(arguments.seed)
    config = SentimentLSTMConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        **dataclasses.asdict(recipe.model),
    )
    patience = arguments.early_stopping_patience
    return SentimentTrainer(
        model=SentimentLSTMForSequenceClassification(config),
        args=arguments,
        train_dataset=train_tokens,
        eval_dataset=validation_tokens.select(np.argsort(validation_tokens["length"])),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
        callbacks=[_Clock(), *([] if patience is None else [EarlyStoppingCallback(patience)])],
    )


def _computes_in_bf16(use_cpu: bool) -> bool:
    """Whether the device has bf16 arithmetic; elsewhere it is emulated, and slower than fp32."""
    if torch.cuda.is_available() and not use_cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


# --- finishing -----------------------------------------------------------------------------------

_REPORTED_PACKAGES = ("sentiment-lstm", "torch", "transformers", "datasets", "tokenizers")


def _results(recipe: Recipe, state: TrainerState, model: PreTrainedModel) -> dict[str, Any]:
    arguments = recipe.training
    return {
        "seed": arguments.seed,
        "parameters": model.num_parameters(),
        "vocab_size": model.config.vocab_size,
        "training": {
            "steps": state.global_step,
            "epochs": state.epoch,
            "best_step": state.best_global_step,
            "best_validation_loss": state.best_metric,
            "log": state.log_history,
        },
        "machine": {
            "device": str(arguments.device),
            "threads": torch.get_num_threads(),
            "processes": arguments.world_size,
            "bf16": arguments.bf16,
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in _REPORTED_PACKAGES},
    }


def _finish(folder: Path, model: PreTrainedModel, results: dict[str, Any]) -> None:
    """Write the model, the picture and, last of all, the results that mark the run as finished."""
    model.save_pretrained(folder)
    _draw_learning_curves(results["training"]["log"], folder / CURVES_FILE)
    _write_json(folder / RESULTS_FILE, results)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _write_json(path: Path, content: Any) -> None:
    """Write as a whole or not at all, since an interrupted run is judged by this file."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _draw_learning_curves(log: list[dict[str, float]], path: Path) -> None:
    """Draw the losses and the validation accuracy over the steps."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for axes, key, label in [
        (losses, "loss", "training"),
        (losses, "eval_loss", "validation"),
        (accuracies, "eval_accuracy", "validation"),
    ]:
        points = [(entry["step"], entry[key]) for entry in log if key in entry]
        axes.plot(*zip(*points, strict=True), marker=".", label=label)
    losses.set(xlabel="step", ylabel="loss (nats)")
    accuracies.set(xlabel="step", ylabel="accuracy")
    for axes in (losses, accuracies):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
