"""`sentiment-lstm export`: a model as ONNX, or as a page for the browser alone."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .common import add_command, take_trust


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "export",
        _run,
        "write a model as ONNX, or as a page",
        """
        FOLDER gets model.onnx, the config and the tokenizer. model.onnx takes input_ids and
        attention_mask of one review or more and any length and returns logits, which are
        compared with those of torch before anything is written. Needs
        `pip install "sentiment-lstm[export]"`.

        With --browser FOLDER is a page that labels reviews in the browser, without a server that
        computes: any web server shows it, `python -m http.server -d FOLDER` for one. It takes a
        model with plain words, and Node.js with npm, which brings two libraries.

        examples:
          sentiment-lstm export runs/default runs/default-onnx
          sentiment-lstm export runs/default runs/default-int8 --int8
          sentiment-lstm export runs/default runs/default-page --browser
        """,
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or Hub repository")
    command.add_argument("folder", metavar="FOLDER", help="a new or empty folder")
    kinds = command.add_mutually_exclusive_group()
    kinds.add_argument(
        "--int8", action="store_true", help="8-bit weights: smaller, faster, nearly the same"
    )
    kinds.add_argument(
        "--float16",
        action="store_true",
        help="weights in half precision, computed in float32: half the size, the same labels but "
        "for close calls",
    )
    kinds.add_argument(
        "--browser", action="store_true", help="a page, with weights in half precision"
    )
    take_trust(command)


def _run(options: argparse.Namespace) -> None:
    if options.browser:
        from ..page.browser import export_page

        trust = options.trust_remote_code
        folder = export_page(options.model, options.folder, trust_remote_code=trust)
        files = [path for path in folder.rglob("*") if path.is_file()]
        sys.stdout.write(f"{sum(path.stat().st_size for path in files):>12,}  {folder}\n")
        return
    from ..files import ONNX_FILE
    from ..inference.onnx import export

    folder = export(
        options.model,
        options.folder,
        int8=options.int8,
        float16=options.float16,
        trust_remote_code=options.trust_remote_code,
    )
    path = folder / ONNX_FILE
    sys.stdout.write(f"{path.stat().st_size:>12,}  {path}\n")
