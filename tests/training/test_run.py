"""Training on sixty reviews: what a run writes, and that interruptions change nothing."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModel, TrainerCallback, pipeline

from sentiment_lstm import SentimentLSTMConfig, SentimentLSTMForSequenceClassification
from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.inference.predictor import load
from sentiment_lstm.tokenization import train_tokenizer
from sentiment_lstm.training import pretraining
from sentiment_lstm.training import recipe as recipes
from sentiment_lstm.training import run as training
from sentiment_lstm.training.distillation import (
    SoftLabelError,
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.pretraining import SentimentLSTMForPreTraining
from sentiment_lstm.training.recipe import RecipeError, as_arguments, read_recipe
from sentiment_lstm.training.run import pretrain, train
from sentiment_lstm.training.trainer import (
    EMACallback,
    LengthGroupedSampler,
    SentimentTrainer,
    TrainingTimer,
    _worst,
)

RECIPES = Path(__file__).parents[2] / "scripts" / "recipes"

WriteRecipe = Callable[..., Path]


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
        ({"max_train_length": 0}, r"recipe\.yaml: `max_train_length` must be 1 or more"),
        ({"soft_label_weight": 1.5}, r"recipe\.yaml: `soft_label_weight` must be from 0 to 1"),
        ({"adversarial_epsilon": -1}, r"recipe\.yaml: `adversarial_epsilon` must be above 0"),
        ({"early_stopping_patience": 0}, r"recipe\.yaml: `early_stopping_patience` must be 1"),
        (
            {"early_stopping_patience": 2, "load_best_model_at_end": False},
            r"recipe\.yaml: `early_stopping_patience` needs validation",
        ),
        (
            {"ema_decay": 0.9, "load_best_model_at_end": False},
            r"recipe\.yaml: `ema_decay` needs `load_best_model_at_end`",
        ),
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
    folder = train(read_recipe(RECIPES / "large.yaml", as_arguments(small)))
    results = json.loads((folder / "results.json").read_text())
    assert results["training"]["steps"] == 20
    assert {part.split("/")[0] for part in results["metrics"]} == {"validation", "test"}


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


# Kinds of runs whose interruption must change nothing.
RESUMED: dict[str, dict[str, Any]] = {
    "group_by_length": {"train_sampling_strategy": "group_by_length"},
    "random": {"train_sampling_strategy": "random"},
    "average": {"ema_decay": 0.8},
    "adversarial": {"adversarial_epsilon": 1.0, "word_dropout": 0.2, "weight_dropout": 0.2},
}


# 12 steps an epoch, a checkpoint every third: the run resumes in the middle of the first epoch,
# at the end of it, and in the middle of the second.
@pytest.mark.parametrize(
    ("kind", "stop"),
    [(kind, stop) for kind in ("group_by_length", "random") for stop in (4, 13, 17)]
    + [("average", 17), ("adversarial", 17)],
)
def test_resuming_equals_not_stopping(
    kind: str, stop: int, write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(seed=9, **RESUMED[kind])
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
        make_trainer = training.make_trainer

        def interrupted(*arguments: Any) -> Any:
            trainer = make_trainer(*arguments)
            trainer.add_callback(_Stop(stopped))
            TrainingTimer.of(trainer).before = 1000.0
            return trainer

        patch.setattr(training, "make_trainer", interrupted)
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


def test_tokenising_goes_on_where_it_was_stopped(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(["a lamp", "a lamp"])
    source = read_recipe(write_recipe()).reviews.train[0]
    reviews = load_reviews(source, cache_dir=tmp_path / "cache")
    whole = training._tokenize([reviews], tokenizer)[:]

    read: list[str] = []
    broken_at = 25

    class Backend:
        def __init__(self, backend: Any) -> None:
            self.backend = backend

        def __getattr__(self, name: str) -> Any:
            return getattr(self.backend, name)

        def encode_batch_fast(self, texts: list[str]) -> Any:
            read.extend(texts)
            if len(read) > broken_at:
                raise KeyboardInterrupt
            return self.backend.encode_batch_fast(texts)

    from_str = Tokenizer.from_str
    monkeypatch.setattr(
        training, "Tokenizer", SimpleNamespace(from_str=lambda text: Backend(from_str(text)))
    )
    monkeypatch.setattr(training, "_TOKENIZED_TOGETHER", 10)
    with pytest.raises(KeyboardInterrupt):
        training._tokenize([reviews], tokenizer)
    assert read == reviews["text"][:30]
    read.clear()
    broken_at = len(reviews)
    pieces = training._tokenize([reviews], tokenizer)
    assert read == reviews["text"][20:], "two files of ten were whole"
    assert pieces[:] == whole
    assert pieces._fingerprint == training._tokenize([reviews], tokenizer)._fingerprint


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


def test_the_order_of_an_epoch_is_set_where_trainer_does_not_reach() -> None:
    """With several processes, the loader of a run that resumes hides the sampler."""
    trainer: Any = SimpleNamespace(sampler=LengthGroupedSampler(2, [1, 2, 3], seed=0))
    follow = EMACallback(trainer)
    for epoch, expected in [(None, 0), (0.0, 0), (0.99, 0), (1.0 - 1e-9, 1), (1.4, 1), (2, 2)]:
        state: Any = SimpleNamespace(epoch=epoch)
        follow.on_epoch_begin(None, state, None)
        assert trainer.sampler.epoch == expected


# --- batches -------------------------------------------------------------------------------------


def test_length_grouped_batches() -> None:
    lengths = torch.randint(1, 200, (1003,)).tolist()
    batches = LengthGroupedSampler(8, lengths, seed=1)
    first = list(batches)
    assert sorted(first) == list(range(1003))
    assert first == list(batches), "the same epoch gives the same order"
    batches.set_epoch(1)
    assert first != list(batches), "another epoch gives another order"
    assert first != list(LengthGroupedSampler(8, lengths, seed=2))
    grouped = [[lengths[i] for i in first[start : start + 8]] for start in range(0, 1000, 8)]
    spread = sum(max(batch) - min(batch) for batch in grouped) / len(grouped)
    assert spread < 20, "batches are of similar length"
    means = [sum(batch) / 8 for batch in grouped]
    rising = sum(a < b for a, b in pairwise(means)) / len(means)
    assert 0.35 < rising < 0.65, "and come in random order"


# --- levers --------------------------------------------------------------------------------------


def results_of(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results


def test_the_average_of_the_weights_is_validated_and_kept(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    """The first step of a long average is the start, so nothing is learned but what it lets in."""
    plain = train(read_recipe(write_recipe(num_train_epochs=1)))
    path = write_recipe(num_train_epochs=1, ema_decay=0.9, output_dir=str(tmp_path / "other"))
    averaged = train(read_recipe(path))
    losses = [
        [entry["loss"] for entry in results_of(folder)["training"]["log"] if "loss" in entry]
        for folder in (plain, averaged)
    ]
    assert losses[0] == losses[1], "training itself is the same"
    log = results_of(averaged)["training"]["log"]
    best = min((entry for entry in log if "eval_loss" in entry), key=lambda e: e["eval_loss"])
    assert best["eval_loss"] != results_of(plain)["training"]["best_validation_loss"]
    parts = results_of(averaged)["metrics"].values()
    loss = sum(part["loss"] * part["reviews"] for part in parts) / 12
    assert loss == pytest.approx(best["eval_loss"], rel=1e-4)


def test_an_average_decay_of_one_is_refused(write_recipe: WriteRecipe) -> None:
    with pytest.raises(RecipeError, match="`ema_decay` must be between 0 and 1"):
        read_recipe(write_recipe(ema_decay=1.0))


def test_the_adversarial_step_raises_the_loss(
    make_model: Callable[..., SentimentLSTMForSequenceClassification],
) -> None:
    model = make_model()
    ids, mask = torch.randint(2, 50, (4, 9)), torch.ones(4, 9, dtype=torch.int64)
    mask[2:, 5:] = 0
    labels = torch.tensor([0, 1, 0, 1])
    words = model.get_input_embeddings()(ids)

    def losses(vectors: torch.Tensor) -> torch.Tensor:
        logits = model(inputs_embeds=vectors, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    before = losses(words)
    step = _worst(before.mean(), words, mask, 0.5)
    assert (losses(words + step) > before).all()
    assert (losses(words - step) < before).all()
    assert (step[2:, 5:] == 0).all(), "padding stays where it is"
    length = (words * mask.unsqueeze(-1)).norm(dim=-1).sum() / mask.sum()
    torch.testing.assert_close(step.norm(dim=(1, 2)), 0.5 * length.detach().expand(4))


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
    model, tokenizer = load(folder)
    assert 0.1 < model.config.temperature < 10
    metrics = results_of(folder)["metrics"]

    def loss() -> float:
        parts = [load_reviews(part.split("/", 1)[1]) for part in metrics]
        found = [training.evaluate(model, tokenizer, part)["loss"] * len(part) for part in parts]
        return float(sum(found))

    fitted = loss()
    assert fitted == pytest.approx(sum(m["loss"] * m["reviews"] for m in metrics.values()))
    temperature = model.config.temperature
    for other in (1.0, temperature * 0.9, temperature * 1.1):
        model.config.temperature = other
        assert loss() > fitted


def test_a_model_can_start_from_another(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    first = train(read_recipe(write_recipe(num_train_epochs=3)))
    fields = {"init_from": str(first), "output_dir": str(tmp_path / "second")}
    # No step moves anything: what comes out is what the run started from.
    path = write_recipe(**fields, learning_rate=0.0, max_vocab_size=30)
    second = train(read_recipe(path))
    (model, tokenizer), (start, words) = load(second), load(first)
    for name, weight in start.named_parameters():
        if not name.endswith("embeddings.weight"):
            assert torch.equal(weight, model.get_parameter(name)), name
    ours, theirs = tokenizer.get_vocab(), words.get_vocab()
    assert len(ours) == 30
    for word, index in ours.items():
        vectors = [m.get_parameter("model.embeddings.weight") for m in (model, start)]
        assert torch.equal(vectors[0][index], vectors[1][theirs[word]])


def test_weights_that_do_not_fit_are_named(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    first = train(read_recipe(write_recipe(num_train_epochs=1)))
    fields = {"init_from": str(first), "output_dir": str(tmp_path / "second")}
    with pytest.raises(
        RecipeError, match=r"init_from: layers\.0.* is \(32, 12\) in .* and \(40, 12"
    ):
        train(read_recipe(write_recipe(**fields, hidden_size=20)))
    with pytest.raises(RecipeError, match="init_from: there is no file"):
        train(read_recipe(write_recipe(**fields | {"init_from": "nowhere"})))


def test_the_loss_of_pretraining_is_lowest_at_the_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gradient of the sampled softmax is zero, on average, where the model is right."""
    monkeypatch.setattr(pretraining, "NEGATIVES", 1000)  # every word is drawn many times
    words = 20
    model = SentimentLSTMForPreTraining(
        SentimentLSTMConfig(vocab_size=words, embedding_size=4, hidden_size=4)
    )
    torch.manual_seed(5)
    targets = torch.arange(words).repeat_interleave(torch.randint(1, 200, (words,)))
    with torch.no_grad():
        model.output_bias.copy_((targets.bincount() / len(targets)).log())
    queries = torch.zeros(len(targets), 4)
    for _ in range(60):
        model._loss(queries, targets, pretraining._sample(words, queries.device)).backward()
    assert model.output_bias.grad is not None
    assert (model.output_bias.grad / 60).abs().max() < 0.003


def test_pretraining_reads_either_padding_alike() -> None:
    model = SentimentLSTMForPreTraining(
        SentimentLSTMConfig(vocab_size=20, embedding_size=4, hidden_size=4)
    ).eval()
    ids, mask = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 0]]), torch.ones(2, 4, dtype=torch.int64)
    mask[1, 3] = 0
    losses = []
    for shift in (0, 1):
        rows = torch.stack([ids[0], ids[1].roll(shift)])
        masks = torch.stack([mask[0], mask[1].roll(shift)])
        torch.manual_seed(0)
        losses.append(model(rows, masks).loss)
    torch.testing.assert_close(losses[0], losses[1])


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


@pytest.mark.parametrize("field", [{"test": "sample"}, {"adversarial_epsilon": 1.0}])
def test_pretraining_says_what_means_nothing_to_it(
    field: dict[str, Any], write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"`{next(iter(field))}` means nothing to pretraining"):
        pretrain(read_recipe(write_recipe(**field)))
    assert not (tmp_path / "run").exists()


def test_pretraining_teaches_words_and_a_classifier_starts_from_it(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("The lamp from the shop was a joy.\n" * 20, encoding="utf-8")
    lm = {"unlabelled": str(texts), "output_dir": str(tmp_path / "lm"), "num_train_epochs": 12}
    folder = pretrain(read_recipe(write_recipe(**lm)))
    log = [e["eval_loss"] for e in results_of(folder)["training"]["log"] if "eval_loss" in e]
    assert log[-1] < log[0] - 1, "words are foreseen better than at the start"
    assert results_of(folder)["reviews"]["unlabelled"][str(texts)]["reviews"] == 20
    path = write_recipe(init_from=str(folder), learning_rate=0.0, num_train_epochs=1)
    model, _ = load(train(read_recipe(path)))
    backbone = AutoModel.from_pretrained(folder)
    for name, weight in backbone.named_parameters():
        if name != "embeddings.weight":
            assert torch.equal(weight, model.model.get_parameter(name)), name


# --- soft labels ---------------------------------------------------------------------------------


def test_soft_labels_take_the_place_of_labels(
    write_recipe: WriteRecipe, reviews: list[tuple[str, int]], tmp_path: Path
) -> None:
    """A teacher that says the opposite of every label is believed, if it has all the weight."""
    texts = tmp_path / "texts.txt"
    texts.write_text("A lamp.\n", encoding="utf-8")
    path = tmp_path / "soft.parquet"
    write_soft_labels(path, [text for text, _ in reviews], [1.0 - label for _, label in reviews])
    # The last checkpoint and not the best, which is the one that has learned the least.
    fields = {
        "soft_labels": str(path),
        "num_train_epochs": 15,
        "load_best_model_at_end": False,
    }
    folder = train(read_recipe(write_recipe(**fields, soft_label_weight=1.0)))
    assert all(part["accuracy"] == 0.0 for part in results_of(folder)["metrics"].values())
    # With no weight it is as if there were none.
    (tmp_path / "run").rename(tmp_path / "other")
    folder = train(read_recipe(write_recipe(**fields, soft_label_weight=0.0)))
    assert all(part["accuracy"] == 1.0 for part in results_of(folder)["metrics"].values())
    (tmp_path / "run").rename(tmp_path / "third")
    with pytest.raises(
        SoftLabelError, match=r"soft\.parquet: lacks texts of the recipe.*'A lamp\.'"
    ):
        train(read_recipe(write_recipe(**fields, unlabelled=str(texts))))


def test_a_text_is_halved_where_a_sentence_ends_near_the_middle() -> None:
    sentence = "one two three four five six seven eight nine ten."
    text = f"{sentence}  {sentence} {sentence}\n{sentence} and some more that go on"
    assert halves_of(text) == [
        f"{sentence} {sentence}",
        f"{sentence} {sentence} and some more that go on",
    ]
    assert halves_of("word " * 39) == []
    assert halves_of("word " * 40) == [" ".join(["word"] * 20)] * 2
    assert halves_of("") == []


def test_halves_need_soft_labels(write_recipe: WriteRecipe) -> None:
    with pytest.raises(RecipeError, match="`halves` need `soft_labels`"):
        train(read_recipe(write_recipe(halves=True)))


def test_texts_without_labels_need_soft_ones(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("A lamp.\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="`unlabelled` texts need `soft_labels`"):
        train(read_recipe(write_recipe(unlabelled=str(texts))))


def test_soft_labels_are_found_by_content(tmp_path: Path) -> None:
    path = tmp_path / "soft.parquet"
    write_soft_labels(path, ["A lamp.", "", "A \udcff lamp."], [0.25, 0.5, 1.0])
    found = read_soft_labels(path)
    assert [found[text_key(text)] for text in ("", "A lamp.", "A \udcff lamp.")] == [0.5, 0.25, 1.0]
    assert b"lamp" not in path.read_bytes()
    pq.write_table(pa.table({"key": [1], "probability": [1.5]}), path)
    with pytest.raises(SoftLabelError, match="must be from 0 to 1"):
        read_soft_labels(path)
    pq.write_table(pa.table({"text": ["x"]}), path)
    with pytest.raises(SoftLabelError, match="no soft labels"):
        read_soft_labels(path)
    path.write_text("no parquet")
    with pytest.raises(SoftLabelError, match="no soft labels"):
        read_soft_labels(path)
