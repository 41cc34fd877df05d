"""Measure what the tutorial's carried hidden state does, in training and in validation.

    python scripts/tutorial/hidden_state.py TRAIN VALIDATION [--seeds 3] [--epochs 3]

The tutorial starts each batch from the hidden state in which the batch before it ended, although
the reviews in the same row of two batches have nothing to do with each other. This script trains
its network (`reference.SentimentNet`, by default at reduced scale) with its own loop, once so and
once from zeros, on the same batches from the same start, and validates each model both ways.
It prints accuracy and loss of the four combinations over the seeds, and how often the answer to a
review changes when the validation reviews come in another order, which with zeros it cannot.

TRAIN and VALIDATION are sources as for `sentiment-lstm train`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

# `python scripts/tutorial/hidden_state.py` looks for modules in its own folder only.
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch.nn.functional import binary_cross_entropy
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer
from tutorial import reference

WAYS = {"carried": True, "zeros": False}


def features(
    source: str, tokenizer: PreTrainedTokenizerFast, batch_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The tutorial's padded ids `(reviews, 200)` and labels, a whole number of batches."""
    reviews = load_reviews(source)
    reviews = reviews.select(range(len(reviews) // batch_size * batch_size))
    ids = tokenizer(reviews["text"][:], padding="max_length", truncation=True, return_tensors="pt")
    return ids["input_ids"], torch.tensor(reviews["label"][:])


def answers(
    net: reference.SentimentNet, ids: torch.Tensor, order: torch.Tensor, size: int, carry: bool
) -> torch.Tensor:
    """Sigmoids by review, read in batches of `size` in the given order."""
    found = reference.sigmoids(net, ids[order].split(size), carry_hidden=carry)
    return torch.empty_like(found).scatter(0, order, found)


def main() -> None:
    """Train and validate both ways for each seed and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train")
    parser.add_argument("validation")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=50, help="the tutorial's: 400")
    parser.add_argument("--embedding_dim", type=int, default=100, help="the tutorial's: 400")
    parser.add_argument("--hidden_dim", type=int, default=128, help="the tutorial's: 512")
    options = parser.parse_args()

    size = options.batch_size
    texts = (text for batch in load_reviews(options.train).iter(1000) for text in batch["text"])
    tokenizer = train_tokenizer(texts, **TUTORIAL_PRESET)
    ids, labels = features(options.train, tokenizer, size)
    val_ids, val_labels = features(options.validation, tokenizer, size)
    print(f"{len(ids):,} training and {len(val_ids):,} validation reviews, batches of {size}")

    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    started = time.perf_counter()
    for seed in range(options.seeds):
        for trained in WAYS:
            torch.manual_seed(seed)
            net = reference.SentimentNet(
                len(tokenizer) + 1, options.embedding_dim, options.hidden_dim
            )
            optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
            shuffler = torch.Generator().manual_seed(seed)
            for epoch in range(options.epochs):
                order = torch.randperm(len(ids), generator=shuffler)
                bar = tqdm(
                    list(zip(ids[order].split(size), labels[order].split(size), strict=True)),
                    f"seed {seed}, {trained}, epoch {epoch + 1}",
                )
                reference.train_epoch(net, optimizer, bar, carry_hidden=WAYS[trained])
            net.eval()
            orders = [torch.randperm(len(val_ids), generator=shuffler) for _ in range(2)]
            for validated, carry in WAYS.items():
                first, second = (answers(net, val_ids, order, size, carry) for order in orders)
                accuracy = ((first > 0.5) == val_labels.bool()).float().mean().item()
                loss = binary_cross_entropy(first, val_labels.float()).item()
                flipped = ((first > 0.5) != (second > 0.5)).float().mean().item()
                rows.setdefault((trained, validated), []).append((accuracy, loss, flipped))

    print("training  validation  accuracy (min to max)       loss    changed by the order")
    for (trained, validated), results in rows.items():
        accuracies, losses, flips = zip(*results, strict=True)
        print(
            f"{trained:9} {validated:11} {statistics.median(accuracies):.2%} "
            f"({min(accuracies):.2%} to {max(accuracies):.2%})  {statistics.median(losses):.4f}  "
            f"{statistics.median(flips):.2%}"
        )
    print(f"medians of {options.seeds} seeds, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
