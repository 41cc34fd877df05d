"""`sentiment-lstm evaluate`: metrics of a model on labelled reviews."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .common import (
    add_command,
    answers_alone,
    find_output,
    open_output,
    summarise,
    take_limit,
    take_trust,
)

if TYPE_CHECKING:
    from ..data.labels import Labels


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "evaluate",
        _run,
        "measure a model on labelled reviews, or its behaviour",
        """
        A SOURCE is a file (.ft.txt, .csv, .jsonl, .parquet; .gz or .bz2), a Hub dataset, or
        `sample`; a split or slice of it follows a colon.

        examples:
          sentiment-lstm evaluate runs/demo sample:test
          sentiment-lstm evaluate runs/default test.ft.txt.bz2:train[50%:] --output test.json
          sentiment-lstm evaluate runs/default fancyzhx/amazon_polarity:test[:1000]
          sentiment-lstm evaluate runs/default stars.csv --labels 1=0 2=0 4=1 5=1 \\
              --on_bad_line skip
          sentiment-lstm evaluate runs/default --behaviour
        """,
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or Hub repository")
    source = command.add_argument("source", metavar="SOURCE", nargs="+", help="labelled reviews")
    # Not needed beside --behaviour. With nargs="*" a SOURCE behind an option would not be read.
    source.required = False
    command.add_argument(
        "--behaviour",
        action="store_true",
        help="how often the model fails at sentences made to find out: negation, contrast, "
        "ratings, names and more, with examples",
    )
    command.add_argument(
        "--on_bad_line", choices=["raise", "skip"], default="raise", help="default: raise"
    )
    command.add_argument(
        "--labels",
        metavar="LABEL=MEANING",
        nargs="+",
        help="what the labels of the sources mean, 0 or NEGATIVE, 1 or POSITIVE: 1=0 2=0 4=1 5=1, "
        "or names of the model's labels: 1=bad 3=fair 5=good; any other is then a bad line "
        "(default: the names of the model's labels; NEGATIVE and POSITIVE are found out, or "
        "refused)",
    )
    take_limit(command)
    command.add_argument("--output", metavar="FILE", help="write the metrics there, as json")
    take_trust(command)


def _run(options: argparse.Namespace) -> None:
    if not options.source and not options.behaviour:
        options.error("nothing to measure: give a SOURCE of labelled reviews, or --behaviour")
    from ..data.sources import parse_source

    given = options.source or []
    sources = [parse_source(source).name for source in given]
    output = find_output(options.output, model=options.model, inputs=sources)
    from ..data.dataset import load_many
    from ..data.labels import means_sentiment, read_labels
    from ..evaluation.evaluate import evaluate
    from ..inference.predictor import SentimentPredictor

    labels: Labels | None = None if options.labels is None else read_labels(options.labels)
    with answers_alone():
        predictor = SentimentPredictor.from_pretrained(
            options.model, trust_remote_code=options.trust_remote_code
        )
    label_set = predictor.label_set
    if labels is None and not means_sentiment(predictor.model.config):  # else found out, or refused
        labels = list(label_set.names)
    results = {}
    if options.behaviour:
        from ..evaluation.behaviour import measure_behaviour, positive_of

        behaviour = measure_behaviour(positive_of(predictor)).as_dict()
        results["behaviour"] = behaviour
        sys.stderr.write(_describe(behaviour))
    loaded = load_many(
        given,
        on_bad_line=options.on_bad_line,
        labels=labels,
        problem_type=label_set.problem_type,
        max_line_bytes=options.max_line_bytes,
    )
    for source, reviews in loaded.items():
        results[source] = evaluate(predictor, reviews)
        sys.stderr.write(f"{source}: {summarise(results[source])}\n")
    with open_output(output) as stream:
        stream.write(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def _describe(behaviour: Mapping[str, Any]) -> str:
    """Cases and failures by capability, and the worst of these."""
    lines = [f"{'behaviour':<24}{'cases':>7}{'fail':>9}"]
    shown = []
    capabilities = behaviour["capabilities"]
    for name, found in [*capabilities.items(), ("mean", behaviour)]:
        lines.append(f"{name:<24}{found['cases']:>7,}{found['failure_rate']:>9.1%}")
        for example in found.get("examples", ()):
            answers = zip(example["texts"], example["probabilities"], strict=True)
            said = " -> ".join(f"{text} ({positive:.2f})" for text, positive in answers)
            shown.append(f"{name}, {example['target']}: {said}")
    if shown:
        lines += ["", "What fails most, with the probability of POSITIVE:", *shown]
    return "\n".join(lines) + "\n"
