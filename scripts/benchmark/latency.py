"""`latency`: one review at a time through `pipeline`; and what a start costs."""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import pipeline

import sentiment_lstm  # noqa: F401 - registers the model
from benchmark.common import export_to, in_turns, load_minilm, onnx_options, progress, read

TRANSFORMER_TOKENS = 256
# What every program needs that loads a model through transformers: the other starts' ratios are
# to it.
AUTO_IMPORT = "import transformers' Auto class"


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure single reviews, then starts.

    A side handles all its reviews before the next one's turn, as a service would that has one
    model: after each other's every review, each would find its weights gone from the CPU's caches.
    """
    import onnxruntime

    ours = pipeline("text-classification", model=str(options.model), trust_remote_code=False)
    tokenizer: Any = ours.tokenizer
    minilm, minilm_tokenizer = load_minilm(torch.float32)
    theirs = pipeline("text-classification", model=minilm, tokenizer=minilm_tokenizer)
    session = onnxruntime.InferenceSession(export_to(options, "onnx"), onnx_options(options))

    def runtime(text: str) -> object:
        inputs = tokenizer(text, return_tensors="np")
        return session.run(None, {name: inputs[name] for name in ("input_ids", "attention_mask")})

    texts = read(options, 200)
    calls: dict[str, Callable[[str], object]] = {
        "ours": ours,
        "ours, ONNX Runtime": runtime,
        "MiniLM": lambda text: theirs(text, truncation=True, max_length=TRANSFORMER_TOKENS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number, (name, call) in itertools.product(range(options.rounds), calls.items()):
        progress(f"{name}, round {number + 1} of {options.rounds}")
        for text in texts:
            start = time.perf_counter()
            call(text)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    sides = [
        {
            "side": name,
            "note": f"median {1000 * median:.2f} ms, nine in ten within "
            f"{1000 * statistics.quantiles(seconds[name], n=10)[-1]:.2f} ms",
            "reviews": len(texts),
            "reviews_per_second": round(1 / median, 1),
            "ratio": round(median / medians["ours"], 2),
        }
        for name, median in medians.items()
    ]
    return {"sides": sides, **measure_starts(options)}


def measure_starts(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Seconds that a new process takes until it is done, and their ratios to `AUTO_IMPORT`."""
    auto = "from transformers import AutoModelForSequenceClassification"
    predict = ["-m", "sentiment_lstm", "predict", "--model", str(options.model), "fine"]
    commands = {
        AUTO_IMPORT: ["-c", auto],
        "import torch": ["-c", "import torch"],
        "import sentiment_lstm": ["-c", "import sentiment_lstm"],
        "sentiment-lstm --help": ["-m", "sentiment_lstm", "--help"],
        "sentiment-lstm --version": ["-m", "sentiment_lstm", "--version"],
        "sentiment-lstm predict, one text": predict,
    }
    works = {name: partial(start_python, command) for name, command in commands.items()}
    for work in works.values():
        work()  # the first time, files come from the disk
    seconds = {
        name: statistics.median(values) for name, values in in_turns(works, options.rounds).items()
    }
    return {
        "start_seconds": {name: round(value, 3) for name, value in seconds.items()},
        "start_ratios_to_auto_import": {
            name: round(value / seconds[AUTO_IMPORT], 2) for name, value in seconds.items()
        },
    }


def start_python(arguments: list[str]) -> None:
    """Run Python in a new process."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
