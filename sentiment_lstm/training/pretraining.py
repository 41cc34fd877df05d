"""A language model with the classifier's own first layer, to learn words from reviews alone.

Each direction predicts the word that it reads next. What it learns starts a classifier off
(`init_from` of a recipe): Dai and Le 2015, "Semi-supervised Sequence Learning".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils.generic import ModelOutput

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..modeling_sentiment_lstm import SentimentLSTMModel, SentimentLSTMPreTrainedModel

# Words that stand for all the wrong ones in the loss of one batch. With 2,048 of them a step of the
# recipe `pretrain` took 0.9 s on two cores, with 512 it takes 0.27 s; the full softmax has 32,000.
NEGATIVES = 512


@dataclass
class LanguageModelOutput(ModelOutput):
    """What `SentimentLSTMForPreTraining` returns.

    Args:
        loss (`torch.FloatTensor` of shape `()`): Mean over words and directions of the sampled
            cross entropy, in nats; comparable between runs with the same number of negatives.
    """

    loss: torch.Tensor | None = None


class SentimentLSTMForPreTraining(SentimentLSTMPreTrainedModel):
    """Predicts the next word from the left and the previous one from the right.

    The words to choose from are the input vectors themselves (tied embeddings). Only the first
    layer learns: in a stack of two directions, the second layer has seen the answer.

    Args:
        config (`SentimentLSTMConfig`): The architecture of the classifier; padding must be masked
            out.

    Raises:
        ValueError: If the architecture pads like the tutorial.
    """

    def __init__(self, config: SentimentLSTMConfig) -> None:
        super().__init__(config)
        if config.pad_to_length is not None:
            raise ValueError("pretraining needs a model that masks padding out: pad_to_length=None")
        self.model = SentimentLSTMModel(config)
        directions = 2 if config.bidirectional else 1
        units = config.hidden_size // directions
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.projections = nn.ModuleList(
            nn.Linear(units, config.embedding_size) for _ in range(directions)
        )
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        return_loss: bool = True,
    ) -> LanguageModelOutput:
        """Measure how well each word is foreseen from both sides.

        Args:
            input_ids: Word ids, `(batch, sequence)` int64, padded on either side.
            attention_mask: 1 for words, 0 for padding, `(batch, sequence)`.
            return_loss: Tells Trainer that there is a loss without labels.

        Returns:
            The loss; zero where no review has two words.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        outputs = self.model(input_ids, mask, output_hidden_states=True)
        states = outputs.hidden_states[1]  # (B, T, H), of the first layer
        pairs = (mask[:, 1:] & mask[:, :-1]).bool()  # (B, T - 1), a word and the one before it
        if not pairs.any():
            return LanguageModelOutput(loss=states.sum() * 0.0)
        halves = states.chunk(len(self.projections), dim=-1)
        # From the left, the state at a word foresees the next one; from the right, the previous.
        seen = [halves[0][:, :-1][pairs]] + [half[:, 1:][pairs] for half in halves[1:]]
        targets = [input_ids[:, 1:][pairs], input_ids[:, :-1][pairs]]
        sampled = _sample(self.config.vocab_size, input_ids.device)
        losses = [
            self._loss(projection(self.dropout(half)), target, sampled)
            for projection, half, target in zip(self.projections, seen, targets, strict=False)
        ]
        return LanguageModelOutput(loss=torch.stack(losses).mean())

    def _loss(
        self, queries: torch.Tensor, targets: torch.Tensor, sampled: torch.Tensor
    ) -> torch.Tensor:
        """Cross entropy of each target `(words,)` against the sampled words `(samples,)`.

        Sampled softmax (Jean et al. 2015): each logit is lowered by the logarithm of how often
        its word is expected in the sample.
        """
        weight, bias = self.model.embeddings.weight, self.output_bias
        right = (queries * weight[targets]).sum(-1) + bias[targets]  # (N,)
        right = right - _expected_count(targets, self.config.vocab_size)
        offsets = bias[sampled] - _expected_count(sampled, self.config.vocab_size)
        wrong = torch.addmm(offsets, queries, weight[sampled].T)  # (N, S)
        right = right.float()
        # A target may be among the samples: drawn with replacement and lowered by its expected
        # count, each copy stands for its share of the word, and taking them out would make
        # frequent words cheap.
        losses: torch.Tensor = torch.logaddexp(wrong.float().logsumexp(1), right) - right  # (N,)
        return losses.mean()


def _sample(vocab_size: int, device: torch.device) -> torch.Tensor:
    """Word ids, `(NEGATIVES,)` int64, by Zipf's law: the ids are in order of frequency."""
    uniform = torch.rand(NEGATIVES, device=device)
    ids = ((vocab_size + 1.0) ** uniform - 1).long()
    return ids.clamp(max=vocab_size - 1)


def _expected_count(ids: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Logarithm of how often `_sample` is expected to draw each id."""
    probability = torch.log1p(1 / (ids.float() + 1)) / math.log(vocab_size + 1)
    return (NEGATIVES * probability).log()
