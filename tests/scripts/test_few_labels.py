"""The curve over a few labelled reviews: its points, its start, and what is kept."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import few_labels
import pytest
import yaml
from support import RECIPES

from sentiment_lstm.training import teachers
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.starting import classifier_config


@pytest.fixture
def run(
    write_recipe: Callable[..., Path],
    model_folder: Path,
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[dict[str, Any], str]]:
    """A function from words of the command line to the figures and what was printed."""
    recipe = write_recipe(init_from=str(model_folder), num_train_epochs=1, learning_rate=0.1)

    def command(*words: str) -> tuple[dict[str, Any], str]:
        options = ["--recipe", str(recipe), "--output_dir", str(tmp_path / "few"), "--draws", "1"]
        options += ["--train", f"{review_file}:train[:40]", "--test", f"{review_file}:train[40:]"]
        monkeypatch.setattr(sys, "argv", ["few_labels.py", *options, *words])
        few_labels.main()
        content = json.loads((tmp_path / "few" / "few_labels.json").read_text())
        return content, capsys.readouterr().out

    return command


def test_every_model_has_a_point_for_each_set_and_finished_ones_are_kept(
    run: Callable[..., tuple[dict[str, Any], str]],
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, _ = run("--sizes", "30", "--baselines")
    assert list(content["points"]) == ["this model"]
    assert content["start"]["reviews"] == 20
    assert str(tmp_path) not in json.dumps(content), "nothing of the machine"
    # A baseline is added, and nothing that is there is trained again.
    kept = json.loads(json.dumps(content))
    monkeypatch.setattr(few_labels, "_fine_tune", None)
    learned: list[list[str]] = []
    tfidf = teachers.CLASSIFIERS["tfidf"].train

    def watch(texts: list[str], labels: list[int]) -> teachers.Trained:
        learned.append(texts)
        return tfidf(texts, labels)

    name = "TF-IDF + logistic regression"
    watched = teachers.Classifier(name, "", watch)
    monkeypatch.setattr(few_labels, "classifiers", lambda _: {"tfidf": watched})
    content, printed = run("--sizes", "30", "--baselines", "tfidf")
    assert content["points"]["this model"] == kept["points"]["this model"]
    assert content["points"][name] == {"30": [1.0]}, "the same reviews, seen on another day"
    assert f"| this model | {content['start']['accuracy']:.1%} | " in printed
    assert f"| {name} | – | 100.0% (100.0% to 100.0%) |" in printed
    assert (tmp_path / "few" / "few_labels.png").read_bytes().startswith(b"\x89PNG")
    # The model and the baseline have learned from the same labelled reviews, no more and no less.
    recipe = yaml.safe_load((tmp_path / "few" / "30-0" / "recipe.yaml").read_text())
    source = tmp_path / "few" / "30-0.jsonl"
    assert (recipe["train"], recipe["validation"]) == (
        [f"{source}:train[:24]"],
        [f"{source}:train[24:]"],
    )
    lines = source.read_text().splitlines()
    assert [[json.loads(line)["text"] for line in lines]] == learned

    # Other weights to start from are another curve.
    config = model_folder / "model.safetensors"
    config.write_bytes(config.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(SystemExit, match=r"few_labels: .*holds figures of another recipe, another"):
        run("--sizes", "30", "--baselines")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "41"], "sizes are from 5 to 40"),
        (["--sizes", "4"], "sizes are from 5 to 40"),
        (["--init_from", "null"], "init_from is None: name the folder of a classifier"),
        (["--hiden_size", "3"], "hiden_size"),
    ],
)
def test_what_cannot_be_measured_is_said(
    words: list[str], message: str, run: Callable[..., tuple[dict[str, Any], str]], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=f"few_labels: .*{message}"):
        run(*words)
    assert not (tmp_path / "few").exists()


def test_the_recipe_fits_the_released_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPES.parents[1])
    config = classifier_config(read_recipe(RECIPES / "fine_tune.yaml"))
    assert config is not None
    assert config.vocab_size > 1000
