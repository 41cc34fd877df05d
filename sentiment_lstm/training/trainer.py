"""A `Trainer` for reviews: batches of similar length, exact resuming, an average of the weights."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainerState,
    set_seed,
)
from transformers.trainer_callback import ExportableState
from transformers.trainer_pt_utils import LengthGroupedSampler as TransformersSampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..data.dataset import label_set_of
from ..data.labels import BINARY, NUMBER, SEVERAL, LabelSet
from ..evaluation.label_metrics import metrics_of
from ..modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from .pretraining import SentimentLSTMForPreTraining
from .pushing import PushingTrainer
from .recipe import Recipe, RecipeError, RecipeTrainingArguments
from .starting import classifier_config, start_from

logger = logging.getLogger(__name__)

ModelClass = type[SentimentLSTMForSequenceClassification] | type[SentimentLSTMForPreTraining]

EMA_FILE = "ema.safetensors"


def make_trainer(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    train_tokens: datasets.Dataset,
    validation_tokens: datasets.Dataset,
    model_class: ModelClass = SentimentLSTMForSequenceClassification,
    model_fields: Callable[[Any], dict[str, Any]] | None = None,
) -> SentimentTrainer:
    """Make the trainer of a recipe.

    Args:
        recipe: Architecture and training arguments.
        tokenizer: What the reviews were tokenized with.
        train_tokens: Columns `input_ids`, `length` and, for a classifier, `labels`.
        validation_tokens: The same.
        model_class: What to train.
        model_fields: For `Trainer.hyperparameter_search`: from a trial, or None, to the fields of
            the architecture that differ from the recipe's. Each trial then has a model of its own.

    Returns:
        The trainer, with a new model.

    Raises:
        RecipeError: If the weights to start from do not fit, or a field does not fit the labels.
    """
    label_set = BINARY
    if "labels" in validation_tokens.column_names and "labels" in train_tokens.column_names:
        # Those of validation: to train on there may be probabilities in their place.
        found = label_set_of(validation_tokens, recipe.number_name, column="labels")
        label_set = recipe.check_labels(found)
        _check_ranking(recipe, label_set, validation_tokens)
    arguments = copy.copy(recipe.training)  # the recipe stays as it is
    steps_per_epoch = math.ceil(
        len(train_tokens)
        / arguments.train_batch_size
        / arguments.gradient_accumulation_steps
        / arguments.world_size
    )
    if arguments.eval_steps is not None and arguments.eval_steps >= 1:  # below: a share of all
        # At least twice an epoch, where the recipe's rhythm is made for more reviews.
        arguments.eval_steps = max(1, min(int(arguments.eval_steps), steps_per_epoch // 2))
        arguments.save_steps = arguments.eval_steps
    set_seed(arguments.seed)

    def make_model(trial: Any = None) -> PreTrainedModel:
        fields = model_fields(trial) if model_fields else {}
        config = None
        if model_class is SentimentLSTMForSequenceClassification:
            config = classifier_config(recipe, fields, label_set)
        if config is None:
            config = SentimentLSTMConfig(
                vocab_size=len(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                **(dataclasses.asdict(recipe.model) | fields),
                **label_set.config_fields(),
            )
        model = model_class(config)
        if isinstance(model, SentimentLSTMForSequenceClassification):
            _start_at_the_mean(model, train_tokens)
        if arguments.init_from is not None:
            start_from(arguments.init_from, model, tokenizer)
        return model

    patience = arguments.early_stopping_patience
    trainer = SentimentTrainer(
        model=None if model_fields else make_model(),
        model_init=make_model if model_fields else None,
        args=arguments,
        train_dataset=train_tokens,
        eval_dataset=validation_tokens.select(np.argsort(validation_tokens["length"])),
        data_collator=ReviewCollator(tokenizer, label_set=label_set),
        processing_class=tokenizer,
        compute_metrics=metrics_of(label_set) if "labels" in train_tokens.column_names else None,
        callbacks=[
            TrainingTimer(),
            *([] if patience is None else [EarlyStoppingCallback(patience)]),
        ],
    )
    trainer.add_callback(EMACallback(trainer))
    return trainer


def _check_ranking(recipe: Recipe, label_set: LabelSet, tokens: datasets.Dataset) -> None:
    """Raise `RecipeError` if ROC AUC is to choose, and no validation review has some label."""
    if str(recipe.training.metric_for_best_model).removeprefix("eval_") != "roc_auc":
        return
    there = set(tokens["labels"])
    missing = [name for number, name in enumerate(label_set.names) if number not in there]
    if missing:
        raise RecipeError(
            "`metric_for_best_model` is roc_auc, which takes reviews of every label, and no "
            f"validation review has {', '.join(missing)}: add some, or choose by loss"
        )


def _start_at_the_mean(
    model: SentimentLSTMForSequenceClassification, tokens: datasets.Dataset
) -> None:
    """Let a model of a number say the mean of the training reviews, and learn the rest."""
    if model.config.problem_type == NUMBER:
        mean = float(np.mean(tokens["labels"][:]))
        with torch.no_grad():
            model.classifier.bias.fill_(mean)


@dataclass
class ReviewCollator(DataCollatorWithPadding):
    """Pads a batch, and makes of several labels at once what a loss takes.

    Args:
        tokenizer: See `DataCollatorWithPadding`, as for what is not named here.
        label_set: Which labels.
    """

    label_set: LabelSet = BINARY

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        """Make a batch.

        Args:
            features: `input_ids` and, of reviews, `labels`.

        Returns:
            Tensors; several labels at once become `(batch, num_labels)` float32, 1 for each that a
            review has.
        """
        if self.label_set.problem_type != SEVERAL:
            return super().__call__(features)
        labels = torch.zeros(len(features), len(self.label_set.names))
        for row, feature in zip(labels, features, strict=True):
            row[feature["labels"]] = 1
        batch = super().__call__([_without_labels(feature) for feature in features])
        batch["labels"] = labels
        return batch


def _without_labels(feature: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in feature.items() if name != "labels"}


class SentimentTrainer(PushingTrainer):
    """A trainer whose length-grouped batches come in random order and can be resumed exactly.

    It takes soft labels, and what `RecipeTrainingArguments` adds: an average of the weights that
    is validated and kept in their place, and adversarial training.
    """

    args: RecipeTrainingArguments
    sampler: LengthGroupedSampler | None = None
    # The averaged weights by name, from the first step on.
    ema: dict[str, torch.Tensor] | None = None

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer, with a group of its own for word vectors of another learning rate.

        Args:
            model: What to train (default: the trainer's).

        Returns:
            The optimizer, which the trainer keeps.
        """
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        rate = self.args.embedding_learning_rate
        if is_new and rate is not None:
            whole: Any = self.model if model is None else model
            vectors = self.accelerator.unwrap_model(whole).get_input_embeddings().weight
            (group,) = [
                group
                for group in optimizer.param_groups
                if any(parameter is vectors for parameter in group["params"])
            ]
            group["params"] = [one for one in group["params"] if one is not vectors]
            optimizer.add_param_group(group | {"params": [vectors], "lr": rate})
        return optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean cross entropy of a batch, in nats; of it and its worst neighbour if so asked.

        Of several labels at once it is the mean over them, and of a number the squared error.

        Args:
            model: A classifier, or a model that computes its own loss.
            inputs: A batch. `labels` are classes `(batch,)` int64, or probabilities
                `(batch, num_labels)` float; of several labels at once 0 and 1 of that shape, and
                of a number `(batch,)` float.
            return_outputs: Whether to return the outputs as well.
            num_items_in_batch: Not used: the loss is a mean.

        Returns:
            The loss, and the outputs if asked for. Labels are smoothed in training only, so that
            validation losses can be compared.
        """
        if "labels" not in inputs:
            return super().compute_loss(model, inputs, return_outputs)
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        smoothing = self.args.label_smoothing_factor if model.training else 0.0
        problem_type = self.accelerator.unwrap_model(model).config.problem_type

        def loss_of(outputs: Any) -> torch.Tensor:
            logits = outputs.logits.float()  # (batch, num_labels)
            if problem_type == SEVERAL:
                return nn.functional.binary_cross_entropy_with_logits(logits, labels)
            if problem_type == NUMBER:
                return nn.functional.mse_loss(logits.squeeze(-1), labels.float())
            return nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)

        epsilon = self.args.adversarial_epsilon
        if epsilon and model.training:
            ids = inputs.pop("input_ids")
            words = self.accelerator.unwrap_model(model).get_input_embeddings()(ids)
            loss = loss_of(outputs := model(inputs_embeds=words, **inputs))
            words = words + _worst(loss, words, inputs["attention_mask"], epsilon)
            loss = (loss + loss_of(model(inputs_embeds=words, **inputs))) / 2
        else:
            loss = loss_of(outputs := model(**inputs))
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        """Evaluate as `Trainer` does, the average of the weights if there is one."""
        if self.ema is None:
            return super().evaluate(*arguments, **options)
        weights = {name: value.clone() for name, value in self._weights().items()}
        self._load(self.ema)
        try:
            return super().evaluate(*arguments, **options)
        finally:
            self._load(weights)

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """Make the model of a trial, whose average is its own."""
        self.ema = None
        return super().call_model_init(trial)

    def update_ema(self) -> None:
        """Move the average towards the weights; called after each step."""
        decay = self.args.ema_decay
        if decay is None:
            return
        weights = self._weights()
        if self.ema is None:
            self.ema = {name: value.detach().clone() for name, value in weights.items()}
        # The first steps are forgotten faster, or the random start would weigh on short runs.
        decay = min(decay, (1 + self.state.global_step) / (10 + self.state.global_step))
        for name, value in weights.items():
            self.ema[name].lerp_(value.detach(), 1 - decay)

    def _weights(self) -> dict[str, torch.Tensor]:
        return dict(self.accelerator.unwrap_model(self.model).named_parameters())

    @torch.no_grad()
    def _load(self, values: dict[str, torch.Tensor]) -> None:
        for name, weight in self._weights().items():
            weight.copy_(values[name])

    def save_more(self, staged: Path) -> None:
        """Save the average beside the weights."""
        if self.ema is not None:
            save_file(self.ema, staged / EMA_FILE, metadata={"format": "pt"})  # as weights have it

    def weights_to_push(self, checkpoint: Path) -> Path:
        """The average where there is one: it is what was validated."""
        ema = checkpoint / EMA_FILE
        return ema if ema.exists() else super().weights_to_push(checkpoint)

    def bytes_to_save(self) -> int:
        """About how large a checkpoint is, with the average."""
        return super().bytes_to_save() + sum(value.nbytes for value in (self.ema or {}).values())

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.ema = self._read_ema(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        ema = self._read_ema(self.state.best_model_checkpoint)
        if ema is not None:
            self._load(ema)
            self.ema = ema  # what is evaluated from now on

    def _read_ema(self, checkpoint: str | None) -> dict[str, torch.Tensor] | None:
        if self.args.ema_decay is None or checkpoint is None:
            return None
        # Not by `load_file`, which does not know "cpu:0", as processes that share a CPU have it.
        ema = load_file(Path(checkpoint, EMA_FILE))
        return {name: value.to(self.args.device) for name, value in ema.items()}

    def _get_train_sampler(
        self, train_dataset: datasets.Dataset | None = None
    ) -> torch.utils.data.Sampler[int] | None:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        # Not of `train_dataset`, from which Trainer has taken the columns that the model lacks.
        dataset: Any = self.train_dataset
        # The reviews of one step on all processes together, so that several processes take the
        # very steps of one process with as large a batch.
        self.sampler = LengthGroupedSampler(
            self.args.train_batch_size
            * self.args.gradient_accumulation_steps
            * self.args.world_size,
            lengths=list(dataset[self.args.length_column_name]),
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
        )
        return self.sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> torch.utils.data.Sampler[int] | None:
        # The order is that of the dataset, which `make_trainer` sorts by length once; Trainer's own
        # grouping would measure the length of every review at every validation.
        return torch.utils.data.SequentialSampler(eval_dataset)


class EMACallback(TrainerCallback):
    """Tells a `SentimentTrainer` of each epoch and step."""

    def __init__(self, trainer: SentimentTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: TrainerState, *_: Any, **__: Any) -> None:
        """Set the order of the epoch.

        Trainer would, but does not reach the sampler where several processes resume in the middle
        of an epoch.
        """
        if self.trainer.sampler is not None:
            self.trainer.sampler.set_epoch(math.floor((state.epoch or 0.0) + 1e-6))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Count the step into the average of the weights."""
        self.trainer.update_ema()


def _worst(
    loss: torch.Tensor, words: torch.Tensor, mask: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """The step of a given length that raises the loss of each review most, to first order.

    Args:
        loss: `()`.
        words: Word vectors that led to it, `(batch, sequence, size)`.
        mask: 1 for words, `(batch, sequence)`.
        epsilon: Length, in mean lengths of a word vector.

    Returns:
        `(batch, sequence, size)`, without a gradient of its own.
    """
    (gradient,) = torch.autograd.grad(loss, words, retain_graph=True)
    mask = mask.unsqueeze(-1)
    gradient = gradient * mask
    unit = gradient / gradient.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    mean_length = (words * mask).detach().norm(dim=-1).sum() / mask.sum().clamp(min=1)
    step: torch.Tensor = (epsilon * mean_length * unit).detach()
    return step


class TrainingTimer(TrainerCallback, ExportableState):
    """Seconds spent in training up to now, those before the last checkpoint included."""

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds from the start of the run until now."""
        return self.before + time.perf_counter() - self.started

    @classmethod
    def of(cls, trainer: Trainer) -> TrainingTimer:
        """The timer of a trainer, which replaces its callbacks when it resumes."""
        callbacks = trainer.callback_handler.callbacks
        return next(callback for callback in callbacks if isinstance(callback, cls))

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start to count."""
        self.started = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {"before": self.seconds}, "attributes": {}}


class LengthGroupedSampler(TransformersSampler):
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
