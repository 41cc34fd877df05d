"""Configuration of the LSTM sentiment classifier. This file travels to the Hub with the weights."""

import dataclasses
import inspect
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from transformers import PretrainedConfig  # version 4 knows no other spelling

logger = logging.getLogger(__name__)

POOLINGS = ("last", "max", "mean", "attention")
INITIALIZATIONS = ("orthogonal", "torch")
# What no model of this kind comes near: a damaged config must not take all memory or all time. Who
# has a larger one raises the entry, before the config is made.
LARGEST = {
    "vocab_size": 100_000_000,
    "embedding_size": 100_000,
    "hidden_size": 100_000,
    "num_hidden_layers": 100,
    "pad_to_length": 1_000_000,
    "num_labels": 100_000,
}
_DROPOUTS = (
    "embedding_dropout",
    "hidden_dropout",
    "classifier_dropout",
    "word_dropout",
    "weight_dropout",
)


if TYPE_CHECKING or dataclasses.is_dataclass(PretrainedConfig):
    _Base = PretrainedConfig
else:  # transformers below 5.4

    @dataclasses.dataclass(init=False, repr=False, eq=False)
    class _Base(PretrainedConfig):
        """A config that is made as in newer versions: the fields, then `__post_init__`."""

        id2label: dict[int, str] | None = None
        label2id: dict[str, int] | None = None
        problem_type: str | None = None

        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            dataclasses.dataclass(cls, init=False, repr=False, eq=False)

        def __init__(self, **kwargs: Any) -> None:
            for field in dataclasses.fields(self):
                setattr(self, field.name, kwargs.pop(field.name, field.default))
            self.__post_init__(**kwargs)

        def __post_init__(self, **kwargs: Any) -> None:
            fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
            labels = {name: fields.pop(name) for name in ("id2label", "label2id", "problem_type")}
            super().__init__(**labels, **kwargs)
            # Only now, as version 4 has a `temperature` of its own, for models that write.
            vars(self).update(fields)


class SentimentLSTMConfig(_Base):
    """Everything that decides the architecture of a `SentimentLSTMModel` and its classifier.

    The defaults are the *default preset*: padding is masked out, so a review's logits do not
    depend on how it was batched. `SentimentLSTMConfig.tutorial()` is the *tutorial preset*, the
    network of the article "LSTM: From Zero to Hero with PyTorch" to the last number.

    Args:
        vocab_size (`int`, defaults to 32000): Rows of the embedding, `_PAD` and `_UNK` included.
        embedding_size (`int`, defaults to 128): Width of a word vector.
        hidden_size (`int`, defaults to 256): Width of the hidden states, as everywhere in
            transformers: what a head on `last_hidden_state` sees. With two directions each
            contributes half, so it must be even. (`torch.nn.LSTM` counts one direction only.)
        num_hidden_layers (`int`, defaults to 1): Stacked LSTM layers.
        bidirectional (`bool`, defaults to `True`): Read each review in both directions.
        pooling (`str`, defaults to `"max+mean"`): How the states of a review become one vector:
            `"last"`, `"max"`, `"mean"`, `"attention"` (one learned query), or several joined by
            `+` and concatenated. `last` of the reverse direction is its state at the first word.
        pad_to_length (`int`, *optional*): `None` masks padding out. A number is the tutorial's
            treatment (its `pad_input`): every review is cut to its first `pad_to_length` tokens
            and padded on the left to just that many, and the padding is read like words.
        single_logit (`bool`, defaults to `False`): Learn one logit `z` and read it as the two
            logits `(0, z)`: the softmax of these is the tutorial's sigmoid, and their cross
            entropy its binary cross entropy. Needs two labels of which one is right.
        embedding_dropout (`float`, defaults to 0.3): Probability of zeroing a number of a word
            vector.
        hidden_dropout (`float`, defaults to 0.3): The same between stacked layers.
        classifier_dropout (`float`, defaults to 0.3): The same on the pooled vector.
        locked_dropout (`bool`, defaults to `False`): Zero the same numbers in every word vector
            of a review, and in every state between layers (variational dropout, Gal and
            Ghahramani 2016).
        word_dropout (`float`, defaults to 0.0): Probability of zeroing a whole word vector
            (Iyyer et al. 2015).
        weight_dropout (`float`, defaults to 0.0): Probability of zeroing a recurrent weight, the
            same for a whole batch (DropConnect, Merity et al. 2018).
        temperature (`float`, defaults to 1.0): What the logits are divided by, so that the
            probabilities mean what they say (Guo et al. 2017). Fitted on validation reviews
            after training; changes no label.
        initializer_range (`float`, defaults to 0.1): Standard deviation of new word vectors.
        initialization (`str`, defaults to `"orthogonal"`): How new layers start. `"orthogonal"`:
            orthogonal recurrent and Xavier input weights for each gate (Saxe et al. 2014), a
            forget bias of one (Jozefowicz et al. 2015). `"torch"`: what torch's own layers start
            with, and so the tutorial: uniform within 1/sqrt(units).
        pad_token_id (`int`, defaults to 0): The id of `_PAD`.
        id2label (`dict[int, str]`, *optional*): Label names; `{0: "NEGATIVE", 1: "POSITIVE"}`
            unless `id2label`, `label2id` or `num_labels` says otherwise. Each of `id2label` and
            `label2id` follows from the other.
        **kwargs: The fields that every transformers config has, and `ordered_labels`, which is true
            where the labels are steps from low to high, such as stars. An unknown one is kept, as
            transformers does, but warned about, since it is most often a misspelling.

    Raises:
        ValueError: If a field is out of range; the message names it.
    """

    model_type = "sentiment_lstm"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["state", "hidden_states"]
    # A review has neither; transformers looks them up when it warns of padding without a mask.
    bos_token_id: ClassVar[None] = None
    eos_token_id: ClassVar[None] = None
    # Called with the first config. The package sets it to register the model classes with the Auto
    # classes, which it leaves until then to be imported fast; on the Hub nothing sets it.
    register_models: ClassVar[Callable[[], None] | None] = None

    vocab_size: int = 32_000
    embedding_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 1
    bidirectional: bool = True
    pooling: str = "max+mean"
    pad_to_length: int | None = None
    single_logit: bool = False
    embedding_dropout: float | int = 0.3
    hidden_dropout: float | int = 0.3
    classifier_dropout: float | int = 0.3
    locked_dropout: bool = False
    word_dropout: float | int = 0.0
    weight_dropout: float | int = 0.0
    temperature: float | int = 1.0
    initializer_range: float | int = 0.1
    initialization: str = "orthogonal"
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        """Complete the label names, warn about unknown fields and validate."""
        if (register := type(self).register_models) is not None:
            register()
        if (labels := kwargs.get("num_labels")) is not None and not _is_int(
            labels, 1, LARGEST["num_labels"]
        ):
            raise ValueError(
                f"{type(self).__name__}: `num_labels` must be an integer from 1 to "
                f"{LARGEST['num_labels']} (see LARGEST); got {labels!r}"
            )
        if self.label2id is not None:  # numbers may be written as text
            self.label2id = {name: _as_id(index) for name, index in self.label2id.items()}
        if self.id2label is None and self.label2id is not None:
            self.id2label = {int(index): name for name, index in self.label2id.items()}
        elif self.id2label is None and kwargs.get("num_labels", 2) == 2:
            self.id2label = {0: "NEGATIVE", 1: "POSITIVE"}
        super().__post_init__(**kwargs)
        if self.id2label is not None and self.label2id is None:
            self.label2id = {name: int(index) for index, name in self.id2label.items()}
        for key in sorted(kwargs.keys() - _COMMON_KEYS):
            if not key.startswith("_"):
                logger.warning("%s has no field `%s`: misspelled?", type(self).__name__, key)
        self.validate_architecture()

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A config that is unpickled is not made, but may be this process's first.
        if (register := type(self).register_models) is not None:
            register()
        self.__dict__.update(state)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Make a config from what `config.json` says and the fields that override it.

        `from_pretrained` comes here. Unlike in transformers, which sets the overriding fields
        afterwards, they are checked with the others, and where only one of `id2label` and
        `label2id` is overridden the other one follows.

        Args:
            config_dict: The content of `config.json`.
            **kwargs: Fields that take precedence.

        Returns:
            The config, and with `return_unused_kwargs=True` also the arguments that are no fields.
        """
        given = {
            item.name: kwargs.pop(item.name)
            for item in dataclasses.fields(cls)
            if item.name in kwargs and item.name != "dtype"  # may be "auto", which is not for us
        }
        if given.get("id2label") or given.get("label2id"):
            given = {"id2label": None, "label2id": None} | given
        return super().from_dict(config_dict | given, **kwargs)

    @classmethod
    def tutorial(cls, **kwargs: Any) -> "SentimentLSTMConfig":
        """The tutorial's network (`SentimentNet`): 400-d words, 2 layers of 512, last state.

        Args:
            **kwargs: Fields to set or to override; `vocab_size` most of all.

        Returns:
            A config of the tutorial preset.
        """
        tutorial: dict[str, Any] = {
            "embedding_size": 400,
            "hidden_size": 512,
            "num_hidden_layers": 2,
            "bidirectional": False,
            "pooling": "last",
            "pad_to_length": 200,
            "single_logit": True,
            "embedding_dropout": 0.0,
            "hidden_dropout": 0.5,
            "classifier_dropout": 0.5,
            # torch's own defaults, which the tutorial leaves alone.
            "initializer_range": 1.0,
            "initialization": "torch",
        }
        return cls(**(tutorial | kwargs))

    @property
    def poolings(self) -> list[str]:
        """The parts of `pooling`, in the order in which their vectors are concatenated."""
        return self.pooling.split("+")

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save the config; see `PretrainedConfig.save_pretrained` for the arguments.

        Who has given the labels other names in `id2label` finds them in `label2id` as well: else
        the folder could not be loaded.
        """
        if self.id2label is not None:
            self.label2id = {str(name): int(index) for index, name in self.id2label.items()}
        super().save_pretrained(*args, **kwargs)

    def validate_architecture(self) -> None:
        """Check every field; runs whenever a config is made or loaded.

        Raises:
            ValueError: If a field is out of range; the message names it.
        """
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"):
            largest = LARGEST[name]
            in_range = _is_int(getattr(self, name), 1, largest)
            self._require(name, in_range, f"an integer from 1 to {largest} (see LARGEST)")
        for name in ("bidirectional", "single_logit", "locked_dropout"):
            self._require(name, isinstance(getattr(self, name), bool), "true or false")
        for name in _DROPOUTS:
            value = getattr(self, name)
            probability = _is_number(value) and 0 <= value < 1
            self._require(name, probability, "a probability, 0 or more and below 1")
        for name in ("initializer_range", "temperature"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and value > 0, "a finite number above 0")
        self._require(
            "pad_to_length",
            self.pad_to_length is None or _is_int(self.pad_to_length, 1, LARGEST["pad_to_length"]),
            f"an integer from 1 to {LARGEST['pad_to_length']} (see LARGEST), or None to mask "
            "padding out",
        )
        self._require(
            "initialization",
            self.initialization in INITIALIZATIONS,
            f"one of {', '.join(INITIALIZATIONS)}",
        )
        parts = self.pooling.split("+") if isinstance(self.pooling, str) else []
        self._require(
            "pooling",
            bool(parts) and set(parts) <= set(POOLINGS) and len(set(parts)) == len(parts),
            f"one of {', '.join(POOLINGS)}, or different ones joined by '+'",
        )
        self._validate_together()

    def _validate_together(self) -> None:
        """Check what fields must be in view of each other."""
        if self.bidirectional:
            self._require("hidden_size", self.hidden_size % 2 == 0, "even with two directions")
        self._require(
            "pad_token_id",
            self.pad_token_id in range(self.vocab_size)
            or (self.pad_token_id is None and self.pad_to_length is None),
            f"an id of the vocabulary, 0 to {self.vocab_size - 1}",
        )
        if self.single_logit:
            self._require("single_logit", self.num_labels == 2, "false unless there are two labels")
            self._require(
                "problem_type",
                self.problem_type in (None, "single_label_classification"),
                "single_label_classification with `single_logit`",
            )
        if self.id2label is not None:
            self._require(
                "id2label",
                sorted(self.id2label) == list(range(len(self.id2label))),
                "a name for each of 0, 1, 2, ...",
            )
            self._require(
                "label2id",
                self.label2id == {name: index for index, name in self.id2label.items()},
                f"the inverse of id2label ({self.id2label})",
            )

    def _require(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            message = f"`{name}` must be {expected}; got {getattr(self, name)!r}"
            raise ValueError(f"{type(self).__name__}: {message}")


# What transformers writes into config.json or passes on besides the declared fields.
_COMMON_KEYS = frozenset(
    {
        *inspect.signature(PretrainedConfig.__init__).parameters,
        "attn_implementation",
        "auto_map",
        "custom_pipelines",
        "experts_implementation",
        "model_type",
        "name_or_path",
        "num_labels",
        "ordered_labels",
        "output_attentions",
        "tokenizer_class",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "use_return_dict",
    }
)


def _as_id(value: Any) -> Any:
    """The number that a text is, else the value as it is, for the checks to refuse."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: object) -> bool:
    """Whether a value is a number that a float can hold: neither NaN nor infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= sys.float_info.max
