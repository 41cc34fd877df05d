"""Where output goes: checked before anything is computed, and never over what was not meant."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .files import naming_full_disk, replacing


class OutputError(OSError):
    """A place where nothing can be written; the message names it and says what to do."""


@dataclass(frozen=True)
class Output:
    """A checked place for output.

    Args:
        path: The file, with links followed, once; so it is the target that is replaced, and the
            link stays. A device or a FIFO under the name that was given.
        is_stream: Whether it is a device, a FIFO or an open descriptor (`/dev/stdout`), which is
            written through. Anything else is a file that is replaced when the new one is whole.
    """

    path: Path
    is_stream: bool = False

    @contextmanager
    def open(self) -> Iterator[TextIO]:
        """A stream of text in UTF-8; a file takes its name when all is written, or never."""
        if not self.is_stream:
            with replacing(self.path) as stream:
                yield stream
            return
        with (
            naming_full_disk(self.path),
            open(self.path, "w", encoding="utf-8", newline="") as stream,
        ):
            yield stream


def check_output(
    path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()
) -> Output:
    """See that output can be written to a place, before computing it.

    Args:
        path: The place.
        inputs: Files that are read and must stay; those that do not exist are passed over.

    Returns:
        The place, with links followed. Write there, so that nobody can turn it elsewhere.

    Raises:
        OutputError: If it is a folder or a socket, its own folder is missing or closed to us, or
            it is one of the inputs or what is written before the output takes its name
            (`OUTPUT.part`) is one.
    """
    name = os.fspath(path)
    mode = _mode(name)
    if stat.S_ISDIR(mode):
        raise OutputError(f"{name}: is a folder: name a file in it")
    if stat.S_ISSOCK(mode):
        raise OutputError(f"{name}: is a socket: name a file")
    if not stat.S_ISREG(mode) or _is_descriptor(name):
        return Output(Path(name), is_stream=True)
    target = Path(os.path.realpath(name))
    _check_file(name, target)
    for given in inputs:
        read = os.path.realpath(given)
        is_part = (
            read.startswith((f"{target}.part-", f"{target}.part.")) or read == f"{target}.part"
        )
        if os.path.exists(given) and (is_part or _is_same(given, target)):
            raise OutputError(
                f"{name}: writing there would destroy {given}, which is read: choose another output"
            )
    return Output(target)


def _mode(name: str) -> int:
    """The kind of what is there, or of the file that will be."""
    try:
        return os.stat(name).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return stat.S_IFREG
    except (OSError, ValueError) as error:
        raise OutputError(f"{name!r}: no place for output: {_reason(error)}") from error


def _check_file(name: str, target: Path) -> None:
    """Raise unless a file can be made at the target of a name."""
    if not name or name.endswith("/") or os.path.islink(target):  # links in a circle
        raise OutputError(f"{name!r}: no name of a file")
    if not target.parent.is_dir():
        raise OutputError(f"{name}: there is no folder {target.parent}: make it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{name}: nothing may be written into the folder {target.parent}")


def _is_same(one: str | os.PathLike[str], other: Path) -> bool:
    return other.exists() and os.path.samefile(one, other)


def _is_descriptor(path: str) -> bool:
    """Whether a path leads to something that a process has open: `/dev/stdout`, `/dev/fd/1`."""
    for _ in range(40):  # as many links as Linux follows
        folder = os.path.realpath(os.path.dirname(path) or ".")
        if re.fullmatch(r"/dev/fd|/proc/[^/]+(/task/[^/]+)?/fd", folder):
            return True
        if not os.path.islink(path):
            break
        path = os.path.join(folder, os.readlink(path))
    return False


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return "its links lead in a circle"
    return os.strerror(number) if number else str(error)
