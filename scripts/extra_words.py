"""List words that a model should know however seldom reviews say them: for `extra_words`.

    python scripts/extra_words.py [RECIPE] [--of mpnet] [--misspelt 500]
        [--output_file runs/augmented/words.txt]

They are the words that a pretrained transformer knows whole, in lower case, since it has read far
more than reviews (names, places, peoples), the emoji of Unicode, and emoticons. With a recipe there
are also forms that its texts say at least twice, of these words and of those that the texts say at
least ten times: verbs in -s, -ed and -ing, adverbs in -ly. Else who knows "detest" would not know
"detests". And there are misspellings of the words that tell most of a review's label, by a test of
chi squared: "terrble" is seldom said, but some misspelling of "terrible" often is.

Of all of them `word_vectors.py` makes vectors, those of emoji and emoticons by what they show, and
those of misspellings by what is meant, as `MEANT_FILE` beside the words has it (a misspelling and
the word on each line): so that a student knows what is meant by what none of its reviews says.
MiniLM comes with the extra `benchmark`, MPNet with `teacher`.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from sentences import FOLDER, texts_of
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import chi2

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.evaluation.perturbations import misspellings
from sentiment_lstm.files import write_text
from sentiment_lstm.tokenization import count_words, iter_words
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.teachers import PRETRAINED

# Lies beside the words.
MEANT_FILE = "meant.txt"

# Shorter ones are parts of words, or letters.
_WORD = re.compile(r"[a-z]{3,}")
# One letter less, and most words of three would be others.
_LONG = re.compile(r"[a-z]{4,}")
# What is said once may be a slip of the pen, as in the tutorial's vocabulary; and what is said as
# often as this is in that of any recipe.
_TWICE, _OFTEN = 2, 10
# The blocks of Unicode that have emoji: miscellaneous symbols and dingbats, pictographs and faces,
# transport, supplemental pictographs.
_EMOJI_BLOCKS = (
    range(0x2600, 0x27C0),
    range(0x1F300, 0x1F650),
    range(0x1F680, 0x1F700),
    range(0x1F900, 0x1FB00),
)
# What the mouth of an emoticon shows.
_MOUTHS = {
    ")": "smiling face",
    "]": "smiling face",
    "d": "laughing face",
    "p": "playful face with tongue out",
    "*": "kissing face",
    "(": "sad face",
    "[": "sad face",
    "/": "unhappy face",
    "\\": "unhappy face",
    "|": "expressionless face",
    "o": "astonished face",
}


def emoticons() -> dict[str, str]:
    """Emoticons that plain words read as one word -> what they show, in words."""
    shown = {"<3": "love heart", "</3": "broken heart"}
    for eyes, tear, nose, mouth in itertools.product(":;=", ("", "'"), ("", "-"), _MOUTHS):
        look = "crying " if tear else "winking " if eyes == ";" else ""
        shown[f"{eyes}{tear}{nose}{mouth}"] = look + _MOUTHS[mouth]
    return shown


def emoji() -> list[str]:
    """The emoji of Unicode that plain words read; they leave tones of skin and genders out."""
    signs = (chr(code) for block in _EMOJI_BLOCKS for code in block)
    return [word for words in iter_words(filter(_is_symbol, signs)) for word in words]


def whole_words(transformer: str) -> list[str]:
    """The words that a transformer's tokenizer does not cut, in alphabetical order.

    Args:
        transformer: A key of `PRETRAINED`.

    Raises:
        ModuleNotFoundError: As `PretrainedTransformer.load`.
        OSError: As `PretrainedTransformer.load`.
    """
    _, tokenizer = PRETRAINED[transformer].load()
    return sorted(filter(_WORD.fullmatch, tokenizer.get_vocab()))


def inflections(said: Collection[str], known: Collection[str]) -> list[str]:
    """The forms of known words among others, by their spelling.

    Args:
        said: Words. One in -s counts where it may be a verb's, of which there is another form:
            plurals are too many, and say less of what somebody thinks.
        known: Words in their basic form.

    Returns:
        Those in -ed, -ing and -ly, and behind them those in -s.
    """
    found: list[str] = []
    verbs: set[str] = set()
    for ending, word in itertools.product(("ed", "ing", "ly"), said):
        stems = {stem for stem in _stems(word, ending) if stem in known}
        if stems:
            found.append(word)
            verbs |= stems if ending != "ly" else set()
    return found + [word for word in said if not verbs.isdisjoint(_stems(word, "s"))]


def telling_words(texts: Iterable[str], labels: list[int], number: int) -> list[str]:
    """The words of four letters and more on which the label of a text depends most.

    Args:
        texts: Reviews.
        labels: 0 or 1 for each.
        number: How many words, or all if there are fewer.

    Returns:
        The words, those that tell most first.
    """
    counter = CountVectorizer(analyzer=lambda words: set(filter(_LONG.fullmatch, words)))
    counts = counter.fit_transform(iter_words(texts))  # (texts, words), 0 or 1
    statistics, _ = chi2(counts, labels)
    order = (-statistics).argsort(kind="stable")[:number]
    return [str(word) for word in counter.get_feature_names_out()[order]]


def misspelt(words: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Misspellings of words that are no words themselves.

    Args:
        words: Words; what several may be misspelt as is the first one's.
        known: What else is a word.

    Returns:
        Misspelling -> the word that is meant.
    """
    meant: dict[str, str] = {}
    for word in words:
        # As it is read: "goood" is "good".
        for found in itertools.chain.from_iterable(iter_words(misspellings(word))):
            if found not in known and found not in words:
                meant.setdefault(found, word)
    return meant


def _stems(word: str, ending: str) -> Iterator[str]:
    """What a word may be without its ending, as English spells it."""
    stem = word.removesuffix(ending)
    if stem == word:
        return
    yield stem  # detest-s, detest-ed
    if ending == "s":
        if stem.endswith("e"):
            yield stem[:-1]  # wish-es
        if stem.endswith("ie"):
            yield f"{stem[:-2]}y"  # pit-ies
        return
    yield f"{stem}e"  # despis-ed
    if stem.endswith("i"):
        yield f"{stem[:-1]}y"  # pit-ied, happ-ily
    if stem[-1:] == stem[-2:-1]:
        yield stem[:-1]  # abhor-red


def _is_symbol(sign: str) -> bool:
    return unicodedata.category(sign) == "So"


def main() -> None:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of the recipe can be given too: --train FILE",
    )
    parser.add_argument("recipe", type=Path, nargs="?", help="whose texts say what forms there are")
    parser.add_argument("--of", choices=list(PRETRAINED), default="mpnet")
    parser.add_argument(
        "--misspelt", type=int, default=500, help="of how many words there are misspellings"
    )
    parser.add_argument("--output_file", type=Path, default=FOLDER / "words.txt")
    options, fields = parser.parse_known_args()
    try:
        overrides = read_overrides(fields)
        if options.recipe is None and overrides:
            parser.error(f"without a recipe there is no field {min(overrides)}")
        whole = whole_words(options.of)
        words, meant = [*whole, *emoji(), *emoticons()], {}
        if options.recipe is not None:
            texts, labels = texts_of(read_recipe(options.recipe, overrides), FOLDER)
            counts = count_words(texts)
            said = [word for word, count in counts.items() if count >= _TWICE]
            often = [word for word in said if counts[word] >= _OFTEN]
            basic = {*whole, *filter(_WORD.fullmatch, often)}
            words = list(dict.fromkeys([*words, *inflections(said, basic)]))
            telling = telling_words(texts[: len(labels)], labels, options.misspelt)
            meant = misspelt(telling, {*words, *often})
            words += meant
        folder = options.output_file.parent
        folder.mkdir(parents=True, exist_ok=True)
        write_text(options.output_file, "".join(f"{word}\n" for word in words))
        lines = (f"{word} {of}\n" for word, of in meant.items())
        write_text(folder / MEANT_FILE, "".join(lines))
    except ModuleNotFoundError as error:
        sys.exit(f"extra_words: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"extra_words: {error}")
    print(f"wrote {len(words):,} words to {options.output_file}, {len(meant):,} of them misspelt")


if __name__ == "__main__":
    main()
