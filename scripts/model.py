"""From reviews to a finished model, stage by stage: `make model`.

    python scripts/model.py [--stages] [--teacher --members tfidf --once mpnet ...]

Each stage is a command of its own, which resumes where it was stopped; so does this one. A stage is
skipped at once if the same command has finished on the same recipe, the same reviews and the same
files of the stages before. Says before each what it is and how long it took where it was measured
(`docs/results/model.json`); `--stages` says so and runs none. `runs/model.json` keeps what is
finished, and the seconds; `--save` writes these to `docs/results/model.json`. What stands behind
`--teacher` are options of `teacher.py`, in the place of those of `TEACHER`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from docs import RESULTS, duration, read_json
from sentiment_lstm.data.sources import file_digest, parse_source
from sentiment_lstm.files import write_json
from sentiment_lstm.locks import hold

SCRIPTS = Path(__file__).resolve().parent
RECIPES = SCRIPTS / "recipes"
MEASURED = RESULTS / "model.json"
# Of the sentences that a model may learn from.
TEMPLATES = SCRIPTS.parent / "sentiment_lstm" / "evaluation" / "behaviour_train.yaml"
# Of those that measure it: their words are left out of what it learns from.
MEASURED_WORDS = TEMPLATES.with_name("behaviour_measure.yaml")
STATE = Path("runs/model.json")
# MPNet learned from 12,000 of the reviews, which takes half an hour without a GPU. What it has said
# of all texts of the recipe and of our sentences, hours of work, lies beside the results: of what
# a change of the templates makes of these it is not asked.
TEACHER = [
    *("--members", "tfidf", "--once", "mpnet", "--once_train"),
    "../shared/data/kaggle_train.ft.txt",
    "../shared/data/amazon_other_train.ft.txt.bz2:train[:10000]",
    *("--answers", "docs/results/answers", "--only_answered"),
]
# Of the passes after the first adversarial one, the second and so on: after each a little more is
# right (docs/distillation.md).
SEEDS = (51, 52)


@dataclass(frozen=True)
class Stage:
    """One command on the way.

    Args:
        name: What the tables call it.
        what: What it does, for people.
        command: Arguments of Python.
        recipe: That it reads, if any: with the reviews that it names.
        reads: Files of earlier stages.
        writes: Files that are there when it is finished.
    """

    name: str
    what: str
    command: list[str]
    recipe: Path | None
    reads: list[str]
    writes: list[str]

    def key(self) -> str:
        """What decides on what it makes: the command and all files that it reads, but its own."""
        own = set(map(Path, self.writes))
        named = _files_of(self.recipe) if self.recipe else []
        files = [*map(Path, self.reads), *(path for path in named if path not in own)]
        # By its own name, for the checkout may be moved.
        command = [word.removeprefix(f"{SCRIPTS}/") for word in self.command]
        parts = [*command, *(file_digest(path) for path in files)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def stages(teaching: list[str]) -> list[Stage]:
    """The stages in their order.

    Args:
        teaching: Options of `teacher.py`.
    """
    teacher, student, language_model, adversarial = (
        RECIPES / f"{name}.yaml"
        for name in ("teacher", "distilled", "language_model", "adversarial")
    )
    sentences = ["runs/augmented/sentences.txt", "runs/augmented/rules.parquet"]
    by_rule = "runs/augmented/by_rule.txt"
    soft = "runs/teacher/soft_labels.parquet"
    augmented = ["runs/augmented/texts.txt", "runs/augmented/soft_labels.parquet"]
    words, meant = "runs/augmented/words.txt", "runs/augmented/meant.txt"
    vectors = ["runs/word_vectors/model.safetensors", "runs/word_vectors/words.txt"]
    start = "runs/language_model/model.safetensors"
    return [
        Stage(
            "sentences",
            "templates give sentences on what reviews seldom say, and reviews their parts",
            # No mixed ones: MPNet's kept answers are of others, and it would be trained for these.
            [str(SCRIPTS / "sentences.py"), str(teacher), "--mixed", "0"],
            teacher,
            [str(TEMPLATES), str(MEASURED_WORDS)],
            [*sentences, by_rule],
        ),
        Stage(
            "teacher",
            "teachers learn from the reviews, and read reviews, texts without labels and sentences",
            [str(SCRIPTS / "teacher.py"), str(teacher), *teaching],
            teacher,
            [*sentences[:1], *_teachers_files(teaching)],
            [soft],
        ),
        Stage(
            "augment",
            "sentences, hasty copies and counterfactuals get their labels",
            [str(SCRIPTS / "augment.py"), str(teacher), "--only_answered"],
            teacher,
            [soft, *sentences, by_rule],
            augmented,
        ),
        Stage(
            "words",
            "what MPNet knows and reviews seldom say enters the vocabulary, and what is misspelt",
            [
                *(str(SCRIPTS / "extra_words.py"), str(teacher)),
                *("--of", "mpnet", "--output_file", words),
            ],
            teacher,
            [],
            [words, meant],
        ),
        Stage(
            "vectors",
            "MPNet reads every word of the vocabulary by itself",
            [
                *(str(SCRIPTS / "word_vectors.py"), str(student)),
                *("--of", "mpnet", "--sentiment", "24", "--meant", meant),
            ],
            student,
            [*augmented, words, meant],
            vectors,
        ),
        Stage(
            "language model",
            "the first layer learns from all reviews which word comes next, and which came before",
            ["-m", "sentiment_lstm", "pretrain", str(language_model)],
            language_model,
            vectors,
            [start, "runs/language_model/results.json"],
        ),
        Stage(
            "student",
            "the model starts from the language model, and learns from labels and teachers",
            ["-m", "sentiment_lstm", "train", str(student)],
            student,
            [start, words, *augmented],
            ["runs/distilled/results.json", "runs/distilled/model.safetensors"],
        ),
        Stage(
            "adversarial",
            "the model learns from all of it once more, and from words moved to where it errs",
            ["-m", "sentiment_lstm", "train", str(adversarial)],
            adversarial,
            ["runs/distilled/model.safetensors", *augmented],
            ["runs/adversarial/results.json", "runs/adversarial/model.safetensors"],
        ),
        *_passes(adversarial, augmented),
    ]


def run_all(todo: list[Stage]) -> None:
    """Run the stages that are not finished.

    Args:
        todo: All of them.

    Raises:
        subprocess.CalledProcessError: If a stage fails.
        OSError: If a file is missing that a stage reads.
    """
    for number, stage in enumerate(todo, 1):
        key, state = stage.key(), _state()
        title = f"[{number}/{len(todo)}] {stage.name}"
        entry = state.get(stage.name, {})
        if entry.get("key") != key:
            entry = {"key": key, "seconds": 0.0, "finished": False}
        if entry["finished"] and all(Path(path).exists() for path in stage.writes):
            print(f"{title}: finished", flush=True)
            continue
        if entry["finished"]:  # what it wrote is gone, and it may fail this time
            entry = {"key": key, "seconds": 0.0, "finished": False}
        print(f"{title}: {stage.what} ({_expected(stage.name)})", flush=True)
        print(f"$ python {shlex.join(stage.command)}", flush=True)
        started = time.perf_counter()
        try:
            subprocess.run([sys.executable, *stage.command], check=True)
            entry["finished"] = True
        finally:  # what was done before an interruption counts
            entry["seconds"] = round(entry["seconds"] + time.perf_counter() - started, 1)
            write_json(STATE, state | {stage.name: entry})
        print(f"{title}: took {duration(entry['seconds'])}", flush=True)


def _passes(recipe: Path, augmented: list[str]) -> Iterator[Stage]:
    """The adversarial stage again and again, each time from there and in another order."""
    folder = "runs/adversarial"
    for number, seed in enumerate(SEEDS, 2):
        before, folder = folder, f"runs/pass{number}"
        starts = ["--init_from", before, "--output_dir", folder, "--seed", str(seed)]
        yield Stage(
            f"pass {number}",
            "the same again, in another order",
            ["-m", "sentiment_lstm", "train", str(recipe), *starts],
            recipe,
            [f"{before}/model.safetensors", *augmented],
            [f"{folder}/results.json", f"{folder}/model.safetensors"],
        )


def _teachers_files(teaching: list[str]) -> list[str]:
    """The files that options of `teacher.py` name as `--answers` and `--once_train`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--once_train", nargs="+", default=[])
    options, _ = parser.parse_known_args(teaching)
    answers = [] if options.answers is None else sorted(options.answers.glob("*.parquet"))
    return [str(path) for path in [*answers, *_files_among(options.once_train)]]


def _state() -> dict[str, Any]:
    """Name of a stage -> its key, its seconds, and whether it is finished."""
    return dict(json.loads(STATE.read_text(encoding="utf-8"))) if STATE.exists() else {}


def _expected(name: str) -> str:
    seconds = read_json(MEASURED)["seconds"].get(name)
    return f"expected: {duration(seconds)}" if seconds else "not measured yet"


def _files_of(recipe: Path) -> list[Path]:
    """A recipe, and the files of reviews that it names and that no stage makes."""
    fields = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    named: list[str] = []
    for field in ("train", "validation", "test", "unlabelled"):
        value = fields.get(field) or []
        named += [value] if isinstance(value, str) else value
    return [recipe, *_files_among(named)]


def _files_among(sources: list[str]) -> list[Path]:
    """The files that are there of some sources of reviews, each once."""
    paths = sorted({Path(parse_source(source).name) for source in sources})
    return [path for path in paths if path.is_file()]


def main() -> None:
    """Run the stages, or say what they are."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--stages", action="store_true", help="list them, and run none")
    parser.add_argument("--save", action="store_true", help="keep the seconds for the documents")
    parser.add_argument(
        "--teacher", nargs=argparse.REMAINDER, default=TEACHER, help="options of teacher.py, last"
    )
    options = parser.parse_args()
    todo = stages(options.teacher)
    if options.stages:
        for stage in todo:
            print(f"{stage.name}: {stage.what} ({_expected(stage.name)})")
            print(f"  python {shlex.join(stage.command)}")
        return
    if options.save:
        finished = {name: entry for name, entry in _state().items() if entry["finished"]}
        content = dict(read_json(MEASURED))
        content["seconds"] |= {name: entry["seconds"] for name, entry in finished.items()}
        print(f"wrote {write_json(MEASURED, content)}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end the stage, as after Ctrl-C
    try:
        with hold(STATE.with_suffix(".lock"), "make model"):
            run_all(todo)
    except subprocess.CalledProcessError as error:
        sys.exit(f"model: a stage ended with code {error.returncode}; the same command resumes it")
    except (OSError, ValueError) as error:
        sys.exit(f"model: {error}")
    print(f"the model: {Path(todo[-1].writes[0]).parent}")


if __name__ == "__main__":
    main()
