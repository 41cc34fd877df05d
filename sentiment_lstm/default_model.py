"""Where the default model is: the released checkpoint in `hub_card/`."""

from __future__ import annotations

from pathlib import Path


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
