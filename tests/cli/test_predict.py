"""predict as a user meets it: which words are the model and which are texts, and what comes out."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from transformers import pipeline

from sentiment_lstm import files
from sentiment_lstm.cli.main import main

TEXTS = [
    "I love it, works well.",
    "",
    "Waste of money; broke in a week.",
    'He said "great", twice.',
]
TEXT = "Broke after a week."


def lines_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
    return path


def texts_of(capsys: pytest.CaptureFixture[str]) -> list[object]:
    """Which texts were answered, of a call with `--include_text`."""
    return [row["text"] for row in lines_of(capsys.readouterr().out)]


# --- answers -------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_pipeline(
    model_folder: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = pipeline("text-classification", model=str(model_folder))(TEXTS)
    for arguments in (
        TEXTS,
        ["--input", str(text_file), "--exact"],
        ["--input", str(text_file), "--exact", "--chunk_size", "1"],
    ):
        assert main(["predict", "--model", str(model_folder), *arguments]) == 0
        found = lines_of(capsys.readouterr().out)
        assert [row["label"] for row in found] == [row["label"] for row in expected]
        assert [row["score"] for row in found] == pytest.approx([row["score"] for row in expected])


def test_what_a_library_says_of_a_model_is_no_answer(
    model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = model_folder / "tokenizer_config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    word = {"content": "_PAD", "special": True, "unheard_of": 1}
    path.write_text(json.dumps(content | {"pad_token": word | {"__type": "AddedToken"}}))
    assert main(["predict", "--model", str(model_folder), TEXT]) == 0
    output, error = capfd.readouterr()
    assert "unheard_of" in error, "of which tokenizers warns on standard output"
    assert len(lines_of(output)) == 1


def test_standard_input_and_every_format_give_the_same(
    model_folder: Path,
    text_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["predict", "--model", str(model_folder), "--include_text"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text_file.read_bytes())))
    assert main(arguments) == 0
    expected = lines_of(capsys.readouterr().out)
    assert [row["text"] for row in expected] == TEXTS
    output = tmp_path / "labels.csv"
    arguments += ["--input", str(text_file), "--exact", "--format", "csv", "--output", str(output)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    with open(output, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["label"], row["text"]) for row in rows] == [
        (row["label"], row["text"]) for row in expected
    ]
    assert [float(row["score"]) for row in rows] == [row["score"] for row in expected]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff__label__2 fine\n".encode(),
        b"one\r\ntwo\rthree\n\n\x85\x0c".replace(b"\x85", "\x85\u2028".encode()),
        b"no end",
        b"",
        b"fine\n\xff\xfe\n",
        b"fine\n\xed\xa0\x80\n",
    ],
)
def test_a_stream_and_a_file_of_the_same_bytes_are_the_same_reviews(
    content: bytes,
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    arguments = ["predict", "--model", str(model_folder), "--include_text"]
    code = main([*arguments, "--input", str(path), "--exact"])
    expected = capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(arguments) == code
    found = capsys.readouterr()
    assert found.out == expected.out
    ours, theirs = (re.findall("error: .*", captured.err) for captured in (found, expected))
    assert [line.replace("standard input", str(path)) for line in ours] == theirs
    assert len(ours) == code


def test_bytes_in_arguments_that_are_no_text_are_one_line(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--model", str(model_folder), "fine", "ab\udcff"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: TEXT 2: not valid UTF-8 at character 3" in captured.err


def test_a_closed_standard_input_is_one_line(
    model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["predict", "--model", str(model_folder)]) == 1
    assert "error: standard input is closed" in capsys.readouterr().err


def test_a_closed_standard_output_is_one_line(
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["predict", "--model", str(model_folder), "fine"]) == 1
    assert main(["explain", "--model", str(model_folder), "fine"]) == 1
    assert capsys.readouterr().err.count("error: standard output is closed") == 2
    output = tmp_path / "labels.jsonl"
    assert main(["predict", "--model", str(model_folder), "fine", "--output", str(output)]) == 0
    assert len(output.read_text().splitlines()) == 1


def test_answers_are_utf8_whatever_the_locale(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["predict", "--model", str(model_folder), "--include_text", "good 😀"]) == 0
    assert json.loads(stdout.buffer.getvalue().decode())["text"] == "good 😀"


def test_an_empty_name_is_no_input(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "labels.jsonl"
    output.write_text("precious\n")
    command = ["predict", "--model", str(model_folder), "--output", str(output)]
    assert main([*command, "--input", ""]) == 1
    assert output.read_text() == "precious\n"
    with pytest.raises(SystemExit) as error:
        main([*command, "--text_column", "review", "fine"])
    assert error.value.code == 2
    assert "--text_column goes with --input" in capsys.readouterr().err


def test_a_pipe_is_read_once(model_folder: Path, tmp_path: Path) -> None:
    """As a job it was read for its digest first, and then waited for for ever."""
    pipe, output = tmp_path / "texts.txt", tmp_path / "labels.jsonl"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("Great lamp\nBroke\n",), daemon=True)
    writer.start()
    command = ["predict", "--model", str(model_folder), "--input", str(pipe), "--include_text"]
    assert main([*command, "--output", str(output)]) == 0
    writer.join()
    assert [row["text"] for row in lines_of(output.read_text())] == ["Great lamp", "Broke"]


def test_a_failure_leaves_the_output_file_as_it_was(model_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    output.write_text("precious\n")
    arguments = ["predict", "--model", str(model_folder), "--output", str(output), "--input"]
    assert main([*arguments, str(tmp_path / "nowhere.txt")]) == 1
    assert output.read_text() == "precious\n"


# --- which word is the model ---------------------------------------------------------------------


@pytest.fixture
def default(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder where the package looks for its default model."""
    folder = model_folder.rename(tmp_path / "hub_card")
    monkeypatch.setattr(files, "__file__", str(tmp_path / "files.py"))
    return folder


def test_where_no_model_is_named_the_default_model_predicts(
    default: Path, text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--model", str(default), TEXT]) == 0
    expected = capsys.readouterr().out
    assert main(["predict", TEXT]) == 0
    assert capsys.readouterr().out == expected
    output = tmp_path / "labels.jsonl"
    assert main(["predict", "--input", str(text_file), "--output", str(output)]) == 0
    assert len(output.read_text().splitlines()) == len(TEXTS)
    (default / "model.safetensors").unlink()
    assert main(["predict", TEXT]) == 1
    assert "no released checkpoint here; name a model folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "texts",
    [
        ["fine"],  # no guess is made from the number of words
        ["fine", TEXT],
        ["good / bad"],
        ["C:\\ is full"],
        ["a long review " * 400],  # longer than a file may be called
        ["", "fine"],
    ],
)
def test_what_is_no_model_folder_is_a_text(
    texts: list[str],
    default: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(default)  # where config.json lies
    assert main(["predict", "--include_text", *texts]) == 0
    assert texts_of(capsys) == texts


def test_a_first_argument_that_is_a_model_folder_is_the_model(
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_folder.rename(tmp_path / "my model")  # a folder may have a space, too
    monkeypatch.chdir(tmp_path)
    for name in ("my model", "./my model", str(tmp_path / "my model")):
        assert main(["predict", name, TEXT, "--include_text"]) == 0
        assert texts_of(capsys) == [TEXT]


def test_with_a_model_named_every_other_word_is_a_text(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [str(model_folder), "either/or"]
    assert main(["predict", "--include_text", "--model", str(model_folder), *texts]) == 0
    assert texts_of(capsys) == texts


@pytest.mark.parametrize("word", ["me/model", "runs/demo", "either/or", ".\\runs", "{empty}"])
def test_a_word_that_may_be_a_model_or_a_text_is_refused(
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # in a checkout runs/demo may be there
    word = word.format(empty=tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["predict", word, TEXT])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "--model MODEL" in error
    assert error.count(word) == 3  # what is wrong, and what to do in either case


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["file", "job", "stdin"])
def test_a_long_line_is_one_error_that_names_the_option(
    way: str,
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("fine\nlonger than it may be\n")
    command = ["predict", "--model", str(model_folder)]
    if way != "stdin":
        command += ["--input", str(path)]
    if way == "job":
        command += ["--output", str(tmp_path / "labels")]

    def run(limit: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        return main([*command, "--max_line_bytes", limit])

    assert run("21") == 1
    error = capsys.readouterr().err
    name = "standard input" if way == "stdin" else str(path)
    assert f"error: {name}:2: a line of more than 21 bytes. Raise max_line_bytes (`--max_l" in error
    assert "on_bad_line" not in error
    assert run("0") == 1
    assert "max_line_bytes is 1 or more, not 0" in capsys.readouterr().err
    assert run("22") == run("1" + "0" * 30) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("output", ["", " --output /dev/full"])
def test_output_to_a_full_disk_is_one_line(output: str, model_folder: Path) -> None:
    command = f"{sys.executable} -m sentiment_lstm predict --model {model_folder} fine{output}"
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            command.split(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    place = "/dev/full" if output else "/dev/stdout"
    assert f"error: {place}: there is no room for it (No space left on device)" in done.stderr
    assert "Exception" not in done.stderr
