"""Fine-tuning of pretrained transformers: baselines to compare with, and teachers to learn from.

Training and long predictions can be stopped at any time: the same call resumes them.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from datasets.fingerprint import Hasher
from numpy.typing import NDArray
from safetensors.torch import load_model, save_model
from tqdm.auto import tqdm
from transformers import (
    DataCollatorWithPadding,
    TrainerCallback,
    TrainerControl,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import ExportableState

from ..files import naming_full_disk, sync_folder, write_json
from ..inference.predictor import computes_in_bf16
from .checkpoints import SealingTrainer, newest_whole_checkpoint, seal_old
from .distillation import read_soft_labels, text_key, write_soft_labels
from .int8 import in_int8
from .pretrained import WEIGHTS_FILE, PretrainedTransformer
from .trainer import TrainingTimer

# What takes longer than this is saved in between.
SAVE_SECONDS = 300.0

_FINISHED_FILE = "finished.json"
# Texts that are tokenised at once.
_TOKENIZED_TOGETHER = 10_000


@dataclass(frozen=True)
class FineTuned:
    """A transformer that tells positive from negative reviews.

    Args:
        transformer: How it was made.
        model: In evaluation mode.
        tokenizer: Its word pieces.
        seconds: How long training took, interruptions left out.
        folder: Where it is kept.
    """

    transformer: PretrainedTransformer
    model: Any
    tokenizer: Any
    seconds: float
    folder: Path

    @property
    def parameters(self) -> int:
        """Their number, frozen ones included."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def predict(self, texts: list[str], batch_size: int = 32) -> NDArray[np.float64]:
        """Predict in batches of similar length, in bf16 where the machine computes in it.

        A transformer with `int8` predicts in that. Either is done by a copy of the model.

        What has been predicted is kept in the folder by the content of each text, whatever it was
        asked together with: an interrupted call resumes, to the very same numbers, and a longer
        list of texts costs only those that are new.

        Args:
            texts: Any number of texts, of which the first `length` word pieces are read.
            batch_size: Texts in a batch.

        Returns:
            Probability of POSITIVE of each text, `(texts,)`.

        Raises:
            DiskFullError: If the disk is full; what was kept before stays.
            SoftLabelError: If the file in the folder is damaged.
        """
        way = "-int8" if self.transformer.int8 else ""
        kept = self.folder / f"predicted-{self.transformer.length}{way}.parquet"
        known = _read(kept)
        keys = list(map(text_key, texts))
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        saved = time.perf_counter()
        for found in self._predict_new(new, batch_size):
            known |= found
            if time.perf_counter() - saved > SAVE_SECONDS:
                _keep(kept, known)
                saved = time.perf_counter()
        if new:
            _keep(kept, known)
        return np.array([known[key] for key in keys], dtype=np.float64)

    def _predict_new(self, texts: Mapping[int, str], batch_size: int) -> Iterator[dict[int, float]]:
        """Key -> probability of POSITIVE, batch by batch."""
        if not texts:
            return
        keys = list(texts)
        ids = _word_pieces(self.tokenizer, list(texts.values()), self.transformer.length)
        # Sorted, and only then cut: without some of its batches the rest is cut as before, so that
        # a text keeps its padding, and its number to the last bit, when it is asked for again.
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        device, model = next(self.model.parameters()).device, self.model
        if self.transformer.int8:
            model = in_int8(copy.deepcopy(model))
        elif computes_in_bf16(device):
            # Weights, too: under autocast MPNet reads two thirds as fast on a CPU with AMX.
            model = copy.deepcopy(model).bfloat16()
        # In random order and without smoothing, so that the bar is right about what is left.
        with tqdm(
            total=len(ids), desc=self.transformer.name, unit=" texts", mininterval=5, smoothing=0
        ) as bar:
            for number in np.random.default_rng(0).permutation(len(batches)):
                batch = batches[number]
                some = {"input_ids": [ids[index].tolist() for index in batch]}
                inputs = self.tokenizer.pad(some, return_tensors="pt").to(device)
                with torch.inference_mode():
                    logits = model(**inputs).logits  # (batch, 2)
                positive = logits.float().softmax(-1)[:, 1].tolist()
                yield dict(zip((keys[index] for index in batch), positive, strict=True))
                bar.update(len(batch))


def fine_tune(
    transformer: PretrainedTransformer,
    texts: list[str],
    labels: list[int],
    root: Path = Path("runs"),
) -> FineTuned:
    """Fine-tune a transformer in one epoch, or as many as it takes to read `read_at_least` reviews.

    What was made of the same reviews in the same way is loaded, and what was interrupted resumes
    at its last checkpoint, to the same end.

    Args:
        transformer: Which one, and how.
        texts: Reviews.
        labels: 0 or 1 for each.
        root: Below it there is a folder for each transformer and set of reviews.

    Returns:
        The fine-tuned model.

    Raises:
        ModuleNotFoundError: As `PretrainedTransformer.load`.
        OSError: As `PretrainedTransformer.load`.
        DiskFullError: If the disk is full; what was trained is kept.
    """
    key = Hasher.hash([_training_settings(transformer), texts, labels])
    folder = root / transformer.name.lower() / f"{len(texts)}-{key}"
    finished = folder / _FINISHED_FILE
    set_seed(0)
    model, tokenizer = transformer.load()
    if torch.cuda.is_available():
        model = model.cuda()
    if not finished.exists():
        seconds = _train(transformer, model, tokenizer, texts, labels, folder)
        needed = sum(value.nbytes for value in model.state_dict().values())
        with naming_full_disk(folder / WEIGHTS_FILE, needed):
            save_model(model, str(folder / WEIGHTS_FILE))
        sync_folder(folder)
        write_json(finished, {"seconds": seconds})
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
    load_model(model, folder / WEIGHTS_FILE)
    seconds = json.loads(finished.read_text(encoding="utf-8"))["seconds"]
    return FineTuned(transformer, model.eval(), tokenizer, seconds, folder)


def _train(
    transformer: PretrainedTransformer,
    model: Any,
    tokenizer: Any,
    texts: list[str],
    labels: list[int],
    folder: Path,
) -> float:
    """Train a model in place, from the last checkpoint in its folder; the seconds it took."""
    ids = _word_pieces(tokenizer, texts, transformer.train_length)
    reviews = datasets.Dataset.from_dict(
        {"input_ids": ids, "length": list(map(len, ids)), "labels": labels}
    )
    epochs = max(1, math.ceil(transformer.read_at_least / len(texts)))
    steps = math.ceil(len(texts) / transformer.batch_size) * epochs
    trainer = SealingTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=transformer.batch_size,
            num_train_epochs=epochs,
            learning_rate=transformer.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0.06,
            weight_decay=0.01,
            max_grad_norm=1.0,
            use_cpu=not torch.cuda.is_available(),
            bf16=computes_in_bf16(next(model.parameters()).device),
            train_sampling_strategy="group_by_length",
            logging_steps=50,
            save_steps=max(1, steps // 10),
            save_total_limit=1,
            restore_callback_states_from_checkpoint=True,
            seed=0,
        ),
        train_dataset=reviews,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[TrainingTimer(), _EpochOrder(), _TimedCheckpoints()],
    )
    seal_old(folder)
    last = newest_whole_checkpoint(folder)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return round(TrainingTimer.of(trainer).seconds, 1)


class _EpochOrder(TrainerCallback, ExportableState):
    """Lets a resumed epoch take its reviews in the order of the interrupted one.

    Trainer's sampler draws the order from the global generator, and on resuming Trainer sets the
    generator only afterwards (transformers issue 46628).

    Args:
        generator: The generator's state at the beginning of the interrupted epoch, in hex.
    """

    def __init__(self, generator: str | None = None) -> None:
        self.generator = generator
        self.resumed = generator is not None

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Remember the state of the generator, or set it once after resuming."""
        if self.resumed and self.generator is not None:
            state = np.frombuffer(bytes.fromhex(self.generator), dtype=np.uint8)
            torch.set_rng_state(torch.from_numpy(state.copy()))
            self.resumed = False
        else:
            self.generator = torch.get_rng_state().numpy().tobytes().hex()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {"generator": self.generator}, "attributes": {}}


class _TimedCheckpoints(TrainerCallback):
    """Saves a checkpoint after `SAVE_SECONDS` without one."""

    def __init__(self) -> None:
        self.saved = time.perf_counter()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start to count."""
        self.saved = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint if it is time."""
        if time.perf_counter() - self.saved > SAVE_SECONDS:
            control.should_save = True

    def on_save(self, *_: Any, **__: Any) -> None:
        """Start to count anew."""
        self.saved = time.perf_counter()


def _training_settings(transformer: PretrainedTransformer) -> dict[str, Any]:
    """What decides on the weights that come of training, besides the reviews."""
    fields = dataclasses.asdict(transformer)
    del fields["length"], fields["int8"]
    fields["source"] = None if callable(transformer.source) else str(transformer.source)
    return fields


def _word_pieces(tokenizer: Any, texts: list[str], length: int) -> list[NDArray[np.int32]]:
    """The first word pieces of each text, as arrays: lists would take ten times the memory."""
    ids: list[NDArray[np.int32]] = []
    for start in range(0, len(texts), _TOKENIZED_TOGETHER):
        encoded = tokenizer(
            texts[start : start + _TOKENIZED_TOGETHER],
            truncation=True,
            max_length=length,
            return_token_type_ids=False,
            return_attention_mask=False,
        )
        ids += [np.array(row, dtype=np.int32) for row in encoded["input_ids"]]
    return ids


def _read(path: Path) -> dict[int, float]:
    return read_soft_labels(path) if path.exists() else {}


def _keep(path: Path, known: Mapping[int, float]) -> None:
    """Write what is known, and what another process has written meanwhile."""
    write_soft_labels(path, [], [], besides={**_read(path), **known})
