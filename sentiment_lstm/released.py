"""Where `hub_card/` is: the card template and the released checkpoint."""

from __future__ import annotations

from pathlib import Path

CARD_TEMPLATE = "card_template.md"


def hub_card() -> Path:
    """The folder `hub_card`: in the installed package, or in the checkout that it is run from."""
    installed = Path(__file__).parent / "hub_card"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "hub_card"


def released_folder() -> Path:
    """The released checkpoint, a model folder.

    Raises:
        FileNotFoundError: If this copy of the package came without it.
    """
    folder = hub_card()
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{folder}: no released checkpoint here; name a model folder")
    return folder
