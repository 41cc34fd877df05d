"""Bytes to records: one function for each format of file.

A record comes with its place (`FILE:LINE`). Bad ones come as a [`ReviewError`] in the record's
place and are not raised, since a generator that has raised cannot resume.
"""

from __future__ import annotations

import bz2
import csv
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from .sources import ACCEPTED, ReviewError, file_format

SKIP_HINT = 'Mend it, or pass on_bad_line="skip" to leave bad lines out.'

_T = TypeVar("_T")
# What a line may have, and all lines of a csv record: much more than any review has, and little
# enough to be held in memory.
MAX_LINE_BYTES = 1 << 25


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


def format_of(path: Path) -> str:
    """Tell the format of a file that is there to be read.

    Args:
        path: The file.

    Returns:
        One of `sources.FORMATS`.

    Raises:
        ReviewError: If its name has no known ending.
        FileNotFoundError: If it does not exist.
        IsADirectoryError: If it is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, where a file is expected. {ACCEPTED}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file. {ACCEPTED}")
    found = file_format(path.name)
    if found is None:
        raise ReviewError(f"{path}: not a kind of file that can be read. {ACCEPTED}")
    return found


def read_lines(path: Path, name: str) -> Iterator[str]:
    r"""Read the lines of a text file, compressed or not.

    Args:
        path: The file.
        name: What messages call it.

    Yields:
        Each line with its `\n`, the only character that ends one; bytes that are no UTF-8 become
        surrogates.

    Raises:
        BrokenFileError: Where an archive is damaged or cut short.
    """
    number = 0
    try:
        with open(path, "rb") as file:
            unpack = _DECOMPRESSORS.get(path.suffix.lower())
            lines = decoded_lines(_unpacked_lines(file, unpack) if unpack else file)
            for line in lines:
                number += 1
                yield line
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the archive
        raise BrokenFileError(
            f"{name}:{number + 1}: the archive is damaged or cut short here ({error}). Fetch it "
            'again, or pass on_bad_line="skip" to keep the lines before.'
        ) from error


def decoded_lines(lines: Iterable[bytes]) -> Iterator[str]:
    r"""Decode the lines of a file or a stream.

    Args:
        lines: They end with `\n` and nothing else, as those of binary files do.

    Yields:
        Each line with its `\n`; bytes that are no UTF-8 become surrogates.
    """
    for number, line in enumerate(lines):
        if number == 0:
            # The byte order mark that Windows programs write.
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield line.decode("utf-8", errors="surrogateescape")


def read_numbered_lines(path: Path, name: str) -> Iterator[tuple[str, str]]:
    r"""Read lines as [`read_lines`] does, each with its place and without its `\n`."""
    yield from numbered_lines(read_lines(path, name), name)


def numbered_lines(lines: Iterable[str], name: str) -> Iterator[tuple[str, str]]:
    r"""Give each line its place, and take its `\n`."""
    for number, line in enumerate(lines, start=1):
        yield f"{name}:{number}", line.removesuffix("\n")


def read_csv(path: Path, name: str) -> Iterator[Placed[list[str]]]:
    """Read the rows of a csv file, the header among them; empty lines are none.

    Where a quote stays open to the end of the file, or to a character that cannot stand there, the
    line that opens it is bad, and those that it would have swallowed are read again, one by one.

    Args:
        path: The file.
        name: What messages call it.

    Yields:
        The line that a row begins on (a [`Place`] where the row has several), and its fields.

    Raises:
        ReviewError: If the first row cannot be read: without it a table cannot be understood.
        BrokenFileError: See [`read_lines`].
    """
    # The limit is the whole process's: others may have raised it, and nobody needs the default.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    lines = _RecordLines(read_lines(path, name))
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

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
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
            self.stop, self.broken = "the archive breaks off", error
            raise StopIteration from None
        self._size += len(line)
        if self.record and self._size > MAX_LINE_BYTES:
            self._back.append(line)
            self.stop = f"over {MAX_LINE_BYTES} characters"
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


def read_json_lines(path: Path, name: str) -> Iterator[Record]:
    """Read one JSON object from each line; empty lines are none.

    Args:
        path: The file.
        name: What messages call it.

    Yields:
        The records.
    """
    for where, line in read_numbered_lines(path, name):
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
        features = Features.from_arrow_schema(_open_parquet(path, name).schema_arrow)
    except pyarrow.ArrowException as error:
        raise _unreadable_parquet(name, error) from error
    return {column: getattr(feature, "names", None) for column, feature in features.items()}


def read_parquet(path: Path, name: str, columns: Sequence[str]) -> Iterator[Record]:
    """Read the rows of a parquet file, a thousand at a time.

    Args:
        path: The file.
        name: What messages call it.
        columns: Those to read.

    Yields:
        The records; their place is `FILE:ROW`, from 1.

    Raises:
        ReviewError: If it is no parquet file.
        BrokenFileError: Where it is damaged.
    """
    import pyarrow

    file = _open_parquet(path, name)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=1000, columns=list(columns)):
            for record in batch.to_pylist():
                number += 1
                yield f"{name}:{number}", record
    except (pyarrow.ArrowException, OSError) as error:
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


def _open_parquet(path: Path, name: str) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable_parquet(name, error) from error


def _unreadable_parquet(name: str, error: Exception) -> ReviewError:
    return ReviewError(f"{name}: no readable parquet file ({error}). Fetch it again.")
