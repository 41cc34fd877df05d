"""Read texts to classify from a file, without the libraries that datasets need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .columns import joined, text_columns, without_label
from .readers import (
    Record,
    format_of,
    name_fields,
    read_csv,
    read_json_lines,
    read_numbered_lines,
    valid_text,
)
from .sources import ReviewError


def read_texts(path: str | os.PathLike[str], *, text_column: str | None = None) -> Iterator[str]:
    """Read texts to classify from a file, one by one; labels are neither needed nor read.

    Args:
        path: Lines of text (`.txt`; a fastText label in front is left out; an empty line is an
            empty text), or `.csv` with a header or `.jsonl`; each also as `.gz` or `.bz2`.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`. A
            column `title` is put in front, as in `load_reviews`.

    Yields:
        The texts, in the order of the file.

    Raises:
        ReviewError: For a line that cannot be read, or a column that is not there.
        FileNotFoundError: If the file does not exist.
        IsADirectoryError: If it is a folder.
    """
    path, name = Path(path).expanduser(), os.fspath(path)
    file_format = format_of(path)
    if file_format == ".parquet":
        raise ReviewError(f"{name}: texts are read from .txt, .csv and .jsonl.")
    if file_format == ".txt":
        for where, line in read_numbered_lines(path, name):
            yield valid_text(without_label(line), where)
        return
    records = _csv_records(path, name) if file_format == ".csv" else read_json_lines(path, name)
    for where, record in records:
        if isinstance(record, ReviewError):
            raise record
        # Each record has columns of its own: JSON lines leave out what is empty.
        columns = text_columns(record, where, text=text_column)
        yield valid_text(joined(record, *columns, where), where)


def _csv_records(path: Path, name: str) -> Iterator[Record]:
    rows = read_csv(path, name)
    _, header = next(rows, (name, []))
    return iter(()) if isinstance(header, ReviewError) else name_fields(rows, header)
