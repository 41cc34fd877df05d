"""What `export --browser` refuses, and what its page is made of.

`make test-page` makes such a page and opens it: see `test_static.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import DEFAULT_MODEL, SentimentLSTMForSequenceClassification
from sentiment_lstm.cli.main import main
from sentiment_lstm.page import browser
from sentiment_lstm.page.browser import export_page
from sentiment_lstm.tokenization import train_tokenizer

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]
WEB = Path(browser.__file__).with_name("web")


@pytest.fixture
def no_npm(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine where programs are found and fail; the commands that were given."""
    given: list[list[str]] = []
    said = "npm error code ENOTFOUND\nnpm error no network\nnpm error     at emit (events:524:28)\n"

    def fail(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        given.append(words)
        return subprocess.CompletedProcess(words, 1, "", said)

    monkeypatch.setattr(browser, "_run", fail)
    monkeypatch.setattr(browser, "_find", lambda program: f"/bin/{program}")
    return given


def export(model: object, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Give the command, which fails; what it says."""
    assert main(["export", str(model), str(folder), "--browser"]) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert not folder.exists() or not any(folder.iterdir())
    assert not any(folder.parent.glob("tmp*"))
    return said


def test_words_that_javascript_cannot_read_are_refused(
    make_model: MakeModel,
    reviews: list[tuple[str, int]],
    no_npm: list[list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokenizer = train_tokenizer((text for text, _ in reviews), words="nltk")
    make_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    said = export(tmp_path / "model", tmp_path / "page", capsys)
    assert f"{tmp_path / 'model'}: its tokenizer has rules with \\K" in said
    assert "`words: plain`" in said
    assert no_npm == []


def test_without_node_it_is_said_where_it_is(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm: not found; " in export(model_folder, tmp_path / "page", capsys)


def test_what_npm_says_is_said_and_nothing_is_left(
    model_folder: Path,
    no_npm: list[list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = export(model_folder, tmp_path / "page", capsys)
    assert said.endswith("has not brought the libraries of the page: code ENOTFOUND; no network")
    assert no_npm[0][:2] == ["/bin/npm", "ci"]
    assert "--ignore-scripts" in no_npm[0]


def test_a_page_with_other_answers_is_not_written(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_npm: list[list[str]]
) -> None:
    monkeypatch.setattr(browser, "_bring_libraries", lambda npm, workplace, libraries: None)
    answers = np.array([[0.0, 1.0]] * 5)
    monkeypatch.setattr(browser, "answers_in_node", lambda node, page, texts: answers)
    with pytest.raises(ValueError, match=r"differ from those of Python by .*: nothing was written"):
        export_page(model_folder, tmp_path / "page")
    assert not any((tmp_path / "page").iterdir())


def test_a_folder_with_something_in_it_is_left_alone(
    model_folder: Path, no_npm: list[list[str]]
) -> None:
    with pytest.raises(FileExistsError, match="not empty"):
        export_page(DEFAULT_MODEL, model_folder)
    assert no_npm == []


def test_the_page_names_nothing_that_lies_elsewhere_or_is_missing() -> None:
    for name in browser._PAGE:
        text = (WEB / name).read_text(encoding="utf-8")
        assert "://" not in text, name
        named = re.findall(r'(?:src|href)="([^"]+)"|from "([^"]+)"', text)
        for target in (Path(one or other) for one, other in named):
            is_library = target.parent.name == "libraries"
            there = browser._LIBRARIES.values() if is_library else browser._PAGE
            assert target.name in there or str(target) == "data:,", f"{name}: {target}"
    # Inline scripts, and requests to other servers, are refused by the browser.
    policy = re.search(r'content="(default-src[^"]+)"', (WEB / "index.html").read_text())
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"


def test_the_libraries_are_pinned_by_content_and_from_no_registry() -> None:
    wanted = json.loads((WEB / "package.json").read_text())
    lock = (WEB / "package-lock.json").read_text()
    packages = json.loads(lock)["packages"]
    root = packages.pop("")
    assert root["dependencies"] == wanted["dependencies"]
    for name, version in wanted["dependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert "://" not in lock


def test_the_folder_is_a_static_space() -> None:
    _, front, _ = (WEB / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front).items() >= {"sdk": "static", "app_file": "index.html"}.items()


def test_every_way_to_keep_weights_is_one_of_several(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    for option in ("--int8", "--float16"):
        with pytest.raises(SystemExit, match=r"^2$"):
            main(["export", str(model_folder), str(tmp_path / "page"), option, "--browser"])
