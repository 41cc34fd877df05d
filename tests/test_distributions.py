"""What is in the wheel and in the sdist: all that users and developers need, nothing twice."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from fake_hub import FakeHub
from support import ROOT, code_blocks, run

# What pip runs to build: https://peps.python.org/pep-0517/ and 0660.
BUILD = "import sys, hatchling.build as backend; getattr(backend, sys.argv[1])(sys.argv[2])"
MODEL = {
    "config.json",
    "configuration_sentiment_lstm.py",
    "model.safetensors",
    "modeling_sentiment_lstm.py",
    "tokenizer.json",
    "tokenizer_config.json",
}


def build(kind: str, tree: Path, output: Path) -> Path:
    """Build a distribution from sources, as pip does it; returns the file."""
    output.mkdir()
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(output)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (built,) = output.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist of the checkout."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder / "built")) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.glob("sentiment_lstm-*")
    return tree


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is made of the sdist, which is what pip makes where there is no wheel."""
    return build("wheel", sdist, tmp_path_factory.mktemp("wheel") / "built")


def files(tree: Path) -> set[str]:
    """The files of a folder by their paths in it, less what running leaves."""
    left = {"__pycache__", "node_modules"}
    return {
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if path.is_file() and not left & {*path.parts}
    }


def named_files(text: str) -> set[str]:
    """What the commands and the links of a document name of the checkout."""
    lines = "\n".join(code_blocks(text, "bash")).replace("\\\n", " ").splitlines()
    words = {word for line in lines for word in shlex.split(line, comments=True)}
    words |= {word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split()}
    words |= {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)}
    made = ("runs", ".venv")
    return {word.rstrip("/") for word in words if not word.startswith(made) and exists(word)}


def exists(name: str) -> bool:
    """Whether a word is a path in the checkout."""
    return 0 < len(name) < 200 and not Path(name).is_absolute() and (ROOT / name).exists()


def test_the_sdist_has_what_the_readme_names(sdist: Path) -> None:
    named = named_files((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"scripts/recipes/default.yaml", "scripts/baselines.py"} <= named
    assert {"docs/training.md", "CONTRIBUTING.md", "CITATION.cff"} <= named
    assert not [name for name in sorted(named) if not (sdist / name).exists()]


@pytest.mark.parametrize(
    "folder", ["docs", "hub_card", "scripts", "sentiment_lstm", "tests", ".ci"]
)
def test_the_sdist_has_the_folders_of_the_checkout_whole(folder: str, sdist: Path) -> None:
    assert files(sdist / folder) == files(ROOT / folder)


@pytest.mark.parametrize("target", ["install", "demo", "test", "docs", "check", "test-lowest"])
def test_make_finds_everything_in_the_sdist(target: str, sdist: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=sdist, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    words = {word for line in done.stdout.splitlines() for word in line.split()}
    made = (".venv", "runs", "tests/javascript/node_modules")
    named = {word for word in words if exists(word) and not word.startswith(made)}
    assert not [word for word in sorted(named) if not (sdist / word).exists()]


def test_the_sdist_has_nothing_that_is_made(sdist: Path) -> None:
    top = {path.name for path in sdist.iterdir()}
    hidden = {name for name in top if name.startswith(".")}
    assert hidden <= {".ci", ".pre-commit-config.yaml", ".gitignore"}  # the last by hatchling
    assert not {"runs", "build", "dist"} & top


def test_the_wheel_has_the_package_and_the_released_checkpoint_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        weights = archive.read("sentiment_lstm/hub_card/model.safetensors")
    assert len(names) == len({*names})
    assert weights == (ROOT / "hub_card/model.safetensors").read_bytes()
    package = {f"sentiment_lstm/{name}" for name in files(ROOT / "sentiment_lstm")}
    model = {f"sentiment_lstm/hub_card/{name}" for name in MODEL}
    assert {name for name in names if ".dist-info/" not in name} == package | model


def test_an_editable_install_is_the_checkout_and_has_no_copy_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("editable", ROOT, tmp_path / "built")) as archive:
        (path,) = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert Path(archive.read(path).decode().strip()) == ROOT


USE = """
import sentiment_lstm
from sentiment_lstm.cli.main import main
from transformers import pipeline
answer, = pipeline("text-classification", model=sentiment_lstm.DEFAULT_MODEL)("I love it.")
assert answer["label"] == "POSITIVE"
assert main(["predict", "I love it."]) == 0
print(sentiment_lstm.__file__)
print(sentiment_lstm.DEFAULT_MODEL)
"""


def test_the_wheel_alone_answers_by_the_name_of_its_model(
    wheel: Path, hub: FakeHub, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    start = f"import sys\nsys.path.insert(0, {str(site)!r})\n"
    *_, module, model = run(hub, tmp_path, start + USE)
    assert Path(module) == site / "sentiment_lstm/__init__.py"
    assert Path(model) == site / "sentiment_lstm/hub_card"
