"""`sentiment-lstm predict`: labels of texts, of a file or of standard input."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..data.sources import is_stream
from ..files import default_model
from ..outputs import Output
from .common import (
    add_command,
    answers_alone,
    decoded,
    find_output,
    open_output,
    take_limit,
    take_trust,
)

if TYPE_CHECKING:
    from ..inference.rows import Rows


def add(commands: Any) -> None:
    """Declare the command."""
    command = add_command(
        commands,
        "predict",
        _run,
        "classify texts",
        """
        Without TEXT and --input, reviews are read from standard input, one a line, as from a .txt
        file. The output has one line a review, in order, with the label and the score of
        transformers' pipeline; of several labels at once those above one half, and the score of
        each; of a number the score alone.
        Without --model the default model predicts, the released checkpoint; a first TEXT that is
        a model folder is taken for the model.

        A file is computed in bf16 where the machine does so, and close calls again in float32:
        the labels are the same, the scores within 0.01. With --input and --output the work can
        be stopped: the same command resumes it.

        --engine ray shares many files out among all cores, or all machines of a Ray cluster.
        --input is then a folder or a pattern of .parquet, .csv or .jsonl files, --output a new
        folder for .parquet files that have all columns of the input, and predicted_label and
        predicted_score besides; both wherever fsspec finds them. See docs/cluster.md.

        examples:
          sentiment-lstm predict "Broke after a week." "Best purchase this year!"
          sentiment-lstm predict --model runs/demo "Broke after a week."
          sentiment-lstm predict --model runs/demo --input reviews.txt.gz --output labels.jsonl
          sentiment-lstm predict --engine ray --input "s3://bucket/reviews/*.parquet" \\
              --output s3://bucket/labels
          cut -f3 reviews.tsv | sentiment-lstm predict --model runs/demo --format csv > labels.csv
        """,
    )
    command.set_defaults(
        when_interrupted="; with --input and --output, and no --engine, the same command resumes"
    )
    command.add_argument(
        "--model",
        metavar="MODEL",
        help="a model folder or Hub repository (default: the released checkpoint)",
    )
    command.add_argument("text", metavar="TEXT", nargs="*", help="texts to classify")
    command.add_argument(
        "--input",
        metavar="FILE",
        help="lines of text (.txt; a fastText label in front is left out), .csv or .jsonl; also "
        ".gz or .bz2",
    )
    command.add_argument("--text_column", metavar="NAME", help="column of the text in --input")
    command.add_argument("--output", metavar="FILE", help="write there, not to standard output")
    command.add_argument(
        "--engine", choices=["ray"], help="what shares --input out (default: one process reads it)"
    )
    command.add_argument(
        "--format", choices=["jsonl", "csv"], default="jsonl", help="default: jsonl"
    )
    command.add_argument("--include_text", action="store_true", help="repeat each text")
    command.add_argument(
        "--exact", action="store_true", help="compute a file in float32 throughout"
    )
    command.add_argument(
        "--chunk_size",
        type=int,
        default=4096,
        metavar="N",
        help="texts to collect before classifying them; 1 answers line by line (default: 4096)",
    )
    take_limit(command)
    take_trust(command)


def _run(options: argparse.Namespace) -> None:
    _refuse_several_processes()
    model, given = _split_model(options)
    if given and options.input is not None:
        raise ValueError("give texts or --input, not both")
    if options.engine:
        _predict_with_ray(model, options)
        return
    if options.text_column is not None and options.input is None:
        options.error("--text_column goes with --input")
    inputs = [] if options.input is None else [options.input]
    output = find_output(options.output, model=model, inputs=inputs)
    from ..inference.rows import Rows

    rows = Rows(options.format, options.include_text)
    # A device or a FIFO cannot be taken up where it was left.
    is_job = options.input is not None and not is_stream(options.input)
    if is_job and output is not None and not output.is_stream:
        from ..inference.batch import predict_file

        predict_file(
            model,
            options.input,
            output.path,
            text_column=options.text_column,
            rows=rows,
            exact=options.exact,
            chunk_size=options.chunk_size,
            max_line_bytes=options.max_line_bytes,
            trust_remote_code=options.trust_remote_code,
        )
        sys.stderr.write(f"wrote {output.path}\n")
        return
    with _hold(output):
        _predict_stream(model, given, output, rows, options)


def _predict_with_ray(model: str, options: argparse.Namespace) -> None:
    """Let Ray share the files of the input out."""
    if options.input is None or options.output is None:
        options.error("--engine needs --input and --output")
    for name in ("include_text", "trust_remote_code"):
        if getattr(options, name):
            options.error(f"--{name} does not go with --engine")
    if options.format != "jsonl":
        options.error("--format does not go with --engine, which writes parquet")
    from ..inference.engines import predict_with_ray

    with answers_alone():
        predict_with_ray(
            model,
            options.input,
            options.output,
            text_column=options.text_column,
            exact=options.exact,
            chunk_size=options.chunk_size,
            max_line_bytes=options.max_line_bytes,
        )
    sys.stderr.write(f"wrote {options.output}\n")


def _refuse_several_processes() -> None:
    """Raise where a launcher has started several, of which each would do all the work."""
    count = os.environ.get("WORLD_SIZE", "1")
    if count != "1":
        raise ValueError(
            f"this is one of {count} processes (WORLD_SIZE), and a prediction is the work of one: "
            "start it without torchrun or accelerate, or let Ray share it out: --engine ray"
        )


def _hold(output: Output | None) -> AbstractContextManager[None]:
    """The lock of an output, which a job on the same output takes as well."""
    if output is None or output.is_stream:
        return nullcontext()
    from ..inference.rows import lock_of
    from ..locks import hold

    return hold(lock_of(output.path), str(output.path))


def _predict_stream(
    model: str, given: list[str], output: Output | None, rows: Rows, options: argparse.Namespace
) -> None:
    """Classify texts as they come."""
    from ..inference.predictor import SentimentPredictor

    texts, kept = itertools.tee(_texts(given, options))
    with answers_alone():
        predictor = SentimentPredictor.from_pretrained(
            model,
            low_precision=options.input is not None and not options.exact,
            chunk_size=options.chunk_size,
            trust_remote_code=options.trust_remote_code,
        )
    rows = replace(rows, label_set=predictor.label_set)
    with open_output(output) as stream:
        stream.write(rows.header)
        predictions = predictor.stream(texts)
        for number, (text, prediction) in enumerate(zip(kept, predictions, strict=True), 1):
            stream.write(rows.row(text, prediction))
            if number % options.chunk_size == 0:
                stream.flush()


def _split_model(options: argparse.Namespace) -> tuple[str, list[str]]:
    """The model and the texts: before there was --model, the model was the first argument."""
    texts: list[str] = options.text
    if options.model is not None:
        return options.model, texts
    first = texts[0] if texts else ""
    # os.path and not Path, which raises for a text that is too long to be a name.
    if first and os.path.isfile(os.path.join(first, "config.json")):
        return first, texts[1:]
    if not any(map(str.isspace, first)) and any(mark in first for mark in "/\\"):
        first = shlex.quote(first)
        options.error(
            f"{first} may be a model or a text, and no model folder is there: say --model {first} "
            f"if it is a model, and --model MODEL {first} if it is a text"
        )
    return str(default_model()), texts


def _texts(given: list[str], options: argparse.Namespace) -> Iterable[str]:
    """The texts to classify, from the one place that the options name."""
    from ..data.texts import read_stream, read_texts

    if given:
        return map(decoded, given, itertools.count(1))
    if options.input is not None:
        return read_texts(
            options.input, text_column=options.text_column, max_line_bytes=options.max_line_bytes
        )
    if sys.stdin is None:
        raise ValueError("standard input is closed: give texts or --input")
    if sys.stdin.isatty():
        sys.stderr.write("reading reviews from the terminal, one a line; end with Ctrl-D\n")
    return read_stream(sys.stdin.buffer, max_line_bytes=options.max_line_bytes)
