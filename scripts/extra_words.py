"""List words that a model should know however seldom reviews say them: for `extra_words`.

    python scripts/extra_words.py [--of mpnet] [--output_file runs/augmented/words.txt]

They are the words that a pretrained transformer knows whole, in lower case, since it has read far
more than reviews (names, places, peoples), the emoji of Unicode, and emoticons. Of all of them
`word_vectors.py` makes vectors, those of emoji and emoticons by what they show, so that a student
knows what is meant by what none of its reviews says. MiniLM comes with the extra `benchmark`, MPNet
with `teacher`.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import unicodedata
from pathlib import Path

from sentiment_lstm.files import write_text
from sentiment_lstm.tokenization import iter_words
from sentiment_lstm.training.teachers import PRETRAINED

# Shorter ones are parts of words, or letters.
_WORD = re.compile(r"[a-z]{3,}")
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


def _is_symbol(sign: str) -> bool:
    return unicodedata.category(sign) == "So"


def main() -> None:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--of", choices=list(PRETRAINED), default="mpnet")
    parser.add_argument("--output_file", type=Path, default=Path("runs/augmented/words.txt"))
    options = parser.parse_args()
    try:
        words = [*whole_words(options.of), *emoji(), *emoticons()]
        options.output_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(options.output_file, "".join(f"{word}\n" for word in words))
    except ModuleNotFoundError as error:
        sys.exit(f"extra_words: {error.name} is needed: pip install '.[benchmark]'")
    except OSError as error:
        sys.exit(f"extra_words: {error}")
    print(f"wrote {len(words):,} words to {options.output_file}")


if __name__ == "__main__":
    main()
