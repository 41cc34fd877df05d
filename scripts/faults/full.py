"""A full disk: one line that says so, and with more room the same command resumes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .commands import Running, run
from .stage import PREDICT, TRAIN, Stage
from .tally import Fault, Tally, refused, sample, succeeded

_PAGE = 4096
_ROOMY = 64 << 20
# At most so many sizes, at even distances.
_SIZES = 120


def tallies(stage: Stage, tries: int | None, seed: int) -> Iterator[Tally]:
    """Fill the disk in training and in prediction, at each stage of it."""
    del seed
    folder = stage.work.with_name("small")
    folder.mkdir(exist_ok=True)
    stream = ("predict", "--model", "model", "--output", "labels.jsonl", "--chunk_size", "4")
    yield _fill("full: train", stage, tries, folder, TRAIN, _check_run)
    yield _fill("full: predict", stage, tries, folder, PREDICT, Stage.check_labels)
    yield _fill("full: predict, a stream", stage, tries, folder, stream, Stage.check_labels)


def _check_run(stage: Stage, folder: Path) -> Fault | None:
    return stage.check_run(folder / "run")


def _fill(
    kind: str,
    stage: Stage,
    tries: int | None,
    folder: Path,
    arguments: Sequence[str],
    check: Callable[[Stage, Path], Fault | None],
) -> Tally:
    """Run a command with less room than it needs, then with enough."""
    with Tally(kind).timed() as tally:
        if reason := _mount(folder, _ROOMY):
            tally.note = f"not tried: {reason}"
            return tally
        texts = (stage.home / "texts.txt").read_bytes()
        try:
            shutil.copytree(stage.home, folder, dirs_exist_ok=True)
            used = _used(folder)
            most = _watched(arguments, folder, texts) - used
        finally:
            _unmount(folder)
        pages = range(0, most // _PAGE + 2)
        for room in sample(pages, tries or _SIZES):
            _mount(folder, _ROOMY)
            try:
                shutil.copytree(stage.home, folder, dirs_exist_ok=True)
                _mount(folder, used + room * _PAGE, again=True)
                ended = Running(arguments, folder, given=texts).wait()
                fault = None if ended.code == 0 else _says_full(refused(ended), ended.error)
                _mount(folder, _ROOMY, again=True)
                fault = fault or succeeded(run(arguments, folder, texts)) or check(stage, folder)
            finally:
                _unmount(folder)
            tally.add(f"{room * _PAGE >> 10} KB of room", fault)
    return tally


def _says_full(fault: Fault | None, error: str) -> Fault | None:
    """Whether the line names the disk and a place."""
    line = error.strip().splitlines()[-1]
    if fault is None and not re.search(r"[Nn]o space left|there is no room", line):
        return Fault("wrong", f"says nothing of the space: {line}")
    if fault is None and not re.search(r"run|cache|labels\.jsonl", line):
        return Fault("wrong", f"names no file or folder: {line}")
    return fault


def _watched(arguments: Sequence[str], folder: Path, texts: bytes) -> int:
    """The most room that an undisturbed command takes."""
    command = Running(arguments, folder, given=texts)
    most = 0
    while not os.waitid(os.P_PID, command.process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        most = max(most, _used(folder))
        time.sleep(0.001)
    if fault := succeeded(command.wait()):
        raise RuntimeError(f"the undisturbed command fails: {fault.reason}")
    return max(most, _used(folder))


def _used(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _mount(folder: Path, size: int, again: bool = False) -> str | None:
    """Mount a small file system in memory, or change its size; what hinders it."""
    options = f"size={size}{',remount' if again else ''}"
    return _call("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))


def _unmount(folder: Path) -> None:
    _call("umount", "-l", str(folder))


def _call(*words: str) -> str | None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else " ".join(done.stderr.split()) or "mount fails"
