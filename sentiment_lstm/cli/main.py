"""The command line: `sentiment-lstm train | pretrain | tune | evaluate | predict | export | push`.

Exit codes: 0 done, 1 bad input (one line on standard error says what), 2 wrong usage, 130
interrupted, 141 the reader of the output went away.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import tee
from pathlib import Path
from typing import Any, TextIO

# The modules that do the work are imported where they are needed: they take seconds, and help
# and wrong usage should not.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the name of the program. Defaults to `sys.argv[1:]`.

    Returns:
        The exit code.
    """
    parser = _parser()
    options, fields = parser.parse_known_args(arguments)
    if fields and not getattr(options, "takes_fields", False):
        parser.error(f"unrecognized arguments: {' '.join(fields)}")
    options.fields = fields
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    try:
        options.run(options)
    except KeyboardInterrupt:
        sys.stderr.write(f"sentiment-lstm: interrupted{options.when_interrupted}\n")
        return 130
    except BrokenPipeError:
        # Keep Python from complaining once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ImportError, OSError, ValueError) as error:
        if options.traceback:
            raise
        sys.stderr.write(f"sentiment-lstm: error: {' '.join(str(error).split())}\n")
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    from ..training.recipe import read_recipe
    from ..training.run import RESULTS_FILE, train

    recipe = read_recipe(options.recipe, options.fields)
    folder = train(recipe)
    if recipe.training.process_index > 0:
        return  # one of several processes reports
    results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    for part, metrics in results["metrics"].items():
        sys.stdout.write(f"{part}: {_summary(metrics)}\n")
    sys.stdout.write(f"model folder: {folder}\n")


def _pretrain(options: argparse.Namespace) -> None:
    from ..training.recipe import read_recipe
    from ..training.run import pretrain

    recipe = read_recipe(options.recipe, options.fields)
    folder = pretrain(recipe)
    if recipe.training.process_index == 0:
        sys.stdout.write(f"model folder, for `init_from`: {folder}\n")


def _tune(options: argparse.Namespace) -> None:
    from ..training.recipe import read_recipe
    from ..training.tuning import DEFAULT_SPACE, read_space, tune

    space = DEFAULT_SPACE if options.space is None else read_space(options.space)
    best = tune(read_recipe(options.recipe, options.fields), options.trials, space)
    sys.stdout.write(f"{best.read_text(encoding='utf-8')}best recipe: {best}\n")


def _evaluate(options: argparse.Namespace) -> None:
    from ..data.dataset import load_reviews
    from ..inference.predictor import load
    from ..training.run import evaluate

    model, tokenizer = load(options.model)
    results = {}
    for source in options.source:
        reviews = load_reviews(source, on_bad_line=options.on_bad_line)
        results[source] = evaluate(model, tokenizer, reviews)
        sys.stderr.write(f"{source}: {_summary(results[source])}\n")
    with _output(options.output) as stream:
        stream.write(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def _predict(options: argparse.Namespace) -> None:
    from ..default_model import default_model
    from ..inference.batch import Rows, predict_file
    from ..inference.predictor import load, low_precision_copy, predict

    model_name = options.model
    if model_name and any(map(str.isspace, model_name)) and not Path(model_name).is_dir():
        options.text.insert(0, model_name)  # a text; no model is named
        model_name = None
    if model_name is None:
        model_name = str(default_model())
    rows = Rows(options.format, options.include_text)
    if options.input and options.output and not options.text:
        is_main = predict_file(
            model_name,
            options.input,
            options.output,
            text_column=options.text_column,
            rows=rows,
            exact=options.exact,
            chunk_size=options.chunk_size,
        )
        if is_main:
            sys.stderr.write(f"wrote {options.output}\n")
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("several processes need --input and --output")
    texts, kept = tee(_texts(options))
    model, tokenizer = load(model_name)
    draft = low_precision_copy(model) if options.input and not options.exact else None
    predictions = predict(model, tokenizer, texts, draft=draft, chunk_size=options.chunk_size)
    with _output(options.output) as stream:
        stream.write(rows.header)
        for number, (text, prediction) in enumerate(zip(kept, predictions, strict=True), 1):
            stream.write(rows.row(text, prediction))
            if number % options.chunk_size == 0:
                stream.flush()


def _texts(options: argparse.Namespace) -> Iterable[str]:
    """The texts to classify, from the one place that the options name."""
    from ..data.dataset import read_texts

    if options.text and options.input:
        raise ValueError("give texts or --input, not both")
    if options.text:
        texts: list[str] = options.text
        return texts
    if options.input:
        return read_texts(options.input, text_column=options.text_column)
    if sys.stdin.isatty():
        sys.stderr.write("reading reviews from the terminal, one a line; end with Ctrl-D\n")
    return (line.rstrip("\n") for line in sys.stdin)


def _export(options: argparse.Namespace) -> None:
    from ..inference.onnx import ONNX_FILE, export

    folder = export(options.model, options.folder, int8=options.int8)
    size = (folder / ONNX_FILE).stat().st_size
    sys.stdout.write(f"{size:>12,}  {folder / ONNX_FILE}\n")


def _push(options: argparse.Namespace) -> None:
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


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name when it is whole."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
    else:
        part = path + ".part"
        with open(part, "w", encoding="utf-8", newline="") as stream:
            yield stream
        os.replace(part, path)
        sys.stderr.write(f"wrote {path}\n")


def _summary(metrics: dict[str, Any]) -> str:
    """The headline figures of one set of reviews."""
    return (
        f"{metrics['reviews']:,} reviews, accuracy {metrics['accuracy']:.2%} "
        f"(95 % interval {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%}), "
        f"loss {metrics['loss']:.4f}, "
        f"calibration error {metrics['expected_calibration_error']:.2%}"
    )


_TRACEBACK_HELP = "show where an error was raised, for bug reports"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sentiment-lstm",
        description="Train and use small LSTM sentiment classifiers.",
        epilog="`sentiment-lstm COMMAND --help` shows examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version("sentiment-lstm"))
    parser.add_argument("--traceback", action="store_true", help=_TRACEBACK_HELP)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _add(
        commands,
        "train",
        _train,
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

        An interrupted run goes on when the same command is given again.
        """,
    )
    command.usage = f"{command.prog} [-h] [--traceback] RECIPE [--field value ...]"
    _take_recipe(command, goes_on="from the last checkpoint")

    command = _add(
        commands,
        "pretrain",
        _pretrain,
        "train a language model on reviews, for a classifier to start from",
        """
        Reads the texts of --train and --unlabelled. The folder goes into the field `init_from` of
        a recipe.

        examples:
          sentiment-lstm pretrain scripts/recipes/pretrain.yaml
          sentiment-lstm train scripts/recipes/default.yaml --init_from runs/pretrain

        An interrupted run goes on when the same command is given again.
        """,
    )
    command.usage = f"{command.prog} [-h] [--traceback] RECIPE [--field value ...]"
    _take_recipe(command, goes_on="from the last checkpoint")

    command = _add(
        commands,
        "tune",
        _tune,
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

        An interrupted search goes on when the same command is given again, and takes more
        trials with a larger --trials.
        """,
    )
    _take_recipe(command, goes_on="after the finished trials")
    command.add_argument(
        "--trials", type=int, default=20, metavar="N", help="trials in all (default: 20)"
    )
    command.add_argument("--space", metavar="FILE", help="what to vary (default: sizes and rates)")

    command = _add(
        commands,
        "evaluate",
        _evaluate,
        "measure a model on labelled reviews",
        """
        A SOURCE is a file (.ft.txt, .csv, .jsonl, .parquet; .gz or .bz2), a Hub dataset, or
        `sample`; a split or slice of it follows a colon.

        examples:
          sentiment-lstm evaluate runs/demo sample:test
          sentiment-lstm evaluate runs/default test.ft.txt.bz2:train[50%:] --output test.json
          sentiment-lstm evaluate runs/default fancyzhx/amazon_polarity:test[:1000]
        """,
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or Hub repository")
    command.add_argument("source", metavar="SOURCE", nargs="+", help="labelled reviews")
    command.add_argument(
        "--on_bad_line", choices=["raise", "skip"], default="raise", help="default: raise"
    )
    command.add_argument("--output", metavar="FILE", help="write the metrics there, as json")

    command = _add(
        commands,
        "predict",
        _predict,
        "classify texts",
        """
        Without TEXT and --input, reviews are read from standard input, one a line. The output
        has one line a review, in order, with the label and the score of transformers' pipeline.
        Without MODEL the released checkpoint answers: a first argument that is no folder and has
        a space in it is a text.

        A file is computed in bf16 where the machine does so, and close calls again in float32:
        the labels are the same, the scores within 0.01. With --input and --output the work can
        be stopped: the same command goes on, and several processes share it.

        examples:
          sentiment-lstm predict "Broke after a week." "Best purchase this year!"
          sentiment-lstm predict runs/demo "Broke after a week."
          sentiment-lstm predict runs/demo --input reviews.txt.gz --output labels.jsonl
          torchrun --nproc_per_node 2 -m sentiment_lstm predict runs/demo \\
              --input reviews.txt.gz --output labels.jsonl
          cut -f3 reviews.tsv | sentiment-lstm predict runs/demo --format csv > labels.csv
        """,
    )
    command.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="a model folder or Hub repository (default: the released checkpoint)",
    )
    command.set_defaults(when_interrupted="; with --input and --output the same command goes on")
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

    command = _add(
        commands,
        "export",
        _export,
        "write a model as ONNX",
        """
        FOLDER gets model.onnx, the config and the tokenizer. model.onnx takes input_ids and
        attention_mask of any batch and length and returns logits, which are compared with those
        of torch before anything is written. Needs `pip install "sentiment-lstm[export]"`.

        examples:
          sentiment-lstm export runs/default runs/default-onnx
          sentiment-lstm export runs/default runs/default-int8 --int8
        """,
    )
    command.add_argument("model", metavar="MODEL", help="a model folder or Hub repository")
    command.add_argument("folder", metavar="FOLDER", help="a new or empty folder")
    command.add_argument(
        "--int8", action="store_true", help="8-bit weights: smaller, faster, nearly the same"
    )

    command = _add(
        commands,
        "push",
        _push,
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
    return parser


def _take_recipe(command: argparse.ArgumentParser, goes_on: str) -> None:
    """Let a command take a recipe and its fields, and say where it goes on when interrupted."""
    command.set_defaults(
        takes_fields=True, when_interrupted=f"; the same command goes on {goes_on}"
    )
    command.add_argument("recipe", metavar="RECIPE", help="a YAML file; see scripts/recipes/")


def _add(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    details: str,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary.capitalize() + ".",
        epilog=textwrap.dedent(details).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Suppressed, so that it does not undo the same option before the command.
    command.add_argument(
        "--traceback", action="store_true", default=argparse.SUPPRESS, help=_TRACEBACK_HELP
    )
    command.set_defaults(run=run, when_interrupted="")
    return command
