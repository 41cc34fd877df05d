"""Put together what a model learns from besides reviews: sentences, hasty copies, counterfactuals.

    python scripts/augment.py scripts/recipes/teacher.yaml [--copies 60000] [--variants 3]

To be run when the teacher has read the recipe's texts, the sentences of `sentences.py` among them.

- A sentence has its label by rule, or the teacher's where the rule is silent. One of which neither
  says anything is an error, or with `--only_answered`, as of `teacher.py`, left out.
- A copy is a text of the recipe's as somebody in a hurry would write it (`perturb`), and has the
  teacher's label of the original.
- A counterfactual is a text of the recipe's with each name, place, religion, nationality, ethnicity
  and orientation that the suite's training half knows exchanged for another of its kind. All of
  them have the teacher's label of the original.

Only what is too short to be halved is copied, halves among it, so that no half lacks a label. A
recipe learns from all of it with the two files that this writes,

    unlabelled: [SOURCES, OUTPUT_DIR/texts.txt]
    soft_labels: OUTPUT_DIR/soft_labels.parquet

where the second holds the soft labels of the recipe's own texts as well.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from sentences import BY_RULE_FILE, FOLDER, RULES_FILE, SENTENCES_FILE

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.data.dataset import load_texts
from sentiment_lstm.evaluation.perturbations import perturb
from sentiment_lstm.evaluation.templates import pick, suite
from sentiment_lstm.files import write_text
from sentiment_lstm.training.distillation import (
    SoftLabelError,
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.preprocessing import load_all
from sentiment_lstm.training.recipe import Recipe, read_recipe

TEXTS_FILE = "texts.txt"
SOFT_LABELS_FILE = "soft_labels.parquet"

# Lists of the suite whose words change nothing of what a review says. Those of gender, age and
# disability are left out: outside of templates there are female connectors, young adult books,
# disabled accounts.
EXCHANGED = ("name", "place", "religion", "nationality", "ethnicity", "orientation")


def augment(
    recipe: Recipe,
    folder: Path,
    copies: int,
    variants: int,
    seed: int = 0,
    only_answered: bool = False,
) -> int:
    """Write the texts and their soft labels.

    Args:
        recipe: Which texts are copied, and where their soft labels are.
        folder: Where the sentences are, and where to write.
        copies: How many copies of the recipe's texts, or as many as are short enough.
        variants: How many counterfactuals of each text that has any.
        seed: Decides which.
        only_answered: Leave out a sentence that has no label.

    Returns:
        The number of texts.

    Raises:
        ValueError: If the recipe names no soft labels.
        SoftLabelError: If the teacher has not read a sentence that has no label by rule, or none of
            the recipe's texts.
        OSError: If there are no soft labels, or no sentences.
    """
    path = recipe.reviews.soft_labels
    if path is None:
        raise ValueError("say where the teacher's soft labels are (`soft_labels`)")
    teacher = read_soft_labels(path)
    labelled = labelled_sentences(folder, teacher, path, only_answered)
    texts = {text for text in short_texts(recipe) if text_key(text) in teacher} - labelled.keys()
    if not texts:
        raise SoftLabelError(f"{path}: has no text of the recipe that is short enough to be copied")
    short, random = sorted(texts), Random(f"{seed} counterfactuals")
    made = [(text, counterfactual(text, random)) for text in short for _ in range(variants)]
    chosen = np.random.default_rng(seed).permutation(len(short))[:copies].tolist()
    made += [(short[index], perturb(short[index], seed + n)) for n, index in enumerate(chosen)]
    for text, other in made:
        line = " ".join(other.split())
        # Most texts have no counterfactual: they come back as they are.
        if line and text_key(line) not in teacher and not halves_of(line):
            labelled.setdefault(line, teacher[text_key(text)])
    write_soft_labels(folder / SOFT_LABELS_FILE, labelled, labelled.values(), besides=teacher)
    write_text(folder / TEXTS_FILE, "".join(f"{text}\n" for text in labelled))
    return len(labelled)


def labelled_sentences(
    folder: Path, teacher: dict[int, float], path: str, only_answered: bool = False
) -> dict[str, float]:
    """The sentences with their labels: by rule, or the teacher's where the rule is silent.

    Args:
        folder: What `sentences.py` wrote.
        teacher: Key of a text -> probability of POSITIVE.
        path: Where that stands, for the message.
        only_answered: Leave out those of which neither says anything, and say how many.

    Returns:
        Text -> probability of POSITIVE.

    Raises:
        SoftLabelError: If there is a sentence of which neither says anything.
        OSError: If there are no sentences.
    """
    sources = [folder / BY_RULE_FILE, folder / SENTENCES_FILE]
    for source in sources:
        if not source.exists():
            raise FileNotFoundError(f"there is no {source}: run scripts/sentences.py first")
    known = teacher | read_soft_labels(folder / RULES_FILE)
    labelled: dict[str, float] = {}
    left_out = 0
    for source in sources:
        for text in load_texts(str(source))["text"][:]:
            key = text_key(text)
            if key in known:
                labelled[text] = known[key]
            elif only_answered:
                left_out += 1
            else:
                raise SoftLabelError(
                    f"{path}: lacks {text[:60]!r} of {source}; let the teacher read it too, as one "
                    "of the recipe's `unlabelled`"
                )
    if only_answered:
        print(f"left out: {left_out:,} sentences that no teacher has read")
    return labelled


def short_texts(recipe: Recipe) -> Iterator[str]:
    """The texts of a recipe that have no halves, and those halves of others."""
    reviews = load_all(recipe.reviews)
    for dataset in [*reviews["train"].values(), *reviews.get("unlabelled", {}).values()]:
        for text in dataset["text"][:]:
            halves = halves_of(text)
            if not halves:
                yield text
            elif recipe.reviews.augment_halves:
                yield from (half for half in halves if not halves_of(half))


def counterfactual(text: str, random: Random) -> str:
    """What a text would be about other people and places.

    Args:
        text: A review.
        random: Decides the words.

    Returns:
        The text with each word of the lists `EXCHANGED` turned into another one of its list, the
        same one wherever it stands; the text itself if it has no such word.
    """
    pattern, list_of = _exchanged()
    found = list(dict.fromkeys(pattern.findall(text)))
    others = {word: _another(list_of[word], found, random) for word in found}
    return pattern.sub(lambda word: others[word[0]], text)


@cache
def _exchanged() -> tuple[re.Pattern[str], dict[str, list[str]]]:
    """What finds the words of the lists, and the list of each."""
    words = suite("train").words
    list_of = {word: list(words[name]) for name in EXCHANGED for word in words[name]}
    longest_first = sorted(list_of, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b"), list_of


def _another(words: list[str], taken: list[str], random: Random) -> str:
    left = [word for word in words if word not in taken]
    return str(pick(left or list(words), random))


def main() -> None:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of the recipe can be given too: --soft_labels FILE",
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--copies", type=int, default=60_000)
    parser.add_argument("--variants", type=int, default=3, help="of a text with a name in it")
    parser.add_argument("--only_answered", action="store_true", help="leave out other sentences")
    parser.add_argument("--output_dir", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    options, fields = parser.parse_known_args()
    try:
        recipe = read_recipe(options.recipe, read_overrides(fields))
        counts = (options.copies, options.variants)
        number = augment(recipe, options.output_dir, *counts, options.seed, options.only_answered)
    except (OSError, ValueError) as error:
        sys.exit(f"augment: {error}")
    print(f"wrote {number:,} texts to {options.output_dir / TEXTS_FILE}")


if __name__ == "__main__":
    main()
