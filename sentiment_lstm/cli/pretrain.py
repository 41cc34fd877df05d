"""`sentiment-lstm pretrain`: a language model for classifiers to start from."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .common import add_command, take_recipe


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "pretrain",
        _run,
        "train a language model on reviews, for a classifier to start from",
        """
        Reads the texts of --train and --unlabelled. The folder goes into the field `init_from` of
        a recipe.

        examples:
          sentiment-lstm pretrain scripts/recipes/pretrain.yaml
          sentiment-lstm train scripts/recipes/default.yaml --init_from runs/pretrain

        An interrupted run resumes when the same command is given again.
        """,
    )
    command.usage = f"{command.prog} [-h] [--traceback] RECIPE [--field value ...]"
    take_recipe(command, resumes="from the last checkpoint")


def _run(options: argparse.Namespace) -> None:
    from ..training.recipe import read_recipe
    from ..training.run import pretrain

    recipe = read_recipe(options.recipe, options.overrides)
    folder = pretrain(recipe)
    if recipe.training.process_index == 0:
        sys.stdout.write(f"model folder, for `init_from`: {folder}\n")
