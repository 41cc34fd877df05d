"""`recipe.yaml` as a file: read within limits, written without access tokens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml

from .results import without_secrets

# A recipe is a page of fields. A few aliases that name each other stand for billions of values.
MAX_YAML_BYTES = 256 * 1024
MAX_YAML_ALIASES = 20

# Fields of version 0.1 -> what they are called now.
RENAMED_FIELDS = {
    "average_decay": "ema_decay",
    "halves": "augment_halves",
    "word_pieces": "max_word_pieces",
}


class RecipeError(ValueError):
    """A recipe that cannot be run; the message names the file or the field."""


def read_yaml(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_YAML_BYTES,
    max_aliases: int = MAX_YAML_ALIASES,
) -> Any:
    """Read a small YAML file by somebody else: no objects, and bounded in what it can cost.

    Args:
        path: The file.
        max_bytes: How long it may be.
        max_aliases: How many aliases (`*name`) it may have.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        RecipeError: If it is no YAML, or more than that.
    """
    with open(path, "rb") as file:
        text = file.read(max_bytes + 1)
    if len(text) > max_bytes:
        raise RecipeError(
            f"{path}: over {max_bytes:,} bytes: no recipe is as long. If this one is, read it in "
            "Python, with max_bytes of read_recipe"
        )
    try:
        loader = _Loader(text.decode())
        loader.max_aliases = max_aliases
        return loader.get_single_data()
    except RecursionError:
        raise RecipeError(f"{path}: no valid YAML: nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2020-13-45 is a ValueError
        raise RecipeError(f"{path}: no valid YAML: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """A loader that counts aliases before anything is made of them."""

    aliases = 0
    max_aliases = MAX_YAML_ALIASES

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > self.max_aliases:
                raise yaml.YAMLError(
                    f"over {self.max_aliases} aliases: write the values out, or read it in Python, "
                    "with max_aliases of read_recipe"
                )
        return super().compose_node(parent, index)


def dump_recipe(fields: Mapping[str, Any]) -> str:
    """Write the fields of a recipe as YAML, in their order and without access tokens."""
    return yaml.safe_dump(without_secrets(fields), sort_keys=False, allow_unicode=True)


def rename_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a recipe under the names of now, where version 0.1 had others."""
    return {RENAMED_FIELDS.get(name, name): value for name, value in fields.items()}
