"""`explain` as a user meets it."""

import io
import json
import sys
from pathlib import Path

import pytest

from sentiment_lstm.cli.main import main


class Terminal(io.StringIO):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_texts_are_explained_one_after_the_other(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", "--model", str(model_folder)]
    assert main([*command, "Great lamp.", "Broke."]) == 0
    both = capsys.readouterr().out
    assert main([*command, "Great lamp."]) == 0
    first = capsys.readouterr().out
    assert main([*command, "Broke."]) == 0
    assert both == f"{first}\n{capsys.readouterr().out}"
    assert "  lamp\n" in first
    assert "\x1b" not in both


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_a_terminal_gets_colours_unless_it_wants_none(
    variables: dict[str, str],
    coloured: bool,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["explain", "--model", str(model_folder), "Great lamp."]) == 0
    assert ("\x1b[30;48;5;" in terminal.getvalue()) is coloured


def test_json_is_a_line_a_text(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain", "--model", str(model_folder), "--json", "--label", "NEGATIVE"]
    assert main([*command, "--method", "occlusion", "Great lamp.", ""]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert [word["text"] for word in first["words"]] == ["Great", "lamp"]
    assert (first["label"], first["method"]) == ("NEGATIVE", "occlusion")
    assert second["words"] == []


def test_a_page_is_written_as_a_whole(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "why.html"
    page.write_text("before")
    command = ["explain", "--model", str(model_folder), "--html", str(page)]
    assert main([*command, "Great <b>lamp</b>.", "bad \udcff"]) == 1
    assert "TEXT 2: not valid UTF-8" in capsys.readouterr().err
    assert page.read_text() == "before"
    assert main([*command, "Great <b>lamp</b>.", "Broke."]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"wrote {page}" in captured.err
    assert page.read_text().count("<section") == 2
    assert "<b>lamp" not in page.read_text()


def test_bad_input_is_a_line(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", "--model", str(model_folder)]
    assert main([*command, "--label", "GOOD", "fine"]) == 1
    assert "there is no label 'GOOD'; use one of NEGATIVE, POSITIVE" in capsys.readouterr().err
    assert main([*command, "--html", str(tmp_path / "gone/why.html"), "fine"]) == 1
    assert "make it first" in capsys.readouterr().err
    assert main([*command, "--html", str(model_folder / "config.json"), "fine"]) == 1
    assert "would destroy" in capsys.readouterr().err
    for wrong in ([], ["--html", "a.html", "--json", "fine"]):
        with pytest.raises(SystemExit) as error:
            main([*command, *wrong])
        assert error.value.code == 2
