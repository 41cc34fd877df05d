"""A training run: claim a folder, train or resume, and leave a finished model folder."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainerState
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from ..data.dataset import label_set_of
from ..data.labels import BINARY, NUMBER, LabelSet
from ..data.sources import file_digest
from ..evaluation.evaluate import (
    Predictions,
    calibrate,
    measure,
    predict_reviews,
    predict_tokens,
)
from ..evaluation.figures import draw_all
from ..evaluation.recipe_files import dump_recipe, rename_fields
from ..evaluation.results import BySource, Results, ResultsError, Run, read_results, read_run
from ..files import (
    LOCK_FILE,
    RECIPE_FILE,
    RESULTS_FILE,
    RUN_FILE,
    naming_full_disk,
    sync_folder,
    unfinished,
    write_text,
)
from ..inference.predictor import ModelError, SentimentPredictor, load_model
from ..locks import hold_for_job
from ..modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from ..tokenization import save_tokenizer
from .checkpoints import STAGING_FOLDER, newest_whole_checkpoint
from .preprocessing import Reviews, load_all, make_tokenizer, tokenize, training_tokens
from .pretraining import SentimentLSTMForPreTraining
from .pushing import find_repository, push_finished
from .recipe import Recipe, RecipeError
from .starting import classifier_config, files_to_start_from, kept_tokenizer
from .trainer import ModelClass, TrainingTimer, make_trainer

logger = logging.getLogger(__name__)


def train(recipe: Recipe) -> Path:
    """Train a model and write its folder; resume where an interrupted run of it stopped.

    The folder (`output_dir`) ends up with weights, config and tokenizer, the recipe as run
    (`recipe.yaml`), `results.json` and pictures (see `draw_all`). Until then it also holds
    `run.json`, which says whose it is, and the best and the latest checkpoint. With `push_to_hub`
    it is pushed with its card, also if it was finished before.

    Args:
        recipe: What to do.

    Returns:
        The model folder.

    Raises:
        DiskFullError: If the disk is full; what was done is kept, and the same call resumes.
        HubError: If a push would fail, before anything is done, or if the last one fails.
        LockedError: If another process is at work in the folder; the message says which.
        RecipeError: If the folder holds something else than a run of this recipe, or the weights
            to start from do not fit.
        ReviewError: If reviews cannot be read.
        SoftLabelError: If the soft labels are none, or not those of the reviews.
    """
    recipe.check_task("classification")
    classifier_config(recipe)  # what does not fit the classifier to start from shows at once
    return _run(recipe, SentimentLSTMForSequenceClassification)


def pretrain(recipe: Recipe) -> Path:
    """Train the first layer of a model as a language model, on texts with labels and without.

    The folder holds a `SentimentLSTMModel` for `init_from`, and what `train` writes besides.

    Args:
        recipe: What to do. Texts are those of `train` and `unlabelled`.

    Returns:
        The model folder.

    Raises:
        DiskFullError: See `train`.
        LockedError: See `train`.
        RecipeError: See `train`.
        ReviewError: See `train`.
    """
    recipe.check_task("pretraining")
    return _run(recipe, SentimentLSTMForPreTraining)


def _run(recipe: Recipe, model_class: ModelClass) -> Path:
    folder = Path(str(recipe.training.output_dir))
    is_main = recipe.training.process_index == 0
    with (
        naming_full_disk(folder),
        hold_for_job(folder / LOCK_FILE, str(folder), is_main),
    ):
        pushes = recipe.training.push_to_hub and is_main
        repository = find_repository(recipe.training) if pushes else None
        _train(recipe, model_class, folder)
        if repository is not None:
            push_finished(folder, repository, recipe.training)
    return folder


def _train(recipe: Recipe, model_class: ModelClass, folder: Path) -> None:
    arguments = recipe.training
    started = time.perf_counter()
    with arguments.main_process_first(desc="reading the reviews"):
        reviews = load_all(recipe.reviews)
        run = Run(
            recipe=dict(recipe.fields),
            reviews=_describe(reviews),
            bf16=bool(arguments.bf16),
            model=model_class.__name__,
            files={name: file_digest(path) for name, path in _files_of(recipe).items()},
        )
        if _is_finished(folder, run):
            if arguments.process_index == 0:
                _clean_up(folder)
            logger.warning("%s is finished: nothing to do", folder)
            return
        tokenizer = _claim(folder, recipe, run, reviews)
        labels = model_class is SentimentLSTMForSequenceClassification
        train_tokens = training_tokens(recipe, tokenizer, reviews, labels)
        validation_tokens = tokenize(list(reviews["validation"].values()), tokenizer)
        checkpoint = newest_whole_checkpoint(folder)

    trainer = make_trainer(recipe, tokenizer, train_tokens, validation_tokens, model_class)
    prepared = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trained, training_seconds = time.perf_counter(), TrainingTimer.of(trainer).seconds
    if trainer.is_world_process_zero():
        # Without the wrapper that keeps computing in bf16: what counts is what the folder gives.
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        metrics: BySource = {}
        label_set = BINARY
        if isinstance(model, SentimentLSTMForSequenceClassification):
            label_set = LabelSet.of_config(model.config)
            predictor = SentimentPredictor(model, tokenizer)
            metrics = _evaluate(predictor, reviews, validation_tokens, arguments.calibrate)
        results = Results(
            **vars(run),
            seed=arguments.seed,
            parameters=model.num_parameters(),
            vocab_size=model.config.vocab_size,
            training=_training(trainer.state) | {"resumed_from": checkpoint and checkpoint.name},
            machine=_machine(recipe),
            versions={name: version(name) for name in _REPORTED_PACKAGES},
            metrics=metrics,
            wall_time_seconds={
                "prepare": round(prepared - started, 1),
                "train": round(training_seconds, 1),
                "evaluate": round(time.perf_counter() - trained, 1),
            },
            label_set=None if label_set == BINARY else label_set.as_dict(),
        )
        _finish(folder, model, results)
    trainer.accelerator.wait_for_everyone()


# --- preparing -----------------------------------------------------------------------------------


def _describe(reviews: Reviews) -> BySource:
    """What identifies the reviews: number, positive ones, and a fingerprint of their content."""
    return {
        split: {source: _describe_part(dataset) for source, dataset in parts.items()}
        for split, parts in reviews.items()
    }


def _describe_part(dataset: datasets.Dataset) -> dict[str, Any]:
    description: dict[str, Any] = {"reviews": len(dataset), "fingerprint": dataset._fingerprint}
    if "label" in dataset.column_names:
        description |= _describe_labels(dataset)
    return description


def _describe_labels(dataset: datasets.Dataset) -> dict[str, Any]:
    """How many reviews have which label."""
    label_set = label_set_of(dataset)
    if label_set == BINARY:
        return {"positive": _count_positive(dataset)}
    if label_set.problem_type == NUMBER:
        numbers = dataset["label"][:]
        return {"lowest": min(numbers), "highest": max(numbers)}
    counts = [0] * len(label_set.names)
    for batch in dataset.select_columns("label").iter(batch_size=10_000):
        for label in batch["label"]:
            for number in label if isinstance(label, list) else [label]:
                counts[number] += 1
    return {"labels": dict(zip(label_set.names, counts, strict=True))}


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
    "push_to_hub",
    "hub_model_id",
    "hub_strategy",
    "hub_token",
    "hub_private_repo",
    "hub_always_push",
    "hub_revision",
}


def _is_finished(folder: Path, run: Run) -> bool:
    """Whether the folder holds this run, finished.

    Raises:
        RecipeError: If it holds anything but this run or the beginning of it.
    """
    if not _is_claimed(folder):
        return False
    advice = "choose another output_dir, or delete the folder to start anew"
    try:
        found, finished = _read_claim(folder)
    except FileNotFoundError:
        raise RecipeError(
            f"{folder}: not empty, and no training run, which has a {RUN_FILE} or, finished, a "
            f"{RESULTS_FILE}; {advice}"
        ) from None
    file = folder / (RESULTS_FILE if finished else RUN_FILE)
    _refuse_another_run(folder, found, run, f"{advice} (it says so in {file})")
    if finished:
        _refuse_damaged_weights(folder)
        _refuse_changed_files(folder, found)
        _refuse_damaged_model(folder, found)
    if not finished and found.bf16 != run.bf16:
        words = {True: "bf16", False: "fp32"}
        logger.warning(
            "%s: begun in %s, resumed in %s: the result will differ a little from that of a run "
            "on one machine",
            folder,
            words[found.bf16],
            words[run.bf16],
        )
    return finished


def _is_claimed(folder: Path) -> bool:
    """Whether there is more in a folder than a lock, and a claim that was being written."""
    if not folder.exists():
        return False
    return bool({*folder.iterdir()} - {folder / LOCK_FILE, *unfinished(folder, RUN_FILE)})


def _read_claim(folder: Path) -> tuple[Run, bool]:
    """Which run a folder holds, and whether it is finished.

    Raises:
        FileNotFoundError: If it holds none.
    """
    if not (folder / RESULTS_FILE).exists():
        return read_run(folder / RUN_FILE), False
    try:
        return read_results(folder / RESULTS_FILE), True
    except ResultsError as error:
        # Version 0.1 claimed a folder with results that lack the metrics.
        raise RecipeError(
            f"{error}; it may have been begun by version 0.1, whose checkpoints cannot be resumed"
        ) from error


def _refuse_changed_files(folder: Path, found: Run) -> None:
    for name in _changed_files(folder, found):
        raise RecipeError(
            f"{folder}: {name} is not what the finished run wrote, and so its model is damaged: "
            "put the file back, or delete the folder to train anew"
        )


def _changed_files(folder: Path, run: Run) -> list[str]:
    """Which of the files that a run has recorded are not what it wrote."""
    return [
        name
        for name, digest in run.written.items()
        if not (folder / name).is_file() or file_digest(folder / name) != digest
    ]


def _refuse_damaged_weights(folder: Path) -> None:
    try:
        with safe_open(folder / SAFE_WEIGHTS_NAME, framework="pt") as weights:
            names = list(weights.keys())
            damaged = [name for name in names if not weights.get_tensor(name).isfinite().all()]
        reason = f"{damaged[0]} is not finite" if damaged else None
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
    if reason is not None:
        raise RecipeError(
            f"{folder / SAFE_WEIGHTS_NAME}: the run is finished, but its weights are damaged "
            f"({reason}): put the file back, or delete the folder to train anew"
        )


def _refuse_damaged_model(folder: Path, found: Run) -> None:
    if found.model == SentimentLSTMForSequenceClassification.__name__:
        try:
            load_model(folder)
        except ModelError as error:
            raise RecipeError(
                f"{error}. The run is finished, but its model is damaged: put the files back, or "
                "delete the folder to train anew"
            ) from error


def _refuse_another_run(folder: Path, found: Run, run: Run, advice: str) -> None:
    wanted = json.loads(json.dumps(dataclasses.asdict(run)))
    was, now = rename_fields(found.recipe), wanted["recipe"]
    different = [
        f"`{name}` was {was.get(name, 'left out')}, is {now.get(name, 'left out')}"
        for name in sorted(was.keys() | now.keys())
        if name not in _INCIDENTAL_FIELDS and was.get(name) != now.get(name)
    ]
    if different:
        raise RecipeError(f"{folder}: holds another run: {'; '.join(different)}; {advice}")
    if found.model != run.model:
        raise RecipeError(
            f"{folder}: holds a {found.model}, which is not what is asked for; {advice}"
        )
    same_files, same_reviews = found.files == wanted["files"], _same_reviews(found, run)
    for part, same in [("reviews", same_reviews), ("files", same_files)]:
        if not same:
            raise RecipeError(f"{folder}: holds a run on other {part} of the same names; {advice}")


def _same_reviews(found: Run, run: Run) -> bool:
    """Whether two runs read the same reviews.

    Fingerprints of version 0.1 (16 digits) are of another kind: there the numbers have to do.
    """

    def facts(of: Run) -> list[Any]:
        return [
            (split, source, {**fact, "fingerprint": None} if old else fact)
            for split, parts in of.reviews.items()
            for source, fact in parts.items()
        ]

    fingerprints = [f.get("fingerprint") or "" for p in found.reviews.values() for f in p.values()]
    old = any(len(fingerprint) == 16 for fingerprint in fingerprints)
    return facts(found) == facts(run)


def _claim(folder: Path, recipe: Recipe, run: Run, reviews: Reviews) -> PreTrainedTokenizerFast:
    """Give the folder to this run, or find that it has been: write tokenizer and recipe."""
    # Before all else: wherever the run is stopped from now on, the folder says whose it is.
    if not (folder / RUN_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        run.write(folder / RUN_FILE)
    claimed = read_run(folder / RUN_FILE)
    changed = _changed_files(folder, claimed)
    # Earlier versions recorded nothing, and wrote the recipe when the tokenizer was whole.
    is_written = bool(claimed.written) or (folder / RECIPE_FILE).exists()
    if is_written and not changed:
        tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    else:
        tokenizer = _write_tokenizer(folder, recipe, claimed, changed, reviews)
    _write_recipe(folder / RECIPE_FILE, dump_recipe(recipe.fields))
    return tokenizer


def _write_tokenizer(
    folder: Path, recipe: Recipe, claimed: Run, changed: list[str], reviews: Reviews
) -> PreTrainedTokenizerFast:
    """Make the tokenizer, anew if files of it have changed, and record what was written."""
    tokenizer = None
    if claimed.model == SentimentLSTMForSequenceClassification.__name__:
        tokenizer = kept_tokenizer(recipe)
    if tokenizer is None:
        tokenizer = make_tokenizer(recipe.tokenizer, reviews)
    written = {path.name: file_digest(path) for path in save_tokenizer(tokenizer, folder)}
    sync_folder(folder)
    if changed and written != claimed.written:
        raise RecipeError(
            f"{folder / changed[0]}: is damaged, and what is made of the reviews now is another: "
            "put the file back, or delete the folder to start anew"
        )
    for name in changed:
        logger.warning("%s: is missing or damaged; it is made anew", folder / name)
    dataclasses.replace(claimed, written=written).write(folder / RUN_FILE)
    return tokenizer


def _write_recipe(path: Path, text: str) -> None:
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)


def _files_of(recipe: Recipe) -> dict[str, Path]:
    """Field of the recipe -> the file of an earlier run that it brings in; see `Run.files`."""
    files: dict[str, Path] = {}
    if recipe.training.init_from is not None:
        files |= files_to_start_from(recipe.training.init_from)
    if recipe.reviews.soft_labels is not None:
        files["soft_labels"] = Path(recipe.reviews.soft_labels)
    if recipe.tokenizer.extra_words is not None:
        files["extra_words"] = Path(recipe.tokenizer.extra_words)
    for name, path in files.items():
        if not path.is_file():
            raise RecipeError(f"{name}: there is no file {path} in {Path.cwd()}")
    return files


# --- finishing -----------------------------------------------------------------------------------

_REPORTED_PACKAGES = ("sentiment-lstm", "torch", "transformers", "datasets", "tokenizers")


def _evaluate(
    predictor: SentimentPredictor,
    reviews: Reviews,
    validation_tokens: datasets.Dataset,
    calibrated: bool,
) -> BySource:
    """Fit the temperature if that is asked for; the metrics of each part in view of it.

    Every review is predicted once. The validation reviews have been tokenised for training, and a
    new temperature needs no new prediction.
    """
    predictions: dict[str, Predictions] = {}
    start = 0
    for source, dataset in reviews["validation"].items():
        tokens = validation_tokens.select(range(start, start + len(dataset)))
        predictions[source] = predict_tokens(predictor, tokens, dataset)
        start += len(dataset)
    is_number = predictor.model.config.problem_type == NUMBER
    if calibrated and not is_number:
        temperature = calibrate(Predictions.concatenate(list(predictions.values())))
        if temperature == 1:
            logger.warning("the validation reviews decide on no temperature: it stays as it is")
        # The probabilities are already those of the recipe's own temperature, if it names one.
        predictor.model.config.temperature *= temperature
        predictions = {source: made.scaled(temperature) for source, made in predictions.items()}
    metrics = {"validation": {source: measure(made) for source, made in predictions.items()}}
    if reviews["test"]:
        metrics["test"] = {
            source: measure(predict_reviews(predictor, dataset))
            for source, dataset in reviews["test"].items()
        }
    return metrics


def _training(state: TrainerState) -> dict[str, Any]:
    return {
        "steps": state.global_step,
        "epochs": state.epoch,
        "best_step": state.best_global_step,
        "best_validation_loss": _best_loss(state),
        "log": state.log_history,
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


def _machine(recipe: Recipe) -> dict[str, Any]:
    return {
        "device": str(recipe.training.device),
        "threads": torch.get_num_threads(),
        "processes": recipe.training.world_size,
        "bf16": recipe.training.bf16,
        "python": platform.python_version(),
    }


def _finish(folder: Path, model: PreTrainedModel, results: Results) -> None:
    """Write the model, the pictures and, last of all, the results that mark the run as finished."""
    kept = model.model if isinstance(model, SentimentLSTMForPreTraining) else model
    needed = sum(weight.nbytes for weight in kept.state_dict().values())
    with naming_full_disk(folder / SAFE_WEIGHTS_NAME, needed):
        kept.save_pretrained(folder)
    draw_all(results.redact(), folder)  # pictures leave the machine as they are
    sync_folder(folder)
    names = [CONFIG_NAME, SAFE_WEIGHTS_NAME, *read_run(folder / RUN_FILE).written]
    written = {name: file_digest(folder / name) for name in names}
    dataclasses.replace(results, written=written).write(folder / RESULTS_FILE)
    _clean_up(folder)


def _clean_up(folder: Path) -> None:
    """Remove what only a run in progress needs; one that was killed while it did so leaves some."""
    for file in [folder / RUN_FILE, *unfinished(folder)]:
        file.unlink(missing_ok=True)
    for checkpoint in [*folder.glob("checkpoint-*"), *folder.glob(STAGING_FOLDER)]:
        shutil.rmtree(checkpoint)
