"""Make texts that teach a model what reviews seldom say: sentences of templates, and hasty copies.

    python scripts/augment.py scripts/recipes/distilled.yaml [--sentences 30000] [--copies 30000]

The sentences are those of the training half of the behavioural suite, with labels by rule
(`training_sentences`): negation, contrast, ratings, names, identity terms and more. The copies are
texts of the recipe's that are too short to be halved (and halves of others), as somebody in a hurry
would write them (`perturb`), with the soft label of the original. A recipe learns from both with

    --unlabelled SOURCES OUTPUT_DIR/texts.txt --soft_labels OUTPUT_DIR/soft_labels.parquet

where the second file holds the soft labels of the recipe's own texts as well.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.evaluation.behaviour import training_sentences
from sentiment_lstm.evaluation.perturbations import perturb
from sentiment_lstm.files import write_text
from sentiment_lstm.training.distillation import (
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.preprocessing import load_all
from sentiment_lstm.training.recipe import Recipe, read_recipe

TEXTS_FILE = "texts.txt"
SOFT_LABELS_FILE = "soft_labels.parquet"


def augment(recipe: Recipe, folder: Path, sentences: int, copies: int, seed: int = 0) -> int:
    """Write the texts and their soft labels.

    Args:
        recipe: Which texts are copied, and where their soft labels are.
        folder: Where to write.
        sentences: How many sentences of templates.
        copies: How many copies of the recipe's texts, or as many as are short enough.
        seed: Decides which.

    Returns:
        The number of texts.

    Raises:
        ValueError: If the recipe names no soft labels, or they are not those of its texts.
        OSError: If there are none.
    """
    if recipe.reviews.soft_labels is None:
        raise ValueError("say where the teacher's soft labels are (`soft_labels`)")
    teacher = read_soft_labels(recipe.reviews.soft_labels)
    labelled = dict(training_sentences(sentences, seed))
    short = sorted({text for text in short_texts(recipe) if text_key(text) in teacher})
    chosen = np.random.default_rng(seed).permutation(len(short))[:copies]
    for number, index in enumerate(chosen.tolist()):
        copy = " ".join(perturb(short[index], seed + number).split())
        if copy and not halves_of(copy):
            labelled.setdefault(copy, teacher[text_key(short[index])])
    folder.mkdir(parents=True, exist_ok=True)
    write_soft_labels(
        folder / SOFT_LABELS_FILE,
        labelled,
        labelled.values(),
        besides=teacher,
    )
    write_text(folder / TEXTS_FILE, "".join(f"{text}\n" for text in labelled))
    return len(labelled)


def short_texts(recipe: Recipe) -> Iterator[str]:
    """The texts of a recipe that have no halves, and the halves of the others."""
    reviews = load_all(recipe.reviews)
    for dataset in [*reviews["train"].values(), *reviews.get("unlabelled", {}).values()]:
        for text in dataset["text"][:]:
            halves = halves_of(text)
            if not halves:
                yield text
            elif recipe.reviews.augment_halves:
                yield from halves


def main() -> None:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of the recipe can be given too: --soft_labels FILE",
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--sentences", type=int, default=30_000)
    parser.add_argument("--copies", type=int, default=30_000)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/augmented"))
    parser.add_argument("--seed", type=int, default=0)
    options, fields = parser.parse_known_args()
    try:
        recipe = read_recipe(options.recipe, read_overrides(fields))
        counts = (options.sentences, options.copies)
        number = augment(recipe, options.output_dir, *counts, options.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"augment: {error}")
    print(f"wrote {number:,} texts to {options.output_dir / TEXTS_FILE}")


if __name__ == "__main__":
    main()
