"""What scripts/explanations.py deletes and measures."""

import json
import math
import sys
from pathlib import Path

import explanations
import pytest
import torch
from support import randomised
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import SentimentLSTMConfig, SentimentLSTMForSequenceClassification
from sentiment_lstm.inference.explanation import Word
from sentiment_lstm.inference.predictor import SentimentPredictor


@pytest.fixture
def folder(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    torch.manual_seed(4)
    config = SentimentLSTMConfig(vocab_size=len(tokenizer), embedding_size=12, hidden_size=16)
    model = randomised(SentimentLSTMForSequenceClassification(config))
    model.save_pretrained(tmp_path / "random")
    tokenizer.save_pretrained(tmp_path / "random")
    return tmp_path / "random"


def test_deleted_words_leave_a_space() -> None:
    words = [Word(7, 9, "10", 0.0), Word(4, 6, "10", 0.0)]
    assert explanations.without("It, 10/10!", words) == "It,  / !"
    assert explanations.without("It", []) == "It"


def test_the_figures_are_those_of_the_deleted_texts(
    folder: Path,
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reviews: list[tuple[str, int]],
) -> None:
    output = tmp_path / "figures.json"
    words = ["explanations.py", str(review_file), "--model", str(folder), "--limit", "3"]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(output)])
    explanations.main()
    found = json.loads(output.read_text())
    assert (found["reviews"], found["source"]) == (3, "reviews.ft.txt")
    assert str(tmp_path) not in output.read_text()

    predictor = SentimentPredictor.from_pretrained(folder)
    moved, turned = [], []
    for text, _ in reviews[:3]:
        (answer,) = predictor.predict([text])
        explanation = predictor.explain(text, label=answer.label)
        (strongest,) = sorted(explanation.words, key=lambda word: -word.contribution)[:1]
        left = text[: strongest.start] + " " + text[strongest.end :]
        after = predictor.explain(left, label=answer.label).score
        moved.append(explanation.score - after)
        turned.append(after < 0)
    ours, *_, chance = found["methods"].values()
    assert ours["movement"][0] == pytest.approx(sum(moved) / 3, abs=1e-3)
    assert ours["turned"][0] == pytest.approx(sum(turned) / 3, abs=1e-3)
    assert ours["difference"] == [0.0] * len(explanations.NUMBERS)
    for row in found["methods"].values():
        assert len(row["movement"]) == len(found["words"])
        assert all(map(math.isfinite, row["movement_error"]))
        for of_first, moves, first in zip(
            row["difference"], row["movement"], ours["movement"], strict=True
        ):
            assert of_first == pytest.approx(moves - first, abs=2e-4)
    assert chance["movement"][1] < ours["movement"][1]
    assert "random words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{file}", "--limit", "1"], "has fewer than two reviews"),
        (["{file}", "--model", "{folder}/gone"], "no such model folder"),
        (["gone.ft.txt"], "gone.ft.txt"),
    ],
)
def test_bad_input_is_a_line(
    arguments: list[str],
    message: str,
    folder: Path,
    review_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [word.format(file=review_file, folder=folder) for word in arguments]
    monkeypatch.setattr(sys, "argv", ["explanations.py", "--model", str(folder), *given])
    with pytest.raises(SystemExit, match=message):
        explanations.main()
