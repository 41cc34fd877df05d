"""Train other models on the reviews of a finished run, and measure them where it was measured.

    python scripts/baselines.py FOLDER [--baselines tfidf fasttext minilm mpnet] [--train SOURCES]
    python scripts/baselines.py FOLDER --sizes 1000 4000 16000

FOLDER is a model folder that `sentiment-lstm train` wrote. Each baseline is trained on the very
reviews of its recipe and measured on its validation and test reviews and on the behavioural suite.
Prints a table with the model first, and writes `FOLDER/baselines.json`, which its card shows. With
`--train` the baselines learn from other reviews than the run, such as a part of its own where these
would take one of them days; the table and the card say so. What it asks for is measured anew each
time (fine-tuned transformers are kept, by the content of the reviews).

With `--sizes` the model's recipe and the baselines are also trained on so many of the reviews,
drawn at random once, so that each set holds the smaller ones: `FOLDER/curve.json` and
`FOLDER/curve.png` show accuracy against the number of reviews. The models of the smaller sets are
kept below `--curve_dir`. The same command resumes an interrupted one.

fastText and MiniLM come with the extra `benchmark`; MPNet takes hours without a GPU, so it has to
be asked for.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sentiment_lstm.data.labels import BINARY
from sentiment_lstm.evaluation.behaviour import fingerprint, generate, measure_behaviour
from sentiment_lstm.evaluation.evaluate import Predictions, measure
from sentiment_lstm.evaluation.figures import CURVE
from sentiment_lstm.evaluation.results import BySource, Results, read_results
from sentiment_lstm.files import BASELINES_FILE, CURVE_FILE, RECIPE_FILE, RESULTS_FILE, write_json
from sentiment_lstm.hub.baselines import Baseline, read_baselines, write_baselines
from sentiment_lstm.training.recipe import read_recipe, reading_options
from sentiment_lstm.training.run import train
from sentiment_lstm.training.starting import is_classifier
from sentiment_lstm.training.teachers import (
    CLASSIFIERS,
    READ_AT_LEAST,
    WITHOUT_TEACHER,
    Classifier,
    add_pretrained_option,
    classifiers,
    read_reviews,
    refuse_own_labels,
    write_reviews,
)

COMMAND = "python scripts/baselines.py FOLDER"
DEFAULT = ["tfidf", "fasttext", "minilm"]

# Set of reviews -> model -> number of training reviews -> accuracy.
Curve = dict[str, dict[str, dict[int, float]]]


def measure_all(
    chosen: dict[str, Classifier], folder: Path, train: list[str] | None = None
) -> list[Baseline]:
    """Measure the baselines of a run that are not yet in its `baselines.json`, and add them.

    Args:
        chosen: Name on the command line -> baseline.
        folder: The finished run.
        train: What they learn from, in the place of the run's own reviews.

    Returns:
        The chosen ones.

    Raises:
        ValueError: If the run has other labels than NEGATIVE and POSITIVE.
    """
    results = read_results(folder / RESULTS_FILE)
    if results.labels != BINARY:
        raise ValueError(
            f"{folder}: its labels are {results.labels}, and the baselines know NEGATIVE and "
            "POSITIVE alone"
        )
    path, sources = folder / BASELINES_FILE, _sources(results.metrics)
    options = reading_options(results.recipe)
    trained_on, more = "the same reviews", ""
    if train is not None:
        trained_on, more = f"{len(read_reviews(train, **options)[0]):,} reviews", " --train SOURCES"
    suite = fingerprint(generate())
    found = {baseline.name: baseline for baseline in read_baselines(path)} if path.exists() else {}
    for name, classifier in chosen.items():
        known = found.get(classifier.name)
        # What is asked for now, measured there: it may be another set of reviews than last time, or
        # another suite. Of `train` the file knows the number alone, so that is measured anew.
        asked = (trained_on, sources, suite)
        there = known and (
            known.trained_on,
            _sources(known.metrics),
            (known.behaviour or {}).get("suite"),
        )
        if there != asked or train is not None:
            learned = train or results.recipe["train"]
            command = f"{COMMAND} --baselines {name}{more}"
            measured = measure_baseline(classifier, results, learned, trained_on, command)
            found[classifier.name] = measured
            write_baselines(found.values(), path)
            print(f"{folder}: {classifier.name} trained in {measured.train_seconds} s", flush=True)
    return [found[classifier.name] for classifier in chosen.values()]


def measure_baseline(
    classifier: Classifier, results: Results, train: list[str], trained_on: str, command: str
) -> Baseline:
    """Train one baseline on the reviews of some sources, and measure it as a run was."""
    options = reading_options(results.recipe)
    texts, labels = read_reviews(train, **options)
    started = time.perf_counter()
    trained = classifier.train(texts, labels)
    seconds = time.perf_counter() - started if trained.seconds is None else trained.seconds
    metrics: BySource = {}
    for split, source, _ in results.parts():
        unseen, right = read_reviews([source], **options)
        predictions = Predictions.of_positive(trained.predict(unseen), right)
        metrics.setdefault(split, {})[source] = measure(predictions)
    return Baseline(
        name=classifier.name,
        description=classifier.description,
        parameters=trained.parameters,
        trained_on=trained_on,
        train_seconds=round(seconds, 1),
        command=command,
        metrics=metrics,
        behaviour=measure_behaviour(trained.predict).as_dict(),
    )


def train_on_fewer(folder: Path, sizes: list[int], output: Path) -> list[Path]:
    """Train the recipe of a run on some of its reviews.

    Soft labels are left out: their teacher knew all the reviews. What a recipe starts from is not,
    though word vectors may hold some of that teacher's word (`word_vectors.py --sentiment`).

    Returns:
        The model folder of each size.

    Raises:
        ValueError: If a size is not below the number of training reviews, or the recipe starts
            from a classifier, which has learned from all of them.
    """
    recipe = read_recipe(folder / RECIPE_FILE)
    refuse_own_labels(recipe)
    start = recipe.training.init_from
    if start is not None and is_classifier(start):
        raise ValueError(
            f"the recipe of {folder} starts from {start}, which knows all the reviews: give "
            "--sizes to the run that this was trained by"
        )
    texts, labels = read_reviews(recipe.reviews.train, **reading_options(recipe.fields))
    if max(sizes) >= len(texts) or min(sizes) < 2:
        raise ValueError(f"sizes are from 2 to {len(texts) - 1}, not {sizes}")
    order = np.random.default_rng(0).permutation(len(texts))
    output.mkdir(parents=True, exist_ok=True)
    folders = []
    for size in sizes:
        source = output / f"{size}.jsonl"
        chosen = order[:size].tolist()
        write_reviews(source, [texts[i] for i in chosen], [labels[i] for i in chosen])
        epochs = recipe.fields.get("num_train_epochs", 3)
        smaller = recipe.replace(
            train=str(source),
            output_dir=str(output / f"{size}"),
            num_train_epochs=max(epochs, math.ceil(READ_AT_LEAST / size)),
            **WITHOUT_TEACHER,
        )
        folders.append(train(smaller))
    return folders


def measure_curve(chosen: dict[str, Classifier], folders: list[Path]) -> Curve:
    """Accuracy of the models in some folders and of the baselines of each."""
    curve: Curve = {}
    for folder in folders:
        results = read_results(folder / RESULTS_FILE)
        names, size = results.public_names(), results.number_of_reviews("train")
        models = {"this model": results.metrics}
        models |= {baseline.name: baseline.metrics for baseline in measure_all(chosen, folder)}
        for split, source, _ in results.parts():
            for name, metrics in models.items():
                points = curve.setdefault(names[source], {}).setdefault(name, {})
                points[size] = metrics[split][source]["accuracy"]
    return curve


def draw_curve(curve: Curve, path: Path) -> None:
    """Draw accuracy against the number of reviews as a PNG."""
    figure = Figure(figsize=(5 * len(curve), 4), layout="constrained")
    panels = figure.subplots(1, len(curve), squeeze=False)[0]
    for axes, (title, models) in zip(panels, curve.items(), strict=True):
        for (name, points), marker in zip(models.items(), "os^Dv", strict=False):
            axes.plot(list(points), [100 * y for y in points.values()], marker=marker, label=name)
        axes.set(title=title, xscale="log", xlabel="training reviews", ylabel="accuracy (%)")
        sizes = sorted({size for points in models.values() for size in points})
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


def results_table(results: Results, baselines: list[Baseline]) -> str:
    """Accuracy with its 95 % interval on each set of reviews, in Markdown."""
    header = ["", "parameters", *results.metrics_by_name()]
    lines = [header, ["---"] * len(header)]
    models = [("the model", results.parameters, results.metrics)]
    models += [(f"{b.name}, on {b.trained_on}", b.parameters or 0, b.metrics) for b in baselines]
    for name, parameters, metrics in models:
        figures = [metrics[split][source] for split, source, _ in results.parts()]
        cells = [
            f"{found['accuracy']:.2%} ({found['accuracy_low']:.2%} to {found['accuracy_high']:.2%})"
            for found in figures
        ]
        lines.append([name, f"{parameters:,}", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def curve_table(curve: Curve) -> str:
    """The curve in Markdown."""
    sizes = sorted({size for models in curve.values() for m in models.values() for size in m})
    lines = [["reviews", "model", *(f"{size:,}" for size in sizes)], ["---"] * (2 + len(sizes))]
    for title, models in curve.items():
        for name, points in models.items():
            lines.append([title, name, *(f"{100 * points[size]:.1f} %" for size in sizes)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sources(metrics: BySource) -> set[tuple[str, str]]:
    return {(split, source) for split, sources in metrics.items() for source in sources}


def main() -> None:
    """Measure the baselines that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--baselines", nargs="+", choices=list(CLASSIFIERS), default=DEFAULT)
    parser.add_argument("--train", nargs="+", metavar="SOURCE", help="what they learn from")
    add_pretrained_option(parser)
    parser.add_argument("--sizes", nargs="+", type=int, default=[], metavar="REVIEWS")
    parser.add_argument("--curve_dir", type=Path, default=Path("runs/curve"))
    options = parser.parse_args()
    if options.train and options.sizes:
        parser.error("--sizes draws from the run's own reviews: leave --train out")
    folder: Path = options.folder
    try:
        known = classifiers(options.pretrained)
        chosen = {name: known[name] for name in options.baselines}
        baselines = measure_all(chosen, folder, options.train)
        print(f"\n{results_table(read_results(folder / RESULTS_FILE), baselines)}\n")
        print(f"wrote {folder / BASELINES_FILE}", flush=True)
        if options.sizes:
            smaller = train_on_fewer(folder, options.sizes, options.curve_dir)
            curve = measure_curve(chosen, [*smaller, folder])
            draw_curve(curve, folder / CURVE)
            write_json(folder / CURVE_FILE, curve)
            print(f"\n{curve_table(curve)}\n\nwrote {folder / CURVE}")
    except ModuleNotFoundError as error:
        sys.exit(f"baselines: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"baselines: {error}")


if __name__ == "__main__":
    main()
