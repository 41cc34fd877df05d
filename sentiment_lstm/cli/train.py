"""`sentiment-lstm train`: a recipe in, a model folder out."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .common import add_command, summarise, take_recipe


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "train",
        _run,
        "train a model from a recipe",
        """
        Every field of the recipe can be given on the command line, where it takes precedence:
        those of reviews (--train, --validation, --test), tokenizer (--max_vocab_size ...),
        architecture (--hidden_size, --pooling ...) and of transformers' TrainingArguments
        (--learning_rate, --num_train_epochs, --output_dir ...).

        examples:
          sentiment-lstm train scripts/recipes/demo.yaml
          sentiment-lstm train scripts/recipes/default.yaml --hidden_size 128 --seed 7
          sentiment-lstm train scripts/recipes/default.yaml --output_dir runs/kaggle \\
              --train train.ft.txt.bz2 --validation test.ft.txt.bz2:train[:50%]
          sentiment-lstm train scripts/recipes/fine_tune.yaml --init_from hub_card \\
              --train few.csv:train[:80%] --validation few.csv:train[80%:] --test null

        --init_from FOLDER starts from an earlier run. A classifier is kept whole: its tokenizer,
        its architecture and its weights; fields that ask for others are refused. A language model
        (sentiment-lstm pretrain) gives a new vocabulary its words, and the first layer.

        An interrupted run resumes when the same command is given again.
        """,
    )
    command.usage = f"{command.prog} [-h] [--traceback] RECIPE [--field value ...]"
    take_recipe(command, resumes="from the last checkpoint")


def _run(options: argparse.Namespace) -> None:
    from ..evaluation.results import read_results
    from ..files import RESULTS_FILE
    from ..training.recipe import read_recipe
    from ..training.run import train

    recipe = read_recipe(options.recipe, options.overrides)
    folder = train(recipe)
    if recipe.training.process_index > 0:
        return  # one of several processes reports
    for split, source, metrics in read_results(folder / RESULTS_FILE).parts():
        sys.stdout.write(f"{split}/{source}: {summarise(metrics)}\n")
    sys.stdout.write(f"model folder: {folder}\n")
