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
import os
import platform
import shutil
import time
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
from tqdm.auto import tqdm
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    HfArgumentParser,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerState,
    TrainingArguments,
    set_seed,
)
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
    auto_bf16: bool = field(
        default=True, metadata={"help": "Train in bf16 where the machine computes in bf16."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after so many validations without a lower loss."},
    )

    def __post_init__(self) -> None:
        """Decide on precision and saving before transformers sets them up."""
        self.use_cpu |= not torch.accelerator.is_available()  # bf16 on a CPU is refused otherwise
        if self.auto_bf16 and not (self.bf16 or self.fp16):
            self.bf16 = _computes_in_bf16(self.use_cpu)
        self.save_steps = self.eval_steps or 0  # the best checkpoint must be one of the saved
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
        path: A YAML file of flat fields.
        overrides: Command-line arguments (`["--learning_rate", "0.001"]`) that take precedence.

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
    if not fields.get("train") or not fields.get("validation"):
        raise RecipeError(f"{path}: name the reviews: `train` and `validation` are needed")
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
        results = {"recipe": recipe.fields, "reviews": _describe(reviews)}
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
            "train": round(trained - prepared, 1),
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
        super().__init__(kinds, allow_abbrev=False, add_help=False)

    def error(self, message: str) -> NoReturn:
        raise RecipeError(message)


def _explicit_fields(arguments: Sequence[str], where: str) -> dict[str, Any]:
    """The fields that command-line arguments set, with values of their types, and no defaults."""
    parser = _RecipeParser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    try:
        namespace, unknown = parser.parse_known_args(list(arguments))
        for name in unknown:
            known = [option for action in parser._actions for option in action.option_strings]
            similar = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise RecipeError(f"no field {name}{hint}")
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    return vars(namespace)


def _as_arguments(fields: Mapping[str, Any]) -> list[str]:
    """A YAML mapping as command-line arguments, so that both are read by the same rules."""
    arguments: list[str] = []
    for name, value in fields.items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        arguments.append(f"--{name}")
        arguments += [json.dumps(v) if isinstance(v, dict) else str(v) for v in values]
    return arguments


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
                "positive": sum(dataset["label"]),
                "fingerprint": dataset._fingerprint,
            }
            for source, dataset in parts.items()
        }
        for split, parts in reviews.items()
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
    for part in ("recipe", "reviews"):
        if found.get(part) != json.loads(json.dumps(results[part])):
            raise RecipeError(f"{folder}: holds a run of another recipe ({part} differ); {advice}")
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

    def tokenize(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        token_ids = tokenizer(
            batch["text"],
            truncation=max_length is not None,
            max_length=max_length,
            return_attention_mask=False,
            verbose=False,
        )["input_ids"]
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
        # The hash of a tokenizer object changes with its use; that of its content does not.
        new_fingerprint=Hasher.hash(
            [dataset._fingerprint, tokenizer.backend_tokenizer.to_str(), max_length]
        ),
        desc="tokenizing",
    )


def _trainer(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    train_tokens: datasets.Dataset,
    validation_tokens: datasets.Dataset,
) -> SentimentTrainer:
    arguments = recipe.training
    steps_per_epoch = len(train_tokens) / (
        arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    )
    if arguments.eval_steps is not None and arguments.eval_steps >= 1:  # below: a share of all
        # At least twice an epoch, where the recipe's rhythm is made for more reviews.
        arguments.eval_steps = max(1, min(int(arguments.eval_steps), int(steps_per_epoch / 2)))
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
        callbacks=[EarlyStoppingCallback(patience)] if patience is not None else [],
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
