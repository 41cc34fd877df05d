"""Ask the released checkpoint, then train on real reviews and ask the model that comes of it.

Run by `make demo`; by hand: python scripts/demo.py --output_dir runs/demo
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from transformers import pipeline

import sentiment_lstm  # noqa: F401 - registers the model with transformers
from sentiment_lstm.default_model import default_model
from sentiment_lstm.training.recipe import RecipeError, read_recipe
from sentiment_lstm.training.run import RESULTS_FILE, train

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", default="runs/demo", help="default: runs/demo")
    options = parser.parse_args()

    print("The released checkpoint (Amazon reviews):")
    classify(default_model(), PRODUCT_REVIEWS)
    print("\nNow one of your own, on IMDB reviews.", flush=True)
    started = time.perf_counter()
    try:
        folder = train(read_recipe(RECIPE, ["--output_dir", options.output_dir]))
    except RecipeError as error:  # most often: the folder holds an older demonstration
        sys.exit(f"demo: {error}")
    results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    seconds = sum(results["wall_time_seconds"].values())
    metrics = results["metrics"]["test/sample:test"]

    print(f"\nTrained in {seconds:.0f} s on {results['machine']['threads']} threads:")
    print(f"  {results['parameters']:,} parameters, {results['vocab_size']:,} words")
    print(
        f"  {metrics['accuracy']:.1%} of the {metrics['reviews']:,} held-out reviews right "
        f"(95 % interval {metrics['accuracy_low']:.1%} to {metrics['accuracy_high']:.1%})"
    )
    classify(folder, FILM_REVIEWS)
    print("\nWritten:")
    for path in sorted(folder.iterdir()):
        print(f"  {path}  ({path.stat().st_size / 1e6:.2f} MB)")
    print(f"\nDone in {time.perf_counter() - started:.0f} s.")


def classify(folder: Path, reviews: list[str]) -> None:
    """Print what a model folder says of reviews."""
    print(f'pipeline("text-classification", model="{folder}"):')
    answers = pipeline("text-classification", model=str(folder))(reviews)
    for review, answer in zip(reviews, answers, strict=True):
        print(f"  {answer['label']} {answer['score']:.3f}  {review}")


if __name__ == "__main__":
    main()
