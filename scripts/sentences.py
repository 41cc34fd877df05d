"""Make sentences of templates that teach a model what reviews seldom say, for a teacher to read.

    python scripts/sentences.py [RECIPE] [--by_rule 300000] [--mixed 5000] [--parts 150000]
        [--words 25000] [--output_dir runs/augmented]

Those by rule are the sentences of the training half of the behavioural suite, each with its label
(`training_sentences`): negation, contrast, ratings, names, identity terms and more. They are in
`OUTPUT_DIR/by_rule.txt`, a line each, and their labels in `rules.parquet`.

The others have no label; the teacher's word counts. They are in `OUTPUT_DIR/sentences.txt`, for the
field `unlabelled` of a recipe that `teacher.py` reads. The mixed ones put praise and criticism side
by side without a word that decides between them. With a recipe there are also

- parts of the texts that it names, whole sentences and clauses: a label on a dozen words says more
  of these words than one on a hundred, as of the phrases of Socher et al. 2013 ("Recursive Deep
  Models for Semantic Compositionality Over a Sentiment Treebank"), and takes a teacher a tenth of
  the time,
- the most frequent words of these texts, each alone and in a few frames ("It is drab."), so that a
  word's vector comes to say what the word says: without those of the measuring half of the suite,
  which is to be answered with words that nobody taught.

Sentences of your own may be added to `sentences.txt`: the teacher labels them. `augment.py` puts
all of it together.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.evaluation.behaviour import training_sentences
from sentiment_lstm.evaluation.templates import suite
from sentiment_lstm.files import write_text
from sentiment_lstm.training.distillation import text_key, write_soft_labels
from sentiment_lstm.training.recipe import Recipe, read_recipe, reading_options
from sentiment_lstm.training.teachers import read_reviews, read_texts

SENTENCES_FILE = "sentences.txt"
BY_RULE_FILE = "by_rule.txt"
RULES_FILE = "rules.parquet"
FOLDER = Path("runs/augmented")

# How sure a rule is of the sentences that are put side by side.
_SURE = 0.05

# Where a sentence ends, and where a clause may end within it.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|\s+(?=(?:and|but|because|although|though|so|which)\s)")
# Words of a part: shorter ones say nothing, longer ones are no longer cheap.
_PART_WORDS = range(2, 26)

_WORD = re.compile(r"[a-z][a-z'-]*[a-z]")
# By itself first.
FRAMES = ("{}", "It is {}.", "It is a {}.", "I {} it.")


def mixed_sentences(by_rule: dict[str, float], number: int, seed: int = 0) -> list[str]:
    """Praise and criticism side by side, in either order.

    Args:
        by_rule: Sentences with their probability of POSITIVE.
        number: How many to make.
        seed: Decides which.

    Returns:
        Two sentences each, none that `by_rule` has; fewer than `number` where some come twice.
    """
    ended = {text: label for text, label in by_rule.items() if text[-1] in ".!?"}
    praise = [text for text, label in ended.items() if label > 1 - _SURE]
    criticism = [text for text, label in ended.items() if label < _SURE]
    if not praise or not criticism:
        return []
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    for _ in range(number):
        pair = [praise[random.integers(len(praise))], criticism[random.integers(len(criticism))]]
        found[" ".join(pair[:: random.choice([-1, 1])])] = None
    return [text for text in found if text not in by_rule]


def parts_of(texts: Iterable[str], number: int) -> list[str]:
    """Sentences of texts, and clauses of these, of 2 to 25 words.

    Args:
        texts: Reviews.
        number: How many to choose, or all if there are fewer.

    Returns:
        The parts, each once, in the order of their keys: which ones are chosen is a matter of
        chance, but the same in whatever order the texts are read.
    """
    found = {part for text in texts for part in _parts(text) if len(part.split()) in _PART_WORDS}
    return sorted(found, key=text_key)[:number]


def _parts(text: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(" ".join(text.split())):
        yield sentence
        clauses = _CLAUSE_END.split(sentence)
        if len(clauses) > 1:
            yield from clauses


def framed_words(texts: Iterable[str], number: int) -> list[str]:
    """The most frequent words of texts in every one of the `FRAMES`.

    Args:
        texts: Reviews.
        number: How many words, or all if there are fewer.

    Returns:
        The frames of one word after those of another, in lower case, without the words of the
        behavioural suite's measuring half.
    """
    left_out = {word for entry in _measured() for word in _WORD.findall(entry.lower())}
    counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
    words = [word for word, _ in counts.most_common() if word not in left_out]
    return [frame.format(word) for word in words[:number] for frame in FRAMES]


def _measured() -> Iterator[str]:
    """The templates of the measuring half, and what fills their places and none of training's."""
    measure, taught = suite("measure"), suite("train").words
    yield from (template.line for template in measure.templates)
    for name, words in measure.words.items():
        if taught.get(name) != words:
            yield from words


def texts_of(recipe: Recipe, folder: Path) -> tuple[list[str], list[int]]:
    """The texts that a recipe learns from, without the sentences of the folder.

    Args:
        recipe: Its `train` and `unlabelled` are read.
        folder: Where the sentences go.

    Returns:
        Them all, and the label of each of the first, which are its reviews.

    Raises:
        ReviewError: If one cannot be read.
    """
    reviews = recipe.reviews
    texts, labels = read_reviews(reviews.train, **reading_options(recipe.fields))
    own = folder / SENTENCES_FILE
    others = [source for source in reviews.unlabelled if Path(source) != own]
    return texts + read_texts(others, reviews.max_line_bytes), labels


def write_sentences(
    folder: Path, by_rule: int, mixed: int, others: Iterable[str] = (), seed: int = 0
) -> int:
    """Write the sentences, and the labels of those that a rule has one for.

    Args:
        folder: Where to.
        by_rule: How many with a label.
        mixed: How many without.
        others: More without.
        seed: Decides which.

    Returns:
        Their number.

    Raises:
        BehaviourError: If the templates do not give as many.
    """
    labelled = dict(training_sentences(by_rule, seed))
    unlabelled = dict.fromkeys([*mixed_sentences(labelled, mixed, seed), *others])
    texts = [text for text in unlabelled if text not in labelled]
    folder.mkdir(parents=True, exist_ok=True)
    write_soft_labels(folder / RULES_FILE, labelled, labelled.values())
    write_text(folder / BY_RULE_FILE, "".join(f"{text}\n" for text in labelled))
    write_text(folder / SENTENCES_FILE, "".join(f"{text}\n" for text in texts))
    return len(labelled) + len(texts)


def main() -> None:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of the recipe can be given too: --train FILE",
    )
    parser.add_argument("recipe", type=Path, nargs="?", help="whose texts are cut into parts")
    parser.add_argument("--by_rule", type=int, default=300_000)
    parser.add_argument("--mixed", type=int, default=5_000)
    parser.add_argument("--parts", type=int, default=150_000)
    parser.add_argument("--words", type=int, default=25_000)
    parser.add_argument("--output_dir", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    options, fields = parser.parse_known_args()
    folder, others = options.output_dir, []
    try:
        overrides = read_overrides(fields)
        if options.recipe is not None:
            texts, _ = texts_of(read_recipe(options.recipe, overrides), folder)
            others = parts_of(texts, options.parts) + framed_words(texts, options.words)
        elif overrides:
            parser.error(f"without a recipe there is no field {min(overrides)}")
        counts = (options.by_rule, options.mixed)
        number = write_sentences(folder, *counts, others, options.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"sentences: {error}")
    print(f"wrote {number:,} sentences to {folder / BY_RULE_FILE} and {SENTENCES_FILE}")


if __name__ == "__main__":
    main()
