"""Templates with words to fill in, and their files: what behavioural tests are made of.

A suite (see `behaviour`) has two halves, a YAML file each beside this module:

    words:                    # list -> words, by comma; `+other` takes in another list
      good: good, great
    sentences:                # list -> templates, one a line, that fill a place as words do
      praise: |
        This is {a good} lamp.
    templates:                # capability -> what is asked of its templates -> one a line
      names:
        same positive: |
          [name] says: {praise}
      typos:
        change: typos         # one of `perturbations.CHANGES` makes the variants
        same positive: |
          +praise

`{good}` is a word of the list, the same wherever it stands in a template; `{good#2}` is another
one, `{Good}` has a capital, `{a good}` its article. `[name]` is another word in each variant, and
`=>` stands between variants that are written out. Lists under `closed` are read as `words`; both
halves may share them. What may be asked of a template is in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from .perturbations import CHANGES

HALVES = ("train", "measure")
MINIMUM, INVARIANCE, DIRECTION = "minimum functionality", "invariance", "direction"

# List -> what may stand in its place.
Words = Mapping[str, tuple[str, ...]]

_VARIANTS = 6  # of a sentence with `[name]`
_PLACE = re.compile(r"([{\[])(?:([Aa]) )?(\w+)(?:#(\d))?[}\]]")
_ARROW = " => "
# Written with a vowel and spoken without one; those of them that are not; and the other way round.
_CONSONANT = ("eu", "one", "uk", "uni", "us", "ut")
_VOWEL = ("unim", "unin", "usher", "utt", "honest", "honor", "honour", "hour", "heir")


class BehaviourError(ValueError):
    """A suite or a model that cannot be used; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Kind:
    """What is asked of the templates of one section.

    Args:
        type: `MINIMUM`, `INVARIANCE` or `DIRECTION`.
        target: `positive`, `negative` or `neutral`; `same`; `not lower` or `not higher`.
        first: The probability of POSITIVE that a model may learn for the text.
        others: The same for its variants.
    """

    type: str
    target: str
    first: float
    others: float


# Name of a section -> what is asked.
KINDS = {
    "positive": Kind(MINIMUM, "positive", 0.97, 0.97),
    "negative": Kind(MINIMUM, "negative", 0.03, 0.03),
    "neutral": Kind(MINIMUM, "neutral", 0.5, 0.5),
    "same positive": Kind(INVARIANCE, "same", 0.97, 0.97),
    "same negative": Kind(INVARIANCE, "same", 0.03, 0.03),
    "same neutral": Kind(INVARIANCE, "same", 0.5, 0.5),
    "stronger praise": Kind(DIRECTION, "not lower", 0.93, 0.98),
    "weaker praise": Kind(DIRECTION, "not higher", 0.97, 0.8),
    "stronger criticism": Kind(DIRECTION, "not higher", 0.07, 0.02),
    "weaker criticism": Kind(DIRECTION, "not lower", 0.03, 0.2),
}


@dataclass(frozen=True)
class Case:
    """One thing that is asked of a model.

    Args:
        capability: What it is about: `negation`.
        kind: What is asked.
        template: What it was made of.
        texts: One text, or several for invariance and direction: the first and its variants.
    """

    capability: str
    kind: Kind
    template: str
    texts: tuple[str, ...]

    @property
    def type(self) -> str:
        """Minimum functionality, invariance or direction."""
        return self.kind.type

    @property
    def target(self) -> str:
        """See `Kind`."""
        return self.kind.target

    @property
    def trained(self) -> list[tuple[str, float]]:
        """Each text with the probability of POSITIVE that a model may learn for it."""
        first, *others = self.texts
        return [(first, self.kind.first), *((text, self.kind.others) for text in others)]


@dataclass(frozen=True)
class Template:
    """A line of a suite.

    Args:
        capability: What it is about.
        section: What is asked, a name in `KINDS`.
        line: The line.
        change: What makes its variants, a name in `CHANGES`; none if the line does.
        words: For its places.
    """

    capability: str
    section: str
    line: str
    change: str | None
    words: Words

    def draws(self, seed: int) -> Iterator[Case | None]:
        """Cases without end, some of them alike; None where no variant differs from its text.

        Args:
            seed: Decides the words, together with the template: another one beside it changes
                nothing.

        Yields:
            A case.
        """
        kind = KINDS[self.section]
        random = Random(f"{seed} {self.capability} {self.section} {self.line}")
        while True:
            texts = tuple(dict.fromkeys(self._texts(random)))
            known = kind.type == MINIMUM or len(texts) > 1
            yield Case(self.capability, kind, self.line, texts) if known else None

    def _texts(self, random: Random) -> list[str]:
        filled = _fill(self.line, self.words, random)
        if self.change is not None:
            return [filled[0], *CHANGES[self.change](filled[0], random)]
        if _ARROW in self.line:
            return filled[0].split(_ARROW)
        return filled if "[" in self.line else filled[:1]


@dataclass(frozen=True)
class Suite:
    """A file.

    Args:
        words: Its lists, `closed` and `sentences` among them.
        closed: Names of the lists that the halves may share.
        templates: Its templates, in order.
    """

    words: Words
    closed: frozenset[str]
    templates: tuple[Template, ...]


@cache
def suite(half: str) -> Suite:
    """A half of the suite of this package.

    Args:
        half: `train` or `measure`.

    Raises:
        BehaviourError: If there is no such half, or its file is damaged.
    """
    if half not in HALVES:
        raise BehaviourError(f"the suite has the halves {' and '.join(HALVES)}, not {half!r}")
    return read_suite(Path(__file__).with_name(f"behaviour_{half}.yaml"))


def read_suite(path: Path) -> Suite:
    """Read and check a file as the head of this module describes.

    Args:
        path: The YAML file.

    Returns:
        Words and templates.

    Raises:
        BehaviourError: If something in it is not as described; the message names the entry.
        FileNotFoundError: If there is no such file.
    """
    try:
        return _parse(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise BehaviourError(f"{path}: no valid YAML ({line})") from error
    except BehaviourError as error:
        raise BehaviourError(f"{path}: {error}") from None


def pick(items: list[Any], random: Random) -> Any:
    """Take one of a list out of it.

    `Random.random` alone is promised to give the same in every version of Python.

    Args:
        items: At least one; changed.
        random: Decides which.
    """
    return items.pop(int(random.random() * len(items)))


# --- filling -------------------------------------------------------------------------------------


def _fill(line: str, words: Words, random: Random) -> list[str]:
    """A template with words in its places: variants, which differ where there is a `[name]`."""
    chosen: dict[tuple[str, str], list[str]] = {}
    for bracket, _, name, number in _PLACE.findall(line):
        key = (_list_of(name), number)
        if key not in chosen:
            chosen[key] = _choose(key[0], _VARIANTS if bracket == "[" else 1, chosen, words, random)

    def variant(index: int) -> str:
        return _PLACE.sub(lambda place: _word(place, chosen, index), line)

    return [variant(index) for index in range(_VARIANTS)]


def _choose(
    name: str,
    number: int,
    chosen: Mapping[tuple[str, str], list[str]],
    words: Words,
    random: Random,
) -> list[str]:
    """Words of a list for the variants of a template, and not those of another place in it."""
    taken = {word for (other, _), found in chosen.items() if other == name for word in found}
    left = [word for word in words[name] if word not in taken] or list(words[name])
    drawn = [pick(left, random) for _ in range(min(number, len(left)))]
    filled = [_fill(word, words, random)[0] if "{" in word else word for word in drawn]
    return [filled[index % len(filled)] for index in range(_VARIANTS)]


def _word(place: re.Match[str], chosen: Mapping[tuple[str, str], list[str]], index: int) -> str:
    _, article, name, number = place.groups()
    word = chosen[_list_of(name), number or ""][index]
    if article:
        return f"{article}{'n' if _starts_with_a_vowel(word) else ''} {word}"
    return word[0].upper() + word[1:] if name[0].isupper() else word


def _list_of(name: str) -> str:
    return name[0].lower() + name[1:]


def _starts_with_a_vowel(word: str) -> bool:
    """As it is spoken."""
    word = word.lower()
    return word.startswith(_VOWEL) or (word[0] in "aeiou" and not word.startswith(_CONSONANT))


# --- reading -------------------------------------------------------------------------------------


def _parse(content: Any) -> Suite:
    parts = {"closed": ",", "words": ",", "sentences": "\n"}
    content = _mapping(content, "the file")
    if unknown := set(content) - {*parts, "templates"}:
        raise BehaviourError(f"{min(unknown)}: unknown; there are {', '.join(parts)}, templates")
    raw: dict[str, list[str]] = {}
    for part, separator in parts.items():
        for name, text in _mapping(content.get(part, {}), part).items():
            if name in raw:
                raise BehaviourError(f"{part}, {name}: a list of this name is there already")
            raw[name] = _entries(text, f"{part}, {name}", separator)
    words = {
        name: tuple(dict.fromkeys(word for entry in raw[name] for word in _spread(entry, raw)))
        for name in raw
    }
    for name, members in words.items():
        for member in members:
            _check_places(member, words, f"list {name}: {member!r}")
    templates = [
        template
        for name, sections in _mapping(content.get("templates", {}), "templates").items()
        for template in _templates(name, sections, raw, words)
    ]
    return Suite(words, frozenset(content.get("closed", {})), tuple(templates))


def _templates(
    capability: str, sections: Any, raw: Mapping[str, list[str]], words: Words
) -> Iterator[Template]:
    where = f"templates, {capability}"
    sections = dict(_mapping(sections, where))
    change = sections.pop("change", None)
    if change is not None and change not in CHANGES:
        raise BehaviourError(f"{where}: no change {change!r}; there are {', '.join(CHANGES)}")
    for section, text in sections.items():
        where = f"templates, {capability}, {section}"
        if section not in KINDS:
            raise BehaviourError(f"{where}: unknown; there are {', '.join(KINDS)}")
        lines = [one for line in _entries(text, where, "\n") for one in _spread(line, raw)]
        for line in lines:
            if lines.count(line) > 1:
                raise BehaviourError(f"{where}: {line!r} is there twice")
            _check_places(line, words, f"{where}: {line!r}")
            several = bool(change) or _ARROW in line or "[" in line
            if several != (KINDS[section].type != MINIMUM):
                raise BehaviourError(
                    f"{where}: {line!r}: minimum functionality asks for one text, anything else "
                    "for several, by `change`, `=>` or `[list]`"
                )
            yield Template(capability, section, line, change, words)


def _spread(entry: str, raw: Mapping[str, list[str]], above: tuple[str, ...] = ()) -> Iterator[str]:
    """An entry itself, or what `+list` takes in."""
    name = entry.removeprefix("+")
    if name == entry:
        yield entry
    elif name in above or name not in raw:
        raise BehaviourError(f"{entry}: no such list, or one inside itself")
    else:
        for member in raw[name]:
            yield from _spread(member, raw, (*above, name))


def _check_places(line: str, words: Words, where: str) -> None:
    for _, _, name, _ in _PLACE.findall(line):
        if _list_of(name) not in words:
            raise BehaviourError(f"{where}: no list {name!r}")
    if re.search(r"[{}\[\]]", _PLACE.sub("", line)):
        raise BehaviourError(f"{where}: a bracket that belongs to no place")


def _entries(text: Any, where: str, separator: str) -> list[str]:
    if not isinstance(text, str):
        raise BehaviourError(f"{where}: a text is expected, not {text!r:.60}; put it in quotes")
    entries = [entry.strip() for entry in text.strip().split(separator)]
    if not all(entries):
        raise BehaviourError(f"{where}: an entry is empty")
    return entries


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise BehaviourError(f"{where}: names with something behind them are expected")
    return value
