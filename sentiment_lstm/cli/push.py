"""`sentiment-lstm push`: a model folder to the Hub."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .common import add_command


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "push",
        _run,
        "send a model folder to the Hugging Face Hub",
        """
        The folder is checked by loading it, then goes in one commit: weights, config, tokenizer,
        code, card (made of results.json where there is no README.md), results, recipe, pictures.
        It takes a token: log in with `hf auth login`, or set HF_TOKEN. To bring a revision back:
        `hf download USER/NAME --revision REVISION`.

        examples:
          sentiment-lstm push runs/default USER/NAME --dry_run
          sentiment-lstm push runs/default USER/NAME --private
        """,
    )
    command.add_argument("model", metavar="FOLDER", help="a model folder")
    command.add_argument("repository", metavar="USER/NAME", help="made if it does not exist")
    command.add_argument("--private", action="store_true", help="make a new repository private")
    command.add_argument(
        "--revision", metavar="BRANCH", help="made if it does not exist (default: main)"
    )
    command.add_argument(
        "--create-pr", "--create_pr", action="store_true", help="propose it as a pull request"
    )
    command.add_argument("--message", metavar="TEXT", help="first line of the commit message")
    command.add_argument(
        "--dry-run",
        "--dry_run",
        action="store_true",
        help="say what would be sent, and send nothing",
    )


def _run(options: argparse.Namespace) -> None:
    from ..hub.push import push

    done = push(
        options.model,
        options.repository,
        private=options.private,
        revision=options.revision,
        create_pr=options.create_pr,
        message=options.message,
        dry_run=options.dry_run,
    )
    for name, size in done.files.items():
        sys.stdout.write(f"{size:>12,}  {name}\n")
    sys.stdout.write(f"{done.url}\n" if done.url else "dry run: nothing was sent\n")
