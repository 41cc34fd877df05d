"""One process at a time: a lock that says who holds it, and that ends with its process."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from .files import naming_full_disk

# How often to look who holds a lock.
_LOOKS = 20


class LockedError(OSError):
    """Another process is at the same work; the message says which."""


@contextmanager
def hold(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Hold a lock, which the kernel releases when the process dies, however it dies.

    Args:
        path: The lock file. It says who holds the lock, and is gone when the lock is released; one
            that a killed process has left locks nothing. Its folder is made if it is missing, and
            removed again if nothing came into it.
        what: What is locked, for the message.

    Raises:
        DiskFullError: If there is no room for it.
        LockedError: If another process, or another thread of this one, holds it.
        OSError: If no file can be written there.
    """
    path = Path(path)
    is_new_folder = not path.parent.exists()
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        with naming_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        raise LockedError(
            f"{what}: in use by {_holder(path)}. Wait until it has ended, or stop it, and give the "
            "command again"
        ) from None
    try:
        with naming_full_disk(path):
            path.write_text(json.dumps(_this_process()) + "\n", encoding="utf-8")
        yield
    finally:
        # Before it is released: who has opened the file in the meantime finds it gone, and not
        # a lock that a third one can take as well, on a new file of the same name.
        path.unlink(missing_ok=True)
        lock.release()
        if is_new_folder and not any(path.parent.iterdir()):
            path.parent.rmdir()


@contextmanager
def hold_for_job(path: str | os.PathLike[str], what: str, is_main: bool) -> Iterator[None]:
    """Hold a lock for all processes of a job that `torchrun` or `accelerate launch` has started.

    Args:
        path: See `hold`.
        what: See `hold`.
        is_main: Whether this is the main process, which holds it. The others wait for it here, and
            none goes on if it is refused.

    Raises:
        LockedError: See `hold`; in every process of the job.
        OSError: See `hold`.
    """
    from accelerate.utils import broadcast_object_list  # takes a second to import

    with ExitStack() as stack:
        refused: list[OSError | None] = [None]
        if is_main:
            try:
                stack.enter_context(hold(path, what))
            except OSError as error:
                refused = [error]
        (reason,) = broadcast_object_list(refused)
        if reason is not None:
            raise reason
        yield


def _this_process() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        "command": _command(sys.orig_argv),
    }


def _command(words: list[str]) -> str:
    """A command line, less the values of options that name a token."""
    shown = [os.path.basename(word) for word in words[:1]]
    for word in words[1:]:
        option, equals, _ = word.partition("=")
        if option.startswith("--") and "token" in option and equals:
            word = f"{option}=***"
        elif shown[-1].startswith("--") and "token" in shown[-1] and "=" not in shown[-1]:
            word = "***"
        shown.append(word)
    return shlex.join(shown)[:500]


def _holder(path: Path) -> str:
    for _ in range(_LOOKS):
        try:
            holder = json.loads(path.read_text(encoding="utf-8"))
            return "process {pid} on {host} since {since} ({command})".format(**holder)
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.05)  # it has just come, and not yet written who it is
    return "another process"  # or it has just gone
