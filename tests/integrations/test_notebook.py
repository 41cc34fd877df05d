"""docs/quickstart.ipynb runs from top to bottom, as a reader runs it."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from support import ROOT


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The notebook with what it printed, and the folder that it worked in."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(ROOT / "docs/quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")  # nothing is to be installed
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, resources=resources).execute()
    return notebook, folder


def printed(notebook: Any, start: str) -> str:
    """What the one cell with a line that starts so has shown, as plain text."""
    (cell,) = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and any(line.startswith(start) for line in cell.source.splitlines())
    ]
    return "".join(
        output.get("text") or output.data.get("text/html", "")
        for output in cell.outputs
        if output.get("name") != "stderr"
    )


def test_it_classifies_explains_and_measures(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    labels = [line.split()[0] for line in printed(notebook, "predictor = ").splitlines()]
    assert labels == ["POSITIVE", "NEGATIVE"]
    assert "daughter" in printed(notebook, "predictor.explain")
    measured = dict(line.split() for line in printed(notebook, "found = ").splitlines())
    assert float(measured["accuracy"]) > 0.8


def test_what_it_trains_is_a_model_that_has_learned(executed: tuple[Any, Path]) -> None:
    notebook, folder = executed
    assert "'model.safetensors'" in printed(notebook, "recipe.write_text")
    accuracy = float(printed(notebook, "small = ").splitlines()[0].partition("<")[0])
    assert accuracy > 0.9
    assert "'POSITIVE'" in printed(notebook, "classify = ")
    assert (folder / "quickstart/saved/tokenizer.json").exists()


def test_nothing_was_installed(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert "%pip install" in first.source
    assert first.outputs == []
