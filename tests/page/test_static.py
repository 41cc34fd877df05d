"""The page that needs no server: in Node and in a browser it gives the answers of Python.

`make test-page` makes the environment for these tests; npm brings the page's two libraries. With
`SCREENSHOT_STATIC=FILE` a picture of the page is kept, and with `STATIC_MODEL=FOLDER` it is that of
a model that was trained.
"""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from fake_hub import FakeHub
from support import DEFAULT_PRESETS, LABELS, ROOT, TUTORIAL_PRESET, randomised
from transformers import PreTrainedTokenizerFast, set_seed

from sentiment_lstm import (
    SentimentLSTMConfig,
    SentimentLSTMForSequenceClassification,
    SentimentPredictor,
)
from sentiment_lstm.cli.main import main
from sentiment_lstm.page import browser
from sentiment_lstm.page.browser import answers_in_node, export_page
from sentiment_lstm.page.contents import ROWS, Answers
from sentiment_lstm.tokenization import train_tokenizer

if TYPE_CHECKING:
    from playwright.sync_api import Page

browsers = pytest.importorskip("playwright.sync_api", reason="`make test-page` has it")
from test_browser import HOSTILE, REVIEWS, opened  # noqa: E402 - which needs the same

expect = browsers.expect
NODE = shutil.which("node") or "node"

MODELS: dict[str, dict[str, Any]] = DEFAULT_PRESETS | {
    "tutorial": TUTORIAL_PRESET,
    "three labels": LABELS["three"] | {"temperature": 2.5},
    "several at once": LABELS["several at once"],
    "a number": LABELS["a number"],
    "word pieces": {},
}
# What tokenizers have rules for, and what JavaScript may take for something else.
ODD = [
    *(
        "don’t",
        "wasn't",
        "&amp;",
        "<br />",
        "&#39;s",
        ":-)",
        "👍🏽",
        "🤷\u200d♀️",
        "10/10",
        "$1,250.99",
    ),
    *(
        "sooooo",
        "_PAD",
        "_UNK",
        "constructor",
        "__proto__",
        "“good”",
        "日本語",
        "ÜBER",
        "e\u0301té",
    ),
    *("!!!!!", "...", "\u00a0", "\u200b", "${1}", "\\K", "\ufeff", "I'M", "well-made"),
]


def some_texts(reviews: list[tuple[str, int]], number: int) -> list[str]:
    """Texts of all lengths, of the reviews' words, of unknown words and of odd ones."""
    draw = random.Random(number)
    known = [word for text, _ in reviews for word in text.split()]
    unknown = ["".join(draw.choices("abcdeorst", k=draw.randint(2, 9))) for _ in range(200)]
    words = [*known, *unknown, *ODD * 10]
    lengths = [0, 1, 3, 12, 12, 40, 40, 120, 700]
    return [" ".join(draw.choices(words, k=draw.choice(lengths))) for _ in range(number)]


def save_model(
    folder: Path, reviews: list[tuple[str, int]], *, pieces: int = 0, **fields: Any
) -> Path:
    """A model whose answers differ from text to text, with weights in half precision."""
    set_seed(3)
    tokenizer: PreTrainedTokenizerFast = train_tokenizer(
        [text for text, _ in reviews], max_word_pieces=pieces
    )
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 12, "hidden_size": 16}
    model = SentimentLSTMForSequenceClassification(SentimentLSTMConfig(**(sizes | fields)))
    randomised(model).eval()
    texts = some_texts(reviews, 100)
    with torch.no_grad():
        # So that no label is far ahead of the others, whatever the text is.
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        logits = model(**inputs).logits[:, 1 if model.config.single_logit else 0 :]
        model.classifier.bias.sub_(logits.median(dim=0).values * model.config.temperature)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(reviews: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "model"
    if trained := os.environ.get("STATIC_MODEL"):
        return Path(shutil.copytree(trained, folder))
    return save_model(folder, reviews)


@pytest.fixture(scope="module")
def folder(model: Path) -> Path:
    """The page of that model, made by the command."""
    folder = model.with_name("page")
    assert main(["export", str(model), str(folder), "--browser"]) == 0
    return folder


@pytest.fixture(scope="module")
def predictor(model: Path) -> SentimentPredictor:
    return SentimentPredictor.from_pretrained(model)


@pytest.fixture
def libraries_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Npm is asked once, and not for each page."""

    def copy(npm: str, workplace: Path, libraries: Path) -> None:
        shutil.copytree(folder / "libraries", libraries)

    monkeypatch.setattr(browser, "_bring_libraries", copy)


def test_the_folder_has_the_page_and_nothing_of_python_or_the_machine(
    folder: Path, model: Path
) -> None:
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    config = {"config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"}
    libraries = {f"libraries/{name}" for name in browser._LIBRARIES.values()}
    assert names == {*browser._PAGE} | config | libraries
    # Of what was trained only: the page's own files are those of the checkout.
    for name in config - {"model.onnx"}:
        assert str(model) not in (folder / name).read_text(encoding="utf-8")
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith("tmp")] == []


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("libraries_of")
def test_node_gives_the_labels_and_scores_of_python(
    name: str, reviews: list[tuple[str, int]], tmp_path: Path
) -> None:
    pieces = 200 if name == "word pieces" else 0
    model = save_model(tmp_path / "model", reviews, pieces=pieces, **MODELS[name])
    texts = some_texts(reviews, 500)
    expected = SentimentPredictor.from_pretrained(model).predict_proba(texts)
    found = answers_in_node(NODE, export_page(model, tmp_path / "page"), texts)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    labels = expected.argmax(axis=1)
    assert (found.argmax(axis=1) == labels).all()
    if expected.shape[1] > 1:
        assert len({*labels.tolist()}) > 1  # else any page would be right
    assert np.ptp(expected[:, 0]) > 0.05


@pytest.mark.usefixtures("libraries_of")
def test_an_answer_does_not_depend_on_the_batch(
    folder: Path, reviews: list[tuple[str, int]]
) -> None:
    texts = some_texts(reviews, 30)
    together = answers_in_node(NODE, folder, texts)
    for number in (0, 7):
        alone = answers_in_node(NODE, folder, [texts[number]])
        np.testing.assert_allclose(alone[0], together[number], atol=1e-6)


@pytest.mark.usefixtures("libraries_of")
def test_a_tokenizer_that_javascript_cannot_read_is_said(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that has nothing of NLTK's words, but what else JavaScript lacks: a call of a group."""
    shutil.copytree(model, tmp_path / "model")
    path = tmp_path / "model/tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"ooo++"', r'"(?<n>o)\\g<n>"'))
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "page"), "--browser"]) == 1
    assert "JavaScript does not read it, and nothing was written: " in capfd.readouterr().err
    assert not any((tmp_path / "page").iterdir())


# --- in a browser --------------------------------------------------------------------------------


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, isolated or not, packed or not; holds back one file until it may go."""

    held = ""
    may_go = threading.Event()
    packs = False

    def __init__(self, *arguments: Any, isolated: bool = False, **options: Any) -> None:
        self.isolated = isolated
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if self.held and self.path.endswith(self.held):
            self.may_go.wait(60)
        if not self.packs or self.path == "/":
            super().do_GET()
            return
        content = gzip.compress(Path(self.translate_path(self.path)).read_bytes(), 1)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(self.path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Nothing: each request would be a line."""


@contextmanager
def serving(folder: Path, *, isolated: bool = False) -> Iterator[str]:
    handler = partial(Handler, directory=str(folder), isolated=isolated)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def page(folder: Path, tmp_path: Path) -> Iterator[Page]:
    with serving(folder) as url, opened(url, tmp_path / "profile") as page:
        expect(page.locator("#status")).to_have_text("Ready.")
        yield page


def paste(page: Page, texts: list[str]) -> None:
    """At once, as the clipboard does it."""
    page.locator("#reviews").fill("\n".join(texts))


def rows(page: Page) -> list[list[str]]:
    """What the table shows."""
    found: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#answers tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return found


@pytest.mark.parametrize("isolated", [False, True])
def test_500_reviews_are_labelled_as_in_python(
    isolated: bool,
    folder: Path,
    predictor: SentimentPredictor,
    reviews: list[tuple[str, int]],
    tmp_path: Path,
) -> None:
    texts = [" ".join(text.split()) for text in some_texts(reviews, 700)]
    texts = [text for text in texts if text.strip("\ufeff ")][:ROWS]
    assert len(texts) == 500
    with serving(folder, isolated=isolated) as url, opened(url, tmp_path / "profile") as page:
        assert page.evaluate("crossOriginIsolated") == isolated  # then with threads
        paste(page, texts)
        page.get_by_role("button").click()
        answers = Answers(texts, predictor.predict(texts))
        expect(page.locator("#status")).to_have_text(answers.summary)
        for found, prediction, text in zip(rows(page), answers.predictions, texts, strict=True):
            assert found[1] == prediction.label
            assert abs(float(found[2]) - prediction.score) <= 1e-3
            assert found[3] == text


def test_the_keyboard_is_enough(page: Page, predictor: SentimentPredictor) -> None:
    page.keyboard.type(REVIEWS[0])  # the box has the focus
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answers = Answers(REVIEWS[:1], predictor.predict(REVIEWS[:1]))
    expect(page.locator("#status")).to_have_text(answers.summary)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+End")
    page.keyboard.type("\n" + "\n".join(REVIEWS[1:]))
    page.keyboard.press("Control+Enter")
    answers = Answers(REVIEWS, predictor.predict(REVIEWS))
    expect(page.locator("#status")).to_have_text(answers.summary)
    assert [[int(row[0]), *row[1:]] for row in rows(page)] == answers.to_rows()
    if target := os.environ.get("SCREENSHOT_STATIC"):
        page.set_viewport_size({"width": 900, "height": 580})
        page.screenshot(path=target)


def test_html_in_reviews_is_text(page: Page) -> None:
    paste(page, [HOSTILE, "Fine."])
    page.get_by_role("button").click()
    expect(page.locator("#status")).to_contain_text("2 reviews")
    assert rows(page)[0][3] == HOSTILE
    assert page.locator("#answers img, #answers b, #answers script").count() == 0


def test_it_answers_without_a_network(page: Page) -> None:
    page.context.set_offline(True)
    paste(page, REVIEWS)
    page.get_by_role("button").click()
    expect(page.locator("#status")).to_contain_text("3 reviews")


def test_nothing_pasted_is_said_until_something_is(page: Page) -> None:
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_have_text("Paste a review first, or several, one a line.")
    expect(page.locator("#answers")).to_be_hidden()
    paste(page, REVIEWS)
    page.get_by_role("button").click()
    expect(page.locator("#answers")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text("")


def test_what_is_pasted_while_the_model_loads_is_answered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "held", "model.onnx")
    monkeypatch.setattr(Handler, "may_go", threading.Event())
    with serving(folder) as url, opened(url, tmp_path / "profile") as page:
        status = page.locator("#status")
        # The runtime is there, which is nearly all of a tiny model's page.
        expect(status).to_have_text(re.compile(r"Loading the model: 14\.\d of 14\.\d MB\."))
        expect(page.get_by_role("progressbar")).to_be_visible()
        paste(page, REVIEWS)
        page.get_by_role("button").click()
        expect(status).to_contain_text("Loading the model")
        Handler.may_go.set()
        expect(status).to_contain_text("3 reviews")
        expect(page.get_by_role("progressbar")).to_be_hidden()


def test_one_upload_makes_a_space(
    folder: Path, predictor: SentimentPredictor, hub: FakeHub, tmp_path: Path
) -> None:
    """The command of docs/browser.md, and then what a Space has is the page."""
    text = (ROOT / "docs/browser.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"`hf (upload [^`]+)`", text)
    given = {"USER/NAME": "tester/page", "runs/demo-page": str(folder)}
    subprocess.run(
        [sys.executable, "-m", "huggingface_hub.cli.hf"]
        + [given.get(word, word) for word in command.split()],
        env=hub.environment(tmp_path / "home"),
        check=True,
    )
    space = tmp_path / "space"
    for name, content in hub.repositories["space", "tester/page"].files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_bytes(content)
    assert "\nsdk: static\n" in (space / "README.md").read_text(encoding="utf-8")
    with serving(space) as url, opened(url, tmp_path / "profile") as page:
        paste(page, REVIEWS)
        page.get_by_role("button").click()
        expect(page.locator("#status")).to_have_text(
            Answers(REVIEWS, predictor.predict(REVIEWS)).summary
        )


def test_a_server_may_pack_the_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of how much is to come the browser then knows nothing."""
    monkeypatch.setattr(Handler, "packs", True)
    monkeypatch.setattr(Handler, "held", "model.onnx")
    monkeypatch.setattr(Handler, "may_go", threading.Event())
    with serving(folder) as url, opened(url, tmp_path / "profile") as page:
        expect(page.locator("#status")).to_have_text(re.compile(r"Loading the model: 14\.\d MB\."))
        assert page.get_by_role("progressbar").get_attribute("value") is None
        Handler.may_go.set()
        expect(page.locator("#status")).to_have_text("Ready.")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_or_damaged_file_is_said(name: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "page")
    (tmp_path / "page" / name).write_bytes(b"{")
    with serving(tmp_path / "page") as url, opened(url, tmp_path / "profile") as page:
        expect(page.get_by_role("alert")).not_to_have_text("")
        expect(page.locator("#status")).to_have_text("")
        (tmp_path / "page" / name).unlink()
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text(f"{name}: the server answers 404")
        page.get_by_role("button").click()  # says no more than that
        paste(page, REVIEWS)
        page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text(f"{name}: the server answers 404")


def test_a_page_that_cannot_start_says_what_it_needs(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "page")
    (tmp_path / "page/classifier.js").unlink()
    with serving(tmp_path / "page") as url, opened(url, tmp_path / "profile") as page:
        expect(page.locator("#status")).to_contain_text("python -m http.server in its folder")
