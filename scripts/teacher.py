"""Let an ensemble of teachers predict each review of a recipe: its soft labels.

    python scripts/teacher.py scripts/recipes/teacher.yaml [--members lstm tfidf] [--folds 3]
        [--once minilm mpnet] [--once_train SOURCE ...] [--sure 0.9] [--weights equal]

The recipe says where they go (`soft_labels`), on which reviews the ensemble is trained (`train`)
and which texts without labels it reads besides (`unlabelled`); `sentiment-lstm train` with the
recipe then learns from them. Members are `lstm`, the recipe's own model without a teacher, and the
baselines of `baselines.py`. Their log-odds are added up, with the weights that make the recipe's
*validation* reviews most likely (`--weights dev`): none below zero, and a factor by which their
mean is too sure, or not sure enough. So these reviews have chosen a handful of numbers, and what is
measured on them of all members together is optimistically biased. `--weights equal` takes the mean
as it is.

A model is no teacher of the reviews that it was trained on: it knows their labels. So the reviews
are dealt into folds, and each is predicted by members that were trained on the other folds; texts
without labels by all. A costly member that reads each review only once in training, as `minilm` and
`mpnet` do, can be given with `--once` instead: it is trained a single time, on all reviews, and
predicts them too. `--members --once mpnet` is a teacher of that one alone. Two options spare it
time: `--once_train` has it learn from other, fewer reviews, and `--sure 0.9` asks it nothing of a
review whose label the members by folds, which have not seen it, find that probable already. There
it counts as saying what it says in the mean of validation reviews with as probable a label.

Finished members are kept below `--output_dir`, and what they said by the content of each text: the
same command resumes an interrupted one, and further `unlabelled` texts cost only themselves.
`teacher.json` there says what the members weigh and how accurate they are. What a member has said
can be kept for others: `--keep_answers FOLDER` writes a file for each (`mpnet.parquet`), to three
decimals and without a word of the texts, and `--answers FOLDER` takes the files that it has, and
only trains what has to be asked of more texts; `--only_answered` asks those of `--once` of no more
than that. `--int8` lets a transformer answer in 8-bit integers, 2.5 times as fast where the CPU has
VNNI and no AMX; it takes a C++ compiler. `minilm` comes with the extra `benchmark`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.data.sources import file_digest, parse_source
from sentiment_lstm.evaluation.evaluate import Predictions, measure
from sentiment_lstm.evaluation.results import without_secrets
from sentiment_lstm.files import dump_json, write_json, write_text
from sentiment_lstm.inference.predictor import SentimentPredictor
from sentiment_lstm.training.distillation import (
    halves_of,
    read_soft_labels,
    text_key,
    write_soft_labels,
)
from sentiment_lstm.training.int8 import multiplies_integers_fast
from sentiment_lstm.training.recipe import Recipe, read_recipe, reading_options
from sentiment_lstm.training.run import train
from sentiment_lstm.training.teachers import (
    CLASSIFIERS,
    WITHOUT_TEACHER,
    Classifier,
    add_pretrained_option,
    classifiers,
    read_reviews,
    read_texts,
    refuse_own_labels,
    write_reviews,
)

LSTM = "lstm"
TASK_FILE = "task.json"
TEACHER_FILE = "teacher.json"
# A factor of the log-odds, as of a temperature: reviews that are told apart wholly would take more.
_LARGEST = 20.0


class Ensemble:
    """The members: some trained fold by fold, some once.

    Args:
        recipe: The recipe.
        members: Names of those that are trained fold by fold.
        once: Names of those that are trained on all reviews.
        known: Name -> baseline.
        output_dir: Where finished members are kept.
        once_train: What those of `once` are trained on, in the place of all reviews.
        sure: How probable the members by folds must find the label of a review for those of `once`
            not to be asked.
        answers: A folder of what members have said of texts before, a file for each.
        keep_answers: A folder where such files are written.
        only_answered: Whether those of `once` are asked nothing: texts without a label that are not
            among their answers get no soft label, and such reviews count as those that the members
            by folds are sure of.
    """

    def __init__(
        self,
        recipe: Recipe,
        members: list[str],
        once: list[str],
        known: Mapping[str, Classifier],
        output_dir: Path,
        once_train: list[str] | None = None,
        sure: float = 1.0,
        answers: Path | None = None,
        keep_answers: Path | None = None,
        only_answered: bool = False,
    ) -> None:
        self.recipe = recipe
        self.members = members
        self.once = once
        self.known = known
        self.output_dir = output_dir
        self.once_train = once_train
        self.sure = sure
        # Member -> key of a text -> probability of POSITIVE, as it said before.
        self.answers = {
            member: read_soft_labels(path)
            for member in [*members, *once]
            if answers is not None and (path := answers / f"{member}.parquet").exists()
        }
        self.keep_answers = keep_answers
        self.only_answered = only_answered

    def to_be_read(self, texts: list[str]) -> list[str]:
        """The texts without labels that get a soft one: all, or those that have answers.

        Args:
            texts: Texts.
        """
        if not self.only_answered:
            return texts
        answers = [self.answered(member, texts) for member in self.once]
        left = [text for text, *known in zip(texts, *answers, strict=True) if all(known)]
        print(f"left out: {len(texts) - len(left):,} texts without an answer", flush=True)
        return left

    def answered(self, member: str, texts: list[str]) -> NDArray[np.bool_]:
        """Of which texts there are answers of a member, `(texts,)`."""
        known = self.answers.get(member, {})
        return np.array([text_key(text) in known for text in texts], dtype=bool)

    def predict(
        self, member: str, part: str, texts: list[str], labels: list[int], asked: list[str]
    ) -> NDArray[np.float64]:
        """Train a member on a part of the reviews and predict texts, those that it has not yet.

        Args:
            member: Its name.
            part: The name of the part.
            texts: The reviews of the part.
            labels: Theirs.
            asked: What to predict.

        Returns:
            Log-odds of POSITIVE, `(asked,)`.
        """
        path = self.output_dir / f"{part}-{member}.parquet"
        known = self.answers.get(member, {}) | (read_soft_labels(path) if path.exists() else {})
        keys = list(map(text_key, asked))
        new = {key: text for key, text in zip(keys, asked, strict=True) if key not in known}
        if new:
            found = self._train(member, part, texts, labels)(list(new.values()))
            known |= zip(new, found.tolist(), strict=True)
            write_soft_labels(path, [], [], besides=known)
        print(f"{part}: {member} has predicted {len(new):,} texts of {len(asked):,}", flush=True)
        positive = np.array([known[key] for key in keys])
        # A member that is quite sure must not outvote the others.
        log_odds: NDArray[np.float64] = logit(positive.clip(0.001, 0.999))
        return log_odds

    def keep(self, member: str, texts: list[str], log_odds: NDArray[np.float64]) -> None:
        """Write what a member has said, if it is to be kept.

        Args:
            member: Its name.
            texts: Texts.
            log_odds: What it said of them, `(texts,)`.
        """
        if self.keep_answers is None:
            return
        self.keep_answers.mkdir(parents=True, exist_ok=True)
        positive = expit(log_odds).round(3).tolist()
        write_soft_labels(self.keep_answers / f"{member}.parquet", texts, positive)

    def _train(
        self, member: str, part: str, texts: list[str], labels: list[int]
    ) -> Callable[[list[str]], NDArray[Any]]:
        """A function from texts to probabilities of POSITIVE."""
        if member != LSTM:
            return self.known[member].train(texts, labels).predict
        refuse_own_labels(self.recipe)
        source = self.output_dir / f"{part}.jsonl"
        write_reviews(source, texts, labels)
        recipe = self.recipe.replace(
            train=str(source), output_dir=str(self.output_dir / part), **WITHOUT_TEACHER
        )
        predictor = SentimentPredictor.from_pretrained(train(recipe))
        return lambda asked: predictor.predict_proba(asked)[:, 1]


def teach(recipe: Recipe, ensemble: Ensemble, folds: int, weights: str = "dev") -> Path:
    """Predict the reviews and texts of a recipe, and write its soft labels.

    Prints what the members weigh, and how accurate they and all together are on the labelled
    reviews and on those of the recipe's validation; writes it to `teacher.json`.

    Args:
        recipe: The recipe.
        ensemble: Its members.
        folds: Their number, from 2; of no meaning without members that are trained by folds.
        weights: `dev` for those that the validation reviews say (see `weigh`), or `equal`.

    Returns:
        The file of soft labels.

    Raises:
        ValueError: As `weigh`.
    """
    reviews = recipe.reviews
    options = reading_options(recipe.fields)
    texts, known = read_reviews(reviews.train, **options)
    others, held_out = read_reviews(reviews.validation, **options)
    labels, n_held_out = np.array(known), len(others)
    unlabelled = read_texts(reviews.unlabelled, reviews.max_line_bytes)
    # Halves of a review are predicted by those who predict the whole: they have not learned it.
    whole = len(texts)
    owners = list(range(whole))
    if reviews.augment_halves:
        cut = [(owner, half) for owner, text in enumerate(texts) for half in halves_of(text)]
        owners += [owner for owner, _ in cut]
        texts = texts + [half for _, half in cut]
        unlabelled += [half for text in unlabelled for half in halves_of(text)]
    unlabelled = ensemble.to_be_read(unlabelled)
    # By the members of all folds: validation reviews, to measure, and texts without labels.
    others += unlabelled

    members = [*ensemble.members, *ensemble.once]
    fold_of = (np.random.default_rng(0).permutation(whole) % folds)[owners]
    log_odds = np.zeros((len(members), len(texts)))
    of_others = np.zeros((len(members), len(others)))
    for fold, (row, member) in itertools.product(range(folds), enumerate(ensemble.members)):
        inside = np.flatnonzero(fold_of == fold)
        outside = np.flatnonzero(fold_of[:whole] != fold)
        asked = [texts[i] for i in inside] + others
        learned = [texts[i] for i in outside]
        found = ensemble.predict(member, f"fold{fold}", learned, labels[outside].tolist(), asked)
        log_odds[row, inside] = found[: len(inside)]
        of_others[row] += found[len(inside) :] / folds
    for row, member in enumerate(ensemble.members):  # the reviews last, as below
        ensemble.keep(member, others + texts, np.concatenate([of_others[row], log_odds[row]]))
    n_by_folds = len(ensemble.members)
    signs = 2 * labels[owners] - 1
    sure = _sure(log_odds[:n_by_folds], signs, ensemble.sure)
    signs_held_out = 2 * np.array(held_out) - 1
    sure_held_out = _sure(of_others[:n_by_folds, :n_held_out], signs_held_out, ensemble.sure)
    learned, their_labels = texts[:whole], known
    if ensemble.once_train is not None:
        learned, their_labels = read_reviews(ensemble.once_train, **options)
    for row, member in enumerate(ensemble.once, start=len(ensemble.members)):
        part = "all" if ensemble.once_train is None else f"some{len(learned)}"
        # What it has said already is known, however sure the others are.
        said = ensemble.answered(member, texts)
        spared = ~said if ensemble.only_answered else sure & ~said
        rest = np.flatnonzero(~spared)
        asked = [texts[i] for i in rest] + others
        found = ensemble.predict(member, part, learned, their_labels, asked)
        ensemble.keep(member, asked, found)
        log_odds[row, rest], of_others[row] = found[: len(rest)], found[len(rest) :]
        if spared.any():
            asked_of = f"asked {len(rest):,} texts of {len(texts):,}"
            print(f"{member}: {asked_of} whose reviews have labels")
            # Of what it is not asked it says what it says of such validation reviews in the mean:
            # the members by folds find their labels probable, too, and so will it.
            towards = (of_others[row, :n_held_out] * signs_held_out)[sure_held_out]
            log_odds[row, spared] = (towards.mean() if len(towards) else 0.0) * signs[spared]

    seen = of_others[:, :n_held_out]
    factors = weigh(seen, held_out) if weights == "dev" else np.full(len(members), 1 / len(members))
    scale = float(factors.sum())
    shares = {name: float(factor) / scale for name, factor in zip(members, factors, strict=True)}
    listed = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    print(f"weights ({weights}): {listed}; their mean times {scale:.3f}")

    unseen = "" if ensemble.once else ", each unseen"
    accuracies = {
        f"training reviews{unseen}": _measure(members, log_odds[:, :whole], known, factors),
        "validation reviews": _measure(members, seen, held_out, factors),
    }
    for name, by_member in accuracies.items():
        for member, figures in by_member.items():
            print(f"{name}: {member} {figures['accuracy']:.2%}, loss {figures['loss']:.4f}")
    chosen = {"by": weights, "scale": scale, "members": shares}
    write_json(ensemble.output_dir / TEACHER_FILE, {"weights": chosen, **accuracies})

    path = Path(str(reviews.soft_labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The reviews last: what is said of one by those who have not seen it counts.
    together = np.concatenate([factors @ of_others[:, n_held_out:], factors @ log_odds])
    write_soft_labels(path, [*unlabelled, *texts], expit(together).tolist())
    return path


def _sure(
    by_folds: NDArray[np.float64], signs: NDArray[np.int64], sure: float
) -> NDArray[np.bool_]:
    """Where the members by folds find labels so probable.

    Args:
        by_folds: Their log-odds, `(members, texts)`.
        signs: 1 for a text of a POSITIVE review, -1 for others, `(texts,)`.
        sure: How probable.
    """
    mean = by_folds.sum(0) / max(1, len(by_folds))
    found: NDArray[np.bool_] = expit(mean * signs) >= sure
    return found


def weigh(log_odds: NDArray[np.float64], labels: list[int]) -> NDArray[np.float64]:
    """What to multiply the members' log-odds by, so that their sum makes labels most likely.

    A logistic regression without an intercept, and with no factor below zero: convex.

    Args:
        log_odds: `(members, reviews)`.
        labels: Of the reviews.

    Returns:
        A factor for each member, `(members,)`; their sum says whether the mean is too sure (below
        1) or not sure enough.

    Raises:
        ValueError: If no member is better than chance.
    """
    signs = 2.0 * np.array(labels) - 1
    towards = log_odds * signs  # (members, reviews), above 0 where a member is right
    if towards.mean(1).max() < 1e-9:  # then the best factors are zeros
        raise ValueError(
            f"no member tells the {len(labels)} validation reviews apart better than chance: look "
            "at the members and the reviews, or give --weights equal"
        )

    def loss(factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = factors @ towards
        gradient = -(towards * expit(-margins)).mean(1)
        return float(np.logaddexp(0, -margins).mean()), gradient

    start = np.full(len(log_odds), 1 / len(log_odds))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, _LARGEST)] * len(start))
    factors: NDArray[np.float64] = found.x
    return factors


def _measure(
    members: list[str],
    log_odds: NDArray[np.float64],
    labels: list[int],
    factors: NDArray[np.float64],
) -> dict[str, dict[str, Any]]:
    """Figures of each member, and of `all` together.

    Args:
        members: Their names.
        log_odds: `(members, reviews)`.
        labels: Of the reviews.
        factors: Of the members' log-odds, where they are added up.
    """
    return {
        name: measure(Predictions.of_positive(expit(odds), labels))
        for name, odds in [*zip(members, log_odds, strict=True), ("all", factors @ log_odds)]
    }


# Fields that change nothing of what a member is: they say what it is asked, and what for.
_NOT_OF_MEMBERS = ("soft_labels", "soft_label_weight", "unlabelled", "augment_halves")


def claim(folder: Path, recipe: Recipe, folds: int, once_train: list[str] | None = None) -> None:
    """Give a folder to the members of a recipe, or find that it is theirs.

    Raises:
        ValueError: If it holds those of another recipe, of other reviews, of other folds or other
            `once_train`.
    """
    fields = without_secrets(recipe.fields)
    own = {name: value for name, value in fields.items() if name not in _NOT_OF_MEMBERS}
    asked = {"recipe": own, "folds": folds, "once_train": once_train}
    # By content: what members have said is kept by the text that they were asked of alone.
    files = [Path(parse_source(name).name) for name in [*recipe.reviews.train, *(once_train or [])]]
    contents = [file_digest(path) for path in files if path.is_file()]
    task = dump_json(asked | {"contents": contents})
    path = folder / TASK_FILE
    if path.exists() and path.read_text(encoding="utf-8") != task:
        raise ValueError(
            f"{folder}: holds members of another recipe, of other reviews or other folds; "
            "choose another --output_dir, or delete the folder to start anew"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, task)


def main() -> None:
    """Train an ensemble and write what it predicts."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of the recipe can be given too: --num_train_epochs 2",
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument(
        "--members", nargs="*", choices=[LSTM, *CLASSIFIERS], default=[LSTM, "tfidf"]
    )
    parser.add_argument("--once", nargs="+", choices=list(CLASSIFIERS), default=[])
    parser.add_argument(
        "--once_train", nargs="+", metavar="SOURCE", help="what these learn from (default: all)"
    )
    parser.add_argument(
        "--sure", type=float, default=1.0, help="of a label, for these not to be asked (default: 1)"
    )
    parser.add_argument("--int8", action="store_true", help="how transformers answer")
    parser.add_argument(
        "--answers", type=Path, metavar="FOLDER", help="of what members said before"
    )
    parser.add_argument("--keep_answers", type=Path, metavar="FOLDER", help="for --answers, later")
    parser.add_argument("--only_answered", action="store_true", help="ask --once of no others")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--weights", choices=["dev", "equal"], default="dev")
    add_pretrained_option(parser)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/teacher"))
    options, fields = parser.parse_known_args()
    try:
        recipe = read_recipe(options.recipe, read_overrides(fields))
        if recipe.reviews.soft_labels is None:
            raise ValueError(f"{options.recipe}: say where the soft labels go (`soft_labels`)")
        if options.folds < 2:
            raise ValueError(f"--folds is 2 or more, not {options.folds}")
        if not options.members and not options.once:
            raise ValueError("no members: name some with --members or --once")
        if not 0.5 < options.sure <= 1:
            raise ValueError(f"--sure is a probability above 0.5, not {options.sure}")
        if options.answers is not None and not options.answers.is_dir():
            raise ValueError(f"--answers {options.answers}: there is no such folder")
        if options.only_answered and options.answers is None:
            raise ValueError("--only_answered: say which answers there are, with --answers FOLDER")
        if options.int8 and not multiplies_integers_fast():
            raise ValueError(
                "--int8: this CPU has no instructions for 8-bit integers (VNNI), and would take "
                "many times as long in them as in float32: leave it out"
            )
        known = classifiers(options.pretrained, options.int8)
        claim(options.output_dir, recipe, options.folds, options.once_train)
        members = (options.members, options.once, known, options.output_dir)
        spared = (options.once_train, options.sure, options.answers, options.keep_answers)
        ensemble = Ensemble(recipe, *members, *spared, options.only_answered)
        path = teach(recipe, ensemble, options.folds, options.weights)
    except ModuleNotFoundError as error:
        sys.exit(f"teacher: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"teacher: {error}")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
