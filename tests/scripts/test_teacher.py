"""The teachers: who predicts a review has not been trained on it."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import teacher
import yaml
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from support import results_of

from sentiment_lstm.training.distillation import (
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import train
from sentiment_lstm.training.teachers import CLASSIFIERS, Classifier, read_reviews


@pytest.fixture
def recipe(review_file: Path, tmp_path: Path) -> Path:
    (tmp_path / "texts.txt").write_text("A lamp, bright.\nIt leaks.\n")
    fields: dict[str, Any] = {
        "train": f"{review_file}:train[:40]",
        "validation": f"{review_file}:train[40:]",
        "unlabelled": str(tmp_path / "texts.txt"),
        "soft_labels": str(tmp_path / "soft" / "labels.parquet"),
        "soft_label_weight": 0.7,
        "output_dir": str(tmp_path / "student"),
        "embedding_size": 8,
        "hidden_size": 8,
        "num_train_epochs": 1,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, train: Any) -> None:
    """Put another classifier in the place of a member."""
    monkeypatch.setitem(CLASSIFIERS, name, Classifier(name, "a stand-in", train))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["teacher.py", *map(str, arguments)])
    teacher.main()


def test_no_teacher_was_trained_on_what_it_predicts(
    recipe: Path,
    reviews: list[tuple[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[set[str], set[str]]] = []

    class Spy:
        def __init__(self, texts: list[str], labels: list[int]) -> None:
            self.texts = texts
            right = dict(reviews)
            assert [right[text] for text in texts] == labels

        def predict(self, unseen: list[str]) -> np.ndarray:
            seen.append((set(self.texts), set(unseen)))
            return np.full(len(unseen), 0.8)

    stand_in(monkeypatch, "tfidf", Spy)
    folder = tmp_path / "members"
    # It says the same of all, so that there is no best weight.
    arguments: list[object] = [recipe, "--members", "tfidf", "--folds", 4, "--weights", "equal"]
    arguments += ["--output_dir", folder]
    run(monkeypatch, *arguments)
    training = {text for text, _ in reviews[:40]}
    assert len(seen) == 4
    assert all(not learned & predicted for learned, predicted in seen)
    assert all(len(learned) == 30 and learned <= training for learned, _ in seen)
    assert set.union(*(predicted & training for _, predicted in seen)) == training
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    assert set(said) == {text_key(text) for text in [*training, "A lamp, bright.", "It leaks."]}
    assert list(said.values()) == pytest.approx([0.8] * len(said))

    run(monkeypatch, *arguments)
    assert len(seen) == 4, "what was done is not done again"
    with pytest.raises(
        SystemExit, match=r"teacher: .*members of another recipe, of other reviews or other folds"
    ):
        run(monkeypatch, *arguments, "--hidden_size", 4)


def test_halves_are_predicted_by_those_who_have_not_learned_from_the_whole(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No two have a half in common, and every fourth is too short for one.
    whole = [
        " ".join(f"word{number}x{word}" for word in range(50 if number % 4 else 30))
        for number in range(40)
    ]
    halves = {half: text for text in whole for half in halves_of(text)}
    assert len(halves) == 60
    source = tmp_path / "long.ft.txt"
    source.write_text("".join(f"__label__{1 + n % 2} {t}\n" for n, t in enumerate(whole)))
    predicted: set[str] = set()

    class Spy:
        def __init__(self, texts: list[str], labels: list[int]) -> None:
            assert set(texts) <= set(whole), "nobody learns from a half: it has no label"
            self.theirs = {half for half, text in halves.items() if text in texts}

        def predict(self, unseen: list[str]) -> np.ndarray:
            assert not self.theirs & set(unseen)
            predicted.update(unseen)
            return np.full(len(unseen), 0.8)

    stand_in(monkeypatch, "tfidf", Spy)
    stand_in(monkeypatch, "fasttext", Optimist)
    members = ("--members", "tfidf", "--once", "fasttext", "--folds", 4, "--weights", "equal")
    folder = tmp_path / "members"
    fields = {"augment_halves": "true", "train": str(source)}
    options = [word for name, value in fields.items() for word in (f"--{name}", value)]
    run(monkeypatch, recipe, *members, "--output_dir", folder, *options)
    assert set(halves) <= predicted
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    assert set(said) >= {text_key(text) for text in [*whole, *halves]}
    folder = train(read_recipe(recipe, fields))
    steps = results_of(folder).training["steps"]
    # 40 reviews, two texts without labels, and the halves; in batches of eight.
    assert steps == math.ceil((42 + len(halves)) / 8)


class Optimist:
    """Predicts that everything is good."""

    def __init__(self, texts: list[str], labels: list[int]) -> None:
        pass

    def predict(self, asked: list[str]) -> np.ndarray:
        """Almost sure."""
        return np.full(len(asked), 0.9)


def test_a_student_learns_from_an_ensemble(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, recipe, "--folds", 2, "--output_dir", tmp_path / "members")
    printed = capsys.readouterr().out
    for who in ("lstm", "tfidf", "all"):
        assert f"training reviews, each unseen: {who}" in printed
        assert f"validation reviews: {who}" in printed
    said = json.loads((tmp_path / "members" / "teacher.json").read_text())
    assert "weights (dev): lstm " in printed
    assert said["weights"]["by"] == "dev"
    assert set(said["weights"]["members"]) == {"lstm", "tfidf"}
    assert sum(said["weights"]["members"].values()) == pytest.approx(1)
    assert set(said["validation reviews"]) == {"lstm", "tfidf", "all"}
    assert said["validation reviews"]["all"]["reviews"] == 20
    assert (train(read_recipe(recipe)) / "results.json").exists()


def test_a_member_trained_once_predicts_all(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[tuple[str, int, int]] = []

    def member(name: str, positive: float) -> Any:
        class Spy:
            def __init__(self, texts: list[str], labels: list[int]) -> None:
                self.learned = len(texts)

            def predict(self, texts: list[str]) -> np.ndarray:
                asked.append((name, self.learned, len(texts)))
                return np.full(len(texts), positive)

        return Spy

    stand_in(monkeypatch, "tfidf", member("by folds", 0.5))
    stand_in(monkeypatch, "minilm", member("once", 0.9))
    folder = tmp_path / "members"
    others = len(read_reviews([read_recipe(recipe).reviews.validation[0]])[0]) + 2
    arguments: list[object] = [recipe, "--once", "minilm", "--folds", 2, "--weights", "equal"]
    arguments += ["--output_dir", folder]
    run(monkeypatch, *arguments, "--members", "tfidf")
    assert "each unseen" not in capsys.readouterr().out, "the second has seen them"
    assert asked == [("by folds", 20, 20 + others)] * 2 + [("once", 40, 40 + others)]
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    # The mean of the log-odds 0 and ln 9.
    assert list(said.values()) == pytest.approx([0.75] * len(said))

    run(monkeypatch, *arguments, "--members")
    assert len(asked) == 3, "what was done is not done again"
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    assert list(said.values()) == pytest.approx([0.9] * len(said))


def test_a_costly_member_is_spared(
    recipe: Path,
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It learns from fewer reviews, and is not asked of those whose label is beyond doubt."""
    texts, labels = read_reviews([f"{review_file}:train[:40]"])
    label_of = dict(zip(texts, labels, strict=True))
    others, held_out = read_reviews([f"{review_file}:train[40:]"])
    label_of_other = dict(zip(others, held_out, strict=True))
    learned: list[list[str]] = []
    asked: list[str] = []

    class Cheap(Optimist):
        def predict(self, texts: list[str]) -> np.ndarray:
            # Right on all, and sure of the positive ones.
            known = label_of | label_of_other
            return np.array([0.95 if known.get(text, 0) else 0.4 for text in texts])

    class Costly(Optimist):
        def __init__(self, texts: list[str], labels: list[int]) -> None:
            learned.append(texts)

        def predict(self, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return np.array([0.8 if label_of_other.get(text, 0) else 0.2 for text in texts])

    stand_in(monkeypatch, "tfidf", Cheap)
    stand_in(monkeypatch, "minilm", Costly)
    arguments: list[object] = [recipe, "--members", "tfidf", "--once", "minilm", "--sure", 0.9]
    arguments += ["--weights", "equal", "--output_dir", tmp_path / "members"]
    few = f"{review_file}:train[:10]"
    run(monkeypatch, *arguments, "--once_train", few)
    assert learned == [read_reviews([few])[0]]
    negative = [text for text in texts if not label_of[text]]
    assert asked == [*negative, *others, "A lamp, bright.", "It leaks."]
    output = capsys.readouterr().out
    assert f"minilm: asked {len(negative)} texts of 40 whose reviews have labels" in output
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    # Of what it is not asked, what it says of such validation reviews.
    positive, together = ((logit(x) + logit(y)) / 2 for x, y in [(0.95, 0.8), (0.4, 0.2)])
    for text, label in label_of.items():
        assert said[text_key(text)] == pytest.approx(expit(positive if label else together))
    with pytest.raises(SystemExit, match="of other reviews or other folds; choose another"):
        run(monkeypatch, *arguments)


def test_answers_of_others_are_taken(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Spy(Optimist):
        def predict(self, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return np.full(len(texts), 0.9)

    stand_in(monkeypatch, "minilm", Spy)
    arguments: list[object] = [recipe, "--members", "--once", "minilm", "--weights", "equal"]
    answers = tmp_path / "kept" / "answers"
    run(monkeypatch, *arguments, "--output_dir", tmp_path / "first", "--keep_answers", answers)
    assert list(read_soft_labels(answers / "minilm.parquet")) == sorted(map(text_key, asked))
    before = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    del asked[:]
    (tmp_path / "texts.txt").write_text("A lamp, bright.\nIt leaks.\nNot bad at all.\n")
    arguments += ["--output_dir", tmp_path / "second", "--answers", answers]
    soft_labels = tmp_path / "soft" / "labels.parquet"
    run(monkeypatch, *arguments, "--only_answered")
    assert not asked
    assert read_soft_labels(soft_labels) == before, "no word on the text without an answer"
    run(monkeypatch, *arguments)
    assert asked == ["Not bad at all."]
    assert read_soft_labels(soft_labels).items() > before.items()


def test_answers_of_members_by_folds_are_taken(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of a review is the word of those who have not seen it."""
    arguments: list[object] = [recipe, "--members", "tfidf", "--weights", "equal"]
    answers, soft_labels = tmp_path / "answers", tmp_path / "soft" / "labels.parquet"
    run(monkeypatch, *arguments, "--output_dir", tmp_path / "first", "--keep_answers", answers)
    before = read_soft_labels(soft_labels)

    def refuse(*_: object) -> None:
        raise AssertionError("nothing has to be asked")

    stand_in(monkeypatch, "tfidf", refuse)
    run(monkeypatch, *arguments, "--output_dir", tmp_path / "second", "--answers", answers)
    after = read_soft_labels(soft_labels)
    assert after.keys() == before.keys()
    assert list(after.values()) == pytest.approx(list(before.values()), abs=6e-4)


def test_what_is_answered_is_known_however_sure_the_others_are(
    recipe: Path, review_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, _ = read_reviews([f"{review_file}:train[:40]"])
    others, _ = read_reviews([f"{review_file}:train[40:]"])
    asked: list[str] = []

    class Sure(Optimist):
        def predict(self, texts: list[str]) -> np.ndarray:
            return np.full(len(texts), 0.95)

    class Costly(Optimist):
        def predict(self, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return np.full(len(texts), 0.7)

    stand_in(monkeypatch, "tfidf", Sure)
    stand_in(monkeypatch, "minilm", Costly)
    answers = tmp_path / "answers"
    answers.mkdir()
    known = [texts[0], *others, "A lamp, bright."]
    write_soft_labels(answers / "minilm.parquet", known, [0.2] * len(known))
    arguments: list[object] = [recipe, "--members", "tfidf", "--once", "minilm", "--sure", 0.9]
    arguments += ["--weights", "equal", "--output_dir", tmp_path / "members"]
    run(monkeypatch, *arguments, "--answers", answers, "--only_answered")
    assert not asked, "not of reviews either"
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    assert said[text_key(texts[0])] == pytest.approx(expit((logit(0.95) + logit(0.2)) / 2))
    assert text_key("It leaks.") not in said


def test_answers_are_kept_to_three_decimals(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spy(Optimist):
        def predict(self, texts: list[str]) -> np.ndarray:
            return np.full(len(texts), 0.9004)

    stand_in(monkeypatch, "minilm", Spy)
    arguments: list[object] = [recipe, "--members", "--once", "minilm", "--weights", "equal"]
    run(monkeypatch, *arguments, "--output_dir", tmp_path / "first", "--keep_answers", tmp_path)
    exact = read_soft_labels(tmp_path / "first" / "all-minilm.parquet")
    kept = read_soft_labels(tmp_path / "minilm.parquet")
    assert kept.keys() == exact.keys()
    assert list(exact.values()) == pytest.approx([0.9004] * len(exact), abs=1e-6)
    assert list(kept.values()) == pytest.approx([0.9] * len(exact), abs=1e-6)


def test_further_texts_cost_only_themselves(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    class Spy(Optimist):
        def predict(self, texts: list[str]) -> np.ndarray:
            asked.append(texts)
            return np.array([0.9 - 0.001 * len(text) for text in texts])

    stand_in(monkeypatch, "minilm", Spy)
    arguments: list[object] = [recipe, "--members", "--once", "minilm", "--weights", "equal"]
    arguments += ["--output_dir", tmp_path / "members"]
    run(monkeypatch, *arguments)
    before = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    more = tmp_path / "more.txt"
    more.write_text(
        "Not bad at all.\nIt leaks.\n" + ("A long story with words to spare. " * 9).strip()
    )
    run(monkeypatch, *arguments, "--unlabelled", tmp_path / "texts.txt", more)
    text = more.read_text().splitlines()[-1]
    assert sorted(asked[1]) == sorted(["Not bad at all.", text])
    after = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    assert after.items() > before.items()
    assert after[text_key("Not bad at all.")] == pytest.approx(0.885)
    run(monkeypatch, *arguments, "--unlabelled", more, "--augment_halves", "true")
    assert sorted(asked[2]) == sorted(halves_of(text))


def test_a_review_is_not_judged_as_an_unlabelled_text(
    recipe: Path,
    reviews: list[tuple[str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some of the members that predict an unlabelled text have learned from the review."""

    class Spy:
        def __init__(self, texts: list[str], labels: list[int]) -> None:
            self.texts = set(texts)

        def predict(self, texts: list[str]) -> np.ndarray:
            return np.array([0.99 if text in self.texts else 0.6 for text in texts])

    stand_in(monkeypatch, "tfidf", Spy)
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text, _ in reviews[:40]))
    arguments = ("--members", "tfidf", "--folds", 2, "--weights", "equal")
    run(monkeypatch, recipe, *arguments, "--output_dir", tmp_path / "members")
    said = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    assert list(said.values()) == pytest.approx([0.6] * 40)


def test_weights_make_the_labels_most_likely() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 3000)
    signs = 2.0 * labels - 1
    # Two that know something, one that knows nothing and one that says the opposite; too sure all.
    log_odds = 4 * np.stack(
        [
            signs * strength + random.normal(size=3000) * noise
            for strength, noise in ((1.0, 1.5), (0.5, 1.0), (0.0, 1.0), (-0.5, 1.0))
        ]
    )
    factors = teacher.weigh(log_odds, labels.tolist())
    known = LogisticRegression(C=1e9, fit_intercept=False).fit(log_odds[:2].T, labels)
    assert factors[:2] == pytest.approx(known.coef_[0], rel=0.01)
    assert factors[2:] == pytest.approx([0, 0], abs=0.02)
    assert (factors >= 0).all()

    def loss(combined: np.ndarray) -> float:
        return float(np.logaddexp(0, -signs * combined).mean())

    assert loss(factors @ log_odds) < loss(log_odds.mean(0))
    for share in np.eye(4):
        assert loss(factors @ log_odds) < loss((0.95 * factors + 0.05 * share) @ log_odds)
    with pytest.raises(ValueError, match="no member tells the 3000 validation reviews apart"):
        teacher.weigh(-log_odds[:1], labels.tolist())
    assert np.isfinite(teacher.weigh(np.array([signs]), labels.tolist())).all(), "told apart wholly"


def test_the_soft_labels_are_the_weighted_sum(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that knows all counts more than one that knows little."""

    def knows(strength: float) -> Any:
        class Spy(Optimist):
            def predict(self, texts: list[str]) -> np.ndarray:
                wrong = [len(text) % 3 == 0 for text in texts]
                good = [any(word in text for word in ("Great", "Perfect", "joy")) for text in texts]
                odds = np.where(np.array(good) ^ (np.array(wrong) & (strength < 2)), 1, -1)
                return np.asarray(expit(strength * odds))

        return Spy

    stand_in(monkeypatch, "minilm", knows(2.0))
    stand_in(monkeypatch, "fasttext", knows(1.0))
    folder = tmp_path / "members"
    arguments = ("--members", "--once", "minilm", "fasttext", "--output_dir", folder)
    run(monkeypatch, recipe, *arguments)
    said = json.loads((folder / "teacher.json").read_text())["weights"]
    assert said["members"]["minilm"] > said["members"]["fasttext"]
    soft = read_soft_labels(tmp_path / "soft" / "labels.parquet")
    by_member = [
        read_soft_labels(folder / f"all-{name}.parquet") for name in ("minilm", "fasttext")
    ]
    key = text_key("It leaks.")
    mean = sum(
        share * logit(found[key])
        for share, found in zip(said["members"].values(), by_member, strict=True)
    )
    assert soft[key] == pytest.approx(expit(said["scale"] * mean), abs=1e-5)


def test_no_token_is_in_the_task(recipe: Path, tmp_path: Path) -> None:
    for token in ("hf_one", "hf_two"):  # with another token it is the same task
        teacher.claim(tmp_path / "t", read_recipe(recipe, {"hub_token": token}), 2)
    assert "hf_" not in (tmp_path / "t" / "task.json").read_text()


def test_wrong_use_says_so(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"say where the soft labels go"):
        run(monkeypatch, recipe, "--soft_labels", "null", "--soft_label_weight", "null")
    with pytest.raises(SystemExit, match="--folds is 2 or more, not 1"):
        run(monkeypatch, recipe, "--folds", 1)
    with pytest.raises(SystemExit, match=r"--sure is a probability above 0\.5, not 0\.5"):
        run(monkeypatch, recipe, "--sure", 0.5)
    with pytest.raises(SystemExit, match="--answers runs/none: there is no such folder"):
        run(monkeypatch, recipe, "--answers", "runs/none")
    with pytest.raises(SystemExit, match="--only_answered: say which answers there are"):
        run(monkeypatch, recipe, "--only_answered")
    with pytest.raises(SystemExit, match="no members: name some"):
        run(monkeypatch, recipe, "--members")
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True, "avx_vnni": False})
    with pytest.raises(SystemExit, match=r"--int8: this CPU has no instructions for 8-bit"):
        run(monkeypatch, recipe, "--int8")


def test_members_are_of_the_content_of_their_reviews(recipe: Path, tmp_path: Path) -> None:
    reviews = tmp_path / "mine.ft.txt"
    reviews.write_text("__label__2 Fine: as before.\n")
    read = read_recipe(recipe, {"train": str(reviews)})
    for _ in range(2):
        teacher.claim(tmp_path / "t", read, 2)
    reviews.write_text("__label__1 Fine: as before.\n")
    with pytest.raises(ValueError, match="holds members of another recipe, of other reviews"):
        teacher.claim(tmp_path / "t", read, 2)
