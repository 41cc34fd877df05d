"""The files of a model folder by name, how they are written, and where the default model is."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

CARD_FILE = "README.md"
RECIPE_FILE = "recipe.yaml"
RESULTS_FILE = "results.json"
# Which run has claimed a folder, until its results are there.
RUN_FILE = "run.json"
# Who is at work in a folder.
LOCK_FILE = "run.lock"
BASELINES_FILE = "baselines.json"
ABLATION_FILE = "ablation.json"
CURVE_FILE = "curve.json"
ONNX_FILE = "model.onnx"


class DiskFullError(OSError):
    """A disk that has no room for what is to be written; the message names the place and it."""


@contextmanager
def replacing(
    path: str | os.PathLike[str], mode: Literal["w", "wb"] = "w", needed: int | None = None
) -> Iterator[Any]:
    """A stream that takes a file's name when all of it is written and on the disk, or never.

    Args:
        path: The file, replaced if it exists; a link is replaced and not followed.
        mode: Text in UTF-8, with line ends as they are given, or bytes.
        needed: About how many bytes are to be written, where that is known.

    Raises:
        DiskFullError: If there is no room for it.
    """
    path = Path(path)
    # A name that nobody else has, and nobody can have put a link at.
    part = path.with_name(f".{path.name[:40]}.{os.urandom(8).hex()}.part")
    is_text = mode == "w"
    encoding, newline = ("utf-8", "") if is_text else (None, None)
    with naming_full_disk(path, needed):
        try:
            with open(part, "x" if is_text else "xb", encoding=encoding, newline=newline) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def unfinished(folder: Path, name: str = "*") -> list[Path]:
    """What `replacing` has left in a folder, where the process was killed meanwhile.

    Args:
        folder: The folder, in which nobody is at work.
        name: The file that was to be replaced. Defaults to any.
    """
    sign = re.compile(r"\.[0-9a-f]{16}\.part")
    return [path for path in folder.glob(f".{name}.*.part") if sign.search(path.name)]


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file in UTF-8 as a whole or not at all; see `replacing`.

    Args:
        path: The file, replaced if it exists.
        text: Its content.

    Returns:
        The file.

    Raises:
        DiskFullError: If there is no room for it.
    """
    content = text.encode("utf-8")
    with replacing(path, "wb", needed=len(content)) as stream:
        stream.write(content)
    return Path(path)


@contextmanager
def naming_full_disk(
    place: str | os.PathLike[str], needed: int | None = None, doing: str | None = None
) -> Iterator[None]:
    """Make one error of what libraries raise where a disk is full; some of it is no `OSError`.

    Args:
        place: What is written: a file or a folder, of which a file may be named instead. Not if it
            was named further inside.
        needed: About how many bytes that takes, where that is known.
        doing: What goes on, for the message: "a checkpoint is saved".

    Raises:
        DiskFullError: If the disk, or what of it the user may fill, is full.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        found = _full_disk(error)
        if found is None:
            raise
        reason, file = found
        if file is None or not os.path.isdir(place):
            file = os.fspath(place)
        when = f", while {doing}" if doing else ""
        raise DiskFullError(
            f"{file}: there is no room for it{when} ({reason}{_space(Path(file), needed)}). Make "
            "room, and give the same command again"
        ) from error


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Wait until the files of a folder are on the disk, before one that vouches for them is.

    Args:
        folder: The folder. Folders in it are left out.
    """
    files = [path for path in Path(folder).iterdir() if path.is_file()]
    # The folder last: it holds their names. Only POSIX opens folders.
    for path in [*files, Path(folder)] if os.name == "posix" else []:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def dump_json(content: Any) -> str:
    """JSON as all files of a model folder have it: indented, with a line end."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_json(path: str | os.PathLike[str], content: Any) -> Path:
    """Write JSON; see `write_text` and `dump_json`."""
    return write_text(path, dump_json(content))


def default_model() -> Path:
    """The released checkpoint, a model folder: in the wheel, or in the checkout.

    Raises:
        FileNotFoundError: If this copy of the package came without it.
    """
    installed = Path(__file__).parent / "hub_card"
    folder = installed if installed.is_dir() else Path(__file__).parents[1] / "hub_card"
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{folder}: no released checkpoint here; name a model folder")
    return folder


# --- full disks ----------------------------------------------------------------------------------

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What Rust (safetensors, tokenizers), numpy, SQLite, datasets and torch make of them. torch has
# lost the number, and speaks likewise of reading: "PytorchStreamReader".
_SIGNS = re.compile(
    r"(no space left(?: on device)?|quota exceeded|file too large|disk is full|disk i/o error"
    r"|not enough disk space)"
    r"|\d+ requested and \d+ written|PytorchStreamWriter|unexpected pos \d+ vs|iostream error",
    re.IGNORECASE,
)


def _full_disk(error: BaseException | None) -> tuple[str, str | None] | None:
    """The reason and the file, if an error or what it came of is that of a full disk."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:  # a cause that is raised again has a circle
        seen.append(error)
        if isinstance(error, OSError) and error.errno in _FULL:
            file = error.filename2 or error.filename  # of a copy: to where
            return os.strerror(error.errno), file if isinstance(file, str) else None
        # Ours is a ValueError, and may quote a review that speaks of a full disk.
        sign = None if isinstance(error, ValueError) else _SIGNS.search(str(error))
        if sign:
            return sign[1] or "a write failed", None
        error = error.__cause__ or error.__context__
    return None


def _space(place: Path, needed: int | None) -> str:
    """How much is free where a file would be, and how much it takes; nothing of a device."""
    there = next(path for path in (place, *place.absolute().parents) if path.exists())
    if not there.is_dir() and not stat.S_ISREG(there.stat().st_mode):
        return ""
    said = f"; {_readable(shutil.disk_usage(there).free)} free"
    return said if needed is None else f"{said}, about {_readable(needed)} needed"


def _readable(number: int) -> str:
    return f"{number / 1e3:,.0f} kB" if number < 1e6 else f"{number / 1e6:,.0f} MB"
