"""`sentiment-lstm tune`: the best settings of a recipe."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..extras import require
from .common import add_command, take_recipe


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "tune",
        _run,
        "search for the best settings of a recipe",
        """
        Trains --trials times with settings that Optuna proposes, and writes the recipe of the
        lowest validation loss. Fields of the recipe can be given on the command line, as for
        `train`. It takes the package optuna: pip install "sentiment-lstm[tune]".

        A space is a YAML file of fields to vary, with ranges or values:
          learning_rate: {low: 0.0005, high: 0.01, log: true}
          hidden_size: [128, 256, 512]

        examples:
          sentiment-lstm tune scripts/recipes/demo.yaml --trials 20
          sentiment-lstm tune scripts/recipes/demo.yaml --trials 20 --space my_space.yaml --seed 7
          sentiment-lstm train runs/demo-tune/best.yaml

        An interrupted search resumes when the same command is given again, and takes more trials
        with a larger --trials.
        """,
    )
    take_recipe(command, resumes="after the finished trials")
    command.add_argument(
        "--trials", type=int, default=20, metavar="N", help="trials in all (default: 20)"
    )
    command.add_argument("--space", metavar="FILE", help="what to vary (default: sizes and rates)")


def _run(options: argparse.Namespace) -> None:
    require("tune")  # before `training` asks for its own
    from ..training.recipe import read_recipe
    from ..training.tuning import DEFAULT_SPACE, read_space, tune

    space = DEFAULT_SPACE if options.space is None else read_space(options.space)
    recipe = read_recipe(options.recipe, options.overrides)
    best = tune(recipe, options.trials, space)
    sys.stdout.write(f"{best.read_text(encoding='utf-8')}best recipe: {best}\n")
