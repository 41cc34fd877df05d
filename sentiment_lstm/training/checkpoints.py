"""Checkpoints that are whole or not there: sealed when written, checked before they are used."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

from ..data.sources import file_digest
from ..files import sync_folder, write_json

logger = logging.getLogger(__name__)

# Where in the folder of a run a checkpoint is written until it is whole.
STAGING_FOLDER = "saving"
_MANIFEST_FILE = "manifest.json"
_STATE_FILE = "trainer_state.json"


def seal(staged: Path, checkpoint: Path) -> None:
    """Give a checkpoint its name, when all of it is on the disk and listed in its manifest.

    Args:
        staged: Where it has been written, on the same file system.
        checkpoint: Where it is to be; what is there is replaced.
    """
    files = {path.name: _facts(path) for path in sorted(staged.iterdir()) if path.is_file()}
    write_json(staged / _MANIFEST_FILE, files)
    sync_folder(staged)
    if checkpoint.exists():
        shutil.rmtree(checkpoint)
    os.rename(staged, checkpoint)
    sync_folder(checkpoint.parent)


def newest_whole_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to resume from. Those that are not whole are named, and removed.

    A checkpoint is of use only with the best one until then, which the run takes in the end.

    Args:
        folder: The folder of a run that nobody else is at.

    Returns:
        The checkpoint, or `None` if there is none.
    """
    shutil.rmtree(folder / STAGING_FOLDER, ignore_errors=True)
    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdecimal()
    }
    faults = {step: _fault(path) for step, path in found.items()}
    for step, path in found.items():
        best = None if faults[step] else json.loads((path / _STATE_FILE).read_bytes())
        best_step = best and best.get("best_global_step")
        if best_step not in (None, step) and faults.get(best_step, "it is missing"):
            faults[step] = f"of no use without checkpoint-{best_step}, the best one"
    whole = [step for step in found if not faults[step]]
    newest = found[max(whole)] if whole else None
    for step in sorted(found):
        if faults[step]:
            then = f"the run resumes from {newest.name}" if newest else "the run starts anew"
            logger.warning("%s: %s; it is removed, and %s", found[step], faults[step], then)
            shutil.rmtree(found[step])
    return newest


def _facts(path: Path) -> dict[str, int | str]:
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, if anything is."""
    try:
        manifest = json.loads((checkpoint / _MANIFEST_FILE).read_bytes())
        for name, facts in manifest.items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != facts["bytes"] or _facts(path) != facts:
                return f"{name} is damaged"
        return None if _STATE_FILE in manifest else f"{_STATE_FILE} is missing"
    except FileNotFoundError:
        return f"{_MANIFEST_FILE} is missing, as of one that was being written"
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return f"{_MANIFEST_FILE} is damaged"
