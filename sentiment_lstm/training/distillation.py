"""Distillation: soft labels of a teacher, halves of texts, and how a student learns from both.

A soft label is found again by the content of its text.
No text is kept, so that the file may be shared where the reviews may not (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network").
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.fingerprint import Hasher

from ..data.arrow import map_cached
from ..data.sources import file_digest
from ..files import replacing


class SoftLabelError(ValueError):
    """A file that holds no soft labels, or not those that are needed."""


def text_key(text: str) -> int:
    """A number that stands for a text, 64 bits of its BLAKE2b hash, signed."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


_SHORTEST_CUT = 40


def halves_of(text: str) -> list[str]:
    """The halves of a text, for a teacher to label and a student to learn from besides the whole.

    Cut where a sentence ends nearest the middle, or in the middle. More texts, made of those at
    hand, are what a small student needs (Tang et al. 2019, "Distilling Task-Specific Knowledge
    from BERT into Simple Neural Networks").

    Args:
        text: A review.

    Returns:
        Both, with single spaces between their words; none of a text of fewer than 40 words.
    """
    words = text.split()
    if len(words) < _SHORTEST_CUT:
        return []
    middle, quarter = len(words) / 2, len(words) // 4
    ends = [cut for cut in range(quarter, len(words) - quarter) if words[cut - 1][-1] in ".!?"]
    cut = min(ends, key=lambda end: abs(end - middle), default=round(middle))
    return [" ".join(words[:cut]), " ".join(words[cut:])]


def write_soft_labels(
    path: str | os.PathLike[str],
    texts: Iterable[str],
    probabilities: Iterable[float],
    besides: Mapping[int, float] | None = None,
) -> None:
    """Write the teacher's word on each text.

    Args:
        path: A parquet file, replaced as a whole.
        texts: The texts.
        probabilities: Of POSITIVE, from 0 to 1, one for each text.
        besides: What `read_soft_labels` gave, to be kept where the texts do not say otherwise.
    """
    pairs = dict(besides or {})
    pairs |= zip(map(text_key, texts), probabilities, strict=True)
    keys = sorted(pairs)
    table = pa.table(
        {
            "key": pa.array(keys, pa.int64()),
            "probability": pa.array([pairs[key] for key in keys], pa.float32()),
        }
    )
    with replacing(path, "wb", needed=table.nbytes) as stream:
        # Sorted keys by their differences: a quarter less to keep than as they come.
        encoding = {"key": "DELTA_BINARY_PACKED"}
        pq.write_table(table, stream, use_dictionary=["probability"], column_encoding=encoding)


def read_soft_labels(path: str | os.PathLike[str]) -> dict[int, float]:
    """Read what `write_soft_labels` wrote.

    Args:
        path: The parquet file.

    Returns:
        Key of a text (see `text_key`) -> probability of POSITIVE.

    Raises:
        FileNotFoundError: If there is no such file.
        SoftLabelError: If it holds anything else.
    """
    try:
        table = pq.read_table(Path(path).expanduser(), columns=["key", "probability"])
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise SoftLabelError(f"{os.fspath(path)}: no soft labels ({error})") from error
    if table.column_names != ["key", "probability"]:
        raise SoftLabelError(f"{os.fspath(path)}: no soft labels (found {table.column_names})")
    probabilities = table["probability"].to_numpy()
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise SoftLabelError(f"{os.fspath(path)}: probabilities must be from 0 to 1")
    return dict(zip(table["key"].to_pylist(), probabilities.tolist(), strict=True))


def halves_dataset(dataset: datasets.Dataset) -> datasets.Dataset:
    """Both halves of each text that is long enough, without labels.

    Args:
        dataset: A column `text`; others are left out.

    Returns:
        The one column `text`.
    """

    def cut(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"text": [half for text in batch["text"] for half in halves_of(text)]}

    return map_cached(
        dataset,
        cut,
        remove_columns=dataset.column_names,
        features={"text": datasets.Value("string")},
        fingerprint=Hasher.hash([dataset._fingerprint, "both halves"]),
        desc="halves",
        doing="texts are halved",
    )


class SoftLabels:
    """The teacher's probabilities, mixed with the labels, in the place of the labels.

    Args:
        path: What `write_soft_labels` wrote.
        weight: What the teacher counts against the label, from 0 to 1; where there is no label,
            the teacher's word counts alone.

    Raises:
        SoftLabelError: See `read_soft_labels`.
    """

    def __init__(self, path: str, weight: float) -> None:
        self.path = path
        self.weight = weight
        self.teacher = read_soft_labels(path)

    def apply(self, dataset: datasets.Dataset) -> datasets.Dataset:
        """Give every text its soft label.

        Args:
            dataset: A column `text` and, of labelled reviews, `label`.

        Returns:
            `text` and `label`, two probabilities that sum to one.

        Raises:
            SoftLabelError: If the teacher has not read one of the texts.
        """

        def soften(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            positive = np.array([self._probability(text) for text in batch["text"]])
            if "label" in batch:
                labels = np.array(batch["label"])
                positive = self.weight * positive + (1 - self.weight) * labels
            return {"label": np.stack([1 - positive, positive], axis=1).tolist()}

        text, soft = datasets.Value("string"), datasets.List(datasets.Value("float32"))
        return map_cached(
            dataset,
            soften,
            features={"text": text, "label": soft},
            fingerprint=Hasher.hash([dataset._fingerprint, file_digest(self.path), self.weight]),
            desc="soft labels",
            doing="soft labels are joined",
        )

    def _probability(self, text: str) -> float:
        try:
            return self.teacher[text_key(text)]
        except KeyError:
            raise SoftLabelError(
                f"{self.path}: lacks texts of the recipe, the first of them {text[:60]!r}; let "
                "the teacher read the same sources"
            ) from None
