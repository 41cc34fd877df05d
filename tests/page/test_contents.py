"""What the page says, without the library that draws it."""

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import PRESETS, randomised
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import SentimentLSTMForSequenceClassification, SentimentPredictor
from sentiment_lstm.cli.main import main
from sentiment_lstm.data.labels import SEVERAL
from sentiment_lstm.inference.predictor import Prediction
from sentiment_lstm.inference.rows import Rows
from sentiment_lstm.page import contents
from sentiment_lstm.page.contents import (
    Answers,
    PageError,
    check_words,
    histogram,
    read_pasted,
    read_uploaded,
    score_axis,
    score_cuts,
)

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

TEXTS = ["I love it, the colours are lovely.", 'A "waste",\nof money <b>!</b>', "", "=1+1"]


@pytest.fixture
def predictor(make_model: MakeModel, tokenizer: PreTrainedTokenizerFast) -> SentimentPredictor:
    return SentimentPredictor(randomised(make_model()), tokenizer)


def prediction(label: str, *probabilities: float) -> Prediction:
    return Prediction(label, max(probabilities), np.array(probabilities, dtype=np.float32))


# --- reading -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_a_line_is_a_review_and_an_empty_one_is_none(lines: list[str]) -> None:
    wanted = [line.strip() for line in lines if line.strip()]
    for end in ("\n", "\r\n", "\n\n"):
        if wanted:
            assert read_pasted(end.join(lines)) == wanted
        else:
            with pytest.raises(PageError, match="Paste a review first"):
                read_pasted(end.join(lines))


@pytest.mark.parametrize("nothing", [None, "", " \n\t\n"])
def test_nothing_is_asked_for(nothing: str | None) -> None:
    with pytest.raises(PageError, match="Paste a review first"):
        read_pasted(nothing)


def test_a_file_is_read_as_the_command_reads_it(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["stars", "text"], *([1, text] for text in TEXTS)])
    texts = read_uploaded(path)
    assert texts == TEXTS
    predictor = SentimentPredictor.from_pretrained(model_folder)
    written = Answers(texts, predictor.predict(texts)).to_csv()
    command = ["predict", "--model", str(model_folder), "--input", str(path), "--exact"]
    capsys.readouterr()
    assert main([*command, "--format", "csv", "--include_text"]) == 0
    assert written == capsys.readouterr().out
    assert [row[2] for row in csv.reader(io.StringIO(written))][1:] == TEXTS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"stars,words\n1,fine\n", "x.csv:1: no text column (text, content, review) among "
         "the columns stars, words. Rename the column of the reviews to text."),
        ("x.csv", b"text\n", "x.csv: there is no review in it."),
        ("x.csv", b"", "x.csv: there is no review in it."),
        ("x.csv", b'text\n"fine\n', "x.csv:2: no valid csv (the file ends at a quote that stays "
         "open). Mend it."),
        ("x.txt", b"fine\n\xff\n", "x.txt:2: not valid UTF-8 at character 1 of the text. Mend it."),
        ("x.jsonl", b'{"text": 1}\n', "x.jsonl:1: 1 in column 'text'. Mend it."),
        ("x.csv.gz", b"", "x.csv.gz: choose a file of .csv, .txt, .jsonl, not packed."),
        ("x.parquet", b"", "x.parquet: choose a file of .csv, .txt, .jsonl, not packed."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_without_its_folder(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PageError) as error:
        read_uploaded(tmp_path / name)
    assert str(error.value) == message


def test_no_file_is_asked_for() -> None:
    with pytest.raises(PageError, match="Choose a file first"):
        read_uploaded(None)


@pytest.mark.parametrize(
    ("limit", "pasted", "message"),
    [
        ("MAX_REVIEWS", "a\nb\nc\nd", "More than 3 reviews: `sentiment-lstm predict"),
        ("MAX_CHARACTERS", "a\nbbbb", "Review 2 has more than 3 characters"),
        ("MAX_ALL_CHARACTERS", "aa\nbb", "More than 3 characters in all"),
    ],
)
def test_what_is_too_much_is_refused_by_either_way(
    limit: str, pasted: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(contents, limit, 3)
    (tmp_path / "x.txt").write_text(pasted)
    with pytest.raises(PageError, match=message):
        read_pasted(pasted)
    with pytest.raises(PageError, match=message):
        read_uploaded(tmp_path / "x.txt")
    monkeypatch.setattr(contents, limit, 4)
    assert read_pasted(pasted) == read_uploaded(tmp_path / "x.txt") == pasted.split("\n")


# --- answers -------------------------------------------------------------------------------------


def test_the_table_shows_the_first_answers_and_a_file_has_all(
    predictor: SentimentPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "ROWS", 3)
    monkeypatch.setattr(contents, "ROW_CHARACTERS", 8)
    texts = [f"Lamp {number:>4}" for number in range(5)]
    answers = Answers(texts, predictor.predict(texts))
    first = answers.predictions[0]
    rows = answers.to_rows()
    assert rows[0] == [1, first.label, f"{first.score:.3f}", "Lamp    …"]
    assert [row[0] for row in rows] == [1, 2, 3]
    assert len(answers.to_csv().splitlines()) == 6
    assert answers.summary.endswith("The table shows the first 3.")


def test_labels_are_counted_and_one_review_has_its_score() -> None:
    good, bad = prediction("POSITIVE", 0.25, 0.75), prediction("NEGATIVE", 1.0, 0.0)
    assert Answers(["a"] * 3, [bad, good, bad]).summary == "3 reviews: 2 NEGATIVE, 1 POSITIVE."
    assert Answers(["a"], [good]).summary == "POSITIVE, score 0.750"


def test_answers_of_any_labels_are_those_of_the_command(
    of_any_labels: SentimentPredictor,
) -> None:
    predictor, texts = of_any_labels, [TEXTS[0], "Great!", "A lamp.\rIt broke."]
    answers = Answers(texts, predictor.predict(texts), predictor.label_set)
    rows = Rows("csv", include_text=True, label_set=predictor.label_set)
    names, *written = csv.reader(io.StringIO(answers.to_csv(), newline=""))
    assert [names] == list(csv.reader([rows.header]))
    assert [row[-1] for row in written] == texts
    said = [row[1] for row in answers.to_rows()]
    if predictor.label_set.problem_type == SEVERAL:
        assert said == [", ".join(one.labels) or "none" for one in answers.predictions]
    else:
        assert said == [one.label for one in answers.predictions]


# --- why -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [TEXTS[0], "Great!", "great " * 200, "", " 👍🏽 <b>"])
def test_cuts_go_from_no_word_to_the_answer(text: str, of_any_labels: SentimentPredictor) -> None:
    explanation = of_any_labels.explain(text, method="occlusion")  # which never fails
    cuts = score_cuts(of_any_labels, explanation)
    label = of_any_labels.model.config.label2id[explanation.label]
    answer, nothing = of_any_labels.predict_proba([text, ""])[:, label].tolist()
    words = len(explanation.words)
    assert [cuts[0].words, cuts[-1].words] == [0, words]
    assert cuts[-1].score == pytest.approx(answer, abs=1e-6)
    if words:
        assert cuts[0].score == pytest.approx(nothing, abs=1e-6)
        assert cuts[-1].word == explanation.words[-1].text
    counts = [cut.words for cut in cuts]
    assert counts == sorted(set(counts))
    assert len(cuts) == min(words, contents.CUTS) + 1


@pytest.mark.parametrize("preset", ["one direction", "tutorial"])
def test_for_one_direction_a_cut_has_the_score_so_far(
    preset: str, make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(randomised(make_model(**PRESETS[preset])), tokenizer)
    explanation = predictor.explain("The colours are lovely and it works well")
    so_far = [word.running_score for word in explanation.words]
    scores = [cut.score for cut in score_cuts(predictor, explanation)[1:]]
    assert len(scores) > 3
    assert np.log(scores) - np.log1p(np.negative(scores)) == pytest.approx(so_far, abs=1e-3)


def test_a_review_of_many_words_is_not_explained(
    predictor: SentimentPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MAX_WORDS", 3)
    check_words(predictor, "a b c")
    with pytest.raises(PageError, match=r"has 4 words, and the page explains at most 3: use"):
        check_words(predictor, "a b c d")


# --- the histogram -------------------------------------------------------------------------------


def test_every_answer_is_in_one_bar(of_any_labels: SentimentPredictor) -> None:
    predictions = of_any_labels.predict([*TEXTS, "Great", "Broke", "The hinge snapped"])
    bars = histogram(of_any_labels, predictions)
    found = sorted({each.label for each in predictions})
    assert len(bars) == contents.BARS * len(found)
    assert [bar.start for bar in bars] == sorted(bar.start for bar in bars)
    for label in found:
        counted = sum(bar.reviews for bar in bars if bar.label == label)
        assert counted == sum(each.label == label for each in predictions)


def test_bars_begin_at_what_they_count(predictor: SentimentPredictor) -> None:
    answers = [("NEGATIVE", 0.0), ("NEGATIVE", 0.049), ("POSITIVE", 0.5), ("POSITIVE", 0.96),
               ("POSITIVE", 1.0)]  # fmt: skip
    bars = histogram(predictor, [prediction(label, 1 - p, p) for label, p in answers])
    found = {(round(bar.start, 2), bar.label): bar.reviews for bar in bars if bar.reviews}
    assert found == {(0.0, "NEGATIVE"): 2, (0.5, "POSITIVE"): 1, (0.95, "POSITIVE"): 2}
    assert score_axis(predictor) == "score of POSITIVE"


# --- the command ---------------------------------------------------------------------------------


def test_without_gradio_the_command_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "sentiment_lstm.page.layout", raising=False)
    assert main(["demo", "no/model"]) == 1
    assert 'gradio is not installed: `pip install "sentiment-lstm[page]"`' in (
        capsys.readouterr().err
    )
