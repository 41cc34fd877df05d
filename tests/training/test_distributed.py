"""Two processes take the very steps of one process with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def losses(folder: Path, recipe: Path, batch_size: int, launch: list[str]) -> list[float]:
    """The training losses of a run, step by step."""
    command = ["train", recipe, "--output_dir", folder, "--per_device_train_batch_size", batch_size]
    subprocess.run(
        [*launch, "-m", "sentiment_lstm", *map(str, command)],
        check=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    results = json.loads((folder / "results.json").read_text())
    assert results["machine"]["processes"] == (1 if launch == [sys.executable] else 2)
    return [entry["loss"] for entry in results["training"]["log"] if "loss" in entry]


def test_two_processes_average_the_weights_as_one(review_file: Path, tmp_path: Path) -> None:
    """On a CPU, whose name is another one where several processes share it."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 2\nhidden_size: 8\n"
        "embedding_size: 8\nembedding_dropout: 0\nhidden_dropout: 0\nclassifier_dropout: 0\n"
        "learning_rate: 0.02\nema_decay: 0.9\nbf16: false\ndisable_tqdm: true\ncalibrate: false\n"
        "per_device_eval_batch_size: 30\n"  # as many for each: no review is validated twice
    )
    found = []
    for folder, size, launch in [("one", 20, [sys.executable]), ("two", 10, LAUNCH)]:
        losses(tmp_path / folder, recipe, size, launch)
        found.append(json.loads((tmp_path / folder / "results.json").read_text()))
    one, two = (results["training"]["best_validation_loss"] for results in found)
    assert two == pytest.approx(one, abs=1e-4)
    # It is the average that was kept: what the folder gives is what was validated.
    (figures,) = found[1]["metrics"]["validation"].values()
    assert figures["loss"] == pytest.approx(two, rel=1e-3)


def test_two_processes_have_the_loss_curve_of_one(review_file: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    # Without dropout, whose masks are drawn by each process for its own reviews.
    recipe.write_text(
        f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 2\nhidden_size: 8\n"
        "embedding_size: 8\nembedding_dropout: 0\nhidden_dropout: 0\nclassifier_dropout: 0\n"
        "learning_rate: 0.02\nlogging_steps: 1\nbf16: false\ndisable_tqdm: true\n"
    )
    one = losses(tmp_path / "one", recipe, 20, [sys.executable])
    two = losses(tmp_path / "two", recipe, 10, LAUNCH)
    assert len(one) == 6
    assert one[-1] < one[0] - 0.05
    assert two == pytest.approx(one, abs=1e-4)
