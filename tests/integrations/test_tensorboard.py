"""`report_to: tensorboard` through the command line: the events are the log of the run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import results_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sentiment_lstm.cli.main import main


def test_the_events_are_the_log_and_stay_at_home(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(write_recipe(report_to="tensorboard"))]) == 0
    assert main(["train", str(write_recipe(output_dir=str(tmp_path / "quiet")))]) == 0
    run = tmp_path / "run"
    (events,) = run.rglob("events.out.tfevents.*")
    read = EventAccumulator(str(events.parent)).Reload()
    log = results_of(run).training["log"]
    for tag, field in [("train/loss", "loss"), ("eval/loss", "eval_loss")]:
        found = [(event.step, pytest.approx(event.value)) for event in read.Scalars(tag)]
        assert found == [(entry["step"], entry[field]) for entry in log if field in entry]
        assert len(found) > 3
    capsys.readouterr()
    assert main(["push", str(run), "tester/watched", "--dry-run"]) == 0
    assert "model.safetensors" in (sent := capsys.readouterr().out)
    assert "tfevents" not in sent
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "quiet")]
    assert weights[0] == weights[1], "watching changes nothing"
