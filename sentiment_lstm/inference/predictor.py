"""One object that answers: texts in, labels and probabilities out, in the order of the texts.

Texts are tokenised on all cores, sorted by length, batched by tokens, and streamed where there are
many. The command line, batch jobs, evaluation and distillation all ask a [`SentimentPredictor`].
"""

from __future__ import annotations

import copy
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .. import auto_classes  # noqa: F401 - registers our classes with the Auto classes
from ..data.columns import joined, text_columns
from ..data.labels import NUMBER, SEVERAL, LabelSet
from ..data.readers import check_header
from ..data.texts import chunks
from ..tokenization import private_backend

if TYPE_CHECKING:
    from .explanation import Explanation

# Texts that are sorted by length together. More make better batches and the first answer later.
CHUNK_SIZE = 4096
# Tokens in a batch, padding included: few enough to stay in a core's cache.
BATCH_TOKENS = 4096
# From this many texts on, a batch ends where their length changes: it then needs no padding, which
# costs more (masks, and a reversal of each text by itself) than smaller batches do.
_ENOUGH_ALIKE = 8

# What is added to the columns of a batch; of several labels at once, both are lists.
LABEL_COLUMN, SCORE_COLUMN = "predicted_label", "predicted_score"
LABELS_COLUMN, SCORES_COLUMN = "predicted_labels", "predicted_scores"

# Between the probabilities of the best two labels: what the low-precision copy says with less is
# computed again. In bf16 a probability was wrong by 0.005 at most (5,459 reviews), so the gap
# by 0.01.
_CONFIDENCE_MARGIN = 0.1

_HINT = "Leave it out, or put a text in its place."
_TRIAL = "Works as described, and it arrived early."


class ModelError(OSError):
    """A model that cannot be used; the message names it and says what is missing or damaged."""


class AnswerError(ModelError):
    """A text to which the model's answer is no number; the message names the text."""


@dataclass(frozen=True, eq=False)  # an array has no single answer to whether it is equal
class Prediction:
    """What the model says of one text.

    Args:
        label: Name of the most probable label.
        score: Its probability, as `pipeline("text-classification")` gives it; the number itself,
            where the label is one.
        probabilities: `(num_labels,)` float32, by label id.
        labels: Names of all labels that the text has: the most probable one, or, of several labels
            at once, those with a probability above one half. None where the label is a number.
    """

    label: str
    score: float
    probabilities: NDArray[np.float32]
    labels: tuple[str, ...] = ()


class SentimentPredictor:
    """A sequence classifier with its tokenizer, for many texts.

    The answers are those of `pipeline("text-classification")`; a long text is read whole, since
    an LSTM has no longest input. A predictor can be pickled (Ray, Spark), and called from several
    threads: it has a copy of the tokenizer's state that nobody else changes.

    Args:
        model: A sequence classifier; it is put into evaluation mode.
        tokenizer: Its tokenizer.
        low_precision: Ask a copy of the model in bf16 first, and the model itself where the best
            two labels are close. The labels are those of the model, the probabilities within
            0.005 of its own. Changes nothing where the machine does not compute in bf16, or where
            a number counts rather than a label.
        chunk_size: Texts that are sorted by length together; fewer where they are very long, see
            `data.texts.chunks`.
        batch_tokens: Tokens in a batch, padding included. A longer text is a batch of its own.

    Raises:
        ValueError: If `chunk_size` or `batch_tokens` is below 1, or larger than any index.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        low_precision: bool = False,
        chunk_size: int = CHUNK_SIZE,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        if not (1 <= chunk_size <= sys.maxsize and 1 <= batch_tokens <= sys.maxsize):
            raise ValueError(
                f"chunk_size and batch_tokens must be 1 or more, and at most {sys.maxsize}; got "
                f"{chunk_size} and {batch_tokens}"
            )
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.chunk_size = chunk_size
        self.batch_tokens = batch_tokens
        self.low_precision = low_precision
        self._copy = _low_precision_copy(model) if low_precision else None
        self._backend = private_backend(tokenizer)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        *,
        dtype: torch.dtype = torch.float32,
        low_precision: bool = False,
        chunk_size: int = CHUNK_SIZE,
        batch_tokens: int = BATCH_TOKENS,
        trust_remote_code: bool = False,
    ) -> SentimentPredictor:
        """Load a model folder or a Hub repository, on the GPU where there is one.

        Args:
            model: The folder or the repository id.
            dtype: In which to compute.
            low_precision: See the class, as for the other options.
            chunk_size: See there.
            batch_tokens: See there.
            trust_remote_code: Run Python code that lies beside the weights, where a model needs
                such. Without it a model that does so is refused; nobody is ever asked.

        Returns:
            The predictor.

        Raises:
            ModelError: If there is no such model, a file is missing or damaged, weights, config
                and tokenizer do not fit each other, or a weight or the answer is no number. It
                is an `OSError`.
            ValueError: As the class.
        """
        predictor = cls(
            *_load(model, dtype, trust_remote_code),
            low_precision=low_precision,
            chunk_size=chunk_size,
            batch_tokens=batch_tokens,
        )
        try:
            predictor.predict([_TRIAL])
        except AnswerError as error:
            raise ModelError(f"{model}: the model answers nan: its weights are damaged") from error
        except Exception as error:  # as of a tokenizer that lacks its unknown word
            raise ModelError(f"{model}: loads, but does not answer: {_line(error)}") from error
        return predictor

    @property
    def label_set(self) -> LabelSet:
        """Which labels the model gives, as its config says."""
        return LabelSet.of_config(self.model.config)

    def predict(self, texts: Iterable[str], *, start: int = 0) -> list[Prediction]:
        """Classify texts.

        Args:
            texts: A list, a generator, a column of pandas, polars or datasets.
            start: The number of the first text, where these are some of many: errors name a text
                by its number.

        Returns:
            One prediction a text, in order.

        Raises:
            AnswerError: If the answer to one of them is no number, since what the model computes
                is too large for its dtype.
            TypeError: If one of them is no string (`None`, a number), or `texts` is one itself.
            ValueError: If one of them has a lone surrogate, which is no character.
        """
        return list(self.stream(texts, start=start))

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Probabilities of each text.

        They are what the pipeline calls scores: a softmax over the labels, a sigmoid each for
        several labels at once or for one, the plain outputs for a regression.

        Args:
            texts: See `predict`.

        Returns:
            `(texts, num_labels)` float32, by label id.

        Raises:
            AnswerError: See `predict`.
            TypeError: See there.
        """
        chunks = list(self._stream_proba(texts))
        return np.concatenate(chunks) if chunks else self.predict_proba_ids([])

    def stream(self, texts: Iterable[str], *, start: int = 0) -> Iterator[Prediction]:
        """Classify texts as they come, `chunk_size` at a time: memory does not grow.

        Args:
            texts: See `predict`.
            start: See there.

        Yields:
            One prediction a text, in order.

        Raises:
            AnswerError: See `predict`.
            TypeError: See there.
        """
        label_set = self.label_set
        names = label_set.names
        for probabilities in itertools.chain.from_iterable(self._stream_proba(texts, start)):
            best = int(probabilities.argmax())
            labels: tuple[str, ...] = (names[best],)
            if label_set.problem_type == NUMBER:
                labels = ()
            elif label_set.problem_type == SEVERAL:
                labels = tuple(names[number] for number in np.flatnonzero(probabilities > 0.5))
            yield Prediction(names[best], float(probabilities[best]), probabilities, labels)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, however long: what `tokenizer(texts)` gives, on all cores.

        Less the offsets and masks that it makes besides, which take a third of its time.
        """
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts))]

    def predict_proba_ids(
        self, token_ids: Sequence[Sequence[int]], *, start: int = 0
    ) -> NDArray[np.float32]:
        """As `predict_proba`, of texts that are tokenised already.

        Args:
            token_ids: Ids of each text, as `encode` gives them.
            start: See `predict`.

        Returns:
            `(texts, num_labels)` float32.

        Raises:
            AnswerError: See `predict`.
        """
        if self.model.training:  # it was trained since
            self.model.eval()
        results = self._probabilities(self._copy or self.model, token_ids)
        if self._copy is not None and len(results):
            lower, upper = np.sort(results, axis=1)[:, -2:].T
            sure = upper - lower >= _CONFIDENCE_MARGIN  # and not NaN, where bf16 has overflowed
            again = np.flatnonzero(~sure).tolist()
            results[again] = self._probabilities(self.model, [token_ids[index] for index in again])
        _refuse_no_numbers(results, self.model.dtype, start)
        return results

    def explain(
        self, text: str, *, label: str | None = None, method: str = "integrated_gradients"
    ) -> Explanation:
        """Say what each word of one text did to the model's answer.

        Args:
            text: The text.
            label: The label to explain; see `inference.explain.explain`, as for `method`.
            method: `"integrated_gradients"`, or as a slow reference `"occlusion"`.

        Returns:
            The explanation: in a notebook the coloured text; see `to_text`, `to_html`, `to_dict`.

        Raises:
            AnswerError: See `predict`.
            TypeError: If it is no string; a list is explained text by text.
            ValueError: If it has a lone surrogate, or as in `inference.explain.explain`.
        """
        from .explain import explain

        (prediction,) = self.predict([text])
        return explain(
            self.model,
            self.tokenizer,
            self._backend,
            text,
            predicted=prediction.label,
            label=label,
            method=method,
            batch_tokens=self.batch_tokens,
        )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Classify a batch of columns, for `datasets.map(batched=True)` or Ray's `map_batches`.

        Args:
            batch: Column -> values. The text is in the first of `text`, `content` and `review`
                that is there, behind a `title` if there is one, as in `load_reviews`.

        Returns:
            The batch with two more columns: `predicted_label` (str) and `predicted_score` (float);
            see `answer_columns` for other labels.

        Raises:
            ReviewError: If there is no column of text, or a text is missing.
        """
        return {**batch, **answer_columns(self, batch)}

    def __getstate__(self) -> dict[str, Any]:
        # What the other machine makes for itself: it may have another device, and no bf16.
        state = {name: value for name, value in vars(self).items() if name[0] != "_"}
        on_cpu = self.model if self.model.device.type == "cpu" else copy.deepcopy(self.model).cpu()
        return state | {"model": on_cpu}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.model = self.model.to(_device())
        self._copy = _low_precision_copy(self.model) if self.low_precision else None
        self._backend = private_backend(self.tokenizer)

    def _stream_proba(self, texts: Iterable[str], start: int = 0) -> Iterator[NDArray[np.float32]]:
        """Probabilities `(chunk, num_labels)` of one chunk of texts after the other."""
        for chunk in chunks(_only_strings(texts, start), self.chunk_size):
            yield self.predict_proba_ids(self.encode(chunk), start=start)
            start += len(chunk)

    def _probabilities(
        self, model: PreTrainedModel, token_ids: Sequence[Sequence[int]]
    ) -> NDArray[np.float32]:
        """Probabilities `(texts, num_labels)`, computed in batches of similar length.

        NaN of a text whose logits are no numbers, also where one of them is infinite, of which a
        sigmoid would make a number.
        """
        results = np.empty((len(token_ids), model.config.num_labels or 0), dtype=np.float32)
        # A model may pad all reviews to one length itself.
        length = getattr(model.config, "pad_to_length", None)
        lengths = np.array([length or len(ids) for ids in token_ids], dtype=np.int64)
        longest_first = np.argsort(-lengths, kind="stable").tolist()

        @torch.inference_mode()  # of a thread
        def fill(batch: list[int]) -> None:
            ids, mask = _padded([token_ids[index] for index in batch], self.tokenizer)
            logits = model(ids.to(model.device), mask.to(model.device)).logits
            finite = logits.isfinite().all(-1, keepdim=True)
            probabilities = _activate(logits.float(), model.config)
            results[batch] = probabilities.masked_fill(~finite, torch.nan).cpu().numpy()

        batches = list(_batches(longest_first, lengths.tolist(), self.batch_tokens))
        threads = min(torch.get_num_threads(), len(batches))
        _side_by_side(fill, batches, threads if model.device.type == "cpu" else 1)
        return results


def load_model(
    model: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    *,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier and its tokenizer with the checks of `SentimentPredictor.from_pretrained`.

    Args:
        model: A model folder or a Hub repository.
        dtype: In which to compute.
        trust_remote_code: See there.

    Returns:
        The model in evaluation mode, on the GPU where there is one, and its tokenizer.

    Raises:
        ModelError: See there.
    """
    predictor = SentimentPredictor.from_pretrained(
        model, dtype=dtype, trust_remote_code=trust_remote_code
    )
    return predictor.model, predictor.tokenizer


def answer_columns(
    predictor: SentimentPredictor,
    batch: Mapping[str, Any],
    *,
    text_column: str | None = None,
    where: str = "batch",
    hint: str = _HINT,
) -> dict[str, list[Any]]:
    """The columns that answer a batch of columns.

    Args:
        predictor: Who answers.
        batch: Column -> values; no others are read than the text's and the title's.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`.
        where: What an error calls the batch.
        hint: What an error advises where a text is missing.

    Returns:
        `predicted_label` (str) and `predicted_score` (float). Of several labels at once
        `predicted_labels`, a list of those that a text has, and `predicted_scores`, a list of the
        probabilities of all labels by their number. Of a number `predicted_score` alone.

    Raises:
        ReviewError: If there is no column of text, a name occurs twice, or a text is missing.
        TypeError: If the column is a single text.
    """
    check_header(list(batch), where)  # a table may have a name twice
    text, title = text_columns(list(batch), where, text=text_column)
    columns = [name for name in (title, text) if name]
    if isinstance(batch[text], (str, bytes)):  # whose characters would be classified
        raise TypeError(
            f"{where}: column {text!r} is one text and no list of texts: pass a batch, as "
            "`dataset.map(predictor, batched=True)` does"
        )
    rows = zip(*(batch[name] for name in columns), strict=True)
    texts = (
        joined(dict(zip(columns, row, strict=True)), text, title, f"batch:{number}", hint=hint)
        for number, row in enumerate(rows, 1)
    )
    answers = predictor.predict(texts)
    names = answer_types(predictor.label_set)
    if LABELS_COLUMN in names:
        return {
            LABELS_COLUMN: [list(answer.labels) for answer in answers],
            SCORES_COLUMN: [answer.probabilities.tolist() for answer in answers],
        }
    found: dict[str, list[Any]] = {
        LABEL_COLUMN: [answer.label for answer in answers],
        SCORE_COLUMN: [answer.score for answer in answers],
    }
    return {name: found[name] for name in names}


def answer_types(label_set: LabelSet) -> dict[str, Any]:
    """The columns that `answer_columns` gives, and the types of their values.

    Args:
        label_set: That of the predictor.

    Returns:
        Column -> `str`, `float`, `list[str]` or `list[float]`.
    """
    if label_set.problem_type == SEVERAL:
        return {LABELS_COLUMN: list[str], SCORES_COLUMN: list[float]}
    if label_set.problem_type == NUMBER:
        return {SCORE_COLUMN: float}
    return {LABEL_COLUMN: str, SCORE_COLUMN: float}


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device computes faster in bf16 than in float32.

    Elsewhere bf16 is emulated. Intel's processors have it in AVX-512 too, at no more than float32's
    speed, and only with AMX are they faster: on a Xeon that hides it this predictor took half as
    long again in bf16, and a product of matrices twice as long. AMD's are faster in AVX-512.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not hasattr(torch.cpu, "get_capabilities"):  # torch below 2.11
        return False
    found = torch.cpu.get_capabilities()
    in_avx512 = found.get("avx512_bf16", False) and "Intel" not in found.get("cpu_name", "")
    return bool(in_avx512 or found.get("amx_bf16", False) or found.get("bf16", False))


# --- loading -------------------------------------------------------------------------------------


def _load(
    model: str | os.PathLike[str], dtype: torch.dtype, trust_remote_code: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer, if they are whole and belong together."""
    _refuse_mistyped_path(model)
    where: dict[str, Any] = {
        "local_files_only": Path(model).is_dir(),  # nothing of a folder is on the Hub
        # Said in either case: transformers would ask on standard input, where texts may come.
        "trust_remote_code": trust_remote_code,
    }
    try:
        loaded, report = AutoModelForSequenceClassification.from_pretrained(
            model, dtype=dtype, output_loading_info=True, **where
        )
        tokenizer = AutoTokenizer.from_pretrained(model, **where)
    except Exception as error:  # tokenizers raise nothing else, and transformers whatever comes up
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise ModelError(
                f"{model}: needs Python code that lies beside the weights, and nothing of it was "
                "run: read it, and if you trust it say trust_remote_code "
                "(`--trust_remote_code` on the command line)"
            ) from error
        raise ModelError(f"{model}: does not load: {_line(error)}") from error
    # transformers fills such gaps with random numbers and only warns.
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if found := report.get(kind):
            raise ModelError(
                f"{model}: weights and config do not fit each other: {kind.replace('_', ' ')}, "
                f"for example {min(map(str, found))}"
            )
    _refuse_damaged_weights(model, loaded)
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise ModelError(f"{model}: its tokenizer must have a `tokenizer.json` and a pad token")
    words = getattr(loaded.config, "vocab_size", None)
    ids = tokenizer.get_vocab().values()
    if words is not None and (len(tokenizer) > words or max(ids, default=0) >= words):
        raise ModelError(
            f"{model}: the tokenizer has {len(tokenizer)} words, with ids up to "
            f"{max(ids, default=0)}, and the model only {words}: they are of different runs"
        )
    return loaded.to(_device()), tokenizer


def _line(error: Exception) -> str:
    """What an error says, as one line of a length that can be read."""
    said = " ".join(str(error).split())
    return f"{said[:500]} ..." if len(said) > 500 else said or type(error).__name__


def _refuse_damaged_weights(model: str | os.PathLike[str], loaded: PreTrainedModel) -> None:
    """Raise for a weight that is no number: it may be a rare word's, which no trial meets."""
    for name, weight in loaded.named_parameters():
        if weight.is_floating_point() and weight.numel():
            lowest, highest = weight.detach().aminmax()  # either is NaN where one of them is
            if not (lowest.isfinite() and highest.isfinite()):
                raise ModelError(
                    f"{model}: the weight {name} has NaN or infinite numbers: the file is damaged, "
                    "or the training diverged; train again or take another checkpoint"
                )


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _refuse_mistyped_path(model: str | os.PathLike[str]) -> None:
    """Raise for what transformers would take for a repository and ask the Hub for."""
    path = Path(model)
    if not path.is_dir() and (len(path.parts) != 2 or path.parent.is_dir()):
        raise ModelError(f"{model}: no such model folder")


def _low_precision_copy(model: PreTrainedModel) -> PreTrainedModel | None:
    """The model in bf16, or `None` where that is no faster, or a number counts and not a label."""
    exclude_each_other = LabelSet.of_config(model.config).exclude_each_other
    if not exclude_each_other or not computes_in_bf16(model.device):
        return None
    low = copy.deepcopy(model)
    low.bfloat16()
    return low


# --- texts to batches ----------------------------------------------------------------------------


def _only_strings(texts: Iterable[Any], start: int) -> Iterator[str]:
    # Of a mapping or a table the names of its columns would be classified.
    is_table = isinstance(texts, Mapping) or hasattr(texts, "columns")
    if isinstance(texts, (str, bytes)) or is_table or not isinstance(texts, Iterable):
        raise TypeError(
            f"texts is a {type(texts).__name__}: pass an iterable of texts, for example [text], "
            "or one column of a table"
        )
    for number, text in enumerate(texts, start):
        if not isinstance(text, str):
            raise TypeError(
                f"texts[{number}] is {type(text).__name__}, not str: leave it out, or put a text "
                "in its place (an empty one is allowed)"
            )
        if not text.isascii():
            _refuse_surrogates(text, number)
        yield text


def _refuse_surrogates(text: str, number: int) -> None:
    """Raise for half of a character, which tokenizers cannot take: bytes were decoded wrongly."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"texts[{number}] has a lone surrogate at character {error.start + 1}: decode its "
            'bytes as UTF-8, or replace it with text.encode(errors="replace").decode()'
        ) from None


def _padded(
    token_ids: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase
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
    """Cut indices, longest first, into batches of one length where there are enough such texts.

    No batch exceeds `batch_tokens` with its padding, unless it is a single text.
    """
    batch: list[int] = []
    for index in order:
        longest = max(1, lengths[batch[0]]) if batch else 1
        full = (len(batch) + 1) * longest > batch_tokens
        shorter = len(batch) >= _ENOUGH_ALIKE and lengths[index] < lengths[batch[-1]]
        if batch and (full or shorter):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _side_by_side(
    work: Callable[[list[int]], None], batches: list[list[int]], threads: int
) -> None:
    """Do the work of each batch, in so many threads of one core each.

    Threads that share a batch wait for each other at every step of an LSTM: on two cores a batch
    each takes two thirds of the time.
    """
    if threads <= 1:
        for batch in batches:
            work(batch)
        return
    cores = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(work, batches):
                pass
    finally:
        torch.set_num_threads(cores)  # threads that are made later begin with what was said last


def _refuse_no_numbers(probabilities: NDArray[np.float32], dtype: torch.dtype, start: int) -> None:
    """Raise for the first text whose probabilities `(texts, num_labels)` are no numbers."""
    bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(bad):
        name = str(dtype).removeprefix("torch.")
        remedy = "leave it out, or take another model: this one's weights are damaged or diverged"
        if dtype in (torch.float16, torch.bfloat16):
            remedy = "load the model with dtype=torch.float32"
        raise AnswerError(
            f"texts[{start + int(bad[0])}]: the model's answer is no number, since what it "
            f"computes is too large for {name}: {remedy}"
        )


def _activate(logits: torch.Tensor, config: PreTrainedConfig) -> torch.Tensor:
    """The function that `pipeline` applies to the logits `(batch, num_labels)`."""
    if config.problem_type == "regression":
        return logits
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return logits.sigmoid()
    return logits.softmax(dim=-1)
