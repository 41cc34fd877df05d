"""`train`: the tutorial's architecture, in its own loop and in `Trainer`."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import torch
from transformers import DataCollatorWithPadding
from tutorial import reference

from benchmark.common import BATCH, SEQ_LEN, Side, in_bf16, measure, progress, read
from sentiment_lstm import SentimentLSTMConfig, SentimentLSTMForSequenceClassification
from sentiment_lstm.tokenization import train_tokenizer
from sentiment_lstm.training.recipe import RecipeTrainingArguments
from sentiment_lstm.training.trainer import SentimentTrainer

# What an operator of torch belongs to, by what its name holds; the first that fits.
KINDS = {
    "LSTM, backward": ("rnn_layer_backward",),
    "LSTM, forward": ("rnn_layer",),
    "dropout": ("bernoulli", "dropout"),
    "optimizer": ("adam", "lerp", "addcmul", "addcdiv", "aten::sqrt"),
    "word vectors": ("embedding", "index"),
    "copies and casts": ("copy_", "aten::cat"),
}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the tutorial's loop, and `Trainer` with what a recipe makes of it.

    The network, the vocabulary and the reviews of a step are the same. Ours masks padding out, so
    that a batch need not be padded to 200, groups reviews by length, and computes in bf16. It
    handles the reviews of `--steps` batches, repeated where there are fewer, since lengths are only
    grouped where there are many batches; the sides whose time does not depend on lengths, two.
    """
    texts = read(options, None)
    tokenizer = train_tokenizer(texts, model_max_length=SEQ_LEN)
    texts = list(itertools.islice(itertools.cycle(texts), BATCH * options.steps))
    ids = tokenizer(texts, truncation=True)["input_ids"]
    labels = [index % 2 for index in range(len(texts))]  # speed does not depend on them
    few = min(2 * BATCH, len(texts))

    torch.manual_seed(0)
    net = reference.SentimentNet(len(tokenizer) + 1).train()
    adam = torch.optim.Adam(net.parameters(), lr=0.005)
    padded = torch.from_numpy(reference.pad_input(ids[:few], SEQ_LEN))
    batches = list(zip(padded.split(BATCH), torch.tensor(labels[:few]).split(BATCH), strict=True))

    columns = {"input_ids": ids, "length": [len(row) for row in ids], "labels": labels}
    dataset = datasets.Dataset.from_dict(columns)

    def trainer(reviews: datasets.Dataset, **fields: Any) -> Callable[[], object]:
        config = SentimentLSTMConfig.tutorial(vocab_size=len(tokenizer), **fields)
        model = SentimentLSTMForSequenceClassification(config)
        arguments = RecipeTrainingArguments(
            output_dir=str(options.scratch),
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=0.005,
            lr_scheduler_type="constant",
            max_grad_norm=5,
            optim="adamw_torch_fused",
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
        )
        collator = DataCollatorWithPadding(tokenizer)
        return lambda: SentimentTrainer(
            model=model, args=arguments, train_dataset=reviews, data_collator=collator
        ).train()

    dtype = "bf16" if in_bf16() else "fp32"
    sides = [
        Side(
            "ours", trainer(dataset, pad_to_length=None), len(texts), f"{dtype}, padding masked out"
        ),
        Side(
            "ours, padded to 200",
            trainer(dataset.select(range(few))),
            few,
            f"{dtype}, as the tutorial pads",
        ),
        Side(
            "tutorial's loop",
            lambda: reference.train_epoch(net, adam, batches),
            few,
            "fp32, padded to 200, dense Adam",
        ),
    ]
    return {
        "sides": measure(sides, options.rounds),
        "time_goes_to_percent": {side.name: profile(side) for side in sides},
        "vocabulary": len(tokenizer),
        "mean_length": round(float(np.mean([len(row) for row in ids])), 1),
    }


def profile(side: Side) -> dict[str, float]:
    """Shares of a side's time on the CPU, in percent, by kinds of operators; one more run of it."""
    progress(f"{side.name}, profiled")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        side.work()
    spent = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in profiler.key_averages():
        fits = (kind for kind, parts in KINDS.items() if any(p in event.key.lower() for p in parts))
        spent[next(fits, "the rest")] += event.self_cpu_time_total
    return {kind: round(100 * time / sum(spent.values()), 1) for kind, time in spent.items()}
