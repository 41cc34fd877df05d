"""`init_from`: a classifier is kept whole, and of a language model the words are."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from support import PRESETS, results_of
from test_run import stopping_at
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.inference.predictor import load_model
from sentiment_lstm.training import run as run_module
from sentiment_lstm.training.preprocessing import make_tokens
from sentiment_lstm.training.pretraining import SentimentLSTMForPreTraining
from sentiment_lstm.training.recipe import Recipe, RecipeError, read_recipe
from sentiment_lstm.training.run import pretrain, train
from sentiment_lstm.training.trainer import make_trainer
from sentiment_lstm.training.tuning import tune

WriteRecipe = Callable[..., Path]
IDS = torch.tensor([[2, 5, 9, 3, 4, 7], [8, 6, 2, 0, 0, 0]])


@pytest.fixture
def write_classifier(
    make_model: Callable[..., Any], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> Callable[..., Path]:
    """A function from config fields to the folder of a classifier."""

    def write(**fields: Any) -> Path:
        folder = tmp_path / "classifier"
        torch.manual_seed(3)  # or a new model of the recipe's seed might be the same
        make_model(**fields).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return write


@pytest.fixture
def write_start(write_recipe: WriteRecipe, tmp_path: Path) -> WriteRecipe:
    """As `write_recipe`, from a folder, and without sizes of its own."""

    def write(folder: Path, **fields: Any) -> Path:
        path = write_recipe()
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        del recipe["embedding_size"], recipe["hidden_size"]
        recipe |= {"init_from": str(folder), "output_dir": str(tmp_path / "started")} | fields
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return path

    return write


def started(recipe: Recipe) -> Any:
    """The model of a recipe as it is before the first step."""
    model: Any = make_trainer(recipe, *make_tokens(recipe)).model
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(IDS, (IDS != 0).long()).logits
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_starts_with_the_very_answers_of_the_classifier(
    preset: str, write_classifier: Callable[..., Path], write_start: WriteRecipe
) -> None:
    sizes = {"embedding_size": 10, "hidden_size": 14, "temperature": 0.7}
    start = write_classifier(**PRESETS[preset], **sizes)
    model, (theirs, _) = started(read_recipe(write_start(start))), load_model(start)
    assert torch.equal(logits(model), logits(theirs))
    unlike = {"_name_or_path", "auto_map", "architectures", "dtype", "use_cache"}
    ours, kept = (made.config.to_dict() for made in (model, theirs))
    assert {name: ours[name] for name in ours.keys() - unlike} == {
        name: kept[name] for name in kept.keys() - unlike
    }


def test_a_run_that_learns_nothing_changes_the_temperature_only(
    write_classifier: Callable[..., Path],
    write_start: WriteRecipe,
    review_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentiment_lstm.training.run.calibrate", lambda _: 1.5)
    start = write_classifier(temperature=0.7)
    # Reviews of which the tokenizer would be another, if one were made.
    fields = {"train": f"{review_file}:train[:4]", "learning_rate": 0.0, "num_train_epochs": 1}
    folder = train(read_recipe(write_start(start, **fields, calibrate=True)))
    (model, tokenizer), (theirs, kept) = load_model(folder), load_model(start)
    assert model.config.temperature == pytest.approx(0.7 * 1.5)
    model.config.temperature = 0.7
    assert torch.equal(logits(model), logits(theirs))
    backends = [one.backend_tokenizer.to_str() for one in (tokenizer, kept)]
    assert backends[0] == backends[1]
    assert str(start) not in (folder / "config.json").read_text()
    assert str(start) not in (folder / "tokenizer_config.json").read_text()


def test_a_run_from_a_classifier_learns_resumes_and_knows_its_start(
    write_classifier: Callable[..., Path],
    write_start: WriteRecipe,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    start = write_classifier()
    # Dropouts are the run's own, and a vocabulary within the limit is kept.
    fields = {"seed": 9, "embedding_dropout": 0.4, "max_vocab_size": 30_000, "hidden_size": 16}
    folder = train(read_recipe(write_start(start, **fields)))
    expected = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    assert (config["embedding_dropout"], config["classifier_dropout"]) == (0.4, 0.3)
    weights = load_file(start / "model.safetensors")
    assert not any(torch.equal(weights[name], weight) for name, weight in expected.items())

    path = write_start(start, **fields, output_dir=str(tmp_path / "again"))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_trainer", stopping_at(13))
        with pytest.raises(KeyboardInterrupt):
            train(read_recipe(path))
    # A tokenizer that is lost on the way is the classifier's again.
    (tmp_path / "again" / "tokenizer.json").unlink()
    folder = train(read_recipe(path))
    assert results_of(folder).training["resumed_from"] == "checkpoint-12"
    for name, weight in load_file(folder / "model.safetensors").items():
        assert torch.equal(weight, expected[name]), name

    content = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps(content | {"temperature": 2.0}))
    with pytest.raises(RecipeError, match="on other files"):
        train(read_recipe(path))


OTHER_LABELS: dict[str, dict[str, Any]] = {
    "five": {"num_labels": 5},
    "turned": {"id2label": {0: "POSITIVE", 1: "NEGATIVE"}},
    "several at once": {"problem_type": "multi_label_classification"},
}


@pytest.mark.parametrize("labels", OTHER_LABELS)
def test_other_labels_get_a_new_head_on_the_same_words_and_layers(
    labels: str,
    write_classifier: Callable[..., Path],
    write_start: WriteRecipe,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = write_classifier(**OTHER_LABELS[labels], temperature=0.7)
    with caplog.at_level(logging.WARNING):
        model = started(read_recipe(write_start(start)))
    theirs: Any = load_model(start)[0]
    assert "with a new head: its labels are" in caplog.text
    for name, weight in theirs.model.named_parameters():
        assert torch.equal(weight, model.model.get_parameter(name)), name
    assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert model.classifier.weight.shape[0] == 2
    assert not torch.equal(model.classifier.weight, theirs.classifier.weight[:2])
    assert model.config.temperature == 1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 20}, "`hidden_size` is 16 there and 20 in the recipe"),
        ({"pooling": "last"}, r"`pooling` is max\+mean there and last in the recipe"),
        ({"single_logit": True}, "`single_logit` is False there and True in the recipe"),
        ({"max_vocab_size": 20}, "`max_vocab_size` is for a new tokenizer"),
        ({"words": "nltk"}, "`words` is for a new tokenizer"),
        (
            {"num_hidden_layers": 3, "mark_title": True},
            "`num_hidden_layers` is 1 there and 3 in the recipe; `mark_title` is for",
        ),
    ],
)
def test_what_contradicts_the_classifier_is_named_before_anything_is_read(
    fields: dict[str, Any],
    message: str,
    write_classifier: Callable[..., Path],
    write_start: WriteRecipe,
    tmp_path: Path,
) -> None:
    path = write_start(write_classifier(), **fields, train=str(tmp_path / "nowhere.csv"))
    with pytest.raises(RecipeError, match=f"init_from: .* is a classifier.*{message}"):
        train(read_recipe(path))
    assert not (tmp_path / "started").exists()


def test_a_search_varies_what_the_classifier_leaves_free(
    write_classifier: Callable[..., Path], write_start: WriteRecipe
) -> None:
    recipe = read_recipe(write_start(write_classifier()))
    with pytest.raises(RecipeError, match=r"space: init_from: .*`hidden_size` is 16 there and 8"):
        tune(recipe, 1, {"hidden_size": [16, 8]})
    trainer: Any = make_trainer(
        recipe, *make_tokens(recipe), model_fields=lambda _: {"embedding_dropout": 0.2}
    )
    config = trainer.call_model_init().config
    assert (config.embedding_dropout, config.hidden_size) == (0.2, 16)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", r"config\.json is damaged"),
        ("config.json", '{"model_type": "bert"}', "is a model of type bert"),
        ("config.json", None, r"hidden_size.*must be"),
        ("tokenizer.json", "{", "has no tokenizer that loads"),
        ("model.safetensors", "cut", "does not load"),
    ],
)
def test_a_damaged_classifier_is_named(
    file: str,
    content: str | None,
    message: str,
    write_classifier: Callable[..., Path],
    write_start: WriteRecipe,
) -> None:
    path = write_classifier() / file
    if content is None:
        content = path.read_text().replace('"hidden_size": 16', '"hidden_size": 0')
    path.write_text(content)
    with pytest.raises(RecipeError, match=f"init_from: .*{message}"):
        train(read_recipe(write_start(path.parent)))


def test_nothing_to_start_from_is_said(write_start: WriteRecipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="init_from: there is no file"):
        train(read_recipe(write_start(tmp_path / "nowhere")))


def test_words_of_a_language_model_go_to_the_same_words(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    first = pretrain(read_recipe(write_recipe(num_train_epochs=1)))
    fields = {"init_from": str(first), "output_dir": str(tmp_path / "second")}
    recipe = read_recipe(write_recipe(**fields, max_vocab_size=30))
    tokenizer, *tokens = make_tokens(recipe)
    model: Any = make_trainer(recipe, tokenizer, *tokens).model
    start = load_file(first / "model.safetensors")
    for name, weight in start.items():
        if name != "embeddings.weight":
            assert torch.equal(weight, model.get_parameter(f"model.{name}")), name
    ours = tokenizer.get_vocab()
    theirs = PreTrainedTokenizerFast.from_pretrained(first).get_vocab()
    assert len(ours) == 30
    vectors = model.get_parameter("model.embeddings.weight")
    for word, index in ours.items():
        assert torch.equal(vectors[index], start["embeddings.weight"][theirs[word]])

    wider = read_recipe(write_recipe(**fields, hidden_size=20))
    with pytest.raises(
        RecipeError, match=r"init_from: layers\.0.* is \(32, 12\) in .* and \(40, 12"
    ):
        make_trainer(wider, tokenizer, *tokens)


def test_a_language_model_takes_the_words_of_a_classifier_into_a_vocabulary_of_its_own(
    write_classifier: Callable[..., Path],
    write_recipe: WriteRecipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def stop(*arguments: Any) -> None:
        made.append(make_trainer(*arguments).model)
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "make_trainer", stop)
    start = write_classifier()
    with pytest.raises(KeyboardInterrupt):
        pretrain(read_recipe(write_recipe(init_from=str(start), max_vocab_size=30)))
    (model,) = made
    assert isinstance(model, SentimentLSTMForPreTraining)
    assert model.config.vocab_size == 30
    for name, weight in load_file(start / "model.safetensors").items():
        if name.startswith("model.layers"):
            assert torch.equal(weight, model.get_parameter(name)), name
