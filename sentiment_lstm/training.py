"""From a recipe to a finished model folder: reviews, tokenizer, `Trainer`, metrics, pictures."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import platform
import shutil
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    TrainerState,
    set_seed,
)

from .configuration_sentiment_lstm import SentimentLSTMConfig
from .inference import predict_probabilities
from .metrics import SentimentMetrics, compute_metrics
from .modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from .recipes import Recipe, RecipeError, ReviewArguments
from .reviews import load_reviews
from .tokenization import DEFAULT_FACE, TUTORIAL_FACE, train_tokenizer
from .trainer import Clock, SentimentTrainer

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"
RESULTS_FILE = "results.json"
CURVES_FILE = "learning_curves.png"


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
            "train": round(Clock.of(trainer).seconds, 1),
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
        callbacks=[Clock(), *([] if patience is None else [EarlyStoppingCallback(patience)])],
    )


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
