"""The order of batches, and the adversarial step."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.trainer import (
    EMACallback,
    LengthGroupedSampler,
    _worst,
    make_trainer,
)

WriteRecipe = Callable[..., Path]


def test_the_order_of_an_epoch_is_set_where_trainer_does_not_reach() -> None:
    """With several processes, the loader of a run that resumes hides the sampler."""
    trainer: Any = SimpleNamespace(sampler=LengthGroupedSampler(2, [1, 2, 3], seed=0))
    follow = EMACallback(trainer)
    for epoch, expected in [(None, 0), (0.0, 0), (0.99, 0), (1.0 - 1e-9, 1), (1.4, 1), (2, 2)]:
        state: Any = SimpleNamespace(epoch=epoch)
        follow.on_epoch_begin(None, state, None)
        assert trainer.sampler.epoch == expected


def test_length_grouped_batches() -> None:
    lengths = torch.randint(1, 200, (1003,)).tolist()
    batches = LengthGroupedSampler(8, lengths, seed=1)
    first = list(batches)
    assert sorted(first) == list(range(1003))
    assert first == list(batches), "the same epoch gives the same order"
    batches.set_epoch(1)
    assert first != list(batches), "another epoch gives another order"
    assert first != list(LengthGroupedSampler(8, lengths, seed=2))
    grouped = [[lengths[i] for i in first[start : start + 8]] for start in range(0, 1000, 8)]
    spread = sum(max(batch) - min(batch) for batch in grouped) / len(grouped)
    assert spread < 20, "batches are of similar length"
    means = [sum(batch) / 8 for batch in grouped]
    rising = sum(a < b for a, b in pairwise(means)) / len(means)
    assert 0.35 < rising < 0.65, "and come in random order"


@pytest.mark.parametrize("rate", [None, 0.0, 1e-4])
def test_word_vectors_learn_at_their_own_rate(
    rate: float | None, write_recipe: WriteRecipe, tokenizer: PreTrainedTokenizerFast
) -> None:
    fields = {"learning_rate": 0.01, "embedding_learning_rate": rate, "weight_decay": 0.1}
    recipe = read_recipe(write_recipe(max_steps=1, warmup_steps=0), fields)
    reviews = datasets.Dataset.from_dict(
        {"input_ids": [[2, 3, 4, 5]] * 8, "length": [4] * 8, "labels": [0, 1] * 4}
    )
    trainer = make_trainer(recipe, tokenizer, reviews, reviews)
    model: Any = trainer.model
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer.train()
    # The first step of Adam is as long as the learning rate.
    moved = {
        name: float((weight.detach() - before[name]).abs().max())
        for name, weight in model.named_parameters()
    }
    (name,) = [name for name in moved if name.endswith("embeddings.weight")]
    words = moved.pop(name)
    assert words == pytest.approx(0.01 if rate is None else rate, rel=0.2, abs=1e-9)
    assert min(moved.values()) > 0.005, "all else learns as ever"


def test_the_adversarial_step_raises_the_loss(
    make_model: Callable[..., SentimentLSTMForSequenceClassification],
) -> None:
    model = make_model()
    ids, mask = torch.randint(2, 50, (4, 9)), torch.ones(4, 9, dtype=torch.int64)
    mask[2:, 5:] = 0
    labels = torch.tensor([0, 1, 0, 1])
    words = model.get_input_embeddings()(ids)

    def losses(vectors: torch.Tensor) -> torch.Tensor:
        logits = model(inputs_embeds=vectors, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    before = losses(words)
    step = _worst(before.mean(), words, mask, 0.5)
    assert (losses(words + step) > before).all()
    assert (losses(words - step) < before).all()
    assert (step[2:, 5:] == 0).all(), "padding stays where it is"
    length = (words * mask.unsqueeze(-1)).norm(dim=-1).sum() / mask.sum()
    torch.testing.assert_close(step.norm(dim=(1, 2)), 0.5 * length.detach().expand(4))
