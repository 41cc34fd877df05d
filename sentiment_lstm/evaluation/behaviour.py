"""What a model makes of sentences that were written to find out: a suite of behavioural tests.

The suite has the form of CheckList (Ribeiro et al. 2020, "Beyond Accuracy"): templates with words
to fill in, by capability, of three types. With p for the probability of POSITIVE, a case fails

- minimum functionality, target *positive*: if p < 0.5;
- minimum functionality, target *negative*: if p >= 0.5;
- minimum functionality, target *neutral*: if p is below 1/3 or above 2/3;
- invariance, variants of one sentence: if one gets another label than the first, and its p is more
  than 0.1 away from the first's;
- direction, a sentence and a stronger or a weaker one: if p moves by more than 0.1 the wrong way.

The failure rate of a capability is the share of its cases that fail, that of the suite the mean
over the capabilities. A model with two labels has no third for *neutral*: near one half is where
it can say so.

The suite has two halves with neither templates nor deciding words in common: `train`, which a
model may learn from (`training_sentences`), and `measure`. `templates` says how they are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inference.predictor import SentimentPredictor
from .templates import KINDS, MINIMUM, BehaviourError, Case, Template, pick, suite

# CheckList's: what moves by less has not changed its mind.
TOLERANCE = 0.1
NEUTRAL = (1 / 3, 2 / 3)
# Cases of each template that `evaluate --behaviour` measures, and their seed.
PER_TEMPLATE, SEED = 10, 0

# The list of sentences of the half to learn from that change nothing beside others.
FACT = "fact"

_PATIENCE = 20  # draws in a row that give nothing new: a template is then used up
_POOL = 200  # the last sentences of a side, of which short reviews are made

# Texts -> the probability of POSITIVE of each, `(texts,)`.
PredictProba = Callable[[list[str]], ArrayLike]


@dataclass(frozen=True)
class Example:
    """A case that failed.

    Args:
        template: Of the case.
        target: Of the case.
        texts: The text; of an invariance or a direction the first and the variant that failed.
        probabilities: Of POSITIVE, for each of these texts.
    """

    template: str
    target: str
    texts: list[str]
    probabilities: list[float]


@dataclass(frozen=True)
class Capability:
    """How a model does at one capability.

    Args:
        cases: Their number.
        failed: How many of them fail.
        examples: Some that fail most, no two of one template.
    """

    cases: int
    failed: int
    examples: list[Example]

    @property
    def failure_rate(self) -> float:
        """The share of the cases that fail."""
        return self.failed / self.cases


@dataclass(frozen=True)
class Behaviour:
    """How a model does at the suite.

    Args:
        suite: Fingerprint of the cases: models can be compared where it is the same.
        capabilities: By name.
    """

    suite: str
    capabilities: dict[str, Capability]

    @property
    def cases(self) -> int:
        """The number of all cases."""
        return sum(found.cases for found in self.capabilities.values())

    @property
    def failure_rate(self) -> float:
        """The mean over the capabilities."""
        return _mean([found.failure_rate for found in self.capabilities.values()])

    def as_dict(self) -> dict[str, Any]:
        """The part `behaviour` of `results.json` and `baselines.json`, ready for JSON."""
        return {
            "suite": self.suite,
            "cases": self.cases,
            "failure_rate": self.failure_rate,
            "capabilities": {
                name: {
                    "cases": found.cases,
                    "failure_rate": found.failure_rate,
                    "examples": [asdict(example) for example in found.examples],
                }
                for name, found in self.capabilities.items()
            },
        }


def generate(
    half: str = "measure", per_template: int = PER_TEMPLATE, seed: int = SEED
) -> list[Case]:
    """Cases of a half of the suite, no two with the same texts.

    Args:
        half: `train` or `measure`.
        per_template: How many of each template; fewer of one whose words give no more.
        seed: Decides the words; the same seed gives the same cases everywhere.

    Returns:
        The cases, by capability and template.

    Raises:
        BehaviourError: If there is no such half, or its file is damaged.
    """
    cases: dict[tuple[str, ...], Case] = {}
    for template in suite(half).templates:
        wanted = len(cases) + per_template
        for case in _new_draws(template, seed, cases):
            if len(cases) == wanted:
                break
            cases[case.texts] = case
    return list(cases.values())


def fingerprint(cases: Sequence[Case]) -> str:
    """What tells one suite from another: models can be compared where it is the same.

    Args:
        cases: From `generate`.

    Returns:
        Sixteen hexadecimal digits.
    """
    digest = hashlib.sha256()
    for case in cases:
        digest.update("\0".join([case.capability, case.target, *case.texts, "\n"]).encode())
    return digest.hexdigest()[:16]


def measure_behaviour(
    predict_proba: PredictProba, cases: Sequence[Case] | None = None, examples: int = 3
) -> Behaviour:
    """Measure a model, of whatever kind.

    Args:
        predict_proba: Texts -> probabilities of POSITIVE, `(texts,)`. It is called once.
        cases: From `generate`. Defaults to those that `evaluate --behaviour` measures.
        examples: How many failures to show of each capability.

    Returns:
        What was found.

    Raises:
        ValueError: If there are no cases, or not one probability from 0 to 1 for each text.
    """
    cases = generate() if cases is None else cases
    texts = list(dict.fromkeys(text for case in cases for text in case.texts))
    if not texts:
        raise ValueError("there are no cases to measure: generate some")
    positive = np.asarray(predict_proba(texts), dtype=np.float64)
    if positive.shape != (len(texts),) or not ((positive >= 0) & (positive <= 1)).all():
        raise ValueError(
            f"behaviour is measured by a probability of POSITIVE, from 0 to 1, for each of "
            f"{len(texts)} texts; the model gave {positive.shape}, {positive.reshape(-1)[:3]}"
        )
    known = dict(zip(texts, positive.tolist(), strict=True))
    judged: dict[str, list[tuple[float, Case, int]]] = {}
    for case in cases:
        wrong, worst = _judge(case, [known[text] for text in case.texts])
        judged.setdefault(case.capability, []).append((wrong, case, worst))
    capabilities = {}
    for name, every in judged.items():
        failed = sorted((one for one in every if one[0] > 0), key=lambda one: -one[0])
        shown = _worst(failed, known, examples)
        capabilities[name] = Capability(len(every), len(failed), shown)
    return Behaviour(fingerprint(cases), capabilities)


def positive_of(predictor: SentimentPredictor) -> PredictProba:
    """What `measure_behaviour` asks of a predictor: its probability of POSITIVE.

    Args:
        predictor: Of a model with the labels NEGATIVE and POSITIVE.

    Returns:
        A function from texts to probabilities.

    Raises:
        BehaviourError: If the model has other labels.
    """
    names = {int(index): str(name) for index, name in predictor.model.config.id2label.items()}
    if sorted(names.values()) != ["NEGATIVE", "POSITIVE"]:
        raise BehaviourError(
            "behaviour is measured by the labels NEGATIVE and POSITIVE, and this model has "
            f"{', '.join(names.values())}: if they mean the same, name them so in id2label and "
            "label2id of its config.json"
        )
    (column,) = (index for index, name in names.items() if name == "POSITIVE")

    def predict(texts: list[str]) -> NDArray[np.float32]:
        return predictor.predict_proba(texts)[:, column]

    return predict


def training_sentences(number: int, seed: int = SEED) -> list[tuple[str, float]]:
    """Sentences of the half that a model may learn from, with a target for each.

    All capabilities get as many, and within one what is positive, negative and neutral; within
    these the templates take turns; one that is a sentence and has no place to fill comes again with
    facts that change nothing. Variants of a sentence follow each other with the very same
    target, but that a stronger or a weaker one has its own. Every fourth draw is two to four
    sentences of one side, as a short review.

    Args:
        number: How many.
        seed: Decides which; the same seed gives the same sentences everywhere.

    Returns:
        Text and probability of POSITIVE, no text twice.

    Raises:
        BehaviourError: If the templates do not give as many.
    """
    random = Random(f"{seed} reviews")
    sources = _sources(seed)
    found: dict[str, float] = {}
    # Capability -> side -> how many it has.
    counts = {name: dict.fromkeys(sides, 0) for name, sides in sources.items()}
    said: dict[int, list[tuple[str, float]]] = {}
    draw = 0
    while len(found) < number and counts:
        name = min(counts, key=lambda name: _mean(counts[name].values()))
        side = min(counts[name], key=counts[name].__getitem__)
        case = next(sources[name][side], None)
        if case is None:
            del counts[name][side]
            if not counts[name]:
                del counts[name]
            continue
        draw += 1
        sentences = _as_review(case, said.setdefault(side, []), draw, random)
        counts[name][side] += len(sentences)
        for text, probability in sentences:
            found.setdefault(text, probability)
    if len(found) < number:
        raise BehaviourError(f"the templates give {len(found):,} sentences; ask for fewer")
    return list(found.items())[:number]


# --- measuring -----------------------------------------------------------------------------------


def _judge(case: Case, positive: Sequence[float]) -> tuple[float, int]:
    """How far a case is from passing, above 0 if it fails; and which of its texts is the worst."""
    first = positive[0]
    if case.type == MINIMUM:
        wrong = {
            "positive": 0.5 - first,
            "negative": first - 0.5 or 1e-9,  # one half fails as well
            "neutral": max(NEUTRAL[0] - first, first - NEUTRAL[1]),
        }
        return wrong[case.target], 0
    moves = [other - first for other in positive[1:]]
    if case.target == "same":  # a variant that keeps its label may move as far as it likes
        moves = [
            abs(other - first) if (other >= 0.5) != (first >= 0.5) else 0.0
            for other in positive[1:]
        ]
    elif case.target == "not lower":
        moves = [-move for move in moves]
    worst = int(np.argmax(moves))
    return moves[worst] - TOLERANCE, worst + 1


def _worst(
    failed: Sequence[tuple[float, Case, int]], known: Mapping[str, float], number: int
) -> list[Example]:
    shown: dict[str, Example] = {}
    for _, case, worst in failed:
        if len(shown) < number and case.template not in shown:
            texts = [case.texts[0], *([case.texts[worst]] if worst else [])]
            shown[case.template] = Example(
                case.template, case.target, texts, [round(known[text], 4) for text in texts]
            )
    return list(shown.values())


# --- generating ----------------------------------------------------------------------------------


def _new_draws(
    template: Template, seed: int, known: Mapping[tuple[str, ...], Any] | None = None
) -> Iterator[Case]:
    """What a template gives, nothing twice and nothing that is known, until it is used up."""
    given: set[tuple[str, ...]] = set()
    misses = 0
    for case in template.draws(seed):
        if case is None or case.texts in given or (known is not None and case.texts in known):
            misses += 1
            if misses == _PATIENCE:
                return
        else:
            misses = 0
            given.add(case.texts)
            yield case


def _sources(seed: int) -> dict[str, dict[int, Iterator[Case]]]:
    """Capability -> side (-1, 0, 1) -> its cases, templates in turn."""
    draws: dict[str, dict[int, list[Iterator[Case]]]] = {}
    for template in suite("train").templates:
        target = KINDS[template.section].first
        side = (target > 0.5) - (target < 0.5)
        sides = draws.setdefault(template.capability, {})
        sides.setdefault(side, []).append(_taught(template, seed))
    return {
        name: {side: _in_turn(iterators) for side, iterators in sides.items()}
        for name, sides in draws.items()
    }


def _taught(template: Template, seed: int) -> Iterator[Case]:
    """The cases of a template; of an idiom ("Couldn't be better.") also with facts beside it.

    Else it would be said once among thousands, and nobody learns what is heard once.
    """
    yield from _new_draws(template, seed)
    line = template.line
    if KINDS[template.section].type == MINIMUM and "{" not in line and FACT in template.words:
        ended = line if line[-1] in ".!?" else f"{line}."
        beside = (f"{ended} {{{FACT}}}", f"{{{FACT}}} {line}")
        yield from _in_turn([_new_draws(replace(template, line=one), seed) for one in beside])


def _in_turn(iterators: Sequence[Iterator[Case]]) -> Iterator[Case]:
    left = list(iterators)
    while left:
        for one in list(left):
            case = next(one, None)
            if case is None:
                left.remove(one)
            else:
                yield case


def _as_review(
    case: Case, pool: list[tuple[str, float]], draw: int, random: Random
) -> list[tuple[str, float]]:
    """The sentences of a case; every fourth time its first one with others of its side."""
    first = case.trained[0]
    if first[0][-1] not in ".!?":
        return case.trained
    if draw % 4 == 0 and len(pool) > 3:
        others = list(pool)
        parts = [first, *(pick(others, random) for _ in range(1 + int(random.random() * 3)))]
        return [(" ".join(text for text, _ in parts), _mean([target for _, target in parts]))]
    pool.append(first)
    del pool[:-_POOL]
    return case.trained


def _mean(values: Collection[float]) -> float:
    return round(sum(values) / len(values), 4)
