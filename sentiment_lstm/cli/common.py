"""What the commands share: how they are declared, the fields of a recipe, where output goes."""

from __future__ import annotations

import argparse
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..data.sources import MAX_LINE_BYTES
from ..files import naming_full_disk
from ..outputs import Output, check_output

TRACEBACK_HELP = "show where an error was raised, for bug reports"


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    details: str,
) -> argparse.ArgumentParser:
    """Declare a command.

    Args:
        commands: What `add_subparsers` returned.
        name: What it is called.
        run: What does it, given the options. It raises `ImportError`, `OSError` or `ValueError`
            for bad input, and calls `options.error` with a message for wrong usage.
        summary: What it does, for the list of commands.
        details: What stands at the end of its help, with examples.

    Returns:
        The parser of its options.
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[:1].upper() + summary[1:] + ".",
        epilog=textwrap.dedent(details).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Suppressed, so that it does not undo the same option before the command.
    command.add_argument(
        "--traceback", action="store_true", default=argparse.SUPPRESS, help=TRACEBACK_HELP
    )
    command.set_defaults(run=run, error=command.error, takes_fields=False, when_interrupted="")
    return command


def take_recipe(command: argparse.ArgumentParser, resumes: str) -> None:
    """Let a command take a recipe and, as options, its fields.

    Args:
        command: The parser of the command.
        resumes: Where it resumes when it was interrupted, "from the last checkpoint".
    """
    command.set_defaults(
        takes_fields=True, when_interrupted=f"; the same command resumes {resumes}"
    )
    command.add_argument("recipe", metavar="RECIPE", help="a YAML file; see scripts/recipes/")


def take_trust(command: argparse.ArgumentParser) -> None:
    """Let a command take `--trust_remote_code`; a command never asks for it."""
    command.add_argument(
        "--trust_remote_code",
        action="store_true",
        help="run Python code that lies beside the weights of MODEL, if it needs such; read it "
        "first (default: such a model is refused)",
    )


def take_limit(command: argparse.ArgumentParser) -> None:
    """Let a command take `--max_line_bytes`."""
    command.add_argument(
        "--max_line_bytes",
        type=int,
        default=MAX_LINE_BYTES,
        metavar="N",
        help="how many bytes of memory a line may take, or a row of a table (default: 32 MiB)",
    )


def read_overrides(words: Sequence[str]) -> dict[str, str | list[str] | bool | None]:
    """Fields of a recipe from the command line; which there are, and of what type, it knows.

    Args:
        words: `--field value`, `--field=value`, `--field value value`, or `--field` alone;
            `--learning-rate` is `learning_rate`. A value that begins with two hyphens needs `=`.

    Returns:
        Field -> its value, all its values if there are several, `True` if there is none, or
        `None` for the value `null`.

    Raises:
        ValueError: If a value belongs to no field.
    """
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            values = fields[name.replace("-", "_")] = [value] if equals else []
        elif values is None:
            raise ValueError(f"unrecognized arguments: {word}")
        else:
            values.append(word)
    return {name: _one_or_all(values) for name, values in fields.items()}


def _one_or_all(values: list[str]) -> str | list[str] | bool | None:
    if len(values) > 1:
        return values
    if not values:
        return True
    return None if values[0] == "null" else values[0]


def decoded(text: str, number: int) -> str:
    """Check an argument that is a text: bytes that are no UTF-8 stand in it as lone surrogates.

    Args:
        text: The argument.
        number: Which one of the texts, from 1.

    Returns:
        The same.

    Raises:
        ValueError: If its bytes were no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"TEXT {number}: not valid UTF-8 at character {error.start + 1}: convert it first, for "
            "example with iconv"
        ) from None
    return text


def find_output(path: str | None, *, model: str, inputs: Iterable[str]) -> Output | None:
    """Check where output is to go, before anything is computed; see `check_output`.

    Args:
        path: What `--output` says; None is standard output.
        model: The model that is read, a folder or a Hub repository.
        inputs: Files that are read.

    Returns:
        The place, for `open_output`.

    Raises:
        OutputError: If nothing can be written there, or what is read would be destroyed.
    """
    if path is None:
        return None
    kept = (".safetensors", "config.json", "tokenizer.json")
    weights = (file for file in Path(model).glob("*") if file.name.endswith(kept))
    return check_output(path, [*inputs, *weights])


@contextmanager
def answers_alone() -> Iterator[None]:
    """Let nothing onto standard output that is no answer: it goes to standard error instead.

    Libraries print what they think of a model while they load it; tokenizers does so in Rust, past
    `sys.stdout`.
    """
    if sys.stdout is None:
        yield
        return
    sys.stdout.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed
        yield
        return
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def open_output(output: Output | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name when it is whole; see `find_output`.

    Both are UTF-8, whatever the locale says, but for a terminal: it gets what it can show.

    Raises:
        OSError: If standard output is closed.
    """
    if output is None:
        if sys.stdout is None:
            raise OSError("standard output is closed: there is nowhere to write the answers")
        if isinstance(sys.stdout, io.TextIOWrapper):
            if sys.stdout.isatty():
                sys.stdout.reconfigure(errors="replace")
            else:
                sys.stdout.reconfigure(encoding="utf-8")
        with naming_full_disk("/dev/stdout"):
            yield sys.stdout
            sys.stdout.flush()
    else:
        with output.open() as stream:
            yield stream
        sys.stderr.write(f"wrote {output.path}\n")


def summarise(metrics: Mapping[str, Any]) -> str:
    """The headline figures of one set of reviews, as a line."""
    if "mean_squared_error" in metrics:
        return (
            f"{metrics['reviews']:,} reviews, mean absolute error "
            f"{metrics['mean_absolute_error']:.4f}, mean squared error "
            f"{metrics['mean_squared_error']:.4f}"
        )
    return (
        f"{metrics['reviews']:,} reviews, accuracy {metrics['accuracy']:.2%} "
        f"(95 % interval {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%}), "
        f"loss {metrics['loss']:.4f}, "
        f"calibration error {metrics['expected_calibration_error']:.2%}"
    )
