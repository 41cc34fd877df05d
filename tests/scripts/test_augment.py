"""Texts that teach a model what reviews seldom say."""

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import augment
import pytest
import sentences

from sentiment_lstm.evaluation.behaviour import training_sentences
from sentiment_lstm.evaluation.perturbations import perturb
from sentiment_lstm.evaluation.templates import suite
from sentiment_lstm.training.distillation import (
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.preprocessing import load_all, make_tokens
from sentiment_lstm.training.recipe import read_recipe

WriteRecipe = Callable[..., Path]
RULES = dict(training_sentences(60, 0))


def run(module: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["script.py", *map(str, arguments)])
    module.main()  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `sentences.py` writes."""
    folder = tmp_path / "augmented"
    run(sentences, monkeypatch, "--by_rule", 60, "--mixed", 15, "--output_dir", folder)
    return folder


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_sentences_are_labelled_by_rule_or_mixed(folder: Path) -> None:
    assert lines(folder / "by_rule.txt") == list(RULES)
    labels = read_soft_labels(folder / "rules.parquet")
    assert labels == pytest.approx({text_key(text): label for text, label in RULES.items()})
    mixed = lines(folder / "sentences.txt")
    assert 10 < len(mixed) <= 15
    first_is_praise = set()
    for text in mixed:
        pairs = [
            (one, other)
            for one in RULES
            for other in RULES
            if text == f"{one} {other}"
            and {RULES[one] > 0.95, RULES[other] > 0.95} == {True, False}
        ]
        assert pairs, text
        assert all(RULES[one] < 0.05 or RULES[other] < 0.05 for one, other in pairs)
        first_is_praise |= {RULES[one] > 0.95 for one, _ in pairs}
    assert first_is_praise == {True, False}
    texts = [*RULES, *mixed]
    assert not any(map(halves_of, texts)), "else their halves would need soft labels"


def test_parts_of_reviews_are_sentences_and_clauses(
    write_recipe: WriteRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Fits: a good fit.  The strap is soft, but it broke at once! Ok? " + "go " * 26
    expected = {"Fits: a good fit.", "a good fit.", "The strap is soft, but it broke at once!"}
    expected |= {"The strap is soft,", "but it broke at once!"}
    found = sentences.parts_of([text, text.replace("strap", "hook")], 100)
    assert set(found) == expected | {each.replace("strap", "hook") for each in expected}
    again = sentences.parts_of([text.replace("strap", "hook"), text], 3)
    assert again == found[:3], "in whatever order"

    path, folder = write_recipe(), tmp_path / "parts"
    (train,) = load_all(read_recipe(path).reviews)["train"].values()
    own = folder / "sentences.txt"
    for _ in range(2):  # the second time what it wrote itself is there
        fields = ("--unlabelled", own, "--output_dir", folder)
        counts = ("--by_rule", 60, "--mixed", 0, "--parts", 40, "--words", 7)
        run(sentences, monkeypatch, path, *counts, *fields)
        assert lines(folder / "by_rule.txt") == list(RULES)
        found = lines(own)
        parts, framed = found[: -7 * len(sentences.FRAMES)], found[-7 * len(sentences.FRAMES) :]
        assert 10 < len(parts) <= 40
        assert all(any(part in review for review in train["text"]) for part in parts)
        assert sum(text.startswith("It is a ") for text in framed) == 7
    with pytest.raises(SystemExit):
        run(sentences, monkeypatch, "--train", "x")


def test_words_are_framed_by_frequency_but_those_that_measure() -> None:
    words = ["widgety", *suite("measure").words["dislikes"], "well-gadgeted", "hooky"]
    texts = [" ".join(word.title() for word in words[: number + 1]) for number in range(len(words))]
    found = sentences.framed_words(texts, 2)
    assert found[: len(sentences.FRAMES)] == [
        "widgety",
        "It is widgety.",
        "It is a widgety.",
        "I widgety it.",
    ]
    assert found[len(sentences.FRAMES) :: len(sentences.FRAMES)] == ["well-gadgeted"]


def test_a_recipe_learns_from_sentences_and_copies(
    folder: Path,
    write_recipe: WriteRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_recipe()
    (train,) = load_all(read_recipe(path).reviews)["train"].values()
    named = tmp_path / "named.txt"
    # The others would be halved if they had one word more, as "Native American" has.
    long = "".join(f"A Black man likes number {n}{' too' * 33}\n" for n in range(10))
    named.write_text(f"James from Boston said so.\n{long}")
    unread = lines(folder / "sentences.txt")[-1]
    said = [*lines(folder / "by_rule.txt"), *lines(folder / "sentences.txt")[:-1]]
    texts = [*train["text"], *lines(named), *said]
    teacher = {text: 0.25 + 0.5 * number / len(texts) for number, text in enumerate(texts)}
    write_soft_labels(tmp_path / "teacher.parquet", teacher, teacher.values())
    run(
        augment,
        monkeypatch,
        *(path, "--copies", 20, "--output_dir", folder, "--only_answered"),
        *("--soft_labels", tmp_path / "teacher.parquet"),
        *("--unlabelled", named, folder / "sentences.txt"),
    )
    texts = lines(folder / "texts.txt")
    output = capsys.readouterr().out
    assert f"wrote {len(texts)} texts to {folder}" in output
    assert "left out: 1 sentences that no teacher has read" in output
    assert unread not in texts

    labels = read_soft_labels(folder / "soft_labels.parquet")
    assert texts[: len(said)] == said
    for text in said:
        expected = RULES.get(text, teacher[text])
        assert labels[text_key(text)] == pytest.approx(expected), "the teacher where no rule speaks"
    others = texts[len(said) :]
    assert not set(others) & set(teacher)
    changed = [text for text in others if re.fullmatch(r"\w+ from [\w ]+ said so\.", text)]
    assert 1 < len(changed) <= 4, "three counterfactuals, and perhaps a copy"
    for text in changed:
        assert labels[text_key(text)] == pytest.approx(teacher["James from Boston said so."])
    copies = {
        " ".join(perturb(text, seed).split()): text
        for text in [*train["text"], *lines(named)]
        for seed in range(20)
    }
    assert 10 < len(set(others) & set(copies)) <= 20
    for copy in set(others) & set(copies) - set(changed):
        assert labels[text_key(copy)] == pytest.approx(teacher[copies[copy]], abs=1e-6)
    assert labels.keys() >= set(map(text_key, teacher))
    assert not any(map(halves_of, texts)), "else their halves would need soft labels"

    fields = {
        "unlabelled": [str(named), str(folder / "texts.txt")],
        "soft_labels": str(folder / "soft_labels.parquet"),
        "augment_halves": True,
    }
    _, tokens, _ = make_tokens(read_recipe(path, fields))
    assert len(tokens) == len(train) + len(lines(named)) + len(texts)


def test_who_is_meant_changes_and_nothing_else() -> None:
    text = "James gave Maria the Turkish lamp, and James is gay. Jamestown: Mariachi."
    words = suite("train").words
    shape = re.compile(r"(.+) gave (.+) the (.+) lamp, and (.+) is (.+)\. Jamestown: Mariachi\.")
    found = set()
    for seed in range(50):
        match = shape.fullmatch(augment.counterfactual(text, Random(seed)))
        assert match
        one, two, nationality, again, orientation = match.groups()
        assert one == again, "who is one person stays one"
        assert {one, two} < set(words["name"]) - {"James", "Maria"}
        assert nationality in set(words["nationality"]) - {"Turkish"}
        assert orientation in set(words["orientation"]) - {"gay"}
        found.add(one)
    assert len(found) > 10
    assert augment.counterfactual("A lamp.", Random(0)) == "A lamp."


def test_what_is_missing_is_named(
    folder: Path, write_recipe: WriteRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe()
    with pytest.raises(SystemExit, match="say where the teacher's soft labels are"):
        run(augment, monkeypatch, path, "--output_dir", folder)
    soft = tmp_path / "teacher.parquet"
    write_soft_labels(soft, ["Another lamp."], [0.5])
    arguments = (path, "--soft_labels", soft, "--output_dir")
    with pytest.raises(SystemExit, match=r"no .*elsewhere.by_rule\.txt: run scripts/sentences"):
        run(augment, monkeypatch, *arguments, tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match=r"teacher\.parquet: lacks .* of .*let the teacher read"):
        run(augment, monkeypatch, *arguments, folder)
    (folder / "sentences.txt").write_text("Another lamp.\n")
    with pytest.raises(SystemExit, match="has no text of the recipe that is short enough"):
        run(augment, monkeypatch, *arguments, folder)
    with pytest.raises(SystemExit, match=r"sentences: .*sentences\.txt"):
        run(sentences, monkeypatch, "--by_rule", 9, "--output_dir", folder / "sentences.txt")
