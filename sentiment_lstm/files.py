"""The files of a model folder by name, how they are written, and where the default model is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

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


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file in UTF-8 as a whole or not at all: beside its place, to the disk, then renamed.

    Args:
        path: The file, replaced if it exists.
        text: Its content.

    Returns:
        The file.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return part.replace(path)


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
