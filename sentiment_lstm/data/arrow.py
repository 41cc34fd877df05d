"""Rows to memory-mapped Arrow files in the cache of `datasets`, one for each content."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..extras import require
from ..files import naming_full_disk
from .columns import Item, Review, UnknownLabelError
from .readers import BrokenFileError
from .sources import ReviewError
from .texts import MAX_CHUNK_CHARACTERS, chunks

with require("train"):
    import datasets
    import pyarrow
    from datasets.exceptions import DatasetGenerationError

logger = logging.getLogger(__name__)

# Part of every cache key: raise it whenever the same bytes would be read into other reviews.
_FORMAT_VERSION = 1
# The same for a single format, so that the reviews of all others keep their fingerprints.
_READER_VERSIONS = {".csv": 2, ".jsonl": 2}


@dataclass
class Rows:
    """The generator behind a dataset of reviews.

    `datasets` hashes the generator to find its cache, and pickles it to do so. Only the key is
    pickled: the same content under another name is the same dataset.

    Attributes:
        name: What messages call the source.
        key: What the reviews depend on; see [`cache_key`].
        cache_dir: Where the Arrow file is kept, or `None` for the cache of `datasets`.
        read: Reads the reviews, and the errors of bad lines.
        skip: Whether bad lines are counted and left out instead of raised.
        limit: How many reviews to read, or `None` for all.
        all_labels: Whether the labels behind the limit have to be known, too.
    """

    name: str
    key: str
    cache_dir: str | None
    read: Callable[[], Iterator[Item]]
    skip: bool = False
    limit: int | None = None
    all_labels: bool = False

    def __getstate__(self) -> str:
        return self.key

    @property
    def report(self) -> Path:
        """Where the count of skipped lines is kept, so that later calls can warn as well."""
        cache = self.cache_dir or datasets.config.HF_DATASETS_CACHE
        return Path(cache, "sentiment_lstm_skipped", f"{self.key}.txt")

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Generate the rows."""
        kept, skipped = 0, 0
        first, last, broken = "", "", False
        for item in self._until_broken():
            if isinstance(item, UnknownLabelError):
                raise item
            if kept == self.limit:  # only the labels matter from here on
                continue
            if isinstance(item, Review):
                kept += 1
                yield item._asdict()
                if kept == self.limit and not self.all_labels:
                    break
            elif self.skip:
                skipped += item.lines
                first, last = first or str(item), str(item)
                broken = isinstance(item, BrokenFileError)
            else:
                raise item
        if not kept:
            reason = f" The first bad line: {first}" if first else ""
            raise ReviewError(f"{self.name}: there are no reviews in it.{reason}")
        if skipped:
            text = f"skipped {skipped} bad line{'s' * (skipped > 1)}, kept {kept} reviews. "
            text += f"The first: {first}"
            if broken and last != first:
                text += f" At the end: {last}"
            # Before datasets puts the finished cache into place: a kill leaves both or neither.
            self.report.parent.mkdir(parents=True, exist_ok=True)
            self.report.write_text(text, encoding="utf-8", errors="replace")

    def _until_broken(self) -> Iterator[Item]:
        try:
            yield from self.read()
        except BrokenFileError as error:
            yield error


@dataclass
class Texts:
    """The generator behind a dataset of texts; see [`Rows`]."""

    name: str
    key: str
    cache_dir: str | None
    read: Callable[[], Iterator[str]]

    def __getstate__(self) -> str:
        return self.key

    def __call__(self) -> Iterator[dict[str, str]]:
        """Generate the rows."""
        empty = True
        for text in self.read():
            empty = False
            yield {"text": text}
        if empty:
            raise ReviewError(f"{self.name}: there are no texts in it.")


def build(
    rows: Rows | Texts, features: datasets.Features, split: str = "train"
) -> datasets.Dataset:
    """Write rows into the cache of `datasets`, or take them from there.

    Args:
        rows: What to write.
        features: Its columns.
        split: What to call the split.

    Returns:
        A memory-mapped dataset, with the key of the rows for a fingerprint.

    Raises:
        ReviewError: If the rows cannot be read.
        DiskFullError: If the disk is full; the next call begins anew.
        OSError: If it fails otherwise.
    """
    cache = rows.cache_dir or datasets.config.HF_DATASETS_CACHE
    with naming_full_disk(cache, doing=f"{rows.name} is read into the cache"):
        try:
            builder = _Builder(
                cache_dir=rows.cache_dir,
                dataset_name="reviews",
                rows=rows,
                features=features,
                split=split,
            )
            builder.download_and_prepare()
            dataset = builder.as_dataset(split)
        except DatasetGenerationError as error:
            # Of a source that cannot be read, or a disk that fails.
            if isinstance(error.__cause__, (ReviewError, OSError)):
                raise error.__cause__ from None
            raise
    if isinstance(rows, Rows) and rows.report.exists():
        logger.warning("%s: %s", rows.name, rows.report.read_text(encoding="utf-8"))
    dataset._fingerprint = rows.key
    return cast("datasets.Dataset", dataset)


def map_cached(
    dataset: datasets.Dataset,
    function: Callable[[dict[str, list[Any]]], dict[str, list[Any]]],
    *,
    features: Mapping[str, Any],
    fingerprint: str,
    desc: str,
    doing: str | None = None,
    remove_columns: list[str] | None = None,
) -> datasets.Dataset:
    """Compute columns batch by batch, or find them in the cache.

    Args:
        dataset: What they are made of.
        function: Columns of a batch -> new ones.
        features: Column -> its type, of the result.
        fingerprint: What the result is found by.
        desc: What the progress bar says.
        doing: What an error says that goes on. Defaults to `desc`.
        remove_columns: Columns that the result has not.

    Returns:
        The result.

    Raises:
        DiskFullError: If there is no room in the cache.
    """
    files = dataset.cache_files
    folder = Path(files[0]["filename"]).parent if files else Path(tempfile.gettempdir())
    with naming_full_disk(folder, doing=doing or desc):
        return dataset.map(
            function,
            batched=True,
            remove_columns=remove_columns,
            features=datasets.Features(features),
            new_fingerprint=fingerprint,
            desc=desc,
        )


@dataclass
class _BuilderConfig(datasets.BuilderConfig):
    rows: Any = None
    features: Any = None
    split: str = "train"


class _Builder(datasets.ArrowBasedBuilder):
    """What `Dataset.from_generator` does, which holds a thousand rows however long they are."""

    BUILDER_CONFIG_CLASS = _BuilderConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=self.config.features)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(self.config.split)]

    def _generate_tables(self, **_: Any) -> Iterator[tuple[int, pyarrow.Table]]:
        schema = self.config.features.arrow_schema
        together = chunks(
            self.config.rows(), _ROWS, _CHARACTERS, length=lambda row: len(row["text"]), least=2
        )
        for number, rows in enumerate(together):
            yield number, pyarrow.Table.from_pylist(rows, schema=schema)


# Rows that are written together, and the characters that end them early. There are two rows at
# least: of one the writer would make no table, but hold it with others.
_ROWS = 1000
_CHARACTERS = MAX_CHUNK_CHARACTERS


def cache_key(*parts: object) -> str:
    """Hash what a dataset depends on.

    Args:
        parts: Anything whose `repr` says all of it.

    Returns:
        Hexadecimal digits; others with every version of the readers.
    """
    return hashlib.sha256(repr((_FORMAT_VERSION, *parts)).encode()).hexdigest()[:32]


def reader_key(file_format: str) -> str:
    """Name what reads a format of file, for a [`cache_key`].

    Args:
        file_format: One of `sources.FORMATS`.

    Returns:
        The format, with the version of its reader where that is no longer the first.
    """
    version = _READER_VERSIONS.get(file_format)
    return file_format if version is None else f"{file_format} {version}"
