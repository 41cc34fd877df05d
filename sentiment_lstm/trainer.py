"""A `Trainer` for reviews: batches of similar length, exact resuming, time over interruptions."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import datasets
import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices


class SentimentTrainer(Trainer):
    """`Trainer` whose length-grouped batches come in random order and can be resumed exactly."""

    def _get_train_sampler(
        self, train_dataset: datasets.Dataset | None = None
    ) -> torch.utils.data.Sampler[int] | None:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        # Not of `train_dataset`, from which Trainer has taken the columns that the model lacks.
        dataset: Any = self.train_dataset
        return LengthGroupedBatches(
            self.args.train_batch_size * self.args.gradient_accumulation_steps,
            lengths=list(dataset[self.args.length_column_name]),
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
        )

    def _get_eval_sampler(self, eval_dataset: Any) -> torch.utils.data.Sampler[int] | None:
        # The order is that of the dataset, which `train` sorts by length once; Trainer's own
        # grouping would measure the length of every review at every validation.
        return torch.utils.data.SequentialSampler(eval_dataset)


class Clock(TrainerCallback, ExportableState):
    """Seconds spent in training up to now, those before the last checkpoint included."""

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds from the start of the run until now."""
        return self.before + time.perf_counter() - self.started

    @classmethod
    def of(cls, trainer: Trainer) -> Clock:
        """The clock of a trainer, which replaces its callbacks when it resumes."""
        callbacks = trainer.callback_handler.callbacks
        return next(callback for callback in callbacks if isinstance(callback, cls))

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start to count."""
        self.started = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {"before": self.seconds}, "attributes": {}}


class LengthGroupedBatches(LengthGroupedSampler):
    """Batches of similar length, in an order that only the seed and the epoch decide.

    transformers' own sampler leaves the batches of each group of 50 sorted by length, so that the
    loss follows the lengths up and down, and draws from the global generator, so that a run
    resumed in the middle of an epoch sees other reviews (transformers issue 46628).

    Args:
        batch_size: Reviews in a batch.
        lengths: Tokens in each review.
        seed: Together with the epoch, decides the order.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Trainer calls it before each one, also when it resumes."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        indices = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        batches = [
            indices[start : start + self.batch_size]
            for start in range(0, len(indices), self.batch_size)
        ]
        # A last batch of fewer reviews stays last, so that no other one is cut in two.
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        order = torch.randperm(len(batches), generator=generator).tolist()
        return itertools.chain.from_iterable([batches[index] for index in order] + last)
