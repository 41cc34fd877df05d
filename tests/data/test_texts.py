"""Texts to classify, read without the libraries that datasets need."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from review_files import TEXTS, Load, fasttext, load_with_own_cache, write, write_csv, write_jsonl

from sentiment_lstm.data.dataset import ReviewError
from sentiment_lstm.data.texts import chunks, read_stream, read_texts

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
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a\.jsonl:1: not valid UTF-8"),
        ("a.jsonl", b'{"text": ' + b"[" * 100_000, r"a\.jsonl:1: no valid JSON"),
        ("a.csv", b"text\nfine\ncaf\xe9\n", r"a\.csv:3: not valid UTF-8"),
        ("a.csv", b'text\nfine\n"open\nfine\n', r"a\.csv:3: no valid csv .*stays open"),
        ("a.csv", b"text,stars\nfine,5\nshort\n", r"a\.csv:3: 1 fields instead of 2"),
        ("a.csv", b"body\nfine\n", r"a\.csv:1: no text column"),
        ("a.jsonl", b'{"text": "fine"}\n{"text": 5}\n', r"a\.jsonl:2: 5 in column 'text'"),
        ("a.jsonl", b'{"text": "fine"}\n{"text"\n', r"a\.jsonl:2: no valid JSON"),
        ("a.txt.bz2", bz2.compress(b"fine\n" * 9)[:-8], r"a\.txt\.bz2:\d+: the archive"),
        ("a.parquet", b"", r"a\.parquet: not a kind of file .* lines of text"),
    ],
)
def test_unreadable_texts_are_named(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ReviewError, match=message) as caught:
        list(read_texts(write(tmp_path / name, content)))
    assert "skip" not in str(caught.value), "no text can be left out: each has its answer"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"one\ntwo",
        b"\xef\xbb\xbfwith a mark\n\xef\xbb\xbfonly in front\n",
        b"Windows\r\nlines\r\n\r\n",
        b"old\rMac\rlines\n",
        "next\x85line \u2028 para \x0b tab\x0c and \x1c\n".encode(),
        b"__label__2 labelled\n __label__2 is a word\n",
        b"\0\n",
        b"fine\n\ncaf\xe9\nfine\n",
        b"fine\n\xed\xa0\x80\n",
        b"cut in a character: \xc3",
        "".join(text + "\n" for text in TEXTS).encode(),
    ],
)
def test_a_stream_is_read_as_a_file_of_the_same_bytes(content: bytes, tmp_path: Path) -> None:
    def read(texts: Iterator[str]) -> list[str]:
        seen = []
        try:
            for text in texts:
                seen.append(text)
        except ReviewError as error:
            seen.append(str(error).removeprefix(f"{tmp_path / 'x.txt'}:").removeprefix("stdin:"))
        return seen

    assert read(read_stream(io.BytesIO(content), "stdin")) == read(
        read_texts(write(tmp_path / "x.txt", content))
    )


def test_errors_of_a_stream_have_its_name_and_the_line() -> None:
    texts = read_stream(io.BytesIO(b"fine\n\n\xff\n"))
    assert [next(texts), next(texts)] == ["fine", ""]
    with pytest.raises(ReviewError, match=r"^standard input:3: not valid UTF-8 at character 1"):
        next(texts)


def test_a_stream_without_a_line_end_is_read_no_further_than_the_limit() -> None:
    stream = io.BytesIO(b"fine\n" + b"x" * 10_000)
    texts = read_stream(stream, max_line_bytes=100)
    assert next(texts) == "fine"
    with pytest.raises(ReviewError, match=r"^standard input:2: a line of more than 100 bytes\. "):
        next(texts)
    assert stream.tell() == len(b"fine\n") + 101


def test_a_stream_gives_each_line_when_it_comes() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as source:
        texts = read_stream(stream)
        for text in ("first", "second"):
            source.write(text.encode() + b"\n")
            assert next(texts) == text


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


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("lengths", [[], [0] * 7, [1] * 8, [9, 1, 1, 5, 6, 20, 1]])
def test_a_chunk_ends_after_so_many_texts_or_characters(size: int, lengths: list[int]) -> None:
    texts = ["x" * length for length in lengths]
    found = list(chunks(iter(texts), size, max_characters=10))
    assert [text for chunk in found for text in chunk] == texts
    for number, chunk in enumerate(found):
        assert sum(map(len, chunk[:-1])) < 10, "it would have ended before"
        is_full = len(chunk) == size or sum(map(len, chunk)) >= 10
        assert is_full or number == len(found) - 1
        assert 1 <= len(chunk) <= size


def test_a_chunk_takes_no_text_before_it_is_needed() -> None:
    taken = []

    def texts() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield str(number)

    for number, _ in enumerate(chunks(texts(), 4), 1):
        assert len(taken) == 4 * number


def test_chunks_of_ordinary_reviews_are_as_long_as_they_are_asked_to_be() -> None:
    review = "A review of a thousand words. " * 200
    assert list(map(len, chunks([review] * 10_000, 4096))) == [4096, 4096, 1808]


@pytest.mark.parametrize("header", [b"id,foo\n", b"\xff\xfe\n"])
def test_a_header_without_a_text_is_an_error_where_no_row_follows(
    header: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / "x.csv", header)
    with pytest.raises(ReviewError, match=r"x\.csv:1: no text column"):
        list(read_texts(path))
    with pytest.raises(ReviewError, match=r"x\.csv:1: a column name occurs twice"):
        list(read_texts(write(path, b"text,text\nGreat,Terrible\n")))
    assert list(read_texts(write(path, b"id,text,,\n1,Great,,\n"))) == ["Great"]
    assert list(read_texts(write(path, b"id,text\n"))) == []
    assert list(read_texts(write(path, b""))) == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("__label__1\tI hate it", "I hate it"),
        ("__label__1 __label__a  well", " well"),
        ("__label__1", ""),
        ("__label__ is a word", "__label__ is a word"),
    ],
)
def test_labels_in_front_end_at_any_space(line: str, text: str, tmp_path: Path) -> None:
    assert list(read_texts(write(tmp_path / "texts.txt", line + "\n"))) == [text]


def test_lines_have_no_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "table.tsv.txt", "id\treview\n1\tI hate it\n")
    with pytest.raises(ReviewError, match="lines of text have no columns"):
        list(read_texts(path, text_column="review"))
