"""The fault runner: a few tries of each kind survive, and what does not is seen.

All of it runs in one process of its own: tries are forks of the one that imports torch, in which
nothing may have been computed yet.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults import fuzz
from faults.commands import Ended
from faults.tally import refused, sample

ERROR = "sentiment-lstm: error: "

SCRIPTS = Path(__file__).parents[2] / "scripts"

# What follows is done in forks: a change that one makes is gone with it.
SABOTAGE = """
import json, os, tempfile
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import faults.__main__  # which sets the threads
from faults import commands, damage, full, fuzz, kill, stage as stages, twice

commands.prepare()
import torch
from faults.operations import Operations
from sentiment_lstm.cli import main as cli
from sentiment_lstm.data import texts
from sentiment_lstm.inference import batch
from sentiment_lstm.inference.rows import Rows
from sentiment_lstm.training import trainer

found = {}


@contextmanager
def changed(holder, name, to):
    before = getattr(holder, name)
    setattr(holder, name, to(before))
    yield
    setattr(holder, name, before)


def keep(case, tally):
    found[case] = [tally.tried, sorted({fault.outcome for _, fault in tally.faults}), tally.note]
    found[case].append([f"{what}: {fault.reason}" for what, fault in tally.faults])


def first(module, tries):
    return next(iter(module.tallies(stage, tries, 0)))


def fuzzed(row, tries):
    with changed(fuzz, "ROWS", lambda rows: {row: rows[row]}):
        return first(fuzz, tries)


def predict(tries):
    command = partial(kill.Alone, stages.PREDICT)
    return kill.kill("predict", stage, tries, command, Stage.check_labels)


def count_operations(folder):
    # One after the other, a process dies at some of its operations.
    log = folder / "log"
    for number in (0, 3, 5, 7):
        work = folder / f"killed at {number}"
        work.mkdir()
        if not (process := os.fork()):
            Operations(work, log, number).install()
            (work / "a").write_text("four")
            torch.save(1, work / "b")
            (work / "a").rename(work / "c")
            (work / "c").unlink()
            (folder / "elsewhere").write_text("does not count")
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        sizes = {path.name: path.stat().st_size for path in work.iterdir()}
        yield [code, log.read_text().splitlines()[-1], sizes]


def forget_a_chunk(begin):
    return lambda shard, header: max(1, begin(shard, header))


def lose_the_last(read_texts):
    return lambda *a, **k: list(read_texts(*a, **k))[:-1]


def resume_elsewhere(load):
    return lambda *a, **k: None


def answer_something(row):
    return lambda rows, text, prediction: row(rows, text, replace(prediction, score=0.5))


def fail(function):
    def failing(*a, **k):
        raise TypeError("sabotage")
    return failing


Stage = stages.Stage
twice._TIMES = 20
with tempfile.TemporaryDirectory() as folder:
    found["operations"] = list(count_operations(Path(folder)))
    stage = Stage.make(Path(folder, "stage"))
    with changed(batch._Shard, "begin", forget_a_chunk):
        keep("kill, a lost line", predict(2))
    keep("kill", predict(3))
    with changed(trainer.SentimentTrainer, "_load_from_checkpoint", resume_elsewhere):
        keep("damage, other weights", first(damage, 1))
    keep("damage", first(damage, 2))
    with changed(batch, "hold", lambda hold: lambda *a, **k: nullcontext()):
        with changed(twice, "DELAYS", lambda delays: (0.0, 0.02, 0.05)):
            keep("twice, no lock", list(islice(twice.tallies(stage, 3, 0), 2))[1])
    keep("twice", first(twice, 1))
    keep("full", list(islice(full.tallies(stage, 2, 0), 2))[1])
    with changed(cli, "_explain", lambda explain: lambda error: "x\\nno"):
        keep("fuzz, two lines", fuzzed("weights", 4))
    with changed(Rows, "row", fail):
        keep("fuzz, a traceback", fuzzed("files of texts", 3))
    with changed(batch, "read_texts", lose_the_last), changed(texts, "read_texts", lose_the_last):
        keep("fuzz, a lost text", fuzzed("files of texts", 3))
    with changed(Rows, "row", answer_something):
        keep("fuzz, other answers", fuzzed("files of texts", 3))
    for row in fuzz.ROWS:
        keep(f"fuzz, {row}", fuzzed(row, 4))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Case -> tries, outcomes other than survival, a note, and the faults."""
    done = subprocess.run(
        [sys.executable, "-c", SABOTAGE],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("kill, a lost line", "lost"),
        ("damage, other weights", "wrong"),
        ("fuzz, two lines", "wrong"),
        ("fuzz, a traceback", "tracebacks"),
        ("fuzz, a lost text", "lost"),
        ("fuzz, other answers", "wrong"),
    ],
)
def test_a_command_that_breaks_a_promise_is_seen(
    case: str, outcome: str, found: dict[str, Any]
) -> None:
    tried, outcomes, _, faults = found[case]
    assert tried > 0
    assert outcome in outcomes, faults


def test_two_at_once_without_a_lock_are_seen(found: dict[str, Any]) -> None:
    _, outcomes, _, faults = found["twice, no lock"]
    assert {"lost", "wrong"} & set(outcomes), faults


@pytest.mark.parametrize(
    "case", ["kill", "damage", "twice", "full", *(f"fuzz, {row}" for row in fuzz.ROWS)]
)
def test_a_few_tries_of_each_kind_survive(case: str, found: dict[str, Any]) -> None:
    tried, outcomes, note, faults = found[case]
    assert tried > 0 or "not tried" in note
    assert not outcomes, faults


def test_a_process_dies_at_the_operation_that_is_said(found: dict[str, Any]) -> None:
    whole = found["operations"][0][2]["b"]
    assert found["operations"] == [
        [0, "remove c", {"b": whole}],
        [-signal.SIGKILL, "half of write a", {"a": 2}],
        [-signal.SIGKILL, "half of save b", {"a": 4, "b": whole // 2}],
        [-signal.SIGKILL, "remove c", {"b": whole, "c": 4}],
    ]


def test_a_sample_has_the_first_and_the_last() -> None:
    assert sample(range(10), None) == list(range(10))
    assert sample(range(10), 3) == [0, 4, 9]
    assert sample(range(2), 5) == [0, 1]
    assert sample(range(9), 1) == [4]


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (Ended(1, "", f"{ERROR}x.txt:3: bad.\n", 0.1), None),
        (Ended(0, "", "", 0.1), "wrong"),
        (Ended(1, "", f"{ERROR}x.txt:3: bad.\nmore\n", 0.1), "wrong"),
        (Ended(1, "", f"{ERROR}bad.\n", 0.1), "wrong"),
        (Ended(1, "", f"Traceback (most recent call last):\n{ERROR}x.txt\n", 0.1), "tracebacks"),
        (Ended(1, "", f"{ERROR}x.txt: This is a bug of sentiment-lstm\n", 0.1), "tracebacks"),
        (Ended(1, "", f"thread 'x' panicked at y\n{ERROR}x.txt\n", 0.1), "tracebacks"),
        (Ended(-signal.SIGSEGV, "", "", 0.1), "tracebacks"),
        (Ended(-signal.SIGKILL, "", "", 9.0, too_long=True), "lost"),
        (Ended(-signal.SIGKILL, "", "", 9.0, too_large=True), "lost"),
    ],
)
def test_what_a_refusal_has_to_be(ended: Ended, outcome: str | None) -> None:
    fault = refused(ended, ["x.txt"])
    assert (fault and fault.outcome) == outcome
