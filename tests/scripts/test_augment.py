"""Texts that teach a model what reviews seldom say."""

from collections.abc import Callable
from pathlib import Path

import augment
import pytest

from sentiment_lstm.evaluation.behaviour import training_sentences
from sentiment_lstm.training.distillation import (
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.preprocessing import load_all, make_tokens
from sentiment_lstm.training.recipe import read_recipe

WriteRecipe = Callable[..., Path]


def test_a_recipe_learns_from_sentences_and_copies(
    write_recipe: WriteRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_recipe()
    (train,) = load_all(read_recipe(path).reviews)["train"].values()
    teacher = {text: 0.25 + 0.5 * number / len(train) for number, text in enumerate(train["text"])}
    write_soft_labels(tmp_path / "teacher.parquet", teacher, teacher.values())
    folder = tmp_path / "augmented"
    given = ["--soft_labels", str(tmp_path / "teacher.parquet"), "--output_dir", str(folder)]
    monkeypatch.setattr(
        "sys.argv", ["augment", str(path), "--sentences", "50", "--copies", "20", *given]
    )
    augment.main()
    texts = (folder / "texts.txt").read_text().splitlines()
    assert f"wrote {len(texts)} texts to {folder}" in capsys.readouterr().out

    labels = read_soft_labels(folder / "soft_labels.parquet")
    rules = dict(training_sentences(50, 0))
    assert texts[: len(rules)] == list(rules)
    assert [labels[text_key(text)] for text in rules] == pytest.approx(list(rules.values()))
    copies = texts[len(rules) :]
    assert 0 < len(copies) <= 20
    assert not set(copies) & set(teacher)
    assert {round(labels[text_key(copy)], 4) for copy in copies} <= {
        round(label, 4) for label in teacher.values()
    }, "a copy has the teacher's word on the original"
    assert labels.keys() >= set(map(text_key, teacher))
    assert not any(map(halves_of, texts)), "else their halves would need soft labels"

    fields = {
        "unlabelled": str(folder / "texts.txt"),
        "soft_labels": str(folder / "soft_labels.parquet"),
        "augment_halves": True,
    }
    _, tokens, _ = make_tokens(read_recipe(path, fields))
    assert len(tokens) == len(train) + len(texts)

    monkeypatch.setattr("sys.argv", ["augment", str(path), "--output_dir", str(folder)])
    with pytest.raises(SystemExit, match="say where the teacher's soft labels are"):
        augment.main()
