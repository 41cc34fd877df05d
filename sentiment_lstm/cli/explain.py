"""`sentiment-lstm explain`: which words decided."""

from __future__ import annotations

import argparse
import itertools
import json
import os
from typing import Any, TextIO

from ..files import default_model
from .common import add_command, answers_alone, decoded, find_output, open_output, take_trust


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "explain",
        _run,
        "say what each word of a text did to the answer",
        """
        A word's figure is how far it moved the log-odds of the label: the figures of all words and
        that of a text of unknown words add up to those of the text. Of two labels the second one
        is explained, POSITIVE, so that what speaks against it has a minus.
        In a terminal the words are coloured, unless NO_COLOR is set: blue speaks for the label,
        orange against it.

        examples:
          sentiment-lstm explain "Broke after a week." "Not bad at all."
          sentiment-lstm explain --model runs/demo --html why.html "Broke after a week."
          sentiment-lstm explain --json "Broke after a week."
        """,
    )
    command.add_argument("text", metavar="TEXT", nargs="+", help="texts to explain")
    command.add_argument(
        "--model",
        metavar="MODEL",
        help="a model folder or Hub repository (default: the released checkpoint)",
    )
    command.add_argument(
        "--label",
        metavar="LABEL",
        help="the label to explain (default: the second one of two, the predicted one of more)",
    )
    command.add_argument(
        "--method",
        choices=["integrated_gradients", "occlusion"],
        default="integrated_gradients",
        help="occlusion leaves out each word in turn: slower, and it does not add up "
        "(default: integrated_gradients)",
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--html", metavar="FILE", help="write a page with the words coloured")
    form.add_argument("--json", action="store_true", help="print a line of JSON for each text")
    take_trust(command)


def _run(options: argparse.Namespace) -> None:
    model = str(default_model()) if options.model is None else options.model
    texts = list(map(decoded, options.text, itertools.count(1)))
    output = find_output(options.html, model=model, inputs=[])
    from ..inference.explanation import html_page
    from ..inference.predictor import SentimentPredictor

    with answers_alone():
        predictor = SentimentPredictor.from_pretrained(
            model, trust_remote_code=options.trust_remote_code
        )
    explanations = (
        predictor.explain(text, label=options.label, method=options.method) for text in texts
    )
    with open_output(output) as stream:
        if output is not None:
            stream.write(html_page(explanations))
            return
        for number, explanation in enumerate(explanations):
            if options.json:
                stream.write(json.dumps(explanation.to_dict(), ensure_ascii=False) + "\n")
            else:
                text = explanation.to_text(colour=_takes_colour(stream))
                stream.write("\n" * bool(number) + text)


def _takes_colour(stream: TextIO) -> bool:
    """Whether colours can be shown, and are wanted (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain
