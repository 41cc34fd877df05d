"""What labels there are: two by default, any others, several at once, or a number.

A [`LabelSet`] says it; the config of a model holds it, in the words of transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from .sources import ReviewError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

SINGLE: ProblemType = "single_label_classification"
SEVERAL: ProblemType = "multi_label_classification"
NUMBER: ProblemType = "regression"
PROBLEM_TYPES: tuple[ProblemType, ...] = (SINGLE, SEVERAL, NUMBER)

# What a number is called where nobody gave it a name.
NUMBER_NAME = "SCORE"

LABEL_WORDS = {"negative": 0, "neg": 0, "positive": 1, "pos": 1}
LABEL_CODES = {"0": 0, "1": 1, **LABEL_WORDS}

# What labels mean, as a caller says it: a meaning for each, or names that mean themselves.
Labels = Mapping[Any, int | str] | Sequence[Any]
# What is written -> the number of the label, sorted.
Coding = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LabelSet:
    """What a model can answer, and a review be labelled with.

    Args:
        names: Of the labels, by their number. Of several labels at once, none where the source
            is to name them.
        problem_type: `"single_label_classification"`: each review has one of them;
            `"multi_label_classification"`: any number of them; `"regression"`: a number, of the
            one name.
        ordered: Whether the labels are steps, from low to high, so that a near miss counts less.
    """

    names: tuple[str, ...] = ("NEGATIVE", "POSITIVE")
    problem_type: ProblemType = SINGLE
    ordered: bool = False

    @classmethod
    def of_config(cls, config: PreTrainedConfig) -> LabelSet:
        """The label set of a model.

        Args:
            config: The model's.
        """
        names = cast("dict[int, str]", config.id2label)
        return cls(
            tuple(str(names[number]) for number in sorted(names)),
            config.problem_type or SINGLE,
            bool(getattr(config, "ordered_labels", False)),
        )

    @property
    def exclude_each_other(self) -> bool:
        """Whether just one of several labels is right, so that a softmax makes probabilities."""
        return self.problem_type == SINGLE and len(self.names) > 1

    def config_fields(self) -> dict[str, Any]:
        """The fields of a config that say the same; none for NEGATIVE and POSITIVE."""
        if self == BINARY:
            return {}
        fields: dict[str, Any] = {
            "id2label": dict(enumerate(self.names)),
            "label2id": {name: number for number, name in enumerate(self.names)},
            "problem_type": self.problem_type,
        }
        return fields | ({"ordered_labels": True} if self.ordered else {})

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON; `from_dict` reads it."""
        return asdict(self) | {"names": list(self.names)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LabelSet:
        """The label set that `as_dict` wrote.

        Args:
            content: What it gave.

        Raises:
            ValueError: If it is anything else.
        """
        try:
            names, problem_type = content["names"], content["problem_type"]
            ordered = content["ordered"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"no label set: {content!r:.60}") from error
        good = isinstance(names, list) and all(isinstance(name, str) for name in names) and names
        if not good or problem_type not in PROBLEM_TYPES or not isinstance(ordered, bool):
            raise ValueError(f"no label set: {content!r:.60}")
        return cls(tuple(names), problem_type, ordered)

    def __str__(self) -> str:
        kinds = {SEVERAL: " (several at once)", NUMBER: " (a number)"}
        return ", ".join(self.names) + kinds.get(self.problem_type, "")


BINARY = LabelSet()


def label_code(label: object) -> str:
    """A label in the form in which labels are compared: `5.0` is `5`, and case means nothing."""
    code = str(label).strip().lower()
    whole, _, rest = code.partition(".")
    # Of text as well: a csv file and a recipe hold nothing else.
    is_whole = whole.removeprefix("-").isdecimal() and rest and not rest.strip("0")
    return whole if is_whole else code


def means_sentiment(config: PreTrainedConfig) -> bool:
    """Whether the labels of a model are NEGATIVE and POSITIVE.

    They are by these names, in either order; and by any two that a run was not told, but that the
    config was given afterwards (docs/add-a-label-set.md): then NEGATIVE is the first.

    Args:
        config: The model's.
    """
    label_set = LabelSet.of_config(config)
    if label_set.problem_type != SINGLE or len(label_set.names) != 2:
        return False
    words = {LABEL_WORDS.get(label_code(name)) for name in label_set.names}
    return config.problem_type is None or words == {0, 1}


def label_meaning(label: object) -> int | str:
    """0 for NEGATIVE and 1 for POSITIVE, by any name of theirs; of another label its code."""
    code = label_code(label)
    return LABEL_CODES.get(code, code)


def read_label_set(
    labels: Labels | None, problem_type: str | None = None
) -> tuple[LabelSet | None, Coding | None]:
    """Read what a caller says that labels mean.

    Args:
        labels: A meaning for each label: 0, 1, `"NEGATIVE"` or `"POSITIVE"`, or the names of other
            labels, which are numbered in the order in which they come. Or a list of names, which
            mean themselves. Of a number, a list of its one name.
        problem_type: One of `PROBLEM_TYPES`. Defaults to the first, one label a review.

    Returns:
        The label set, `None` for NEGATIVE and POSITIVE or where the source is to say it; and what
        each label means, `None` where it is to be found out.

    Raises:
        ReviewError: If they are no labels.
    """
    if problem_type not in (None, *PROBLEM_TYPES):
        raise ReviewError(
            f"problem_type={problem_type!r}: must be one of {', '.join(PROBLEM_TYPES)}."
        )
    if problem_type == NUMBER:
        return _read_number(labels), None
    several = problem_type == SEVERAL
    if labels is None:
        return (LabelSet((), SEVERAL), None) if several else (None, None)
    if not several and (coding := _binary_coding(labels)):
        return None, coding
    meanings = _meanings(labels)
    names = tuple(dict.fromkeys(meanings.values()))
    if len(names) < (1 if several else 2):
        raise ReviewError(f"labels={_shown(labels)}: there must be at least two labels.")
    if several and (bad := [name for name in names if "," in name]):
        raise ReviewError(
            f"labels: the name {bad[0]!r} has a comma, which stands between several labels."
        )
    coding = tuple(sorted((code, names.index(name)) for code, name in meanings.items()))
    return LabelSet(names, SEVERAL if several else SINGLE), coding


def read_labels(words: Iterable[Any]) -> dict[str, str] | list[str]:
    """Read what labels mean from words, as a command line has them.

    Args:
        words: `LABEL=MEANING` each: `1=0`, `5=POSITIVE`, `3=neutral`; the last `=` counts. Or names
            alone, which mean themselves.

    Returns:
        Label -> meaning, or the names, for `labels` of `load_reviews`.

    Raises:
        ReviewError: If a word is neither, or a label has two meanings.
    """
    words = list(map(str, words))
    if words and not any("=" in word for word in words):
        return words
    labels: dict[str, str] = {}
    for word in words:
        label, equals, meaning = word.rpartition("=")
        if not equals or labels.setdefault(label, meaning) != meaning:
            raise ReviewError(
                f"labels: {word!r} must be LABEL=MEANING, each label once, as in 1=0 2=0 4=1 5=1; "
                "or all of them names alone, as in bad fair good."
            )
    return labels


def _read_number(labels: Labels | None) -> LabelSet:
    names = [NUMBER_NAME] if labels is None else list(labels)
    if isinstance(labels, (str, Mapping)) or len(names) != 1 or not str(names[0]).strip():
        raise ReviewError(
            f"labels={_shown(labels)}: of a number (problem_type={NUMBER!r}) they are a list of "
            "its one name, as in ['stars']."
        )
    return LabelSet((str(names[0]),), NUMBER)


def _binary_coding(labels: Labels) -> Coding | None:
    """What labels mean if they all mean NEGATIVE or POSITIVE."""
    pairs = labels.items() if isinstance(labels, Mapping) else [(name, name) for name in labels]
    coding = {label_code(key): LABEL_CODES.get(label_code(meaning)) for key, meaning in pairs}
    if not isinstance(labels, Mapping) and {"0", "1"} & coding.keys():
        return None  # as names they are not known to mean anything
    known = {key: number for key, number in coding.items() if number is not None}
    return tuple(sorted(known.items())) if known and len(known) == len(labels) else None


def _meanings(labels: Labels) -> dict[str, str]:
    """Label, as it is compared -> the name of what it means."""
    if isinstance(labels, Mapping):
        pairs = [(key, str(meaning).strip()) for key, meaning in labels.items()]
    else:
        pairs = [(name, str(name).strip()) for name in labels]
    meanings = {label_code(key): name for key, name in pairs}
    # A number in the place of a name is most often a slip: 5 labels would be called 0 to 4.
    numbers = isinstance(labels, Mapping) and any(map(str.isdecimal, meanings.values()))
    if isinstance(labels, str) or not meanings or numbers or "" in meanings.values():
        raise ReviewError(
            f"labels={_shown(labels)}: every label must mean 0, 1, 'NEGATIVE' or 'POSITIVE', as in "
            "{1: 0, 2: 0, 4: 1, 5: 1}, or every label the name of another, as in "
            "{1: 'bad', 3: 'fair', 5: 'good'}; labels that mean themselves are a list."
        )
    if len(meanings) < len(pairs):
        raise ReviewError(f"labels={_shown(labels)}: names a label more than once.")
    return meanings


def _shown(labels: Any) -> str:
    return repr(dict(labels) if isinstance(labels, Mapping) else labels)
