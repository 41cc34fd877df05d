"""The command line: `sentiment-lstm COMMAND`.

The commands are train, pretrain, tune, evaluate, predict, explain, demo, export and push.

Exit codes: 0 done, 1 bad input or a bug (one line on standard error says which), 2 wrong usage, 130
interrupted (Ctrl-C), 141 the reader of the output went away, 143 told to end (SIGTERM).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

# All else is imported when signals are looked after: an interrupted import would show a traceback.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the name of the program. Defaults to `sys.argv[1:]`; the process
            is then taken to be there for nothing else, so that Ctrl-C and SIGTERM may end it.

    Returns:
        The exit code.
    """
    interrupt = _Interrupt()
    if arguments is None:
        interrupt.install()
    try:
        return _run(arguments, interrupt)
    finally:
        interrupt.uninstall()


class _Interrupt:
    """What Ctrl-C and SIGTERM do: a `KeyboardInterrupt`, but in the middle of an import the end.

    An extension that is interrupted while it is imported raises another exception, or none and is
    of no use from then on. Nothing needs to be put in order then: files take their names when
    they are whole.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.installed: list[int] = []
        self.seen: int | None = None
        self.advice = ""

    def install(self) -> None:
        """Look after signals, unless somebody else does, or they are ignored (a background job)."""
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, handler in usual.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, self)
                self.installed.append(number)

    def uninstall(self) -> None:
        """From now on they end the process: there is nothing left to say."""
        for number in self.installed:
            signal.signal(number, signal.SIG_DFL)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.uninstall()  # a second one ends the process, whatever it is at
        if number == signal.SIGTERM and os.getpid() != self.process:
            # A child, which does not speak for the command: a pool ends its workers so.
            os.kill(os.getpid(), number)
            return
        self.seen = number
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                os.write(2, self.line.encode())
                os._exit(self.code)
            frame = frame.f_back
        raise KeyboardInterrupt

    @property
    def code(self) -> int:
        """The exit code, as shells have it."""
        return 128 + (self.seen or signal.SIGINT)

    @property
    def line(self) -> str:
        """What is said of it."""
        what = "terminated" if self.seen == signal.SIGTERM else "interrupted"
        return f"sentiment-lstm: {what}{self.advice}\n"


def _run(arguments: Sequence[str] | None, interrupt: _Interrupt) -> int:
    traceback = False
    try:
        options = _parse(arguments)
        traceback = options.traceback
        interrupt.advice = options.when_interrupted
        import logging

        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        options.run(options)
        _flush()  # in here, where a disk that is full has its line
        interrupt.uninstall()  # and where a signal that has just come is still caught
    except KeyboardInterrupt:
        sys.stderr.write(interrupt.line)
        return interrupt.code
    except BrokenPipeError:
        _drop_output()
        return 141
    except Exception as error:
        if interrupt.seen:  # which a library has made into another exception
            sys.stderr.write(interrupt.line)
            return interrupt.code
        if traceback:
            raise
        sys.stderr.write(f"sentiment-lstm: error: {_explain(error)}\n")
        try:
            _flush()
        except OSError:
            _drop_output()
        return 1
    except BaseException as error:
        # What a tokenizer in Rust raises when it panics; it is no Exception.
        if traceback or type(error).__name__ != "PanicException":
            raise
        sys.stderr.write(f"sentiment-lstm: error: {_explain(error)}\n")
        return 1
    return 0


def _flush() -> None:
    """Write out what standard output holds back."""
    from ..files import naming_full_disk

    if sys.stdout is not None:
        with naming_full_disk("/dev/stdout"):
            sys.stdout.flush()


def _drop_output() -> None:
    """Keep Python from writing, and complaining, once more when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: BaseException) -> str:
    """One line that says what went wrong, and whose fault it is."""
    import re

    said = " ".join(str(error).split())
    kind = type(error).__name__
    # A ValueError may quote a review that speaks of memory.
    no_memory = re.search("allocate memory|out of memory", said) and not isinstance(
        error, ValueError
    )
    if isinstance(error, MemoryError) or no_memory:
        return f"not enough memory: take smaller batches or a smaller model ({said or kind})"
    # What transformers says of an optional package is no ImportError.
    if isinstance(error, (ImportError, OSError, ValueError)) or "to be installed" in said:
        return said or kind
    return (
        f"{kind}: {said}. This is a bug of sentiment-lstm: please report it with what the same "
        "command says with --traceback"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, of which `run` is the command, and `overrides` the fields of a recipe."""
    from .common import read_overrides

    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        import argcomplete

        argcomplete.autocomplete(parser)
    options, others = parser.parse_known_args(arguments)
    if others and not options.takes_fields:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        options.overrides = read_overrides(others)
    except ValueError as error:
        parser.error(str(error))
    return options


def _parser() -> argparse.ArgumentParser:
    import argparse
    from importlib.metadata import version

    from . import demo, evaluate, explain, export, predict, pretrain, push, train, tune
    from .common import TRACEBACK_HELP

    parser = argparse.ArgumentParser(
        prog="sentiment-lstm",
        description="Train and use small LSTM sentiment classifiers.",
        epilog="`sentiment-lstm COMMAND --help` shows examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version("sentiment-lstm"))
    parser.add_argument("--traceback", action="store_true", help=TRACEBACK_HELP)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, pretrain, tune, evaluate, predict, explain, demo, export, push):
        command.add(commands)
    return parser
