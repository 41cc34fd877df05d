"""The command line, run again and again, each time in a new process.

To import torch and transformers takes seconds, and there are thousands of tries. So they are
imported once, here, and each try is a fork of this process that runs `sentiment_lstm.cli.main` as
a process of its own does: its own working folder, standard streams, signals, exit code.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

# What the commands import when they are at work.
_MODULES = (
    *(f"sentiment_lstm.cli.{name}" for name in ("main", "evaluate", "predict", "train")),
    *(f"sentiment_lstm.cli.{name}" for name in ("export", "pretrain", "push", "tune")),
    "sentiment_lstm.evaluation.evaluate",
    "sentiment_lstm.inference.batch",
    "sentiment_lstm.training.run",
    "torch.distributed.distributed_c10d",
    "transformers.trainer",
)
PICTURES = (
    "accuracy_by_length.png",
    "confusion_matrix.png",
    "learning_curves.png",
    "reliability_diagram.png",
)
# Seconds, and MB of memory in all: much more than any command needs here.
LIMIT = 120.0
MEMORY = 6000


@dataclass(frozen=True)
class Ended:
    """What a command did.

    Args:
        code: Its exit code; below zero the signal that ended it.
        output: Its standard output.
        error: Its standard error.
        seconds: How long it ran.
        megabytes: The most memory that it had.
        too_long: Whether it was ended because it had not ended.
        too_large: Whether it was ended because of its memory.
    """

    code: int
    output: str
    error: str
    seconds: float
    megabytes: int = 0
    too_long: bool = False
    too_large: bool = False


def prepare() -> None:
    """Import what the commands need, in this process, before the first of them is run."""
    import torch

    torch.set_num_threads(1)
    for name in _MODULES:
        importlib.import_module(name)
    importlib.import_module("sentiment_lstm.training.run").draw_all = _write_pictures  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()  # so that a fork does not copy what it only looks at


class Running:
    """A command in a process of its own.

    Args:
        arguments: What follows `sentiment-lstm`.
        folder: Where it works; the data that it caches go there as well.
        given: Its standard input.
        first: What is done in the process before the command.
        environment: Variables besides those of this process.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        given: bytes = b"",
        first: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._streams = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
        self._streams[0].write(given)
        self._streams[0].seek(0)
        self.started = time.perf_counter()
        sys.stdout.flush()
        sys.stderr.flush()
        self.process = os.fork()
        if not self.process:
            run_here(arguments, folder, self._streams, first, environment or {})

    def wait(self, limit: float = LIMIT) -> Ended:
        """Wait until it has ended, or end it after so many seconds."""
        try:
            return self._wait(limit)
        except BaseException:
            self.kill()
            raise

    def _wait(self, limit: float) -> Ended:
        too_long = too_large = False
        while True:
            ended, status, usage = os.wait4(self.process, os.WNOHANG)
            seconds = time.perf_counter() - self.started
            if ended:
                break
            too_large = too_large or resident_megabytes(self.process) > MEMORY
            too_long = too_long or seconds > limit
            if too_long or too_large:
                self.kill()
            time.sleep(0.002 if seconds < 1 else 0.02)
        texts = []
        for stream in self._streams[1:]:
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", errors="replace"))
        for stream in self._streams:
            stream.close()
        code = os.waitstatus_to_exitcode(status)
        megabytes = usage.ru_maxrss >> 10
        return Ended(code, texts[0], texts[1], seconds, megabytes, too_long, too_large)

    def kill(self) -> None:
        """End it, and the processes that it has started, as `kill -9` does."""
        kill(self.process)


def kill(process: int) -> None:
    """End a process and those that it has started, as `kill -9` does."""
    for end in (os.killpg, os.kill):
        try:
            end(process, signal.SIGKILL)
        except ProcessLookupError:  # it has just ended, or has not yet made its group
            continue


def run(arguments: Sequence[str], folder: Path, given: bytes = b"") -> Ended:
    """Run a command to its end; see `Running`."""
    return Running(arguments, folder, given=given).wait()


def run_here(
    arguments: Sequence[str],
    folder: Path,
    streams: Sequence[IO[bytes]],
    first: Callable[[], None],
    environment: Mapping[str, str],
) -> NoReturn:
    """Become a process that runs a command; see `Running`."""
    code = 1
    try:
        os.setpgid(0, 0)
        # As a shell leaves them, whatever this process does about them.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, stream in enumerate(streams):
            os.dup2(stream.fileno(), number)
        os.chdir(folder)
        os.environ.update(environment)
        cache_in(folder / "cache")
        sys.argv = ["sentiment-lstm", *arguments]
        from sentiment_lstm.cli.main import main

        first()
        code = main()
    except SystemExit as ended:  # of argparse
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _write_pictures(results: Any, folder: Path) -> None:
    """The files of `draw_all`, not drawn, which takes two thirds of so short a run."""
    for name in PICTURES:
        with open(folder / name, "wb") as stream:
            stream.write(repr(sorted(results.metrics.items())).encode())


def cache_in(folder: Path) -> None:
    """Let `datasets`, which has read its environment, keep its cache in a folder."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = folder


def resident_megabytes(process: int) -> int:
    """Memory of a process now, on Linux."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") >> 20
