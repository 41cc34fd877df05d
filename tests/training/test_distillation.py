"""Soft labels and halves: what a student learns from a teacher."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import results_of

from sentiment_lstm.training.distillation import (
    SoftLabelError,
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import train

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
