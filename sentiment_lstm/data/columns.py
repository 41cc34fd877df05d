"""Records to text and label: which columns hold them, and what their labels mean."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from .labels import (
    LABEL_CODES,
    LABEL_WORDS,
    NUMBER,
    SEVERAL,
    SINGLE,
    Coding,
    LabelSet,
    ProblemType,
    label_code,
)
from .readers import (
    SKIP_HINT,
    Placed,
    Record,
    check_header,
    name_fields,
    parquet_columns,
    read_blitzer,
    read_csv,
    read_json_lines,
    read_numbered_lines,
    read_parquet,
    shorten,
    valid_text,
)
from .sources import MAX_LINE_BYTES, ReviewError

_TEXT_COLUMNS = ("text", "content", "review")
# What a column of stars means is never guessed: 1 would be the best of 0 and 1.
_STAR_COLUMNS = ("stars", "rating")
_LABEL_COLUMNS = ("label", "sentiment", *_STAR_COLUMNS)
_TITLE_COLUMNS = ("title",)
_LABEL_MARK = "__label__"
_LABELS_IN_FRONT = re.compile(rf"(?:{_LABEL_MARK}\S+(?:\s|$))+")
_FASTTEXT_LABELS = {"__label__1": 0, "__label__2": 1}
_ZHANG_HEADER = ("label", "title", "text")
_ZHANG_CODES = {"1": 0, "2": 1}

NAME_COLUMNS = (
    "Rename the column, or name it: with --text_column of predict, in Python with text_column, "
    "label_column or title_column."
)
# Of float32, in which the label that is a number is stored, and learned.
_LARGEST_NUMBER = 3.4028234663852886e38

_SAY_STARS = (
    "Say what each means with labels, as in labels={1: 0, 2: 0, 4: 1, 5: 1}, or "
    "labels=[1, 2, 3, 4, 5] for five labels."
)
_SAY_LABELS = (
    "The others may mean something else, too: say what each means with labels, as in "
    'labels={1: 0, 2: 1}; on_bad_line="skip" then leaves out those that are not named.'
)


# The number of a label, those of several, or the number that a review is to get.
Label = int | list[int] | float


class Review(NamedTuple):
    """A text and its label: 0 is negative, 1 is positive, unless there is another label set."""

    text: str
    label: Label


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
        coding: What labels mean, as `labels.read_label_set` gives it.
        max_line_bytes: See `readers.decoded_lines`. It is no part of what the reviews depend on.
        label_set: Which labels there are; `None` is NEGATIVE and POSITIVE, or what the source
            names.
    """

    text: str | None = None
    label: str | None = None
    title: str | None = None
    coding: Coding | None = None
    max_line_bytes: int = field(default=MAX_LINE_BYTES, repr=False, compare=False)
    # Not in `repr`, of which keys of the cache are made: see `label_key`.
    label_set: LabelSet | None = field(default=None, repr=False)

    @property
    def only_coding(self) -> bool:
        """Whether no column was named."""
        return (self.text, self.label, self.title) == (None, None, None)

    @property
    def problem_type(self) -> ProblemType:
        """How many labels a review has."""
        return SINGLE if self.label_set is None else self.label_set.problem_type

    @property
    def guesses(self) -> bool:
        """Whether labels are taken to be NEGATIVE and POSITIVE because they look so."""
        return self.coding is None and self.label_set is None

    @property
    def label_key(self) -> list[str]:
        """What reviews depend on besides: nothing where the labels are NEGATIVE and POSITIVE."""
        if self.label_set is None:
            return []
        names = () if self.problem_type == NUMBER else self.label_set.names
        return [self.problem_type, *names]


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


def with_own_names(
    columns: Columns, class_names: Mapping[str, list[str] | None] | None, where: str
) -> Columns:
    """Take the names of the labels from the source, where the caller said nothing of them.

    Args:
        columns: What is known of its columns.
        class_names: Column -> the names of its classes, or `None` where it holds none; `None` for
            a source that has no names of classes.
        where: What an error names first.

    Returns:
        The same with a label set, if the source has one that is not NEGATIVE and POSITIVE.

    Raises:
        ReviewError: If a review may have several labels and nobody says which there are, or there
            is one label only.
    """
    names = _own_names(columns, class_names or {})
    if columns.problem_type == SEVERAL and columns.coding is None and not names:
        raise ReviewError(
            f"{where}: which labels there are stands nowhere: name them with labels, as in "
            'labels=["price", "quality"].'
        )
    if columns.coding is not None or columns.problem_type == NUMBER or not names:
        return columns
    codes = {label_code(name) for name in names}
    if columns.problem_type == SINGLE and (names == ["0", "1"] or codes <= LABEL_WORDS.keys()):
        return columns
    if len(names) == 1 and columns.problem_type == SINGLE:
        raise ReviewError(f"{where}: the only label is named {names[0]!r}: nothing can be learned.")
    return replace(columns, label_set=LabelSet(tuple(names), columns.problem_type))


def _own_names(columns: Columns, class_names: Mapping[str, list[str] | None]) -> list[str] | None:
    """The names that a source has for its labels."""
    candidates = _label_columns(columns)
    return next((class_names[name] for name in candidates if name in class_names), None)


def _label_columns(columns: Columns) -> tuple[str, ...]:
    """The columns that may hold the label."""
    if columns.label:
        return (columns.label,)
    return ("labels", *_LABEL_COLUMNS) if columns.problem_type == SEVERAL else _LABEL_COLUMNS


def are_named(class_names: Mapping[str, list[str] | None], columns: Columns) -> bool:
    """Tell whether a source says itself what its labels mean.

    Args:
        class_names: Column -> the names of its classes, or `None` where it holds none.
        columns: What is known of its columns.

    Returns:
        Whether the column of the label has the names of classes.
    """
    return bool(_own_names(columns, class_names))


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
    if title and not _is_missing(record.get(title)):
        parts = {title: record[title], **parts}
    for column, value in parts.items():
        if not isinstance(value, str):
            found = f"{shorten(value)} in" if column in record else "no"
            raise ReviewError(f"{where}: {found} column {column!r}. {hint}")
    return ": ".join(parts.values())


def _is_missing(value: Any) -> bool:
    """Whether a title is none: empty, or what pandas has in the place of one."""
    if type(value).__name__ in ("NAType", "NaTType"):  # which are compared with nothing
        return True
    # Of all values NaN alone is not itself.
    return not value or bool(isinstance(value, numbers.Real) and value != value)


def without_label(line: str) -> str:
    """Take the fastText labels from the front of a line, where there are any."""
    found = _LABELS_IN_FRONT.match(line)
    return line[found.end() :] if found else line


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


def _review(text: str, label: Label, where: str) -> Item:
    if not text or text.isspace():
        return ReviewError(f"{where}: no text in the review. {SKIP_HINT}")
    try:
        return Review(valid_text(text, where), label)
    except ReviewError as error:
        return error


# --- the layout of a source ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Labels:
    """How the labels of one source are read."""

    coding: Mapping[str, int]
    meaning: str  # of the labels, for whoever meets another one
    guessed: bool = True
    problem_type: ProblemType = SINGLE

    def read(self, label: Any, where: str, column: str) -> Label | ReviewError:
        """The label that a value stands for, or the error of one that stands for none."""
        missing = label is None or (isinstance(label, float) and label != label)  # NaN, as of JSON
        if missing or (label == "" and self.problem_type != SEVERAL):
            return ReviewError(f"{where}: no label in column {column!r}. {SKIP_HINT}")
        if self.problem_type == NUMBER:
            number = _number(label)
            wrong = f"{where}: no number, but {shorten(label)} in column {column!r}. {SKIP_HINT}"
            return ReviewError(wrong) if number is None else number
        if self.problem_type == SINGLE:
            code = self.code(label)
            return self.unknown(label, where, column) if code is None else code
        # As a list, or with commas between them; a review may have none.
        several = label if isinstance(label, (list, tuple)) else str(label).split(",")
        codes = {one: self.code(one) for one in map(str, several) if one.strip()}
        bad = [one for one, code in codes.items() if code is None]
        if bad:
            return self.unknown(bad[0], where, column)
        return sorted({code for code in codes.values() if code is not None})

    def code(self, label: Any) -> int | None:
        """The number of the label that a value means."""
        return self.coding.get(label_code(label))

    def unknown(self, label: Any, where: str, column: str) -> ReviewError:
        """The error of a label that is none of those that are known."""
        kind = UnknownLabelError if self.guessed else ReviewError
        return kind(f"{where}: unknown label {shorten(label)} in column {column!r}. {self.meaning}")


@dataclass(frozen=True)
class _Layout:
    """The columns of one source, found out, and how its labels are read."""

    text: str
    label: str
    title: str | None
    labels: _Labels

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
        label = self.labels.read(record.get(self.label), where, self.label)
        return label if isinstance(label, ReviewError) else _review(text, label, where)


def _layout(class_names: Mapping[str, list[str] | None], where: str, columns: Columns) -> _Layout:
    names = list(class_names)
    label = _find(names, columns.label, _label_columns(columns), "label", where)
    text, title = text_columns(names, where, text=columns.text, title=columns.title)
    are_stars = columns.label is None and label in _STAR_COLUMNS
    labels = _labels(class_names[label], where, columns, are_stars=are_stars)
    return _Layout(text, label, title, labels)


def _find(
    names: list[str], given: str | None, candidates: tuple[str, ...], role: str, where: str
) -> str:
    found = next((name for name in ([given] if given else candidates) if name in names), None)
    if found is None:
        wanted = f"column {given!r}" if given else f"{role} column ({', '.join(candidates)})"
        raise ReviewError(
            f"{where}: no {wanted} among the columns {', '.join(names)}. {NAME_COLUMNS}"
        )
    return found


def _number(label: Any) -> float | None:
    """The finite number that a value is or says, as large as float32 has it."""
    try:
        number = math.nan if isinstance(label, bool) else float(label)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= _LARGEST_NUMBER else None  # NaN is not, either


def _labels(
    names: list[str] | None, where: str, columns: Columns, *, are_stars: bool = False
) -> _Labels:
    """What the labels of a column mean; `names` are those of its classes."""
    problem_type = columns.problem_type
    if columns.coding is not None:
        coding = dict(columns.coding)
        meaning = f"Known are {', '.join(coding)}. {SKIP_HINT}"
    elif columns.label_set is not None:  # named by the source itself, or numbers
        own = {label_code(name): number for number, name in enumerate(columns.label_set.names)}
        coding, meaning = own, f"Known are {', '.join(own)}. {SKIP_HINT}"
    elif are_stars:
        coding, meaning = {}, f"What stars mean is not guessed. {_SAY_STARS}"
    else:
        coding = LABEL_CODES
        meaning = f"Known are 0 or NEGATIVE and 1 or POSITIVE. {_SAY_LABELS}"
    if names is None or problem_type == NUMBER:
        return _Labels(coding, meaning, columns.guesses, problem_type)
    # The values of a ClassLabel are numbers, whose meaning is in the names.
    words = LABEL_WORDS if columns.guesses and names != ["0", "1"] else coding
    by_number = {
        str(i): words[label_code(n)] for i, n in enumerate(names) if label_code(n) in words
    }
    if not by_number:
        raise ReviewError(
            f"{where}: the labels are named {shorten(names)}, and none of them is known. "
            'Say what each means with labels, as in labels={"bad": 0, "good": 1}.'
        )
    return _Labels(by_number, meaning, columns.guesses, problem_type)


# --- one function for each format ----------------------------------------------------------------


def _read_fasttext(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    if columns.problem_type != SINGLE:
        yield from _read_several_fasttext(path, name, columns)
        return
    coding: Mapping[str, int] = _FASTTEXT_LABELS
    if columns.coding is not None:
        coding = {_LABEL_MARK + key.removeprefix(_LABEL_MARK): to for key, to in columns.coding}
    names = ("negative", "positive") if columns.label_set is None else columns.label_set.names
    known = [f"`{mark} TEXT` ({names[code]})" for mark, code in coding.items()]
    expected = f"A line is {' or '.join(known)}."
    unknown = ReviewError if columns.coding is not None else UnknownLabelError
    hint = SKIP_HINT if columns.coding is not None else _SAY_LABELS
    for where, line in read_numbered_lines(path, name, columns.max_line_bytes):
        mark, _, text = line.partition(" ")
        if columns.coding is not None and mark.startswith(_LABEL_MARK):
            mark = _LABEL_MARK + label_code(mark.removeprefix(_LABEL_MARK))  # as in other formats
        label = coding.get(mark)
        if label is not None and not text.startswith(_LABEL_MARK):
            yield _review(text, label, where)
        elif label is not None:
            yield ReviewError(f"{where}: more than one label. {expected} {SKIP_HINT}")
        elif mark.startswith(_LABEL_MARK) and mark != _LABEL_MARK:
            yield unknown(f"{where}: unknown label {shorten(mark)}. {expected} {hint}")
        else:
            yield ReviewError(f"{where}: no label, but {shorten(line)}. {expected} {SKIP_HINT}")


def _read_several_fasttext(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """Lines with any number of labels in front, or with a number for a label."""
    labels = _labels(None, name, columns)
    for where, line in read_numbered_lines(path, name, columns.max_line_bytes):
        text = without_label(line)
        marks = line[: len(line) - len(text)].split()
        values = [mark.removeprefix(_LABEL_MARK) for mark in marks]
        if columns.problem_type == NUMBER and len(values) != 1:
            yield ReviewError(
                f"{where}: no number in front of {shorten(line)}. A line is `{_LABEL_MARK}4.5 "
                f"TEXT`. {SKIP_HINT}"
            )
            continue
        value = values[0] if columns.problem_type == NUMBER else values
        label = labels.read(value, where, _LABEL_MARK)
        yield label if isinstance(label, ReviewError) else _review(text, label, where)


def _read_csv(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """The reviews of a csv file with a header, or of three columns as of Zhang et al. (2015)."""
    rows = read_csv(path, name, columns.max_line_bytes)
    where, header = next(rows, (name, []))
    if isinstance(header, ReviewError) or not header:
        return  # an empty file; a bad first row has been raised
    if len(header) == 3 and header[0].strip().isdecimal() and columns.only_coding:
        labels = _labels(None, where, columns)
        if columns.guesses:
            labels = _Labels(_ZHANG_CODES, _ZHANG_MEANING)
        layout = _Layout("text", "label", "title", labels)
        rows = _with_line_feeds(chain([(where, header)], rows))
        header = list(_ZHANG_HEADER)
    else:
        check_header(header, where)
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


def _read_blitzer(path: Path, name: str, columns: Columns) -> Iterator[Item]:
    """The reviews of a file of Blitzer et al. (2007), whose text stands in `review_text`."""
    records = read_blitzer(path, name, columns.max_line_bytes)
    yield from reviews_of_records(with_text(records), columns)


def with_text(records: Iterable[Record]) -> Iterator[Record]:
    """Call the text of Blitzer et al. what others call it: `text`."""
    for where, record in records:
        if not isinstance(record, ReviewError) and "review_text" in record:
            record = {**record, "text": record["review_text"]}
        yield where, record


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
    ".review": _read_blitzer,
}
