"""Small reviews and a recipe, made up here, and what undisturbed commands make of them."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .commands import run
from .tally import Fault, succeeded

TRAIN = ("train", "recipe.yaml")
PREDICT = (
    *("predict", "--model", "model", "--input", "texts.txt"),
    *("--output", "labels.jsonl", "--chunk_size", "4", "--exact"),
)
# Fourteen steps, with a checkpoint at each seventh. The rates let the best be not the last.
_RECIPE = """\
train: train.ft.txt
validation: ['validation.ft.txt:train[:6]', 'validation.ft.txt:train[6:]']
test: validation.ft.txt
output_dir: run
embedding_size: 6
hidden_size: 8
per_device_train_batch_size: 4
num_train_epochs: 1
learning_rate: 0.02
ema_decay: 0.8
eval_steps: 2
save_total_limit: 2
logging_steps: 1
seed: 5
bf16: false
use_cpu: true
disable_tqdm: true
"""
_THINGS = ("lamp", "book", "kettle", "film", "scarf", "radio", "chair", "game", "toaster")
_GOOD = ("love", "great", "perfect", "sturdy", "lovely", "happy", "excellent", "warm", "bright")
_BAD = ("broke", "waste", "terrible", "boring", "refund", "cracked", "awful", "useless", "noisy")
_REST = ("the", "a", "it", "is", "was", "and", "this", "very", "after", "in", "of", "one", "we")
# What differs between two runs that are the same.
_INCIDENTAL = ("wall_time_seconds", "machine")
_INCIDENTAL_OF_LOG = ("runtime", "per_second")


def make_text(random: random.Random, label: int | None = None) -> str:
    """A review of nothing."""
    label = random.randrange(2) if label is None else label
    words = [random.choice(_REST) for _ in range(random.randrange(3, 12))]
    for word in random.choices(_GOOD if label else _BAD, k=2):
        words.insert(random.randrange(len(words)), word)
    words.insert(0, random.choice(_THINGS))
    return f"{' '.join(words)}."


@dataclass
class Stage:
    """A folder to try commands in.

    Args:
        home: What each try begins with: reviews, a recipe and, in `model`, a finished run of it.
        work: Where each try is made, always under the same name.
        trained: What a finished run is made of, as `contents` gives it.
        labels: What the undisturbed prediction writes.
    """

    home: Path
    work: Path
    trained: dict[str, bytes]
    labels: bytes

    @classmethod
    def make(cls, folder: Path) -> Stage:
        """Write the reviews, and run the commands undisturbed.

        Raises:
            RuntimeError: If they do not end well, or not twice with the same.
        """
        home, work = folder / "home", folder / "work"
        home.mkdir(parents=True)
        generator = random.Random(11)
        for name, count in (("train", 24), ("validation", 12)):
            texts = [make_text(generator, index % 2) for index in range(count)]
            lines = [f"__label__{1 + index % 2} {text}\n" for index, text in enumerate(texts)]
            (home / f"{name}.ft.txt").write_text("".join(lines), encoding="utf-8")
        texts = [make_text(generator) for _ in range(11)]
        (home / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
        (home / "recipe.yaml").write_text(_RECIPE, encoding="utf-8")
        stage = cls(home, work, {}, b"")
        found = []
        for _ in range(2):
            stage.restore()
            _must(run(TRAIN, work))
            found.append(contents(work / "run"))
        if different := differences(*found):
            raise RuntimeError(f"two undisturbed runs differ in {', '.join(different)}")
        shutil.copytree(work / "run", home / "model")
        stage.restore()
        _must(run(PREDICT, work))
        stage.trained = found[0]
        stage.labels = (work / "labels.jsonl").read_bytes()
        return stage

    def restore(self, state: Path | None = None) -> None:
        """Let the working folder be as it was in the beginning, or as a copy that was kept."""
        if self.work.exists():
            shutil.rmtree(self.work)
        shutil.copytree(state or self.home, self.work)

    def check_run(self, folder: Path | None = None) -> Fault | None:
        """Whether a finished run is that of the undisturbed command, and nothing else is left."""
        folder = folder or self.work / "run"
        if different := differences(contents(folder), self.trained):
            return Fault("wrong", f"differs in {', '.join(different)}")
        return None

    def check_labels(self, folder: Path | None = None) -> Fault | None:
        """Whether the predictions are those of the undisturbed command, with nothing left."""
        folder = folder or self.work
        path = folder / "labels.jsonl"
        written = path.read_bytes() if path.exists() else b""
        lines, expected = written.count(b"\n"), self.labels.count(b"\n")
        if lines < expected:
            return Fault("lost", f"{lines} of {expected} lines")
        if written != self.labels:
            return Fault("wrong", "other predictions")
        if left := sorted(other.name for other in folder.glob("labels.jsonl?*")):
            return Fault("wrong", f"left {', '.join(left)}")
        return None


def contents(folder: Path) -> dict[str, bytes]:
    """What a finished run holds: name -> content, less times and where it was resumed."""
    found = {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
    if "results.json" in found:
        results: dict[str, Any] = json.loads(found["results.json"])
        training = results["training"]
        training.pop("resumed_from", None)
        training["log"] = [
            {
                name: value
                for name, value in entry.items()
                if not name.endswith(_INCIDENTAL_OF_LOG) and name != "train_loss"
            }
            for entry in training["log"]
        ]
        for name in _INCIDENTAL:
            results.pop(name)
        found["results.json"] = json.dumps(results, indent=1, sort_keys=True).encode()
    return found


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Which files two folders do not share."""
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def _must(ended: Any) -> None:
    if fault := succeeded(ended):
        raise RuntimeError(f"the undisturbed command fails: {fault.reason}\n{ended.error}")
