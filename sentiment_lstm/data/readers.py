"""Bytes to records: one function for each format of file.

A record comes with its place (`FILE:LINE`). Bad ones come as a [`ReviewError`] in the record's
place and are not raised, since a generator that has raised cannot resume.
"""

from __future__ import annotations

import bz2
import csv
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from .sources import ACCEPTED, MAX_LINE_BYTES, ReviewError, file_format

SKIP_HINT = 'Mend it, or pass on_bad_line="skip" to leave bad lines out.'

# The name that callers, recipes and the command line have for the limit.
RAISE_LIMIT = "max_line_bytes (`--max_line_bytes` on the command line)"

_T = TypeVar("_T")
# The csv module takes a C long, which has 32 bits on some systems.
_LARGEST_FIELD = (1 << 31) - 1


# A place (FILE:LINE) with what stands there, or what is wrong with it.
Placed = tuple[str, _T | ReviewError]
Record = Placed[Mapping[str, Any]]


class Place(str):
    """Where a record of several lines begins: `FILE:LINE`.

    Attributes:
        lines: How many it has.
    """

    lines = 1


class BrokenFileError(ReviewError):
    """The file cannot be read any further; what came before is good."""


def format_of(path: Path, accepted: str = ACCEPTED) -> str:
    """Tell the format of a file that is there to be read.

    Args:
        path: The file.
        accepted: What an error says can be read.

    Returns:
        One of `sources.FORMATS`.

    Raises:
        ReviewError: If its name has no known ending.
        FileNotFoundError: If it does not exist.
        IsADirectoryError: If it is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, where a file is expected. {accepted}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file. {accepted}")
    found = file_format(path.name)
    if found is None:
        raise ReviewError(f"{path}: not a kind of file that can be read. {accepted}")
    return found


def read_lines(path: Path, name: str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[str]:
    r"""Read the lines of a text file, compressed or not.

    Args:
        path: The file.
        name: What messages call it.
        max_line_bytes: See [`decoded_lines`].

    Yields:
        Each line with its `\n`, the only character that ends one; bytes that are no UTF-8 become
        surrogates.

    Raises:
        BrokenFileError: Where an archive is damaged or cut short, or a line is too long.
    """
    number = 0
    try:
        with open(path, "rb") as file:
            unpack = _DECOMPRESSORS.get(path.suffix.lower())
            lines = (
                _lines_of(_unpacked(file, unpack), max_line_bytes)
                if unpack
                else limited_lines(file, max_line_bytes)
            )
            for line in decoded_lines(lines, name, max_line_bytes):
                number += 1
                yield line
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the archive
        raise BrokenFileError(
            f"{name}:{number + 1}: the archive is damaged or cut short here ({error}). Fetch it "
            'again, or pass on_bad_line="skip" to keep the lines before.'
        ) from error


def limited_lines(stream: BinaryIO, max_line_bytes: int) -> Iterator[bytes]:
    """Read the lines of a stream; of one that is too long only one byte more than it may have."""
    size = min(max_line_bytes + 1, sys.maxsize)
    return iter(lambda: stream.readline(size), b"")


def decoded_lines(
    lines: Iterable[bytes], name: str, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[str]:
    r"""Decode the lines of a file or a stream.

    Args:
        lines: They end with `\n` and nothing else, as those of binary files do.
        name: What messages call the file.
        max_line_bytes: How long a line may be, with its `\n`. A line has to be held in memory,
            and an archive of a kilobyte may unpack to one of gigabytes.

    Yields:
        Each line with its `\n`; bytes that are no UTF-8 become surrogates.

    Raises:
        BrokenFileError: At a line that is too long.
        ReviewError: If no line can be so short.
    """
    _check_limit(max_line_bytes)
    for number, line in enumerate(lines, 1):
        if len(line) > max_line_bytes:
            raise BrokenFileError(
                f"{name}:{number}: a line of more than {max_line_bytes} bytes. Raise "
                f'{RAISE_LIMIT} if it is a review, or pass on_bad_line="skip" to keep the lines '
                "before."
            )
        if number == 1:
            # The byte order mark that Windows programs write.
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield line.decode("utf-8", errors="surrogateescape")


def _check_limit(max_line_bytes: int) -> None:
    if max_line_bytes < 1:
        raise ReviewError(f"max_line_bytes is 1 or more, not {max_line_bytes!r}.")


def read_numbered_lines(
    path: Path, name: str, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[str, str]]:
    r"""Read lines as [`read_lines`] does, each with its place and without its `\n`."""
    yield from numbered_lines(read_lines(path, name, max_line_bytes), name)


def numbered_lines(lines: Iterable[str], name: str) -> Iterator[tuple[str, str]]:
    r"""Give each line its place, and take its `\n`."""
    for number, line in enumerate(lines, start=1):
        yield f"{name}:{number}", line.removesuffix("\n")


def read_csv(
    path: Path, name: str, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Placed[list[str]]]:
    """Read the rows of a csv file, the header among them; empty lines are none.

    Where a quote stays open to the end of the file, or to a character that cannot stand there, the
    line that opens it is bad, and those that it would have swallowed are read again, one by one.

    Args:
        path: The file.
        name: What messages call it.
        max_line_bytes: How long a line may be, and all lines of a row together.

    Yields:
        The line that a row begins on (a [`Place`] where the row has several), and its fields.

    Raises:
        ReviewError: If the first row cannot be read: without it a table cannot be understood.
        BrokenFileError: See [`read_lines`].
    """
    # The limit is the whole process's: others may have raised it, and nobody needs the default.
    csv.field_size_limit(max(csv.field_size_limit(), min(max_line_bytes, _LARGEST_FIELD)))
    lines = _RecordLines(read_lines(path, name, max_line_bytes), max_line_bytes)
    reader = csv.reader(lines, strict=True)
    number, first = 1, True
    while True:
        lines.record.clear()
        try:
            fields = next(reader)
        except StopIteration:
            if lines.broken:
                raise lines.broken from None
            return
        except csv.Error as error:
            what = f"{lines.stop} at a quote that stays open" if lines.stop else error
            bad = ReviewError(f"{name}:{number}: no valid csv ({what}). {SKIP_HINT}")
            if first:
                raise bad from error
            yield f"{name}:{number}", bad
            again = lines.swallowed()
            yield from _rows_of_one_line(again, name, number + 1)
            number += 1 + len(again)
            reader = csv.reader(lines, strict=True)
        else:
            if fields:
                first = False
                yield _place(name, number, len(lines.record)), fields
            number += len(lines.record)


class _RecordLines:
    """Lines for a csv reader, which remembers those of the record that is being read.

    Attributes:
        record: The lines so far.
        stop: What ended the record before the file was read to its end without a fault.
        broken: The damage that the lines ended at.
    """

    def __init__(self, lines: Iterator[str], max_size: int) -> None:
        self._lines = lines
        self._max_size = max_size
        self._back: list[str] = []
        self._size = 0
        self.record: list[str] = []
        self.stop = ""
        self.broken: BrokenFileError | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.record:
            self._size, self.stop = 0, ""
        try:
            line = self._back.pop() if self._back else next(self._lines)
        except StopIteration:
            self.stop = "the file ends"
            raise
        except BrokenFileError as error:
            self.stop, self.broken = "the file breaks off", error
            raise StopIteration from None
        self._size += len(line)
        if self.record and self._size > self._max_size:
            self._back.append(line)
            self.stop = f"more than max_line_bytes={self._max_size} follow"
            raise StopIteration
        self.record.append(line)
        return line

    def swallowed(self) -> list[str]:
        """The lines below the first that a failed record has taken, to be read one by one.

        No record of several lines can begin among them: it would be within the quote at the
        same place, and so fail at the same place. Only the line of the fault may begin another
        one, and is given to the reader again.
        """
        lines = self.record[1:]
        if lines and not self.stop:
            self._back.append(lines.pop())
        return lines


def _rows_of_one_line(lines: list[str], name: str, first: int) -> Iterator[Placed[list[str]]]:
    for number, line in enumerate(lines, first):
        where = f"{name}:{number}"
        try:
            fields = next(csv.reader([line], strict=True))
        except csv.Error as error:
            yield where, ReviewError(f"{where}: no valid csv ({error}). {SKIP_HINT}")
        else:
            if fields:
                yield where, fields


def _place(name: str, number: int, lines: int) -> str:
    if lines == 1:
        return f"{name}:{number}"
    place = Place(f"{name}:{number}")
    place.lines = lines
    return place


def check_header(header: Sequence[str], where: str) -> None:
    """Refuse a header that names a column twice: which of the two is meant?

    Args:
        header: The names of the columns.
        where: What the error names first.

    Raises:
        ReviewError: If it does.
    """
    named = [name for name in header if name]  # of columns without a name there may be several
    if len(set(named)) < len(named):
        raise ReviewError(f"{where}: a column name occurs twice in the header {shorten(header)}.")


def name_fields(rows: Iterable[Placed[list[str]]], header: Sequence[str]) -> Iterator[Record]:
    """Turn the rows of a csv file into records by column name.

    Args:
        rows: Those below the header.
        header: The names of the columns.

    Yields:
        The records; a row with more or fewer fields is a bad one.
    """
    for where, fields in rows:
        if isinstance(fields, ReviewError):
            yield where, fields
        elif len(fields) != len(header):
            wrong = f"{len(fields)} fields instead of {len(header)} ({', '.join(header)})"
            yield where, ReviewError(f"{where}: {wrong}. {SKIP_HINT}")
        else:
            yield where, dict(zip(header, fields, strict=True))


def read_json_lines(
    path: Path, name: str, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Record]:
    """Read one JSON object from each line; empty lines are none.

    Args:
        path: The file.
        name: What messages call it.
        max_line_bytes: See [`decoded_lines`].

    Yields:
        The records.
    """
    for where, line in read_numbered_lines(path, name, max_line_bytes):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # the latter for a thousand brackets
            yield where, ReviewError(f"{where}: no valid JSON ({error}). {SKIP_HINT}")
            continue
        if isinstance(record, dict):
            yield where, record
        else:
            bad = f"{where}: no JSON object, but {shorten(record)}. {SKIP_HINT}"
            yield where, ReviewError(bad)


_REVIEW = re.compile("<(/?)review>")
_TAG = re.compile(r"<(/?)(\w+)>")


def read_blitzer(path: Path, name: str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Record]:
    """Read the reviews of a file of Blitzer et al. (2007), the multi-domain sentiment data set.

    They look like XML and are none: `<review>` and `</review>` around each, and in it fields such
    as `<rating>5.0</rating>`, each tag often on a line of its own, with no root and with `&` as it
    is. Of a field that is there twice, the first counts.

    Args:
        path: The file.
        name: What messages call it.
        max_line_bytes: How long a line may be, and all lines of a review together.

    Yields:
        The fields of each review by their tags, without the spaces around them; the place is that
        of the line on which a review begins.

    Raises:
        BrokenFileError: See [`read_lines`], and where a review is too long.
    """
    inside: list[str] | None = None
    size = start = number = 0
    for number, line in enumerate(read_lines(path, name, max_line_bytes), 1):
        at = 0
        for mark in chain(_REVIEW.finditer(line), [None]):
            text = line[at : mark.start() if mark else len(line)]
            at = mark.end() if mark else len(line)
            if inside is not None:
                inside.append(text)
                size += len(text)
                if size > max_line_bytes:
                    raise _too_long_review(name, start, max_line_bytes)
            elif text.strip() or (mark and mark[1]):
                found = shorten(text.strip() or "</review>")
                wrong = ReviewError(f"{name}:{number}: no <review>, but {found}. {SKIP_HINT}")
                yield f"{name}:{number}", wrong
            if mark is None:
                break
            if inside is not None and not mark[1]:
                yield f"{name}:{start}", _never_closed(name, start)
            elif inside is not None:
                yield _place(name, start, number - start + 1), _fields_of("".join(inside))
            inside = None if mark[1] else []
            size, start = 0, number
    if inside is not None:
        yield f"{name}:{start}", _never_closed(name, start)


def _fields_of(review: str) -> dict[str, str]:
    """The fields of a review; tags within a field belong to its text."""
    import html  # which predicting needs not

    fields: dict[str, str] = {}
    name, start = "", 0
    for tag in _TAG.finditer(review):
        if not name and not tag[1]:
            name, start = tag[2], tag.end()
        elif tag[1] and tag[2] == name:
            fields.setdefault(name, html.unescape(review[start : tag.start()]).strip())
            name = ""
    return fields


def _never_closed(name: str, start: int) -> ReviewError:
    return ReviewError(f"{name}:{start}: <review> without </review>. {SKIP_HINT}")


def _too_long_review(name: str, start: int, max_line_bytes: int) -> BrokenFileError:
    return BrokenFileError(
        f"{name}:{start}: a review of more than {max_line_bytes} bytes, or one that is never "
        f"closed. Raise {RAISE_LIMIT} if it is a review, or pass "
        'on_bad_line="skip" to keep those before.'
    )


def parquet_columns(path: Path, name: str) -> dict[str, list[str] | None]:
    """Read which columns a parquet file has.

    Args:
        path: The file.
        name: What messages call it.

    Returns:
        Column -> the names of its classes where it is a `ClassLabel`, as `datasets` writes it.

    Raises:
        ReviewError: If it is no parquet file.
    """
    import pyarrow
    from datasets import Features

    try:
        schema = _open_parquet(path, name).schema_arrow
        check_header(schema.names, name)
        features = Features.from_arrow_schema(schema)
    # What datasets has said of the columns may be damaged, in any way.
    except (pyarrow.ArrowException, ValueError, TypeError, LookupError, AttributeError) as error:
        if isinstance(error, ReviewError):
            raise
        raise _unreadable_parquet(name, error) from error
    return {column: class_names_of(feature) for column, feature in features.items()}


def class_names_of(feature: Any) -> list[str] | None:
    """The names of a column's classes.

    Args:
        feature: The column's, as `datasets` has it: of a `ClassLabel`, or of lists of such.

    Returns:
        The names, or `None` where it holds no classes.
    """
    return getattr(getattr(feature, "feature", feature), "names", None)


def read_parquet(
    path: Path, name: str, columns: Sequence[str], max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Record]:
    """Read the rows of a parquet file, a row group after the other.

    Texts that occur again are held once, as in the file: a kilobyte may say a text of megabytes a
    thousand times. What a *page* holds is unpacked as a whole; the format allows two gigabytes.

    Args:
        path: The file.
        name: What messages call it.
        columns: Those to read.
        max_line_bytes: How long the texts of a row may be together.

    Yields:
        The records; their place is `FILE:ROW`, from 1.

    Raises:
        ReviewError: If it is no parquet file.
        BrokenFileError: Where it is damaged, or a row is too long.
    """
    import pyarrow

    _check_limit(max_line_bytes)
    file = _open_parquet(path, name)
    texts = [
        column.path
        for column in file.schema
        if column.physical_type == "BYTE_ARRAY" and column.path in columns
    ]
    file = _open_parquet(path, name, texts)
    number = 0
    try:
        for group in range(file.num_row_groups):
            size, rows = _unpacked_size(file.metadata.row_group(group), columns)
            if size > _PARQUET_OVERHEAD + rows * max_line_bytes:
                raise _too_long_row(
                    name, number + 1, "in the group of this row is one", max_line_bytes
                )
            batches = file.iter_batches(1000, row_groups=[group], columns=list(columns))
            for batch in batches:
                sizes = _text_sizes(batch)
                # Row by row where they may be too much to hold, all together or one of them.
                fits = sum(sizes) <= min(max_line_bytes, MAX_LINE_BYTES)
                step = max(1, len(batch)) if fits else 1
                for start in range(0, len(batch), step):
                    if not fits and sizes[start] > max_line_bytes:
                        raise _too_long_row(name, number + 1, "a row", max_line_bytes)
                    for record in _rows_of(batch.slice(start, step)):
                        number += 1
                        where = f"{name}:{number}"
                        yield where, _no_text(where) if record is None else record
    # The last for the name of a column, which each group of rows repeats.
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BrokenFileError(
            f"{name}:{number + 1}: the file is damaged from this row on ({error}). Fetch it again, "
            'or pass on_bad_line="skip" to keep the rows before.'
        ) from error


def shorten(value: object) -> str:
    """Show a value in a message, cut after sixty characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def valid_text(text: str, where: str) -> str:
    """Check that no byte of a text had to be read as a surrogate.

    Args:
        text: The text.
        where: What an error names first.

    Returns:
        The text.

    Raises:
        ReviewError: If it is no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        at = error.start + 1
        message = f"{where}: not valid UTF-8 at character {at} of the text. {SKIP_HINT}"
        raise ReviewError(message) from None
    return text


class _Gunzip:
    """A zlib decompressor with what `bz2.BZ2Decompressor` has."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(31)  # the window of gzip files, header and checksum
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, packed: bytes, max_length: int) -> bytes:
        unpacked = self._stream.decompress(self._stream.unconsumed_tail + packed, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(unpacked) < max_length
        return unpacked


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {".bz2": bz2.BZ2Decompressor, ".gz": _Gunzip}
_UNPACKED_AT_ONCE = 1 << 16


def _unpacked(file: BinaryIO, decompressor: Callable[[], Any]) -> Iterator[bytes]:
    """The content of an archive of one or several streams, little by little.

    `bz2.open` takes a damaged second stream for rubbish after the end and stops without a word;
    and both it and `gzip.open` lose what they had unpacked right before the damage.
    """
    stream = decompressor()
    while packed := file.read(1 << 14):
        while packed or not (stream.eof or stream.needs_input):
            if stream.eof:
                packed = packed.lstrip(b"\0")  # padding, as on tapes
                if not packed:
                    break
                stream = decompressor()
            yield stream.decompress(packed, _UNPACKED_AT_ONCE)
            packed = stream.unused_data
    if not stream.eof:
        raise EOFError("it ends before its end mark")


def _lines_of(chunks: Iterable[bytes], max_line_bytes: int) -> Iterator[bytes]:
    """The lines of chunks; one that is too long is the last, and ends where that is known."""
    parts: list[bytes] = []  # joined once, or the cost of a long line would be quadratic
    size = 0
    for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        if lines and parts:
            lines[0] = b"".join([*parts, lines[0]])
            parts, size = [], 0
        for line in lines:
            yield line + b"\n"
        if rest:
            parts.append(rest)
            size += len(rest)
        if size > max_line_bytes:
            break
    if parts:
        yield b"".join(parts)


# Headers and statistics of a row group that holds next to nothing.
_PARQUET_OVERHEAD = 1 << 16


def _unpacked_size(group: Any, columns: Sequence[str]) -> tuple[int, int]:
    """How many bytes the pages of some columns take, and how many rows there are."""
    chunks = [group.column(index) for index in range(group.num_columns)]
    wanted = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns]
    return sum(chunk.total_uncompressed_size for chunk in wanted), group.num_rows


def _text_sizes(batch: Any) -> list[int]:
    """How many bytes the texts of each row take."""
    import pyarrow.compute

    sizes = [0] * len(batch)
    for column in batch.columns:
        if isinstance(column, pyarrow.DictionaryArray):
            lengths = pyarrow.compute.binary_length(column.dictionary).take(column.indices)
            sizes = [
                size + (more or 0) for size, more in zip(sizes, lengths.to_pylist(), strict=True)
            ]
    return sizes


def _decoded(batch: Any) -> Any:
    """A batch without dictionaries: with its texts written out."""
    import pyarrow

    columns = [
        column.dictionary_decode() if isinstance(column, pyarrow.DictionaryArray) else column
        for column in batch.columns
    ]
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _too_long_row(name: str, number: int, what: str, max_line_bytes: int) -> BrokenFileError:
    return BrokenFileError(
        f"{name}:{number}: {what} of more than {max_line_bytes} bytes. Raise {RAISE_LIMIT} if it "
        'is a review, or pass on_bad_line="skip" to keep the rows before.'
    )


def _open_parquet(path: Path, name: str, dictionaries: Sequence[str] = ()) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path, read_dictionary=list(dictionaries))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last for a name
        raise _unreadable_parquet(name, error) from error


def _rows_of(batch: Any) -> list[dict[str, Any] | None]:
    """The rows of a batch; `None` for one that has a text of bytes that are no UTF-8."""
    try:
        rows: list[dict[str, Any] | None] = _decoded(batch).to_pylist()
    except UnicodeDecodeError:
        if len(batch) == 1:
            return [None]
        return [row for number in range(len(batch)) for row in _rows_of(batch.slice(number, 1))]
    return rows


def _no_text(where: str) -> ReviewError:
    return ReviewError(f"{where}: not valid UTF-8. {SKIP_HINT}")


def _unreadable_parquet(name: str, error: Exception) -> ReviewError:
    return ReviewError(f"{name}: no readable parquet file ({error}). Fetch it again.")
