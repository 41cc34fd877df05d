"""A search over two tiny trials, with Optuna itself."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from support import no_file_beyond

from sentiment_lstm.cli.main import main
from sentiment_lstm.locks import LockedError, hold
from sentiment_lstm.training.recipe import RecipeError, read_recipe
from sentiment_lstm.training.trainer import SentimentTrainer
from sentiment_lstm.training.tuning import DEFAULT_SPACE, _study, read_space, tune

WriteRecipe = Callable[..., Path]

SPACE = {
    "learning_rate": {"low": "1e-3", "high": 0.1, "log": True},  # 1e-3 is text to YAML
    "hidden_size": [8, 12],
    "per_device_train_batch_size": [4, 8],
    "num_train_epochs": {"low": 1, "high": 2},
}


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(SPACE))
    return path


def study_of(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="tune", storage=f"sqlite:///{folder / 'study.db'}")


def test_a_search_ends_with_a_recipe_that_trains(
    write_recipe: WriteRecipe,
    space_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[tuple[int, int, float, int]] = []
    losses: list[float] = []
    evaluate = SentimentTrainer.evaluate

    def watch(self: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = evaluate(self, *args, **kwargs)
        hidden, batch = self.model.config.hidden_size, self.args.train_batch_size
        seen.append((hidden, batch, self.args.learning_rate, self.args.num_train_epochs))
        losses.append(metrics["eval_loss"])
        return metrics

    monkeypatch.setattr(SentimentTrainer, "evaluate", watch)
    recipe, folder = write_recipe(eval_steps=2), tmp_path / "run-tune"
    command = ["tune", str(recipe), "--trials", "2", "--space", str(space_file), "--seed", "5"]
    assert main(command) == 0
    trials = study_of(folder).trials
    assert len(trials) == 2
    # Each trial trained with its own settings and counts by its best epoch.
    at = 0
    for trial in trials:
        epochs = trial.params["num_train_epochs"]
        names = ("hidden_size", "per_device_train_batch_size", "learning_rate", "num_train_epochs")
        assert seen[at : at + epochs] == [tuple(trial.params[name] for name in names)] * epochs
        assert trial.value == min(losses[at : at + epochs])
        at += epochs
    assert at == len(seen)
    assert {path.name for path in folder.iterdir()} == {"best.yaml", "study.db"}
    assert not (tmp_path / "run").exists(), "trials keep nothing"

    best = min(trials, key=lambda trial: trial.value or 0.0)
    fields = yaml.safe_load((folder / "best.yaml").read_text())
    assert fields["seed"] == 5
    assert fields == {**read_recipe(recipe, {"seed": 5}).fields} | best.params | {
        "output_dir": f"{tmp_path / 'run'}-best"
    }
    assert capsys.readouterr().out.endswith(f"best recipe: {folder / 'best.yaml'}\n")
    assert main(["train", str(folder / "best.yaml")]) == 0
    config = json.loads((tmp_path / "run-best" / "config.json").read_text())
    assert config["hidden_size"] == best.params["hidden_size"]

    # What is done is not done again; more trials can be added, and they are new ones.
    monkeypatch.setattr(SentimentTrainer, "train", None)
    assert main(command) == 0
    monkeypatch.undo()
    command[3] = "3"
    assert main(command) == 0
    trials = study_of(folder).trials
    assert len({json.dumps(trial.params) for trial in trials}) == len(trials) == 3


def test_a_search_goes_on_after_an_interruption(
    write_recipe: WriteRecipe,
    space_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["tune", str(write_recipe()), "--space", str(space_file), "--trials", "2"]
    train, calls = SentimentTrainer.train, 0

    def stop_in_the_second(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return train(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(SentimentTrainer, "train", stop_in_the_second)
        assert main(command) == 130
    assert "the same command resumes" in capsys.readouterr().err
    study_of(tmp_path / "run-tune").ask()  # as a trial is left by a process that was killed
    assert main(command) == 0
    states = [trial.state.name for trial in study_of(tmp_path / "run-tune").trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]

    with pytest.raises(RecipeError, match="run-tune: holds a search of another recipe or space"):
        tune(read_recipe(write_recipe(seed=1)), 2, read_space(space_file))
    with pytest.raises(RecipeError, match="another recipe or space"):
        tune(read_recipe(write_recipe()), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hiden_size: [8]", r"space\.yaml: `hiden_size` is no field"),
        ("min_frequency: [1, 2]", "`min_frequency` is no field of the architecture or of training"),
        ("hidden_size: 8", "`hidden_size` must be a list of values"),
        ("hidden_size: []", "`hidden_size` must be a list of values"),
        ("learning_rate: {low: 0.1}", "`learning_rate` must be a list"),
        ("learning_rate: {low: 0.1, high: 0.01}", "low below high"),
        ("learning_rate: {low: 0, high: 1, log: true}", "low above 0"),
        ("learning_rate: {low: a, high: b}", "`learning_rate` must be a list"),
        ("learning_rate: {low: 0.1, high: 1, lgo: true}", "`learning_rate` must be a list"),
        ("- a", "a space is a mapping"),
        ("", "a space is a mapping"),
        ("a: [", "no valid YAML"),
        ("# " + "x" * 300_000, "over 262,144 bytes"),
        ("a: &a [1]\nb: [" + "*a, " * 30 + "]", "aliases"),
    ],
)
def test_a_wrong_space_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        read_space(path)


def test_wrong_values_are_found_before_the_first_trial(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    recipe = read_recipe(write_recipe())
    with pytest.raises(RecipeError, match=r"space: .*`hidden_size` must be even"):
        tune(recipe, 2, {"hidden_size": [8, 9]})
    with pytest.raises(RecipeError, match=r"space: .*`classifier_dropout` must be a probability"):
        tune(recipe, 2, {"classifier_dropout": {"low": 0.0, "high": 1.0}})
    with pytest.raises(RecipeError, match="trials is 0"):
        tune(recipe, 0)
    assert not (tmp_path / "run-tune").exists()


def test_a_folder_has_one_search_at_a_time(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    with (
        hold(tmp_path / "run-tune" / "run.lock", "it"),
        pytest.raises(LockedError, match="run-tune: in use by process"),
    ):
        tune(read_recipe(write_recipe()), 1)
    assert not (tmp_path / "run-tune").exists()


def test_a_token_is_not_in_the_study(
    write_recipe: WriteRecipe,
    space_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentiment_lstm.training.tuning._search", lambda *_: None)
    for token in ("hf_secret", "hf_other"):  # with another token it is the same search
        recipe = read_recipe(write_recipe(hub_token=token, num_train_epochs=1))
        with pytest.raises(ValueError, match="Record does not exist"):
            tune(recipe, 1, read_space(space_file))
    files = [path for path in (tmp_path / "run-tune").iterdir() if path.is_file()]
    assert files
    assert not [path for path in files if b"hf_" in path.read_bytes()]


def test_a_full_disk_is_named(
    write_recipe: WriteRecipe,
    space_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["tune", str(write_recipe()), "--trials", "1", "--space", str(space_file)]
    with no_file_beyond(20_000):  # of which the study takes more
        assert main(command) == 1
    assert "run-tune: there is no room for it (" in capsys.readouterr().err
    assert main(command) == 0


def test_the_default_space_is_a_valid_one(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(DEFAULT_SPACE))
    assert read_space(path) == DEFAULT_SPACE


def test_without_optuna_the_extra_is_named(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", str(write_recipe()), "--trials", "1"]) == 1
    assert 'pip install "sentiment-lstm[tune]"' in capsys.readouterr().err


def test_a_misspelled_option_is_named(
    write_recipe: WriteRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", str(write_recipe()), "--trails", "1"]) == 1
    assert "no field `trails`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate", "folder", "source", "--trials", "1"])
    assert "unrecognized arguments: --trials" in capsys.readouterr().err


def test_a_search_knows_its_recipe_again_whose_labels_are_numbers(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    """In the study, which is JSON, they are strings."""
    recipe = read_recipe(write_recipe(labels={1: 0, 2: 1}))
    for _ in range(2):
        _study(tmp_path, recipe, {"learning_rate": [0.01, 0.02]})
