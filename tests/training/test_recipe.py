"""Recipes: values, read from YAML and overrides, checked in one place."""

import copy
import json
import math
import pickle
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support import RECIPES
from transformers import EvalPrediction

from sentiment_lstm.data.dataset import load_many
from sentiment_lstm.evaluation.metrics import compute_metrics
from sentiment_lstm.evaluation.recipe_files import dump_recipe
from sentiment_lstm.training import recipe as recipe_module
from sentiment_lstm.training.preprocessing import load_all
from sentiment_lstm.training.recipe import (
    RecipeError,
    read_recipe,
    reading_options,
)
from sentiment_lstm.training.run import pretrain, train

WriteRecipe = Callable[..., Path]


def test_overrides_precede_the_file_and_the_file_the_defaults(
    write_recipe: WriteRecipe,
) -> None:
    path = write_recipe(hidden_size=20, pooling="max", bidirectional=False)
    recipe = read_recipe(path, {"hidden_size": "24", "learning_rate": "1e-3"})
    assert recipe.model.hidden_size == 24
    assert recipe.model.pooling == "max"
    assert recipe.model.bidirectional is False
    assert recipe.training.learning_rate == 1e-3
    assert recipe.model.classifier_dropout == 0.3
    assert recipe.fields["hidden_size"] == 24
    assert "classifier_dropout" not in recipe.fields


def test_whole_numbers_stay_whole(write_recipe: WriteRecipe) -> None:
    recipe = read_recipe(write_recipe(num_train_epochs=6), {"max_grad_norm": "5", "eval_steps": 9})
    said = yaml.safe_load(dump_recipe(recipe.fields))
    for name, value in {"num_train_epochs": 6, "max_grad_norm": 5, "eval_steps": 9}.items():
        assert recipe.fields[name] == said[name] == value
        assert type(said[name]) is int
    assert type(recipe.training.num_train_epochs) is float
    assert read_recipe(write_recipe(**said)).fields == recipe.fields


def test_a_token_is_used_and_not_written(write_recipe: WriteRecipe) -> None:
    recipe = read_recipe(write_recipe(), {"hub_token": "hf_secret"})
    assert recipe.training.hub_token == "hf_secret"
    assert "hf_secret" not in dump_recipe(recipe.fields)


def test_a_recipe_is_a_value(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(num_train_epochs=1, eval_steps=1000))
    fields, steps = dict(recipe.fields), recipe.training.eval_steps
    other = recipe.replace(hidden_size="24", output_dir=str(tmp_path / "other"))
    assert other.model.hidden_size == 24
    assert other.fields == {**fields, "hidden_size": 24, "output_dir": str(tmp_path / "other")}
    with pytest.raises(RecipeError, match=r"recipe: .*`hidden_size` must be even"):
        recipe.replace(hidden_size=15)
    with pytest.raises(TypeError):
        recipe.fields["seed"] = 3  # type: ignore[index]
    train(recipe)
    assert recipe.fields == fields, "training changes nothing of a recipe"
    assert recipe.training.eval_steps == steps == 1000
    assert recipe.training.output_dir == str(tmp_path / "run")


def test_a_recipe_can_be_copied_and_sent(write_recipe: WriteRecipe) -> None:
    recipe = read_recipe(write_recipe(), {"train": ["sample:train", "sample:test"]})
    for other in (copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe))):
        assert (other.fields, other.reviews, other.model) == (
            recipe.fields,
            recipe.reviews,
            recipe.model,
        )
    recipe.reviews.train.append("sample:validation")
    assert recipe.fields["train"] == ["sample:train", "sample:test"]


def test_values_are_read_by_the_type_of_their_field(write_recipe: WriteRecipe) -> None:
    overrides = {
        "label_names": "labels",
        "no_calibrate": True,  # transformers' way to unset a flag
        "locked_dropout": "t",
        "logging_strategy": "no",
        "lr_scheduler_type": "cosine",
        "lr_scheduler_kwargs": '{"num_cycles": 2}',
        "test": [None],
    }
    recipe = read_recipe(write_recipe(), overrides)
    assert recipe.training.label_names == ["labels"]
    assert recipe.training.calibrate is False
    assert recipe.model.locked_dropout is True
    assert recipe.training.lr_scheduler_kwargs == {"num_cycles": 2}
    assert recipe.reviews.test == []


def test_fields_of_version_0_1_are_read_with_a_warning(
    write_recipe: WriteRecipe, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = read_recipe(write_recipe(word_pieces=5), {"average_decay": "0.9"})
    assert recipe.tokenizer.max_word_pieces == 5
    assert recipe.training.ema_decay == 0.9
    assert recipe.fields["max_word_pieces"] == 5
    assert "word_pieces" not in recipe.fields
    assert "`word_pieces` is called `max_word_pieces` now" in caplog.text
    assert "`average_decay` is called `ema_decay` now" in caplog.text


def test_the_benchmark_recipe_is_the_default_on_other_reviews() -> None:
    recipes = [read_recipe(RECIPES / f"{name}.yaml").fields for name in ("default", "benchmark")]
    differing = {"train", "validation", "test", "output_dir"}
    assert [
        {name: value for name, value in recipe.items() if name not in differing}
        for recipe in recipes
    ] == [{name: v for name, v in recipes[0].items() if name not in differing}] * 2
    assert all("/shared/" not in source for source in recipes[0]["train"])


def test_numbers_that_yaml_takes_for_text_are_numbers(write_recipe: WriteRecipe) -> None:
    assert read_recipe(write_recipe(learning_rate="5e-3")).training.learning_rate == 0.005


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hiden_size": 8}, r"recipe\.yaml: no field `hiden_size`; did you mean `hidden_size`\?"),
        ({"hidden_size": "big"}, r"recipe\.yaml: `hidden_size` must be a whole number; got 'big'"),
        (
            {"on_bad_line": "ignore"},
            r"recipe\.yaml: `on_bad_line` must be one of raise, skip",
        ),
        ({"train": None}, "name the reviews"),
        ({"hidden_size": 15}, r"recipe\.yaml: .*`hidden_size` must be even"),
        ({"lr_scheduler_type": "straight"}, r"recipe\.yaml: .*straight"),
        ({"hidden_size": None}, r"recipe\.yaml: `hidden_size` cannot be null"),
        ({"save_steps": 7}, r"recipe\.yaml: `save_steps` follows `eval_steps`"),
        ({"max_train_length": 0}, r"recipe\.yaml: `max_train_length` must be 1 or more"),
        ({"min_frequency": 0}, r"recipe\.yaml: `min_frequency` must be 1 or more; got 0"),
        ({"max_vocab_size": "2"}, r"recipe\.yaml: `max_vocab_size` must be 3 or more; got 2"),
        ({"max_word_pieces": -1}, r"recipe\.yaml: `max_word_pieces` must be 0 or more; got -1"),
        ({"soft_label_weight": 1.5}, r"recipe\.yaml: `soft_label_weight` must be from 0 to 1"),
        ({"adversarial_epsilon": -1}, r"recipe\.yaml: `adversarial_epsilon` must be above 0"),
        (
            {"embedding_learning_rate": -1},
            r"recipe\.yaml: `embedding_learning_rate` must be 0 or more; got -1",
        ),
        ({"early_stopping_patience": 0}, r"recipe\.yaml: `early_stopping_patience` must be 1"),
        (
            {"early_stopping_patience": 2, "load_best_model_at_end": False},
            r"recipe\.yaml: `early_stopping_patience` needs validation",
        ),
        (
            {"ema_decay": 0.9, "load_best_model_at_end": False},
            r"recipe\.yaml: `ema_decay` needs `load_best_model_at_end`",
        ),
        ({"hidden_size": 8.5}, r"recipe\.yaml: `hidden_size` must be a whole number; got 8\.5"),
        ({"bidirectional": "both"}, r"recipe\.yaml: `bidirectional` must be true or false"),
        ({"learning_rate": [1, 2]}, r"recipe\.yaml: `learning_rate` takes one value"),
        ({"learning_rate": "fast"}, r"recipe\.yaml: `learning_rate` must be a number"),
        ({"min_frequency": {"a": 1}}, r"recipe\.yaml: `min_frequency` takes one value, not a map"),
        ({"run_name": True}, r"recipe\.yaml: `run_name` needs a value"),
        ({"test": ["sample", "sample"]}, r"recipe\.yaml: `test` names sample more than once"),
        ({"run_name": date(2020, 1, 2)}, r"recipe\.yaml: `run_name` is a date: put quotes"),
        ({"train": {"a", "b"}}, r"recipe\.yaml: `train` is a set: put quotes .* as a list"),
        (
            {"lr_scheduler_kwargs": {"a": [{"b": date(2020, 1, 2)}]}},
            r"recipe\.yaml: `lr_scheduler_kwargs` is a date",
        ),
        ({date(2020, 1, 2): 3}, r"recipe\.yaml: no field `2020-01-02`: a name is text"),
        ({7: 3}, r"recipe\.yaml: no field `7`: a name is text, and this is of int"),
        ({"learning_rate": math.nan}, r"recipe\.yaml: `learning_rate` must be a finite number"),
        ({"learning_rate": "1e999"}, r"recipe\.yaml: `learning_rate` must be a finite number"),
        ({"learning_rate": 10**400}, r"recipe\.yaml: "),
        ({"num_hidden_layers": 10**9}, r"recipe\.yaml: .*`num_hidden_layers` must be"),
        ({"hidden_size": 10**30}, r"recipe\.yaml: .*`hidden_size` must be"),
        ({"num_train_epochs": 0}, r"recipe\.yaml: `num_train_epochs` must be above 0"),
        ({"label_smoothing_factor": 5}, r"recipe\.yaml: `label_smoothing_factor` must be from 0"),
        ({"seed": -1}, r"recipe\.yaml: `seed` must be from 0 to"),
        ({"lr_scheduler_kwargs": {"hops": 1}}, r"recipe\.yaml: `lr_scheduler_kwargs`: .*'hops'"),
        ({"lr_scheduler_kwargs": "[1]"}, r"recipe\.yaml: `lr_scheduler_kwargs` must be a mapping"),
        ({"optim": "downhill"}, r"recipe\.yaml: `optim`: downhill is not a valid .*adamw_torch"),
        ({"learning_rate": -1}, r"recipe\.yaml: `learning_rate`: Invalid learning rate"),
        ({"accelerator_config": "x"}, r"recipe\.yaml: `accelerator_config`: .*No such file"),
        (
            {"label_names": ["a"]},
            r"recipe\.yaml: `label_names` cannot be chosen here: leave it out",
        ),
        ({"eval_do_concat_batches": False}, r"recipe\.yaml: `eval_do_concat_batches` cannot be"),
        (
            {"greater_is_better": True},
            r"recipe\.yaml: `greater_is_better` is True, and of loss the contrary holds",
        ),
        (
            {"metric_for_best_model": "bleu"},
            r"recipe\.yaml: `metric_for_best_model` must be one of l",
        ),
        ({"parallelism_config": "x"}, r"recipe\.yaml: `parallelism_config` cannot be chosen here"),
        ({"remove_unused_columns": False}, r"recipe\.yaml: `remove_unused_columns` cannot be"),
        ({"neftune_noise_alpha": -1}, r"recipe\.yaml: `neftune_noise_alpha` must be 0 or more"),
        ({"torch_compile_mode": "x"}, r"recipe\.yaml: `torch_compile_mode`: Unrecognized mode=x"),
        ({"report_to": ["a"]}, r"recipe\.yaml: `report_to`: a is not supported, only "),
        ({"adam_beta2": 1}, r"recipe\.yaml: `adam_beta2` must be 0 or more and below 1; got 1"),
        ({"data_seed": 2**32}, r"recipe\.yaml: `data_seed` must be from 0 to"),
        ({"output_dir": False}, r"recipe\.yaml: `output_dir` must be text: put quotes"),
        ({"max_line_bytes": 0}, r"recipe\.yaml: `max_line_bytes` must be 1 or more; got 0"),
        ({"labels": {1: 0, 2: 5}}, r"recipe\.yaml: `labels`: .*every label must mean 0, 1"),
        ({"labels": ["1=0", "1"]}, r"recipe\.yaml: `labels`: .*'1' must be LABEL=MEANING"),
        ({"labels": {}}, r"recipe\.yaml: `labels`: "),
        ({"labels": [True, False]}, r"recipe\.yaml: `labels` has true .* yes and no: put them in"),
        ({"labels": {"1": True, "2": "bad"}}, r"recipe\.yaml: `labels` has true or false"),
        ({"labels": {False: "bad", "y": "good"}}, r"recipe\.yaml: `labels` has true or false"),
        (
            {"metric_for_best_model": "expected_calibration_error"},  # lower is better
            r"recipe\.yaml: `metric_for_best_model` must be one of l",
        ),
        (
            {"per_device_train_batch_size": 0},
            r"recipe\.yaml: `per_device_train_batch_size` must be 1 or more; got 0",
        ),
        (
            {"per_device_eval_batch_size": -1},
            r"recipe\.yaml: `per_device_eval_batch_size` must be 1 or more; got -1",
        ),
        (
            {"gradient_accumulation_steps": 0},
            r"recipe\.yaml: `gradient_accumulation_steps` must be 1 or more; got 0",
        ),
        (
            {"eval_accumulation_steps": 0},
            r"recipe\.yaml: `eval_accumulation_steps` must be 1 or more; got 0",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_file(
    fields: dict[Any, Any], message: str, write_recipe: WriteRecipe
) -> None:
    path = write_recipe()
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | fields))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "over 20 aliases: write the values out"),
        (LAUGHS.replace("[*", "{<<: [*").replace("0]", "0]}"), "no valid YAML"),
        ("train: " + "[" * 5000, "nested too deeply"),
        ("train: &a [*a]", "`train` is nested too deeply"),
        ("a" * 300_000, "over 262,144 bytes"),
        ("run_name: 2020-13-45", "no valid YAML: month must be in"),
        ("train: \x00", "no valid YAML"),
        ("? [a, b]\n: 3", "no field|no valid YAML"),
    ],
)
def test_what_a_recipe_can_cost_is_bounded(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(RecipeError, match=rf"recipe\.yaml: .*{message}"):
        read_recipe(path)
    assert time.perf_counter() - start < 5


def test_the_limits_of_a_recipe_can_be_raised(write_recipe: WriteRecipe) -> None:
    path = write_recipe()
    path.write_text(path.read_text() + "test: &a ['sample']\nunlabelled: *a\n" + "#" * 300_000)
    with pytest.raises(RecipeError, match="with max_bytes of read_recipe"):
        read_recipe(path)
    assert read_recipe(path, max_bytes=400_000).reviews.unlabelled == ["sample"]
    with pytest.raises(RecipeError, match=r"over 0 aliases: .* with max_aliases of read_recipe"):
        read_recipe(path, max_bytes=400_000, max_aliases=0)


@pytest.mark.parametrize("labels", [{1: 0, 5: "POSITIVE"}, ["1=0", "5=POSITIVE"], {"1": 0, "5": 1}])
def test_a_recipe_says_how_its_reviews_are_read(
    labels: Any, write_recipe: WriteRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stars, texts = tmp_path / "stars.csv", tmp_path / "texts.txt"
    stars.write_text("text,label\ngood,5\nso so,3\nbad,1\n" + "x" * 50 + ",1\n")
    texts.write_text("x" * 50 + "\n")
    fields = {"train": str(stars), "validation": f"{stars}:train[:1]", "on_bad_line": "skip"}
    recipe = read_recipe(write_recipe(**fields, labels=labels, max_line_bytes=40))
    (reviews,) = load_all(recipe.reviews)["train"].values()
    assert reviews["text"][:] == ["good", "bad"]
    assert reviews["label"][:] == [1, 0]
    assert "stars.csv:5: a line of more than 40 bytes" in caplog.text
    said = yaml.safe_load(dump_recipe(recipe.fields))
    assert read_recipe(write_recipe(**said)).fields == recipe.fields
    as_json = json.loads(json.dumps(dict(recipe.fields)))
    (again,) = load_many([str(stars)], **reading_options(as_json)).values()
    assert again._fingerprint == reviews._fingerprint
    with pytest.raises(ValueError, match=r"texts\.txt:1: a line of more than 40 bytes"):
        load_all(recipe.replace(unlabelled=str(texts)).reviews)


def test_bytes_that_are_no_text_are_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"train: \xff\xfe")
    with pytest.raises(RecipeError, match=r"recipe\.yaml: no valid YAML: .*utf-8"):
        read_recipe(path)


def test_a_few_aliases_are_welcome(write_recipe: WriteRecipe, review_file: Path) -> None:
    path = write_recipe()
    path.write_text(path.read_text() + f"test: &reviews ['{review_file}']\nunlabelled: *reviews\n")
    recipe = read_recipe(path)
    assert recipe.reviews.test == recipe.reviews.unlabelled == [str(review_file)]


def test_a_wrong_override_is_named(write_recipe: WriteRecipe) -> None:
    with pytest.raises(
        RecipeError, match=r"override of .*recipe\.yaml: no field `seeed`; did you mean `seed`"
    ):
        read_recipe(write_recipe(), {"seeed": 1})


def test_null_unsets_a_field(write_recipe: WriteRecipe) -> None:
    path = write_recipe(test="sample:test", max_train_length=9, early_stopping_patience=None)
    assert read_recipe(path).training.early_stopping_patience is None
    recipe = read_recipe(path, {"test": "null", "max_train_length": None, "seed": "3"})
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
    monkeypatch.setattr(recipe_module, "_computes_in_bf16", lambda use_cpu: machine)
    assert read_recipe(write_recipe(bf16=said)).training.bf16 is expected


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", ""])
def test_what_is_no_recipe_says_so(content: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.yaml: (no valid YAML|a recipe is)"):
        read_recipe(path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_project_are_valid(path: Path) -> None:
    recipe = read_recipe(path, {"use_cpu": True})
    assert recipe.training.output_dir == f"runs/{path.stem}"


def test_an_average_decay_of_one_is_refused(write_recipe: WriteRecipe) -> None:
    with pytest.raises(RecipeError, match="`ema_decay` must be between 0 and 1"):
        read_recipe(write_recipe(ema_decay=1.0))


@pytest.mark.parametrize("field", [{"test": "sample"}, {"adversarial_epsilon": 1.0}])
def test_pretraining_says_what_means_nothing_to_it(
    field: dict[str, Any], write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"`{next(iter(field))}` means nothing to pretraining"):
        pretrain(read_recipe(write_recipe(**field)))
    assert not (tmp_path / "run").exists()


def test_the_best_checkpoint_is_chosen_by_what_is_measured(write_recipe: WriteRecipe) -> None:
    prediction = EvalPrediction(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    measured = {"loss", *compute_metrics(prediction)}
    assert set(recipe_module._METRICS) <= measured
    for metric in recipe_module._METRICS:
        for name in (metric, f"eval_{metric}"):
            recipe = read_recipe(write_recipe(metric_for_best_model=name))
            assert recipe.training.metric_for_best_model == name
    with pytest.raises(RecipeError, match="`metric_for_best_model` must be loss in pretraining"):
        read_recipe(write_recipe(metric_for_best_model="f1")).check_task("pretraining")


def test_halves_need_soft_labels(write_recipe: WriteRecipe) -> None:
    with pytest.raises(RecipeError, match="`augment_halves` needs `soft_labels`"):
        train(read_recipe(write_recipe(augment_halves=True)))


def test_texts_without_labels_need_soft_ones(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("A lamp.\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="`unlabelled` texts need `soft_labels`"):
        train(read_recipe(write_recipe(unlabelled=str(texts))))
