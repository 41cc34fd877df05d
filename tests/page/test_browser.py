"""The page as people meet it: served by the command or a Space, read and clicked in a browser.

`make test-page` makes the environment for these tests. With `SCREENSHOT=FILE` a picture of the page
is kept.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_hub import FakeHub
from support import GUARD, ROOT

from sentiment_lstm import DEFAULT_MODEL, SentimentPredictor
from sentiment_lstm.page.contents import MAX_REVIEWS, Answers

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

pytest.importorskip("gradio", reason="`make test-page` has it")
browsers = pytest.importorskip("playwright.sync_api", reason="`make test-page` has it")
expect = browsers.expect

REVIEWS = [
    "I wanted to love this lamp, but the switch broke on the second evening.",
    "Light, quiet and easy to clean. The best kettle we ever had!",
    "The colour is nothing like the picture, and nobody answers my mails.",
]
# What a browser would do something about, if it were not shown as text.
HOSTILE = (
    'Fine <b class="x">lamp</b> <img src="/x" onerror="alert(1)"><script>alert(2)</script> '
    "${alert(3)} {{7*7}} &lt;i&gt; [link](javascript:alert(4)) works well"
)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Of a machine that has other things to do.
PATIENCE = 120
expect.set_options(timeout=PATIENCE * 1000)

# Says what a process listens at, as the guard says what it reaches for.
LISTENER = """
def listener(event, args):
    if event == "socket.bind" and isinstance(args[1], tuple):
        print("LISTENS", args[1][0], flush=True)
sys.addaudithook(listener)
"""
COMMAND = "from sentiment_lstm.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
# As `python app.py` does it, whose folder comes first.
APP = """
import runpy
sys.path[0] = sys.argv[1]
import sentiment_lstm
print("PACKAGE", sentiment_lstm.__file__, flush=True)
runpy.run_path(sys.argv[1] + "/app.py", run_name="__main__")
"""


@dataclass
class Server:
    """A process that serves the page, and what it says."""

    process: subprocess.Popen[str]
    files: Path  # where Gradio puts what is uploaded
    url: str = ""
    said: list[str] = field(default_factory=list)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(files: Path, code: str, *arguments: str, **options: Any) -> Iterator[Server]:
    """Run code that serves the page until the block ends; it reaches no other machine."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", GUARD + LISTENER + code, *arguments],
        env=os.environ | {"GRADIO_TEMP_DIR": str(files), "GRADIO_ANALYTICS_ENABLED": "True"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    server, there = Server(process, files), threading.Event()

    def listen() -> None:
        for line in process.stdout or ():
            server.said.append(line)
            if "the page is at " in line:
                server.url = line.split("the page is at ")[1].split()[0]
                there.set()
        there.set()

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        assert there.wait(PATIENCE), "the page takes too long"
        assert server.url, "".join(server.said)
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("files"), COMMAND, "demo") as server:
        yield server
        # Of all that the tests have done.
        assert not [line for line in server.said if line.startswith("OUTSIDE")]
        assert {line for line in server.said if line.startswith("LISTENS")} == {
            "LISTENS 127.0.0.1\n"
        }
        assert list(server.files.rglob("answers.csv"))
        # Ctrl-C, which ends every command so.
        assert server.stop() == 130
        assert not list(server.files.rglob("*.csv"))


@pytest.fixture(scope="module")
def predictor() -> SentimentPredictor:
    return SentimentPredictor.from_pretrained(DEFAULT_MODEL)


@contextmanager
def opened(url: str, profile: Path) -> Iterator[Page]:
    """The page in a browser of its own, which asks nobody else and meets no error."""
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=BROWSER,
            args=OPTIONS,
            headless=True,
            viewport={"width": 900, "height": 900},
        )
        browser.set_default_timeout(PATIENCE * 1000)
        page = browser.pages[0]
        asked: list[str] = []
        wrong: list[str] = []

        def refuse(dialog: Dialog) -> None:
            wrong.append(dialog.message)
            dialog.dismiss()

        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", refuse)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        yield page
        browser.close()
        assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []
        assert wrong == []


@pytest.fixture
def page(server: Server, tmp_path: Path) -> Iterator[Page]:
    with opened(server.url, tmp_path / "profile") as page:
        yield page


def paste(page: Page, text: str) -> None:
    page.locator("#pasted textarea").fill(text)
    page.locator("#answer-pasted").click()


def upload(page: Page, path: Path) -> None:
    page.get_by_role("tab", name="File").click()
    page.locator("#uploaded input[type=file]").set_input_files(path)
    expect(page.locator("#uploaded")).to_contain_text(path.stem)
    page.locator("#answer-file").click()


def downloaded(page: Page) -> str:
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "answers.csv"
    return Path(download.value.path()).read_bytes().decode()


def test_reviews_are_pasted_answered_explained_and_downloaded(
    page: Page, predictor: SentimentPredictor
) -> None:
    paste(page, "\n".join(REVIEWS))
    answers = Answers(REVIEWS, predictor.predict(REVIEWS))
    expect(page.locator("#said")).to_have_text(answers.summary)
    rows = page.locator("#table .virtual-row")
    for number, row in enumerate(answers.to_rows()):
        cells = rows.nth(number).locator("[role=gridcell]")
        assert [cell.strip() for cell in cells.all_inner_texts()] == list(map(str, row))
    why = page.locator("#why")
    expect(why).to_contain_text(REVIEWS[0])
    expect(page.locator("#cuts canvas, #cuts svg.marks").first).to_be_visible()
    expect(page.locator("#bars canvas, #bars svg.marks").first).to_be_visible()
    strongest = predictor.explain(REVIEWS[0]).top(1)[0]
    word = why.locator(f'span[title="{strongest.contribution:+.3f}"]')
    expect(word).to_have_text(strongest.text)
    assert "rgba" in (word.get_attribute("style") or "")
    assert downloaded(page) == answers.to_csv()
    if target := os.environ.get("SCREENSHOT"):
        page.screenshot(path=target, full_page=True)
    rows.nth(1).locator("[role=gridcell]").last.click()
    expect(why).to_contain_text(REVIEWS[1])
    expect(why).not_to_contain_text(REVIEWS[0])


def test_an_example_is_read_as_if_it_were_pasted(page: Page) -> None:
    page.get_by_text("Not what I expected, better!").click()
    expect(page.locator("#pasted textarea")).to_have_value(
        "Not what I expected, better! My daughter will not put it down."
    )
    page.locator("#answer-pasted").click()
    expect(page.locator("#said")).to_contain_text(", score ")
    expect(page.locator("#table")).to_be_hidden()  # of one review there is no list


def test_html_in_reviews_is_text(page: Page, tmp_path: Path) -> None:
    for reviews in ([HOSTILE], [HOSTILE, "Fine."]):
        paste(page, "\n".join(reviews))
        expect(page.locator("#why")).to_contain_text(HOSTILE)
        expect(page.locator("#said")).to_contain_text("score " if len(reviews) == 1 else "2 ")
    expect(page.locator("#table")).to_contain_text(HOSTILE)
    (tmp_path / "x.csv").write_text("stars,<img src=/x onerror=alert(5)>\n")
    upload(page, tmp_path / "x.csv")
    expect(page.locator("#said")).to_contain_text("columns stars, <img src=/x onerror=alert(5)>")
    assert (
        page.locator("#said img, #why img, #why b, #why script, #table img, #table a").count() == 0
    )


def test_a_file_is_uploaded_and_answered(
    page: Page, predictor: SentimentPredictor, tmp_path: Path
) -> None:
    texts = [f"{text}\nSeen on day {day}." for day in range(9) for text in REVIEWS]
    with (tmp_path / "reviews.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "text"], *enumerate(texts)])
    upload(page, tmp_path / "reviews.csv")
    answers = Answers(texts, predictor.predict(texts))
    expect(page.locator("#said")).to_have_text(answers.summary)
    expect(page.locator("#bars canvas, #bars svg.marks").first).to_be_visible()
    assert [row[2] for row in csv.reader(io.StringIO(downloaded(page)))] == ["text", *texts]


def test_what_cannot_be_answered_is_said_and_nothing_else_is_shown(
    page: Page, tmp_path: Path
) -> None:
    said = page.locator("#said")
    paste(page, "\n".join(REVIEWS))
    expect(said).to_contain_text("3 reviews")
    paste(page, "  \n")
    expect(said).to_have_text("Paste a review first, or several, one a line.")
    for part in ("#table", "#cuts", "#bars", "#download"):
        expect(page.locator(part)).to_be_hidden()
    expect(page.locator("#why")).to_have_text("")
    # At once, as the clipboard does it: Chromium takes minutes to type so many lines.
    page.locator("#pasted textarea").evaluate(
        "(box, text) => { box.value = text; box.dispatchEvent(new Event('input')); }",
        "a\n" * (MAX_REVIEWS + 1),
    )
    page.locator("#answer-pasted").click()
    expect(said).to_contain_text("More than 10,000 reviews: `sentiment-lstm predict --input")
    (tmp_path / "stars.csv").write_text("stars,words\n1,fine\n")
    upload(page, tmp_path / "stars.csv")
    expect(said).to_have_text(
        "stars.csv:1: no text column (text, content, review) among the columns stars, words. "
        "Rename the column of the reviews to text."
    )


def test_a_file_that_is_too_large_is_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"word " * 5_000_000)
    page.get_by_role("tab", name="File").click()
    page.locator("#uploaded input[type=file]").set_input_files(tmp_path / "large.txt")
    expect(page.get_by_text("exceed the maximum allowed size of 20")).to_be_visible()
    page.locator("#answer-file").click()
    expect(page.locator("#said")).to_have_text("Choose a file first.")


def test_a_port_that_is_taken_is_said(server: Server) -> None:
    port = server.url.rstrip("/").rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "sentiment_lstm", "demo", "--port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert f"error: 127.0.0.1:{port}: the page cannot listen there" in done.stderr


def test_two_uploads_make_a_space(hub: FakeHub, tmp_path: Path) -> None:
    """The commands of docs/page.md, and then what a Space has runs without the checkout."""
    text = (ROOT / "docs/page.md").read_text(encoding="utf-8")
    commands = [line.split() for line in text.splitlines() if line.startswith("hf upload")]
    assert len(commands) == 2
    for words in commands:
        words[words.index("USER/NAME")] = "tester/page"
        unquoted = [word.strip('"') for word in words[1:]]
        subprocess.run(
            [sys.executable, "-m", "huggingface_hub.cli.hf", *unquoted],
            env=hub.environment(tmp_path / "home"),
            cwd=ROOT,
            check=True,
        )
    space = tmp_path / "space"
    for name, content in hub.repositories["space", "tester/page"].files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_bytes(content)
    assert "sdk: gradio" in (space / "README.md").read_text()
    assert not list(space.rglob("*.pyc"))
    with (
        serving(tmp_path / "files", APP, str(space), cwd=tmp_path) as server,
        opened(server.url, tmp_path / "profile") as page,
    ):
        paste(page, REVIEWS[1])
        expect(page.locator("#said")).to_contain_text("POSITIVE, score ")
        assert f"PACKAGE {space}/sentiment_lstm/__init__.py\n" in server.said
        assert not [line for line in server.said if line.startswith("OUTSIDE")]
