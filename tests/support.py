"""What several test files use: presets, stand-ins for results, processes without the package."""

import io
import re
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fake_hub import FakeHub
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.evaluation.results import Results, read_results
from sentiment_lstm.hub.baselines import Baseline

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "scripts" / "recipes"


def make_results(**fields: Any) -> Results:
    """Results of a run that never was, with the given fields."""
    nothing: dict[str, Any] = {
        "recipe": {},
        "reviews": {},
        "bf16": False,
        "model": "SentimentLSTMForSequenceClassification",
        "files": {},
        "seed": 0,
        "parameters": 1,
        "vocab_size": 3,
        "training": {},
        "machine": {},
        "versions": {},
        "metrics": {},
        "wall_time_seconds": {},
    }
    return Results(**(nothing | fields))


def make_baseline(**fields: Any) -> Baseline:
    """A model that nobody has ever made, with the given fields."""
    marbles: dict[str, Any] = {
        "name": "Bag of Marbles",
        "description": "counts marbles",
        "parameters": 123456,
        "trained_on": "the same reviews",
        "train_seconds": 54.25,
        "command": "python scripts/marbles.py",
        "metrics": {},
    }
    return Baseline(**(marbles | fields))


def results_of(folder: Path) -> Results:
    """The results of a finished run."""
    return read_results(folder / "results.json")


def make_behaviour(suite: str = "0ddd", **rates: float) -> dict[str, Any]:
    """What `Behaviour.as_dict` gives of a model with these failure rates by capability."""
    example = {
        "template": "It is not {good}.",
        "target": "negative",
        "texts": ["It is not good."],
        "probabilities": [0.9],
    }
    return {
        "suite": suite,
        "cases": 40 * len(rates),
        "failure_rate": round(sum(rates.values()) / len(rates), 4),
        "capabilities": {
            name: {"cases": 40, "failure_rate": rate, "examples": [example]}
            for name, rate in rates.items()
        },
    }


EVERY_POOLING = "last+max+mean+attention"


# Faces and depths that behave differently inside; each law holds for all of them.
DEFAULT_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "one direction": {"bidirectional": False, "pooling": EVERY_POOLING},
    "two layers": {"num_hidden_layers": 2, "pooling": EVERY_POOLING},
}


TUTORIAL_PRESET: dict[str, Any] = {
    "bidirectional": False,
    "num_hidden_layers": 2,
    "pooling": "last",
    "pad_to_length": 8,
    "single_logit": True,
}


PRESETS = DEFAULT_PRESETS | {"tutorial": TUTORIAL_PRESET}

# Labels of models: what a config says of them.
LABELS: dict[str, dict[str, Any]] = {
    "two": {},
    "three": {"id2label": {0: "poor", 1: "fair", 2: "good"}},
    "several at once": {
        "id2label": {0: "cheap", 1: "sturdy"},
        "problem_type": "multi_label_classification",
    },
    "a number": {"num_labels": 1, "problem_type": "regression"},
}


def randomised(
    model: SentimentLSTMForSequenceClassification,
) -> SentimentLSTMForSequenceClassification:
    """Move every parameter off its start, so that none is zero and hides a mistake."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


# The finder stands first, so that not even the checkout can be imported.
WITHOUT_PACKAGE = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sentiment_lstm":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_alone(hub: FakeHub, home: Path, code: str, **kwargs: Any) -> str:
    """Run code in a process of its own with the hub's environment; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=hub.environment(home, **kwargs),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


def save_tiny_transformer(
    folder: Path, tokenizer: PreTrainedTokenizerFast, layers: int = 2
) -> None:
    """A "pretrained" transformer with dropout, the same for the same tokenizer and layers."""
    set_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def metrics(accuracy: float, **fields: Any) -> dict[str, Any]:
    return {
        "reviews": 1459,
        "accuracy": accuracy,
        "accuracy_low": 0.8929,
        "accuracy_high": 0.92255,
        "f1": 0.9112,
        "precision": 0.9009,
        "recall": 0.9216,
        "roc_auc": 0.96765,
        "loss": 0.24613,
        "expected_calibration_error": 0.0363,
        "confusion_matrix": [[644, 75], [58, 682]],
        "slices": {
            "confidence": [
                group(17, 0.4118, 0.2161, 0.6405, confidence=0.5126),
                group(1442, 0.91470, 0.8991, 0.928, confidence=0.9887),
            ],
            "length": [
                group(32, 0.84375, 0.6825, 0.9314, [[9, 2], [3, 18]], low=0, high=25),
                group(1427, 0.91030, 0.8943, 0.9241, [[635, 73], [55, 664]], low=401),
            ],
            "negation": {
                "without": group(419, 0.94033, 0.9134, 0.9593, [[97, 15], [10, 297]]),
                "with": group(1040, 0.89615, 0.8762, 0.9132, [[547, 60], [48, 385]]),
            },
        },
    } | fields


def group(
    reviews: int,
    accuracy: float,
    accuracy_low: float,
    accuracy_high: float,
    matrix: list[list[int]] | None = None,
    *,
    low: int | None = None,
    high: int | None = None,
    confidence: float | None = None,
) -> dict[str, Any]:
    """The figures of one slice of the reviews."""
    return {
        "reviews": reviews,
        "accuracy": accuracy,
        "accuracy_low": accuracy_low,
        "accuracy_high": accuracy_high,
        **({} if matrix is None else {"confusion_matrix": matrix}),
        **({} if low is None else {"tokens_from": low, "tokens_to": high}),
        **({} if confidence is None else {"confidence": confidence}),
    }


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a full disk; of this process, for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def serving(words: list[str], folder: Path) -> Iterator[str]:
    """Run a command that serves, in a folder; the address of this machine that it has printed."""
    with tempfile.NamedTemporaryFile("w") as output:
        process = subprocess.Popen(words, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            for _ in range(1200):
                said = Path(output.name).read_text()
                if found := re.search(r"http://[\w.]+:\d+", said):
                    break
                assert process.poll() is None, said
                time.sleep(0.1)
            else:
                raise AssertionError(f"{words} takes too long:\n{said}")
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# Refuses, in a subprocess, every connection that would leave the machine, and says which.
GUARD = """
import sys
def guard(event, args):
    if event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", None):
        print("OUTSIDE", args[0])
        raise OSError("no network")
    if event == "socket.connect" and args[1][0] != "127.0.0.1":
        print("OUTSIDE", args[1])
        raise OSError("no network")
sys.addaudithook(guard)
"""


def run(hub: FakeHub, home: Path, code: str, **kwargs: Any) -> list[str]:
    """Run code in a process that knows no address but the hub's; the lines that it printed."""
    return run_alone(hub, home, GUARD + textwrap.dedent(code), **kwargs).splitlines()


POLARITY = {
    "train": [("Great", "A joy from the first page to the last.", 1), ("No", "It broke.", 0)] * 5,
    "test": [
        ("Fine", "Does what it says, and quietly.", 1),
        ("Dull", "I fell asleep twice.", 0),
        ("Avoid", "The handle came off on the first day.", 0),
        ("Lovely", "My daughter wears it every day.", 1),
    ],
}


def polarity_files() -> dict[str, bytes]:
    """A dataset laid out as ``fancyzhx/amazon_polarity`` is."""
    card = """\
        ---
        dataset_info:
          config_name: amazon_polarity
          features:
          - name: label
            dtype: {class_label: {names: {'0': negative, '1': positive}}}
          - name: title
            dtype: string
          - name: content
            dtype: string
          splits:
          - {name: train, num_bytes: 900, num_examples: 10}
          - {name: test, num_bytes: 400, num_examples: 4}
        configs:
        - config_name: amazon_polarity
          data_files:
          - split: train
            path: amazon_polarity/train-*
          - split: test
            path: amazon_polarity/test-*
          default: true
        ---
        # Reviews
        """
    files = {"README.md": textwrap.dedent(card).encode()}
    for split, rows in POLARITY.items():
        files[f"amazon_polarity/{split}-00000-of-00001.parquet"] = parquet(rows)
    return files


def parquet(rows: list[tuple[str, str, int]]) -> bytes:
    """Title, content and label as one file of that dataset."""
    title, content, label = (list(column) for column in zip(*rows, strict=True))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"label": label, "title": title, "content": content}), buffer)
    return buffer.getvalue()
