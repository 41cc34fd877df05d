"""SIGKILL at every file operation; the same command again has to give what it always gives."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from .commands import Ended, Running, run
from .operations import Operations
from .stage import PREDICT, TRAIN, Stage
from .tally import Fault, Tally, sample, succeeded, unforeseen

_STREAM = ("predict", "--model", "model", "--output", "labels.jsonl", "--chunk_size", "4")
# Seconds that the other process goes on when one of two is killed.
_AFTERWARDS = 0.2


def tallies(stage: Stage, tries: int | None, seed: int) -> Iterator[Tally]:
    """Kill training and prediction, at all operations or at so many of each."""
    del seed
    yield kill("kill: train", stage, tries, partial(Alone, TRAIN), Stage.check_run)
    yield kill("kill: predict", stage, tries, partial(Alone, PREDICT), Stage.check_labels)
    yield kill("kill: predict, a stream", stage, tries, _Stream, Stage.check_labels)
    for index in range(2):
        kind = f"kill: predict, process {index + 1} of two"
        yield kill(kind, stage, tries, partial(_Pair, index), Stage.check_labels)


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


class _Pair(Alone):
    """A prediction by two processes, of which one is killed and, as launchers do, the other then.

    Args:
        index: Of the process that is killed.
        stage: Where.
    """

    def __init__(self, index: int, stage: Stage) -> None:
        super().__init__(PREDICT, stage)
        self.index = index

    def killed_at(self, number: int | None) -> Ended:
        """Run both, and kill one at an operation."""
        pair = self._both(number)
        ended = pair[self.index].wait()
        other = pair[1 - self.index]
        if number is not None:
            time.sleep(_AFTERWARDS)
            other.kill()
        other.wait()
        return ended

    def again(self) -> Ended:
        """Run both undisturbed; what is said of them is the worst of both."""
        return max((process.wait() for process in self._both(None)), key=lambda one: abs(one.code))

    def _both(self, number: int | None) -> list[Running]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        pair = []
        for index in range(2):

            def count() -> None:
                if index == self.index:  # noqa: B023 - called in the fork
                    Operations(self.stage.work, self.log, number).install()

            environment = {
                "RANK": str(index),
                "LOCAL_RANK": str(index),
                "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            pair.append(
                Running(self.arguments, self.stage.work, first=count, environment=environment)
            )
        return pair


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
                continue  # of two processes one may have had fewer operations this time
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
