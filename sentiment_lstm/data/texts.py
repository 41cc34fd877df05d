"""Read texts to classify from a file or stream, without the libraries that datasets need."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import BinaryIO, TypeVar

from .columns import joined, text_columns, with_text, without_label
from .readers import (
    Record,
    check_header,
    decoded_lines,
    format_of,
    limited_lines,
    name_fields,
    numbered_lines,
    read_blitzer,
    read_csv,
    read_json_lines,
    read_numbered_lines,
    valid_text,
)
from .sources import ACCEPTED_TEXTS, MAX_LINE_BYTES, ReviewError

# What a chunk may hold before it ends early: eight thousand characters for each of the 4,096 texts
# that a chunk has by default, which reviews have nowhere near.
MAX_CHUNK_CHARACTERS = 1 << 25

_Text = TypeVar("_Text", bound=Sized)


def read_texts(
    path: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[str]:
    """Read texts to classify from a file, one by one; labels are neither needed nor read.

    Args:
        path: Lines of text (`.txt`; a fastText label in front is left out; an empty line is an
            empty text), or `.csv` with a header, `.jsonl` or `.review`; each also as `.gz` or
            `.bz2`.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`. A
            column `title` is put in front, as in `load_reviews`.
        max_line_bytes: How many bytes of memory a line may take, and a row of a csv file. Defaults
            to 32 MiB.

    Yields:
        The texts, in the order of the file.

    Raises:
        ReviewError: For a line that cannot be read or is too long, or a column that is not there.
        FileNotFoundError: If the file does not exist.
        IsADirectoryError: If it is a folder.
    """
    path, name = Path(path).expanduser(), os.fspath(path)
    file_format = format_of(path, ACCEPTED_TEXTS)
    if file_format == ".parquet":
        raise ReviewError(f"{name}: not a kind of file that can be read. {ACCEPTED_TEXTS}")
    if file_format == ".txt":
        if text_column is not None:
            raise ReviewError(f"{name}: lines of text have no columns, so none can be chosen.")
        lines = read_numbered_lines(path, name, max_line_bytes)
        yield from _without_skip_hint(_texts_of_lines(lines))
        return
    if file_format == ".csv":
        records = _csv_records(path, name, max_line_bytes, text_column)
    elif file_format == ".review":
        records = with_text(read_blitzer(path, name, max_line_bytes))
    else:
        records = read_json_lines(path, name, max_line_bytes)
    yield from _without_skip_hint(_texts_of_records(records, text_column))


def read_stream(
    stream: BinaryIO, name: str = "standard input", *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[str]:
    r"""Read texts to classify from a stream, one a line, as soon as each line is there.

    The same bytes are the same texts as in a `.txt` file of [`read_texts`]: only `\n` ends a line;
    a byte order mark and a fastText label in front are left out; an empty line is an empty text.

    Args:
        stream: Binary, such as `sys.stdin.buffer`.
        name: What messages call it.
        max_line_bytes: How many bytes of memory a line may take. Defaults to 32 MiB.

    Yields:
        The texts.

    Raises:
        ReviewError: For a line that is no UTF-8 or too long, with its number.
    """
    lines = decoded_lines(limited_lines(stream, max_line_bytes), name, max_line_bytes)
    yield from _without_skip_hint(_texts_of_lines(numbered_lines(lines, name)))


def chunks(
    texts: Iterable[_Text],
    size: int,
    max_characters: int = MAX_CHUNK_CHARACTERS,
    *,
    length: Callable[[_Text], int] = len,
    least: int = 1,
) -> Iterator[list[_Text]]:
    """Cut texts, or rows that hold one, into chunks that memory holds, however long they are.

    Args:
        texts: Any number; they are taken as they are needed.
        size: How many texts a chunk has, if they are not too long.
        max_characters: A chunk ends with the text that makes it so long.
        length: Characters of one of them.
        least: How many a chunk has but the last, however long they are.

    Yields:
        The chunks, in order; none is empty. The same texts are always cut at the same places.
    """
    chunk: list[_Text] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += length(text)
        too_long = characters >= max_characters and len(chunk) >= least
        if len(chunk) == size or too_long:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _texts_of_lines(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    for where, line in lines:
        yield valid_text(without_label(line), where)


def _texts_of_records(records: Iterable[Record], text_column: str | None) -> Iterator[str]:
    for where, record in records:
        if isinstance(record, ReviewError):
            raise record
        # Each record has columns of its own: JSON lines leave out what is empty.
        columns = text_columns(record, where, text=text_column)
        yield valid_text(joined(record, *columns, where), where)


def _without_skip_hint(texts: Iterator[str]) -> Iterator[str]:
    """Say nothing of skipping in errors: every text has its answer, so none is left out."""
    try:
        yield from texts
    except ReviewError as error:
        message = re.sub(r', or pass on_bad_line="skip" to [^.]*\.', ".", str(error))
        raise type(error)(message) from error.__cause__


def _csv_records(
    path: Path, name: str, max_line_bytes: int, text_column: str | None
) -> Iterator[Record]:
    rows = read_csv(path, name, max_line_bytes)
    where, header = next(rows, (name, []))
    if isinstance(header, ReviewError) or not header:
        return
    check_header(header, where)
    text_columns(header, where, text=text_column)  # even if no row follows
    yield from name_fields(rows, header)
