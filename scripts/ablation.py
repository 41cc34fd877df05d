"""Measure what single choices of a recipe do: one row a choice, several seeds, paired tests.

    python scripts/ablation.py scripts/ablations/levers.yaml [--seeds 3] [--rows NAME ...]

A table is a YAML file: `recipe`, the recipe to vary, by its path beside the table; `fields`, what
all rows share; `rows`, name -> fields that differ. The first row is the baseline. Every row and
seed is a run of its own under `--output_dir`, so the command goes on where it was interrupted, and
a row that is added later costs only itself.

Prints a table in Markdown: accuracy on each validation source (median and range over the seeds),
the difference to the baseline over all validation reviews with its standard error, paired review by
review (each review counts by the share of seeds that have it right), parameters and training time.
`OUTPUT_DIR/ablation.json` holds the same as numbers.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.hub.ablations import ABLATION_FILE, ablation_table, spread
from sentiment_lstm.inference.predictor import load, predict_proba
from sentiment_lstm.training.recipe import RecipeError, as_arguments, read_recipe
from sentiment_lstm.training.run import RESULTS_FILE, train

RIGHT_FILE = "right.npy"


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


def run(recipe: Path, fields: dict[str, Any], seed: int, folder: Path, extra: list[str]) -> None:
    """Train one row with one seed, unless that is done, and note which reviews it gets right."""
    overrides = as_arguments(fields | {"output_dir": str(folder), "seed": seed})
    read = read_recipe(recipe, [*overrides, *extra])
    train(read)
    if not (folder / RIGHT_FILE).exists():
        model, tokenizer = load(folder)
        right = []
        for source in read.reviews.validation:
            on_bad_line: Any = read.reviews.on_bad_line
            reviews = load_reviews(source, on_bad_line=on_bad_line)
            probabilities = np.stack(list(predict_proba(model, tokenizer, reviews["text"][:])))
            right.append(probabilities.argmax(1) == np.array(reviews["label"][:]))
        np.save(folder / RIGHT_FILE, np.concatenate(right))


def summarise(folders: list[Path], baseline: NDArray[np.float64] | None) -> dict[str, Any]:
    """The figures of one row.

    Args:
        folders: One for each seed.
        baseline: Share of seeds that have each validation review right, `(reviews,)`, in the
            baseline. `None` for the baseline itself.

    Returns:
        Accuracies by source and seed, parameters, seconds and, but for the baseline, the
        difference in accuracy and its standard error.
    """
    results = [
        json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8")) for folder in folders
    ]
    parts = [part for part in results[0]["metrics"] if part.startswith("validation/")]
    summary: dict[str, Any] = {
        "seeds": [result["seed"] for result in results],
        "accuracy": {
            part.removeprefix("validation/"): [
                result["metrics"][part]["accuracy"] for result in results
            ]
            for part in parts
        },
        "parameters": results[0]["parameters"],
        "seconds": statistics.median(r["wall_time_seconds"]["train"] for r in results),
    }
    right = mean_right(folders)
    summary["accuracy"]["all"] = [float(np.load(folder / RIGHT_FILE).mean()) for folder in folders]
    if baseline is not None:
        gain = right - baseline
        summary["difference"] = float(gain.mean())
        summary["standard_error"] = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    return summary


def mean_right(folders: list[Path]) -> NDArray[np.float64]:
    """Share of the seeds that have each validation review right, `(reviews,)`."""
    mean: NDArray[np.float64] = np.mean(
        [np.load(folder / RIGHT_FILE) for folder in folders], axis=0
    )
    return mean


def main() -> None:
    """Run what is not yet there, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--seed 42` would otherwise mean 42 seeds
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="default: 3")
    parser.add_argument("--rows", nargs="+", help="only these, besides the baseline")
    parser.add_argument("--output_dir", type=Path, help="default: runs/ablation/TABLE")
    options, extra = parser.parse_known_args()
    try:
        if "--seed" in [argument.split("=")[0] for argument in extra]:
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
            slug = re.sub(r"\W+", "-", name).strip("-")
            folders = [output / slug / f"seed{seed}" for seed in range(options.seeds)]
            for seed, folder in enumerate(folders):
                run(recipe, rows[name], seed, folder, extra)
            summaries[name] = summarise(folders, baseline)
            baseline = mean_right(folders) if baseline is None else baseline
            print(f"{name}: {spread(summaries[name]['accuracy']['all'])}", flush=True)
    except (OSError, ValueError) as error:
        sys.exit(f"ablation: {error}")
    (output / ABLATION_FILE).write_text(json.dumps(summaries, indent=2) + "\n")
    print(f"\n{ablation_table(summaries)}\n\nwrote {output / ABLATION_FILE}")


if __name__ == "__main__":
    main()
