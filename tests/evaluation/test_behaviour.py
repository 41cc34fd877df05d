"""The behavioural suite: two halves that share nothing that decides, and what failing means."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment_lstm import SentimentLSTMForSequenceClassification, SentimentPredictor
from sentiment_lstm.evaluation.behaviour import (
    Behaviour,
    generate,
    measure_behaviour,
    positive_of,
    training_sentences,
)
from sentiment_lstm.evaluation.perturbations import (
    CHANGES,
    contract,
    misspell,
    misspellings,
    perturb,
)
from sentiment_lstm.evaluation.templates import (
    DIRECTION,
    HALVES,
    INVARIANCE,
    KINDS,
    MINIMUM,
    BehaviourError,
    Case,
    read_suite,
    suite,
)

CAPABILITIES = [
    "vocabulary",
    "intensity",
    "negation",
    "contrast",
    "whose opinion",
    "questions and answers",
    "numbers and ratings",
    "emoticons and emoji",
    "typos",
    "case",
    "punctuation",
    "contractions",
    "names and places",
    "identity terms",
    "irrelevant facts",
]
TRAIN, MEASURE = (suite(half) for half in HALVES)
PLACE = re.compile(r"[{\[](?:[Aa] )?\w+(?:#\d)?[}\]]")
WORD = re.compile(r"[a-z]+(?:['’-][a-z]+)*")

# What the sentences of both halves are built of, whatever they say.
GRAMMAR = frozenset(
    WORD.findall(
        """
        a about after all am an and any anything are as at away back be been bit both bought but
        by call called came can cannot come comes could couple day days decades did didn't do
        does doesn't don't down ever every example family far find first five for friend from
        gave get gets go had half hard hardly has have he here his hour hours how however i if
        in inches is isn't it its itself last live lives looks lot made many me means might
        minutes months more much my need neither never new next nine no nobody none nor not
        nothing now of on once one only other our out people price quite say says see seven she
        should since single six so some stars still ten than that the their them then there
        these they think this though three time times to too took tried twenty two up us use
        used was wasn't we week weeks were what when where whereas which while who will with
        without would wouldn't wrote years yet you zero
        """
    )
)


def literal_words(half: str) -> set[str]:
    """Of templates and of words with places in them: all but what is filled in."""
    lines = [template.line for template in suite(half).templates]
    lines += [word for words in suite(half).words.values() for word in words if "{" in word]
    return {word for line in lines for word in WORD.findall(PLACE.sub("", line).lower())}


def fillers(half: str) -> set[str]:
    found = suite(half)
    return {
        word.lower()
        for name, words in found.words.items()
        if name not in found.closed
        for word in words
        if "{" not in word
    }


def signs(half: str) -> set[str]:
    """Emoticons and emoji, in lower case."""
    found = suite(half).words
    lists = ("smile", "frown", "grin", "scowl")
    return {sign.lower() for name in lists for sign in found.get(name, ())}


# What a fact of the half to learn from looks like, its places filled.
FACTS = re.compile(
    "|".join(".+".join(map(re.escape, PLACE.split(one))) for one in TRAIN.words["fact"])
)


def case(section: str, *texts: str) -> Case:
    return Case("something", KINDS[section], "a template", texts)


def measured(section: str, *positive: float) -> Behaviour:
    """One case, of which the model says that."""
    texts = [f"text {number}" for number in range(len(positive))]
    return measure_behaviour(lambda _: positive, [case(section, *texts)])


# --- the halves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES)
def test_every_capability_has_many_templates(half: str) -> None:
    counts = Counter(template.capability for template in suite(half).templates)
    assert list(counts) == CAPABILITIES
    assert all(count >= 15 for count in counts.values()), counts
    assert {KINDS[template.section].type for template in suite(half).templates} == {
        MINIMUM,
        INVARIANCE,
        DIRECTION,
    }


def test_no_template_is_in_both_halves() -> None:
    def outlines(half: str) -> set[str]:
        lines = {PLACE.sub("_", template.line.lower()) for template in suite(half).templates}
        # Short ones, "the _ is _", are no more than grammar.
        return {line for line in lines if len(WORD.findall(line)) > 2}

    assert not {template.line for template in TRAIN.templates} & {
        template.line for template in MEASURE.templates
    }
    assert not outlines("train") & outlines("measure")


def test_no_word_that_decides_is_in_both_halves() -> None:
    train, measure = map(fillers, HALVES)
    assert not train & measure
    # Nor as a part of several words, nor where a template says it outright.
    for one, other in [HALVES, HALVES[::-1]]:
        # The letter in `:-D` is no word: the next test compares signs as they are.
        parts, others = (
            {word for filler in fillers(half) - signs(half) for word in WORD.findall(filler)}
            for half in (one, other)
        )
        shared = parts & (others | literal_words(other)) - GRAMMAR
        assert not shared, f"words of {one} that {other} has too: {sorted(shared)}"
    assert not literal_words("train") & literal_words("measure") - GRAMMAR


def test_ratings_and_signs_are_in_one_half() -> None:
    assert len(signs("train")) > 20
    assert len(signs("measure")) > 20
    train, measure = (
        {sign.replace("\N{VARIATION SELECTOR-16}", "") for sign in signs(half)} for half in HALVES
    )
    assert not train & measure


@pytest.mark.parametrize("half", HALVES)
def test_praise_and_criticism_have_many_words_and_share_none(half: str) -> None:
    found = suite(half)
    lists = {
        section: {
            name[0].lower() + name[1:]
            for template in found.templates
            if template.capability == "vocabulary" and template.section == section
            for name in re.findall(r"[{](?:[Aa] )?(\w+)", template.line)
        }
        for section in ("positive", "negative")
    }
    # What both fill in, things and people, says nothing of the side.
    good, bad = (
        {word for name in lists[one] - lists[other] for word in found.words[name]}
        for one, other in [("positive", "negative"), ("negative", "positive")]
    )
    assert not good & bad
    assert len(good) > 80
    assert len(bad) > 80


# --- cases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES)
def test_cases_are_whole_sentences_and_no_two_alike(half: str) -> None:
    cases = generate(half, per_template=5)
    articles = r"\b[Aa] (?!uni|use|eur|one|Ukr)[aeiouAEIO]|\b[Aa]n (?!ho|A\b|F\b)[^aeiouAEIO]"
    assert len({case.texts for case in cases}) == len(cases)
    assert max(Counter((c.capability, c.kind, c.template) for c in cases).values()) == 5
    for one in cases:
        assert len(one.texts) == 1 if one.type == MINIMUM else len(set(one.texts)) > 1
        for text in one.texts:
            assert text == text.strip() or one.capability == "punctuation"
            assert not re.search(r"[{}\[\]#+]\w*[}\]]|=>", text), text
            assert not re.search(articles, one.texts[0]), one.texts[0]


def test_the_same_seed_gives_the_same_everywhere() -> None:
    code = (
        "from sentiment_lstm.evaluation.behaviour import generate, training_sentences\n"
        "from sentiment_lstm.evaluation.perturbations import perturb\n"
        "cases = [case.texts for case in generate('measure', 1, 3)]\n"
        "print(ascii((cases, training_sentences(500, 3), perturb('It never was a bargain.', 3))))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
    ).stdout
    cases = [case.texts for case in generate("measure", 1, 3)]
    here = (cases, training_sentences(500, 3), perturb("It never was a bargain.", 3))
    assert told == ascii(here) + "\n"
    assert generate("measure", 1, 3) != generate("measure", 1, 4)


def test_more_of_a_template_begins_with_the_same() -> None:
    few, many = (generate("measure", number) for number in (1, 3))
    assert [one for one in few if one not in many] == []


def test_an_unknown_half_says_so() -> None:
    with pytest.raises(BehaviourError, match="train and measure, not 'test'"):
        generate("test")


# --- what failing means --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "passing", "failing"),
    [
        ("positive", [(0.5,), (1.0,)], [(0.499,), (0.0,)]),
        ("negative", [(0.499,), (0.0,)], [(0.5,), (1.0,)]),
        ("neutral", [(0.334,), (0.666,)], [(0.333,), (0.667,), (0.0,), (1.0,)]),
        # Another label, and far; a label alone or a distance alone is no failure.
        ("same positive", [(0.9, 0.51), (0.54, 0.46), (0.1, 0.2)], [(0.9, 0.8, 0.4), (0.3, 0.6)]),
        ("stronger praise", [(0.9, 0.95), (0.9, 0.81)], [(0.9, 0.79)]),
        ("weaker criticism", [(0.1, 0.3), (0.2, 0.11)], [(0.2, 0.09)]),
        ("weaker praise", [(0.9, 0.2), (0.8, 0.89)], [(0.8, 0.91)]),
        ("stronger criticism", [(0.2, 0.1), (0.1, 0.19)], [(0.1, 0.21)]),
    ],
)
def test_what_fails(
    section: str, passing: list[tuple[float, ...]], failing: list[tuple[float, ...]]
) -> None:
    assert [measured(section, *one).failure_rate for one in passing] == [0.0] * len(passing)
    assert [measured(section, *one).failure_rate for one in failing] == [1.0] * len(failing)


def test_rates_are_by_capability_and_their_mean() -> None:
    texts: list[list[str]] = []
    cases = [
        Case("names", KINDS["positive"], "one", ("bad",)),
        Case("names", KINDS["positive"], "one", ("worse",)),
        Case("names", KINDS["positive"], "two", ("good",)),
        Case("names", KINDS["same positive"], "three", ("good", "good too", "bad")),
        Case("case", KINDS["positive"], "four", ("good",)),
    ]
    known = {"bad": 0.3, "worse": 0.1, "good": 0.9, "good too": 0.6}

    def predict(asked: list[str]) -> NDArray[np.float32]:
        texts.append(asked)
        return np.array([known[text] for text in asked], dtype=np.float32)

    found = measure_behaviour(predict, cases, examples=3)
    assert texts == [["bad", "worse", "good", "good too"]], "one call, each text once"
    assert found.cases == 5
    names = found.capabilities["names"]
    assert (names.cases, names.failed, names.failure_rate) == (4, 3, 0.75)
    assert found.failure_rate == 0.375
    shown = [(one.template, one.texts, one.probabilities) for one in names.examples]
    # The worst first, and one of a template.
    assert shown == [("three", ["good", "bad"], [0.9, 0.3]), ("one", ["worse"], [0.1])]
    written = found.as_dict()
    assert written["capabilities"]["names"]["examples"][1]["texts"] == ["worse"]
    assert (written["cases"], written["failure_rate"]) == (5, 0.375)
    assert measure_behaviour(predict, cases[:-1]).suite != found.suite
    assert measure_behaviour(lambda asked: [0.5] * len(asked), cases).suite == found.suite


@pytest.mark.parametrize("answer", [[0.5, 0.5], [[0.5]], [1.5], [float("nan")], []])
def test_what_is_no_probability_each_says_so(answer: list[float]) -> None:
    with pytest.raises(ValueError, match="probability of POSITIVE, from 0 to 1, for each of 1"):
        measure_behaviour(lambda _: answer, [case("positive", "good")])
    with pytest.raises(ValueError, match="no cases"):
        measure_behaviour(lambda _: answer, [])


def test_a_predictor_is_asked_for_positive(
    make_model: Callable[..., SentimentLSTMForSequenceClassification], model_folder: Path
) -> None:
    predictor = SentimentPredictor.from_pretrained(model_folder)
    positive = positive_of(predictor)(["great", "It broke."])
    assert np.array_equal(positive, predictor.predict_proba(["great", "It broke."])[:, 1])
    predictor.model.config.id2label = {0: "POSITIVE", 1: "NEGATIVE"}
    turned = positive_of(predictor)(["great", "It broke."])
    assert np.array_equal(turned, predictor.predict_proba(["great", "It broke."])[:, 0])
    for names in ({0: "bad", 1: "good"}, {0: "NEGATIVE", 1: "NEUTRAL", 2: "POSITIVE"}):
        predictor.model.config.id2label = names
        with pytest.raises(BehaviourError, match=f"this model has {', '.join(names.values())}"):
            positive_of(predictor)


# --- teaching ------------------------------------------------------------------------------------


def test_training_sentences_are_many_balanced_and_of_their_half() -> None:
    sentences = training_sentences(6000)
    assert len(dict(sentences)) == len(sentences) == 6000
    targets = Counter(np.sign(target - 0.5) for _, target in sentences)
    assert targets[1] == pytest.approx(targets[-1], rel=0.05)
    assert 0.1 < targets[0] / 6000 < 0.34
    assert {0.03, 0.5, 0.97} <= {target for _, target in sentences}
    measured = {text for one in generate("measure", 20) for text in one.texts}
    # Single words aside, which neither half has from the other, nothing is said in both.
    assert not measured & {text for text, _ in sentences}
    assert sum(text.count(".") + text.count("!") > 3 for text, _ in sentences) > 300, "reviews"
    words = {word for text, _ in sentences for word in WORD.findall(text.lower())}
    of_measure = fillers("measure") & set(MEASURE.words["fine"] + MEASURE.words["awful"])
    assert not words & of_measure


def test_an_idiom_is_taught_more_than_once() -> None:
    """Without a place to fill it gives one text: facts beside it give others."""
    lines = {template.line for template in suite("train").templates}
    found = dict(training_sentences(30_000))
    idioms = {
        "Couldn't be better.": "positive",
        "I wouldn't change a thing.": "positive",
        "Not worth a dime.": "negative",
    }
    for idiom, side in idioms.items():
        assert idiom in lines
        beside = [text for text in found if idiom in text and text != idiom]
        # Short reviews have idioms too, beside other praise.
        with_a_fact = [text for text in beside if FACTS.fullmatch(text.replace(idiom, "").strip())]
        assert with_a_fact, idiom
        assert {found[text] for text in with_a_fact} == {KINDS[side].first}


def test_counterfactuals_have_the_very_same_target() -> None:
    targets: dict[str, set[float]] = {}
    terms = "|".join(map(re.escape, TRAIN.words["identity"] + TRAIN.words["name"]))
    for text, target in training_sentences(8000):
        if re.search(rf"\b({terms})\b", text):
            same = re.sub(rf"\b(an?|An?) (?=({terms})\b)", "a ", text)
            targets.setdefault(re.sub(rf"\b({terms})\b", "X", same).lower(), set()).add(target)
    assert sum(len(found) for found in targets.values()) > 100
    assert all(len(found) == 1 for found in targets.values())


def test_more_sentences_than_there_are_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "few.yaml"
    path.write_text("words: {x: 'good, great'}\ntemplates: {a: {positive: '{x}.'}}")
    few = read_suite(path)
    monkeypatch.setattr("sentiment_lstm.evaluation.behaviour.suite", lambda _: few)
    assert sorted(training_sentences(2)) == [("good.", 0.97), ("great.", 0.97)]
    with pytest.raises(BehaviourError, match="the templates give 2 sentences"):
        training_sentences(3)


# --- changes of a text ---------------------------------------------------------------------------


REVIEW = "I don't like it, but it never failed me: 10/10, 4.5 stars :) Wonderful colours!"


def test_a_perturbed_copy_says_the_same() -> None:
    copies = {perturb(REVIEW, seed) for seed in range(200)}
    assert REVIEW.lower() in copies
    assert REVIEW.upper() in copies
    bare = "I don't like it but it never failed me 10/10 4.5 stars :) Wonderful colours"
    assert bare in copies
    assert len(copies) > 50
    for copy in copies:
        assert re.search("i don't .*never.*10/10.*4.5 .* :\\)", copy.lower())
        assert abs(len(copy) - len(REVIEW)) < 5
    assert perturb("", 0) == ""
    assert perturb("...", 1) == "...", "nothing to change"


def test_typos_are_of_one_letter_within_words() -> None:
    for seed in range(100):
        (word,) = misspell("brilliant", Random(seed)).split()
        assert word != "brilliant" or seed
        assert word[0] == "b"
        assert sorted(set(word) - set("brilliant")) == [] or len(word) == len("brilliant")
        assert abs(len(word) - 9) <= 1
    kept = "Not nothing, never won't isn’t be www.example.com"
    assert misspell(kept, Random(0), 9) == kept
    two = misspell("wonderful colours", Random(1), 2).split()
    assert two[0] != "wonderful"
    assert two[1] != "colours"


@pytest.mark.parametrize("word", ["brilliant", "poor", "three"])
def test_misspellings_are_what_typos_make_but_for_a_key_beside(word: str) -> None:
    every = misspellings(word)
    assert len(every) == len(set(every))
    assert word not in every
    drawn = {misspell(word, Random(seed)) for seed in range(2000)}
    beside = {
        other
        for other in drawn
        if len(other) == len(word) and sum(map(str.__ne__, word, other)) == 1
    }
    assert drawn - beside == set(every)


def test_contractions() -> None:
    assert contract("It is not good. I do not like it, and I cannot use it.") == (
        "It isn't good. I don't like it, and I can't use it."
    )
    assert contract("I will not go, they are rude. That is how it is.") == (
        "I won't go, they're rude. That's how it is."
    )
    assert contract("Do not buy. We would.") == "Don't buy. We would."
    assert CHANGES["contractions"]("It does not work.", Random(0)) == [
        "It doesn't work.",
        "It doesn’t work.",
        "It doesnt work.",
    ]


def test_case_and_punctuation() -> None:
    assert CHANGES["case"]("I don't. Ok", Random(0)) == [
        "i don't. ok",
        "I DON'T. OK",
        "I Don't. Ok",
    ]
    assert CHANGES["punctuation"]("Well, 4.5 stars.", Random(0)) == [
        "Well 4.5 stars",
        "Well, 4.5 stars",
        "Well , 4.5 stars .",
        "Well,  4.5  stars.",
    ]


# --- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "no valid YAML"),
        ("[]", "the file: names with something behind them"),
        ("more: {}", "more: unknown; there are closed, words, sentences, templates"),
        ("words: {yes: a}", "words: names with something"),
        ("words: {x: 5}", "words, x: a text is expected, not 5; put it in quotes"),
        ("words: {x: 'a, , b'}", "words, x: an entry is empty"),
        ("words: {x: +y}", r"\+y: no such list, or one inside itself"),
        ("words: {x: +x}", r"\+x: no such list, or one inside itself"),
        ("words: {x: '{y}'}", r"list x: '\{y\}': no list 'y'"),
        ("closed: {x: a}\nwords: {x: a}", "words, x: a list of this name is there already"),
        ("templates: {a: []}", "templates, a: names with something"),
        ("templates: {a: {change: all}}", "templates, a: no change 'all'; there are typos"),
        ("templates: {a: {nice: b}}", "templates, a, nice: unknown; there are positive"),
        ("templates: {a: {positive: {}}}", "templates, a, positive: a text is expected"),
        ("templates: {a: {positive: '{x}'}}", r"a, positive: '\{x\}': no list 'x'"),
        ("templates: {a: {positive: 'a } b'}}", "'a } b': a bracket that belongs to no place"),
        ('templates: {a: {positive: "b\\nb"}}', "a, positive: 'b' is there twice"),
        ("templates: {a: {positive: b => c}}", "'b => c': minimum functionality asks for one"),
        ("templates: {a: {same positive: b}}", "'b': minimum functionality asks for one text"),
    ],
)
def test_a_damaged_file_names_the_entry(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(BehaviourError, match=message) as error:
        read_suite(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_places_are_filled(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "words: {x: 'useful, honest, ugly, plain, ours, tall, small, ill'}\n"
        "sentences: {s: 'It is {x}.'}\n"
        "templates:\n"
        "  a:\n"
        "    positive: '{X} and {x}, {a x}, {x#2}: {s}'\n"
        "    same positive: '[A x] {x#2}'\n"
    )
    templates = read_suite(path).templates
    one, several = (next(template.draws(0)) for template in templates)
    assert one is not None
    assert several is not None
    (text,) = one.texts
    found = re.fullmatch(r"(\w+) and (\w+), (an?) (\w+), (\w+): It is \w+\.", text)
    assert found
    first, again, article, third, other = found.groups()
    assert first == again.capitalize()
    assert again == third != other
    assert article == ("an" if third in ("honest", "ugly", "ours", "ill") else "a")
    for more in itertools.islice(templates[0].draws(1), 50):
        assert more is not None
        (text,) = more.texts
        assert re.split(r"\W+", text)[2] != re.split(r"\W+", text)[5], "#2 is another word"
    articles = {text.split()[1]: text.split()[0] for text in several.texts}
    vowels = ("honest", "ugly", "ours", "ill")
    assert articles == {word: "An" if word in vowels else "A" for word in articles}
    assert len({t.split()[-1] for t in several.texts}) == 1, "what does not vary stays"
    assert len(several.texts) > 2
