"""Bad input of all kinds: an answer for every review, or one line that says what is wrong."""

from __future__ import annotations

import io
import json
import os
import random
import select
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import inputs
from .commands import MEMORY, Ended, cache_in, kill, resident_megabytes
from .inputs import Case
from .stage import Stage
from .tally import Fault, Tally, refused, unforeseen


@dataclass(frozen=True)
class Row:
    """A kind of input.

    Args:
        make: Makes one.
        count: How many are tried.
        together: How many one process takes, one after the other. What a recipe says may change
            the whole process.
    """

    make: Callable[[random.Random], Case]
    count: int
    together: int = 100


ROWS: dict[str, Row] = {
    "files of texts": Row(inputs.good_file, 1500),
    "damaged files of texts": Row(inputs.damaged_file, 2500),
    "texts": Row(inputs.texts, 1000),
    "labelled files": Row(inputs.labelled_file, 500),
    "damaged labelled files": Row(inputs.damaged_labelled_file, 1000),
    "recipes": Row(inputs.recipe, 1500, together=1),
    "config.json": Row(inputs.config, 700),
    "tokenizer.json": Row(inputs.tokenizer, 700),
    "weights": Row(inputs.weights, 600),
}
# Seconds for one input.
LIMIT = 60.0
# Between what a model says of a text by itself and of several.
_TOLERANCE = 1e-4


def tallies(stage: Stage, tries: int | None, seed: int) -> Iterator[Tally]:
    """Give commands what nobody should, row by row."""
    for name, row in ROWS.items():
        with Tally(f"fuzz: {name}").timed() as tally:
            numbers = range(min(row.count, tries or row.count))
            while numbers:
                numbers = numbers[_try_some(tally, stage, name, seed, numbers[: row.together]) :]
        yield tally


def _try_some(tally: Tally, stage: Stage, name: str, seed: int, numbers: range) -> int:
    """Try inputs in a new process, until one of them ends it; how many were tried."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        os.close(reader)
        _be_tried(stage, name, seed, numbers, writer)
    os.close(writer)
    tried = 0
    try:
        with open(reader, encoding="utf-8") as results:
            for number in numbers:
                fault = _next(process, results)
                tally.add(f"input {number}, --seed {seed}", fault)
                tried += 1
                if fault and fault.reason.startswith(_ENDED):
                    break
    finally:
        kill(process)
        os.waitpid(process, 0)
    return tried


_ENDED = "the process "


def _next(process: int, results: Any) -> Fault | None:
    """What the process says of its next input, or what it did instead."""
    started = time.monotonic()
    while not select.select([results], [], [], 0.05)[0]:
        if time.monotonic() - started > LIMIT:
            kill(process)
            return Fault("lost", f"{_ENDED}had not ended after {LIMIT:.0f} s")
        if (megabytes := resident_megabytes(process)) > MEMORY:
            kill(process)
            return Fault("lost", f"{_ENDED}took {megabytes} MB of memory")
    line = results.readline()
    if not line:
        status = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        return Fault("tracebacks", f"{_ENDED}ended by itself: {status and status.si_status}")
    found = json.loads(line)
    return found and Fault(**found)


# --- in the process ------------------------------------------------------------------------------


def _be_tried(stage: Stage, name: str, seed: int, numbers: Sequence[int], writer: int) -> NoReturn:
    """Take inputs one after the other, and write a line of JSON about each."""
    try:
        os.setpgid(0, 0)
        streams: list[Any] = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        for number, stream in enumerate(streams, 1):
            os.dup2(stream.fileno(), number)
        for number in numbers:
            case = ROWS[name].make(random.Random(f"{seed} {name} {number}"))
            fault = _try(case, stage, streams)
            if fault and (kept := os.environ.get("FAULTS_KEEP")):
                _keep(case, fault, stage, streams, Path(kept, f"{name} {number}"))
            content = fault and {"outcome": fault.outcome, "reason": fault.reason}
            os.write(writer, (json.dumps(content) + "\n").encode())
    finally:
        os._exit(0)


def _try(case: Case, stage: Stage, streams: Sequence[Any]) -> Fault | None:
    """Give one input to a command; what was wrong with what it did."""
    stage.restore()
    os.chdir(stage.work)
    cache_in(stage.work / "cache")
    for file, content in case.made(stage.work).items():
        (stage.work / file).write_bytes(content)
    ended = _run(case, streams)
    if fault := unforeseen(ended):
        return fault
    if ended.code == 2 and "usage:" in ended.error and not case.must_answer:
        return None
    if ended.code != 0:
        fault = refused(ended)
        if not fault and case.must_answer:
            return Fault("lost", f"refuses what is good: {ended.error.splitlines()[-1][:300]}")
        return fault
    try:
        return case.check(ended) or _as_alone(case, ended, stage)
    except (ValueError, KeyError, TypeError) as error:
        return Fault("wrong", f"no answer that can be read ({error!r}): {ended.output[:100]!r}")


def _run(case: Case, streams: Sequence[Any]) -> Ended:
    from sentiment_lstm.cli.main import main

    for stream in streams:
        stream.seek(0)
        stream.truncate()
    sys.stdin = io.TextIOWrapper(io.BytesIO(case.given))
    started = time.monotonic()
    try:
        code = main(list(case.arguments))
    except SystemExit as ended:  # of argparse
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    texts = []
    for stream in streams:
        stream.seek(0)
        texts.append(stream.read().decode("utf-8", errors="replace"))
    return Ended(code, texts[0], texts[1], time.monotonic() - started)


_predictors: list[Any] = []


def _as_alone(case: Case, ended: Ended, stage: Stage) -> Fault | None:
    """Whether each answer is what the model says of the text by itself."""
    if not case.texts:
        return None
    if not _predictors:
        from sentiment_lstm.inference.predictor import SentimentPredictor

        _predictors.append(SentimentPredictor.from_pretrained(stage.home / "model"))
    rows = [json.loads(line) for line in ended.output.split("\n")[:-1]]
    for number, (row, text) in enumerate(zip(rows, case.texts, strict=True), 1):
        (alone,) = _predictors[0].predict([text])
        if abs(alone.score - row["score"]) > _TOLERANCE:
            return Fault("wrong", f"answer {number} is {row['score']}, by itself {alone.score}")
    return None


def _keep(case: Case, fault: Fault, stage: Stage, streams: Sequence[Any], folder: Path) -> None:
    """Keep an input, and what came of it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(stage.work, folder)
    (folder / "given").write_bytes(case.given)
    facts = {"arguments": list(case.arguments), "outcome": fault.outcome, "reason": fault.reason}
    (folder / "fault.json").write_text(json.dumps(facts, indent=1))
    streams[1].seek(0)
    (folder / "error.txt").write_bytes(streams[1].read())
