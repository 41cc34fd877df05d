"""Soft labels and halves: what a student learns from a teacher."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from support import results_of
from transformers import AutoModel, PreTrainedTokenizerFast

from sentiment_lstm.inference.predictor import load_model
from sentiment_lstm.training.distillation import (
    SoftLabelError,
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.preprocessing import make_tokens
from sentiment_lstm.training.recipe import Recipe, read_recipe
from sentiment_lstm.training.run import pretrain, train
from sentiment_lstm.training.trainer import make_trainer

WriteRecipe = Callable[..., Path]


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
        "eval_steps": 60,
        "load_best_model_at_end": False,
    }
    folder = train(read_recipe(write_recipe(**fields, soft_label_weight=1.0)))
    assert all(part["accuracy"] == 0.0 for _, _, part in results_of(folder).parts())
    # With no weight it is as if there were none.
    (tmp_path / "run").rename(tmp_path / "other")
    folder = train(read_recipe(write_recipe(**fields, soft_label_weight=0.0)))
    assert all(part["accuracy"] == 1.0 for _, _, part in results_of(folder).parts())
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


@pytest.fixture(scope="module")
def long_reviews(
    reviews: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[tuple[str, int]]]:
    """Reviews that can be halved, as pairs and as a file."""
    by_label = {label: [text for text, of in reviews if of == label] for label in (0, 1)}
    pairs = [
        (" ".join(by_label[label][(start + n) % 30] for n in range(5)), label)
        for start in range(16)
        for label in (0, 1)
    ]
    path = tmp_path_factory.mktemp("long") / "long.ft.txt"
    path.write_text("".join(f"__label__{label + 1} {text}\n" for text, label in pairs))
    return path, pairs


@pytest.fixture(scope="module")
def language_model(
    long_reviews: tuple[Path, list[tuple[str, int]]],
    review_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("lm")
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump(
            {
                "train": str(long_reviews[0]),
                "validation": str(review_file),
                "output_dir": str(folder / "run"),
                "embedding_size": 10,
                "hidden_size": 16,
                "num_train_epochs": 1,
                "use_cpu": True,
                "disable_tqdm": True,
            }
        )
    )
    return pretrain(read_recipe(folder / "recipe.yaml"))


@pytest.fixture
def student(
    long_reviews: tuple[Path, list[tuple[str, int]]],
    language_model: Path,
    write_recipe: WriteRecipe,
    tmp_path: Path,
) -> Callable[..., Recipe]:
    """A function to a recipe with everything that a student may be told at once."""
    path, pairs = long_reviews
    sentences = {"Not bad at all.": 0.97, "It is blue.": 0.5, "I do not like it.": 0.03}
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in sentences))
    soft = {text: 0.1 + 0.8 * label for text, label in pairs}
    soft |= {half: label for text, label in soft.items() for half in halves_of(text)}
    write_soft_labels(
        tmp_path / "soft.parquet", [*soft, *sentences], [*soft.values(), *sentences.values()]
    )

    def recipe(**fields: Any) -> Recipe:
        told = {
            "train": str(path),
            "unlabelled": str(tmp_path / "texts.txt"),
            "soft_labels": str(tmp_path / "soft.parquet"),
            "soft_label_weight": 0.75,
            "augment_halves": True,
            "label_smoothing_factor": 0.1,
            "ema_decay": 0.9,
            "init_from": str(language_model),
            "words": "plain",
            "embedding_size": 10,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "pooling": "max+mean",
            "eval_steps": 1000,
            "calibrate": True,
        }
        return read_recipe(write_recipe(**(told | fields)))

    return recipe


def test_all_that_a_student_may_be_told_goes_together(student: Callable[..., Recipe]) -> None:
    results = results_of(train(student(num_train_epochs=4)))
    # 32 reviews, both halves of each, and three sentences; by fours.
    assert results.training["steps"] == 4 * math.ceil((3 * 32 + 3) / 4)
    assert all(part["accuracy"] > 0.9 for _, _, part in results.parts())


def test_a_deeper_student_starts_from_the_language_model(
    student: Callable[..., Recipe], language_model: Path
) -> None:
    """And an average of weights that do not move is what they were."""
    model, tokenizer = load_model(train(student(learning_rate=0.0, num_train_epochs=1)))
    backbone = AutoModel.from_pretrained(language_model)
    words = PreTrainedTokenizerFast.from_pretrained(language_model).get_vocab()
    for name, weight in backbone.named_parameters():
        ours = model.model.get_parameter(name)
        if name == "embeddings.weight":
            known = [
                (index, words[word])
                for word, index in tokenizer.get_vocab().items()
                if word in words
            ]
            assert len(known) > 50
            to, of = torch.tensor(known).T
            ours, weight = ours[to], weight[of]
        torch.testing.assert_close(weight, ours, atol=1e-6, rtol=0, msg=name)


def test_soft_labels_are_mixed_smoothed_and_learned(
    student: Callable[..., Recipe], long_reviews: tuple[Path, list[tuple[str, int]]]
) -> None:
    recipe = student()
    tokenizer, tokens, validation = make_tokens(recipe)
    # What the teacher says of a review, 0.1 or 0.9, counts three quarters against its label.
    reviews, others = tokens[:32]["labels"], tokens[32:]["labels"]
    expected = [0.75 * (0.1 + 0.8 * label) + 0.25 * label for _, label in long_reviews[1]]
    assert [positive for _, positive in reviews] == pytest.approx(expected)
    assert sorted({round(positive, 2) for _, positive in others}) == [0.03, 0.1, 0.5, 0.9, 0.97]

    trainer = make_trainer(recipe, tokenizer, tokens, validation)
    rows = [tokens[index] for index in (0, 40, 98)]
    batch = trainer.data_collator([{k: v for k, v in row.items() if k != "length"} for row in rows])
    model = trainer.model
    assert model is not None
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    smooth = 0.9 * batch["labels"] + 0.1 / 2
    for training, labels in ((True, smooth), (False, batch["labels"])):
        model.train(training)
        with torch.no_grad():
            loss, outputs = trainer.compute_loss(model, dict(batch), return_outputs=True)
        right = -(labels * outputs.logits.log_softmax(-1)).sum(-1).mean()
        torch.testing.assert_close(loss, right)
