"""Make sentences of templates that teach a model what reviews seldom say, for a teacher to read.

    python scripts/sentences.py [--by_rule 60000] [--mixed 5000] [--output_dir runs/augmented]

Those by rule are the sentences of the training half of the behavioural suite, each with its label
(`training_sentences`): negation, contrast, ratings, names, identity terms and more. The mixed ones
put praise and criticism side by side without a word that decides between them; there the rule is
silent, and the teacher's word counts.

Writes `OUTPUT_DIR/sentences.txt`, a line each, for the field `unlabelled` of a recipe that
`teacher.py` reads, and the labels by rule, `OUTPUT_DIR/rules.parquet`. Sentences of your own may be
added to the first: the teacher labels them. `augment.py` puts both together.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from sentiment_lstm.evaluation.behaviour import training_sentences
from sentiment_lstm.files import write_text
from sentiment_lstm.training.distillation import write_soft_labels

SENTENCES_FILE = "sentences.txt"
RULES_FILE = "rules.parquet"
FOLDER = Path("runs/augmented")

# How sure a rule is of the sentences that are put side by side.
_SURE = 0.05


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


def write_sentences(folder: Path, by_rule: int, mixed: int, seed: int = 0) -> int:
    """Write the sentences, and the labels of those that a rule has one for.

    Args:
        folder: Where to.
        by_rule: How many with a label.
        mixed: How many without.
        seed: Decides which.

    Returns:
        Their number.

    Raises:
        BehaviourError: If the templates do not give as many.
    """
    labelled = dict(training_sentences(by_rule, seed))
    texts = [*labelled, *mixed_sentences(labelled, mixed, seed)]
    folder.mkdir(parents=True, exist_ok=True)
    write_soft_labels(folder / RULES_FILE, labelled, labelled.values())
    write_text(folder / SENTENCES_FILE, "".join(f"{text}\n" for text in texts))
    return len(texts)


def main() -> None:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--by_rule", type=int, default=60_000)
    parser.add_argument("--mixed", type=int, default=5_000)
    parser.add_argument("--output_dir", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        number = write_sentences(options.output_dir, options.by_rule, options.mixed, options.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"sentences: {error}")
    print(f"wrote {number:,} sentences to {options.output_dir / SENTENCES_FILE}")


if __name__ == "__main__":
    main()
