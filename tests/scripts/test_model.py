"""All stages from reviews to a model, at reduced scale: tiny reviews, tiny models."""

import dataclasses
import json
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model
import pytest
import yaml
from support import RECIPES, results_of, save_tiny_transformer
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.cli.main import main as cli
from sentiment_lstm.training import teachers
from sentiment_lstm.training.distillation import read_soft_labels, text_key

STAGES = [
    *("sentences", "teacher", "augment", "words", "vectors"),
    *("language model", "student", "adversarial", "pass 2", "pass 3"),
]
# What makes the stages' own recipes tiny; all else is as it will be run.
TINY: dict[str, Any] = {
    "max_vocab_size": 3000,  # the emoji among them
    "embedding_size": 6,
    "hidden_size": 8,
    "per_device_train_batch_size": 16,
    "num_train_epochs": 1,
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
}


@pytest.fixture
def workshop(
    review_file: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with tiny recipes, where transformers are tiny as well."""
    save_tiny_transformer(tmp_path / "pretrained", tokenizer)
    for name, transformer in list(teachers.PRETRAINED.items()):
        tiny = dataclasses.replace(
            transformer,
            source=tmp_path / "pretrained",
            read_at_least=60,
            frozen_layers=min(1, transformer.frozen_layers),
        )
        monkeypatch.setitem(teachers.PRETRAINED, name, tiny)
        monkeypatch.setitem(teachers.CLASSIFIERS, name, teachers.of_transformer(tiny))

    texts = tmp_path / "texts.txt"
    long = "It came on a Monday, James said. It is a lamp for Boston. " * 5
    texts.write_text(f"James from Boston likes it.\n{long}\n")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "docs/results/answers").mkdir(parents=True)
    sources = {
        "train": [f"{review_file}:train[:20]", f"{review_file}:train[20:40]"],
        "validation": f"{review_file}:train[40:]",
    }
    for name in ("teacher", "language_model", "distilled", "adversarial"):
        fields = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
        made = [path for path in fields["unlabelled"] if path.startswith("runs/")]
        fields |= TINY | sources | {"unlabelled": [str(texts), *made]}
        if name == "adversarial":  # keeps the tokenizer of `distilled`
            del fields["max_vocab_size"]
        (tmp_path / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(fields))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "RECIPES", tmp_path / "recipes")
    fewer = [f"{review_file}:train[:30]"]
    options = model.TEACHER
    start, end = options.index("--once_train") + 1, options.index("--answers")
    taught_by = [*options[:start], *fewer, *options[end:]]
    taught_by.remove("--only_answered")  # there are none of these texts
    monkeypatch.setattr(model, "TEACHER", taught_by)
    return tmp_path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has run: each command in this process, for importing torch anew takes seconds."""
    ran: list[str] = []

    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        if command[0] != sys.executable:  # a library asks the machine for something, once a process
            return real(command, **options)
        assert options == {"check": True}
        words = [word.removeprefix(f"{model.SCRIPTS}/") for word in command[1:]]
        status = 0
        if words[0] == "-m":
            ran.append(words[2])
            status = cli(words[2:])
        else:
            ran.append(words[0])
            few = (
                ["--by_rule", "40", "--mixed", "5", "--parts", "9"]
                if words[0] == "sentences.py"
                else []
            )
            few = ["--copies", "5"] if words[0] == "augment.py" else few
            few = ["--folds", "2"] if words[0] == "teacher.py" else few
            few = ["--sentiment", "2"] if words[0] == "word_vectors.py" else few
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", [*command[1:], *few])
                try:
                    runpy.run_path(command[1], run_name="__main__")
                except SystemExit as ended:
                    status = int(bool(ended.code))
        if status:
            raise subprocess.CalledProcessError(status, command)
        return None

    monkeypatch.setattr(subprocess, "run", run)
    return ran


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def make(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["model.py", *arguments])
        # Whoever runs the tests keeps their own way to be ended.
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        model.main()

    return make


def test_all_stages_lead_to_a_model_and_resume(
    workshop: Path,
    ran: list[str],
    make: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = [
        *("sentences.py", "teacher.py", "augment.py"),
        *("extra_words.py", "word_vectors.py", "pretrain", *["train"] * 4),
    ]
    labels = workshop / "runs/teacher/soft_labels.parquet"

    # The second stage fails at first.
    (workshop / "runs/teacher").mkdir(parents=True)
    (workshop / "runs/teacher/task.json").write_text("of another recipe")
    with pytest.raises(SystemExit, match="a stage ended with code 1; the same command resumes"):
        make()
    assert ran == commands[:2]
    (workshop / "runs/teacher/task.json").unlink()
    ran.clear()
    make()
    assert ran == commands[1:], "what is finished is not done again"
    printed = capsys.readouterr().out
    assert "[1/10] sentences: finished" in printed
    assert "[2/10] teacher: teachers learn" in printed
    assert "the model: runs/pass3" in printed
    ran.clear()
    make()
    assert ran == []

    # Every text that the student reads, and what it was taught about it.
    results = results_of(workshop / "runs/pass3")
    assert results.number_of_reviews("train") == 40
    taught = read_soft_labels(workshop / "runs/augmented/soft_labels.parquet")
    judged = read_soft_labels(labels)
    texts = (workshop / "runs/augmented/texts.txt").read_text().splitlines()
    assert taught.keys() == judged.keys() | set(map(text_key, texts))
    sentences = (workshop / "runs/augmented/sentences.txt").read_text().splitlines()
    assert judged.keys() >= set(map(text_key, sentences)), "the teacher reads them too"
    weights = json.loads((workshop / "runs/teacher/teacher.json").read_text())["weights"]
    assert set(weights["members"]) == {"tfidf", "mpnet"}

    # A sentence that is added is judged, and taught; the first stage stays.
    (workshop / "runs/augmented/sentences.txt").write_text("\n".join([*sentences, "New to me."]))
    with pytest.raises(SystemExit, match="a stage ended with code"):
        make()  # what the student starts from is in a folder that holds a run without it
    assert ran == commands[1:-4]
    assert text_key("New to me.") in read_soft_labels(labels)

    # A file that is gone is made again.
    ran.clear()
    labels.unlink()
    monkeypatch.setattr(model, "run_all", lambda todo, every=model.run_all: every(todo[:2]))
    make()
    assert ran == ["teacher.py"]


def test_another_recipe_or_other_reviews_are_another_stage(workshop: Path) -> None:
    def key() -> str:
        return model.stages(model.TEACHER)[0].key()

    first = key()
    assert key() == first
    (workshop / "texts.txt").write_text("Another lamp.\n")
    other = key()
    assert other != first
    with open(workshop / "recipes/teacher.yaml", "a") as recipe:
        recipe.write("# a word\n")
    assert key() not in (first, other)
    teachers = [model.stages(["--members", member])[1].command for member in ("lstm", "tfidf")]
    assert teachers[0] != teachers[1]


def test_other_answers_are_another_teacher(workshop: Path) -> None:
    def keys() -> list[str]:
        return [stage.key() for stage in model.stages(["--once", "mpnet", "--answers", "said"])[:2]]

    (workshop / "runs/augmented").mkdir(parents=True)
    (workshop / "runs/augmented/sentences.txt").write_text("It leaks.\n")
    before = keys()
    (workshop / "said").mkdir()
    assert keys() == before
    (workshop / "said/mpnet.parquet").write_bytes(b"one")
    one = keys()
    (workshop / "said/mpnet.parquet").write_bytes(b"another")
    assert keys()[0] == one[0] == before[0]
    assert len({before[1], one[1], keys()[1]}) == 3


def test_the_measuring_half_and_what_a_teacher_learns_from_count(
    workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned, words = workshop / "few.ft.txt", workshop / "measure.yaml"
    monkeypatch.setattr(model, "MEASURED_WORDS", words)

    def keys() -> list[str]:
        found = model.stages(["--once_train", f"{learned}:train[:9]", "more.ft.txt", "--sure", "1"])
        return [stage.key() for stage in found[:2]]

    (workshop / "runs/augmented").mkdir(parents=True)
    (workshop / "runs/augmented/sentences.txt").write_text("It leaks.\n")
    learned.write_text("one")
    words.write_text("one")
    before = keys()
    words.write_text("another")
    assert keys()[0] != before[0]
    learned.write_text("another")
    assert keys()[1] != before[1]


def test_a_stage_that_fails_the_second_time_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    fails = tmp_path / "fails"
    code = f"import os; open('made', 'w').close(); os.path.exists({str(fails)!r}) and exit(1)"
    stage = model.Stage("one", "writes a file", ["-c", code], None, [], ["made"])
    model.run_all([stage])
    Path("made").unlink()
    fails.touch()
    with pytest.raises(subprocess.CalledProcessError):
        model.run_all([stage])
    entry = json.loads(Path("runs/model.json").read_text())["one"]
    assert not entry["finished"]
    fails.unlink()
    model.run_all([stage])
    entry = json.loads(Path("runs/model.json").read_text())["one"]
    assert entry["finished"]


def test_times_are_said_where_they_were_measured(
    tmp_path: Path,
    make: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps({"seconds": dict.fromkeys(STAGES) | {"sentences": 90}}))
    monkeypatch.setattr(model, "MEASURED", measured)
    monkeypatch.chdir(tmp_path)
    make("--stages", "--teacher", "--members", "--once", "mpnet")
    printed = capsys.readouterr().out
    assert (
        "sentences: templates give sentences on what reviews seldom say, and reviews their parts "
        "(expected: 90 s)" in printed
    )
    assert printed.count("(not measured yet)") == len(STAGES) - 1
    assert "teacher.yaml --members --once mpnet\n" in printed
    assert not (tmp_path / "runs").exists(), "nothing was run"

    (tmp_path / "runs").mkdir()
    entry = {"key": "0", "seconds": 12.5, "finished": True}
    state = {"vectors": entry, "teacher": entry | {"finished": False}}
    (tmp_path / "runs/model.json").write_text(json.dumps(state))
    make("--save")
    kept = json.loads(measured.read_text())["seconds"]
    assert kept == dict.fromkeys(STAGES) | {"vectors": 12.5, "sentences": 90}


def test_the_stages_are_those_of_the_table() -> None:
    names = [stage.name for stage in model.stages([])]
    assert names == STAGES == list(json.loads(model.MEASURED.read_text())["seconds"])
