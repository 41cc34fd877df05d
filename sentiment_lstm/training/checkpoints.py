"""Checkpoints that are whole or not there: sealed when written, checked before they are used."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from ..data.sources import file_digest
from ..files import dump_json, naming_full_disk, sync_folder, write_json
from ..tokenization import write_portable_config

logger = logging.getLogger(__name__)

# Where in the folder of a run a checkpoint is written until it is whole.
STAGING_FOLDER = "saving"
STATE_FILE = "trainer_state.json"
_MANIFEST_FILE = "manifest.json"
# About what a checkpoint holds beside weights and their moments: tokenizer, code, log.
_BESIDES = 1 << 20


class SealingTrainer(Trainer):
    """`Trainer` whose checkpoints are whole when they have their name, and hold no access token."""

    _is_staging = False

    def save_more(self, staged: Path) -> None:
        """Write what a checkpoint holds besides; the main process alone is asked.

        Args:
            staged: Where the checkpoint is written.
        """

    def push_checkpoint(self, checkpoint: Path) -> None:
        """Push a checkpoint to the Hub, as `Trainer` does; asked with `push_to_hub` alone.

        Args:
            checkpoint: The checkpoint, whole.
        """
        super()._push_from_checkpoint(str(checkpoint))

    def bytes_to_save(self) -> int:
        """About how large a checkpoint is."""
        model, optimizer = cast("Any", self.model), cast("Any", self.optimizer)
        kept = [*model.state_dict().values()]
        for state in optimizer.state.values():
            kept += [value for value in state.values() if isinstance(value, torch.Tensor)]
        needed: int = _BESIDES + sum(value.nbytes for value in kept)
        return needed

    def _get_output_dir(self, trial: Any) -> str:
        folder: str = super()._get_output_dir(trial)
        return os.path.join(folder, STAGING_FOLDER) if self._is_staging else folder

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # The arguments of training are pickled as they are.
        token, self.args.hub_token = self.args.hub_token, None
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.args.hub_token = token
        write_portable_config(output_dir or str(self.args.output_dir))

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Nothing: `Trainer` comes here when it has saved, before the checkpoint is whole."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save as `Trainer` does, but aside, and give it its name when it is whole."""
        folder = Path(self._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        with naming_full_disk(folder, self.bytes_to_save(), f"{name} is saved"):
            try:
                self._save_aside(folder, name, model, trial)
            except Exception:
                # Half of one would take the room that the next one needs.
                shutil.rmtree(folder / STAGING_FOLDER, ignore_errors=True)
                raise

    def _save_aside(self, folder: Path, name: str, model: Any, trial: Any) -> None:
        staged = folder / STAGING_FOLDER / name
        if self.args.should_save:
            staged.mkdir(parents=True, exist_ok=True)
            self.save_more(staged)
        self._is_staging = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._is_staging = False
        if self.state.best_global_step:  # which Trainer has looked for where it has saved
            best = folder / f"checkpoint-{self.state.best_global_step}"
            self.state.best_model_checkpoint = str(best)
        self.accelerator.wait_for_everyone()  # each process has written a file
        if self.args.should_save:
            self.state.save_to_json(str(staged / STATE_FILE))
            seal(staged, folder / name)
            shutil.rmtree(staged.parent)
        if self.args.push_to_hub:
            self.push_checkpoint(folder / name)
        if self.args.should_save:
            # Only now, when the new one is safe.
            rotate_checkpoints(
                output_dir=str(folder),
                save_total_limit=self.args.save_total_limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
            )


def seal(staged: Path, checkpoint: Path) -> None:
    """Give a checkpoint its name, when all of it is on the disk and listed in its manifest.

    Args:
        staged: Where it has been written, on the same file system.
        checkpoint: Where it is to be; what is there is replaced.
    """
    _write_manifest(staged)
    if checkpoint.exists():
        shutil.rmtree(checkpoint)
    os.rename(staged, checkpoint)
    sync_folder(checkpoint.parent)


# What each checkpoint has that `Trainer` itself has written, its state last.
_TRAINERS_FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def seal_old(folder: Path) -> None:
    """Take over checkpoints of before they had manifests: what is complete is taken as it is.

    Args:
        folder: The folder of a run that nobody else is at.
    """
    for state in folder.glob(f"checkpoint-*/{STATE_FILE}"):
        names = {path.name for path in state.parent.iterdir() if path.stat().st_size}
        if _MANIFEST_FILE not in names and names.issuperset((*_TRAINERS_FILES, STATE_FILE)):
            _write_manifest(state.parent)
            logger.warning("%s: had no manifest; it is taken as it is", state.parent)


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
        best = None if faults[step] else json.loads((path / STATE_FILE).read_bytes())
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


def dump_manifest(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The manifest of a checkpoint that is not on this disk, by its name.

    Args:
        contents: Its files; a manifest among them is left out.
    """
    files = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(contents.items())
        if name != _MANIFEST_FILE
    }
    return {_MANIFEST_FILE: dump_json(files).encode()}


def _write_manifest(checkpoint: Path) -> None:
    files = {path.name: _facts(path) for path in sorted(checkpoint.iterdir()) if path.is_file()}
    write_json(checkpoint / _MANIFEST_FILE, files)
    sync_folder(checkpoint)


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
        return None if STATE_FILE in manifest else f"{STATE_FILE} is missing"
    except FileNotFoundError:
        return f"{_MANIFEST_FILE} is missing, as of one that was being written"
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return f"{_MANIFEST_FILE} is damaged"
