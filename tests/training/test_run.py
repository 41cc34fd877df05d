"""Training on sixty reviews: what a run writes, and that interruptions change nothing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from support import RECIPES, results_of
from transformers import TrainerCallback, pipeline

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.evaluation.evaluate import evaluate
from sentiment_lstm.inference.predictor import SentimentPredictor, load_model
from sentiment_lstm.locks import LockedError, hold
from sentiment_lstm.tokenization import train_tokenizer
from sentiment_lstm.training import run as run_module
from sentiment_lstm.training.recipe import RecipeError, read_recipe
from sentiment_lstm.training.run import pretrain, train
from sentiment_lstm.training.trainer import (
    SentimentTrainer,
    TrainingTimer,
    make_trainer,
)

WriteRecipe = Callable[..., Path]


def test_the_large_recipe_runs_on_a_cpu_in_small(review_file: Path, tmp_path: Path) -> None:
    """All of it but its sizes; that a run resumes is a law of every recipe, tested below."""
    small = {
        "train": f"{review_file}:train[:40]",
        "validation": f"{review_file}:train[40:50]",
        "test": f"{review_file}:train[50:]",
        "output_dir": str(tmp_path / "large"),
        "embedding_size": 3,
        "hidden_size": 10,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "dataloader_num_workers": 1,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    folder = train(read_recipe(RECIPES / "large.yaml", small))
    results = results_of(folder)
    assert results.training["steps"] == 20
    assert set(results.metrics) == {"validation", "test"}


@pytest.mark.usefixtures("real_pictures")
def test_a_run_ends_with_a_whole_model_folder(
    write_recipe: WriteRecipe, recwarn: pytest.WarningsRecorder
) -> None:
    # In bf16 if the machine can: the results must be those of the folder all the same.
    recipe = read_recipe(write_recipe(test="sample:test[:20]", seed=5, bf16=None))
    folder = train(recipe)
    assert {path.name for path in folder.iterdir()} == {
        "accuracy_by_length.png",
        "config.json",
        "configuration_sentiment_lstm.py",
        "confusion_matrix.png",
        "learning_curves.png",
        "model.safetensors",
        "modeling_sentiment_lstm.py",
        "recipe.yaml",
        "reliability_diagram.png",
        "results.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (folder / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    results = results_of(folder)
    assert results.recipe == recipe.fields == yaml.safe_load((folder / "recipe.yaml").read_text())
    assert results.seed == 5
    assert results.reviews["train"][recipe.fields["train"][0]]["reviews"] == 48
    assert list(results.metrics["validation"]) == recipe.fields["validation"]
    assert list(results.metrics["test"]) == ["sample:test[:20]"]
    classify = pipeline("text-classification", model=str(folder))
    assert classify("Great little lamp.")[0]["label"] in ("NEGATIVE", "POSITIVE")
    # What the results say is what the folder gives.
    model, tokenizer = load_model(folder)
    assert model.config.vocab_size == len(tokenizer)
    source = recipe.fields["validation"][0]
    found = evaluate(SentimentPredictor(model, tokenizer), load_reviews(source))
    expected = results.metrics["validation"][source]
    assert found.pop("confusion_matrix") == expected.pop("confusion_matrix")
    assert found.pop("slices")["length"] == expected.pop("slices")["length"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_training_learns(write_recipe: WriteRecipe) -> None:
    folder = train(read_recipe(write_recipe(num_train_epochs=15)))
    results = results_of(folder)
    for _, source, metrics in results.parts():
        assert metrics["accuracy"] == 1.0, source


def test_the_best_checkpoint_is_kept_and_not_the_last(write_recipe: WriteRecipe) -> None:
    # At this rate the loss jumps up and down, so that the two differ.
    path = write_recipe(num_train_epochs=3, learning_rate=0.5, lr_scheduler_type="constant")
    folder = train(read_recipe(path))
    results = results_of(folder)
    log = [entry for entry in results.training["log"] if "eval_loss" in entry]
    best = min(log, key=lambda entry: entry["eval_loss"])
    assert best["step"] == results.training["best_step"] < log[-1]["step"]
    loss = sum(part["loss"] * part["reviews"] for _, _, part in results.parts()) / 12
    assert loss == pytest.approx(best["eval_loss"], rel=1e-4)


def test_early_stopping_stops(write_recipe: WriteRecipe) -> None:
    path = write_recipe(num_train_epochs=50, learning_rate=0.2, early_stopping_patience=2)
    folder = train(read_recipe(path))
    results = results_of(folder)
    assert results.training["epochs"] < 50


@pytest.mark.parametrize(
    ("eval_steps", "expected"),
    [(1000, [6, 12]), (4, [4, 8, 12]), (0.25, [3, 6, 9, 12])],
    ids=["twice an epoch at least", "as said", "a share of all steps"],
)
def test_when_validation_comes(
    eval_steps: float, expected: list[int], write_recipe: WriteRecipe
) -> None:
    folder = train(read_recipe(write_recipe(eval_steps=eval_steps, num_train_epochs=1)))
    results = results_of(folder)
    steps = [entry["step"] for entry in results.training["log"] if "eval_loss" in entry]
    assert steps == expected


class _Stop(TrainerCallback):
    """Ends the process, as it were, at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def stopping_at(step: int, seconds: float = 0.0) -> Callable[..., SentimentTrainer]:
    """What makes a trainer that stops at a step, with so many seconds on its timer."""

    def make(*arguments: Any) -> SentimentTrainer:
        trainer = make_trainer(*arguments)
        trainer.add_callback(_Stop(step))
        TrainingTimer.of(trainer).before += seconds
        return trainer

    return make


# Kinds of runs whose interruption must change nothing.
RESUMED: dict[str, dict[str, Any]] = {
    "group_by_length": {"train_sampling_strategy": "group_by_length"},
    "random": {"train_sampling_strategy": "random"},
    "average, slow words": {"ema_decay": 0.8, "embedding_learning_rate": 1e-4},
    "adversarial": {"adversarial_epsilon": 1.0, "word_dropout": 0.2, "weight_dropout": 0.2},
}


# 12 steps an epoch, a checkpoint every third: the run resumes in the middle of the first epoch,
# at the end of it, and in the middle of the second.
@pytest.mark.parametrize(
    ("kind", "stop"),
    [(kind, stop) for kind in ("group_by_length", "random") for stop in (4, 13, 17)]
    + [("average, slow words", 17), ("adversarial", 17)],
)
def test_resuming_equals_not_stopping(
    kind: str, stop: int, write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(seed=9, **RESUMED[kind])
    folder = train(read_recipe(path))
    expected = load_file(folder / "model.safetensors")
    log = results_of(folder).training["log"]
    shutil.rmtree(folder)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_trainer", stopping_at(stop))
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(path))
    # As if damaged later: a checkpoint without its last file.
    half = shutil.copytree(folder / f"checkpoint-{stop // 3 * 3}", folder / "checkpoint-99")
    (half / "trainer_state.json").unlink()
    train(read_recipe(path))
    results = results_of(folder)
    assert results.training["resumed_from"] == f"checkpoint-{stop // 3 * 3}"
    assert [entry.get("eval_loss") for entry in results.training["log"]] == [
        entry.get("eval_loss") for entry in log
    ]
    for name, weight in load_file(folder / "model.safetensors").items():
        assert torch.equal(weight, expected[name]), name


def test_patience_and_time_are_counted_over_an_interruption(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(num_train_epochs=50, learning_rate=0.2, early_stopping_patience=3)
    folder = train(read_recipe(path))
    log = results_of(folder).training["log"]
    losses = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert losses.index(min(losses)) == len(losses) - 4, "three validations without a better one"
    shutil.rmtree(folder)

    stopped = 3 * (len(losses) - 1) + 1  # with two of the three validations counted
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_trainer", stopping_at(stopped, seconds=1000.0))
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(path))
    train(read_recipe(path))
    results = results_of(folder)
    assert [
        entry["eval_loss"] for entry in results.training["log"] if "eval_loss" in entry
    ] == losses
    assert 1000 < results.wall_time_seconds["train"] < 1100


def test_a_finished_run_is_not_repeated(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe()
    folder = train(read_recipe(path))
    monkeypatch.setattr(SentimentTrainer, "train", None)
    assert train(read_recipe(path)) == folder


def test_a_moved_or_silent_run_is_the_same_run(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    path = write_recipe()
    folder = train(read_recipe(path)).rename(tmp_path / "moved")
    weights = (folder / "model.safetensors").stat().st_mtime_ns
    moved = read_recipe(path, {"output_dir": str(folder), "logging_steps": 5})
    assert train(moved) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights


def test_a_folder_of_version_0_1(write_recipe: WriteRecipe) -> None:
    """Its fingerprints are of another kind, its metrics flat, and its checkpoints not ours."""
    path = write_recipe()
    folder = train(read_recipe(path))
    file = folder / "results.json"
    results = json.loads(file.read_text())
    for parts in results["reviews"].values():
        for facts in parts.values():
            facts["fingerprint"] = "0ddd01e310cf32f8"
    results["metrics"] = {
        f"{split}/{source}": figures
        for split, parts in results["metrics"].items()
        for source, figures in parts.items()
    }
    file.write_text(json.dumps(results))
    weights = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(read_recipe(path)) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights, "it is finished"
    next(iter(results["reviews"]["train"].values()))["reviews"] += 1
    file.write_text(json.dumps(results))
    with pytest.raises(RecipeError, match="on other reviews"):
        train(read_recipe(path))
    del results["metrics"]
    file.write_text(json.dumps(results))
    with pytest.raises(RecipeError, match=r"lacks metrics.*begun by version 0\.1"):
        train(read_recipe(path))


def test_a_folder_of_something_else_is_left_alone(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    path = write_recipe()
    folder = train(read_recipe(path))
    with pytest.raises(RecipeError, match="another run: `seed` was left out, is 1; choose"):
        train(read_recipe(path, {"seed": 1}))
    (folder / "results.json").unlink()
    with pytest.raises(RecipeError, match="no training run"):
        train(read_recipe(path))
    assert (folder / "model.safetensors").exists()


class StoppedError(Exception):
    """The process ends here, as it were."""


def _stop(*_: Any, **__: Any) -> Any:
    raise StoppedError


def _stop_at(place: str, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run that ends where it would call a function of its module."""
    with monkeypatch.context() as patch:
        patch.setattr(run_module, place, _stop)
        with pytest.raises(StoppedError):
            train(read_recipe(recipe))


def _half_a_tokenizer(_: Any, folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "trunc')
    raise StoppedError


@pytest.mark.parametrize(
    ("place", "stop"),
    [
        ("pathlib.Path.replace", _stop),  # the first claim is written, under another name
        ("sentiment_lstm.training.run.make_tokenizer", _stop),
        ("transformers.PreTrainedTokenizerFast.save_pretrained", _half_a_tokenizer),
        ("sentiment_lstm.training.run.write_text", _stop),  # the recipe
        ("sentiment_lstm.training.run.tokenize", _stop),
    ],
    ids=["claim", "words", "tokenizer", "recipe", "tokens"],
)
def test_a_run_stopped_while_it_claims_its_folder_can_be_resumed(
    place: str, stop: Callable[..., Any], write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe()
    made: list[dict[str, int]] = []

    def make(recipe: Any, tokenizer: Any, *_: Any) -> Any:
        made.append(tokenizer.get_vocab())
        raise StoppedError

    monkeypatch.setattr(run_module, "make_trainer", make)
    with monkeypatch.context() as patch:
        patch.setattr(place, stop)
        with pytest.raises(StoppedError):
            train(read_recipe(path))
    assert not made
    folder = path.parent / "run"
    assert (folder / "run.json").exists() or place == "pathlib.Path.replace"
    if (folder / "run.json").exists():
        with pytest.raises(RecipeError, match="another run"):
            train(read_recipe(path, {"seed": 7}))
    for _ in range(2):
        with pytest.raises(StoppedError):
            train(read_recipe(path))
    assert len(made) == 2
    assert len(made[0]) > 30
    assert made[0] == made[1]


def test_what_a_killed_process_was_writing_is_no_claim_and_does_not_stay(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".run.json.0123456789abcdef.part").write_text('{"rec')
    (folder / "run.lock").touch()
    assert train(read_recipe(write_recipe(num_train_epochs=1))) == folder
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
    (folder / "results.json").unlink()
    with pytest.raises(RecipeError, match="not empty, and no training run"):
        train(read_recipe(write_recipe(num_train_epochs=1)))


def test_what_a_killed_clean_up_has_left_is_removed_by_the_next_run(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(num_train_epochs=1)
    _stop_at("_clean_up", path, monkeypatch)
    folder = path.parent / "run"
    results = (folder / "results.json").read_bytes()
    assert list(folder.glob("checkpoint-*"))
    (folder / "run.json").write_bytes(results)
    assert train(read_recipe(path)) == folder
    assert not list(folder.glob("checkpoint-*"))
    assert not (folder / "run.json").exists()
    assert (folder / "results.json").read_bytes() == results


def test_a_damaged_checkpoint_changes_nothing_of_the_result(
    write_recipe: WriteRecipe,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_recipe(seed=9, save_total_limit=2, num_train_epochs=1)
    folder = train(read_recipe(path))
    expected = load_file(folder / "model.safetensors")
    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_trainer", stopping_at(10))
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(path))
    steps = sorted(int(each.name.split("-")[1]) for each in folder.glob("checkpoint-*"))
    assert len(steps) == 2
    (folder / f"checkpoint-{steps[1]}" / "rng_state.pth").unlink()
    train(read_recipe(path))
    assert f"checkpoint-{steps[1]}: rng_state.pth is missing" in caplog.text
    resumed_from = results_of(folder).training["resumed_from"]
    assert resumed_from in (f"checkpoint-{steps[0]}", None)
    for name, weight in load_file(folder / "model.safetensors").items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("damage", ["missing", "short", "not finite", "no weights"])
def test_a_folder_with_damaged_weights_is_not_finished(
    damage: str, write_recipe: WriteRecipe
) -> None:
    path = write_recipe(num_train_epochs=1)
    weights = train(read_recipe(path)) / "model.safetensors"
    if damage == "missing":
        weights.unlink()
    elif damage == "short":
        os.truncate(weights, weights.stat().st_size - 1)
    elif damage == "not finite":
        tensors = load_file(weights)
        next(iter(tensors.values())).view(-1)[0] = float("nan")
        save_file(tensors, weights)
    else:
        weights.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(RecipeError, match=r"model\.safetensors: .* weights are damaged .* delete"):
        train(read_recipe(path))
    assert (weights.parent / "results.json").exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_folder_with_another_damaged_file_is_not_finished(
    name: str, write_recipe: WriteRecipe
) -> None:
    path = write_recipe(num_train_epochs=1)
    file = train(read_recipe(path)) / name
    content = file.read_bytes()
    for damaged in (None, b"", content[: len(content) // 2]):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        with pytest.raises(RecipeError, match=r"run: .* its model is damaged: .* delete"):
            train(read_recipe(path))
    file.write_bytes(content)
    assert train(read_recipe(path)) == file.parent


def test_a_folder_has_one_run_at_a_time(
    write_recipe: WriteRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(num_train_epochs=1)
    seen: list[str] = []

    def make(*arguments: Any) -> SentimentTrainer:
        with pytest.raises(
            LockedError, match=rf"run: in use by process {os.getpid()} on "
        ) as caught:
            train(read_recipe(path))
        seen.append(str(caught.value))
        return make_trainer(*arguments)

    with hold(tmp_path / "run" / "run.lock", "it"), pytest.raises(LockedError):
        train(read_recipe(path))
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(run_module, "make_trainer", make)
    folder = train(read_recipe(path))
    assert seen, "while the first one trains"
    assert not (folder / "run.lock").exists()


def test_accumulation_changes_nothing(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    """Fact of transformers 5: a loss that is a mean must be declared as one."""
    losses = {}
    for batch, accumulation in [(8, 1), (2, 4)]:
        path = write_recipe(
            output_dir=str(tmp_path / f"run{batch}"),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            embedding_dropout=0.0,
            classifier_dropout=0.0,
            num_train_epochs=1,
        )
        folder = train(read_recipe(path))
        log = results_of(folder).training["log"]
        losses[batch] = [(entry["loss"], entry["grad_norm"]) for entry in log if "loss" in entry]
    assert len(losses[2]) == len(losses[8]) == 6
    for first, second in zip(losses[2], losses[8], strict=True):
        assert first == pytest.approx(second, rel=1e-3, abs=1e-4)


def test_the_average_of_the_weights_is_validated_and_kept(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    """The first step of a long average is the start, so nothing is learned but what it lets in."""
    plain = train(read_recipe(write_recipe(num_train_epochs=1)))
    path = write_recipe(num_train_epochs=1, ema_decay=0.9, output_dir=str(tmp_path / "other"))
    averaged = train(read_recipe(path))
    losses = [
        [entry["loss"] for entry in results_of(folder).training["log"] if "loss" in entry]
        for folder in (plain, averaged)
    ]
    assert losses[0] == losses[1], "training itself is the same"
    log = results_of(averaged).training["log"]
    best = min((entry for entry in log if "eval_loss" in entry), key=lambda e: e["eval_loss"])
    assert best["eval_loss"] != results_of(plain).training["best_validation_loss"]
    parts = [part for _, _, part in results_of(averaged).parts()]
    loss = sum(part["loss"] * part["reviews"] for part in parts) / 12
    assert loss == pytest.approx(best["eval_loss"], rel=1e-4)


def test_the_temperature_is_fitted_and_kept(
    write_recipe: WriteRecipe, review_file: Path, tmp_path: Path
) -> None:
    # One label in four is wrong, so that nobody can be sure of anything.
    lines = review_file.read_text(encoding="utf-8").splitlines(keepends=True)[:16]
    wrong = [line.replace("__label__1", "__label__2") for line in lines[:8]]
    validation = tmp_path / "validation.ft.txt"
    validation.write_text("".join(wrong + lines[8:]), encoding="utf-8")
    fields = {"validation": str(validation), "calibrate": True, "num_train_epochs": 3}
    folder = train(read_recipe(write_recipe(**fields)))
    model, tokenizer = load_model(folder)
    assert 0.1 < model.config.temperature < 10
    found = [part for _, _, part in results_of(folder).parts()]
    predictor = SentimentPredictor(model, tokenizer)

    def loss() -> float:
        again = evaluate(predictor, load_reviews(validation))
        return float(again["loss"] * again["reviews"])

    fitted = loss()
    assert fitted == pytest.approx(sum(part["loss"] * part["reviews"] for part in found))
    temperature = model.config.temperature
    for other in (1.0, temperature * 0.9, temperature * 1.1):
        model.config.temperature = other
        assert loss() > fitted


@pytest.mark.parametrize(
    ("first", "second"), [(train, pretrain), (pretrain, train)], ids=["train", "pretrain"]
)
def test_a_classifier_is_no_language_model(
    first: Callable[[Any], Path], second: Callable[[Any], Path], write_recipe: WriteRecipe
) -> None:
    recipe = write_recipe(num_train_epochs=1)
    first(read_recipe(recipe))
    with pytest.raises(
        RecipeError, match=r"holds a SentimentLSTMFor.*, which is not what is asked"
    ):
        second(read_recipe(recipe))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "other words"])
def test_a_damaged_tokenizer_of_a_run_in_progress_is_made_anew(
    name: str,
    damage: str,
    write_recipe: WriteRecipe,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_recipe(num_train_epochs=1)
    _stop_at("make_trainer", path, monkeypatch)
    file = path.parent / "run" / name
    content = file.read_text(encoding="utf-8")
    if damage == "gone":
        file.unlink()
    else:
        # What stays valid would go on silently, to other weights.
        file.write_text("" if damage == "empty" else content.replace("_UNK", "_UNL"))
    train(read_recipe(path))
    assert f"{name}: is missing or damaged; it is made anew" in caplog.text
    assert file.read_text(encoding="utf-8") == content


def test_a_tokenizer_that_cannot_be_made_again_is_refused(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(num_train_epochs=1)
    _stop_at("make_trainer", path, monkeypatch)
    (path.parent / "run" / "tokenizer.json").unlink()
    monkeypatch.setattr(
        run_module, "make_tokenizer", lambda *_: train_tokenizer(["other words"] * 2)
    )
    with pytest.raises(RecipeError, match=r"tokenizer\.json: is damaged, and what is made .* now"):
        train(read_recipe(path))


def test_a_damaged_recipe_is_written_again(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(num_train_epochs=1)
    _stop_at("make_trainer", path, monkeypatch)
    folder = path.parent / "run"
    (folder / "recipe.yaml").write_text("train: [")
    train(read_recipe(path))
    assert yaml.safe_load((folder / "recipe.yaml").read_text()) == results_of(folder).recipe


MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_finished_run_whose_model_has_changed_is_not_finished(
    name: str, write_recipe: WriteRecipe
) -> None:
    path = write_recipe(num_train_epochs=1)
    folder = train(read_recipe(path))
    content = (folder / name).read_bytes()
    for changed in (None, content[:-1], content + b"\n", content[:-9] + b" " + content[-8:]):
        (folder / name).unlink()
        if changed is not None:
            (folder / name).write_bytes(changed)
        with pytest.raises(RecipeError, match=name):
            train(read_recipe(path))
        (folder / name).write_bytes(content)
    assert train(read_recipe(path)) == folder


def test_a_run_in_progress_of_an_earlier_version_resumes(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has recorded nothing of what it wrote: the recipe says that the tokenizer is whole."""
    path = write_recipe(num_train_epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_trainer", stopping_at(4))
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(path))
    claim = path.parent / "run" / "run.json"
    content = json.loads(claim.read_text())
    assert content.pop("written")
    claim.write_text(json.dumps(content))
    monkeypatch.setattr(run_module, "make_tokenizer", None)
    assert results_of(train(read_recipe(path))).training["resumed_from"] == "checkpoint-3"
