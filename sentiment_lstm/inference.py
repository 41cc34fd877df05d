"""Many texts through a model: sorted by length, batched by tokens, streamed in and out in order."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

# Texts that are sorted by length together. More make better batches and the first answer later.
CHUNK_SIZE = 4096
# Tokens in a batch, padding included: enough to fill two cores, little enough to stay in cache.
BATCH_TOKENS = 16_384


@dataclass(frozen=True, eq=False)  # an array has no single answer to whether it is equal
class Prediction:
    """What the model says of one text.

    Args:
        label: Name of the most probable label.
        score: Its probability, as `pipeline("text-classification")` gives it.
        probabilities: `(num_labels,)` float32, by label id.
    """

    label: str
    score: float
    probabilities: np.ndarray


def load(
    model: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model folder or a Hub repository for inference, on the GPU where there is one.

    Args:
        model: The folder or the repository id.
        dtype: In which to compute.

    Returns:
        The model in evaluation mode and its tokenizer.

    Raises:
        OSError: If there is no such model, or its weights or tokenizer are missing or damaged.
    """
    path = Path(model)
    # A mistyped path, which transformers would take for a repository and ask the Hub for.
    mistyped = len(path.parts) != 2 or path.parent.is_dir()
    if mistyped and not path.is_dir():
        raise FileNotFoundError(f"{model}: no such model folder")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        loaded, report = AutoModelForSequenceClassification.from_pretrained(
            model, dtype=dtype, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, SafetensorError) as error:
        reason = str(error).split("\n")[0]
        raise OSError(f"{model}: cannot load this model ({reason})") from error
    if report["missing_keys"]:  # transformers would go on with random numbers in their place
        missing = ", ".join(sorted(report["missing_keys"]))
        raise OSError(f"{model}: no trained classifier, its weights lack {missing}")
    return loaded.to(device).eval(), tokenizer


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Iterable[str],
    *,
    chunk_size: int = CHUNK_SIZE,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[Prediction]:
    """Classify texts as `pipeline("text-classification")` would, but in fast batches.

    Texts are taken `chunk_size` at a time, so memory does not grow with their number. A long
    text is read whole: an LSTM has no longest input.

    Args:
        model: A sequence classifier in evaluation mode.
        tokenizer: Its tokenizer.
        texts: Any number of texts.
        chunk_size: Texts sorted by length together.
        batch_tokens: Tokens in a batch, padding included. A longer text is a batch of its own.

    Yields:
        One prediction a text, in the order of `texts`.
    """
    names = cast("dict[int, str]", model.config.id2label)
    for probabilities in predict_probabilities(
        model, tokenizer, texts, chunk_size=chunk_size, batch_tokens=batch_tokens
    ):
        best = int(probabilities.argmax())
        yield Prediction(names[best], float(probabilities[best]), probabilities)


def predict_probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Iterable[str],
    *,
    chunk_size: int = CHUNK_SIZE,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[np.ndarray]:
    """Yield each text's probabilities, `(num_labels,)` float32; see `predict`.

    The numbers are what the pipeline calls scores: a softmax over the labels, a sigmoid each for
    several labels at once or for one, the plain outputs for a regression.
    """
    if isinstance(texts, str):
        raise TypeError("texts is a str: pass an iterable of texts, for example [text]")
    if chunk_size < 1 or batch_tokens < 1:
        raise ValueError(
            f"chunk_size and batch_tokens must be 1 or more; got {chunk_size} and {batch_tokens}"
        )
    remaining = iter(texts)
    while chunk := list(itertools.islice(remaining, chunk_size)):
        yield from _predict_chunk(model, tokenizer, chunk, batch_tokens)


@torch.inference_mode()
def _predict_chunk(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    batch_tokens: int,
) -> np.ndarray:
    """Probabilities `(texts, num_labels)` float32."""
    # Called with one list, tokenizers use all cores; verbose=False: long texts are welcome.
    token_ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    longest_first = sorted(range(len(texts)), key=lambda index: -len(token_ids[index]))
    results = np.empty((len(texts), model.config.num_labels or 0), dtype=np.float32)
    for batch in _batches(longest_first, [len(ids) for ids in token_ids], batch_tokens):
        inputs = tokenizer.pad(
            {"input_ids": [token_ids[index] for index in batch]}, return_tensors="pt"
        ).to(model.device)
        logits = model(inputs["input_ids"], inputs["attention_mask"]).logits
        results[batch] = _activate(logits.float(), model.config).cpu().numpy()
    return results


def _batches(order: list[int], lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Cut indices, longest first, where a batch would exceed `batch_tokens` with its padding."""
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def _activate(logits: torch.Tensor, config: PreTrainedConfig) -> torch.Tensor:
    """The function that `pipeline` applies to the logits `(batch, num_labels)`."""
    if config.problem_type == "regression":
        return logits
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return logits.sigmoid()
    return logits.softmax(dim=-1)
