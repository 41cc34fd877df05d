"""Training on sixty reviews: what a run writes, and that interruptions change nothing."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import TrainerCallback, pipeline

from sentiment_lstm import recipes, training
from sentiment_lstm.inference import load
from sentiment_lstm.recipes import RecipeError, read_recipe
from sentiment_lstm.reviews import load_reviews
from sentiment_lstm.tokenization import train_tokenizer
from sentiment_lstm.trainer import Clock, LengthGroupedBatches, SentimentTrainer
from sentiment_lstm.training import train

RECIPES = Path(__file__).parent.parent / "scripts" / "recipes"

WriteRecipe = Callable[..., Path]


@pytest.fixture
def write_recipe(review_file: Path, tmp_path: Path) -> WriteRecipe:
    """A function that writes a recipe for the tiny reviews, with the given fields."""

    def write(**fields: Any) -> Path:
        recipe = {
            "train": f"{review_file}:train[:48]",
            "validation": [f"{review_file}:train[48:54]", f"{review_file}:train[54:]"],
            "output_dir": str(tmp_path / "run"),
            "embedding_size": 12,
            "hidden_size": 16,
            "per_device_train_batch_size": 4,
            "num_train_epochs": 2,
            "learning_rate": 0.01,
            "eval_steps": 3,
            "logging_steps": 1,
            "disable_tqdm": True,
            "bf16": False,
            "calibrate": False,
            "use_cpu": True,
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe | fields), encoding="utf-8")
        return path

    return write


# --- recipes -------------------------------------------------------------------------------------


def test_the_command_line_overrides_the_file_and_the_file_the_defaults(
    write_recipe: WriteRecipe,
) -> None:
    path = write_recipe(hidden_size=20, pooling="max", bidirectional=False)
    recipe = read_recipe(path, ["--hidden_size", "24", "--learning-rate", "1e-3"])
    assert recipe.model.hidden_size == 24
    assert recipe.model.pooling == "max"
    assert recipe.model.bidirectional is False
    assert recipe.training.learning_rate == 1e-3
    assert recipe.model.classifier_dropout == 0.3
    assert recipe.fields["hidden_size"] == 24
    assert "classifier_dropout" not in recipe.fields


def test_numbers_that_yaml_takes_for_text_are_numbers(write_recipe: WriteRecipe) -> None:
    assert read_recipe(write_recipe(learning_rate="5e-3")).training.learning_rate == 0.005


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hiden_size": 8}, r"recipe\.yaml: no field --hiden_size; did you mean --hid"),
        ({"hidden_size": "big"}, r"recipe\.yaml: argument --hidden_size.*'big'"),
        ({"on_bad_line": "ignore"}, r"recipe\.yaml: argument --on_bad_line.*'ignore'"),
        ({"train": None}, "name the reviews"),
        ({"hidden_size": 15}, r"recipe\.yaml: .*`hidden_size` must be even"),
        ({"lr_scheduler_type": "straight"}, r"recipe\.yaml: .*straight"),
        ({"hidden_size": None}, r"recipe\.yaml: --hidden_size cannot be null"),
        ({"save_steps": 7}, r"recipe\.yaml: `save_steps` follows `eval_steps`"),
        ({"test": ["sample", "sample"]}, r"recipe\.yaml: `test` names sample more than once"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(
    fields: dict[str, Any], message: str, write_recipe: WriteRecipe
) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write_recipe(**fields))


def test_a_wrong_override_is_named(write_recipe: WriteRecipe) -> None:
    with pytest.raises(RecipeError, match="command line: no field --seeed; did you mean --seed"):
        read_recipe(write_recipe(), ["--seeed", "1"])


def test_null_unsets_a_field(write_recipe: WriteRecipe) -> None:
    path = write_recipe(test="sample:test", max_train_length=9, early_stopping_patience=None)
    assert read_recipe(path).training.early_stopping_patience is None
    recipe = read_recipe(path, ["--test", "null", "--max_train_length", "null", "--seed", "3"])
    assert recipe.reviews.test == []
    assert recipe.tokenizer.max_train_length is None
    assert recipe.training.seed == 3


def test_yaml_takes_no_for_false(write_recipe: WriteRecipe) -> None:
    path = write_recipe(logging_strategy=False, load_best_model_at_end=False)
    assert read_recipe(path).training.logging_strategy == "no"


@pytest.mark.parametrize(("said", "machine", "expected"), [
    (None, True, True), (None, False, False), (True, False, True), (False, True, False),
])  # fmt: skip
def test_bf16_follows_the_machine_unless_the_recipe_says(
    said: bool | None,
    machine: bool,
    expected: bool,
    write_recipe: WriteRecipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recipes, "_computes_in_bf16", lambda use_cpu: machine)
    assert read_recipe(write_recipe(bf16=said)).training.bf16 is expected


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", ""])
def test_what_is_no_recipe_says_so(content: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.yaml: (no valid YAML|a recipe is)"):
        read_recipe(path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_project_are_valid(path: Path) -> None:
    recipe = read_recipe(path, ["--use_cpu"])
    assert recipe.training.output_dir == f"runs/{path.stem}"


# --- runs ----------------------------------------------------------------------------------------


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
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert (
        results["recipe"] == recipe.fields == yaml.safe_load((folder / "recipe.yaml").read_text())
    )
    assert results["seed"] == 5
    assert results["reviews"]["train"][recipe.fields["train"][0]]["reviews"] == 48
    assert set(results["metrics"]) == {
        *(f"validation/{source}" for source in recipe.fields["validation"]),
        "test/sample:test[:20]",
    }
    classify = pipeline("text-classification", model=str(folder))
    assert classify("Great little lamp.")[0]["label"] in ("NEGATIVE", "POSITIVE")
    # What the results say is what the folder gives.
    model, tokenizer = load(folder)
    assert model.config.vocab_size == len(tokenizer)
    source = recipe.fields["validation"][0]
    found = training.evaluate(model, tokenizer, load_reviews(source))
    expected = results["metrics"][f"validation/{source}"]
    assert found.pop("confusion_matrix") == expected.pop("confusion_matrix")
    assert found.pop("slices")["length"] == expected.pop("slices")["length"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_training_learns(write_recipe: WriteRecipe) -> None:
    folder = train(read_recipe(write_recipe(num_train_epochs=15)))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for part, metrics in results["metrics"].items():
        assert metrics["accuracy"] == 1.0, part


def test_the_best_checkpoint_is_kept_and_not_the_last(write_recipe: WriteRecipe) -> None:
    # At this rate the loss jumps up and down, so that the two differ.
    path = write_recipe(num_train_epochs=3, learning_rate=0.5, lr_scheduler_type="constant")
    folder = train(read_recipe(path))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    log = [entry for entry in results["training"]["log"] if "eval_loss" in entry]
    best = min(log, key=lambda entry: entry["eval_loss"])
    assert best["step"] == results["training"]["best_step"] < log[-1]["step"]
    parts = results["metrics"].values()
    loss = sum(part["loss"] * part["reviews"] for part in parts) / 12
    assert loss == pytest.approx(best["eval_loss"], rel=1e-4)


def test_early_stopping_stops(write_recipe: WriteRecipe) -> None:
    path = write_recipe(num_train_epochs=50, learning_rate=0.2, early_stopping_patience=2)
    folder = train(read_recipe(path))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["epochs"] < 50


@pytest.mark.parametrize(
    ("eval_steps", "expected"),
    [(1000, [6, 12]), (4, [4, 8, 12]), (0.25, [3, 6, 9, 12])],
    ids=["twice an epoch at least", "as said", "a share of all steps"],
)
def test_when_validation_comes(
    eval_steps: float, expected: list[int], write_recipe: WriteRecipe
) -> None:
    folder = train(read_recipe(write_recipe(eval_steps=eval_steps, num_train_epochs=1)))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    steps = [entry["step"] for entry in results["training"]["log"] if "eval_loss" in entry]
    assert steps == expected


class _Stop(TrainerCallback):
    """Ends the process, as it were, at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


# 12 steps an epoch, a checkpoint every third: the run resumes in the middle of the first epoch,
# at the end of it, and in the middle of the second.
@pytest.mark.parametrize("stop", [4, 13, 17])
@pytest.mark.parametrize("strategy", ["group_by_length", "random"])
def test_resuming_equals_not_stopping(
    stop: int, strategy: str, write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(train_sampling_strategy=strategy, seed=9)
    folder = train(read_recipe(path))
    expected = load_file(folder / "model.safetensors")
    log = json.loads((folder / "results.json").read_text())["training"]["log"]
    shutil.rmtree(folder)

    with monkeypatch.context() as patch:
        callback = [_Stop(stop)]
        patch.setattr(training, "EarlyStoppingCallback", lambda _: callback[0])
        recipe = read_recipe(path)
        recipe.training.early_stopping_patience = 1
        with pytest.raises(KeyboardInterrupt):
            train(recipe)
    # As if killed while it saved: a checkpoint without its last file.
    half = shutil.copytree(folder / f"checkpoint-{stop // 3 * 3}", folder / "checkpoint-99")
    (half / "trainer_state.json").unlink()
    train(read_recipe(path))
    results = json.loads((folder / "results.json").read_text())
    assert results["training"]["resumed_from"] == f"checkpoint-{stop // 3 * 3}"
    assert [entry.get("eval_loss") for entry in results["training"]["log"]] == [
        entry.get("eval_loss") for entry in log
    ]
    for name, weight in load_file(folder / "model.safetensors").items():
        assert torch.equal(weight, expected[name]), name


def test_patience_and_time_are_counted_over_an_interruption(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(num_train_epochs=50, learning_rate=0.2, early_stopping_patience=3)
    folder = train(read_recipe(path))
    log = json.loads((folder / "results.json").read_text())["training"]["log"]
    losses = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert losses.index(min(losses)) == len(losses) - 4, "three validations without a better one"
    shutil.rmtree(folder)

    stopped = 3 * (len(losses) - 1) + 1  # with two of the three validations counted
    with monkeypatch.context() as patch:
        make_trainer = training._trainer

        def interrupted(*arguments: Any) -> Any:
            trainer = make_trainer(*arguments)
            trainer.add_callback(_Stop(stopped))
            Clock.of(trainer).before = 1000.0
            return trainer

        patch.setattr(training, "_trainer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(path))
    train(read_recipe(path))
    results = json.loads((folder / "results.json").read_text())
    assert [
        entry["eval_loss"] for entry in results["training"]["log"] if "eval_loss" in entry
    ] == losses
    assert 1000 < results["wall_time_seconds"]["train"] < 1100


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
    weights = (folder / "model.safetensors").stat()
    moved = read_recipe(path, ["--output_dir", str(folder), "--logging_steps", "5"])
    assert train(moved) == folder
    assert (folder / "model.safetensors").stat() == weights


def test_validation_is_not_tokenised_twice(write_recipe: WriteRecipe) -> None:
    """What is cached depends on the words of a tokenizer, not on its use in between."""
    recipe = read_recipe(write_recipe())
    tokenizer = train_tokenizer(["a lamp", "a lamp"])
    reviews = list(training._load(recipe.reviews)["validation"].values())
    first = training._tokenize(reviews, tokenizer, 5)
    tokenizer("a lamp", truncation=True, max_length=3, padding="max_length")
    second = training._tokenize(reviews, tokenizer, 5)
    assert first._fingerprint == second._fingerprint
    assert max(first["length"]) == 5
    assert first[0]["input_ids"] == tokenizer(reviews[0][0]["text"])["input_ids"][:5]


def test_a_folder_of_something_else_is_left_alone(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    path = write_recipe()
    folder = train(read_recipe(path))
    with pytest.raises(RecipeError, match="another run: `seed` was left out, is 1; choose"):
        train(read_recipe(path, ["--seed", "1"]))
    (folder / "results.json").unlink()
    with pytest.raises(RecipeError, match="no training run"):
        train(read_recipe(path))
    assert (folder / "model.safetensors").exists()


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
        log = json.loads((folder / "results.json").read_text())["training"]["log"]
        losses[batch] = [(entry["loss"], entry["grad_norm"]) for entry in log if "loss" in entry]
    assert len(losses[2]) == len(losses[8]) == 6
    for first, second in zip(losses[2], losses[8], strict=True):
        assert first == pytest.approx(second, rel=1e-3, abs=1e-4)


# --- batches -------------------------------------------------------------------------------------


def test_length_grouped_batches() -> None:
    lengths = torch.randint(1, 200, (1003,)).tolist()
    batches = LengthGroupedBatches(8, lengths, seed=1)
    first = list(batches)
    assert sorted(first) == list(range(1003))
    assert first == list(batches), "the same epoch gives the same order"
    batches.set_epoch(1)
    assert first != list(batches), "another epoch gives another order"
    assert first != list(LengthGroupedBatches(8, lengths, seed=2))
    grouped = [[lengths[i] for i in first[start : start + 8]] for start in range(0, 1000, 8)]
    spread = sum(max(batch) - min(batch) for batch in grouped) / len(grouped)
    assert spread < 20, "batches are of similar length"
    means = [sum(batch) / 8 for batch in grouped]
    rising = sum(a < b for a, b in pairwise(means)) / len(means)
    assert 0.35 < rising < 0.65, "and come in random order"
