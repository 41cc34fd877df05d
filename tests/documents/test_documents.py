"""Every code block of README and card is run, from top to bottom, in a folder with stand-ins.

To add a block to a document, make it one that the tables below know how to run: a language, the
first word of a command, a stand-in for a name that the reader fills in, something to end a long
command in seconds. A block that no table knows is a failure, not a block that nobody runs.
"""

import bz2
import gzip
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import tutorial_reference as reference
import yaml
from accelerate.commands.launch import launch_command_parser
from fake_hub import FakeHub
from support import WITHOUT_PACKAGE
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
    """A folder to work in, and a Hub; see the fixture for what lies there."""

    folder: Path
    hub: FakeHub
    monkeypatch: pytest.MonkeyPatch

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
    "FOLDER": "runs/default",
    "minilm": "tfidf",  # which comes with the extra `benchmark`, and has much to read
    # The reviews of record, which are not part of the checkout.
    "../shared/data/kaggle_train.ft.txt": "my/train.ft.txt.bz2",
    "../shared/data/amazon_other_train.ft.txt.bz2:train[:57489]": "my/train.ft.txt.bz2:train[:30]",
    "../shared/data/kaggle_dev.ft.txt": "my/dev.ft.txt",
    "../shared/data/amazon_other_train.ft.txt.bz2:train[57489:]": "my/train.ft.txt.bz2:train[30:]",
}
# The sources of a recipe that reads texts without labels as well.
UNLABELLED = "--train my/train.ft.txt.bz2 --validation my/dev.ft.txt --unlabelled my/texts.txt"
# How a command begins -> what is added to it, so that it ends in seconds.
SHORTENED = {
    "sentiment-lstm train": "--max_steps 1 --use_cpu --disable_tqdm true",
    "sentiment-lstm train scripts/recipes/tutorial.yaml": "--embedding_size 4 --hidden_size 4",
    "sentiment-lstm train scripts/recipes/distilled.yaml": UNLABELLED,
    "sentiment-lstm pretrain": f"--max_steps 1 --use_cpu --disable_tqdm true {UNLABELLED}",
    "python scripts/teacher.py": (
        f"--folds 2 --max_steps 1 --use_cpu --disable_tqdm true {UNLABELLED}"
    ),
    "python scripts/release.py": "--output my/released",
    "sentiment-lstm tune": (
        "--trials 1 --max_steps 1 --use_cpu --disable_tqdm true "
        "--train my/train.ft.txt.bz2 --validation my/dev.ft.txt"
    ),
    "python scripts/benchmark.py": "--limit 20 --rounds 1",
    "python scripts/benchmark_accuracy.py": "--baselines tfidf",
    "python scripts/ablation.py": (
        "--seeds 1 --max_steps 1 --use_cpu --disable_tqdm true "
        "--train my/train.ft.txt.bz2 --validation my/dev.ft.txt"
    ),
    # Not all rows: one starts from a folder that another command makes.
    "python scripts/ablation.py scripts/ablations/levers.yaml": "--rows 'pooling max'",
    "python scripts/tutorial_hidden_state.py": (
        "--seeds 1 --epochs 1 --batch_size 10 --embedding_dim 4 --hidden_dim 4"
    ),
}


@pytest.fixture
def workshop(
    tmp_path: Path,
    model_folder: Path,
    reviews: list[tuple[str, int]],
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
) -> Workshop:
    """The checkout as a reader has it, after `make demo` and with reviews of their own."""
    folder = tmp_path / "workshop"
    for name in ("my", "runs"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(model_folder, folder / "runs" / "demo")
    for name in ("scripts", "hub_card"):
        (folder / name).symlink_to(ROOT / name)
    lines = "".join(f"__label__{label + 1} {text}\n" for text, label in reviews)
    (folder / "my/train.ft.txt.bz2").write_bytes(bz2.compress(lines.encode()))
    (folder / "my/dev.ft.txt").write_text(lines)
    (folder / "reviews.ft.txt").write_text(lines)
    (folder / "my/texts.txt").write_text("A lamp.\nA scarf.\n")
    plain = "".join(f"{text}\n" for text, _ in reviews)
    (folder / "reviews.txt.gz").write_bytes(gzip.compress(plain.encode()))
    words = ["_PAD", "_UNK", "good", "bad"]
    (folder / "my/words.json").write_text(json.dumps(words))
    torch.save(
        reference.SentimentNet(len(words) + 1, 4, 4).state_dict(), folder / "my/state_dict.pt"
    )
    hub.connect(monkeypatch)
    monkeypatch.chdir(folder)
    # The scripts set these for their process, which here is that of all tests.
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    return Workshop(folder, hub, monkeypatch)


# --- one function for each language --------------------------------------------------------------


def run_python(block: Block, workshop: Workshop) -> None:
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
        if not words:
            continue
        if words[0] not in COMMANDS or {"|", ">", "<", "&&", ";"} & set(words):
            pytest.fail(f"{block.where}: nobody knows how to run `{line}`: see {__file__}")
        for beginning, rest in SHORTENED.items():
            if shlex.join(words).startswith(beginning):
                words += shlex.split(rest)
        COMMANDS[words[0]](words, block, workshop)


def read_yaml(block: Block, workshop: Workshop) -> None:
    """A recipe; commands after it find it as `recipe.yaml`."""
    path = workshop.folder / "recipe.yaml"
    path.write_text(block.text)
    assert read_recipe(path, ["--use_cpu"]).fields.items() >= yaml.safe_load(block.text).items()


def look_up_tree(block: Block, workshop: Workshop) -> None:
    """A list of files: each exists, and no module or script is missing from it."""
    listed = set()
    folder = Path()
    for line in block.text.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        if not line.startswith(" "):
            folder = Path()
        listed |= {folder / name for name in names}
        if not line.startswith(" ") and names[0].endswith("/"):
            folder = Path(names[0])
    for path in listed:
        assert (ROOT / path).exists(), f"{block.where}: there is no {path}"
    for parent in ("sentiment_lstm", "scripts"):
        for file in (ROOT / parent).glob("*.py"):
            assert file.relative_to(ROOT) in listed, f"{block.where}: {file.name} is not listed"


LANGUAGES: dict[str, Callable[[Block, Workshop], None]] = {
    "python": run_python,
    "bash": run_bash,
    "yaml": read_yaml,
    "": look_up_tree,
}


# --- one function for each command ---------------------------------------------------------------


def run_cli(words: list[str], block: Block, workshop: Workshop) -> None:
    assert main(words[1:]) == 0, f"{block.where}: {shlex.join(words)}"


def run_make(words: list[str], block: Block, workshop: Workshop) -> None:
    """A dry run: what the targets do takes minutes and makes an environment of its own."""
    done = subprocess.run(
        ["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block.where}: {done.stderr}"


def run_hf(words: list[str], block: Block, workshop: Workshop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "huggingface_hub.cli.hf", *words[1:]],
        env=workshop.hub.environment(workshop.folder / "elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}: {done.stdout}\n{done.stderr}"
    assert list((workshop.folder / "elsewhere").rglob("model.safetensors")), done.stdout


def run_script(words: list[str], block: Block, workshop: Workshop) -> None:
    """A script of the checkout, in this process: importing torch anew takes seconds."""
    if words[1] not in {f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py")}:
        pytest.fail(f"{block.where}: there is no script {words[1]}")
    workshop.monkeypatch.setattr(sys, "argv", words[1:])
    status: object = None
    try:
        runpy.run_path(words[1], run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    assert not status, f"{block.where}: {shlex.join(words)}"


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


COMMANDS: dict[str, Callable[[list[str], Block, Workshop], None]] = {
    "sentiment-lstm": run_cli,
    "make": run_make,
    "hf": run_hf,
    "python": run_script,
    "accelerate": run_launched,
    "torchrun": run_launched,
}


# --- the documents -------------------------------------------------------------------------------


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


def run(block: Block, workshop: Workshop) -> None:
    if block.language not in LANGUAGES:
        pytest.fail(f"{block.where}: nobody knows how to run {block.language!r}: see {__file__}")
    LANGUAGES[block.language](block, workshop)


def test_every_block_of_the_readme_runs(workshop: Workshop) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = fenced(text, "README.md")
    assert {block.language for block in blocks} == {"python", "bash", ""}
    for block in [*blocks, *in_line(text, "README.md")]:
        run(block, workshop)


def test_every_block_of_the_card_runs(workshop: Workshop) -> None:
    """The card that a push makes of a run, where the reviews are at hand as it says."""
    recipe = {
        "train": str(workshop.folder / "reviews.ft.txt:train[:40]"),
        "validation": str(workshop.folder / "reviews.ft.txt:train[40:]"),
        "test": "sample:test[:20]",
        "output_dir": "runs/tiny",
        "hidden_size": 8,
        "embedding_size": 4,
    }
    (workshop.folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", "tiny.yaml", *SHORTENED["sentiment-lstm train"].split()]) == 0
    assert main(["push", "runs/tiny", ID]) == 0
    card = workshop.hub.repositories["model", ID].files["README.md"].decode()
    assert len(re.findall(r"^!\[.*\]\(.*\.png\)$", card, re.MULTILINE)) == 4
    blocks = fenced(card, "card")
    assert [block.language for block in blocks] == ["python", "python", "bash", "yaml", "bash"]
    for block in blocks:
        run(block, workshop)
    # The commands of the card have made the run once more.
    first, again = (
        json.loads((workshop.folder / path / "results.json").read_text())
        for path in ("runs/tiny", "tiny")
    )
    for split in ("train", "validation", "test"):
        assert [facts["fingerprint"] for facts in first["reviews"][split].values()] == [
            facts["fingerprint"] for facts in again["reviews"][split].values()
        ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```ruby\nputs 1\n```", "card:1: nobody knows how to run 'ruby'"),
        ("~~~\nnowhere.py  lost\n~~~", "there is no nowhere.py"),
        ("\n```bash\nmake demo\nrm -rf runs\n```", "card:2: nobody knows how to run `rm -rf runs`"),
        ("```bash\nmake no_such_target\n```", "no_such_target"),
        ("```bash\nsentiment-lstm predict runs/demo fine > out\n```", "nobody knows"),
        ("```bash\nsentiment-lstm predict runs/gone fine\n```", "predict runs/gone fine"),
        ("```bash\npython scripts/gone.py\n```", "there is no script scripts/gone.py"),
        ("```bash\npython -m http.server\n```", "there is no script -m"),
        ("```yaml\nhiden_size: 3\n```", "no field --hiden_size"),
        ("```python\nimport sentiment_lstm.gone\n```", "sentiment_lstm.gone"),
        ("```python\n1 + 1\n", "card:1: a block without an end"),
    ],
)
def test_a_block_that_does_not_run_is_noticed(text: str, message: str, workshop: Workshop) -> None:
    def run_all() -> None:
        for block in fenced(text, "card"):
            run(block, workshop)

    with pytest.raises((pytest.fail.Exception, AssertionError, ImportError, ValueError)) as error:
        run_all()
    assert message in str(error.value)
