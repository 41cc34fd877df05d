"""`sentiment-lstm evaluate`: metrics of a model on labelled reviews."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .common import add_command, find_output, open_output, summarise, take_limit, take_trust


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "evaluate",
        _run,
        "measure a model on labelled reviews",
        """
        A SOURCE is a file (.ft.txt, .csv, .jsonl, .parquet; .gz or .bz2), a Hub dataset, or
        `sample`; a split or slice of it follows a colon.

        examples:
          sentiment-lstm evaluate runs/demo sample:test
          sentiment-lstm evaluate runs/default test.ft.txt.bz2:train[50%:] --output test.json
          sentiment-lstm evaluate runs/default fancyzhx/amazon_polarity:test[:1000]
          sentiment-lstm evaluate runs/default stars.csv --labels 1=0 2=0 4=1 5=1 \\
              --on_bad_line skip
        """,
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or Hub repository")
    command.add_argument("source", metavar="SOURCE", nargs="+", help="labelled reviews")
    command.add_argument(
        "--on_bad_line", choices=["raise", "skip"], default="raise", help="default: raise"
    )
    command.add_argument(
        "--labels",
        metavar="LABEL=MEANING",
        nargs="+",
        help="what the labels of the sources mean, 0 or NEGATIVE, 1 or POSITIVE: 1=0 2=0 4=1 5=1; "
        "any other is then a bad line (default: found out, or refused)",
    )
    take_limit(command)
    command.add_argument("--output", metavar="FILE", help="write the metrics there, as json")
    take_trust(command)


def _run(options: argparse.Namespace) -> None:
    from ..data.sources import parse_source

    sources = [parse_source(source).name for source in options.source]
    output = find_output(options.output, model=options.model, inputs=sources)
    from ..data.columns import read_labels
    from ..data.dataset import load_many
    from ..evaluation.evaluate import evaluate
    from ..inference.predictor import SentimentPredictor

    labels = None if options.labels is None else read_labels(options.labels)
    predictor = SentimentPredictor.from_pretrained(
        options.model, trust_remote_code=options.trust_remote_code
    )
    results = {}
    loaded = load_many(
        options.source,
        on_bad_line=options.on_bad_line,
        labels=labels,
        max_line_bytes=options.max_line_bytes,
    )
    for source, reviews in loaded.items():
        results[source] = evaluate(predictor, reviews)
        sys.stderr.write(f"{source}: {summarise(results[source])}\n")
    with open_output(output) as stream:
        stream.write(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
