"""`scale`: from a bz2 file in Kaggle's format to tokenised Arrow."""

from __future__ import annotations

import argparse
import bz2
import itertools
import resource
import time
from pathlib import Path
from typing import Any

import datasets
from transformers import AutoTokenizer

from benchmark.common import alone, kaggle_lines, progress, watched_memory
from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.training.preprocessing import tokenize


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure half the size and the whole, each beside plain decompression."""
    lines = list(kaggle_lines(options.reviews))
    results = []
    for size in (options.size // 2, options.size):
        source = options.scratch / f"{size}.ft.txt.bz2"
        progress(f"writing {size:,} reviews")
        with bz2.open(source, "wb") as stream:
            stream.writelines(itertools.islice(itertools.cycle(lines), size))
        progress(f"plain decompression of {size:,} reviews")
        start = time.perf_counter()
        with bz2.open(source) as stream:
            while stream.read(1 << 20):
                pass
        plain = time.perf_counter() - start
        progress(f"reading and tokenising {size:,} reviews")
        found = alone(read_and_tokenize, source, options.model, options.scratch / str(size))
        wall = sum(found["seconds"].values())
        results.append(
            {
                "reviews": size,
                "plain_bz2_seconds": round(plain, 2),
                **found,
                "wall_per_plain": round(wall / plain, 2),
                "cpu_per_plain": round(found["cpu_seconds"] / plain, 2),
            }
        )
    half, whole = (sum(result["seconds"].values()) for result in results)
    return {"sizes": results, "twice_the_reviews_take": f"{whole / half:.2f} times as long"}


def read_and_tokenize(source: Path, model: str, cache: Path) -> dict[str, Any]:
    """Read and tokenise one file in a process of its own, whose peak memory is known."""
    datasets.disable_progress_bars()
    tokenizer: Any = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    marks = [time.perf_counter()]
    with watched_memory() as peak:
        reviews = load_reviews(source, cache_dir=cache)
        marks.append(time.perf_counter())
        tokenize([reviews], tokenizer)
        marks.append(time.perf_counter())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": {
            "read": round(marks[1] - marks[0], 2),
            "tokenise": round(marks[2] - marks[1], 2),
        },
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "own_memory_mb": peak.megabytes,
        "with_mapped_files_mb": usage.ru_maxrss // 1024,
    }
