"""The same reviews as a file of each format, and how tests read them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from sentiment_lstm.data.dataset import LABEL_NAMES, load_reviews

# What the fixture `load` gives: `load_reviews` with a cache of its own.
Load = Callable[..., datasets.Dataset]

# Texts that a careless reader would cut, join, split or change.
TEXTS = [
    "Great lamp: it lights the whole room, and the neighbour's as well.",
    "Broke at once: the handle came off on day two.",
    "Trailing space: kept ",
    "Line ends that are none: next\x85line \u2028 para \x0b tab\x0c and \r alone",
    'Quotes: "so-called ""steel""", said nobody, ever',
    "Ünïcödé 漢字 🎉: überraschend gut",
    "<br />: markup stays as it is here",
    "  leading spaces belong to the text",
]


LABELS = [1, 0, 1, 0, 0, 1, 0, 1]


def rows() -> list[tuple[str, int]]:
    return list(zip(TEXTS, LABELS, strict=True))


def fasttext(texts: list[str] = TEXTS, labels: list[int] = LABELS) -> bytes:
    lines = [f"__label__{label + 1} {text}\n" for text, label in zip(texts, labels, strict=True)]
    return "".join(lines).encode()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def numbered(path: Path, count: int = 100) -> Path:
    texts = [f"review number {i}" for i in range(count)]
    return write(path, fasttext(texts, [i % 2 for i in range(count)]))


def write_zhang(path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for text, label in zip(TEXTS, LABELS, strict=True):
            title, _, body = text.partition(": ")
            fields = [title if body else "", body or title]
            writer.writerow([label + 1, *(field.replace("\n", "\\n") for field in fields)])


def write_csv(path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "text"])
        writer.writerows([i, label, text] for i, (text, label) in enumerate(rows()))


def write_jsonl(path: Path) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for text, label in rows():
            file.write(json.dumps({"sentiment": LABEL_NAMES[label], "review": text}) + "\n")


def write_parquet(path: Path) -> None:
    # The other way round, to see that the names are heeded and not the numbers.
    features = datasets.Features(
        {
            "content": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["positive", "negative"]),
        }
    )
    columns = {"content": TEXTS, "label": [1 - label for label in LABELS]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)


@pytest.fixture(name="load")
def load_with_own_cache(tmp_path: Path) -> Load:
    """`load_reviews` with a cache of its own; a test file takes it by `load = ...`."""

    def load_here(source: str | Path, **options: Any) -> datasets.Dataset:
        options.setdefault("cache_dir", tmp_path / "cache")
        return load_reviews(source, **options)

    return load_here
