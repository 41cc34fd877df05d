"""Texts to classify, read without the libraries that datasets need."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from review_files import TEXTS, Load, fasttext, load_with_own_cache, write, write_csv, write_jsonl

from sentiment_lstm.data.dataset import ReviewError
from sentiment_lstm.data.texts import read_texts

load = load_with_own_cache


@pytest.mark.parametrize(
    ("suffix", "compress"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)]
)
def test_texts_are_those_of_the_labelled_reviews(
    suffix: str, compress: Callable[[bytes], bytes], tmp_path: Path, load: Load
) -> None:
    lines = "".join(text + "\n" for text in TEXTS).encode()
    labelled = write(tmp_path / f"labelled.ft.txt{suffix}", compress(fasttext()))
    plain = write(tmp_path / f"plain.txt{suffix}", compress(lines))
    write_csv(tmp_path / "table.csv")
    write_jsonl(tmp_path / "objects.jsonl")
    expected = load(labelled)["text"][:]
    for path in (labelled, plain, tmp_path / "table.csv", tmp_path / "objects.jsonl"):
        assert list(read_texts(path)) == expected, path


def test_an_empty_line_is_an_empty_text(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.txt", "first\n\n __label__2 is a word here\nlast")
    assert list(read_texts(path)) == ["first", "", " __label__2 is a word here", "last"]


def test_texts_need_no_label_column(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.csv", "title,body\nFine,It works.\n,No title.\n")
    assert list(read_texts(path, text_column="body")) == ["Fine: It works.", "No title."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"fine\n\xff\n", r"a\.txt:2: not valid UTF-8"),
        ("a.csv", b"text,stars\nfine,5\nshort\n", r"a\.csv:3: 1 fields instead of 2"),
        ("a.csv", b"body\nfine\n", r"a\.csv:2: no text column"),
        ("a.jsonl", b'{"text": "fine"}\n{"text": 5}\n', r"a\.jsonl:2: 5 in column 'text'"),
        ("a.jsonl", b'{"text": "fine"}\n{"text"\n', r"a\.jsonl:2: no valid JSON"),
        ("a.txt.bz2", bz2.compress(b"fine\n" * 9)[:-8], r"a\.txt\.bz2:\d+: the archive"),
        ("a.parquet", b"", r"a\.parquet: texts are read from"),
    ],
)
def test_unreadable_texts_are_named(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ReviewError, match=message):
        list(read_texts(write(tmp_path / name, content)))


LIGHT = """
import sys
from sentiment_lstm.data import columns, readers, sources
from sentiment_lstm.data.texts import read_texts
print([len(list(read_texts(path))) for path in sys.argv[1:]])
sources.public_names([f"{path}:train[:5]" for path in sys.argv[1:]])
print([name for name in ("datasets", "pyarrow", "pandas") if name in sys.modules])
"""


def test_texts_are_read_without_datasets(tmp_path: Path) -> None:
    write(tmp_path / "x.ft.txt.bz2", bz2.compress(fasttext()))
    write_csv(tmp_path / "x.csv")
    write_jsonl(tmp_path / "x.jsonl")
    command = [sys.executable, "-c", LIGHT, *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str([len(TEXTS)] * 3), "[]"]
