"""The same job twice at once: one does it, the other says who does and ends."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .commands import Running, run
from .stage import PREDICT, TRAIN, Stage, contents, differences
from .tally import Fault, Tally, refused, sample, succeeded

# Seconds from one to the other.
DELAYS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0)
_ROUNDS = 3
# So that the first is at work when the second comes.
_LONG_TRAIN = (*TRAIN, "--num_train_epochs", "6")
_LONG_PREDICT = (*PREDICT, "--chunk_size", "1")
_STREAM = ("predict", "--model", "model", "--output", "labels.jsonl", "--chunk_size", "1")
_TIMES = 60


def tallies(stage: Stage, tries: int | None, seed: int) -> Iterator[Tally]:
    """Start training, prediction of a file, and a stream beside it."""
    del seed
    yield _twice("train", stage, tries, _LONG_TRAIN, _LONG_TRAIN)
    yield _twice("predict", stage, tries, _LONG_PREDICT, _LONG_PREDICT)
    yield _twice("predict, a stream first", stage, tries, _STREAM, _LONG_PREDICT)


def _twice(
    what: str, stage: Stage, tries: int | None, first: Sequence[str], second: Sequence[str]
) -> Tally:
    with Tally(f"twice: {what}").timed() as tally:
        texts = (stage.home / "texts.txt").read_bytes() + b"\n"
        _restore(stage, texts)
        ended = run(second, stage.work)
        if fault := succeeded(ended):
            raise RuntimeError(f"the undisturbed command fails: {fault.reason}")
        expected = _made(stage.work)
        for delay, _ in sample(list(itertools.product(DELAYS, range(_ROUNDS))), tries):
            _restore(stage, texts)
            fault = _at_once(stage, first, second, delay, texts * _TIMES)
            fault = fault or _compare(_made(stage.work), expected)
            tally.add(f"{delay} s apart", fault)
    return tally


def _restore(stage: Stage, texts: bytes) -> None:
    stage.restore()
    (stage.work / "texts.txt").write_bytes(texts * _TIMES)


def _at_once(
    stage: Stage, first: Sequence[str], second: Sequence[str], delay: float, given: bytes
) -> Fault | None:
    """Run both; what is wrong with how they ended."""
    one = Running(first, stage.work, given=given)
    time.sleep(delay)
    other = Running(second, stage.work, given=given)
    both = [one.wait(), other.wait()]
    done = [ended for ended in both if ended.code == 0]
    if not done:
        return refused(both[0]) or refused(both[1]) or Fault("lost", "neither has done it")
    faults = [refused(ended, ["in use by process"]) for ended in both if ended.code != 0]
    faults += [succeeded(ended) for ended in done]
    return next((fault for fault in faults if fault), None)


def _made(work: Path) -> dict[str, bytes]:
    made = contents(work / "run") if (work / "run").exists() else {}
    return made | {path.name: path.read_bytes() for path in work.glob("labels.jsonl*")}


def _compare(made: dict[str, bytes], expected: dict[str, bytes]) -> Fault | None:
    different = differences(made, expected)
    return Fault("wrong", f"differs in {', '.join(different)}") if different else None
