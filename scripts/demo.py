"""Let the default model predict, then train one on real reviews and let it predict.

Run by `make demo`; by hand: python scripts/demo.py --output_dir runs/demo
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from transformers import pipeline

import sentiment_lstm  # noqa: F401 - registers the model with transformers
from sentiment_lstm.evaluation.results import read_results
from sentiment_lstm.files import RESULTS_FILE, default_model
from sentiment_lstm.training.recipe import RecipeError, read_recipe
from sentiment_lstm.training.run import train

RECIPE = Path(__file__).parent / "recipes" / "demo.yaml"

PRODUCT_REVIEWS = [
    "Sturdy little lamp: bright, easy to set up, and it arrived a day early.",
    "Do not bother: the hinge snapped in a week and nobody answers my mails.",
    "I wanted to love these headphones, but the left side died on the third day.",
    "Not what I expected, better! My daughter will not put it down.",
]
FILM_REVIEWS = [
    "A quiet, clever film with a wonderful cast. I was sorry when it ended.",
    "Two hours of my life that nobody will give back. The plot makes no sense at all.",
    "I expected nothing and got nothing.",
    "Not bad at all! The ending surprised me, and the music is lovely.",
    "The book is a masterpiece, but whoever made this film cannot have read it.",
]


def main() -> None:
    """Train unless that is done, then show what the model folder can do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", default="runs/demo", help="default: runs/demo")
    options = parser.parse_args()

    print("The default model (Amazon reviews):")
    classify(default_model(), PRODUCT_REVIEWS)
    print("\nNow one of your own, on IMDB reviews.", flush=True)
    started = time.perf_counter()
    try:
        folder = train(read_recipe(RECIPE, {"output_dir": options.output_dir}))
    except RecipeError as error:  # most often: the folder holds an older demonstration
        sys.exit(f"demo: {error}")
    results = read_results(folder / RESULTS_FILE)
    figures = results.metrics["test"]["sample:test"]

    seconds = sum(results.wall_time_seconds.values())
    print(f"\nTrained in {seconds:.0f} s on {results.machine['threads']} threads:")
    print(f"  {results.parameters:,} parameters, {results.vocab_size:,} words")
    print(
        f"  accuracy {figures['accuracy']:.1%} on {figures['reviews']:,} held-out reviews "
        f"(95 % interval {figures['accuracy_low']:.1%} to {figures['accuracy_high']:.1%})"
    )
    classify(folder, FILM_REVIEWS)
    print("\nWritten:")
    for path in sorted(folder.iterdir()):
        print(f"  {path}  ({path.stat().st_size / 1e6:.2f} MB)")
    print(f"\nDone in {time.perf_counter() - started:.0f} s.")
    print(
        "\nTo try it in the browser:\n"
        f"  {sys.executable} -m pip install -e '.[page]'\n"
        f"  {sys.executable} -m sentiment_lstm demo {folder}"
    )


def classify(folder: Path, reviews: list[str]) -> None:
    """Print what a model folder predicts."""
    print(f'pipeline("text-classification", model="{folder}"):')
    answers = pipeline("text-classification", model=str(folder), trust_remote_code=False)(reviews)
    for review, answer in zip(reviews, answers, strict=True):
        print(f"  {answer['label']} {answer['score']:.3f}  {review}")


if __name__ == "__main__":
    main()
