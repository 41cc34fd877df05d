"""SIGKILL at every file operation; the same command again has to give what it always gives."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from .commands import Ended, Running, run
from .operations import Operations
from .stage import PREDICT, TRAIN, Stage
from .tally import Fault, Tally, sample, succeeded, unforeseen

_STREAM = ("predict", "--model", "model", "--output", "labels.jsonl", "--chunk_size", "4")


def tallies(stage: Stage, tries: int | None, seed: int) -> Iterator[Tally]:
    """Kill training and prediction, at all operations or at so many of each."""
    del seed
    yield kill("kill: train", stage, tries, partial(Alone, TRAIN), Stage.check_run)
    yield kill("kill: predict", stage, tries, partial(Alone, PREDICT), Stage.check_labels)
    yield kill("kill: predict, a stream", stage, tries, _Stream, Stage.check_labels)


class Alone:
    """A command in one process.

    Args:
        arguments: Of the command.
        stage: Where.
    """

    given = b""

    def __init__(self, arguments: Sequence[str], stage: Stage) -> None:
        self.arguments = arguments
        self.stage = stage
        self.log = stage.work.with_name("operations")

    def operations(self) -> list[str]:
        """What the undisturbed command does.

        Raises:
            RuntimeError: If it does not end well.
        """
        if fault := succeeded(self.killed_at(None)):
            raise RuntimeError(f"the undisturbed command fails: {fault.reason}")
        return self.log.read_text(encoding="utf-8").splitlines()

    def killed_at(self, number: int | None) -> Ended:
        """Run it, and kill it at an operation."""
        return self._start(number).wait()

    def again(self) -> Ended:
        """Give the same command."""
        return run(self.arguments, self.stage.work, self.given)

    def _start(self, number: int | None) -> Running:
        def count() -> None:
            Operations(self.stage.work, self.log, number).install()

        return Running(self.arguments, self.stage.work, given=self.given, first=count)


class _Stream(Alone):
    """A prediction of standard input."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(_STREAM, stage)
        self.given = (stage.home / "texts.txt").read_bytes()


def kill(
    kind: str,
    stage: Stage,
    tries: int | None,
    make: Callable[[Stage], Alone],
    check: Callable[[Stage], Fault | None],
) -> Tally:
    """Kill a command at each of its operations."""
    with Tally(kind).timed() as tally:
        command = make(stage)
        stage.restore()
        operations = command.operations()
        for number in sample(range(1, len(operations) + 1), tries):
            stage.restore()
            ended = command.killed_at(number)
            killed = ended.code == -signal.SIGKILL
            if not killed and not unforeseen(ended):
                continue  # it has had fewer operations this time
            what = f"operation {number} of {len(operations)}, {operations[number - 1]}"
            fault = None if killed else unforeseen(ended)
            fault = fault or _half_done(stage) or succeeded(command.again()) or check(stage)
            tally.add(what, fault)
    return tally


def _half_done(stage: Stage) -> Fault | None:
    """Whether something has taken its name that is not whole."""
    labels: Path = stage.work / "labels.jsonl"
    if labels.exists() and labels.read_bytes() != stage.labels:
        return Fault("wrong", "the output has its name and is not whole")
    run_folder = stage.work / "run"
    if (run_folder / "results.json").exists():
        for name in stage.trained:
            path = run_folder / name
            if name != "results.json" and (
                not path.exists() or path.read_bytes() != stage.trained[name]
            ):
                return Fault("wrong", f"finished, as it says, with another {name}")
    return None
