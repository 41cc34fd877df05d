"""What a source of reviews is: its name, split and digest, and its name in public.

A source is written `SOURCE` or `SOURCE:SPLIT`, such as `x.ft.txt.bz2:train[:57489]`, `sample:test`
or `fancyzhx/amazon_polarity:test[:50%]`. [`parse_source`] is the only place that takes it apart.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

SAMPLE = "sample"
SPLITS = ("train", "validation", "test")

FORMATS = (".txt", ".csv", ".jsonl", ".parquet", ".review")
COMPRESSIONS = (".gz", ".bz2")
ACCEPTED = (
    "Accepted are fastText lines (.ft.txt, .txt), .csv, .jsonl and .review (Blitzer et al.), each "
    "also as .gz or .bz2; "
    ".parquet; a dataset on the Hub (owner/name); and the word `sample`."
)
# Texts to classify, which take no label.
ACCEPTED_TEXTS = (
    "Accepted are lines of text (.txt), .csv, .jsonl and .review (Blitzer et al.), each also as "
    ".gz or .bz2."
)
# What a line may have, and all lines of a csv record: much more than any review has, and little
# enough to be held in memory.
MAX_LINE_BYTES = 1 << 25


class ReviewError(ValueError):
    """Reviews that cannot be read: says where (`FILE:LINE`), what is wrong and what to do.

    Attributes:
        lines: How many lines of the file are meant.
    """

    lines = 1


@dataclass(frozen=True)
class Source:
    """Where reviews come from: a name, and the split of it.

    Attributes:
        name: A path, a Hub dataset id or `sample`.
        split: A split in the notation of `datasets`, or `None` where none was given.
    """

    name: str
    split: str | None = None

    @property
    def kind(self) -> Literal["sample", "hub", "file"]:
        """What the name means by its form, on whatever machine it is read.

        A dataset on the Hub is `owner/name` without the ending of a file of reviews: no file
        without one can be read.
        """
        if self.name == SAMPLE:
            return "sample"
        is_id = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", self.name)
        return "hub" if is_id and not _FILE_ENDING.search(self.name) else "file"

    @property
    def public(self) -> str:
        """The source without the folders of a file: what cards and results name it."""
        name = basename(self.name) if self.kind == "file" else self.name
        return f"{name}:{self.split}" if self.split else name

    def is_on_disk(self) -> bool:
        """Whether a file or a folder here suggests that `owner/name` is meant as a path."""
        return os.path.exists(self.name) or os.path.isdir(os.path.dirname(self.name))


_FILE_ENDING = re.compile(
    rf"({'|'.join(map(re.escape, FORMATS))})({'|'.join(map(re.escape, COMPRESSIONS))})?$",
    re.IGNORECASE,
)


def parse_source(spec: str | os.PathLike[str]) -> Source:
    """Split `SOURCE` or `SOURCE:SPLIT` at its colon.

    `SPLIT` is what `datasets` takes as a split: a name, or a name with a slice in brackets, or
    several of them joined by `+`. Anything else after a colon belongs to the path, and so does
    everything in the name of an existing file and in a path object.

    Args:
        spec: For example `x.ft.txt.bz2:train[:57489]`, `sample:test` or
            `fancyzhx/amazon_polarity:test[:50%]`.

    Returns:
        The source; its split is `None` where there is none in the spec.
    """
    if not isinstance(spec, str) or os.path.exists(spec):
        return Source(os.fspath(spec))
    found = re.fullmatch(r"(.+?):([A-Za-z_]\w*(?:\s*[\[(+].*)?)", spec)
    return Source(found[1], found[2]) if found else Source(spec)


def file_format(name: str) -> str | None:
    """Tell the format of a file by its name.

    Args:
        name: A path or the last part of one, in any case.

    Returns:
        One of `FORMATS`, or `None` where the file cannot be read.
    """
    stem, extension = os.path.splitext(name.lower())
    if extension in COMPRESSIONS:
        extension = os.path.splitext(stem)[1]
        if extension == ".parquet":  # compressed within already
            return None
    return extension if extension in FORMATS else None


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is there, and is a pipe or a device: what was read of it is gone.

    Args:
        path: To be read.
    """
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def file_digest(path: str | os.PathLike[str]) -> str:
    """Compute what identifies the content of a file: the SHA-256 of its bytes.

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


# --- splits and slices ---------------------------------------------------------------------------


# More reviews than any source has.
_MANY = 10**12


class Piece(NamedTuple):
    """A range of the reviews of one split."""

    split: str
    start: int
    stop: int


@dataclass(frozen=True)
class Slice:
    """Which reviews of a source a split means, such as `train[:100]+train[200:]`.

    Attributes:
        spec: The split as it was written.
        names: The splits that the source has.
        instruction: The same as a `datasets.ReadInstruction`.
    """

    spec: str
    names: tuple[str, ...]
    instruction: Any

    @property
    def splits(self) -> list[str]:
        """The splits that reviews are taken from, each once."""
        return list(dict.fromkeys(piece.split for piece in self._pieces_of_many()))

    @property
    def head(self) -> int | None:
        """How many reviews from the start suffice, or `None` where that needs their number.

        A slice by absolute numbers from the start is the same however long the file turns out
        to be.
        """
        pieces = self._pieces_of_many()
        if pieces != self._pieces_of_many(2 * _MANY):
            return None
        return max(piece.stop for piece in pieces)

    def pieces(self, sizes: Mapping[str, int]) -> list[Piece]:
        """Turn the slice into ranges of reviews.

        Args:
            sizes: Split -> how many reviews it has.

        Returns:
            The ranges in their order, none of them empty; those that adjoin are one.

        Raises:
            ValueError: If `pct1_dropremainder` meets a split of fewer than a hundred reviews.
        """
        joined: list[Piece] = []
        for part in self.instruction.to_absolute(sizes):
            piece = Piece(part.splitname, int(part.from_), int(part.to))
            if piece.start >= piece.stop:
                continue
            if joined and joined[-1].split == piece.split and joined[-1].stop == piece.start:
                piece = piece._replace(start=joined.pop().start)
            joined.append(piece)
        return joined

    def _pieces_of_many(self, size: int = _MANY) -> list[Piece]:
        """The pieces if every split had this size."""
        return self.pieces(dict.fromkeys(self.names, size))


def parse_split(split: str, names: Iterable[str], expects: str) -> Slice:
    """Read a split in the notation of `datasets`.

    Args:
        split: For example `train`, `train[:1000]`, `train[10%:20%]` or `train[:5]+test`.
        names: The splits that the source has.
        expects: What to say of the source where the split is none of these.

    Returns:
        The slice.

    Raises:
        ReviewError: If the split is not understood, or is empty whatever the source holds.
    """
    from datasets import ReadInstruction

    try:
        parsed = Slice(split, tuple(names), ReadInstruction.from_spec(split))
        found = parsed.splits
    except ValueError as error:
        raise ReviewError(
            f"{expects}, whole or sliced as in `train[:1000]`, `train[10%:20%]`; {split!r} is "
            f"none of these: {error}"
        ) from error
    if not found:
        raise ReviewError(f"{split!r} holds no review, however many there are.")
    return parsed


# --- what may be public --------------------------------------------------------------------------


def public_names(sources: Iterable[str]) -> dict[str, str]:
    """Name sources without the folders of the machine, each one differently.

    Args:
        sources: As in a recipe: `SOURCE` or `SOURCE:SPLIT`.

    Returns:
        Source -> its public name; equal names of different sources are numbered.
    """
    names: dict[str, str] = {}
    for source in dict.fromkeys(sources):
        public = name = parse_source(source).public
        number = 2
        while name in names.values():
            name, number = f"{public} ({number})", number + 1
        names[source] = name
    return names


def basename(path: str) -> str:
    """Take the last part of a path of any system.

    Args:
        path: With slashes or backslashes.

    Returns:
        The name of the file or folder.
    """
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def without_folders(text: str) -> str:
    """Take the folders from every path in a text that leads outside the working folder.

    Args:
        text: For example a command.

    Returns:
        The text with the names of files only.
    """
    # Absolute, from the home folder or upwards; not `scripts/x.py`, nor the `/` of `either/or`.
    return re.sub(r"(?<![\w.~/\\:])(?:~|\.\.|[A-Za-z]:)?[\\/](?:\S*[\\/])?(?=\S)", "", text)
