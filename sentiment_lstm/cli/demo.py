"""`sentiment-lstm demo`: a page in the browser."""

from __future__ import annotations

import argparse
from typing import Any

from ..files import default_model
from .common import add_command, take_trust


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "demo",
        _run,
        "open a page to try a model in the browser",
        """
        Paste reviews or upload a file, and see labels, scores and which words decided. It needs
        the extra `page`: pip install "sentiment-lstm[page]". Only this machine reaches the page,
        unless --host says otherwise; nothing is sent to anybody. Ctrl-C ends it.

        examples:
          sentiment-lstm demo
          sentiment-lstm demo runs/demo --port 8000
        """,
    )
    command.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="a model folder or Hub repository (default: the released checkpoint)",
    )
    command.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="where to listen; 0.0.0.0 lets everybody in who reaches this machine "
        "(default: 127.0.0.1)",
    )
    command.add_argument(
        "--port", type=int, metavar="N", help="default: the first free one from 7860 on"
    )
    take_trust(command)


def _run(options: argparse.Namespace) -> None:
    from ..page.layout import open_page

    open_page(
        default_model() if options.model is None else options.model,
        host=options.host,
        port=options.port,
        trust_remote_code=options.trust_remote_code,
    )
