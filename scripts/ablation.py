"""Measure what single choices of a recipe do: one row a choice, several seeds, paired tests.

    python scripts/ablation.py scripts/ablations/default.yaml [--seeds 3] [--rows NAME ...]

A table is a YAML file: `recipe`, the recipe to vary, by its path beside the table; `fields`, what
all rows share; `rows`, name -> fields that differ. The first row is the baseline. Every row and
seed is a run of its own under `--output_dir`, so the same command resumes an interrupted one, and
a row that is added later costs only itself.

Prints a table in Markdown: accuracy on each validation source (median and range over the seeds),
the difference to the baseline over all validation reviews with its standard error, paired review by
review (each review counts by the share of seeds that predict it right), parameters and training
time. `OUTPUT_DIR/ablation.json` holds the same as numbers.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.data.dataset import load_many
from sentiment_lstm.evaluation.evaluate import Predictions, predict_reviews
from sentiment_lstm.evaluation.results import read_results
from sentiment_lstm.files import ABLATION_FILE, RESULTS_FILE, replacing, write_json
from sentiment_lstm.hub.ablations import ablation_table, spread
from sentiment_lstm.inference.predictor import SentimentPredictor
from sentiment_lstm.training.recipe import Recipe, RecipeError, read_recipe, reading_options
from sentiment_lstm.training.run import train

# The predictions of all validation reviews, beside the results of each run.
PREDICTIONS_FILE = "predictions.npz"


def read_table(path: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Read a table: the recipe, and the fields of each row, baseline first.

    Raises:
        RecipeError: If it is not what the module's docstring says.
    """
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = set(table) - {"recipe", "fields", "rows"} if isinstance(table, dict) else {"no table"}
    if unknown or not table.get("rows") or "recipe" not in table:
        raise RecipeError(f"{path}: a table has `recipe`, `fields` and `rows`")
    shared = table.get("fields") or {}
    rows = {str(name): shared | (fields or {}) for name, fields in table["rows"].items()}
    return path.parent / table["recipe"], rows


def run(recipe: Recipe) -> None:
    """Train one row with one seed and predict its validation reviews, unless that was done."""
    folder = train(recipe)
    if (folder / PREDICTIONS_FILE).exists():
        return
    reviews = load_many(recipe.reviews.validation, **reading_options(recipe.fields))
    predictor = SentimentPredictor.from_pretrained(folder)
    write_predictions(
        folder,
        Predictions.concatenate([predict_reviews(predictor, part) for part in reviews.values()]),
    )


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Keep the predictions of a run, as a whole or not at all."""
    with replacing(folder / PREDICTIONS_FILE, "wb") as stream:
        np.savez(stream, probabilities=predictions.probabilities, labels=predictions.labels)


def read_predictions(folder: Path) -> Predictions:
    """What `write_predictions` wrote."""
    with np.load(folder / PREDICTIONS_FILE) as arrays:
        return Predictions(arrays["probabilities"], arrays["labels"])


def share_right(folders: list[Path]) -> NDArray[np.float64]:
    """Share of the seeds that predict each validation review right, `(reviews,)`."""
    share: NDArray[np.float64] = np.mean([read_predictions(f).correct for f in folders], axis=0)
    return share


def summarise(folders: list[Path], baseline: NDArray[np.float64] | None) -> dict[str, Any]:
    """The figures of one row.

    Args:
        folders: One for each seed.
        baseline: What `share_right` gives of the baseline; `None` for the baseline itself.

    Returns:
        Accuracies by source and seed, parameters, seconds and, but for the baseline, the
        difference in accuracy and its standard error.
    """
    results = [read_results(folder / RESULTS_FILE) for folder in folders]
    summary: dict[str, Any] = {
        "seeds": [result.seed for result in results],
        "accuracy": {
            source: [result.metrics["validation"][source]["accuracy"] for result in results]
            for source in results[0].metrics["validation"]
        },
        "parameters": results[0].parameters,
        "seconds": statistics.median(result.wall_time_seconds["train"] for result in results),
    }
    summary["accuracy"]["all"] = [float(read_predictions(f).correct.mean()) for f in folders]
    if baseline is not None:
        gain = share_right(folders) - baseline
        summary["difference"] = float(gain.mean())
        summary["standard_error"] = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    return summary


def main() -> None:
    """Run what is not yet there, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--seed 42` would otherwise mean 42 seeds
        epilog="Fields of the recipe can be given for all rows: --train SOURCE",
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="default: 3")
    parser.add_argument("--rows", nargs="+", help="only these, besides the baseline")
    parser.add_argument("--output_dir", type=Path, help="default: runs/ablation/TABLE")
    options, fields = parser.parse_known_args()
    try:
        shared = read_overrides(fields)
        if "seed" in shared:
            raise RecipeError("each row is run with the seeds 0, 1, ...: say how many with --seeds")
        recipe, rows = read_table(options.table)
        unknown = set(options.rows or ()) - set(rows)
        if unknown:
            raise RecipeError(f"{options.table}: no row {', '.join(sorted(unknown))}")
        names = [n for i, n in enumerate(rows) if i == 0 or not options.rows or n in options.rows]
        output = options.output_dir or Path("runs", "ablation", options.table.stem)
        summaries: dict[str, dict[str, Any]] = {}
        baseline = None
        for name in names:
            row = read_recipe(recipe, rows[name] | shared)
            slug = re.sub(r"\W+", "-", name).strip("-")
            folders = [output / slug / f"seed{seed}" for seed in range(options.seeds)]
            for seed, folder in enumerate(folders):
                run(row.replace(output_dir=str(folder), seed=seed))
            summaries[name] = summarise(folders, baseline)
            baseline = share_right(folders) if baseline is None else baseline
            print(f"{name}: {spread(summaries[name]['accuracy']['all'])}", flush=True)
    except (OSError, ValueError) as error:
        sys.exit(f"ablation: {error}")
    write_json(output / ABLATION_FILE, summaries)
    print(f"\n{ablation_table(summaries)}\n\nwrote {output / ABLATION_FILE}")


if __name__ == "__main__":
    main()
