"""Who may import whom, and what an import or an answer may cost: the house rules of the package."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sentiment_lstm

PACKAGE = Path(sentiment_lstm.__file__).parent

# A module imports from its own wing and those before it. This is the whole rule.
WINGS = [
    "extras",
    "files",
    "locks",
    "outputs",
    "configuration_sentiment_lstm",
    "modeling_sentiment_lstm",
    "auto_classes",
    "tokenization",
    "data",
    "inference",
    "evaluation",
    "hub",
    "training",
    "page",
    "cli",
]
TRAVELLING = ["configuration_sentiment_lstm", "modeling_sentiment_lstm"]
# The package itself names what is public, and `__main__` runs the command line.
FRONT = ["__init__", "__main__"]


def name_of(path: Path) -> str:
    """`data.sources` of `data/sources.py`, and `data` of `data/__init__.py`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "hub_card" not in path.relative_to(PACKAGE).parts
}


def import_statements(module: str) -> list[ast.Import | ast.ImportFrom]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def absolute(node: ast.Import | ast.ImportFrom) -> list[str]:
    """What a statement imports by full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [] if node.level else [node.module or ""]


def imports(module: str) -> set[str]:
    """The modules of the package that a module imports, wherever in it."""
    found = set()
    for node in import_statements(module):
        if not (isinstance(node, ast.ImportFrom) and node.level):
            continue
        depth = len(MODULES[module].relative_to(PACKAGE).parts) - node.level
        start = MODULES[module].relative_to(PACKAGE).parts[:depth]
        target = ".".join([*start, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            name = f"{target}.{alias.name}".lstrip(".")
            found.add(name if name in MODULES else target)
    return found


GRAPH = {module: imports(module) for module in MODULES}


def reachable(module: str) -> set[str]:
    found: set[str] = set()
    new = {module}
    while new:
        found |= new
        new = {target for each in new for target in GRAPH[each]} - found
    return found


def test_every_module_has_its_place() -> None:
    assert {module.split(".")[0] for module in MODULES} == {*WINGS, *FRONT}


@pytest.mark.parametrize("module", [module for module in MODULES if module not in FRONT])
def test_a_module_imports_from_its_own_wing_or_earlier_ones(module: str) -> None:
    wing = WINGS.index(module.split(".")[0])
    for target in GRAPH[module]:
        assert WINGS.index(target.split(".")[0]) <= wing, f"{module} must not import {target}"


def test_no_module_imports_itself_by_a_detour() -> None:
    graphlib.TopologicalSorter(GRAPH).prepare()  # names a cycle


@pytest.mark.parametrize("module", MODULES)
def test_the_package_names_itself_by_dots(module: str) -> None:
    for node in import_statements(module):
        assert not any(name.split(".")[0] == "sentiment_lstm" for name in absolute(node))


@pytest.mark.parametrize("module", TRAVELLING)
def test_travelling_files_need_torch_and_transformers_only(module: str) -> None:
    for node in import_statements(module):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            assert node.module in TRAVELLING  # `from . import x` would not travel
        for name in absolute(node):
            root = name.split(".")[0]
            assert root in {"torch", "transformers"} | sys.stdlib_module_names, name


# --- what an import costs ------------------------------------------------------------------------

HEAVY = {
    "accelerate",
    "datasets",
    "evaluate",
    "matplotlib",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
}


def imported_by(code: str, *arguments: str) -> set[str]:
    """The modules that are there when some code has run in a process of its own."""
    code = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What transformers imports for any model and tokenizer; `accelerate` where it is there."""
    return imported_by(
        "import numpy.typing, transformers.modeling_outputs\n"
        "from transformers import AutoTokenizer, PreTrainedModel"
    )


def roots(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_importing_the_package_costs_what_the_auto_classes_cost() -> None:
    ours = imported_by("import sentiment_lstm")
    auto = imported_by("from transformers import AutoModelForSequenceClassification")
    assert roots(ours - auto) <= {"sentiment_lstm"}
    assert not {"transformers.modeling_utils", *HEAVY} & ours


def test_a_public_name_costs_what_it_needs(bare: set[str]) -> None:
    light = "DEFAULT_MODEL, SentimentLSTMModel, SentimentPredictor, train_tokenizer, __version__"
    ours = imported_by(f"from sentiment_lstm import {light}")
    assert roots(ours - bare) <= {"sentiment_lstm"}


def test_predicting_one_text_imports_only_what_it_uses(model_folder: Path, bare: set[str]) -> None:
    run = "import sys; sys.argv[0] = 'sentiment-lstm'\nfrom sentiment_lstm.cli.main import main"
    ours = imported_by(f"{run}\nmain()", "predict", "--model", str(model_folder), "It broke.")
    assert not HEAVY & roots(ours - bare)


# --- the command line, which leaves the package as light as it finds it --------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["predict", "--help"], ["fly"], ["predict", "no/model"]],
    ids=" ".join,
)
@pytest.mark.parametrize("program", ["-m sentiment_lstm", "sentiment-lstm"])
def test_help_and_wrong_usage_import_neither_torch_nor_transformers(
    program: str, arguments: list[str], tmp_path: Path
) -> None:
    script = tmp_path / "sentiment-lstm"  # what pip installs
    script.write_text("import sys\nfrom sentiment_lstm.cli.main import main\nsys.exit(main())\n")
    start = program.split() if program.startswith("-m") else [str(script)]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *start, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == (0 if "--" in arguments[-1] else 2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = roots({line.split("|")[-1].strip() for line in lines})
    assert "argparse" in names
    assert not names & {"torch", "transformers", "numpy", *HEAVY}


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["-m", "--help"], ["python", "-m", "sentiment_lstm", "--help"], True),
        (["-m"], ["python", "-X", "dev", "-m", "sentiment_lstm"], True),
        (["/bin/sentiment-lstm", "predict"], ["python", "/bin/sentiment-lstm", "predict"], True),
        (["-m", "sentiment_lstm"], ["python", "-m", "other", "sentiment_lstm"], False),
        (["-m"], ["python", "-m", "other"], False),
        (["sentiment-lstm.py"], ["python", "sentiment-lstm.py"], False),
        (["-c", "-m", "sentiment_lstm"], ["python", "-c", "...", "-m", "sentiment_lstm"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_only_our_own_command_leaves_the_classes_unregistered(
    argv: list[str], orig_argv: list[str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert sentiment_lstm._is_own_command() is expected


def test_a_package_that_is_run_finds_the_classes_registered(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text("import sentiment_lstm\n")
    (tmp_path / "other" / "__main__.py").write_text(
        "from transformers import AutoConfig\n"
        "print(type(AutoConfig.for_model('sentiment_lstm')).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "other", "sentiment_lstm"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])},
    )
    assert done.stdout == "SentimentLSTMConfig\n"


def test_every_command_registers_the_classes() -> None:
    parts = {module for module in GRAPH["cli.main"] if module.startswith("cli.")}
    commands = parts - {"cli.common"}
    assert len(commands) == 9
    for command in commands:
        assert "auto_classes" in reachable(command), command


# --- the public names ----------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    for name in sentiment_lstm.__all__:
        assert getattr(sentiment_lstm, name) is not None
        assert name in dir(sentiment_lstm)
    assert sentiment_lstm.SentimentPredictor.__name__ == "SentimentPredictor"
    with pytest.raises(AttributeError, match="no attribute 'SentimentLSTM'"):
        sentiment_lstm.SentimentLSTM  # noqa: B018


def test_type_checkers_see_the_public_names() -> None:
    seen = {alias.name for node in import_statements("__init__") for alias in node.names}
    assert {*sentiment_lstm.__all__} - {"DEFAULT_MODEL", "__version__"} <= seen
