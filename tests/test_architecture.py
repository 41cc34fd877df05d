"""Who imports whom, and how much an import costs: the house rules of the package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sentiment_lstm

PACKAGE = Path(sentiment_lstm.__file__).parent

# Module -> the modules of the package that it may import. No other edge is allowed.
ALLOWED = {
    "__init__": {"configuration_sentiment_lstm", "modeling_sentiment_lstm", "tokenization"},
    "__main__": {"cli"},
    "bulk": {"inference", "reviews"},
    "cli": {
        "recipes",
        "training",
        "tuning",
        "inference",
        "reviews",
        "hub",
        "export",
        "bulk",
        "released",
    },
    "hub": {"ablations", "card", "inference", "baselines", "publishing"},
    "ablations": set(),
    "card": {"ablations", "figures", "baselines", "publishing", "released"},
    "tuning": {"configuration_sentiment_lstm", "recipes", "training"},
    "export": {"configuration_sentiment_lstm", "modeling_sentiment_lstm", "inference"},
    "training": {
        "configuration_sentiment_lstm",
        "modeling_sentiment_lstm",
        "figures",
        "inference",
        "metrics",
        "pretraining",
        "recipes",
        "reviews",
        "soft_labels",
        "publishing",
        "slices",
        "tokenization",
        "trainer",
    },
    "pretraining": {"configuration_sentiment_lstm", "modeling_sentiment_lstm"},
    "soft_labels": set(),
    "recipes": {"configuration_sentiment_lstm", "inference"},
    "trainer": {"recipes"},
    "inference": set(),
    "released": set(),
    "modeling_sentiment_lstm": {"configuration_sentiment_lstm"},
    "configuration_sentiment_lstm": set(),
    "metrics": set(),
    "slices": {"metrics"},
    "figures": set(),
    "publishing": set(),
    "baselines": {"publishing"},
    "reviews": set(),
    "tokenization": set(),
}


def imports(module: str) -> list[ast.Import | ast.ImportFrom]:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_every_module_has_its_place() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(ALLOWED)


@pytest.mark.parametrize("module", ALLOWED)
def test_imports_point_one_way(module: str) -> None:
    for node in imports(module):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("sentiment_lstm") for alias in node.names)
            continue
        assert not (node.module or "").startswith("sentiment_lstm"), "import by a single dot"
        if node.level:
            assert node.level == 1
            assert node.module in ALLOWED[module], f"{module} must not import {node.module}"


@pytest.mark.parametrize("module", ["configuration_sentiment_lstm", "modeling_sentiment_lstm"])
def test_travelling_files_need_torch_and_transformers_only(module: str) -> None:
    for node in imports(module):
        if isinstance(node, ast.ImportFrom) and node.level:
            continue
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
        for name in names:
            root = name.split(".")[0]
            assert root in {"torch", "transformers"} | sys.stdlib_module_names, name


def test_importing_the_package_is_light() -> None:
    heavy = ["datasets", "evaluate", "matplotlib", "sklearn", "pandas", "transformers.trainer"]
    code = f"import sys, sentiment_lstm;print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
