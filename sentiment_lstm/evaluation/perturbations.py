"""Changes of a text that leave its sentiment as it is: typos, case, punctuation, contractions.

Each is decided by a `random.Random`, so that the same seed gives the same text on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from .slices import NEGATIONS

# Long enough to be read with a letter wrong, and no part of a contraction.
_WORD = re.compile(r"(?<![\w'’@#/.])[A-Za-z]{4,}(?![\w'’@/])")
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Behind a word: an emoticon, a decimal point and 10/10 stay.
_PUNCTUATION = re.compile(r"(?<=\w)[.,;:!?]+(?=\s|$)")

# Full form -> contraction, with no regard to case; what follows is part of the pattern where the
# full form can end a sentence ("as it is.").
_NOT = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|would|could|should|must) not\b", re.IGNORECASE
)
_IRREGULAR = (
    (re.compile(r"\b(ca)n(?:not| not)\b", re.IGNORECASE), r"\1n't"),
    (re.compile(r"\b(w)ill not\b", re.IGNORECASE), r"\1on't"),
)
_VERBS = (
    (re.compile(r"\b(I) am(?= \w)"), r"\1'm"),
    (re.compile(r"\b(it|that|he|she) is(?= \w)", re.IGNORECASE), r"\1's"),
    (re.compile(r"\b(they|we|you) are(?= \w)", re.IGNORECASE), r"\1're"),
    (re.compile(r"\b(I|they|we|you) will(?= \w)", re.IGNORECASE), r"\1'll"),
    (re.compile(r"\b(I|they|we|you|he|she) would(?= \w)", re.IGNORECASE), r"\1'd"),
)


def perturb(text: str, seed: int) -> str:
    """A copy of a text as somebody in a hurry would write it.

    Args:
        text: A review.
        seed: Decides what is changed, together with the text.

    Returns:
        The text with a typo or two, in lower case, without punctuation behind words, or all in
        capitals; one of these. A text that has nothing to change stays as it is.
    """
    random = Random(f"{seed} {text}")
    kind = random.random()
    if kind < 0.5:
        return misspell(text, random, 1 + (random.random() < 0.5))
    if kind < 0.7:
        return text.lower()
    if kind < 0.9:
        return _PUNCTUATION.sub("", text)
    return text.upper()


def misspell(text: str, random: Random, number: int = 1) -> str:
    """Put typos into words of four letters and more that are no negations.

    Args:
        text: The text.
        random: Decides which letters.
        number: Of words; fewer where there are not as many.

    Returns:
        The text with two letters swapped, one dropped, doubled, or hit beside its key.
    """
    words = [word for word in _WORD.finditer(text) if word[0].lower() not in NEGATIONS]
    chosen = sorted(_sample(words, number, random), key=lambda word: word.start())
    for word in reversed(chosen):
        text = text[: word.start()] + _typo(word[0], random) + text[word.end() :]
    return text


def misspellings(word: str) -> list[str]:
    """All that `misspell` makes of a word with two letters swapped, one dropped or one doubled.

    A letter hit beside its key makes twice as many, each half as likely: those are left out.

    Args:
        word: A word.

    Returns:
        The misspelt words, each once; none for a word of fewer than three letters.
    """
    places = range(1, len(word) - 1)
    found = dict.fromkeys(slip(word, at) for at in places for slip in _SLIPS)
    return [other for other in found if other != word]


def contract(text: str) -> str:
    """Write contractions for full forms: `It is not` becomes `It's not`, `do not` `don't`."""
    for pattern, short in (*_IRREGULAR, (_NOT, r"\1n't"), *_VERBS):
        text = pattern.sub(short, text)
    return text


def _typos(text: str, random: Random) -> list[str]:
    return [misspell(text, random), misspell(text, random), misspell(text, random, 2)]


def _cases(text: str, _: Random) -> list[str]:
    capitals = re.sub(r"(?<![\w'’])[a-z]", lambda letter: letter[0].upper(), text)
    return [text.lower(), text.upper(), capitals]


def _punctuations(text: str, _: Random) -> list[str]:
    return [
        _PUNCTUATION.sub("", text),
        re.sub(r"(?<=\w)[.!]$", "", text),
        _PUNCTUATION.sub(lambda mark: f" {mark[0]}", text),
        text.replace(" ", "  "),
    ]


def _contractions(text: str, _: Random) -> list[str]:
    short = contract(text)
    return [short, short.replace("'", "’"), re.sub(r"n't\b", "nt", short)]


# Name in the suite -> a text's variants; one may be as the text itself.
CHANGES: dict[str, Callable[[str, Random], list[str]]] = {
    "typos": _typos,
    "case": _cases,
    "punctuation": _punctuations,
    "contractions": _contractions,
}


# The letter at a place, swapped with the next one, dropped, doubled.
_SLIPS: tuple[Callable[[str, int], str], ...] = (
    lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    lambda word, at: word[:at] + word[at + 1 :],
    lambda word, at: word[: at + 1] + word[at:],
)


def _typo(word: str, random: Random) -> str:
    # The first letter stays: people read by it, and rarely mistype it.
    at = 1 + int(random.random() * (len(word) - 2))
    kind = int(random.random() * 4)
    if kind < len(_SLIPS) and (made := _SLIPS[kind](word, at)) != word:
        return made
    return word[:at] + _beside(word[at], random) + word[at + 1 :]


def _beside(letter: str, random: Random) -> str:
    row = next(row for row in _KEYBOARD if letter.lower() in row)
    at = row.index(letter.lower())
    near = row[max(0, at - 1) : at] + row[at + 1 : at + 2]
    found = near[int(random.random() * len(near))]
    return found.upper() if letter.isupper() else found


def _sample(words: list[re.Match[str]], number: int, random: Random) -> list[re.Match[str]]:
    left = list(words)
    return [left.pop(int(random.random() * len(left))) for _ in range(min(number, len(words)))]
