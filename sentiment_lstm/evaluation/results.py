"""What of a run may be published: its figures, without the folders and tokens of the machine.

Cards, pictures and whatever goes to the Hub name reviews by these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

_SPLITS = ("train", "validation", "test")


def redact_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """Take from results what concerns the machine that they were made on: folders and tokens.

    A file of reviews keeps its name and its slice (`x.ft.txt:train[:100]`), a dataset on the Hub
    its id.

    Args:
        results: The content of `results.json`, of a finished run or not.

    Returns:
        A copy to publish. Publishing it once more changes nothing.
    """
    names = public_names(results)
    published = dict(results)
    if "recipe" in results:
        published["recipe"] = redact_recipe(results["recipe"], names)
    if "reviews" in results:
        published["reviews"] = {
            split: {names[source]: facts for source, facts in parts.items()}
            for split, parts in results["reviews"].items()
        }
    if "metrics" in results:
        published["metrics"] = {
            redact_part(part, names): metrics for part, metrics in results["metrics"].items()
        }
    return published


def redact_recipe(
    recipe: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Take folders and tokens from the fields of a recipe.

    Args:
        recipe: Flat fields, as in `recipe.yaml`.
        names: Source of reviews -> what to call it. Defaults to the last part of its path.

    Returns:
        A copy to publish.
    """
    if names is None:
        names = _public_names([source for split in _SPLITS for source in recipe.get(split) or ()])
    published: dict[str, Any] = {}
    for field, value in recipe.items():
        if field.endswith("token"):  # transformers' `hub_token`
            continue
        if field in _SPLITS and value:
            published[field] = [names.get(source) or _public_name(source) for source in value]
        else:
            published[field] = value if field == "hub_model_id" else _without_folders(value)
    return published


def public_names(results: Mapping[str, Any]) -> dict[str, str]:
    """What to call each source of a run's reviews, without folders and each one differently."""
    return _public_names(
        [source for parts in results.get("reviews", {}).values() for source in parts]
    )


def redact_part(part: str, names: Mapping[str, str]) -> str:
    """Take the folders from `split/source`, as metrics are called; see `public_names`."""
    split, _, source = part.partition("/")
    return f"{split}/{names.get(source) or _public_name(source)}"


def without_folders(text: str) -> str:
    """Take the folders from every path in a text that leads outside the working folder."""
    # Absolute, from the home folder or upwards; not `scripts/x.py`, nor the `/` of `either/or`.
    return re.sub(r"(?<![\w.~/\\:])(?:~|\.\.|[A-Za-z]:)?[\\/](?:\S*[\\/])?(?=\S)", "", text)


def dump_recipe(recipe: Mapping[str, Any]) -> str:
    """Write a recipe as YAML, as training writes `recipe.yaml`."""
    return yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True)


def parse_source(source: str) -> tuple[str, str | None]:
    """The two halves of `SOURCE:SPLIT`, as the readers of reviews part them."""
    found = re.fullmatch(r"(.+?):([A-Za-z_]\w*(?:\s*[\[(+].*)?)", source)
    return (found[1], found[2]) if found else (source, None)


def is_hub_id(name: str) -> bool:
    """Whether a source is `owner/name` on the Hub: a file of reviews ends in one of these."""
    is_file = re.search(r"\.(txt|csv|jsonl|parquet)(\.gz|\.bz2)?$", name, re.IGNORECASE)
    return not is_file and bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name))


# --- names that may be public --------------------------------------------------------------------


def _public_names(sources: Iterable[str]) -> dict[str, str]:
    """A name without folders for each source; equal names of different sources are numbered."""
    names: dict[str, str] = {}
    for source in sources:
        if source in names:
            continue
        name, number = _public_name(source), 2
        while name in names.values():
            name, number = f"{_public_name(source)} ({number})", number + 1
        names[source] = name
    return names


def _public_name(source: str) -> str:
    name, split = parse_source(source)
    public = name if is_hub_id(name) else _basename(name)
    return f"{public}:{split}" if split else public


def _basename(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _without_folders(value: Any) -> Any:
    if isinstance(value, str):
        return _basename(value)
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    return value
