"""The LSTM sentiment classifier. This file travels to the Hub with the weights.

How each parameter starts (`SentimentLSTMPreTrainedModel._init_weights`):

| parameter               | shape                   | start                                     |
|-------------------------|-------------------------|-------------------------------------------|
| embeddings.weight       | (vocabulary, embedding) | normal(0, initializer_range); the row of  |
|                         |                         | `_PAD` zero where padding is masked out   |
| *_lstm.weight_ih_l0     | (4 x units, input)      | Xavier uniform, each gate for itself      |
| *_lstm.weight_hh_l0     | (4 x units, units)      | orthogonal, each gate for itself          |
|                         |                         | (Saxe et al. 2014)                        |
| *_lstm.bias_ih_l0       | (4 x units)             | zero, the forget gate's quarter one       |
|                         |                         | (Jozefowicz et al. 2015)                  |
| *_lstm.bias_hh_l0       | (4 x units)             | zero                                      |
| pooler.attention        | (hidden)                | zero: attention starts as the mean        |
| classifier.weight       | (labels, pooled)        | Xavier uniform                            |
| classifier.bias         | (labels)                | zero                                      |

With `config.initialization="torch"`, layers and classifier start as torch starts them: uniform
within 1/sqrt(units), and within 1/sqrt(pooled).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.utils import logging
from transformers.utils.generic import can_return_tuple

from .configuration_sentiment_lstm import SentimentLSTMConfig

logger = logging.get_logger(__name__)

# What is known of the text read so far, by name; every tensor has the batch dimension first.
State = dict[str, torch.Tensor]
# `hidden` and `cell` of one direction as its layer takes and gives them, each `(1, batch, units)`.
_Cell = tuple[torch.Tensor, torch.Tensor]
# Where each token went, and which token came to each place: what `_move_padding_right` returns.
_Moved = tuple[torch.Tensor, torch.Tensor]
# True for words, False for padding, `(batch, sequence, 1)` bool; `None` where there is no padding.
_IsWord = torch.Tensor | None


# The metadata and the text of the card of a model of which no results are at hand.
_TAGS = ("sentiment-analysis", "lstm", "reviews")
_CARD_METADATA = f"library_name: transformers\ntags: [{', '.join(_TAGS)}]\n"
_CARD = """\
---
license: apache-2.0
language: en
pipeline_tag: {task}
{metadata}---

# {name}

A small LSTM for English reviews, {what}. It has {parameters:,} parameters and a vocabulary of
{words:,} words.

{known}

## Use

```python
from transformers import pipeline

model = pipeline("{task}", model="{repo_id}", trust_remote_code=True)
model(["A quiet, clever film. I was sorry when it ended.", "Two hours I will not get back."])
```

`trust_remote_code=True` runs the two Python files of this repository, so read them first, and pin
what you have read with `revision=`. Who has imported the package `sentiment_lstm` does without.

## Licence

Apache 2.0. The reviews that the model was trained on have licences of their own.
"""
_NOTHING_KNOWN = """\
No results came with it: what it was trained on, how often it is right and where it fails is not
known here. Measure it on reviews like yours before you rely on it."""


@dataclass
class SentimentLSTMModelOutput(BaseModelOutputWithPooling):
    """What `SentimentLSTMModel` returns.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(batch, sequence, hidden_size)`,
            *optional*): States of the last layer, zero at padding; unless
            `output_last_hidden_state=False`.
        pooler_output (`torch.FloatTensor` of shape `(batch, poolings * hidden_size)`): The
            review as one vector; zero for an empty review.
        hidden_states (`tuple` of `torch.FloatTensor`, *optional*): With
            `output_hidden_states=True` the word vectors `(batch, sequence, embedding_size)` and
            the states of every layer `(batch, sequence, hidden_size)`.
        state (`dict` of `torch.FloatTensor`, *optional*): With `use_cache=True` what to pass as
            `state` with the next piece of the same texts.
    """

    state: State | None = None


@dataclass
class SentimentLSTMClassifierOutput(SequenceClassifierOutput):
    """What `SentimentLSTMForSequenceClassification` returns.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*): With `labels`: cross entropy, binary
            cross entropy or squared error by `config.problem_type`.
        logits (`torch.FloatTensor` of shape `(batch, num_labels)`): Scores before the softmax.
        hidden_states (`tuple` of `torch.FloatTensor`, *optional*): As in
            `SentimentLSTMModelOutput`.
        state (`dict` of `torch.FloatTensor`, *optional*): As in `SentimentLSTMModelOutput`.
    """

    state: State | None = None


class SentimentLSTMPreTrainedModel(PreTrainedModel):
    """Base class: configuration, loading, saving and initialisation."""

    config: SentimentLSTMConfig
    config_class = SentimentLSTMConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _input_embed_layer = "embeddings"
    _no_split_modules = ["SentimentLSTMLayer"]  # noqa: RUF012 - an instance variable upstream

    def __init__(self, config: SentimentLSTMConfig) -> None:
        super().__init__(config)
        self.model_tags = list(_TAGS)  # which `push_to_hub` and Trainer write into their cards

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save config and weights; see `PreTrainedModel.save_pretrained` for the arguments.

        A folder is good for each of the classes, so that its config names them all, where
        transformers names only the class that is saved: `AutoModel` would then not find the
        backbone of a classifier whose code comes from the Hub.
        """
        # By name: where only one of them was loaded from the Hub, the other is not registered.
        classes = {
            "AutoModel": SentimentLSTMModel,
            "AutoModelForSequenceClassification": SentimentLSTMForSequenceClassification,
        }
        for auto_class, cls in classes.items() if self._auto_class is not None else ():
            auto_map = getattr(self.config, "auto_map", None) or {}
            name = f"{cls.__module__.split('.')[-1]}.{cls.__name__}"
            self.config.auto_map = auto_map | {auto_class: name}
        super().save_pretrained(*args, **kwargs)

    def make_card(
        self, repo_id: str, known: str = _NOTHING_KNOWN, metadata: str = _CARD_METADATA
    ) -> str:
        """A short model card, for a model of which no results are at hand.

        Args:
            repo_id: Repository that the example loads.
            known: What is known of the model, in Markdown. Defaults to that nothing is.
            metadata: Lines of YAML besides licence, language and task.

        Returns:
            Markdown with metadata.
        """
        labels = ", ".join(str(label) for label in (self.config.id2label or {}).values())
        is_classifier = self._pipeline_tag == "text-classification"
        return _CARD.format(
            task=self._pipeline_tag,
            metadata=metadata,
            name=repo_id.split("/")[-1],
            what=f"with the labels {labels}" if is_classifier else "without a classifier",
            parameters=self.num_parameters(),
            words=self.config.vocab_size,
            known=known,
            repo_id=repo_id,
        )

    @property
    def _pipeline_tag(self) -> str:
        is_classifier = isinstance(self, SentimentLSTMForSequenceClassification)
        return "text-classification" if is_classifier else "feature-extraction"

    def _upload_modified_files(
        self, working_dir: Any, repo_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        # `push_to_hub` comes here with the repository's own card or, if it has none, with a stub,
        # which knows the tags alone. One that somebody has given a licence is no stub any more.
        path = Path(working_dir, "README.md")
        card = path.read_text(encoding="utf-8")
        metadata = card.partition("\n---\n")[0].removeprefix("---\n")
        if "generated_from_trainer" in metadata:
            # `Trainer.push_to_hub` writes its card after all that it asks of a model (issue 18).
            known = {"license": "apache-2.0", "language": "en", "pipeline_tag": self._pipeline_tag}
            named = {line.partition(":")[0] for line in metadata.splitlines()}
            lines = [f"{name}: {value}\n" for name, value in known.items() if name not in named]
            text = card.removeprefix("---\n")
            path.write_text("".join(["---\n", *lines, text]), encoding="utf-8")
        elif "[More Information Needed]" in card and "license:" not in metadata:
            path.write_text(self.make_card(repo_id, metadata=f"{metadata}\n"), encoding="utf-8")
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            values = torch.empty_like(module.weight).normal_(std=self.config.initializer_range)
            if module.padding_idx is not None:
                values[module.padding_idx] = 0.0
            _start_with(module.weight, values)
        elif isinstance(module, SentimentLSTMPooler) and module.attention is not None:
            _start_with(module.attention, torch.zeros_like(module.attention))
        elif self.config.initialization == "torch" and isinstance(module, (nn.LSTM, nn.Linear)):
            width = module.hidden_size if isinstance(module, nn.LSTM) else module.in_features
            for parameter in module.parameters():
                values = torch.empty_like(parameter).uniform_(-(width**-0.5), width**-0.5)
                _start_with(parameter, values)
        elif isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                _start_with(parameter, _new_lstm_parameter(name, parameter))
        elif isinstance(module, nn.Linear):
            weight = nn.init.xavier_uniform_(torch.empty_like(module.weight))
            _start_with(module.weight, weight)
            if module.bias is not None:
                _start_with(module.bias, torch.zeros_like(module.bias))


class SentimentLSTMModel(SentimentLSTMPreTrainedModel):
    """The backbone: word vectors, LSTM layers and pooling, without a head.

    Args:
        config (`SentimentLSTMConfig`): The architecture.
    """

    def __init__(self, config: SentimentLSTMConfig) -> None:
        super().__init__(config)
        config.validate_architecture()  # once more: fields may have been set since it was made
        padding_idx = config.pad_token_id if config.pad_to_length is None else None
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx)
        self.word_dropout = SentimentLSTMDropout(config.word_dropout, shared=-1)
        locked = 1 if config.locked_dropout else None
        self.embedding_dropout = SentimentLSTMDropout(config.embedding_dropout, shared=locked)
        sizes = [config.embedding_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(SentimentLSTMLayer(config, size) for size in sizes)
        self.units = config.hidden_size // (2 if config.bidirectional else 1)
        self.hidden_dropout = SentimentLSTMDropout(config.hidden_dropout, shared=locked)
        self.pooler = SentimentLSTMPooler(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        state: State | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        *,
        output_last_hidden_state: bool = True,
        output_attentions: bool | None = None,
        token_type_ids: torch.Tensor | None = None,
        return_dict: bool | None = None,  # read by the decorator
        **kwargs: Any,
    ) -> SentimentLSTMModelOutput | tuple[Any, ...]:
        """Read a batch of reviews, or the next pieces of them.

        A review may have any length. Where all states are wanted or a gradient is, the memory
        that it takes grows with it; else see `output_last_hidden_state`.

        Args:
            input_ids: Word ids, `(batch, sequence)` int64. A sequence of length 0 is an empty
                review and is allowed.
            attention_mask: 1 for words, 0 for padding, `(batch, sequence)`; padding may stand
                anywhere. Without it every id is a word.
            inputs_embeds: Word vectors `(batch, sequence, embedding_size)` in place of ids.
            state: What `use_cache=True` returned for the pieces of the same texts before this
                one. Only with one direction and with padding masked out.
            use_cache: Whether to return the state for the next piece.
            output_hidden_states: Whether to return the states of all layers.
            output_last_hidden_state: Whether to return those of the last one. Without them a
                batch that is too large for one run of a layer is pooled in little memory besides
                its ids, in evaluation and without gradients: see `_pool_in_pieces`.
            output_attentions: An LSTM has none; who asks for them is warned, once.
            token_type_ids: Ignored: to an LSTM, two texts are words one after another.
            return_dict: Whether to return a `SentimentLSTMModelOutput` rather than a tuple.
            **kwargs: What other models take. Ignored, with a warning of each name, once.

        Returns:
            See `SentimentLSTMModelOutput`. With `config.pad_to_length` the sequence length of
            the states is that length.

        Raises:
            ValueError: If not just one of `input_ids` and `inputs_embeds` is given, if shapes do
                not fit, or if the architecture cannot read in pieces.
        """
        _warn_of_ignored(output_attentions=output_attentions, **kwargs)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        words = self._validate_inputs(input_ids, attention_mask, inputs_embeds, state, use_cache)
        length = words.shape[1]
        words, mask, moved = self._right_pad(words, _word_mask(words, attention_mask))
        pools_only = not (output_hidden_states or output_last_hidden_state)
        if pools_only and state is None and not use_cache and self._is_too_large(words):
            return SentimentLSTMModelOutput(pooler_output=self._pool_large(words, mask))
        hidden = self.embedding_dropout(self.word_dropout(self._word_vectors(words, mask)))
        lengths = mask.sum(1)  # (B,)
        is_word = None if _all_words(mask) else mask.unsqueeze(-1)  # (B, T, 1)
        all_states: list[torch.Tensor] = []
        if output_hidden_states:
            hidden = _record_hidden_state(_zero_padding(hidden, is_word), moved, all_states)
        cells: list[State] = []
        for index, layer in enumerate(self.layers):
            if index > 0:
                hidden = self.hidden_dropout(hidden)
            before = None if state is None else {name: state[name][:, index] for name in _CELLS}
            hidden, cell = layer(hidden, lengths, before, use_cache, is_word is not None)
            hidden = _zero_padding(hidden, is_word)  # (B, T, H), zero at padding
            if output_hidden_states:
                hidden = _record_hidden_state(hidden, moved, all_states)
            cells.append(cell)
        if output_last_hidden_state and not output_hidden_states:
            _record_hidden_state(hidden, moved, all_states)
        pooled, seen = self.pooler(hidden, is_word, lengths, state)  # (B, P * H)

        if length == 0 and self.config.pad_to_length is None:
            all_states = [states[:, :0] for states in all_states]
        if use_cache:
            seen |= {name: torch.stack([cell[name] for cell in cells], 1) for name in _CELLS}
        return SentimentLSTMModelOutput(
            last_hidden_state=all_states[-1] if output_last_hidden_state else None,
            pooler_output=pooled,
            hidden_states=tuple(all_states) if output_hidden_states else None,
            state=seen if use_cache else None,
        )

    @property
    def can_read_in_pieces(self) -> bool:
        """Whether a text may be fed in pieces: one direction, padding masked out."""
        return not self.config.bidirectional and self.config.pad_to_length is None

    def _validate_inputs(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        state: State | None,
        use_cache: bool | None,
    ) -> torch.Tensor:
        """The ids or the word vectors, whichever was given, if the arguments fit each other."""
        if (state is not None or use_cache) and not self.can_read_in_pieces:
            raise ValueError(
                "only a model of one direction that masks padding out can read a text in pieces "
                "(`bidirectional=False`, `pad_to_length=None`); pass the whole text at once, "
                "without `state` and `use_cache`"
            )
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("pass either `input_ids` or `inputs_embeds`")
        if inputs_embeds is not None:
            size = self.config.embedding_size
            if inputs_embeds.dim() != 3 or inputs_embeds.shape[2] != size:
                raise ValueError(
                    f"`inputs_embeds` is {tuple(inputs_embeds.shape)}, and must be "
                    f"(batch, sequence, {size})"
                )
            return inputs_embeds
        assert input_ids is not None
        if input_ids.dim() != 2:
            raise ValueError(
                f"`input_ids` is {tuple(input_ids.shape)}, and must be (batch, sequence): one "
                "review alone is a batch of one, `input_ids[None]`"
            )
        if self.config.pad_to_length is None and input_ids.shape[1] > 0:
            self.warn_if_padding_and_no_attention_mask(input_ids, attention_mask)
        # Tokenizers return an empty text as floats, and the pipeline then its whole batch.
        return input_ids.long() if input_ids.is_floating_point() else input_ids

    def _word_vectors(self, words: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The vectors `(batch, sequence, embedding_size)` of ids, or those that were given."""
        if words.dim() == 2:
            words = self.embeddings(words)
        elif mask is not None:  # not multiplied by the mask: padding may hold NaN
            words = words.masked_fill(~mask.unsqueeze(-1), 0.0)
        return words

    def _is_too_large(self, words: torch.Tensor) -> bool:
        """Whether a batch is pooled part by part, where nothing but the pooled is wanted."""
        if self.training or torch.is_grad_enabled():
            return False
        return len(_cut(words, self.units)) > 1

    def _pool_large(self, words: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool a right-padded batch part by part: `(batch, poolings * hidden_size)`.

        It is halved until the halves, each cut to its longest review, can be read at once; a
        review that alone cannot is read in pieces.
        """
        longest = max(1, int(mask.sum(1).max()))
        words, mask = words[:, :longest], mask[:, :longest]
        if not self._is_too_large(words):
            name = "input_ids" if words.dim() == 2 else "inputs_embeds"
            options = {"output_last_hidden_state": False, "return_dict": True}
            output = self(**{name: words}, attention_mask=mask, **options)
            pooled: torch.Tensor = output.pooler_output
            return pooled
        if len(words) == 1:
            return self._pool_in_pieces(words)
        halves = zip(words.chunk(2), mask.chunk(2), strict=True)
        return torch.cat([self._pool_large(*half) for half in halves])

    def _pool_in_pieces(self, words: torch.Tensor) -> torch.Tensor:
        """Pool one review without padding in the memory of a piece, besides its ids.

        The reverse direction comes to a piece from the pieces behind it. So the review is read
        from its end first, to keep in which state that is, and then from its start, pooling. A
        layer that is stacked reads what those below say anew each time, rather than have it kept:
        `n` layers of two directions take n + 1/2 times as long as at once.
        """
        pieces = _cut(words, self.units)
        # What each layer needs to read each piece: the states of the directions that come to it.
        cells: list[list[State]] = [[{} for _ in pieces] for _ in self.layers]
        start = words.new_zeros(1, self.units, dtype=_at_least_fp32(self.dtype))
        for depth, layer in enumerate(cells, 1):
            if self.config.bidirectional:
                layer[-1] |= dict.fromkeys(_CELLS_BEHIND, start)
                for index in reversed(range(len(pieces))):  # the last layer from its end only
                    self._read_piece(pieces, index, cells[:depth])
            layer[0] |= dict.fromkeys(_CELLS, start)
            if self.config.bidirectional and depth < len(cells):
                for index in range(len(pieces)):
                    self._read_piece(pieces, index, cells[:depth])
        seen: State | None = None
        for index in range(len(pieces)):
            hidden, lengths = self._read_piece(pieces, index, cells)
            pooled, seen = self.pooler(hidden, None, lengths, seen)
        vector: torch.Tensor = pooled
        return vector

    def _read_piece(
        self, pieces: Sequence[torch.Tensor], index: int, cells: list[list[State]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States and lengths of one piece after the layers of `cells`, which are brought on."""
        hidden = self._word_vectors(pieces[index])
        lengths = torch.full(hidden.shape[:1], hidden.shape[1], device=hidden.device)
        for layer, states in zip(self.layers, cells, strict=False):
            hidden, after = layer(hidden, lengths, states[index], padded=False)
            for names, there in ((_CELLS, index + 1), (_CELLS_BEHIND, index - 1)):
                if names[0] in after and 0 <= there < len(pieces):
                    states[there] |= {name: after[name] for name in names}
        return hidden, lengths

    def _right_pad(
        self, words: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, _Moved | None]:
        """Put the padding where the layers want it.

        Returns:
            The ids or word vectors and their mask, and, if tokens were moved, what
            `_move_padding_right` says of it.
        """
        if words.shape[1] == 0:  # the LSTM needs a step: one of padding
            shape = (words.shape[0], 1, *words.shape[2:])
            words, mask = words.new_zeros(shape), mask.new_zeros(shape[:2])
        if self.config.pad_to_length is not None:
            return *self._pad_like_the_tutorial(words, mask, self.config.pad_to_length), None
        if _is_right_padded(mask):
            return words, mask, None
        position, order = _move_padding_right(mask)
        return _take(words, order), _take(mask, order), (position, order)

    def _pad_like_the_tutorial(
        self, words: torch.Tensor, mask: torch.Tensor, size: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep the first `size` words of each review, padded on the left to that length.

        The tutorial's `pad_input`, whatever padding the input came with. The padding counts as
        words from here on, since the tutorial reads it.
        """
        _, order = _move_padding_right(mask)
        lengths = mask.sum(1, keepdim=True).clamp(max=size)  # (B, 1)
        # Column j of the padded review holds word j - (size - length).
        column = torch.arange(size, device=mask.device) - (size - lengths)  # (B, size)
        padded = _take(words, _take(order, column.clamp(0, words.shape[1] - 1)))
        pad = torch.tensor(self.config.pad_token_id, device=mask.device)
        if words.dim() == 2:
            padded = torch.where(column < 0, pad, padded)
        else:
            padded = torch.where((column < 0).unsqueeze(-1), self.embeddings(pad), padded)
        return padded, torch.ones_like(column, dtype=torch.bool)


class SentimentLSTMForSequenceClassification(SentimentLSTMPreTrainedModel):
    """The backbone with dropout and a linear classifier on the pooled review.

    An empty review has a zero vector, and so the classifier's bias as its logits (in the
    tutorial preset: the logits of a review of nothing but padding).

    Args:
        config (`SentimentLSTMConfig`): The architecture; `num_labels` and `problem_type` decide
            head and loss as everywhere in transformers.
    """

    # The loss is a mean over the batch: without this Trainer would take it for a sum because
    # of `num_items_in_batch`, and gradient accumulation would scale it.
    accepts_loss_kwargs = False

    def __init__(self, config: SentimentLSTMConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 0
        self.model = SentimentLSTMModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        pooled_size = len(config.poolings) * config.hidden_size
        self.classifier = nn.Linear(pooled_size, 1 if config.single_logit else self.num_labels)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """Load a model; see `PreTrainedModel.from_pretrained` for the arguments.

        Where the head is new, as with another number of labels, `config.temperature` is 1: the
        folder's was fitted to another head.

        Returns:
            The model, and with `output_loading_info=True` also what was found.
        """
        loaded: Any = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        model, report = loaded
        # By name, or name and shapes.
        new = [*report["missing_keys"], *report["mismatched_keys"]]
        if any("classifier." in str(key) for key in new):
            model.config.temperature = 1.0
        return (model, report) if output_loading_info else model

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        state: State | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        *,
        output_attentions: bool | None = None,
        token_type_ids: torch.Tensor | None = None,
        return_dict: bool | None = None,  # read by the decorator
        **kwargs: Any,
    ) -> SentimentLSTMClassifierOutput | tuple[Any, ...]:
        """Classify a batch of reviews, of any length.

        Args:
            input_ids: See `SentimentLSTMModel.forward`, as for the arguments not named here.
            attention_mask: See there.
            inputs_embeds: See there.
            labels: `(batch,)` int64 classes, `(batch, num_labels)` float targets of several
                labels, or float regression targets, by `config.problem_type`.
            state: See there; the logits are those of the text read so far.
            use_cache: See there.
            output_hidden_states: See there.
            output_attentions: See there.
            token_type_ids: See there.
            return_dict: Whether to return a `SentimentLSTMClassifierOutput` rather than a tuple.
            **kwargs: See there.

        Returns:
            See `SentimentLSTMClassifierOutput`.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            state=state,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
            output_last_hidden_state=False,
            output_attentions=output_attentions,
            return_dict=True,
            **kwargs,
        )
        logits = self.classifier(self.dropout(outputs.pooler_output))  # (B, num_labels)
        if self.config.temperature != 1:
            logits = logits / self.config.temperature
        if self.config.single_logit:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)  # (B, 2)
        loss = None
        if labels is not None:
            if self.config.single_logit and labels.is_floating_point():
                raise ValueError("with `single_logit` the labels are classes: pass integers")
            loss = self.loss_function(labels, logits, self.config)
        return SentimentLSTMClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, state=outputs.state
        )


class SentimentLSTMDropout(nn.Module):
    """Dropout that decides once for all positions along one dimension.

    Args:
        p (`float`): Probability of zeroing.
        shared (`int`, *optional*): The dimension: 1 drops the same numbers at every step of a
            review, -1 whole vectors. `None` decides for each number.
    """

    def __init__(self, p: float, shared: int | None = None) -> None:
        super().__init__()
        self.p = p
        self.shared = shared

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Drop from `(batch, sequence, size)`, in training only."""
        if not self.training or self.p == 0:
            return values
        if self.shared is None:
            return nn.functional.dropout(values, self.p)
        shape = list(values.shape)
        shape[self.shared] = 1
        return values * nn.functional.dropout(values.new_ones(shape), self.p)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"p={self.p}, shared={self.shared}"


class SentimentLSTMLayer(nn.Module):
    """One layer: an LSTM from left to right and, if asked for, one from right to left.

    Each direction is an `nn.LSTM` of its own on right-padded input. Packed sequences would do the
    same, but leave the fast path on a CPU (4.5 times slower, pytorch issue 149194); the reverse
    direction reverses the words of each review and leaves the padding in its place.

    Args:
        config (`SentimentLSTMConfig`): The architecture.
        input_size (`int`): Width of what the layer reads.
    """

    def __init__(self, config: SentimentLSTMConfig, input_size: int) -> None:
        super().__init__()
        units = config.hidden_size // (2 if config.bidirectional else 1)
        self.weight_dropout = config.weight_dropout
        self.forward_lstm = nn.LSTM(input_size, units, batch_first=True)
        self.backward_lstm = (
            nn.LSTM(input_size, units, batch_first=True) if config.bidirectional else None
        )

    def forward(
        self,
        hidden: torch.Tensor,
        lengths: torch.Tensor,
        cell: State | None = None,
        use_cache: bool | None = None,
        padded: bool = True,
    ) -> tuple[torch.Tensor, State]:
        """Read right-padded reviews.

        Args:
            hidden: `(batch, sequence, input_size)`; its first `lengths` positions are words.
            lengths: `(batch,)` int64, in words.
            cell: `hidden` and `cell`, each `(batch, units)`, after the pieces before this one,
                and `hidden_behind` and `cell_behind` of the reverse direction after those behind
                it; a direction that is not among them is not read.
            use_cache: Whether `hidden` and `cell` after the last word are needed.
            padded: Whether any review is shorter than the sequence.

        Returns:
            The states `(batch, sequence, hidden_size)`, of no meaning at padding, and with
            `use_cache` or `cell` what is to be `cell` for the next piece, else an empty dict.
        """
        weight_dropout = self.weight_dropout if self.training else 0.0
        if use_cache and cell is None:
            shape = (len(hidden), self.forward_lstm.hidden_size)
            start = hidden.new_zeros(shape, dtype=_at_least_fp32(hidden.dtype))
            cell = dict.fromkeys(_CELLS, start)
        order = None
        if self.backward_lstm is not None and padded:
            order = _reversal(lengths, hidden.shape[1])
        states: list[torch.Tensor] = []
        after: State = {}
        for lstm, names in ((self.forward_lstm, _CELLS), (self.backward_lstm, _CELLS_BEHIND)):
            if lstm is None or (cell is not None and names[0] not in cell):
                continue
            inputs = hidden if lstm is self.forward_lstm else _reverse_sequences(hidden, order)
            if cell is None:
                run, _ = _run(lstm, inputs, weight_dropout)
            else:
                before = (cell[names[0]], cell[names[1]])
                run, last = _run_stateful(lstm, inputs, lengths, before, weight_dropout, padded)
                after |= dict(zip(names, last, strict=True))
            states.append(run if lstm is self.forward_lstm else _reverse_sequences(run, order))
        return states[0] if len(states) == 1 else torch.cat(states, dim=-1), after


class SentimentLSTMPooler(nn.Module):
    """The states of a review as one vector, in one go or piece by piece.

    Args:
        config (`SentimentLSTMConfig`): `pooling` names what is concatenated.
    """

    def __init__(self, config: SentimentLSTMConfig) -> None:
        super().__init__()
        self.poolings = config.poolings
        self.backward_units = config.hidden_size // 2 if config.bidirectional else 0
        self.attention = (
            nn.Parameter(torch.empty(config.hidden_size)) if "attention" in self.poolings else None
        )

    def forward(
        self,
        hidden: torch.Tensor,
        is_word: _IsWord,
        lengths: torch.Tensor,
        before: State | None = None,
    ) -> tuple[torch.Tensor, State]:
        """Pool right-padded states.

        Args:
            hidden: `(batch, sequence, hidden_size)`, zero at padding.
            is_word: False for padding, `(batch, sequence, 1)` bool; `None` where there is none.
            lengths: `(batch,)` int64, in words.
            before: What this returned for the pieces before this one.

        Returns:
            The vectors `(batch, poolings * hidden_size)`, zero for an empty review, and what the
            next piece needs.
        """
        vectors: list[torch.Tensor] = []
        seen: State = {}
        for pooling in self.poolings:
            vector, tensors = getattr(self, f"_{pooling}")(hidden, is_word, lengths, before)
            vectors.append(vector.to(hidden.dtype))
            seen |= tensors
        return torch.cat(vectors, dim=-1), seen

    def _last(
        self, hidden: torch.Tensor, is_word: _IsWord, lengths: torch.Tensor, before: State | None
    ) -> tuple[torch.Tensor, State]:
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        last = hidden[rows, (lengths - 1).clamp(min=0)]  # (B, H)
        if self.backward_units:  # the reverse direction ends at the first word
            units = self.backward_units
            # That of the first piece, which is not empty: only a text alone is read so.
            first = hidden[:, 0, -units:] if before is None else before["last"][:, -units:]
            last = torch.cat([last[:, :-units], first], dim=-1)
        if before is not None:
            last = torch.where(lengths.unsqueeze(-1) == 0, before["last"], last)
        return last, {"last": last}

    def _max(
        self, hidden: torch.Tensor, is_word: _IsWord, lengths: torch.Tensor, before: State | None
    ) -> tuple[torch.Tensor, State]:
        largest = _mask_scores(hidden, is_word, -torch.inf).amax(1)  # (B, H)
        if before is not None:
            largest = torch.maximum(largest, before["max"])
        seen = {"max": largest}
        if is_word is not None:  # a review may be empty
            largest = largest.masked_fill(largest == -torch.inf, 0.0)
        return largest, seen

    def _mean(
        self, hidden: torch.Tensor, is_word: _IsWord, lengths: torch.Tensor, before: State | None
    ) -> tuple[torch.Tensor, State]:
        # bf16 is added up in fp32, and rounded once at the end: five times as fast as to convert it
        # first. A sum of fp16 could be too large for it.
        total = hidden.sum(1, dtype=torch.float32 if hidden.dtype == torch.float16 else None)
        total = total.to(_at_least_fp32(hidden.dtype))  # (B, H)
        count = lengths.unsqueeze(-1)  # (B, 1)
        if before is not None:
            total, count = total + before["sum"], count + before["count"]
        return total / count.clamp(min=1), {"sum": total, "count": count}

    def _attention(
        self, hidden: torch.Tensor, is_word: _IsWord, lengths: torch.Tensor, before: State | None
    ) -> tuple[torch.Tensor, State]:
        assert self.attention is not None
        scores = (hidden @ self.attention).unsqueeze(-1)  # (B, T, 1)
        scores = scores.to(_at_least_fp32(hidden.dtype))
        scores = _mask_scores(scores, is_word, torch.finfo(torch.float32).min)
        top = scores.amax(1)  # (B, 1)
        if before is not None:
            top = torch.maximum(top, before["attention_top"])
        weights = _zero_padding((scores - top.unsqueeze(1)).exp(), is_word)  # (B, T, 1)
        total, weighted = weights.sum(1), (weights * hidden).sum(1)  # (B, 1), (B, H)
        if before is not None:
            decay = (before["attention_top"] - top).exp()
            total = total + before["attention_total"] * decay
            weighted = weighted + before["attention_weighted"] * decay
        seen = {
            "attention_top": top,
            "attention_total": total,
            "attention_weighted": weighted,
        }
        return weighted / total.clamp(min=torch.finfo(torch.float32).tiny), seen


# The names that the layers' own states have in a State: of the two directions.
_CELLS = ("hidden", "cell")
_CELLS_BEHIND = ("hidden_behind", "cell_behind")

# Bytes that the gates of one LSTM call may take: at 2 GiB oneDNN fails ("could not create a
# primitive"). A piece of what is larger takes this much: enough for full speed.
_LARGEST_RUN = 2**31
_PIECE = 2**25


def _warn_of_ignored(**arguments: Any) -> None:
    """Say, once for each, which arguments a model was given in vain."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            logger.warning_once(f"SentimentLSTM ignores `{name}`, which an LSTM has no use for")


def _start_with(parameter: torch.Tensor, values: torch.Tensor) -> None:
    """Set a parameter, unless it was loaded, as the functions of `transformers.initialization` do.

    Version 4 has no such module: it loads what it finds after this.
    """
    if not getattr(parameter, "_is_hf_initialized", False):
        parameter.copy_(values)


def _new_lstm_parameter(name: str, parameter: torch.Tensor) -> torch.Tensor:
    """Start values of one parameter of an `nn.LSTM`; see the table at the top.

    The gates are stacked as input, forget, cell, output.
    """
    values = torch.zeros_like(parameter, dtype=torch.float32)
    for gate, quarter in enumerate(values.chunk(4)):
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(quarter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(quarter)
        elif name.startswith("bias_ih") and gate == 1:
            quarter.fill_(1.0)
    return values.to(parameter.dtype)


def _word_mask(words: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """True for words, `(batch, sequence)` bool."""
    if attention_mask is None:
        return torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)
    if attention_mask.shape != words.shape[:2]:
        raise ValueError(
            f"`attention_mask` is {tuple(attention_mask.shape)}, the input {tuple(words.shape[:2])}"
            ": both must be (batch, sequence)"
        )
    return attention_mask.bool()


def _is_right_padded(mask: torch.Tensor) -> bool:
    """Whether all padding stands behind the words, which spares a copy."""
    return _may_ask_data() and bool((mask[:, :-1] >= mask[:, 1:]).all())


def _all_words(mask: torch.Tensor) -> bool:
    """Whether nothing is padding, which spares masking: of a review alone, a tenth of the time."""
    return _may_ask_data() and bool(mask.all())


def _may_ask_data() -> bool:
    """Whether the way may depend on the data: not in a traced or exported model."""
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined] # not in its __all__
    return not torch.compiler.is_compiling() and not tracing


def _zero_padding(values: torch.Tensor, is_word: _IsWord) -> torch.Tensor:
    """Zero at padding, by a product, which takes a fifth of the time of `masked_fill`."""
    return values if is_word is None else values * is_word


def _mask_scores(values: torch.Tensor, is_word: _IsWord, by: float) -> torch.Tensor:
    """Finite values, lowered at padding, by a sum for the same reason."""
    if is_word is None:
        return values
    return values + torch.zeros_like(is_word, dtype=values.dtype).masked_fill(~is_word, by)


def _move_padding_right(mask: torch.Tensor) -> _Moved:
    """Where each token goes, and which token comes there, when padding moves behind the words.

    Both are `(batch, sequence)` int64 and inverse to each other. (A stable sort of the mask, by
    counting.)
    """
    words_before = mask.cumsum(1)
    padding_before = (~mask).cumsum(1)
    position = torch.where(mask, words_before, mask.sum(1, keepdim=True) + padding_before) - 1
    columns = torch.arange(mask.shape[1], device=mask.device).expand_as(position)
    return position, torch.zeros_like(position).scatter(1, position, columns)


def _reversal(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """The order that reverses the words of each review and leaves padding: its own inverse."""
    column = torch.arange(size, device=lengths.device)  # (T,)
    reverse = lengths.unsqueeze(-1) - 1 - column  # (B, T)
    return torch.where(reverse >= 0, reverse, column)


def _reverse_sequences(values: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """Reverse the words of each review, by `_reversal`, or all at once where none is padded."""
    return values.flip(1) if order is None else _take(values, order)


def _take(values: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Reorder `(batch, sequence, ...)` along the sequence by `order` `(batch, columns)`."""
    # Whole rows by one index: index_select moves them as blocks, gather number by number.
    rows = order + values.shape[1] * torch.arange(order.shape[0], device=order.device)[:, None]
    taken = values.flatten(0, 1).index_select(0, rows.flatten())
    return taken.view(*order.shape, *values.shape[2:])


def _record_hidden_state(
    hidden: torch.Tensor, moved: _Moved | None, record: list[torch.Tensor]
) -> torch.Tensor:
    """Record the states where their words stood in the input, and return those to compute with.

    What is recorded lies on the way to the result and not beside it, so that it has a gradient.
    """
    if moved is None:
        record.append(hidden)
        return hidden
    position, order = moved
    record.append(_take(hidden, position))
    return _take(record[-1], order)


def _at_least_fp32(dtype: torch.dtype) -> torch.dtype:
    """The dtype to add up in: a sum of many bf16 numbers would be rounded away."""
    return torch.promote_types(dtype, torch.float32)


def _cut(values: torch.Tensor, units: int) -> tuple[torch.Tensor, ...]:
    """Pieces of `(batch, sequence, ...)` along the sequence for a layer; one, if it can take all.

    A traced or exported model has no such choice, and cannot read what is too large.
    """
    if not _may_ask_data():
        return (values,)
    # oneDNN keeps four gates a unit as fp32, whatever the dtype, and rounds that up.
    step = values.shape[0] * (4 * units + 28) * 4
    if step * values.shape[1] < _LARGEST_RUN:
        return (values,)
    pieces: tuple[torch.Tensor, ...] = values.split(max(1, _PIECE // step), dim=1)
    return pieces


def _run(
    lstm: nn.LSTM, inputs: torch.Tensor, weight_dropout: float = 0.0, before: _Cell | None = None
) -> tuple[torch.Tensor, _Cell]:
    """Run one direction from given states, or from zero: `(batch, sequence, units)`.

    What is too large for one call is run piece by piece. Both are returned: the states, and those
    after the last step.
    """
    dtype = torch.float32 if _lacks_kernel(inputs) else inputs.dtype
    if before is not None:
        dtype = before[0].dtype
    weights = None
    if dtype != inputs.dtype or weight_dropout:
        weights = _weights(lstm, dtype, weight_dropout)
    states: list[torch.Tensor] = []
    for piece in _cut(inputs, lstm.hidden_size):
        with _no_autocast_without_kernel(inputs.device):
            if weights is None:
                found, before = lstm(piece.to(dtype), before)
            else:
                found, before = _run_with(weights, lstm, piece.to(dtype), before)
        states.append(found.to(inputs.dtype))
    assert before is not None
    return states[0] if len(states) == 1 else torch.cat(states, dim=1), before


# Of `torch.lstm` after the weights: with biases, one layer, no dropout between layers.
_OPTIONS = (True, 1, 0.0)


def _run_with(
    weights: list[torch.Tensor], lstm: nn.LSTM, inputs: torch.Tensor, before: _Cell | None
) -> tuple[torch.Tensor, _Cell]:
    """What `lstm` does, with other weights.

    They are passed on: `torch.func.functional_call` puts them into the layer for the while, where
    another thread that does the same finds them, and leaves them there.
    """
    if before is None:
        zeros = inputs.new_zeros(1, inputs.shape[0], lstm.hidden_size)
        before = (zeros, zeros)
    states, hidden, cell = torch.lstm(
        inputs, before, weights, *_OPTIONS, lstm.training, False, lstm.batch_first
    )
    return states, (hidden, cell)


def _weights(lstm: nn.LSTM, dtype: torch.dtype, weight_dropout: float) -> list[torch.Tensor]:
    """The weights of one direction in a dtype, in torch's order; the recurrent ones thinned out."""
    of_inputs, of_states, *biases = (weight.to(dtype) for weight in lstm.parameters())
    if weight_dropout:
        of_states = nn.functional.dropout(of_states, weight_dropout)
    return [of_inputs, of_states, *biases]


def _run_stateful(
    lstm: nn.LSTM,
    inputs: torch.Tensor,
    lengths: torch.Tensor,
    cell: tuple[torch.Tensor, torch.Tensor],
    weight_dropout: float,
    padded: bool,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Run one direction from given states `(batch, units)` to those after each last word.

    Packed where there is padding, since only so the layer gives the cell state at the last word
    and not after padding; in fp32 or more, so that rounding does not pile up over the pieces.
    """
    dtype = _at_least_fp32(inputs.dtype)
    before = (cell[0].to(dtype).unsqueeze(0), cell[1].to(dtype).unsqueeze(0))  # (1, B, units)
    if not padded:
        states, after = _run(lstm, inputs, weight_dropout, before)
        return states, (after[0][0], after[1][0])
    packed = nn.utils.rnn.pack_padded_sequence(
        inputs.to(dtype), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
    )
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None
    assert back is not None
    data, *last = torch.lstm(
        packed.data,
        packed.batch_sizes,
        [states.index_select(1, order) for states in before],
        _weights(lstm, dtype, weight_dropout),
        *_OPTIONS,
        lstm.training,
        False,
    )
    states, _ = nn.utils.rnn.pad_packed_sequence(
        packed._replace(data=data), batch_first=True, total_length=inputs.shape[1]
    )
    empty = lengths.unsqueeze(-1) == 0  # an empty piece was read as one step of padding
    hidden, carried = (
        torch.where(empty, cell[i], last[i][0].index_select(0, back)) for i in range(2)
    )
    return states.to(inputs.dtype), (hidden, carried)


def _lacks_kernel(inputs: torch.Tensor) -> bool:
    """Whether this CPU has no fast LSTM of the inputs' dtype, so that fp32 is used inside.

    Older oneDNN fails there ("could not create a primitive descriptor", pytorch issue 88136),
    newer falls back to a loop that is slower than fp32.
    """
    if inputs.device.type != "cpu" or inputs.dtype == torch.float32:
        return False
    return inputs.dtype not in _CPU_DTYPES


def _no_autocast_without_kernel(device: torch.device) -> AbstractContextManager[Any]:
    """Keep autocast from asking this CPU for an LSTM that it lacks; see `_lacks_kernel`."""
    asks = device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if asks and torch.get_autocast_dtype("cpu") not in _CPU_DTYPES:
        return torch.autocast("cpu", enabled=False)
    return nullcontext()


def _cpu_dtypes() -> set[torch.dtype]:
    dtypes = {torch.float32, torch.float64}
    if torch.backends.mkldnn.is_available():
        supported = {torch.bfloat16: "_is_mkldnn_bf16_supported"}
        supported[torch.float16] = "_is_mkldnn_fp16_supported"
        for dtype, name in supported.items():
            check = getattr(torch.ops.mkldnn, name, None)
            if check is not None and check():
                dtypes.add(dtype)
    return dtypes


_CPU_DTYPES = _cpu_dtypes()
