"""docs/mlflow.md: what one process logs, another one loads, and it answers as the model does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import GUARD, ROOT, code_blocks

from sentiment_lstm import DEFAULT_MODEL, SentimentPredictor

FILE, LOG, LOAD = code_blocks((ROOT / "docs/mlflow.md").read_text(encoding="utf-8"), "python")
TEXTS = ["I love it.", "", "Not bad at all.", "Waste of money; broke in a week."]
ASK = f"""
import json
import pandas
from mlflow.exceptions import MlflowException

texts = {TEXTS}
found = {{"list": model.predict(texts), "table": model.predict(pandas.DataFrame({{"x": texts}}))}}
for name, bad in [("missing", ["fine", None]), ("number", ["fine", 3]), ("text", "fine")]:
    try:
        model.predict(bad)
    except MlflowException as error:
        found[name] = str(error)
print(json.dumps(found))
"""


def run_process(code: str, folder: Path) -> str:
    """Run code in a process of its own, without a network."""
    done = subprocess.run(
        [sys.executable, "-c", GUARD + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "OUTSIDE" not in done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What another process got from the model that one has logged."""
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "review_model.py").write_text(FILE)
    run_process(LOG, folder)
    (folder / "review_model.py").unlink()
    answers: dict[str, Any] = json.loads(run_process(LOAD + ASK, folder).splitlines()[-1])
    return answers


@pytest.mark.parametrize("way", ["list", "table"])
def test_the_answers_are_those_of_the_predictor(found: dict[str, Any], way: str) -> None:
    expected = SentimentPredictor.from_pretrained(DEFAULT_MODEL).predict(TEXTS)
    assert [answer["label"] for answer in found[way]] == [one.label for one in expected]
    assert [answer["score"] for answer in found[way]] == pytest.approx(
        [one.score for one in expected], abs=1e-6
    )


@pytest.mark.parametrize("what", ["missing", "number", "text"])
def test_what_is_no_list_of_texts_is_refused(found: dict[str, Any], what: str) -> None:
    assert "Expected" in found[what]
