"""Any labels: what is said of them is what is read, from every format, and two are the default."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from review_files import Load, fasttext, load_with_own_cache, write

from sentiment_lstm import SentimentLSTMConfig
from sentiment_lstm.data.columns import Columns
from sentiment_lstm.data.dataset import ReviewError, label_set_of
from sentiment_lstm.data.labels import (
    BINARY,
    NUMBER,
    SEVERAL,
    SINGLE,
    LabelSet,
    label_code,
    read_label_set,
    read_labels,
)
from sentiment_lstm.data.texts import read_texts

load = load_with_own_cache

TEXTS = ["A lamp, bright & sturdy.", "It broke <br /> at once.", "It is a lamp.", "I love it!"]
STARS = [4, 1, 3, 5]
TOPICS = [["quality", "price"], ["quality"], [], ["delivery"]]
NUMBERS = [4.5, 1.0, 3.25, -5.0]
NAMES = ["price", "quality", "delivery"]


def write_rows(path: Path, labels: list[Any]) -> Path:
    """The texts with labels, as a file of the format that its name says."""
    rows = list(zip(TEXTS, labels, strict=True))
    if path.suffix == ".jsonl":
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        return write(path, "\n".join(lines) + "\n")
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "text"])
            for text, label in rows:
                writer.writerow([",".join(label) if isinstance(label, list) else label, text])
        return path
    if path.suffix == ".txt":
        marks = [label if isinstance(label, list) else [label] for label in labels]
        fronts = ["".join(f"__label__{one} " for one in several) for several in marks]
        return write(path, "".join(map("{}{}\n".format, fronts, TEXTS)))
    datasets.Dataset.from_dict({"text": TEXTS, "label": labels}).to_parquet(path)
    return path


FORMATS = ["x.jsonl", "x.csv", "x.ft.txt", "x.parquet"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("labels", "options", "features", "expected"),
    [
        (
            STARS,
            {"labels": [1, 2, 3, 4, 5]},
            datasets.ClassLabel(names=["1", "2", "3", "4", "5"]),
            [3, 0, 2, 4],
        ),
        (
            STARS,
            {"labels": {1: "bad", 2: "bad", 3: "fair", 4: "good", 5: "good"}},
            datasets.ClassLabel(names=["bad", "fair", "good"]),
            [2, 0, 1, 2],
        ),
        (
            TOPICS,
            {"labels": NAMES, "problem_type": SEVERAL},
            datasets.List(datasets.ClassLabel(names=NAMES)),
            [[0, 1], [1], [], [2]],
        ),
        (NUMBERS, {"problem_type": NUMBER}, datasets.Value("float32"), NUMBERS),
    ],
)
def test_every_format_gives_the_labels_that_are_said(
    name: str,
    labels: list[Any],
    options: dict[str, Any],
    features: Any,
    expected: list[Any],
    tmp_path: Path,
    load: Load,
) -> None:
    reviews = load(write_rows(tmp_path / name, labels), **options)
    assert reviews["text"][:] == TEXTS
    assert reviews.features["label"] == features
    assert reviews["label"][:] == expected
    # The cache knows one label set from another.
    if options.get("problem_type") is None:
        other = load(tmp_path / name, labels={1: "low", 3: "low", 4: "high", 5: "high", 2: "low"})
        assert other.features["label"].names == ["low", "high"]
        assert other._fingerprint != reviews._fingerprint


@pytest.mark.parametrize("column", ["stars", "rating"])
@pytest.mark.parametrize("written", ["{}", "{}.0"])
def test_stars_are_found_but_not_guessed(
    column: str, written: str, tmp_path: Path, load: Load
) -> None:
    lines = [
        f'{written.format(stars)},"{text}"\n' for stars, text in zip(STARS, TEXTS, strict=True)
    ]
    path = write(tmp_path / "x.csv", f"{column},text\n" + "".join(lines))
    assert load(path, labels=[1, 2, 3, 4, 5])["label"][:] == [3, 0, 2, 4]
    assert load(path, problem_type=NUMBER)["label"][:] == STARS
    # Not even where they look like 0 and 1, and whatever is done with bad lines.
    write(path, f"{column},text\n0,a\n1,b\n")
    with pytest.raises(ReviewError, match=r"x\.csv:2: unknown label .* not guessed.*labels="):
        load(path, on_bad_line="skip")


@pytest.mark.parametrize(
    ("names", "several"), [(["bad", "fair", "good"], False), (["price", "quality"], True)]
)
def test_a_file_may_name_its_own_labels(
    names: list[str], several: bool, tmp_path: Path, load: Load
) -> None:
    kind: Any = datasets.ClassLabel(names=names)
    labels: list[Any] = [[1], [], [0, 1], [0]] if several else [1, 0, 1, 0]
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.List(kind) if several else kind}
    )
    made = datasets.Dataset.from_dict({"text": TEXTS, "label": labels}, features)
    made.to_parquet(tmp_path / "x.parquet")
    problem_type = SEVERAL if several else SINGLE
    reviews = load(tmp_path / "x.parquet", problem_type=problem_type)
    assert reviews["label"][:] == labels
    assert label_set_of(reviews) == LabelSet(tuple(names), problem_type)
    # In another order, where the caller says so.
    turned = load(tmp_path / "x.parquet", labels=names[::-1], problem_type=problem_type)
    last = len(names) - 1
    assert turned["label"][:] == [
        sorted(last - one for one in label) if several else last - label for label in labels
    ]


BLITZER = [
    "<review>\n<unique_id>\n1:lamp\n</unique_id>\n<rating>\n4.0\n</rating>\n<title>\nFine\n</title>\n"
    "<review_text>\nA lamp, bright & sturdy:\n<b>two</b> lines.\n</review_text>\n</review>\n",
    "<review><rating>1.0</rating><reviewer>me</reviewer><review_text>It broke &amp; leaked."
    "</review_text></review>\n",
    "<review>\n<rating>5.0</rating>\n<title></title><review_text>\nI love it!\n</review_text>"
    "</review><review><rating>3.0</rating><review_text>It is a lamp.</review_text></review>\n",
]
BLITZER_TEXTS = [
    "Fine: A lamp, bright & sturdy:\n<b>two</b> lines.",
    "It broke & leaked.",
    "I love it!",
    "It is a lamp.",
]


def test_the_files_of_blitzer_are_read(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "all.review", "".join(BLITZER))
    reviews = load(path, labels=[1, 2, 3, 4, 5])
    assert reviews["text"][:] == BLITZER_TEXTS
    assert reviews["label"][:] == [3, 0, 4, 2]
    assert load(path, labels={1: 0, 4: 1, 5: 1}, on_bad_line="skip")["label"][:] == [1, 0, 1]
    assert load(path, split="train[:2]", problem_type=NUMBER)["label"][:] == [4.0, 1.0]
    assert list(read_texts(path)) == BLITZER_TEXTS


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("lost\n" + BLITZER[1], r"all\.review:1: no <review>, but 'lost'"),
        ("<review><rating>1.0</rating>\n" + BLITZER[1], r"all\.review:1: <review> without"),
        (BLITZER[1] + "<review><rating>1.0</rating>\n", r"all\.review:2: <review> without"),
    ],
)
def test_a_broken_review_of_blitzer_is_a_bad_line(
    broken: str, message: str, tmp_path: Path, load: Load
) -> None:
    path = write(tmp_path / "all.review", broken)
    with pytest.raises(ReviewError, match=message):
        load(path, labels=[1, 2, 3, 4, 5])
    skipped = load(path, labels=[1, 2, 3, 4, 5], on_bad_line="skip")
    assert skipped["text"][:] == BLITZER_TEXTS[1:2]


def test_a_review_of_blitzer_that_is_never_closed_ends_the_file(tmp_path: Path, load: Load) -> None:
    endless = "<review><rating>1.0</rating>\n" + "word\n" * 100
    path = write(tmp_path / "all.review", BLITZER[1] + endless)
    options: dict[str, Any] = {"labels": [1, 2, 3, 4, 5], "max_line_bytes": 200}
    with pytest.raises(ReviewError, match=r"all\.review:2: a review of more than 200 bytes"):
        load(path, **options)
    kept = load(path, on_bad_line="skip", **options)
    assert kept["text"][:] == BLITZER_TEXTS[1:2]


@pytest.mark.parametrize(
    "nasty", ["<review>" * 300_000, "<review>" + "<a>" * 300_000 + "</review>"]
)
def test_the_cost_of_a_file_of_blitzer_is_linear(nasty: str, tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "all.review", BLITZER[1] + nasty + "\n")
    begun = time.process_time()
    assert load(path, labels=[1, 2, 3, 4, 5], on_bad_line="skip")["label"][:] == [0]
    assert time.process_time() - begun < 30, "by squares it takes many minutes"


@pytest.mark.parametrize("name", FORMATS[:3])
@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([4, 1, 6, 5], {"labels": [1, 4, 5]}, "unknown label"),
        (
            [["price"], ["taste"], [], []],
            {"labels": NAMES, "problem_type": SEVERAL},
            "unknown label 'taste'",
        ),
        (["4", "many", "1", "nan"], {"problem_type": NUMBER}, "no number, but 'many'"),
        (TOPICS, {"problem_type": SEVERAL}, "name them with labels"),
    ],
)
def test_other_labels_are_bad_lines(
    name: str,
    labels: list[Any],
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
    load: Load,
) -> None:
    path = write_rows(tmp_path / name, labels)
    with pytest.raises(ReviewError, match=message):
        load(path, **options)
    if "name them" not in message:
        kept = load(path, on_bad_line="skip", **options)
        assert 0 < len(kept) < len(TEXTS)


@pytest.mark.parametrize(
    ("labels", "problem_type", "message"),
    [
        ({1: 0, 2: 1, 3: 2}, None, "every label must mean"),
        ({1: "bad", 2: 1}, None, "every label must mean"),
        ({1: ""}, None, "every label must mean"),
        ("good", None, "every label must mean"),
        ([], None, "every label must mean"),
        ([1], None, "at least two"),
        ({1: "fair", 2: "fair"}, None, "at least two"),
        (["good", "Good "], None, "more than once"),
        (["a,b", "c"], SEVERAL, "has a comma"),
        (["a", "b"], NUMBER, "its one name"),
        ({1: 0}, NUMBER, "its one name"),
        (["a", "b"], "stars", "problem_type='stars': must be one of"),
    ],
)
def test_what_says_no_labels_is_refused(
    labels: Any, problem_type: str | None, message: str
) -> None:
    with pytest.raises(ReviewError, match=message):
        read_label_set(labels, problem_type)


def test_two_labels_stay_what_they_were(tmp_path: Path, load: Load) -> None:
    """The fingerprints are those of version 0.1: caches and claimed folders stay good."""
    path = write(tmp_path / "x.ft.txt", fasttext(["good", "bad"], [1, 0]))
    reviews = load(path)
    assert reviews.features["label"] == datasets.ClassLabel(names=["NEGATIVE", "POSITIVE"])
    assert reviews._fingerprint == "5be19ccc1cadec7c7c89da24aded0d80"
    assert repr(Columns()) == "Columns(text=None, label=None, title=None, coding=None)"
    assert label_set_of(reviews) == BINARY
    assert BINARY.config_fields() == {}
    alike: list[Any] = [{1: 0, 2: 1}, {1: "negative", 2: "POS"}, {"1": "0", "2": "1"}]
    for said in alike:
        assert read_label_set(said) == (None, (("1", 0), ("2", 1)))
    assert read_label_set(["NEGATIVE", "POSITIVE"]) == (None, (("negative", 0), ("positive", 1)))


@pytest.mark.parametrize(
    "label_set",
    [
        LabelSet(("1", "2", "3"), ordered=True),
        LabelSet(("bad", "good")),
        LabelSet(("price", "quality"), SEVERAL),
        LabelSet(("stars",), NUMBER),
        BINARY,
    ],
)
def test_a_label_set_survives_config_and_json(label_set: LabelSet, tmp_path: Path) -> None:
    config = SentimentLSTMConfig(**label_set.config_fields())
    config.save_pretrained(tmp_path)
    assert LabelSet.of_config(SentimentLSTMConfig.from_pretrained(tmp_path)) == label_set
    assert LabelSet.from_dict(json.loads(json.dumps(label_set.as_dict()))) == label_set


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("names"),
        lambda content: content.update(names=[]),
        lambda content: content.update(names="ab"),
        lambda content: content.update(problem_type="x"),
        lambda content: content.update(ordered=None),
    ],
)
def test_what_is_no_label_set_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    content = BINARY.as_dict()
    change(content)
    with pytest.raises(ValueError, match="no label set"):
        LabelSet.from_dict(content)


@pytest.mark.parametrize("name", FORMATS[:3])
def test_numbers_are_the_same_labels_with_a_point_or_without(
    name: str, tmp_path: Path, load: Load
) -> None:
    path = write_rows(tmp_path / name, [1.0, 1.5, 2.0, 1.0])
    for labels in ([1.0, 1.5, 2.0], ["1.0", "1.5", "2.00"], [1, 1.5, 2]):
        assert load(path, labels=labels)["label"][:] == [0, 1, 2, 0]
    path = write_rows(tmp_path / name, [1.0, 2.0, 2.0, 1.0])
    assert load(path, labels={1.0: 0, "2": 1})["label"][:] == [0, 1, 1, 0]
    assert label_code("-1.0") == label_code(-1) == "-1"
    assert [label_code(label) for label in ("1.05", "v1.0", ".0", "1.")] == [
        *("1.05", "v1.0", ".0", "1."),
    ]


@pytest.mark.parametrize("name", FORMATS[:2])
def test_a_number_that_float32_has_not_is_a_bad_line(name: str, tmp_path: Path, load: Load) -> None:
    path = write_rows(tmp_path / name, [4.0, 3.4e38, 3.5e38, 1e39])
    with pytest.raises(ReviewError, match=rf"{name}:\d+: no number, but .*3\.5e\+?38"):
        load(path, problem_type=NUMBER)
    assert len(load(path, problem_type=NUMBER, on_bad_line="skip")) == 2


def test_labels_as_words() -> None:
    words = ["1=0", "2=NEGATIVE", "a=b=1"]
    assert read_labels(words) == {"1": "0", "2": "NEGATIVE", "a=b": "1"}
    assert read_label_set(read_labels(words)) == read_label_set({1: 0, 2: "negative", "a=b": 1})
    assert read_labels(["bad", "fair", "good"]) == ["bad", "fair", "good"]


@pytest.mark.parametrize("words", [["1=0", "1"], ["1=0", "1=1"], ["1=7"], ["=", "1=0"], []])
def test_words_that_are_no_labels_are_named(words: list[str]) -> None:
    with pytest.raises(ReviewError, match=r"labels.*1=0 2=0 4=1 5=1|labels=.*must mean 0, 1"):
        read_label_set(read_labels(words))
