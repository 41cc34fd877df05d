"""`tokenize`: text to ids, by `tokenizer.json` and by the tutorial's NLTK."""

from __future__ import annotations

import argparse
from typing import Any

from tutorial import reference

from benchmark.common import Side, measure, read
from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both, whose ids must be the same."""
    texts = read(options, 2000)
    tokenizer = train_tokenizer(texts, **TUTORIAL_PRESET)
    backend, vocabulary = tokenizer.backend_tokenizer, tokenizer.get_vocab()

    def tutorials() -> list[list[int]]:
        return [reference.encode(reference.tokenize(text), vocabulary) for text in texts]

    ours = [encoding.ids for encoding in backend.encode_batch_fast(texts)]
    same = sum(left == right for left, right in zip(ours, tutorials(), strict=True))
    sides = [
        Side("ours", lambda: backend.encode_batch_fast(texts), len(texts), "encode_batch_fast"),
        Side("ours, called", lambda: tokenizer(texts), len(texts), "tokenizer(texts)"),
        Side("NLTK", tutorials, len(texts), "one thread, as it is"),
    ]
    return {"sides": measure(sides, options.rounds), "identical_ids": f"{same} of {len(texts)}"}
