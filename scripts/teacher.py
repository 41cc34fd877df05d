"""Let an ensemble say what it thinks of each review of a recipe: its soft labels.

    python scripts/teacher.py scripts/recipes/distilled.yaml [--members lstm tfidf] [--folds 3]
        [--once minilm]

The recipe says where they go (`soft_labels`), on which reviews the ensemble is trained (`train`)
and which texts without labels it reads besides (`unlabelled`); `sentiment-lstm train` with the
recipe then learns from them. Members are `lstm`, the recipe's own model without soft labels, and
the baselines of `benchmark_accuracy.py`. Their log-odds are averaged.

What a model says of the reviews that it was trained on is of little use: it knows their labels. So
the reviews are dealt into folds, and each is judged by members that were trained on the other
folds; texts without labels by all. A costly member that reads each review only once in training,
as `minilm` does, can be given with `--once` instead: it is trained a single time, on all reviews,
and judges them too. Finished members are kept below `--output_dir`, so the command goes on where it
was interrupted. `minilm` comes with the extra `benchmark`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np
from benchmark_accuracy import BASELINES, WITHOUT_TEACHER, read_reviews, write_reviews
from numpy.typing import NDArray
from scipy.special import expit, logit

from sentiment_lstm.data.dataset import load_texts
from sentiment_lstm.evaluation.metrics import score
from sentiment_lstm.inference.predictor import load, predict_proba
from sentiment_lstm.training.distillation import halves_of, write_soft_labels
from sentiment_lstm.training.recipe import Recipe, as_arguments, read_recipe
from sentiment_lstm.training.run import train

LSTM = "lstm"


class Ensemble:
    """The members: some trained fold by fold, some once.

    Args:
        recipe_path: The recipe.
        overrides: Fields of it, as `sentiment-lstm train` takes them.
        members: Names of those that are trained fold by fold.
        once: Names of those that are trained on all reviews.
        output_dir: Where finished members are kept.
    """

    def __init__(
        self,
        recipe_path: Path,
        overrides: list[str],
        members: list[str],
        once: list[str],
        output_dir: Path,
    ) -> None:
        self.recipe_path = recipe_path
        self.overrides = overrides
        self.members = members
        self.once = once
        self.output_dir = output_dir

    def judge(
        self, member: str, part: str, texts: list[str], labels: list[int], asked: list[str]
    ) -> NDArray[np.float64]:
        """Train a member on a part of the reviews, unless that was done, and ask it of texts.

        Args:
            member: Its name.
            part: The name of the part.
            texts: The reviews of the part.
            labels: Theirs.
            asked: What it is asked of.

        Returns:
            Log-odds of POSITIVE, `(asked,)`.
        """
        path = self.output_dir / f"{part}-{member}.npy"
        if not path.exists():
            positive = self._train(member, part, texts, labels, asked)
            # A member that is quite sure must not outvote the others.
            np.save(path, logit(positive.clip(0.001, 0.999)))
        print(f"{part}: {member} has judged {len(asked):,} texts", flush=True)
        said: NDArray[np.float64] = np.load(path)
        return said

    def _train(
        self, member: str, part: str, texts: list[str], labels: list[int], asked: list[str]
    ) -> NDArray[np.float64]:
        if member != LSTM:
            return BASELINES[member][1](texts, labels).predict(asked)
        source = self.output_dir / f"{part}.jsonl"
        write_reviews(source, texts, labels)
        fields = {
            "train": str(source),
            "output_dir": str(self.output_dir / part),
            **WITHOUT_TEACHER,
        }
        recipe = read_recipe(self.recipe_path, [*self.overrides, *as_arguments(fields)])
        model, tokenizer = load(train(recipe))
        return np.stack(list(predict_proba(model, tokenizer, asked)))[:, 1]


def teach(recipe: Recipe, ensemble: Ensemble, folds: int) -> Path:
    """Judge the reviews and texts of a recipe and write what was said.

    Prints how well the members, and all together, judge the labelled reviews and those of the
    recipe's validation.

    Args:
        recipe: The recipe.
        ensemble: Its members.
        folds: Their number, from 2; of no meaning without members that are trained by folds.

    Returns:
        The file of soft labels.
    """
    reviews = recipe.reviews
    texts, known = read_reviews(reviews.train, reviews.on_bad_line)
    others, held_out = read_reviews(reviews.validation, reviews.on_bad_line)
    labels, right_held_out = np.array(known), np.array(held_out)
    unlabelled = [t for source in reviews.unlabelled for t in load_texts(source)["text"][:]]
    # Halves of a review are judged by those who judge the whole: they have not learned from it.
    whole, n_held_out = len(texts), len(others)
    owners = list(range(whole))
    if reviews.halves:
        cut = [(owner, half) for owner, text in enumerate(texts) for half in halves_of(text)]
        owners += [owner for owner, _ in cut]
        texts = texts + [half for _, half in cut]
        unlabelled += [half for text in unlabelled for half in halves_of(text)]
    # Judged by the members of all folds: validation reviews, to measure, and texts without labels.
    others += unlabelled

    members = [*ensemble.members, *ensemble.once]
    fold_of = (np.random.default_rng(0).permutation(whole) % folds)[owners]
    judged = np.zeros((len(members), len(texts)))
    of_others = np.zeros((len(members), len(others)))
    for fold, (row, member) in itertools.product(range(folds), enumerate(ensemble.members)):
        inside = np.flatnonzero(fold_of == fold)
        outside = np.flatnonzero(fold_of[:whole] != fold)
        asked = [texts[i] for i in inside] + others
        learned = [texts[i] for i in outside]
        said = ensemble.judge(member, f"fold{fold}", learned, labels[outside].tolist(), asked)
        judged[row, inside] = said[: len(inside)]
        of_others[row] += said[len(inside) :] / folds
    for row, member in enumerate(ensemble.once, start=len(ensemble.members)):
        said = ensemble.judge(member, "all", texts[:whole], known, texts + others)
        judged[row], of_others[row] = said[: len(texts)], said[len(texts) :]

    unseen = "" if ensemble.once else ", each unseen"
    for name, log_odds, right in [
        (f"training reviews{unseen}", judged[:, :whole], labels),
        ("validation reviews", of_others[:, :n_held_out], right_held_out),
    ]:
        for who, odds in [*zip(members, log_odds, strict=True), ("all", log_odds.mean(0))]:
            positive = expit(odds)
            found = score(np.stack([1 - positive, positive], axis=1), right)
            print(f"{name}: {who} {found['accuracy']:.2%}, loss {found['loss']:.4f}", flush=True)

    path = Path(str(reviews.soft_labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    spoken = np.concatenate([judged.mean(0), of_others.mean(0)[n_held_out:]])
    write_soft_labels(path, [*texts, *unlabelled], expit(spoken).tolist())
    return path


def main() -> None:
    """Train an ensemble and let it speak."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--members", nargs="*", choices=[LSTM, *BASELINES], default=[LSTM, "tfidf"])
    parser.add_argument("--once", nargs="+", choices=list(BASELINES), default=[])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/teacher"))
    options, overrides = parser.parse_known_args()
    try:
        recipe = read_recipe(options.recipe, overrides)
        if recipe.reviews.soft_labels is None:
            raise ValueError(f"{options.recipe}: say where the soft labels go (`soft_labels`)")
        if options.folds < 2:
            raise ValueError(f"--folds is 2 or more, not {options.folds}")
        if not options.members and not options.once:
            raise ValueError("no members: name some with --members or --once")
        claim(options.output_dir, recipe, options.folds)
        ensemble = Ensemble(
            options.recipe, overrides, options.members, options.once, options.output_dir
        )
        path = teach(recipe, ensemble, options.folds)
    except ModuleNotFoundError as error:
        sys.exit(f"teacher: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"teacher: {error}")
    print(f"wrote {path}")


def claim(folder: Path, recipe: Recipe, folds: int) -> None:
    """Give a folder to the members of a recipe, or find that it is theirs.

    Raises:
        ValueError: If it holds those of another recipe, or of other folds.
    """
    own = {name: v for name, v in recipe.fields.items() if not name.startswith("soft_label")}
    task = json.dumps({"recipe": own, "folds": folds}, indent=2)
    path = folder / "task.json"
    if path.exists() and path.read_text(encoding="utf-8") != task:
        raise ValueError(
            f"{folder}: holds members of another recipe, or of other folds; choose another "
            "--output_dir, or delete the folder to start anew"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(task, encoding="utf-8")


if __name__ == "__main__":
    main()
