"""From a recipe to a finished model folder: reviews, tokenizer, `Trainer`, metrics, pictures."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import yaml
from datasets.fingerprint import Hasher
from safetensors import SafetensorError
from safetensors.torch import load_file
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

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..data.dataset import file_digest, load_reviews, load_texts
from ..evaluation.figures import draw_all
from ..evaluation.metrics import SentimentMetrics, compute_metrics, fit_temperature
from ..evaluation.results import redact_results
from ..evaluation.slices import has_negation, score_slices
from ..inference.predictor import predict_proba
from ..modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from ..tokenization import DEFAULT_PRESET, TUTORIAL_PRESET, train_tokenizer
from .distillation import SoftLabelError, halves_of, read_soft_labels, text_key
from .pretraining import SentimentLSTMForPreTraining
from .recipe import Recipe, RecipeError, ReviewArguments, TokenizerArguments
from .trainer import EMACallback, SentimentTrainer, TrainingTimer

logger = logging.getLogger(__name__)

ModelClass = type[SentimentLSTMForSequenceClassification] | type[SentimentLSTMForPreTraining]

RECIPE_FILE = "recipe.yaml"
RESULTS_FILE = "results.json"


def train(recipe: Recipe) -> Path:
    """Train a model and write its folder; go on where an interrupted run of it stopped.

    The folder (`output_dir`) ends up with weights, config and tokenizer, the recipe as run
    (`recipe.yaml`), `results.json` and pictures (see `draw_all`). Until then it also holds the best
    and the latest checkpoint.

    Args:
        recipe: What to do.

    Returns:
        The model folder.

    Raises:
        RecipeError: If the folder holds something else than a run of this recipe, or the weights
            to start from do not fit.
        ReviewError: If reviews cannot be read.
        SoftLabelError: If the soft labels are none, or not those of the reviews.
    """
    return _run(recipe, SentimentLSTMForSequenceClassification)


def pretrain(recipe: Recipe) -> Path:
    """Train the first layer of a model as a language model, on texts with labels and without.

    The folder holds a `SentimentLSTMModel` for `init_from`, and what `train` writes besides.

    Args:
        recipe: What to do. Texts are those of `train` and `unlabelled`.

    Returns:
        The model folder.

    Raises:
        RecipeError: See `train`.
        ReviewError: See `train`.
    """
    return _run(recipe, SentimentLSTMForPreTraining)


def _run(recipe: Recipe, model_class: ModelClass) -> Path:
    _check_task(recipe, model_class)
    arguments = recipe.training
    folder = Path(str(arguments.output_dir))
    started = time.perf_counter()
    with arguments.main_process_first(desc="reading the reviews"):
        reviews = _load(recipe.reviews)
        results: dict[str, Any] = {
            "recipe": recipe.fields,
            "reviews": _describe(reviews),
            "bf16": arguments.bf16,
            "model": model_class.__name__,
            "files": {name: file_digest(path) for name, path in _files_of(recipe).items()},
        }
        if _is_finished(folder, results):
            logger.warning("%s is finished: nothing to do", folder)
            return folder
        tokenizer = _claim(folder, recipe, results, reviews)
        labels = model_class is SentimentLSTMForSequenceClassification
        train_tokens = _training_tokens(recipe, tokenizer, reviews, labels)
        validation_tokens = _tokenize(list(reviews["validation"].values()), tokenizer)

    trainer = make_trainer(recipe, tokenizer, train_tokens, validation_tokens, model_class)
    checkpoint = _last_checkpoint(folder)
    prepared = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trained, training_seconds = time.perf_counter(), TrainingTimer.of(trainer).seconds
    if trainer.is_world_process_zero():
        # Without the wrapper that keeps computing in bf16: what counts is what the folder gives.
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        results |= _results(recipe, trainer.state, model)
        results["metrics"] = {}
        if isinstance(model, SentimentLSTMForSequenceClassification):
            results["metrics"] = _measure(recipe, model, tokenizer, reviews)
        results["training"]["resumed_from"] = checkpoint and checkpoint.name
        results["wall_time_seconds"] = {
            "prepare": round(prepared - started, 1),
            "train": round(training_seconds, 1),
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
        The metrics of `SentimentMetrics`; `reviews`, their number; and `slices`, where the model
        is right and where it fails, as `score_slices` gives them.
    """
    was_training = model.training
    model.eval()
    probabilities = np.stack(list(predict_proba(model, tokenizer, _texts([reviews]))))
    model.train(was_training)
    labels = reviews["label"][:]
    lengths: list[int] = []
    negated: list[bool] = []
    for batch in reviews.iter(batch_size=1000):
        encoded = tokenizer(batch["text"], return_attention_mask=False, verbose=False)
        lengths += map(len, encoded["input_ids"])
        negated += map(has_negation, batch["text"])
    return {
        "reviews": len(reviews),
        **SentimentMetrics().compute(predictions=probabilities, references=labels),
        "slices": score_slices(probabilities, labels, lengths, negated),
    }


def make_tokens(
    recipe: Recipe,
) -> tuple[PreTrainedTokenizerFast, datasets.Dataset, datasets.Dataset]:
    """Read and tokenize the reviews of a recipe without a folder for the result.

    Args:
        recipe: What to read.

    Returns:
        The tokenizer, and the training and the validation reviews as `input_ids`, `length` and
        `labels`.

    Raises:
        ReviewError: If reviews cannot be read.
    """
    reviews = _load(recipe.reviews)
    tokenizer = _train_tokenizer(recipe.tokenizer, _training_parts(reviews))
    train_tokens = _training_tokens(recipe, tokenizer, reviews, labels=True)
    return tokenizer, train_tokens, _tokenize(list(reviews["validation"].values()), tokenizer)


def make_trainer(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    train_tokens: datasets.Dataset,
    validation_tokens: datasets.Dataset,
    model_class: ModelClass = SentimentLSTMForSequenceClassification,
    model_fields: Callable[[Any], dict[str, Any]] | None = None,
) -> SentimentTrainer:
    """Make the trainer of a recipe.

    Args:
        recipe: Architecture and training arguments.
        tokenizer: What the reviews were tokenized with.
        train_tokens: Columns `input_ids`, `length` and, for a classifier, `labels`.
        validation_tokens: The same.
        model_class: What to train.
        model_fields: For `Trainer.hyperparameter_search`: from a trial, or None, to the fields of
            the architecture that differ from the recipe's. Each trial then has a model of its own.

    Returns:
        The trainer, with a new model.

    Raises:
        RecipeError: If the weights to start from do not fit.
    """
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

    def make_model(trial: Any = None) -> PreTrainedModel:
        fields = dataclasses.asdict(recipe.model) | (model_fields(trial) if model_fields else {})
        config = SentimentLSTMConfig(
            vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **fields
        )
        model = model_class(config)
        if arguments.init_from is not None:
            _start_from(arguments.init_from, model, tokenizer)
        return model

    patience = arguments.early_stopping_patience
    trainer = SentimentTrainer(
        model=None if model_fields else make_model(),
        model_init=make_model if model_fields else None,
        args=arguments,
        train_dataset=train_tokens,
        eval_dataset=validation_tokens.select(np.argsort(validation_tokens["length"])),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=compute_metrics if "labels" in train_tokens.column_names else None,
        callbacks=[
            TrainingTimer(),
            *([] if patience is None else [EarlyStoppingCallback(patience)]),
        ],
    )
    trainer.add_callback(EMACallback(trainer))
    return trainer


# --- preparing -----------------------------------------------------------------------------------

# Fields that mean nothing to a language model.
_OF_CLASSIFIERS = ("soft_labels", "halves", "test", "adversarial_epsilon", "label_smoothing_factor")


def _check_task(recipe: Recipe, model_class: ModelClass) -> None:
    """Raise `RecipeError` for fields that would be ignored, before anything is written."""
    if model_class is SentimentLSTMForPreTraining:
        for name in _OF_CLASSIFIERS:
            if recipe.fields.get(name):
                raise RecipeError(f"`{name}` means nothing to pretraining: leave it out")
    elif recipe.reviews.soft_labels is None:
        if recipe.reviews.unlabelled:
            raise RecipeError("`unlabelled` texts need `soft_labels` to learn from")
        if recipe.fields.get("soft_label_weight") is not None:
            raise RecipeError("`soft_label_weight` means nothing without `soft_labels`")
        if recipe.reviews.halves:
            raise RecipeError("`halves` need `soft_labels`: half a review has no label of its own")


# Split -> source -> its reviews.
_Reviews = dict[str, dict[str, datasets.Dataset]]


def _load(arguments: ReviewArguments) -> _Reviews:
    on_bad_line: Any = arguments.on_bad_line
    reviews = {
        split: {source: load_reviews(source, on_bad_line=on_bad_line) for source in sources}
        for split, sources in [
            ("train", arguments.train),
            ("validation", arguments.validation),
            ("test", arguments.test),
        ]
    }
    if arguments.unlabelled:
        reviews["unlabelled"] = {path: load_texts(path) for path in arguments.unlabelled}
    return reviews


def _describe(reviews: _Reviews) -> dict[str, dict[str, dict[str, Any]]]:
    """What identifies the reviews: number, positive ones, and a fingerprint of their content."""
    return {
        split: {source: _describe_part(dataset) for source, dataset in parts.items()}
        for split, parts in reviews.items()
    }


def _describe_part(dataset: datasets.Dataset) -> dict[str, Any]:
    description: dict[str, Any] = {"reviews": len(dataset), "fingerprint": dataset._fingerprint}
    if "label" in dataset.column_names:
        description["positive"] = _count_positive(dataset)
    return description


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
    kinds = [found.get("model", SentimentLSTMForSequenceClassification.__name__), wanted["model"]]
    if kinds[0] != kinds[1]:
        raise RecipeError(f"{folder}: holds a {kinds[0]}, which is not what is asked for; {advice}")
    for part in ("reviews", "files"):
        if found.get(part, {}) != wanted[part]:
            raise RecipeError(f"{folder}: holds a run on other {part} of the same names; {advice}")
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
    folder: Path, recipe: Recipe, results: dict[str, Any], reviews: _Reviews
) -> PreTrainedTokenizerFast:
    """Give the folder to this run, or find that it has been: write recipe and tokenizer."""
    if (folder / RESULTS_FILE).exists():  # written after the tokenizer, which thus is whole
        loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
        return loaded
    tokenizer = _train_tokenizer(recipe.tokenizer, _training_parts(reviews))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    recipe_text = yaml.safe_dump(recipe.fields, sort_keys=False, allow_unicode=True)
    (folder / RECIPE_FILE).write_text(recipe_text, encoding="utf-8")
    _write_json(folder / RESULTS_FILE, results)
    return tokenizer


def _train_tokenizer(
    arguments: TokenizerArguments, parts: list[datasets.Dataset]
) -> PreTrainedTokenizerFast:
    return train_tokenizer(
        tqdm(_texts(parts), "words", sum(map(len, parts)), unit=" reviews"),
        min_frequency=arguments.min_frequency,
        vocab_size=arguments.max_vocab_size,
        max_word_pieces=arguments.max_word_pieces,
        mark_title=arguments.mark_title,
        **(TUTORIAL_PRESET if arguments.tutorial_tokenizer else DEFAULT_PRESET),
    )


def _last_checkpoint(folder: Path) -> Path | None:
    """The latest whole checkpoint; a run that was killed while it saved leaves half a one."""
    # Trainer writes this file after all the others.
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def _texts(datasets_: Iterable[datasets.Dataset]) -> Iterator[str]:
    for dataset in datasets_:
        for batch in dataset.iter(batch_size=1000):
            yield from batch["text"]


def _files_of(recipe: Recipe) -> dict[str, Path]:
    """Field of the recipe -> the file of an earlier run that it brings in."""
    files: dict[str, Path] = {}
    if recipe.training.init_from is not None:
        files["init_from"] = Path(recipe.training.init_from, "model.safetensors")
    if recipe.reviews.soft_labels is not None:
        files["soft_labels"] = Path(recipe.reviews.soft_labels)
    for name, path in files.items():
        if not path.is_file():
            raise RecipeError(f"{name}: there is no file {path}")
    return files


def _training_parts(reviews: _Reviews) -> list[datasets.Dataset]:
    """What there is to learn from: the training reviews, then the texts without labels."""
    return [*reviews["train"].values(), *reviews.get("unlabelled", {}).values()]


def _training_tokens(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, reviews: _Reviews, labels: bool
) -> datasets.Dataset:
    """The tokens to train on, with labels, with soft labels, or with none for a language model.

    Raises:
        RecipeError: If there are texts that have neither a label nor a soft one.
    """
    max_length = recipe.tokenizer.max_train_length
    arguments = recipe.reviews
    parts = _training_parts(reviews)
    if not labels:
        return _tokenize([part.select_columns("text") for part in parts], tokenizer, max_length)
    if arguments.soft_labels is None:
        return _tokenize(parts, tokenizer, max_length)
    weight = 0.5 if arguments.soft_label_weight is None else arguments.soft_label_weight
    soften = _Softener(arguments.soft_labels, weight)
    if arguments.halves:
        parts += [_halves(part) for part in parts]
    return _tokenize([soften(part) for part in parts], tokenizer, max_length)


def _halves(dataset: datasets.Dataset) -> datasets.Dataset:
    """Both halves of each text that is long enough, without labels."""

    def cut(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"text": [half for text in batch["text"] for half in halves_of(text)]}

    return dataset.map(
        cut,
        batched=True,
        remove_columns=dataset.column_names,
        features=datasets.Features({"text": datasets.Value("string")}),
        new_fingerprint=Hasher.hash([dataset._fingerprint, "both halves"]),
        desc="halves",
    )


class _Softener:
    """Puts the teacher's probabilities, mixed with the labels, in the place of the labels."""

    def __init__(self, path: str, weight: float) -> None:
        self.path = path
        self.weight = weight
        self.teacher = read_soft_labels(path)

    def __call__(self, dataset: datasets.Dataset) -> datasets.Dataset:
        def soften(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            positive = np.array([self._probability(text) for text in batch["text"]])
            if "label" in batch:
                labels = np.array(batch["label"])
                positive = self.weight * positive + (1 - self.weight) * labels
            return {"label": np.stack([1 - positive, positive], axis=1).tolist()}

        text, soft = datasets.Value("string"), datasets.List(datasets.Value("float32"))
        return dataset.map(
            soften,
            batched=True,
            features=datasets.Features({"text": text, "label": soft}),
            new_fingerprint=Hasher.hash(
                [dataset._fingerprint, file_digest(self.path), self.weight]
            ),
            desc="soft labels",
        )

    def _probability(self, text: str) -> float:
        try:
            return self.teacher[text_key(text)]
        except KeyError:
            raise SoftLabelError(
                f"{self.path}: lacks texts of the recipe, the first of them {text[:60]!r}; let "
                "the teacher read the same sources"
            ) from None


_TOKENIZED_TOGETHER = 200_000


def _tokenize(
    parts: list[datasets.Dataset],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int | None = None,
) -> datasets.Dataset:
    """Reviews as `input_ids`, `length` and, if they have labels, `labels`.

    Memory-mapped, and cached by content, `_TOKENIZED_TOGETHER` reviews in a file: what an
    interruption stops begins anew with the file that was being written (issue 6).
    """
    dataset = datasets.concatenate_datasets(parts)
    # A copy as the tokenizer was trained: use of a tokenizer leaves truncation settings in it, and
    # what is cached should depend on its words alone.
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()

    def tokenize(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
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
            piece.map(
                tokenize,
                batched=True,
                remove_columns=dataset.column_names,
                features=datasets.Features(features),
                new_fingerprint=f"{key}-{start}-{len(piece)}",
                desc=f"tokenizing, {number} of {len(starts)}",
            )
        )
    return datasets.concatenate_datasets(pieces)


_EMBEDDINGS = "embeddings.weight"


@torch.no_grad()
def _start_from(folder: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Copy what a model folder has learned, each word's vector to the same word.

    Raises:
        RecipeError: If it is no model folder, or a weight has another shape.
    """
    try:
        weights = load_file(Path(folder, "model.safetensors"))
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
            "best_validation_loss": _best_loss(state),
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


def _best_loss(state: TrainerState) -> float | None:
    """The validation loss of the chosen step, by whichever metric it was chosen."""
    return next(
        (
            entry["eval_loss"]
            for entry in state.log_history
            if "eval_loss" in entry and entry["step"] == state.best_global_step
        ),
        None,
    )


def _measure(
    recipe: Recipe,
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    reviews: _Reviews,
) -> dict[str, Any]:
    """Fit the temperature if the recipe says so; the metrics of each part in view of it."""
    validation = reviews["validation"].values()
    if recipe.training.calibrate:
        labels = np.concatenate([dataset["label"][:] for dataset in validation])
        probabilities = np.stack(list(predict_proba(model.eval(), tokenizer, _texts(validation))))
        # The probabilities are already those of the recipe's own temperature, if it names one.
        model.config.temperature *= fit_temperature(probabilities, labels)
    return {
        f"{split}/{source}": evaluate(model, tokenizer, dataset)
        for split in ("validation", "test")
        for source, dataset in reviews[split].items()
    }


def _finish(folder: Path, model: PreTrainedModel, results: dict[str, Any]) -> None:
    """Write the model, the pictures and, last of all, the results that mark the run as finished."""
    if isinstance(model, SentimentLSTMForPreTraining):
        model.model.save_pretrained(folder)  # the rest has served
    else:
        model.save_pretrained(folder)
    draw_all(redact_results(results), folder)  # pictures are published as they are
    _write_json(folder / RESULTS_FILE, results)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _write_json(path: Path, content: Any) -> None:
    """Write as a whole or not at all, since an interrupted run is judged by this file."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
