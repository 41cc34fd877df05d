"""Measure what a few labelled reviews of another domain give, beside models that start from less.

    python scripts/few_labels.py [--sizes 200 1000 4000] [--draws 3] [--baselines tfidf minilm]

The recipe (default: `scripts/recipes/fine_tune.yaml`) is trained from its classifier on so many
reviews of `--train`, drawn at random, each draw with the next seed; a larger set of one draw holds
the smaller ones. A fifth of each set is the recipe's validation reviews, to fit the temperature;
they are among the labels that are counted, while the baselines learn from all. Every model is
measured on `--test`, which nothing is chosen by, and the classifier also as it comes, without any
of the reviews.

Prints a table and writes `--json` with a picture beside it. The runs are kept below `--output_dir`;
the same command resumes an interrupted one, and adds what is new of sizes, draws or baselines.
Fields of the recipe can be given too. With a network, all 25,000 of IMDB's test half are
`--test stanfordnlp/imdb:test`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from baselines import draw_curve
from numpy.typing import ArrayLike
from transformers.utils import SAFE_WEIGHTS_NAME

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.data.sources import file_digest
from sentiment_lstm.evaluation.evaluate import Predictions, measure
from sentiment_lstm.evaluation.results import read_results, redact_recipe
from sentiment_lstm.files import RESULTS_FILE, write_json
from sentiment_lstm.inference.predictor import SentimentPredictor
from sentiment_lstm.training.recipe import Recipe, read_recipe
from sentiment_lstm.training.run import train
from sentiment_lstm.training.starting import is_classifier
from sentiment_lstm.training.teachers import (
    CLASSIFIERS,
    Classifier,
    add_pretrained_option,
    classifiers,
    read_reviews,
    refuse_own_labels,
    write_reviews,
)

RECIPE = Path("scripts/recipes/fine_tune.yaml")
OURS = "this model"
# The share of the labelled reviews that the weights learn from; the rest fit the temperature.
TRAINED_ON = 0.8


def measure_all(
    recipe: Recipe,
    chosen: Mapping[str, Classifier],
    sizes: list[int],
    draws: int,
    train_sources: list[str],
    test_sources: list[str],
    path: Path,
) -> dict[str, Any]:
    """Measure every model on every set of reviews that the file does not have yet.

    Args:
        recipe: Of the model, with `init_from`; its runs are in folders below its `output_dir`.
        chosen: Name -> baseline.
        sizes: Numbers of labelled reviews.
        draws: How many sets of each size.
        train_sources: From which they are drawn.
        test_sources: On which every model is measured.
        path: The JSON file, written after each point.

    Returns:
        Its content: `version`, `command`, `asked` (what the figures are of), `start` (figures of
        the classifier as it comes) and `points`: model -> size -> accuracy of each draw.

    Raises:
        RecipeError: If a folder holds a run of another recipe.
        ReviewError: If reviews cannot be read.
        ValueError: If a size is too small or too large, if the recipe does not start from a
            classifier, or if the file holds other figures.
    """
    start = recipe.training.init_from
    if start is None or not is_classifier(start):
        raise ValueError(f"init_from is {start}: name the folder of a classifier")
    refuse_own_labels(recipe)
    texts, labels = read_reviews(train_sources)
    if min(sizes) < 5 or max(sizes) > len(texts) or draws < 1:
        raise ValueError(f"sizes are from 5 to {len(texts)}, not {sizes}, and draws 1 or more")
    unseen, right = read_reviews(test_sources)
    content = _begin(path, recipe, start, train_sources, test_sources)
    if "start" not in content:
        positive = SentimentPredictor.from_pretrained(start).predict_proba(unseen)[:, 1]
        content["start"] = _figures(positive, right)
        write_json(path, content)
    points: dict[str, dict[str, list[float]]] = content["points"]
    for size, draw in ((size, draw) for size in sizes for draw in range(draws)):
        order = np.random.default_rng(draw).permutation(len(texts))[:size].tolist()
        drawn = [texts[index] for index in order], [labels[index] for index in order]
        for name in (OURS, *chosen):
            model = OURS if name == OURS else chosen[name].name
            known = points.setdefault(model, {}).setdefault(str(size), [])
            if len(known) > draw:
                continue
            if name == OURS:
                found = _fine_tune(recipe, draw, drawn, test_sources)
            else:
                predict = chosen[name].train(*drawn).predict
                found = _figures(predict(unseen), right)["accuracy"]
            known.append(found)
            write_json(path, content)
            print(f"{model}, {size:,} reviews, draw {draw}: {found:.2%}", flush=True)
    return content


def results_table(content: Mapping[str, Any]) -> str:
    """Accuracy by model and size in Markdown: the median of the draws, the lowest and the highest.

    Args:
        content: What `measure_all` returned.
    """
    sizes = sorted({int(size) for sizes in content["points"].values() for size in sizes})
    lines = [["", "as it comes", *(f"{size:,}" for size in sizes)]]
    lines.append(["---"] * len(lines[0]))
    for model, points in content["points"].items():
        start = f"{content['start']['accuracy']:.1%}" if model == OURS else "–"
        lines.append([model, start, *_cells(points, sizes)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_points(content: Mapping[str, Any], path: Path) -> None:
    """Draw the median accuracy against the number of reviews as a PNG, the start as a level line.

    Args:
        content: What `measure_all` returned.
        path: The file.
    """
    curves = {
        model: {
            int(size): statistics.median(found)
            for size, found in sorted(points.items(), key=lambda item: int(item[0]))
            if found
        }
        for model, points in content["points"].items()
    }
    level = dict.fromkeys(curves[OURS], content["start"]["accuracy"])
    title = ", ".join(content["asked"]["recipe"]["test"])
    draw_curve({title: {**curves, f"{OURS}, as it comes": level}}, path)


def _cells(points: Mapping[str, list[float]], sizes: list[int]) -> Iterator[str]:
    for size in sizes:
        found = points.get(str(size))
        yield (
            f"{statistics.median(found):.1%} ({min(found):.1%} to {max(found):.1%})"
            if found
            else "–"
        )


def _begin(
    path: Path, recipe: Recipe, start: str, train_sources: list[str], test_sources: list[str]
) -> dict[str, Any]:
    """What the file holds, if it is of this recipe, this classifier and these reviews."""
    fields = {**recipe.fields, "train": train_sources, "test": test_sources}
    for name in ("validation", "output_dir", "seed"):  # which each set has of its own
        fields.pop(name, None)
    asked = {
        "recipe": redact_recipe(fields),
        "weights": file_digest(Path(start, SAFE_WEIGHTS_NAME)),
    }
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command, of = "python scripts/few_labels.py", version("sentiment-lstm")
        return {"version": of, "command": command, "asked": asked, "points": {}}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if content.get("asked") != asked:
        raise ValueError(
            f"{path}: holds figures of another recipe, another classifier or other reviews; name "
            "another --json and --output_dir, or delete both to start anew"
        )
    return content


def _fine_tune(
    recipe: Recipe, draw: int, drawn: tuple[list[str], list[int]], test_sources: list[str]
) -> float:
    """Train the recipe on one set of reviews; its accuracy on all of the test."""
    output = Path(str(recipe.training.output_dir))
    output.mkdir(parents=True, exist_ok=True)
    size = len(drawn[0])
    source = output / f"{size}-{draw}.jsonl"
    write_reviews(source, *drawn)
    border = int(TRAINED_ON * size)
    run = recipe.replace(
        train=f"{source}:train[:{border}]",
        validation=f"{source}:train[{border}:]",
        test=test_sources,
        seed=draw,
        output_dir=str(output / f"{size}-{draw}"),
    )
    measured = read_results(train(run) / RESULTS_FILE).metrics["test"].values()
    right = sum(found["accuracy"] * found["reviews"] for found in measured)
    return float(right / sum(found["reviews"] for found in measured))


def _figures(positive: ArrayLike, labels: list[int]) -> dict[str, Any]:
    found = measure(Predictions.of_positive(positive, labels))
    return {name: found[name] for name in ("reviews", "accuracy", "accuracy_low", "accuracy_high")}


def main() -> None:
    """Measure what is asked for, print it and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 1000, 4000])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--baselines", nargs="*", choices=list(CLASSIFIERS), default=["tfidf"])
    add_pretrained_option(parser)
    parser.add_argument("--train", nargs="+", default=["sample:train"], metavar="SOURCE")
    parser.add_argument(
        "--test", nargs="+", default=["sample:validation", "sample:test"], metavar="SOURCE"
    )
    parser.add_argument("--output_dir", type=Path, default=Path("runs/few_labels"))
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="default: few_labels.json in output_dir"
    )
    options, fields = parser.parse_known_args()
    path: Path = options.json or options.output_dir / "few_labels.json"
    try:
        overrides = {**read_overrides(fields), "output_dir": str(options.output_dir)}
        known = classifiers(options.pretrained)
        content = measure_all(
            read_recipe(options.recipe, overrides),
            {name: known[name] for name in options.baselines},
            options.sizes,
            options.draws,
            options.train,
            options.test,
            path,
        )
        draw_points(content, path.with_suffix(".png"))
    except ModuleNotFoundError as error:
        sys.exit(f"few_labels: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"few_labels: {error}")
    print(f"\n{results_table(content)}\n\nwrote {path} and {path.with_suffix('.png')}")


if __name__ == "__main__":
    main()
