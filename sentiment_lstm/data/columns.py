"""Records to text and label: which columns hold them, and what their labels mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from .readers import (
    SKIP_HINT,
    Placed,
    Record,
    name_fields,
    parquet_columns,
    read_csv,
    read_json_lines,
    read_numbered_lines,
    read_parquet,
    shorten,
    valid_text,
)
from .sources import MAX_LINE_BYTES, ReviewError

_TEXT_COLUMNS = ("text", "content", "review")
_LABEL_COLUMNS = ("label", "sentiment")
_TITLE_COLUMNS = ("title",)
_LABEL_WORDS = {"negative": 0, "neg": 0, "positive": 1, "pos": 1}
_LABEL_CODES = {"0": 0, "1": 1, **_LABEL_WORDS}
_LABEL_NAMES = ("negative", "positive")
_LABEL_MARK = "__label__"
_FASTTEXT_LABELS = {"__label__1": 0, "__label__2": 1}
_ZHANG_HEADER = ("label", "title", "text")
_ZHANG_CODES = {"1": 0, "2": 1}


_SAY_LABELS = (
    "The others may mean something else, too: say what each means with labels, as in "
    'labels={1: 0, 2: 1}; on_bad_line="skip" then leaves out those that are not named.'
)


class Review(NamedTuple):
    """A text and its label: 0 is negative, 1 is positive."""

    text: str
    label: int


class UnknownLabelError(ReviewError):
    """A well-formed line whose label is none of those that need no explanation.

    One such label puts in question what all others mean: 1 is POSITIVE beside 0, NEGATIVE beside 2.
    So this is no bad line that could be left out.
    """


# Bad lines are passed on as values; see the readers.
Item = Review | ReviewError


@dataclass(frozen=True)
class Columns:
    """What the caller said of a file, its columns and label codes; `None` is to be found out.

    Attributes:
        text: Column of the text.
        label: Column of the label.
        title: Column of the title; `""` leaves the title out.
        coding: What labels mean, as [`label_coding`] gives it.
        max_line_bytes: See `readers.decoded_lines`. It is no part of what the reviews depend on.
    """

    text: str | None = None
    label: str | None = None
    title: str | None = None
    coding: tuple[tuple[str, int], ...] | None = None
    max_line_bytes: int = field(default=MAX_LINE_BYTES, repr=False, compare=False)

    @property
    def only_coding(self) -> bool:
        """Whether no column was named."""
        return self == Columns(coding=self.coding)


def read_reviews(file_format: str, path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """Read the labelled reviews of a file.

    Args:
        file_format: One of `sources.FORMATS`.
        path: The file.
        name: What messages call it.
        columns: What is known of its columns; for fastText lines only the coding.

    Yields:
        The reviews; for a bad line the error that says where and why.

    Raises:
        ReviewError: If the columns cannot be understood or the file is damaged.
    """
    yield from _READERS[file_format](path, name, columns)


def reviews_of_records(
    records: Iterable[Record],
    columns: Columns,
    class_names: Mapping[str, list[str] | None] | None = None,
) -> Iterator[Item]:
    """Turn records with named columns into reviews.

    Args:
        records: Their place is what errors name.
        columns: What is known of their columns.
        class_names: Column -> the names of its classes, or `None` where it holds none, for
            records that all have these columns. Defaults to the columns of each record.

    Yields:
        The reviews; for a bad record the error.

    Raises:
        ReviewError: If a column of `class_names` is missing, or the meaning of its labels is not
            known.
    """
    if class_names is None:
        yield from _reviews_of_own_layouts(records, columns)
        return
    layout = None
    for where, record in records:
        if isinstance(record, ReviewError):
            yield record
            continue
        layout = layout or _layout(class_names, where, columns)
        yield layout.review(record, where)


def are_named(class_names: Mapping[str, list[str] | None], columns: Columns) -> bool:
    """Tell whether a source says itself what its labels mean.

    Args:
        class_names: Column -> the names of its classes, or `None` where it holds none.
        columns: What is known of its columns.

    Returns:
        Whether the column of the label has the names of classes.
    """
    candidates = [columns.label] if columns.label else _LABEL_COLUMNS
    return bool(next((class_names[name] for name in candidates if name in class_names), None))


def label_coding(labels: Mapping[Any, int | str] | None) -> tuple[tuple[str, int], ...] | None:
    """Check what the caller says that labels mean.

    Args:
        labels: Label -> 0, 1, `"NEGATIVE"` or `"POSITIVE"`, or `None`.

    Returns:
        The same in one form for each meaning, sorted; `None` for `None`.

    Raises:
        ReviewError: If one of them means something else, or there are none.
    """
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


def read_labels(words: Iterable[str]) -> dict[str, str]:
    """Read what labels mean from words, as a command line has them.

    Args:
        words: `LABEL=MEANING` each: `1=0`, `5=POSITIVE`. The last `=` counts.

    Returns:
        Label -> meaning, for `labels` of `load_reviews`.

    Raises:
        ReviewError: If a word is none, or a label has two meanings.
    """
    labels: dict[str, str] = {}
    for word in words:
        label, equals, meaning = word.rpartition("=")
        if not equals or labels.setdefault(label, meaning) != meaning:
            raise ReviewError(
                f"labels: {word!r} must be LABEL=MEANING, each label once, as in 1=0 2=0 4=1 5=1."
            )
    label_coding(labels)
    return labels


def text_columns(
    names: Iterable[str], where: str, *, text: str | None = None, title: str | None = None
) -> tuple[str, str | None]:
    """Find the columns of text and title.

    Args:
        names: The columns that there are.
        where: What an error names first: a file, a line or a batch.
        text: Column of the text. Defaults to the first of `text`, `content`, `review`.
        title: Column of the title. Defaults to `title` where there is one; `""` is none.

    Returns:
        The column of the text, and that of the title or `None`.

    Raises:
        ReviewError: If a column is not there.
    """
    names = list(names)
    found = _find(names, text, _TEXT_COLUMNS, "text", where)
    if title or (title is None and _TITLE_COLUMNS[0] in names):
        return found, _find(names, title, _TITLE_COLUMNS, "title", where)
    return found, None


def joined(
    record: Mapping[str, Any], text: str, title: str | None, where: str, *, hint: str = SKIP_HINT
) -> str:
    """Join the text of a record to its title: `title: text`, or the text where that is empty.

    Args:
        record: Column -> value.
        text: Column of the text.
        title: Column of the title, or `None`; see [`text_columns`].
        where: What an error names first.
        hint: What an error says to do.

    Returns:
        The text.

    Raises:
        ReviewError: If one of the two is no string.
    """
    parts: dict[str, Any] = {text: record.get(text)}
    if title and record.get(title):
        parts = {title: record[title], **parts}
    for column, value in parts.items():
        if not isinstance(value, str):
            found = f"{shorten(value)} in" if column in record else "no"
            raise ReviewError(f"{where}: {found} column {column!r}. {hint}")
    return ": ".join(parts.values())


def without_label(line: str) -> str:
    """Take the fastText label from the front of a line, where there is one."""
    mark, _, text = line.partition(" ")
    return text if mark in _FASTTEXT_LABELS else line


def _reviews_of_own_layouts(records: Iterable[Record], columns: Columns) -> Iterator[Item]:
    """The reviews of records that have columns of their own, such as JSON lines.

    A title that the caller named may be missing like any other, once a record has had one:
    before, the name may be wrong.
    """
    layout: _Layout | None = None
    names: list[str] = []
    title: list[str] = []
    for where, record in records:
        if isinstance(record, ReviewError):
            yield record
            continue
        # One layout is kept, not one for each set of names: there may be as many as lines.
        if layout is None or names != list(record):
            names = list(record)
            title = title or [name for name in names if name == columns.title]
            try:
                layout = _layout(dict.fromkeys(names + title), where, columns)
            except ReviewError as error:
                layout = None
                yield error
                continue
        yield layout.review(record, where)


def _review(text: str, label: int, where: str) -> Item:
    if not text or text.isspace():
        return ReviewError(f"{where}: no text in the review. {SKIP_HINT}")
    try:
        return Review(valid_text(text, where), label)
    except ReviewError as error:
        return error


# --- the layout of a source ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """The columns and label codes of one source, found out."""

    text: str
    label: str
    title: str | None
    coding: Mapping[str, int]
    meaning: str  # of the labels, for whoever meets another one
    guessed: bool = True

    def reviews(self, records: Iterable[Record]) -> Iterator[Item]:
        for where, record in records:
            item = record if isinstance(record, ReviewError) else self.review(record, where)
            if isinstance(item, ReviewError):
                item.lines = getattr(where, "lines", 1)
            yield item

    def review(self, record: Mapping[str, Any], where: str) -> Item:
        try:
            text = joined(record, self.text, self.title, where)
        except ReviewError as error:
            return error
        label = record.get(self.label)
        if label is None or label == "":
            return ReviewError(f"{where}: no label in column {self.label!r}. {SKIP_HINT}")
        code = self.coding.get(_label_code(label))
        if code is None:
            kind = UnknownLabelError if self.guessed else ReviewError
            return kind(
                f"{where}: unknown label {shorten(label)} in column {self.label!r}. {self.meaning}"
            )
        return _review(text, code, where)


def _layout(class_names: Mapping[str, list[str] | None], where: str, columns: Columns) -> _Layout:
    names = list(class_names)
    label = _find(names, columns.label, _LABEL_COLUMNS, "label", where)
    text, title = text_columns(names, where, text=columns.text, title=columns.title)
    coding, meaning = _coding(class_names[label], where, columns)
    return _Layout(text, label, title, coding, meaning, columns.coding is None)


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


def _label_code(label: object) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label).strip().lower()


def _coding(names: list[str] | None, where: str, columns: Columns) -> tuple[Mapping[str, int], str]:
    """What the labels of a column mean, and what to tell whoever meets another one."""
    if columns.coding is not None:
        coding = dict(columns.coding)
        meaning = f"Known are {', '.join(coding)}. {SKIP_HINT}"
    else:
        coding = _LABEL_CODES
        meaning = f"Known are 0 or NEGATIVE and 1 or POSITIVE. {_SAY_LABELS}"
    if names is None:
        return coding, meaning
    # The values of a ClassLabel are numbers, whose meaning is in the names.
    words = coding if columns.coding is not None or names == ["0", "1"] else _LABEL_WORDS
    by_number = {
        str(i): words[_label_code(n)] for i, n in enumerate(names) if _label_code(n) in words
    }
    if not by_number or (columns.coding is None and len(by_number) < len(names)):
        raise ReviewError(
            f"{where}: the labels are named {shorten(names)}. Say which of them are negative and "
            'positive with labels, as in labels={"bad": 0, "good": 1}.'
        )
    return by_number, meaning


# --- one function for each format ----------------------------------------------------------------


def _read_fasttext(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    coding: Mapping[str, int] = _FASTTEXT_LABELS
    if columns.coding is not None:
        coding = {_LABEL_MARK + key.removeprefix(_LABEL_MARK): to for key, to in columns.coding}
    known = [f"`{mark} TEXT` ({_LABEL_NAMES[code]})" for mark, code in coding.items()]
    expected = f"A line is {' or '.join(known)}."
    unknown = ReviewError if columns.coding is not None else UnknownLabelError
    hint = SKIP_HINT if columns.coding is not None else _SAY_LABELS
    for where, line in read_numbered_lines(path, name, columns.max_line_bytes):
        mark, _, text = line.partition(" ")
        label = coding.get(mark)
        if label is not None and not text.startswith(_LABEL_MARK):
            yield _review(text, label, where)
        elif label is not None:
            yield ReviewError(f"{where}: more than one label. {expected} {SKIP_HINT}")
        elif mark.startswith(_LABEL_MARK) and mark != _LABEL_MARK:
            yield unknown(f"{where}: unknown label {shorten(mark)}. {expected} {hint}")
        else:
            yield ReviewError(f"{where}: no label, but {shorten(line)}. {expected} {SKIP_HINT}")


def _read_csv(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """The reviews of a csv file with a header, or of three columns as of Zhang et al. (2015)."""
    rows = read_csv(path, name, columns.max_line_bytes)
    where, header = next(rows, (name, []))
    if isinstance(header, ReviewError) or not header:
        return  # an empty file; a bad first row has been raised
    if len(header) == 3 and header[0].strip().isdecimal() and columns.only_coding:
        zhang = _ZHANG_CODES, _ZHANG_MEANING
        coding, meaning = zhang if columns.coding is None else _coding(None, where, columns)
        layout = _Layout("text", "label", "title", coding, meaning, columns.coding is None)
        rows = _with_line_feeds(chain([(where, header)], rows))
        header = list(_ZHANG_HEADER)
    elif len(set(header)) < len(header):
        raise ReviewError(f"{where}: a column name occurs twice in the header {shorten(header)}.")
    else:
        layout = _layout(dict.fromkeys(header), where, columns)
    yield from layout.reviews(name_fields(rows, header))


def _with_line_feeds(rows: Iterable[Placed[list[str]]]) -> Iterator[Placed[list[str]]]:
    r"""Undo what Zhang et al. write for a line feed, `\n`; the csv reader undoes the quotes."""
    for where, fields in rows:
        if isinstance(fields, ReviewError):
            yield where, fields
        else:
            yield where, [field.replace("\\n", "\n") for field in fields]


_ZHANG_MEANING = f"In a csv file without a header, 1 is negative and 2 is positive. {_SAY_LABELS}"


def _read_json_lines(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    return reviews_of_records(read_json_lines(path, name, columns.max_line_bytes), columns)


def _read_parquet(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    class_names = parquet_columns(path, name)
    layout = _layout(class_names, name, columns)
    wanted = [column for column in (layout.text, layout.label, layout.title) if column]
    yield from layout.reviews(read_parquet(path, name, wanted, columns.max_line_bytes))


_READERS: dict[str, Callable[[Path, str, Columns], Iterator[Item]]] = {
    ".txt": _read_fasttext,
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
