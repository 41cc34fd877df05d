"""The code blocks of documents, and how each is run in a folder with stand-ins.

To add a block to a document, make it one that the tables below know how to run: a language, the
first word of a command, a stand-in for a name that the reader fills in, something to end a long
command in seconds. A block that no table knows is a failure, not a block that nobody runs.
"""

from __future__ import annotations

import dataclasses
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from accelerate.commands.launch import launch_command_parser
from fake_hub import FakeHub
from support import WITHOUT_PACKAGE, serving
from torch.distributed.run import get_args_parser

from sentiment_lstm.cli.main import main
from sentiment_lstm.training.recipe import read_recipe

ROOT = Path(__file__).parents[2]
ID = "tester/model"


@dataclass(frozen=True)
class Block:
    """A piece of code in a document, and where it begins."""

    where: str
    language: str
    text: str


@dataclass(frozen=True)
class Workshop:
    """A folder to work in, and a Hub; see the fixture `workshop` for what lies there.

    Args:
        folder: The checkout as a reader has it, and the working folder.
        hub: The Hub that commands talk to.
        monkeypatch: To change what a command reads of its process.
        done: Commands that have run. Several documents name the same ones, which run once.
        tree: A copy of the sources that the diffs of one document are applied to; made when the
            first of them is.
    """

    folder: Path
    hub: FakeHub
    monkeypatch: pytest.MonkeyPatch
    done: set[str]
    tree: Path

    def for_document(self, name: str) -> Workshop:
        """The same with a copy of the sources for one document."""
        return dataclasses.replace(self, tree=self.folder.parent / f"tree of {Path(name).stem}")

    def stand_in(self, word: str) -> str:
        if word == "REVISION":
            return self.hub.repositories["model", ID].head.sha
        return STAND_INS.get(word, word)


# What a reader fills in -> what is there. The files are made by the fixture `workshop`.
STAND_INS = {
    "USER/NAME": ID,
    "FILE": "my/dev.ft.txt",
    "TRAIN": "my/train.ft.txt.bz2",
    "VALIDATION": "my/dev.ft.txt",
    "STATE_DICT.pt": "my/state_dict.pt",
    "WORDS.json": "my/words.json",
    "OUT": "my/converted",
    "FOLDER": "runs/demo",
    # All of them have much to read.
    "sample:train": "sample:test[20:40]",
    "sample:validation": "sample:test[40:60]",
    "sample:test": "sample:test[:20]",
    # Finished runs, which take their time.
    "runs/default": "runs/demo",
    "runs/distilled": "runs/demo",
    "minilm": "tfidf",  # which comes with the extra `benchmark`, and has much to read
    "mpnet": "tfidf",
    # The benchmark split, which is not part of the checkout.
    "../shared/data/kaggle_train.ft.txt": "my/train.ft.txt.bz2",
    "../shared/data/amazon_other_train.ft.txt.bz2:train[:57489]": "my/train.ft.txt.bz2:train[:30]",
    "../shared/data/amazon_other_train.ft.txt.bz2:train[:10000]": "my/train.ft.txt.bz2:train[:20]",
    "../shared/data/kaggle_dev.ft.txt": "my/dev.ft.txt",
    "../shared/data/amazon_other_train.ft.txt.bz2:train[57489:]": "my/train.ft.txt.bz2:train[30:]",
}
_OWN = "--train my/train.ft.txt.bz2 --validation my/dev.ft.txt"
# The sources of a recipe that reads texts without labels as well.
_UNLABELLED = f"{_OWN} --unlabelled my/texts.txt"
_ONE_STEP = "--max_steps 1 --use_cpu --disable_tqdm true"
# How a command begins -> what is added to it, so that it ends in seconds.
SHORTENED = {
    "sentiment-lstm train": f"{_ONE_STEP} --hidden_size 8 --embedding_size 4",
    "sentiment-lstm train scripts/recipes/demo.yaml": f"{_OWN} --test null",
    # Starts from the released classifier, whose sizes are its own.
    "sentiment-lstm train scripts/recipes/fine_tune.yaml": "--hidden_size 256 --embedding_size 128",
    "sentiment-lstm train scripts/recipes/distilled.yaml": (
        f"{_OWN} --unlabelled runs/augmented/texts.txt --init_from null --extra_words null"
    ),
    "sentiment-lstm train scripts/recipes/adversarial.yaml": (
        f"{_OWN} --unlabelled runs/augmented/texts.txt"
    ),
    "sentiment-lstm pretrain": f"{_ONE_STEP} {_UNLABELLED} --hidden_size 8 --embedding_size 4",
    "sentiment-lstm pretrain scripts/recipes/language_model.yaml": (
        "--init_from null --extra_words null --embedding_learning_rate null"
    ),
    "sentiment-lstm tune": f"{_ONE_STEP} {_OWN} --trials 1",
    "python scripts/teacher.py": (
        f"--folds 2 {_ONE_STEP} {_UNLABELLED} runs/augmented/sentences.txt --hidden_size 8 "
        "--embedding_size 4"
    ),
    "python scripts/sentences.py": (
        f"--by_rule 20 --mixed 3 --parts 9 --words 3 {_UNLABELLED} runs/augmented/sentences.txt"
    ),
    # A transformer is read, which no document brings.
    "python scripts/extra_words.py": "--help",
    "python scripts/word_vectors.py": "--help",
    "python scripts/augment.py": f"--copies 3 {_UNLABELLED} runs/augmented/sentences.txt",
    "python scripts/release.py": "--output my/released",
    "python scripts/benchmark": "--limit 20 --rounds 1",
    "python scripts/faults": "--help",  # tests/scripts/test_faults.py does run it
    "python scripts/baselines.py": "--baselines tfidf",
    "python scripts/explanations.py": "--limit 4",
    "python scripts/few_labels.py": (
        "--sizes 20 --draws 1 --baselines tfidf --train my/dev.ft.txt --test my/dev.ft.txt "
        f"{_ONE_STEP}"
    ),
    "python scripts/ablation.py": (
        f"--seeds 1 {_ONE_STEP} {_OWN} --hidden_size 8 --embedding_size 4"
    ),
    # Not all rows: some start from a folder that another command makes.
    "python scripts/ablation.py scripts/ablations/default.yaml": "--rows 'pooling max'",
    "python scripts/ablation.py scripts/ablations/distilled.yaml": "--help",  # of many stages
    "python scripts/ablation.py scripts/ablations/tutorial.yaml": "--rows 'orthogonal start'",
    "python scripts/tutorial/hidden_state.py": (
        "--seeds 1 --epochs 1 --batch_size 10 --embedding_dim 4 --hidden_dim 4"
    ),
    # Those laws that a diff of the document has something to do with.
    "pytest tests/test_modeling.py": "-k 'pieces or all_poolings or an_empty_review'",
    "pytest tests/data": "-k 'every_format_gives_the_same'",
}
# A command that serves until it is stopped -> what is there to be asked for.
SERVERS = {"uvicorn": "/docs", "tensorboard": "/"}
# What a document needs besides the extra `dev`; a target of the Makefile runs it.
NEEDS = {
    "docs/cluster.md": {"ray", "pyspark"},
    "docs/mlflow.md": {"mlflow"},
    "docs/quantize.md": {"torchao"},
    "docs/serve.md": {"fastapi", "uvicorn"},
    "docs/shap.md": {"shap", "captum"},
    "docs/tensorboard.md": {"tensorboard"},
}


# --- finding them --------------------------------------------------------------------------------


def fenced(text: str, name: str) -> list[Block]:
    """The blocks between lines of three backticks (or more) or tildes."""
    found = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if opening := re.fullmatch(r"\s*(`{3,}|~{3,})\s*(.*)", line):
            content = []
            for _, inside in lines:
                if inside.strip() == opening[1]:
                    break
                content.append(inside + "\n")
            else:
                pytest.fail(f"{name}:{number}: a block without an end")
            found.append(Block(f"{name}:{number}", opening[2], "".join(content)))
    return found


def in_line(text: str, name: str) -> list[Block]:
    """The commands that stand in the middle of a sentence, `python scripts/x.py` and `make x`."""
    prose = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return [
        Block(f"{name}, `{span}`", "bash", span)
        for span in spans
        if re.match(r"python scripts/\S+ |make ", span)
    ]


# --- one function for each language --------------------------------------------------------------


def run(block: Block, workshop: Workshop) -> None:
    if block.language not in LANGUAGES:
        pytest.fail(f"{block.where}: nobody knows how to run {block.language!r}: see {__file__}")
    LANGUAGES[block.language](block, workshop)


def run_python(block: Block, workshop: Workshop) -> None:
    if named := re.match(r"# (\w+\.py)\n", block.text):  # a file, which what follows reads
        (workshop.folder / named[1]).write_text(block.text, encoding="utf-8")
        return
    if "trust_remote_code" not in block.text:
        exec(compile(block.text, block.where, "exec"), {})
        return
    # What it is for is a machine without the package.
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE + block.text],
        env=workshop.hub.environment(workshop.folder / "elsewhere"),
        cwd=workshop.folder / "my",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}:\n{done.stderr}"


def run_bash(block: Block, workshop: Workshop) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = [workshop.stand_in(word) for word in shlex.split(line, comments=True)]
        if not words or shlex.join(words) in workshop.done:
            continue
        if words[0] not in COMMANDS or {"|", ">", "<", "&&", ";"} & set(words):
            pytest.fail(f"{block.where}: nobody knows how to run `{line}`: see {__file__}")
        command = shlex.join(words)
        for beginning, rest in SHORTENED.items():
            if command.startswith(beginning):
                words += shlex.split(rest)
        COMMANDS[words[0]](words, block, workshop)
        workshop.done.add(command)


def read_yaml(block: Block, workshop: Workshop) -> None:
    """A recipe, which commands after it find as `recipe.yaml`, or a space of fields to vary."""
    fields = yaml.safe_load(block.text)
    if any(isinstance(value, dict) for value in fields.values()):
        line = f"sentiment-lstm tune scripts/recipes/demo.yaml --space {workshop.folder}/space.yaml"
        (workshop.folder / "space.yaml").write_text(block.text)
        run_bash(Block(block.where, "bash", f"{line} --output_dir runs/space"), workshop)
        return
    path = workshop.folder / "recipe.yaml"
    path.write_text(block.text)
    assert read_recipe(path, {"use_cpu": True}).fields.items() >= fields.items()


def apply_diff(block: Block, workshop: Workshop) -> None:
    """Change a file of the copied sources: what the diff finds there stands there just once."""
    tree = workshop.tree
    if not tree.exists():
        for name in ("sentiment_lstm", "tests"):
            shutil.copytree(
                ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "hub_card")
            )
        shutil.copy(ROOT / "pyproject.toml", tree)
        for name in ("scripts", "hub_card"):
            (tree / name).symlink_to(ROOT / name)
    first, *lines = block.text.splitlines(keepends=True)
    path = tree / first.removeprefix("# ").strip()
    marks = {line[0] for line in lines}
    assert first.startswith("# "), f"{block.where}: the first line names no file"
    assert marks <= {" ", "+", "-"}, f"{block.where}: a line without a mark"
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    if not before:
        assert not path.exists(), f"{block.where}: {path.name} is there already"
        path.write_text(after, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{block.where}: found {text.count(before)} times:\n{before}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def look_up_tree(block: Block, workshop: Workshop) -> None:
    """A list of files: each exists, and no module or script is missing from it."""
    listed: set[Path] = set()
    folders: list[str] = []
    for line in block.text.splitlines():
        depth = (len(line) - len(line.lstrip(" "))) // 2
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        folders = folders[:depth]
        listed |= {Path(*folders, name) for name in names}
        if names[0].endswith("/"):
            folders = [*folders, names[0]]
    for path in listed:
        assert (ROOT / path).exists(), f"{block.where}: there is no {path}"
    for parent in ("sentiment_lstm", "scripts"):
        for file in (ROOT / parent).rglob("*.py"):
            path = file.relative_to(ROOT)
            if path.name != "__init__.py" and "hub_card" not in path.parts:
                assert path in listed, f"{block.where}: {path} is not listed"


LANGUAGES: dict[str, Callable[[Block, Workshop], None]] = {
    "python": run_python,
    "bash": run_bash,
    "yaml": read_yaml,
    "diff": apply_diff,
    "mermaid": lambda block, workshop: None,  # a drawing
    "": look_up_tree,
}


# --- one function for each command ---------------------------------------------------------------


def run_cli(words: list[str], block: Block, workshop: Workshop) -> None:
    # Does not end by itself, and takes npm; tests/page runs both.
    if words[1] == "demo" or "--browser" in words:
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*words[1:], "--help"])
        return
    assert main(words[1:]) == 0, f"{block.where}: {shlex.join(words)}"


def run_make(words: list[str], block: Block, workshop: Workshop) -> None:
    """A dry run: what the targets do takes minutes and makes an environment of its own."""
    done = subprocess.run(
        ["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block.where}: {done.stderr}"


def run_pip(words: list[str], block: Block, workshop: Workshop) -> None:
    """Nothing is installed; the extras are looked up."""
    assert words[1] == "install", block.where
    extras = {name for word in words for name in re.findall(r"\[(.*)\]", word)}
    known = set(metadata("sentiment-lstm").get_all("Provides-Extra") or [])
    for names in extras:
        assert set(names.split(",")) <= known, f"{block.where}: no extra {names}"


def run_hf(words: list[str], block: Block, workshop: Workshop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "huggingface_hub.cli.hf", *words[1:]],
        env=workshop.hub.environment(workshop.folder / "elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}: {done.stdout}\n{done.stderr}"
    if words[1] == "upload":
        name, path = words[2], Path(words[4], "__init__.py" if words[4] != "." else "app.py")
        assert path.as_posix() in workshop.hub.repositories["space", name].files
        return
    assert list((workshop.folder / "elsewhere").rglob("model.safetensors")), done.stdout


def run_script(words: list[str], block: Block, workshop: Workshop) -> None:
    """A script of the checkout, in this process: importing torch anew takes seconds."""
    path = ROOT / words[1]
    if not words[1].startswith("scripts/") or not path.exists():
        pytest.fail(f"{block.where}: there is no script {words[1]}")
    workshop.monkeypatch.setattr(sys, "argv", words[1:])
    status: object = None
    try:
        runpy.run_path(words[1], run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    assert not status, f"{block.where}: {shlex.join(words)}: {status}"


def run_pytest(words: list[str], block: Block, workshop: Workshop) -> None:
    """Tests of the sources that the document's diffs have changed."""
    paths = [str(workshop.tree), str(ROOT / "scripts")]
    done = subprocess.run(
        [sys.executable, "-m", *words, "-x", "-p", "no:cacheprovider", "--durations=0"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=workshop.tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}:\n{done.stdout}\n{done.stderr}"


def run_launched(words: list[str], block: Block, workshop: Workshop) -> None:
    """What several processes are launched to do, by one; that two share it is tested elsewhere."""
    parsers = {"accelerate": launch_command_parser, "torchrun": get_args_parser}
    start = 2 if words[0] == "accelerate" else 1
    options = parsers[words[0]]().parse_args(words[start:])
    assert (options.module, options.training_script) == (True, "sentiment_lstm"), block.where
    arguments = options.training_script_args
    if arguments[0] == "train":
        arguments += ["--output_dir", "my/launched"]
    line = shlex.join(["sentiment-lstm", *arguments])
    run_bash(Block(block.where, "bash", line), workshop)


def run_server(words: list[str], block: Block, workshop: Workshop) -> None:
    """What does not end by itself: it says where it is, answers there, and is stopped."""
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:], "--port", "0"]
    with serving(command, workshop.folder) as address:
        answer = urlopen(address + SERVERS[words[0]])
        assert answer.status == 200


COMMANDS: dict[str, Callable[[list[str], Block, Workshop], None]] = {
    "sentiment-lstm": run_cli,
    "make": run_make,
    "pip": run_pip,
    "hf": run_hf,
    "python": run_script,
    "pytest": run_pytest,
    "accelerate": run_launched,
    "torchrun": run_launched,
    **dict.fromkeys(SERVERS, run_server),
}
