"""Train other models on the reviews of a finished run, and measure them where it was measured.

    python scripts/benchmark_accuracy.py FOLDER [--baselines tfidf fasttext minilm]
    python scripts/benchmark_accuracy.py FOLDER --sizes 1000 4000 16000

FOLDER is a model folder that `sentiment-lstm train` wrote. Each baseline is trained on the very reviews
of its recipe and measured on its validation and test reviews. Prints a table with the model first,
and writes `FOLDER/baselines.json`, which its card shows.

With `--sizes` the model's recipe and the baselines are also trained on so many of the reviews, drawn at
random once, so that each set holds the smaller ones: `FOLDER/curve.json` and `FOLDER/curve.png`
show accuracy against the number of reviews. The models of the smaller sets are kept below
`--curve_dir`, and the command goes on where it was interrupted.

fastText and MiniLM come with the extra `benchmark`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.evaluation.figures import CURVE
from sentiment_lstm.evaluation.metrics import score
from sentiment_lstm.hub.baselines import BASELINES_FILE, Baseline, read_baselines, write_baselines
from sentiment_lstm.training.recipe import as_arguments, read_recipe
from sentiment_lstm.training.run import RECIPE_FILE, RESULTS_FILE, train

CURVE_FILE = "curve.json"
# On few reviews a model needs more epochs than its recipe has: this many reviews are read.
READ_AT_LEAST = 32_000


@dataclass(frozen=True)
class Trained:
    """What training gives.

    Args:
        predict: Texts -> probabilities of POSITIVE, `(texts,)`.
        parameters: Their number.
        seconds: How long training took, where that is not how long the call took.
    """

    predict: Callable[[list[str]], NDArray[np.float64]]
    parameters: int
    seconds: float | None = None


def tfidf(texts: list[str], labels: list[int]) -> Trained:
    """Words and pairs of words by TF-IDF, and a logistic regression with C = 4."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    classifier = LogisticRegression(C=4, max_iter=1000)
    model = make_pipeline(vectorizer, classifier).fit(texts, labels)
    return Trained(lambda unseen: model.predict_proba(unseen)[:, 1], int(classifier.coef_.size) + 1)


def fasttext(texts: list[str], labels: list[int]) -> Trained:
    """FastText with pairs of words, 10 dimensions and 5 epochs (at least 32,000 reviews read)."""
    import fasttext as package

    def cleaned(text: str) -> str:
        return " ".join(text.lower().split())

    epochs = max(5, math.ceil(READ_AT_LEAST / len(texts)))
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for text, label in zip(texts, labels, strict=True):
            file.write(f"__label__{label} {cleaned(text)}\n")
        file.flush()
        model = package.train_supervised(
            file.name, wordNgrams=2, dim=10, epoch=epochs, lr=0.5, minCount=2, verbose=0
        )

    def predict(unseen: list[str]) -> NDArray[np.float64]:
        names, found = model.f.multilinePredict([cleaned(t) + "\n" for t in unseen], 1, 0.0, "")
        best = np.array([probability[0] for probability in found]).clip(0, 1)
        positive = np.array([name[0] == "__label__1" for name in names])
        return np.where(positive, best, 1 - best)

    parameters = model.get_input_matrix().size + model.get_output_matrix().size
    return Trained(predict, int(parameters))


def minilm(texts: list[str], labels: list[int]) -> Trained:
    """MiniLM-L6, pretrained, fine-tuned in one epoch (at least 8,000 reviews read), 160 pieces."""
    from minilm import fine_tune, predict_positive

    tuned = fine_tune(texts, labels)
    return Trained(
        lambda unseen: predict_positive(tuned, unseen), tuned.model.num_parameters(), tuned.seconds
    )


# Fields of a recipe that learns from labels alone.
WITHOUT_TEACHER: dict[str, Any] = {
    "unlabelled": None,
    "soft_labels": None,
    "soft_label_weight": None,
    "halves": False,
}
BASELINES: dict[str, tuple[str, Callable[[list[str], list[int]], Trained]]] = {
    "tfidf": ("TF-IDF + logistic regression", tfidf),
    "fasttext": ("fastText", fasttext),
    "minilm": ("MiniLM-L6", minilm),
}


def measure_all(names: list[str], folder: Path, command: str) -> list[Baseline]:
    """Measure the baselines of a run that are not yet in its `baselines.json`, and write them there.

    Args:
        names: Keys of `BASELINES`.
        folder: The finished run.
        command: The command that measures all baselines, for whoever wants to repeat it.

    Returns:
        The baselines that are asked for.

    Raises:
        ValueError: If the folder holds no finished run.
    """
    results = read_results(folder)
    path = folder / BASELINES_FILE
    found = {baseline.name: baseline for baseline in read_baselines(path)} if path.exists() else {}
    for name in names:
        title, train_peer = BASELINES[name]
        known = found.get(title)
        if known is None or set(known.metrics) != set(results["metrics"]):
            found[title] = measure(title, train_peer, results, f"{command} --baselines {name}")
            write_baselines(found.values(), path)
            print(f"{folder}: {title} trained in {found[title].train_seconds} s", flush=True)
    return [found[BASELINES[name][0]] for name in names]


def measure(
    title: str,
    train_peer: Callable[[list[str], list[int]], Trained],
    results: dict[str, Any],
    command: str,
) -> Baseline:
    """Train one baseline on the training reviews of a run and measure it on each of its parts."""
    on_bad_line = results["recipe"].get("on_bad_line", "raise")
    texts, labels = read_reviews(results["recipe"]["train"], on_bad_line)
    started = time.perf_counter()
    trained = train_peer(texts, labels)
    seconds = time.perf_counter() - started if trained.seconds is None else trained.seconds
    metrics = {}
    for part in results["metrics"]:
        unseen, right = read_reviews([part.split("/", 1)[1]], on_bad_line)
        positive = trained.predict(unseen)
        found = score(np.stack([1 - positive, positive], axis=1), right)
        metrics[part] = {"reviews": len(unseen), **found}
    return Baseline(
        name=title,
        description=" ".join((train_peer.__doc__ or "").split()).removesuffix("."),
        parameters=trained.parameters,
        trained_on="the same reviews",
        train_seconds=round(seconds, 1),
        command=command,
        metrics=metrics,
    )


def read_results(folder: Path) -> dict[str, Any]:
    """The `results.json` of a finished run."""
    results: dict[str, Any] = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    if not results.get("metrics"):
        raise ValueError(f"{folder}: no finished run of `sentiment-lstm train`")
    return results


def read_reviews(sources: list[str], on_bad_line: Any = "raise") -> tuple[list[str], list[int]]:
    """The texts and labels of several sources, one after the other."""
    texts: list[str] = []
    labels: list[int] = []
    for source in sources:
        reviews = load_reviews(source, on_bad_line=on_bad_line)
        texts += reviews["text"][:]
        labels += reviews["label"][:]
    return texts, labels


def write_reviews(path: Path, texts: list[str], labels: list[int]) -> None:
    """Write reviews as a source that a recipe can name."""
    with open(path, "w", encoding="utf-8") as lines:
        for text, label in zip(texts, labels, strict=True):
            lines.write(json.dumps({"text": text, "label": label}) + "\n")


def train_on_fewer(folder: Path, sizes: list[int], output: Path) -> list[Path]:
    """Train the recipe of a run on some of its reviews.

    Soft labels are left out: their teacher knew all the reviews.

    Returns:
        The model folder of each size.

    Raises:
        ValueError: If a size is not below the number of training reviews.
    """
    results = read_results(folder)
    on_bad_line = results["recipe"].get("on_bad_line", "raise")
    texts, labels = read_reviews(results["recipe"]["train"], on_bad_line)
    if max(sizes) >= len(texts) or min(sizes) < 2:
        raise ValueError(f"sizes are from 2 to {len(texts) - 1}, not {sizes}")
    order = np.random.default_rng(0).permutation(len(texts))
    folders = []
    for size in sizes:
        output.mkdir(parents=True, exist_ok=True)
        source = output / f"{size}.jsonl"
        chosen = order[:size].tolist()
        write_reviews(source, [texts[i] for i in chosen], [labels[i] for i in chosen])
        epochs = results["recipe"].get("num_train_epochs", 3)
        fields = {
            "train": str(source),
            "output_dir": str(output / f"{size}"),
            "num_train_epochs": max(epochs, math.ceil(READ_AT_LEAST / size)),
            **WITHOUT_TEACHER,
        }
        folders.append(train(read_recipe(folder / RECIPE_FILE, as_arguments(fields))))
    return folders


def draw_curve(curve: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    """Draw accuracy against the number of reviews.

    Args:
        curve: Part -> model -> number of reviews -> accuracy.
        path: The PNG to write.
    """
    figure = Figure(figsize=(5 * len(curve), 4), layout="constrained")
    panels = figure.subplots(1, len(curve), squeeze=False)[0]
    for axes, (part, models) in zip(panels, curve.items(), strict=True):
        for (name, points), marker in zip(models.items(), "os^Dv", strict=False):
            axes.plot(list(points), [100 * y for y in points.values()], marker=marker, label=name)
        axes.set(title=part, xscale="log", xlabel="training reviews", ylabel="accuracy (%)")
        axes.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


def table(results: dict[str, Any], baselines: list[Baseline]) -> str:
    """Accuracy with its 95 % interval on each part, in Markdown."""
    parts = list(results["metrics"])
    rows: list[tuple[str, Any, Any]] = [
        ("the model", results["parameters"], results["metrics"]),
        *((baseline.name, baseline.parameters, baseline.metrics) for baseline in baselines),
    ]
    lines = [["", "parameters", *parts], ["---"] * (2 + len(parts))]
    for name, parameters, metrics in rows:
        cells = [
            f"{found['accuracy']:.2%} ({found['accuracy_low']:.2%} to {found['accuracy_high']:.2%})"
            for found in (metrics[part] for part in parts)
        ]
        lines.append([name, f"{parameters:,}", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def curve_table(curve: dict[str, dict[str, dict[int, float]]]) -> str:
    """The curve in Markdown."""
    sizes = sorted({size for models in curve.values() for m in models.values() for size in m})
    lines = [["reviews", "model", *(f"{size:,}" for size in sizes)], ["---"] * (2 + len(sizes))]
    for part, models in curve.items():
        for name, points in models.items():
            lines.append([part, name, *(f"{100 * points[size]:.1f} %" for size in sizes)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure the baselines that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--baselines", nargs="+", choices=list(BASELINES), default=list(BASELINES))
    parser.add_argument("--sizes", nargs="+", type=int, default=[], metavar="REVIEWS")
    parser.add_argument("--curve_dir", type=Path, default=Path("runs/curve"))
    options = parser.parse_args()
    try:
        command = "python scripts/benchmark_accuracy.py FOLDER"
        baselines = measure_all(options.baselines, options.folder, command)
        results = read_results(options.folder)
        print(
            f"\n{table(results, baselines)}\n\nwrote {options.folder / BASELINES_FILE}", flush=True
        )
        if options.sizes:
            smaller = train_on_fewer(options.folder, options.sizes, options.curve_dir)
            curve: dict[str, dict[str, dict[int, float]]] = {}
            for folder in [*smaller, options.folder]:
                baselines = measure_all(options.baselines, folder, command)
                results = read_results(folder)
                size = sum(part["reviews"] for part in results["reviews"]["train"].values())
                models = {
                    "this model": results["metrics"],
                    **{p.name: p.metrics for p in baselines},
                }
                for (name, metrics), part in itertools.product(models.items(), results["metrics"]):
                    accuracies = curve.setdefault(Path(part).name, {}).setdefault(name, {})
                    accuracies[size] = metrics[part]["accuracy"]
            draw_curve(curve, options.folder / CURVE)
            (options.folder / CURVE_FILE).write_text(json.dumps(curve, indent=2) + "\n")
            print(f"\n{curve_table(curve)}\n\nwrote {options.folder / CURVE}")
    except ModuleNotFoundError as error:
        sys.exit(f"benchmark_accuracy: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"benchmark_accuracy: {error}")


if __name__ == "__main__":
    main()
