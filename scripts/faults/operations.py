"""The file operations of a process, counted, so that it can be killed at each of them.

Python tells of most of them (`sys.addaudithook`): opening, renaming, removing, making folders. What
it does not tell of is done here in its place: each write of a file that Python has opened, `fsync`,
and the files that libraries write by themselves. A write is cut in the middle as well.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from transformers import PreTrainedTokenizerFast

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")


class Operations:
    """Counts the operations of this process on the files of a folder.

    Args:
        folder: Other files do not count.
        log: Where each operation is written down before it is done.
        end_at: At which this process kills itself, from 1.
    """

    def __init__(self, folder: Path, log: Path, end_at: int | None = None) -> None:
        self.folder = os.path.realpath(folder)
        self.end_at = end_at
        self.count = 0
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._process = os.getpid()

    def install(self) -> None:
        """Begin to count. There is no way back: it is for a process that ends soon."""
        sys.addaudithook(self._hear)
        builtins.open = io.open = self._open
        os.fsync = self._told(os.fsync, "fsync")
        os.sendfile = self._told(os.sendfile, "copy")
        for module, name in (("torch", "save"), ("safetensors.torch", "serialize_file")):
            holder = sys.modules[module]
            setattr(holder, name, self._writer(getattr(holder, name), name, 1))
        # Written in Rust, whose methods cannot be replaced: what calls them can.
        tokenizer: Any = PreTrainedTokenizerFast
        save = tokenizer._save_pretrained
        tokenizer._save_pretrained = self._writer(save, "save", 1, "tokenizer.json")

    def tell(self, what: str, path: Any) -> None:
        """Count an operation that is about to be done, and end the process if it is the one."""
        if self.passes(what, path):
            self.die()

    def passes(self, what: str, path: Any) -> bool:
        """Count an operation; whether it is the one to die in."""
        name = self._name(path)
        if name is None or os.getpid() != self._process:
            return False
        self.count += 1
        os.write(self._log, f"{what} {name}\n".encode())
        return self.count == self.end_at

    def die(self) -> NoReturn:
        """End as by `kill -9`."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def _name(self, path: Any) -> str | None:
        """The name of a file in the folder, if it is there."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
        path = os.path.join(os.path.realpath(folder), name)
        return os.path.relpath(path, self.folder) if path.startswith(self.folder) else None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and flags & _WRITING:
                self.tell("open", path)
        elif event in _EVENTS:
            path, *_, folder = (*arguments, -1)
            if event == "os.rename":
                path, folder = arguments[1], arguments[3]
            elif event == "os.truncate":
                folder = -1
            elif isinstance(arguments[-1], int):
                folder = arguments[-1]
            if isinstance(folder, int) and folder >= 0 and not os.path.isabs(os.fsdecode(path)):
                path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
            self.tell(event.removeprefix("os."), path)

    def _told(self, function: Callable[..., Any], what: str) -> Callable[..., Any]:
        """A function of the operating system, the descriptor of which is counted first."""

        def told(descriptor: Any, *arguments: Any, **named: Any) -> Any:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self.tell(what, number)
            return function(descriptor, *arguments, **named)

        return told

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """What `open` is, but that each write is counted."""
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = _CountedFile(self, file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
        stream = kind(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        if "b" in mode:
            return stream
        text = io.TextIOWrapper(stream, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text

    def _writer(
        self, function: Callable[..., Any], what: str, argument: int, name: str = ""
    ) -> Callable[..., Any]:
        """A function of a library that writes a file: killed before it and in the middle.

        Args:
            function: What to call.
            what: What to call it.
            argument: Which of its arguments is the file, or the folder of it.
            name: Of the file in the folder.
        """

        def writer(*arguments: Any, **named: Any) -> Any:
            path = arguments[argument] if len(arguments) > argument else named.get("save_directory")
            if not isinstance(path, (str, os.PathLike)):
                return function(*arguments, **named)
            path = os.path.join(path, name) if name else path
            self.tell(what, path)
            result = function(*arguments, **named)
            if self.passes(f"half of {what}", path):
                self._process = 0  # nothing counts any more
                os.truncate(path, os.path.getsize(path) // 2)
                self.die()
            return result

        return writer


_open = io.open


class _CountedFile(io.FileIO):
    """A file that tells of each write."""

    def __init__(
        self, operations: Operations, file: Any, mode: str, closefd: bool, opener: Any
    ) -> None:
        super().__init__(file, mode, closefd, opener)
        self._operations = operations

    def write(self, data: Any) -> int:
        """Write, and be killed before or in the middle of it."""
        self._operations.tell("write", self.name)
        if self._operations.passes("half of write", self.name):
            super().write(memoryview(data)[: max(1, len(data) // 2)])
            self._operations.die()
        return super().write(data)
