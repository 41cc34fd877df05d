"""Why: how far each word of a text moves a model's score.

The method is integrated gradients (Sundararajan et al. 2017): on the straight way from a text of
unknown words to the text, what the gradient says of each word is added up. The contributions then
add up to what the words change altogether. What stands at the start of the way decides how well
this finds the words that matter: the vector of the unknown word does better than zero, which no
text has, and than the mean of all vectors (docs/explain.md). In the tutorial preset unknown words
are read as padding, so the start is a text of nothing but padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple, cast

import torch
from tokenizers import Encoding, Tokenizer
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.labels import LabelSet
from .explanation import Explanation, Word

METHODS = ("integrated_gradients", "occlusion")
# Tokens of a text: it is read at some dozens of points, a long one at hundreds, and the memory for
# a gradient grows with it.
LONGEST = 5_000

# How much of what the words change altogether may be missing before it is spread over them.
TOLERANCE = 0.01
_FEWEST_PIECES, _MOST_GRADIENTS = 32, 8192
# Of the way: float32 cannot tell points apart that are much nearer.
_SHORTEST = 2.0**-24

# From word vectors `(batch, sequence, size)` to the score of each row, `(batch,)`.
Score = Callable[[torch.Tensor], torch.Tensor]


def explain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    backend: Tokenizer,
    text: str,
    *,
    predicted: str,
    label: str | None = None,
    method: str = "integrated_gradients",
    batch_tokens: int = 16_384,
    start: torch.Tensor | None = None,
) -> Explanation:
    """Explain what a model says of one text; `SentimentPredictor.explain` calls this.

    Args:
        model: A sequence classifier in evaluation mode.
        tokenizer: Its tokenizer.
        backend: What of it turns text into ids, as `tokenization.private_backend` gives it.
        text: The text, without lone surrogates.
        predicted: The label that the model gives it.
        label: The label to explain. Defaults to the second of two labels that exclude each other
            (POSITIVE), so that a sign means the same for every text, and otherwise to `predicted`.
        method: `"integrated_gradients"`, or `"occlusion"`: the score less that of the text
            without the word, once for each word. It is slower, and does not add up.
        batch_tokens: Tokens to compute at once.
        start: A word vector `(size,)` that says nothing. Defaults to that of the unknown word.

    Returns:
        The explanation.

    Raises:
        ValueError: If there is no such label or method, the text is too long, the model computes
            in less than float32 or has no unknown word, or the contributions do not add up within
            1 % however many gradients are taken.
    """
    target = _find_label(model, label, predicted)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; use one of {', '.join(METHODS)}")
    if model.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"the model computes in {model.dtype}, too coarsely for contributions to add up: load "
            "it with dtype=torch.float32 to explain it"
        )
    encoding = backend.encode(text)
    if len(encoding.ids) > LONGEST:
        raise ValueError(
            f"the text has {len(encoding.ids)} words, and at most {LONGEST} can be explained: cut "
            "it, or explain its parts"
        )
    question = _Question(model, target, batch_tokens)
    units = _units(text, encoding, backend)
    # Also of a caller in inference mode, whose tensors have no gradient.
    with torch.inference_mode(False), torch.enable_grad():
        vectors, baseline = _ends(model, tokenizer, backend, encoding, start)
        score, before = question.of_vectors(torch.stack([vectors, baseline])).tolist()
        if method == "occlusion":
            contributions = _occlusion(question, encoding.ids, units)
        else:
            tokens = integrated_gradients(
                question.of_vectors, vectors, baseline, batch_tokens=batch_tokens
            )
            contributions = [float(tokens[unit.tokens].sum()) for unit in units]
        running = _running_scores(question, encoding.ids, units)
    words = tuple(
        Word(unit.start, unit.end, text[unit.start : unit.end], contribution, after)
        for unit, contribution, after in zip(units, contributions, running, strict=True)
    )
    name = cast("dict[int, str]", model.config.id2label)[target]
    return Explanation(text, words, name, score, before, method, predicted)


def integrated_gradients(
    score: Score,
    vectors: torch.Tensor,
    baseline: torch.Tensor,
    *,
    batch_tokens: int = 16_384,
) -> torch.Tensor:
    """What each token does to a score, by integrated gradients from a baseline.

    The way is cut where the gradient does not account for what happens to the score, until what is
    missing, over all pieces of the way, is 1 % of the whole at most. That is spread in proportion
    to what each token does, so that all add up.

    Args:
        score: From vectors `(batch, tokens, size)` to scores `(batch,)`, each row for itself.
        vectors: The word vectors, `(tokens, size)`.
        baseline: Those that say nothing, of the same shape.
        batch_tokens: Tokens to compute at once.

    Returns:
        `(tokens,)` float64; the sum is the score of `vectors` less that of `baseline`.

    Raises:
        ValueError: If that does not hold when the gradient was taken at some 8,000 points, or at
            points that float32 cannot tell apart.
    """
    change = vectors - baseline
    if not change.any():  # no words, or none that is known
        return torch.zeros(len(vectors), dtype=torch.float64)
    rows = max(1, batch_tokens // max(1, len(vectors)))
    edges = torch.linspace(0, 1, _FEWEST_PIECES + 1, dtype=torch.float64, device=vectors.device)
    with torch.no_grad():
        scores = torch.cat([score(_points(baseline, change, at)) for at in edges.split(rows)])
    pieces = _measured(score, baseline, change, edges.unfold(0, 2, 1), scores.unfold(0, 2, 1), rows)
    whole = float(scores[-1]) - float(scores[0])
    asked = len(pieces.found)
    while True:
        found = pieces.found.sum(0)  # (T,)
        missing = pieces.scores[:, 1] - pieces.scores[:, 0] - pieces.found.sum(1)  # (N,)
        moved = float(found.abs().sum())
        # Where words cancel each other out, their sum is next to nothing, and no measure; where
        # they do nothing, there is only rounding.
        allowed = TOLERANCE * max(abs(whole), moved / 10, 0.01)
        if float(missing.abs().sum()) <= allowed:
            return found + (whole - found.sum()) * found.abs() / max(moved, 1e-300)
        shortest = float((pieces.ends[:, 1] - pieces.ends[:, 0]).min())
        if asked > _MOST_GRADIENTS or shortest < _SHORTEST:
            raise ValueError(
                "the contributions of the words do not add up: "
                f"{float(missing.abs().sum()):.3f} of {whole:+.3f} is missing after {asked} "
                'gradients; method="occlusion" may help'
            )
        cut = missing.abs() > allowed / (2 * len(missing))
        ends, heights = (values[cut] for values in (pieces.ends, pieces.scores))
        middle, height = ends.mean(1), pieces.middle[cut]
        halves = _measured(
            score,
            baseline,
            change,
            torch.cat([_pairs(ends[:, 0], middle), _pairs(middle, ends[:, 1])]),
            torch.cat([_pairs(heights[:, 0], height), _pairs(height, heights[:, 1])]),
            rows,
        )
        asked += len(halves.found)
        both = zip((values[~cut] for values in pieces), halves, strict=True)
        pieces = _Pieces(*map(torch.cat, both))


class _Pieces(NamedTuple):
    """Pieces of the way from the baseline, at 0, to the text, at 1.

    Args:
        ends: Where each begins and ends, `(pieces, 2)` float64.
        scores: The scores there, of the same shape, as all that follows in float64.
        middle: The score in the middle of each, `(pieces,)`.
        found: What each token does in each, by the gradient in its middle, `(pieces, tokens)`.
    """

    ends: torch.Tensor
    scores: torch.Tensor
    middle: torch.Tensor
    found: torch.Tensor


def _measured(
    score: Score,
    baseline: torch.Tensor,
    change: torch.Tensor,
    ends: torch.Tensor,
    scores: torch.Tensor,
    rows: int,
) -> _Pieces:
    """Pieces with these ends, the gradient taken in the middle of each; some `rows` at a time."""
    middle, found = [], []
    for at in ends.mean(1).split(rows):
        points = _points(baseline, change, at).requires_grad_()
        values = score(points)
        (gradient,) = torch.autograd.grad(values.sum(), points)
        middle.append(values.detach().double())
        found.append((gradient * change).sum(-1).double())
    width = ends[:, 1] - ends[:, 0]
    return _Pieces(ends, scores.double(), torch.cat(middle), torch.cat(found) * width[:, None])


def _points(baseline: torch.Tensor, change: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Word vectors on the way, `(points, tokens, size)`."""
    return baseline + at.to(change.dtype)[:, None, None] * change


def _pairs(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.stack([one, other], dim=1)


class _Unit(NamedTuple):
    """A word: its place in the text, and its tokens."""

    start: int
    end: int
    tokens: slice


class _Question:
    """The score of one label, asked of a model: the log-odds of its probability."""

    def __init__(self, model: PreTrainedModel, target: int, batch_tokens: int) -> None:
        self.model = model
        self.target = target
        self.batch_tokens = batch_tokens

    def of_vectors(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores `(batch,)` of word vectors `(batch, sequence, size)`."""
        return self.of_logits(self.model(inputs_embeds=vectors).logits)

    @torch.no_grad()
    def of_ids(self, texts: Iterable[list[int]], longest: int) -> list[float]:
        """Scores of texts of at most `longest` tokens, some at a time."""
        rows = max(1, self.batch_tokens // max(1, longest))
        scores: list[float] = []
        left = iter(texts)
        while batch := [torch.tensor(ids, dtype=torch.long) for ids in islice(left, rows)]:
            ids = pad_sequence(batch, batch_first=True)
            mask = pad_sequence([torch.ones_like(each) for each in batch], batch_first=True)
            device = self.model.device
            logits = self.model(ids.to(device), attention_mask=mask.to(device)).logits
            scores += self.of_logits(logits).tolist()
        return scores

    def of_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """The scores `(batch,)` in logits `(batch, num_labels)`."""
        wanted = logits[:, self.target]
        if not LabelSet.of_config(self.model.config).exclude_each_other:
            return wanted
        others = torch.cat([logits[:, : self.target], logits[:, self.target + 1 :]], dim=-1)
        return wanted - others.logsumexp(-1)


def _find_label(model: PreTrainedModel, label: str | None, predicted: str) -> int:
    names = cast("dict[int, str]", model.config.id2label)
    if label is None and len(names) == 2 and LabelSet.of_config(model.config).exclude_each_other:
        return 1
    wanted = predicted if label is None else label
    for index, name in names.items():
        if name == wanted:
            return int(index)
    raise ValueError(f"there is no label {wanted!r}; use one of {', '.join(names.values())}")


def _units(text: str, encoding: Encoding, backend: Tokenizer) -> list[_Unit]:
    """The words of a text, in order and apart; pieces of one word are together."""
    units: list[_Unit] = []
    previous: int | None = None
    tokens = zip(encoding.word_ids, encoding.offsets, strict=True)
    for index, (number, (start, end)) in enumerate(tokens):
        if number is None:  # as of [CLS], which is no part of the text
            continue
        last = units[-1] if units else None
        if last is None or (number != previous and start >= last.end):
            start = _beginning(text, start, end, last.end if last else 0, backend)
            units.append(_Unit(start, end, slice(index, index + 1)))
        else:
            begin = last.start
            if number != previous:
                # Several words that were put in the place of one, as the tutorial's <url>: they
                # are all said to be its last letter.
                before = units[-2].end if len(units) > 1 else 0
                begin = max(before, _start_of_word(text, begin))
            units[-1] = _Unit(begin, max(end, last.end), slice(last.tokens.start, index + 1))
        previous = number
    return units


# How far from a word its beginning is looked for: `&#39;` is five characters, and a drawn-out word
# is tried whole first.
_FURTHEST = 40


def _beginning(text: str, start: int, end: int, least: int, backend: Tokenizer) -> int:
    """Where the word at `text[start:end]` begins, `least` or later.

    What a normalizer replaces has the place of its last character, so that the `'s` of `It&#39;s`
    would begin at the semicolon. It begins where from there on all is one word.
    """
    if start == least or text[start - 1].isspace():
        return start
    normalizer, pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    if normalizer is None or pre_tokenizer is None:
        return start
    begin: int
    for begin in (least, *range(max(least + 1, start - _FURTHEST), start)):
        word = normalizer.normalize_str(text[begin:end])
        if [place for _, place in pre_tokenizer.pre_tokenize_str(word)] == [(0, len(word))]:
            return begin
    return start


def _start_of_word(text: str, position: int) -> int:
    while position > 0 and not text[position - 1].isspace():
        position -= 1
    return position


def _ends(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    backend: Tokenizer,
    encoding: Encoding,
    start: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of a text and those to start from, each `(tokens, size)`."""
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, torch.nn.Module)
    if start is None:
        # What unknown words become: in the tutorial preset that is not what is called `unk_token`.
        name = getattr(backend.model, "unk_token", None) or tokenizer.unk_token
        unknown = None if name is None else backend.token_to_id(name)
        if unknown is None:
            raise ValueError(
                "the tokenizer has no unknown word, from which integrated gradients start; "
                "explain a model whose tokenizer has an `unk_token`"
            )
        start = embeddings(torch.tensor(unknown, device=model.device)).detach()
    ids = torch.tensor(encoding.ids, dtype=torch.long, device=model.device)
    vectors = embeddings(ids).detach()
    special = torch.tensor(encoding.special_tokens_mask, dtype=torch.bool, device=model.device)
    return vectors, torch.where(special[:, None], vectors, start)


def _occlusion(question: _Question, ids: list[int], units: list[_Unit]) -> list[float]:
    """What the score loses with each word."""
    (score,) = question.of_ids([ids], len(ids))
    without = (ids[: unit.tokens.start] + ids[unit.tokens.stop :] for unit in units)
    return [score - each for each in question.of_ids(without, len(ids))]


def _running_scores(
    question: _Question, ids: list[int], units: list[_Unit]
) -> Sequence[float | None]:
    """The score after each word, if the model reads in one direction."""
    config = question.model.config
    if config.model_type != "sentiment_lstm" or config.bidirectional:
        return [None] * len(units)
    if config.pad_to_length is not None:
        # How much padding stands in front changes with every word, so all are read anew.
        ends = [min(unit.tokens.stop, config.pad_to_length) for unit in units]
        read = list(dict.fromkeys(ends))
        scores = question.of_ids((ids[:end] for end in read), config.pad_to_length)
        after = dict(zip(read, scores, strict=True))
        return [after[end] for end in ends]
    return _read_on(question, ids, units)


@torch.no_grad()
def _read_on(question: _Question, ids: list[int], units: list[_Unit]) -> list[float]:
    """The score after each word, each word read once."""
    words = torch.tensor([ids], dtype=torch.long, device=question.model.device)
    scores: list[float] = []
    state, begin = None, 0
    for unit in units:
        piece = words[:, begin : unit.tokens.stop]
        mask = torch.ones_like(piece)  # an unknown word may have the id of padding
        output = question.model(piece, attention_mask=mask, state=state, use_cache=True)
        scores += question.of_logits(output.logits).tolist()
        state, begin = output.state, unit.tokens.stop
    return scores
