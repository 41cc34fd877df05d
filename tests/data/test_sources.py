"""What a source is: its name, split and slice, and what it is called in public."""

from __future__ import annotations

from pathlib import Path

import pytest
from review_files import write

from sentiment_lstm.data.sources import (
    FORMATS,
    Piece,
    ReviewError,
    Source,
    file_digest,
    file_format,
    parse_source,
    parse_split,
    public_names,
    without_folders,
)


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
    assert parse_source(spec) == Source(*expected)


def test_the_name_of_an_existing_file_stays_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv:train", "")
    assert parse_source(str(path)) == Source(str(path))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sample", "sample"),
        ("fancyzhx/amazon_polarity", "hub"),
        ("owner/name.v2", "hub"),
        ("data/x.csv", "file"),
        ("data/X.FT.TXT.BZ2", "file"),
        ("data/x.parquet.gz", "file"),
        ("x.csv", "file"),
        ("samples", "file"),
        ("a/b/c", "file"),
        ("./a/b", "file"),
        ("/a/b", "file"),
        ("~/b", "file"),
        (r"C:\data\x", "file"),
    ],
)
def test_the_kind_of_a_source_is_in_its_name(name: str, kind: str) -> None:
    assert Source(name).kind == Source(name, "test[:5]").kind == kind


def test_what_can_be_read_is_never_a_dataset_on_the_hub() -> None:
    for ending in FORMATS:
        for compression in ("", ".gz", ".bz2"):
            name = f"owner/x{ending}{compression}"
            assert Source(name).kind == "file"
            assert file_format(name.upper()) == (
                None if ending == ".parquet" and compression else ending
            )
    for name in ("owner/name", "x", "x.docx", "x.gz", "txt"):
        assert file_format(name) is None


def test_the_kind_is_the_same_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the disk changes where a source is read from, and not what results call it."""
    monkeypatch.chdir(tmp_path)
    source = Source("owner/name")
    assert not source.is_on_disk()
    (tmp_path / "owner").mkdir()
    assert source.is_on_disk()
    assert (source.kind, source.public) == ("hub", "owner/name")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/home/me/x.ft.txt.bz2:train[:5]", "x.ft.txt.bz2:train[:5]"),
        ("data/x.csv", "x.csv"),
        (r"C:\data\x.csv", "x.csv"),
        (r"C:\data\x.csv:train[5:]", "x.csv:train[5:]"),
        ("/home/me/folder/", "folder"),
        ("fancyzhx/amazon_polarity:test[:50%]", "fancyzhx/amazon_polarity:test[:50%]"),
        ("sample:test", "sample:test"),
    ],
)
def test_public_names_have_no_folders(spec: str, expected: str) -> None:
    assert parse_source(spec).public == expected
    assert parse_source(expected).public == expected, "once more changes nothing"


def test_public_names_keep_sources_apart() -> None:
    sources = ["a/x.txt", "b/x.txt", "a/x.txt", "sample:test", "c/x.txt", "c/x.txt:train[:5]"]
    names = public_names(sources)
    assert names == {
        "a/x.txt": "x.txt",
        "b/x.txt": "x.txt (2)",
        "sample:test": "sample:test",
        "c/x.txt": "x.txt (3)",
        "c/x.txt:train[:5]": "x.txt:train[:5]",
    }
    assert public_names(names.values()) == {name: name for name in names.values()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run /home/me/x.txt now", "run x.txt now"),
        ("run --train=/home/me/x.txt:train[:5]", "run --train=x.txt:train[:5]"),
        ("run ~/x.txt ../shared/data/y.txt /z.txt", "run x.txt y.txt z.txt"),
        (r"run C:\\reviews\\x.csv", "run x.csv"),
        (
            "python scripts/x.py --baseline a/b either/or",
            "python scripts/x.py --baseline a/b either/or",
        ),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_only_paths_that_lead_outside_lose_their_folders(text: str, expected: str) -> None:
    assert without_folders(text) == expected


@pytest.mark.parametrize(
    ("split", "head", "pieces"),
    [
        ("train", None, [("train", 0, 100)]),
        ("train[:10]", 10, [("train", 0, 10)]),
        ("train[5:10]+train[20:30]", 30, [("train", 5, 10), ("train", 20, 30)]),
        ("train[:10]+train[10:20]", 20, [("train", 0, 20)]),
        ("train[10:20]+train[:10]", 20, [("train", 10, 20), ("train", 0, 10)]),
        ("train[:500]", 500, [("train", 0, 100)]),
        ("train[10:]", None, [("train", 10, 100)]),
        ("train[-10:]", None, [("train", 90, 100)]),
        ("train[:20%]", None, [("train", 0, 20)]),
        ("train[200:]", None, []),
    ],
)
def test_slices_are_ranges(
    split: str, head: int | None, pieces: list[tuple[str, int, int]]
) -> None:
    parsed = parse_split(split, ("train",), "x.txt")
    assert parsed.head == head
    assert parsed.pieces({"train": 100}) == [Piece(*piece) for piece in pieces]


@pytest.mark.parametrize("split", ["dev", "train[:5k]", "train[:0]", "train[5:3]", "train["])
def test_splits_that_mean_nothing_are_errors(split: str) -> None:
    with pytest.raises(ReviewError, match=r"none of these|holds no review"):
        parse_split(split, ("train", "test"), "x.txt has two splits")


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    one, other = write(tmp_path / "x", "same"), write(tmp_path / "y", "same")
    assert file_digest(one) == file_digest(str(other))
    assert file_digest(one) != file_digest(write(other, "same "))
