"""Every code block of README, docs/ and card is run, from top to bottom; see `blocks`."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch
import yaml
from blocks import ID, NEEDS, ROOT, SHORTENED, Workshop, fenced, in_line, run
from fake_hub import FakeHub
from tutorial import reference

from sentiment_lstm.cli.main import main

DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
# Those that can be run here; the others are not collected, and the Makefile names them.
RUNNABLE = [name for name in DOCUMENTS if all(map(find_spec, NEEDS.get(name, ())))]


@pytest.fixture(scope="module")
def workshop(
    reviews: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workshop]:
    """The checkout as a reader has it, after `make demo` and with reviews of their own.

    One for all documents: what several of them name runs once.
    """
    folder = tmp_path_factory.mktemp("documents") / "workshop"
    for name in ("my", "runs", "docs/results/answers"):
        (folder / name).mkdir(parents=True)
    for name in ("scripts", "hub_card", "sentiment_lstm"):
        (folder / name).symlink_to(ROOT / name)
    lines = "".join(f"__label__{label + 1} {text}\n" for text, label in reviews)
    (folder / "my/train.ft.txt.bz2").write_bytes(bz2.compress(lines.encode()))
    (folder / "my/dev.ft.txt").write_text(lines)
    (folder / "reviews.ft.txt").write_text(lines)
    (folder / "my/texts.txt").write_text("A lamp.\nA scarf.\n")
    stars = "".join(f"{number % 5 + 1},{text!r}\n" for number, (text, _) in enumerate(reviews))
    (folder / "my/stars.csv").write_text(
        "stars,text\n" + re.sub("['\"]", "", stars).replace(", ", " ")
    )
    (folder / "my/books.review").write_text("".join(map(_in_blitzers_format, range(60))))
    plain = "".join(f"{text}\n" for text, _ in reviews)
    (folder / "reviews.txt.gz").write_bytes(gzip.compress(plain.encode()))
    words = ["_PAD", "_UNK", "good", "bad"]
    (folder / "my/words.json").write_text(json.dumps(words))
    torch.save(
        reference.SentimentNet(len(words) + 1, 4, 4).state_dict(), folder / "my/state_dict.pt"
    )
    with FakeHub() as hub, pytest.MonkeyPatch.context() as monkeypatch:
        hub.connect(monkeypatch)
        monkeypatch.chdir(folder)
        # The scripts set these for their process, which here is that of all tests.
        for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            monkeypatch.setenv(name, "1")
        monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
        (folder / "demo.yaml").write_text(
            "train: my/train.ft.txt.bz2\nvalidation: my/dev.ft.txt\noutput_dir: runs/demo\n"
        )
        assert main(["train", "demo.yaml", *SHORTENED["sentiment-lstm train"].split()]) == 0
        shutil.copytree(folder / "runs/demo", folder / "my/model")
        yield Workshop(folder, hub, monkeypatch, set(), folder / "no tree")


# Stars, title and text of reviews of books.
BOOKS = [
    ("1.0", "Not for me", "I gave up after fifty pages & gave it away."),
    ("2.0", "Thin", "Two good ideas, and a great deal of padding around them."),
    ("3.0", "Fair", "Some chapters are fine, others are not. I would borrow it."),
    ("4.0", "Well told", "A little long in the middle, but the end makes up for it."),
    ("5.0", "Wonderful", "I read it in one night and began anew in the morning."),
]


def _in_blitzers_format(number: int) -> str:
    """A review with stars as the multi-domain sentiment data set writes them."""
    stars, title, text = BOOKS[number * 7 % len(BOOKS)]
    return (
        f"<review>\n<unique_id>\n{number}\n</unique_id>\n<rating>\n{stars}\n</rating>\n<title>\n"
        f"{title}\n</title>\n<review_text>\n{text} Copy {number}.\n</review_text>\n</review>\n"
    )


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support:FutureWarning")
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft asks
def test_every_block_of_a_document_runs(name: str, workshop: Workshop) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for block in [*fenced(text, name), *in_line(text, name)]:
        run(block, workshop.for_document(name))


def test_a_document_that_needs_more_is_run_by_a_target() -> None:
    targets = ["test-engines", "test-integrations"]
    done = subprocess.run(
        ["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True, check=True
    )
    named = re.findall(r"test_every_block_of_a_document_runs\[(\S+)\]", done.stdout)
    assert sorted(named) == sorted(NEEDS)
    assert {*NEEDS} <= {*DOCUMENTS}


def test_a_notebook_is_kept_without_what_it_printed() -> None:
    notebooks = [*(ROOT / "docs").glob("*.ipynb")]
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                assert (cell["outputs"], cell["execution_count"]) == ([], None), path.name


@pytest.mark.parametrize("name", [*DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text)):
        if target.startswith("https://"):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings]
            assert anchor in slugs, f"{name}: {target}#{anchor}"


def test_the_languages_of_the_readme_are_those_of_users() -> None:
    blocks = fenced((ROOT / "README.md").read_text(encoding="utf-8"), "README.md")
    assert {block.language for block in blocks} == {"python", "bash"}


def test_every_block_of_the_card_runs(workshop: Workshop) -> None:
    """The card that a push makes of a run, where the reviews are at hand as it says."""
    recipe = {
        "train": str(workshop.folder / "reviews.ft.txt:train[:40]"),
        "validation": str(workshop.folder / "reviews.ft.txt:train[40:]"),
        "test": "sample:test[:20]",
        "output_dir": "runs/tiny",
    }
    (workshop.folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", "tiny.yaml", *SHORTENED["sentiment-lstm train"].split()]) == 0
    assert main(["push", "runs/tiny", ID]) == 0
    card = workshop.hub.repositories["model", ID].files["README.md"].decode()
    assert len(re.findall(r"^!\[.*\]\(.*\.png\)$", card, re.MULTILINE)) == 4
    blocks = fenced(card, "card")
    assert [block.language for block in blocks] == ["python", "python", "bash", "yaml", "bash"]
    for block in blocks:
        run(block, dataclasses.replace(workshop, done=set()))
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
        ("~~~\nMakefile  alone\n~~~", "is not listed"),
        ("\n```bash\nmake demo\nrm -rf runs\n```", "card:2: nobody knows how to run `rm -rf runs`"),
        ("```bash\nmake no_such_target\n```", "no_such_target"),
        ("```bash\npip install '.[gone]'\n```", "no extra gone"),
        ("```bash\nsentiment-lstm predict --model runs/demo fine > out\n```", "nobody knows"),
        ("```bash\nsentiment-lstm predict --model runs/gone fine\n```", "--model runs/gone fine"),
        ("```bash\npython scripts/gone.py\n```", "there is no script scripts/gone.py"),
        ("```bash\npython -m http.server\n```", "there is no script -m"),
        ("```yaml\nhiden_size: 3\n```", "hiden_size"),
        ("```python\nimport sentiment_lstm.gone\n```", "sentiment_lstm.gone"),
        ("```python\n1 + 1\n", "card:1: a block without an end"),
        ("```diff\n# tests/support.py\n-import nothing\n+import os\n```", "found 0 times"),
        ("```diff\n# tests/support.py\n+import os\n```", "support.py is there already"),
    ],
)
def test_a_block_that_does_not_run_is_noticed(text: str, message: str, workshop: Workshop) -> None:
    def run_all() -> None:
        for block in fenced(text, "card"):
            run(block, workshop.for_document("card"))

    with pytest.raises((pytest.fail.Exception, AssertionError, ImportError, ValueError)) as error:
        run_all()
    assert message in str(error.value)
