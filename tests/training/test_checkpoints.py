"""A run resumes from a checkpoint that is whole, in each of its files, or says why it does not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import TrainerCallback

from sentiment_lstm.training import checkpoints
from sentiment_lstm.training import run as run_module
from sentiment_lstm.training.checkpoints import STAGING_FOLDER, newest_whole_checkpoint
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import train
from sentiment_lstm.training.trainer import SentimentTrainer, make_trainer


class StoppedError(BaseException):
    """The process ends here, as if killed: nothing that looks after errors may see it."""


class _StopAtSeven(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 7:
            raise StoppedError


def _make_trainer(*arguments: Any) -> SentimentTrainer:
    trainer = make_trainer(*arguments)
    trainer.add_callback(_StopAtSeven())
    return trainer


@pytest.fixture(scope="module")
def stopped(review_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stopped run that learns nothing, so that its first checkpoint is the best."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    fields = {
        "train": f"{review_file}:train[:48]",
        "validation": f"{review_file}:train[48:]",
        "output_dir": str(folder),
        "embedding_size": 4,
        "hidden_size": 4,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "eval_steps": 3,
        "learning_rate": 0.0,
        "ema_decay": 0.5,
        "disable_tqdm": True,
        "bf16": False,
        "use_cpu": True,
    }
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(fields))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "make_trainer", _make_trainer)
        with pytest.raises(StoppedError):
            train(read_recipe(recipe))
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stopped, tmp_path / "run")


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def test_no_token_is_in_a_checkpoint(stopped: Path, tmp_path: Path) -> None:
    """Its arguments of training are pickled whole."""
    fields = {"output_dir": str(tmp_path / "run"), "hub_token": "hf_secret"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "make_trainer", _make_trainer)
        with pytest.raises(StoppedError):
            train(read_recipe(stopped.parent / "recipe.yaml", fields))
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert tmp_path / "run" / "checkpoint-6" / "training_args.bin" in files
    for path in files:
        assert b"hf_secret" not in path.read_bytes(), path


def test_a_checkpoint_of_before_manifests_is_taken_over_if_it_is_complete(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By fine-tuning alone: of a run of ours, a manifest that is gone is damage."""
    for name in ("checkpoint-3", "checkpoint-6"):
        (folder / name / "manifest.json").unlink()
    (folder / "checkpoint-6" / "rng_state.pth").unlink()
    _truncate(
        shutil.copytree(folder / "checkpoint-3", folder / "checkpoint-9") / "model.safetensors"
    )
    _empty(folder / "checkpoint-9" / "optimizer.pt")
    checkpoints.seal_old(folder)
    assert caplog.text.count("had no manifest; it is taken as it is") == 1
    assert newest_whole_checkpoint(folder) == folder / "checkpoint-3"
    assert names(folder) == {"checkpoint-3"}
    _flip(folder / "checkpoint-3" / "optimizer.pt")
    checkpoints.seal_old(folder)
    assert newest_whole_checkpoint(folder) is None


DAMAGES = [_remove, _truncate, _empty, _flip]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("checkpoint-*")}


def test_the_newest_checkpoint_is_taken(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {path.name for path in (folder / "checkpoint-6").iterdir()}
    kept = {"ema.safetensors", "model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt"}
    assert kept | {"trainer_state.json"} <= files
    assert names(folder) == {"checkpoint-3", "checkpoint-6"}
    assert newest_whole_checkpoint(folder) == folder / "checkpoint-6"
    assert names(folder) == {"checkpoint-3", "checkpoint-6"}
    assert not caplog.records


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_any_file_of_the_newest_falls_back_to_the_one_before(
    damage: Callable[[Path], None], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newest, aside = folder / "checkpoint-6", folder / "aside"
    shutil.copytree(newest, aside)
    for file in sorted(path.name for path in aside.iterdir()):
        caplog.clear()
        damage(newest / file)
        assert newest_whole_checkpoint(folder) == folder / "checkpoint-3", file
        (record,) = caplog.records
        # A manifest with another digest speaks of another file.
        said = "checkpoint-6: " if file == "manifest.json" else f"checkpoint-6: {file} is "
        assert said in record.getMessage()
        assert record.getMessage().endswith("and the run resumes from checkpoint-3")
        assert names(folder) == {"checkpoint-3"}
        shutil.copytree(aside, newest)


def test_a_checkpoint_without_its_best_one_is_of_no_use(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run would end with other weights than without the interruption."""
    _flip(folder / "checkpoint-3" / "model.safetensors")
    assert newest_whole_checkpoint(folder) is None
    assert "checkpoint-3: model.safetensors is damaged" in caplog.text
    assert "checkpoint-6: of no use without checkpoint-3, the best one" in caplog.text
    assert caplog.text.count("the run starts anew") == 2
    assert not names(folder)


@pytest.mark.parametrize(
    "place",
    [
        "torch.save",
        "transformers.TrainerState.save_to_json",
        "sentiment_lstm.training.checkpoints.write_json",
        "sentiment_lstm.training.checkpoints.os.rename",
        "sentiment_lstm.training.checkpoints.rotate_checkpoints",
    ],
)
def test_a_run_that_is_killed_while_it_saves_has_whole_checkpoints_only(
    place: str, stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has a checkpoint's name can be resumed from, and the one before is still there."""

    def stop(*_: Any, **__: Any) -> Any:
        raise StoppedError

    recipe = read_recipe(stopped.parent / "recipe.yaml", {"output_dir": str(tmp_path / "run")})
    monkeypatch.setattr(run_module, "make_trainer", _make_trainer)
    with pytest.raises(StoppedError):
        train(recipe)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_trainer", make_trainer)
        patch.setattr(place, stop)
        with pytest.raises(StoppedError):
            train(recipe)
    saved = names(tmp_path / "run")
    assert {"checkpoint-3", "checkpoint-6"} <= saved
    for name in saved:
        assert checkpoints._fault(tmp_path / "run" / name) is None
    newest = "checkpoint-9" if "rotate" in place else "checkpoint-6"
    assert newest_whole_checkpoint(tmp_path / "run") == tmp_path / "run" / newest
    assert not (tmp_path / "run" / STAGING_FOLDER).exists()
