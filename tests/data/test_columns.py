"""Which columns hold text, title and label, and what labels mean."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from review_files import Load, fasttext, load_with_own_cache, write

from sentiment_lstm.data.columns import joined, text_columns
from sentiment_lstm.data.dataset import ReviewError, load_texts
from sentiment_lstm.data.texts import read_texts

load = load_with_own_cache


def test_columns_can_be_named(tmp_path: Path, load: Load) -> None:
    path = write(
        tmp_path / "stars.csv",
        "text,body,head,stars\nwrong,good,Yes,5\nwrong,bad,,1\nwrong,poor,No,2.0\n",
    )
    options = {"text_column": "body", "label_column": "stars", "title_column": "head"}
    with pytest.raises(ReviewError, match=r"stars\.csv:2: unknown label '5'.*labels="):
        load(path, **options)
    labels = {1: 0, "2.0": "negative", 5: "POSITIVE"}
    dataset = load(path, **options, labels=labels)
    assert dataset["text"][:] == ["Yes: good", "bad", "No: poor"]
    assert dataset["label"][:] == [1, 0, 0]
    assert load(path, **{**options, "title_column": ""}, labels=labels)["text"][0] == "good"


def test_title_is_joined_by_default(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.jsonl", '{"title": "T", "content": "C", "label": 1}\n\n')
    assert load(path)["text"][:] == ["T: C"]
    assert load(path, title_column="")["text"][:] == ["C"]


RECORDS = [
    ({"text": "a", "label": 1}, "a"),
    ({"title": "B", "text": "b", "label": 0}, "B: b"),
    ({"title": None, "review": "c", "sentiment": "pos"}, "c"),
    ({"label": 0, "content": "d", "title": "D"}, "D: d"),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(RECORDS)))))
def test_the_layout_of_a_json_line_is_its_own(
    order: tuple[int, ...], tmp_path: Path, load: Load
) -> None:
    lines = "".join(json.dumps(RECORDS[number][0]) + "\n" for number in order)
    path = write(tmp_path / "x.jsonl", lines)
    expected = [RECORDS[number][1] for number in order]
    assert load(path)["text"][:] == expected
    assert load_texts(path, cache_dir=tmp_path)["text"][:] == expected
    assert list(read_texts(path)) == expected


def test_a_named_title_may_be_missing_but_not_wrong(tmp_path: Path, load: Load) -> None:
    first, last = '{"text": "a", "head": "A", "label": 1}\n', '{"text": "b", "label": 0}\n'
    path = write(tmp_path / "x.jsonl", first + last)
    assert load(path, title_column="head")["text"][:] == ["A: a", "b"]
    with pytest.raises(ReviewError, match=r"x\.jsonl:1: no column 'heading' among"):
        load(path, title_column="heading")


def fasttext_of(rows: list[tuple[str, Any]]) -> str:
    return "".join(f"__label__{label} {text}\n" for text, label in rows)


def zhang_of(rows: list[tuple[str, Any]]) -> str:
    return "".join(f'"{label}","","{text}"\n' for text, label in rows)


def csv_of(rows: list[tuple[str, Any]]) -> str:
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


def jsonl_of(rows: list[tuple[str, Any]]) -> str:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)


# Codes that begin as those that need no explanation, and go on as others.
SCHEMES = [
    ("x.ft.txt", fasttext_of, [1, 2, 1, 2, 1, 2, 3]),
    ("x.csv", zhang_of, [1, 2, 1, 2, 1, 2, 5]),
    ("x.csv", csv_of, [1, 1, 1, 1, 1, 2]),
    ("x.csv", csv_of, [0, 1, 0, 1, 0, 1, 2]),
    ("x.jsonl", jsonl_of, [1, 1, 1, 1, 5, 1]),
    ("x.jsonl", jsonl_of, [0, 1, 0, 1, 0.5]),
    ("x.jsonl", jsonl_of, ["pos", "neg", "pos", "neutral", "neg"]),
]


@pytest.mark.parametrize(("name", "file_of", "codes"), SCHEMES)
@pytest.mark.parametrize("on_bad_line", ["raise", "skip"])
@pytest.mark.parametrize("split", ["train", "train[:2]", "train[1:2]", "train[:50%]"])
def test_labels_are_known_together_or_refused(
    name: str,
    file_of: Callable[[list[tuple[str, Any]]], str],
    codes: list[Any],
    on_bad_line: str,
    split: str,
    tmp_path: Path,
    load: Load,
) -> None:
    rows = [(f"review {number}", code) for number, code in enumerate(codes)]
    path = write(tmp_path / name, file_of(rows) + "__label__\n")
    if name == "x.ft.txt" and split in ("train[:2]", "train[1:2]"):
        # Kaggle's files say what they are, and their heads are read no further.
        assert len(load(path, split=split, on_bad_line=on_bad_line)) <= 2
        return
    with pytest.raises(ReviewError, match=r"unknown label .*labels=\{1: 0, 2: 1\}"):
        load(path, split=split, on_bad_line=on_bad_line)
    # What is meant is said, so the others may go.
    labels = {codes[0]: 0, codes[-1]: 1}
    known = [(text, labels[code]) for text, code in rows if code in labels]
    reviews = load(path, labels=labels, on_bad_line="skip")
    assert list(zip(reviews["text"], reviews["label"], strict=True)) == known


def test_a_head_passes_over_bad_lines_behind_it(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.csv", 'text,label\na,0\nb,1\nc,\n"d\n')
    assert load(path, split="train[:2]")["text"][:] == ["a", "b"]
    with pytest.raises(ReviewError, match=r"x\.csv:4: no label"):
        load(path)


@pytest.mark.parametrize("names", [["1", "2"], ["1 star", "5 stars"], ["neg", "neutral", "pos"]])
def test_class_names_that_say_something_else_are_kept(
    names: list[str], tmp_path: Path, load: Load
) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    last = len(names) - 1
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, last]}, features)
    dataset.to_parquet(tmp_path / "x.parquet")
    own = load(tmp_path / "x.parquet")
    assert own.features["label"].names == names
    assert own["label"][:] == [0, last]
    with pytest.raises(ReviewError, match=r"labels are named .*labels="):
        load(tmp_path / "x.parquet", labels={"none": 0, "of them": 1})
    labels = {names[0]: 0, names[last]: 1}
    assert load(tmp_path / "x.parquet", labels=labels)["label"][:] == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_bad_line": "ignore"}, "on_bad_line"),
        ({"revision": "main"}, "revision is for Hub datasets"),
        ({"text_column": "text"}, "fastText lines have no columns"),
        ({"labels": {1: 3}}, "every label must mean"),
        ({"labels": {}}, "every label must mean"),
    ],
)
def test_options_that_mean_nothing_are_errors(
    options: dict[str, Any], message: str, tmp_path: Path, load: Load
) -> None:
    with pytest.raises(ReviewError, match=message):
        load(write(tmp_path / "x.ft.txt", fasttext()), **options)


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (["label", "text"], {}, ("text", None)),
        (["review", "content", "stars"], {}, ("content", None)),
        (["title", "content"], {}, ("content", "title")),
        (["title", "content"], {"title": ""}, ("content", None)),
        (["head", "body"], {"text": "body", "title": "head"}, ("body", "head")),
    ],
)
def test_text_columns_are_found_by_name(
    names: list[str], options: dict[str, str], expected: tuple[str, str | None]
) -> None:
    assert text_columns(names, "batch", **options) == expected


def test_missing_text_columns_are_named() -> None:
    with pytest.raises(ReviewError, match=r"^batch: no text column .* among the columns stars"):
        text_columns(["stars"], "batch")
    with pytest.raises(ReviewError, match=r"^batch: no column 'head' among the columns text"):
        text_columns(["text"], "batch", title="head")


def test_a_text_is_joined_to_its_title() -> None:
    assert joined({"title": "T", "text": "x"}, "text", "title", "batch:1") == "T: x"
    assert joined({"title": "", "text": "x"}, "text", "title", "batch:1") == "x"
    for missing in (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT):
        assert joined({"title": missing, "text": "x"}, "text", "title", "batch:1") == "x"
        with pytest.raises(ReviewError, match="in column 'text'"):
            joined({"title": "T", "text": missing}, "text", "title", "batch:1")
    for wrong in (7, 10**400):
        with pytest.raises(ReviewError, match="in column 'title'"):
            joined({"title": wrong, "text": "x"}, "text", "title", "batch:1")
    assert joined({"title": "T", "text": "x"}, "text", None, "batch:1") == "x"
    with pytest.raises(ReviewError, match=r"^batch:2: None in column 'text'\. Leave it out\.$"):
        joined({"text": None}, "text", None, "batch:2", hint="Leave it out.")


def test_a_label_that_is_no_number_is_none(tmp_path: Path, load: Load) -> None:
    path = write(
        tmp_path / "reviews.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": NaN}\n'
    )
    with pytest.raises(ReviewError, match=r"reviews\.jsonl:2: no label in column 'label'"):
        load(path)
    assert load(path, on_bad_line="skip")["text"][:] == ["a"]
