"""Two processes take the very steps of one process with the same global batch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sentiment_lstm.cli.main import main

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def train(folder: Path, recipe: Path, batch_size: int, launched: bool = False) -> dict[str, Any]:
    """The results of a run, in this process or in several that are launched."""
    given = ["--output_dir", folder, "--per_device_train_batch_size", batch_size]
    command = list(map(str, ["train", recipe, *given]))
    if launched:
        subprocess.run([*LAUNCH, "-m", "sentiment_lstm", *command], check=True, timeout=600)
    else:
        assert main(command) == 0
    return dict(json.loads((folder / "results.json").read_text()))


def test_two_processes_are_as_one(review_file: Path, tmp_path: Path) -> None:
    """On a CPU, whose name is another one where several processes share it."""
    recipe = tmp_path / "tiny.yaml"
    # Without dropout, whose masks are drawn by each process for its own reviews.
    recipe.write_text(
        f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 2\nhidden_size: 8\n"
        "embedding_size: 8\nembedding_dropout: 0\nhidden_dropout: 0\nclassifier_dropout: 0\n"
        "learning_rate: 0.02\nema_decay: 0.9\nlogging_steps: 1\nbf16: false\ncalibrate: false\n"
        "disable_tqdm: true\n"
        "per_device_eval_batch_size: 30\n"  # as many for each: no review is validated twice
    )
    one = train(tmp_path / "one", recipe, 20)
    two = train(tmp_path / "two", recipe, 10, launched=True)
    assert [found["machine"]["processes"] for found in (one, two)] == [1, 2]

    curves = [
        [entry["loss"] for entry in found["training"]["log"] if "loss" in entry]
        for found in (one, two)
    ]
    assert len(curves[0]) == 6
    assert curves[0][-1] < curves[0][0] - 0.05
    assert curves[1] == pytest.approx(curves[0], abs=1e-4)

    best = [found["training"]["best_validation_loss"] for found in (one, two)]
    assert best[1] == pytest.approx(best[0], abs=1e-4)
    # It is the average that was kept: what the folder gives is what was validated.
    (figures,) = two["metrics"]["validation"].values()
    assert figures["loss"] == pytest.approx(best[1], rel=1e-3)
