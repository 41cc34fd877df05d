"""Every format gives the same reviews, and bad or damaged ones are named or skipped."""

from __future__ import annotations

import bz2
import gzip
import logging
import os
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from review_files import (
    LABELS,
    TEXTS,
    Load,
    fasttext,
    load_with_own_cache,
    numbered,
    write,
    write_csv,
    write_jsonl,
    write_parquet,
    write_zhang,
)

from sentiment_lstm.data.dataset import LABEL_NAMES, ReviewError
from sentiment_lstm.data.readers import read_parquet
from sentiment_lstm.data.sources import MAX_LINE_BYTES
from sentiment_lstm.data.texts import read_texts

load = load_with_own_cache


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("reviews.ft.txt", lambda path: path.write_bytes(fasttext())),
        ("no_final_newline.ft.txt", lambda path: path.write_bytes(fasttext()[:-1])),
        ("byte_order_mark.txt", lambda path: path.write_bytes(b"\xef\xbb\xbf" + fasttext())),
        ("zhang.csv", write_zhang),
        ("columns.csv", write_csv),
        ("columns.jsonl", write_jsonl),
        ("columns.parquet", write_parquet),
    ],
)
def test_every_format_gives_the_same_dataset(
    name: str, writer: Callable[[Path], None], tmp_path: Path, load: Load
) -> None:
    writer(tmp_path / name)
    dataset = load(tmp_path / name)
    assert dataset["text"][:] == TEXTS
    assert dataset["label"][:] == LABELS
    assert dataset.features == datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABEL_NAMES)}
    )
    assert dataset.cache_files, "must be memory-mapped"


@pytest.mark.parametrize("extension", [".ft.txt", ".csv", ".jsonl"])
@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compression_changes_nothing(
    extension: str, suffix: str, compress: Callable[[bytes], bytes], tmp_path: Path, load: Load
) -> None:
    plain = tmp_path / f"plain{extension}"
    {".ft.txt": lambda path: write(path, fasttext()), ".csv": write_csv, ".jsonl": write_jsonl}[
        extension
    ](plain)
    # Two members, as parallel compressors write them, parted in the middle of a line.
    content = plain.read_bytes()
    packed = write(
        tmp_path / f"X{extension}{suffix}".upper(),
        b"".join(map(compress, (content[:99], content[99:]))),
    )
    assert load(packed).to_dict() == load(plain).to_dict()


def test_text_is_what_the_tutorial_cuts_out(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.ft.txt", fasttext())
    with open(path, encoding="utf-8", newline="\n") as file:
        expected = [line.split(" ", 1)[1][:-1] for line in file]
    assert load(path)["text"][:] == expected


GOOD_FT = b"__label__1 a\n__label__2 b\n"


GOOD_CSV = b"text,label\na,0\nb,1\n"


GOOD_JSON = b'{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n'


BAD_LINES = [
    ("x.ft.txt", GOOD_FT, b"no label here\n", "no label, but 'no label here'"),
    ("x.ft.txt", GOOD_FT, b"\n", "no label"),
    ("x.ft.txt", GOOD_FT, b"__label__ c\n", "no label"),
    ("x.ft.txt", GOOD_FT, b"__label__1 __label__2 c\n", "more than one label"),
    ("x.ft.txt", GOOD_FT, b"__label__1\n", "no text"),
    ("x.ft.txt", GOOD_FT, b"__label__1  \t\n", "no text"),
    ("x.ft.txt", GOOD_FT, b"__label__1 caf\xe9 noir\n", "not valid UTF-8 at character 4"),
    ("x.csv", b"1,t,a\n2,t,b\n", b"1,only two\n", "2 fields instead of 3"),
    ("x.csv", GOOD_CSV, b"c,0,surplus\n", "3 fields instead of 2"),
    ("x.csv", GOOD_CSV, b"c,\n", "no label"),
    ("x.csv", GOOD_CSV, b",1\n", "no text"),
    ("x.csv", GOOD_CSV, b'"c" d,1\n', "no valid csv"),
    ("x.csv", GOOD_CSV, b"caf\xe9,1\n", "not valid UTF-8"),
    ("x.jsonl", GOOD_JSON, b'{"text": "c", "label": 0\n', "no valid JSON"),
    ("x.jsonl", GOOD_JSON, b"[1, 2]\n", "no JSON object"),
    ("x.jsonl", GOOD_JSON, b'{"text": "c"}\n', "no label"),
    ("x.jsonl", GOOD_JSON, b'{"label": 1}\n', "no text column"),
    ("x.jsonl", GOOD_JSON, b'{"text": null, "label": 1}\n', "None in column 'text'"),
    ("x.jsonl", GOOD_JSON, b'{"text": "\\ud800", "label": 1}\n', "not valid UTF-8"),
]


@pytest.mark.parametrize(("name", "good", "bad", "message"), BAD_LINES)
def test_bad_lines_are_named_or_skipped(
    name: str,
    good: bytes,
    bad: bytes,
    message: str,
    tmp_path: Path,
    load: Load,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(tmp_path / name, good + bad + good.removeprefix(b"text,label\n"))
    line = good.count(b"\n") + 1
    with pytest.raises(ReviewError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:{line}: {message}")
    assert str(caught.value).count(".") >= 2, "must say what to do"

    for _ in range(2):  # read, and from the cache
        caplog.clear()
        assert load(path, on_bad_line="skip")["text"][:] == (
            ["t: a", "t: b"] * 2 if b"t,a" in good else ["a", "b"] * 2
        )
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "skipped 1 bad line, kept 4 reviews" in warnings[0]
        assert f"{path}:{line}: {message}" in warnings[0]


def test_line_numbers_count_lines_and_not_records(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.csv", 'text,label\n"two\nlines",1\n\nbad,7\n')
    with pytest.raises(ReviewError, match=r"x\.csv:5: unknown label '7'"):
        load(path)


def test_an_open_quote_is_an_error(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.csv", 'text,label\na,1\n"b,1\nc,0\n')
    with pytest.raises(ReviewError, match=r"x\.csv:3: no valid csv"):
        load(path)


ROWS = ["a,1\n", "b,0\n", '"c\n1,d",1\n', '"""e"", f",0\n', 'g "h",1\n', '"i""",0\n']
ROW_TEXTS = ["a", "b", "c\n1,d", '"e", f', 'g "h"', 'i"']
OPEN = ['"never closed,1\n', '"a","b\n', 'x,"\n', '"\n']


@pytest.mark.parametrize("bad", OPEN)
@pytest.mark.parametrize("place", range(len(ROWS) + 1))
def test_an_open_quote_swallows_no_row(
    bad: str, place: int, tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    # Among rows without a quote, so that the fault is noticed long after the line that is bad.
    before = ROWS[:place] + [f"plain {n},1\n" for n in range(50)]
    after = [f"more {n},0\n" for n in range(50)] + ROWS[place:]
    path = write(tmp_path / "x.csv", "text,label\n" + "".join([*before, bad, *after]))
    line = 2 + "".join(before).count("\n")
    with pytest.raises(ReviewError, match=rf"x\.csv:{line}: no valid csv"):
        load(path)
    kept = load(path, on_bad_line="skip")["text"][:]
    expected = [f"plain {n}" for n in range(50)] + [f"more {n}" for n in range(50)]
    assert kept == ROW_TEXTS[:place] + expected + ROW_TEXTS[place:]
    assert "skipped 1 bad line, kept 106 reviews" in caplog.text


def test_open_quotes_cost_no_more_than_their_lines(tmp_path: Path, load: Load) -> None:
    """Each line opens a quote that only the end of the file ends: nothing is read N times."""
    lines = "".join(f'a","{number}\n' for number in range(100_000))
    path = write(tmp_path / "x.csv", "text,label\ngood,1\n" + lines + "fine,0\n")
    assert load(path, on_bad_line="skip")["text"][:] == ["good", "fine"]


def test_bad_lines_are_counted_as_lines_of_the_file(
    tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "x.csv", 'text,label\na,1\n"b\nc\nd",1,surplus\n"e\nf",\ng,0\n')
    assert load(path, on_bad_line="skip")["text"][:] == ["a", "g"]
    assert "skipped 5 bad lines, kept 2 reviews" in caplog.text
    assert "x.csv:3: 3 fields instead of 2" in caplog.text


def test_a_quote_that_damage_leaves_open_swallows_no_row(tmp_path: Path, load: Load) -> None:
    rows = "".join(f"review {n},1\n" for n in range(40_000))
    content = gzip.compress(("text,label\n" + rows + '"open,1\n' + rows).encode())
    path = write(tmp_path / "x.csv.gz", content[: len(content) * 3 // 4])
    assert len(load(path, on_bad_line="skip")) > 40_000


@pytest.mark.parametrize("size", [131_073, 1_000_000])
def test_a_field_may_be_long(size: int, tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.csv", f'text,label\n"{"x" * size}\n",1\n')
    assert load(path)["text"][:] == ["x" * size + "\n"] == list(read_texts(path))


def test_both_escapes_of_zhang_are_undone(tmp_path: Path, load: Load) -> None:
    row = '"A ""good"" one\\nor two","First\\n\\nand ""second"""'
    path = write(tmp_path / "zhang.csv", f'"2",{row}\n"1",{row}\n')
    text = 'A "good" one\nor two: First\n\nand "second"'
    assert load(path)["text"][:] == [text, text]
    # A header says that it is another format, in which a backslash is a backslash.
    path = write(tmp_path / "named.csv", f'label,title,text\n"1",{row}\n')
    assert load(path)["text"][:] == [text.replace("\n", "\\n")]


def test_good_files_warn_of_nothing(
    tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    load(write(tmp_path / "x.ft.txt", fasttext()), on_bad_line="skip")
    assert not caplog.records


@pytest.mark.parametrize(("suffix", "module"), [(".gz", gzip), (".bz2", bz2)])
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_damaged_archives(
    suffix: str,
    module: Any,
    damage: str,
    tmp_path: Path,
    load: Load,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = numbered(tmp_path / "x.ft.txt", 5000)
    whole = load(plain)["text"][:]
    # Members, so that something can be read before the damage.
    half, rest = plain.read_bytes()[:90_000], plain.read_bytes()[90_000:]
    first, second = module.compress(half), module.compress(rest)
    if damage == "cut":
        second = second[: len(second) // 2]
    else:
        second = second[:500] + b"\xaa" * 200 + second[700:]
    path = write(tmp_path / f"x.ft.txt{suffix}", first + second)
    with pytest.raises(ReviewError, match=r"x\.ft\.txt\.\w+:\d+: .*damaged or cut short"):
        load(path)
    kept = load(path, on_bad_line="skip")["text"][:]
    assert half.count(b"\n") <= len(kept) < len(whole)
    if damage == "cut":
        assert kept == whole[: len(kept)], "no half line at the end"
        assert f":{len(kept) + 1}: the archive is damaged or cut short" in caplog.text


# --- limits --------------------------------------------------------------------------------------

COMPRESSIONS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
]


@pytest.mark.parametrize("extension", [".ft.txt", ".csv", ".jsonl"])
@pytest.mark.parametrize(("suffix", "compress"), COMPRESSIONS[1:])
def test_an_archive_of_one_enormous_line_takes_little_memory(
    extension: str, suffix: str, compress: Callable[[bytes], bytes], tmp_path: Path, load: Load
) -> None:
    bomb = compress(bytes(1 << 26))
    assert len(bomb) < 1 << 17
    path = write(tmp_path / f"x{extension}{suffix}", bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ReviewError, match=r":1: a line of more than 1048576 bytes\..*max_line"):
            load(path, max_line_bytes=1 << 20)
        with pytest.raises(ReviewError, match=r":1: a line of more than 1048576 bytes"):
            list(read_texts(tmp_path / f"x{extension}{suffix}", max_line_bytes=1 << 20))
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()


def test_the_limit_of_a_line_has_a_default(tmp_path: Path, load: Load) -> None:
    size = MAX_LINE_BYTES - len("__label__1 \n")
    path = write(tmp_path / "x.ft.txt", b"__label__1 " + b"x" * size + b"\n")
    assert [len(text) for text in read_texts(path)] == [size]
    write(path, b"__label__1 x" + b"x" * size + b"\n")
    with pytest.raises(ReviewError, match=rf"x\.ft\.txt:1: a line of more than {MAX_LINE_BYTES} "):
        load(path)


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSIONS)
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(
    suffix: str,
    compress: Callable[[bytes], bytes],
    tmp_path: Path,
    load: Load,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = fasttext(["short", "just short enough", "nearly short enough", "short"], [1, 0, 1, 0])
    path = write(tmp_path / f"x.ft.txt{suffix}", compress(lines))
    limit = len(b"__label__1 just short enough\n")
    with pytest.raises(ReviewError, match=rf":3: a line of more than {limit} bytes"):
        load(path, max_line_bytes=limit)
    kept = load(path, on_bad_line="skip", max_line_bytes=limit)
    assert kept["text"][:] == ["short", "just short enough"]
    assert f"{path}:3: a line of more than {limit} bytes" in caplog.text
    whole = load(path, on_bad_line="skip")
    assert len(whole) == len(load(path, max_line_bytes=limit + 2)) == 4
    assert whole._fingerprint != kept._fingerprint


def test_no_line_fits_into_nothing(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.ft.txt", fasttext())
    for limit in (0, -1):
        with pytest.raises(ReviewError, match=rf"max_line_bytes is 1 or more, not {limit}"):
            load(path, max_line_bytes=limit)
        with pytest.raises(ReviewError, match="max_line_bytes is 1 or more"):
            list(read_texts(path, max_line_bytes=limit))


def test_a_csv_row_is_as_long_as_a_line_may_be(tmp_path: Path, load: Load) -> None:
    rows = "".join(f"review {n},1\n" for n in range(100))
    path = write(tmp_path / "x.csv", 'text,label\n"open,1\n' + rows + '"a\nb",0\n')
    with pytest.raises(ReviewError, match=r"x\.csv:2: .*more than max_line_bytes=500"):
        load(path, max_line_bytes=500)
    kept = load(path, on_bad_line="skip", max_line_bytes=500)["text"][:]
    assert kept == [f"review {n}" for n in range(100)] + ["a\nb"]


def test_the_cost_of_a_compressed_line_is_linear_in_its_length(tmp_path: Path) -> None:
    path = tmp_path / "x.txt.gz"

    def seconds(size: int) -> float:
        write(path, gzip.compress(os.urandom(size // 2).hex().encode(), compresslevel=1))
        started = time.process_time()
        assert [len(text) for text in read_texts(path)] == [size]
        return time.process_time() - started

    few, many = (min(seconds(size) for _ in range(3)) for size in (4_000_000, 32_000_000))
    assert many < 24 * few, "8 times the length; the cost of joining each piece grew 64 times"


def test_a_row_of_a_parquet_file_is_as_long_as_a_line_may_be(
    tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["short", "just short enough", "nearly short enough", "short"]
    table = pyarrow.table({"text": texts, "label": [1, 0, 1, 0]})
    pyarrow.parquet.write_table(table, path := tmp_path / "x.parquet")
    with pytest.raises(ReviewError, match="max_line_bytes is 1 or more"):
        load(path, max_line_bytes=0)
    with pytest.raises(
        ReviewError, match=r"x\.parquet:3: a row of more than 17 bytes\. Raise max_l"
    ):
        load(path, max_line_bytes=17)
    kept = load(path, on_bad_line="skip", max_line_bytes=17)
    assert kept["text"][:] == texts[:2]
    assert f"{path}:3: a row of more than 17 bytes" in caplog.text
    assert load(path, max_line_bytes=19)["text"][:] == texts


def test_a_parquet_file_of_one_enormous_row_is_refused_unread(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, text in enumerate(["fine", "x" * (1 << 21)]):
        table = pyarrow.table({"text": [text], "label": [1]})
        pyarrow.parquet.write_table(table, tmp_path / f"{number}.parquet")
    assert load(tmp_path / "0.parquet", max_line_bytes=4)["text"][:] == ["fine"]
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", None)
    with pytest.raises(ReviewError, match=r":1: in the group of this row is one of more than 1048"):
        load(tmp_path / "1.parquet", max_line_bytes=1 << 20)


def test_a_text_that_a_parquet_file_holds_once_is_held_once(tmp_path: Path) -> None:
    path, text = tmp_path / "x.parquet", "x" * (1 << 20)
    texts = pyarrow.DictionaryArray.from_arrays([0] * 500 + [None], [text])
    table = pyarrow.table({"text": texts, "label": [1] * 501})
    pyarrow.parquet.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 1 << 14
    before = pyarrow.total_allocated_bytes()
    tracemalloc.start()
    try:
        rows = 0
        for _, record in read_parquet(path, "x", ["text", "label"]):
            assert not isinstance(record, ReviewError)
            assert record["text"] == (text if rows < 500 else None)
            rows += 1
            assert pyarrow.total_allocated_bytes() - before < 1 << 26
        assert rows == 501
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()


def test_damaged_parquet(tmp_path: Path, load: Load) -> None:
    write_parquet(tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    with pytest.raises(ReviewError, match=r"x\.parquet: no readable parquet"):
        load(write(tmp_path / "x.parquet", content[:-9]))


def test_texts_of_parquet_that_are_no_utf8(tmp_path: Path, load: Load) -> None:
    texts = pyarrow.array([b"fine", b"b\x8ad", b"good"]).view(pyarrow.string())
    table = pyarrow.table({"text": texts, "label": [1, 0, 0]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ReviewError, match=r"x\.parquet:2: not valid UTF-8\. Mend it"):
        load(tmp_path / "x.parquet")
    assert load(tmp_path / "x.parquet", on_bad_line="skip")["text"][:] == ["fine", "good"]


@pytest.mark.parametrize("known", [b"{", b'{"info": {"features": 3}}', b"\xb1"])
def test_what_parquet_says_of_its_columns_may_be_damaged(
    known: bytes, tmp_path: Path, load: Load
) -> None:
    table = pyarrow.table({"text": ["fine", "bad"], "label": [1, 0]})
    table = table.replace_schema_metadata({"huggingface": known})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ReviewError, match=r"x\.parquet: no readable parquet"):
        load(tmp_path / "x.parquet")


def test_a_column_of_parquet_whose_name_is_no_utf8(tmp_path: Path, load: Load) -> None:
    table = pyarrow.table({"text": ["fine", "bad"], "label": [1, 0], "zzzz": [1, 0]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    places = [place.start() for place in re.finditer(b"zzzz", content)]
    assert len(places) > 1, "of the file, and of its group of rows"
    refused = []
    for place in places:
        damaged = content[:place] + b"\xb1" + content[place + 1 :]
        try:
            reviews = load(write(tmp_path / "x.parquet", damaged))
        except ReviewError as error:
            refused.append(str(error))
        else:  # pyarrow 15 does not read the name of the group, and misses nothing by it
            assert (reviews["text"][:], reviews["label"][:]) == (["fine", "bad"], [1, 0])
    known = re.compile(r"x\.parquet: no readable|x\.parquet:1: the file is dam")
    assert refused
    assert all(map(known.search, refused)), refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "a,b\n1,2\n", r"x\.csv:1: no label column .* a, b.*label_column"),
        ("x.csv", "text,text,label\na,b,1\n", r"x\.csv:1: a column name occurs twice"),
        ("x.jsonl", '{"label": 1, "words": "a"}\n', r"x\.jsonl:1: no text column"),
        ("x.ft.txt", "", "no reviews"),
        ("x.csv", "", "no reviews"),
        ("x.csv", "text,label\n", "no reviews"),
        ("x.jsonl", "\n", "no reviews"),
        ("x.ft.txt.gz", "", "no reviews|damaged"),
        ("x.ft.txt.bz2", "", "no reviews|damaged"),
        ("x.ft.txt.gz", "__label__1 not compressed\n", r"x\.ft\.txt\.gz:1: .*damaged"),
        ("x.docx", "__label__1 a\n", r"\.ft\.txt.*\.parquet.*sample"),
    ],
)
def test_files_that_hold_no_reviews(
    name: str, content: str, message: str, tmp_path: Path, load: Load
) -> None:
    path = write(tmp_path / name, content)
    for on_bad_line in ("raise", "skip"):
        with pytest.raises(ReviewError, match=message):
            load(path, on_bad_line=on_bad_line)


def test_a_column_of_parquet_is_named_once(tmp_path: Path, load: Load) -> None:
    table = pyarrow.table([["good", "bad"], [0, 1], [1, 0]], names=["text", "label", "label"])
    pyarrow.parquet.write_table(table, path := tmp_path / "x.parquet")
    with pytest.raises(ReviewError, match=r"x\.parquet: a column name occurs twice"):
        load(path)
