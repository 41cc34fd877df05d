"""Measure explanations: how far the score moves when the words that they name are deleted.

    python scripts/explanations.py SOURCE [--model hub_card] [--limit 300]
        [--json docs/results/explanations.json]

Of each review the words that speak most for its answer are replaced by a space, more and more of
them, and the model is asked again (deletion curves; Samek et al. 2017). A method that finds what
the model goes by moves the score further, and turns more answers, with as many words. Beside the
method of `sentiment-lstm explain` stand integrated gradients from other vectors, occlusion, and
words at random. For models of two labels.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.data.sources import parse_source
from sentiment_lstm.files import write_json
from sentiment_lstm.inference.explain import explain
from sentiment_lstm.inference.explanation import Explanation, Word
from sentiment_lstm.inference.predictor import SentimentPredictor
from sentiment_lstm.tokenization import private_backend

# How many words are deleted.
NUMBERS = (1, 2, 3, 5, 10, 20)

Method = Callable[[str, str], list[Word]]


def methods(predictor: SentimentPredictor, seed: int) -> dict[str, Method]:
    """Functions from a text and its label to its words, what speaks most for the label first."""
    embeddings = predictor.model.get_input_embeddings().weight.detach()
    backend = private_backend(predictor.tokenizer)

    @cache  # what is deleted at random are words as well
    def explained(text: str, label: str) -> Explanation:
        return predictor.explain(text, label=label)

    def from_vector(start: torch.Tensor) -> Method:
        return lambda text, label: _ranked(
            explain(
                predictor.model,
                predictor.tokenizer,
                backend,
                text,
                predicted=label,
                label=label,
                start=start,
            )
        )

    chance = random.Random(seed)

    def at_random(text: str, label: str) -> list[Word]:
        words = explained(text, label).words
        return chance.sample(words, len(words))

    return {
        "integrated gradients from the unknown word": lambda text, label: _ranked(
            explained(text, label)
        ),
        "integrated gradients from the mean vector": from_vector(embeddings.mean(0)),
        "integrated gradients from zero": from_vector(torch.zeros_like(embeddings[0])),
        "occlusion": lambda text, label: _ranked(
            predictor.explain(text, label=label, method="occlusion")
        ),
        "random words": at_random,
    }


def measure(
    predictor: SentimentPredictor, texts: list[str], *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Delete words of texts by each method.

    Args:
        predictor: A model of two labels.
        texts: Reviews.
        seed: Of the random words.

    Returns:
        Method -> for each of `NUMBERS` the mean `movement` of the log-odds away from the answer,
        its standard error `movement_error`, the share of answers that are `turned`, and the mean
        `difference` to the movement of the first method with its standard error
        `difference_error`, paired review by review.
    """
    answers = predictor.predict(texts)
    signs = np.array([1 if answer.label == _names(predictor)[1] else -1 for answer in answers])
    before = _log_odds(predictor, texts) * signs
    moved: dict[str, NDArray[np.float64]] = {}
    for name, ranked in methods(predictor, seed).items():
        left: list[str] = []
        for text, answer in zip(tqdm(texts, desc=name, mininterval=5), answers, strict=True):
            words = ranked(text, answer.label)
            left += [without(text, words[:number]) for number in NUMBERS]
        after = _log_odds(predictor, left).reshape(len(texts), len(NUMBERS)) * signs[:, None]
        moved[name] = before[:, None] - after
    first = next(iter(moved.values()))
    return {
        name: {
            "movement": _rounded(each.mean(0)),
            "movement_error": _rounded(_standard_error(each)),
            "turned": _rounded((each > before[:, None]).mean(0)),
            "difference": _rounded((each - first).mean(0)),
            "difference_error": _rounded(_standard_error(each - first)),
        }
        for name, each in moved.items()
    }


def without(text: str, words: list[Word]) -> str:
    """A text with a space in the place of each of some words, so that no two others become one."""
    for word in sorted(words, key=lambda word: -word.start):
        text = f"{text[: word.start]} {text[word.end :]}"
    return text


def _ranked(explanation: Explanation) -> list[Word]:
    return sorted(explanation.words, key=lambda word: -word.contribution)


def _names(predictor: SentimentPredictor) -> dict[int, str]:
    names: dict[int, str] = predictor.model.config.id2label
    return names


def _log_odds(predictor: SentimentPredictor, texts: list[str]) -> NDArray[np.float64]:
    """Of the second label, `(texts,)`."""
    probabilities = predictor.predict_proba(texts).astype(np.float64)
    odds: NDArray[np.float64] = np.log(probabilities[:, 1]) - np.log(probabilities[:, 0])
    return odds


def _standard_error(values: NDArray[np.float64]) -> NDArray[np.float64]:
    error: NDArray[np.float64] = values.std(0, ddof=1) / len(values) ** 0.5
    return error


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]


def main() -> None:
    """Measure one model and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="SOURCE", help="reviews; their labels are not used")
    parser.add_argument("--model", default="hub_card", help="default: hub_card")
    parser.add_argument("--limit", type=int, default=300, help="reviews (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the random words (default: 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    try:
        predictor = SentimentPredictor.from_pretrained(options.model)
        if len(_names(predictor)) != 2:
            raise ValueError(f"{options.model}: has {len(_names(predictor))} labels, not two")
        texts: list[str] = load_reviews(options.source)["text"][: options.limit]
        if len(texts) < 2:
            raise ValueError(f"{options.source}: has fewer than two reviews")
        found = measure(predictor, texts, seed=options.seed)
        if options.json:
            content = {
                "version": version("sentiment-lstm"),
                "command": "python scripts/explanations.py FILE",
                "source": parse_source(options.source).public,
                "reviews": len(texts),
                "words": list(NUMBERS),
                "methods": found,
            }
            print(f"wrote {write_json(options.json, content)}")
    except (OSError, ValueError) as error:
        sys.exit(f"explanations: {error}")
    print(f"{'words deleted':44}" + "".join(f"{number:>14}" for number in NUMBERS))
    for name, figures in found.items():
        cells = zip(figures["movement"], figures["turned"], strict=True)
        print(f"{name:44}" + "".join(f"{moved:+8.2f} {turned:>5.0%}" for moved, turned in cells))


if __name__ == "__main__":
    main()
