"""`tokenize`: text to ids, by our two `tokenizer.json` and by the tutorial's NLTK."""

from __future__ import annotations

import argparse
from typing import Any

from tutorial import reference

from benchmark.common import Side, measure, read
from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all; of the tutorial's words, the ids must be the same."""
    texts = read(options, 2000)
    tokenizer = train_tokenizer(texts, **TUTORIAL_PRESET)
    backend, vocabulary = tokenizer.backend_tokenizer, tokenizer.get_vocab()
    plain = train_tokenizer(texts).backend_tokenizer

    def tutorials() -> list[list[int]]:
        return [reference.encode(reference.tokenize(text), vocabulary) for text in texts]

    ours = [encoding.ids for encoding in backend.encode_batch_fast(texts)]
    same = sum(left == right for left, right in zip(ours, tutorials(), strict=True))
    fast, number = "encode_batch_fast", len(texts)
    sides = [
        Side("plain words", lambda: plain.encode_batch_fast(texts), number, fast),
        Side("NLTK's words", lambda: backend.encode_batch_fast(texts), number, fast),
        Side("NLTK's words, called", lambda: tokenizer(texts), number, "tokenizer(texts)"),
        Side("NLTK", tutorials, number, "one thread, as it is"),
    ]
    return {"sides": measure(sides, options.rounds), "identical_ids": f"{same} of {len(texts)}"}
