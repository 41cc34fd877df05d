"""Damage to each file: a whole one takes its place, or the command says which it is."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from .commands import Ended, run
from .kill import Alone
from .stage import PREDICT, TRAIN, Stage
from .tally import Fault, Tally, refused, sample, succeeded

# What a model answers with.
_MODEL = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_SAYS_SO = ("results.json", "recipe.yaml")


def tallies(stage: Stage, tries: int | None, seed: int) -> Iterator[Tally]:
    """Damage what a stopped command has left, and what a finished one has."""
    states = stage.work.parent
    training = _stopped(stage, TRAIN, "rename run/checkpoint-4", states / "training")
    yield _damage("a run in progress", stage, training, "run/**/*", tries, seed, _resumed)
    finished = states / "finished"
    stage.restore()
    shutil.copytree(stage.home / "model", stage.work / "run")
    _copy(stage.work, finished)
    # Pictures are looked at by people, and the code is that of the package.
    names = [f"run/{name}" for name in (*_MODEL, *_SAYS_SO)]
    yield _damage("a finished run", stage, finished, names, tries, seed, _found_finished)
    names = [f"model/{name}" for name in _MODEL]
    yield _damage("a model", stage, stage.home, names, tries, seed, _predicted, flips=False)
    predicting = _stopped(stage, PREDICT, "fsync labels.jsonl.part", states / "predicting", 4)
    yield _damage("a prediction", stage, predicting, "labels.jsonl.part*", tries, seed, _predicted)


def _stopped(
    stage: Stage, arguments: tuple[str, ...], operation: str, state: Path, occurrence: int = 1
) -> Path:
    """What a command leaves that is killed right after an operation."""
    command = Alone(arguments, stage)
    stage.restore()
    operations = command.operations()
    found = [at for at, line in enumerate(operations, 1) if line.startswith(operation)]
    stage.restore()
    ended = command.killed_at(found[occurrence - 1] + 1)
    if ended.code != -signal.SIGKILL:
        raise RuntimeError(f"not killed after `{operation}`: {ended.error}")
    return _copy(stage.work, state)


def _copy(work: Path, state: Path) -> Path:
    shutil.rmtree(state, ignore_errors=True)
    return Path(shutil.copytree(work, state))


def _damage(
    what: str,
    stage: Stage,
    state: Path,
    files: str | list[str],
    tries: int | None,
    seed: int,
    check: Callable[[Stage, Path], Fault | None],
    flips: bool = True,
) -> Tally:
    """Damage each file of a state in each way."""
    with Tally(f"damage: {what}").timed() as tally:
        found = state.glob(files) if isinstance(files, str) else map(state.joinpath, files)
        paths = sorted(path.relative_to(state) for path in found if path.is_file())
        ways = {name: way for name, way in WAYS.items() if flips or "bit" not in name}
        # In this order a sample has files and ways of all kinds.
        cases = [(path, name) for path in paths for name in ways]
        for path, name in sample(cases, tries):
            stage.restore(state)
            if ways[name](stage.work / path, random.Random(f"{seed} {path} {name}")):
                tally.add(f"{path} {name}", check(stage, path))
    return tally


# --- what is right -------------------------------------------------------------------------------


def _resumed(stage: Stage, path: Path) -> Fault | None:
    ended = run(TRAIN, stage.work)
    return stage.check_run() if _is_well(ended) else refused(ended, [path.name])


def _found_finished(stage: Stage, path: Path) -> Fault | None:
    ended = run(TRAIN, stage.work)
    if not _is_well(ended):
        return refused(ended, [path.name])
    for name in _MODEL:
        file = stage.work / "run" / name
        if not file.exists() or file.read_bytes() != stage.trained[name]:
            return Fault("wrong", f"finished, as it says, with another {name}")
    return None


def _predicted(stage: Stage, path: Path) -> Fault | None:
    ended = run(PREDICT, stage.work)
    folder = path.parent.name or path.name
    return stage.check_labels() if _is_well(ended) else refused(ended, [path.name, folder])


def _is_well(ended: Ended) -> bool:
    return succeeded(ended) is None


# --- ways to damage a file -----------------------------------------------------------------------


def _remove(path: Path, random: random.Random) -> bool:
    path.unlink()
    return True


def _empty(path: Path, random: random.Random) -> bool:
    return _replace(path, b"")


def _cut(path: Path, random: random.Random) -> bool:
    content = path.read_bytes()
    return _replace(path, content[: len(content) // 2])


def _cut_a_little(path: Path, random: random.Random) -> bool:
    return _replace(path, path.read_bytes()[:-1])


def _flip(path: Path, random: random.Random) -> bool:
    content = bytearray(path.read_bytes())
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return _replace(path, bytes(content))


def _take_anothers(path: Path, random: random.Random) -> bool:
    """Another file's content, of those beside it."""
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
    return bool(others) and _replace(path, random.choice(others).read_bytes())


def _take_older(path: Path, random: random.Random) -> bool:
    """The content of the file of the same name in another checkpoint."""
    others = [
        other
        for other in sorted(path.parent.parent.glob(f"checkpoint-*/{path.name}"))
        if other != path and path.parent.name.startswith("checkpoint-")
    ]
    return bool(others) and _replace(path, others[0].read_bytes())


def _replace(path: Path, content: bytes) -> bool:
    """Write other content; whether it is another."""
    before = path.read_bytes()
    path.write_bytes(content)
    return content != before


WAYS: dict[str, Callable[[Path, random.Random], bool]] = {
    "is missing": _remove,
    "is empty": _empty,
    "is cut in half": _cut,
    "lacks its last byte": _cut_a_little,
    "has a bit flipped": _flip,
    "has another bit flipped": _flip,
    "has a third bit flipped": _flip,
    "has another file's content": _take_anothers,
    "has the content of another checkpoint": _take_older,
}
