"""Many texts through a model: sorted by length, batched by tokens, streamed in and out in order."""

from __future__ import annotations

import copy
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

# Between the probabilities of the best two labels: what a draft gives with less is computed again.
# In bf16 a probability was wrong by 0.005 at most (5,459 reviews), so the gap by 0.01.
_CONFIDENCE_MARGIN = 0.1


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


def low_precision_copy(model: PreTrainedModel) -> PreTrainedModel | None:
    """A copy of the model that computes faster and less exactly, for `predict`.

    Args:
        model: The model; float32.

    Returns:
        The copy in bf16, or `None` where the machine does not compute in bf16 or where a number
        counts rather than a label (a regression, several labels at once, only one label).
    """
    config = model.config
    numbers_count = config.problem_type in ("regression", "multi_label_classification")
    if numbers_count or config.num_labels == 1 or not computes_in_bf16(model.device):
        return None
    draft = copy.deepcopy(model)
    draft.bfloat16()
    return draft


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has bf16 arithmetic; elsewhere it is emulated, and slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Iterable[str],
    *,
    draft: PreTrainedModel | None = None,
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
        draft: What `low_precision_copy(model)` made: it is asked first, and `model` where the best two
            labels are close. The labels are those of `model`; the probabilities are the draft's
            (in bf16 within 0.005 of the model's) where they are not close.
        chunk_size: Texts sorted by length together.
        batch_tokens: Tokens in a batch, padding included. A longer text is a batch of its own.

    Yields:
        One prediction a text, in the order of `texts`.
    """
    names = cast("dict[int, str]", model.config.id2label)
    for probabilities in predict_proba(
        model, tokenizer, texts, draft=draft, chunk_size=chunk_size, batch_tokens=batch_tokens
    ):
        best = int(probabilities.argmax())
        yield Prediction(names[best], float(probabilities[best]), probabilities)


def predict_proba(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Iterable[str],
    *,
    draft: PreTrainedModel | None = None,
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
        token_ids = _token_ids(tokenizer, chunk)
        results = _probabilities(draft or model, tokenizer, token_ids, batch_tokens)
        if draft is not None:
            lower, upper = np.sort(results, axis=1)[:, -2:].T
            close = np.flatnonzero(upper - lower < _CONFIDENCE_MARGIN)
            again = [token_ids[index] for index in close]
            results[close] = _probabilities(model, tokenizer, again, batch_tokens)
        yield from results


def _token_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The ids of each text, however long: what `tokenizer(texts)` gives, on all cores.

    Less the offsets and masks that it makes besides, which take a third of its time.
    """
    backend = tokenizer.backend_tokenizer
    # What a call of the tokenizer would set, and one before this may have set otherwise.
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return [encoding.ids for encoding in backend.encode_batch_fast(texts)]


@torch.inference_mode()
def _probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    token_ids: list[list[int]],
    batch_tokens: int,
) -> np.ndarray:
    """Probabilities `(texts, num_labels)` float32, computed in batches of similar length."""
    results = np.empty((len(token_ids), model.config.num_labels or 0), dtype=np.float32)
    # A model may pad all reviews to one length itself.
    length = getattr(model.config, "pad_to_length", None)
    lengths = np.array([length or len(ids) for ids in token_ids])
    longest_first = np.argsort(-lengths, kind="stable").tolist()
    for batch in _batches(longest_first, lengths.tolist(), batch_tokens):
        ids, mask = _padded([token_ids[index] for index in batch], tokenizer)
        logits = model(ids.to(model.device), mask.to(model.device)).logits
        results[batch] = _activate(logits.float(), model.config).cpu().numpy()
    return results


def _padded(
    token_ids: list[list[int]], tokenizer: PreTrainedTokenizerBase
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, `(batch, sequence)` int64: `tokenizer.pad`, which takes five times as long."""
    shape = (len(token_ids), max(map(len, token_ids)))
    ids = np.full(shape, tokenizer.pad_token_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for row, words in enumerate(token_ids):
        left = shape[1] - len(words) if tokenizer.padding_side == "left" else 0
        ids[row, left : left + len(words)] = words
        mask[row, left : left + len(words)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


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
