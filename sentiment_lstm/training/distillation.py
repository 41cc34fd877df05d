"""What a teacher says of texts: a probability each, found again by the content of the text.

No text is kept, so that the file may be shared where the reviews may not (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network").
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class SoftLabelError(ValueError):
    """A file that holds no soft labels, or not those that are needed."""


def text_key(text: str) -> int:
    """A number that stands for a text, 64 bits of its BLAKE2b hash, signed."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


_SHORTEST_CUT = 40


def halves_of(text: str) -> list[str]:
    """The halves of a text, for a teacher to judge and a student to learn from besides the whole.

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
    path: str | os.PathLike[str], texts: Iterable[str], probabilities: Iterable[float]
) -> None:
    """Write the teacher's word on each text.

    Args:
        path: A parquet file, replaced as a whole.
        texts: The texts.
        probabilities: Of POSITIVE, from 0 to 1, one for each text.
    """
    pairs = dict(zip(map(text_key, texts), probabilities, strict=True))
    table = pa.table(
        {
            "key": pa.array(list(pairs), pa.int64()),
            "probability": pa.array(list(pairs.values()), pa.float32()),
        }
    )
    part = f"{os.fspath(path)}.part"
    pq.write_table(table, part)
    os.replace(part, path)


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
