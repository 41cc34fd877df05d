"""The command line as a user meets it: output, exit codes, one line for bad input."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import pipeline

from sentiment_lstm.cli.main import main

TEXTS = [
    "I love it, works well.",
    "",
    "Waste of money; broke in a week.",
    'He said "great", twice.',
]


def lines_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
    return path


def test_predictions_are_those_of_the_pipeline(
    model_folder: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = pipeline("text-classification", model=str(model_folder))(TEXTS)
    for arguments in (
        TEXTS,
        ["--input", str(text_file), "--exact"],
        ["--input", str(text_file), "--exact", "--chunk_size", "1"],
    ):
        assert main(["predict", str(model_folder), *arguments]) == 0
        found = lines_of(capsys.readouterr().out)
        assert [row["label"] for row in found] == [row["label"] for row in expected]
        assert [row["score"] for row in found] == pytest.approx([row["score"] for row in expected])


def test_standard_input_and_every_format_give_the_same(
    model_folder: Path,
    text_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["predict", str(model_folder), "--include_text"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(text_file.read_text(encoding="utf-8")))
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


def test_a_failure_leaves_the_output_file_as_it_was(model_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    output.write_text("precious\n")
    arguments = ["predict", str(model_folder), "--output", str(output), "--input"]
    assert main([*arguments, str(tmp_path / "nowhere.txt")]) == 1
    assert output.read_text() == "precious\n"


def test_evaluate_prints_the_metrics_of_each_source(
    model_folder: Path, review_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [f"{review_file}:train[:30]", f"{review_file}:train[30:]"]
    assert main(["evaluate", str(model_folder), *sources]) == 0
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    assert list(results) == sources
    assert all(0 <= metrics["accuracy"] <= 1 for metrics in results.values())
    assert "30 reviews, accuracy" in captured.err


def test_train_from_a_recipe_to_a_folder(
    review_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 1\nhidden_size: 8\n"
        "embedding_size: 4\ndisable_tqdm: true\n"
    )
    folder = tmp_path / "run"
    assert main(["train", str(recipe), "--output_dir", str(folder), "--seed", "3"]) == 0
    output = capsys.readouterr().out
    assert f"validation/{review_file}: 60 reviews, accuracy" in output
    assert output.endswith(f"model folder: {folder}\n")
    assert main(["predict", str(folder), "fine"]) == 0


def test_where_no_model_is_named_the_released_one_answers(
    model_folder: Path,
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "Broke after a week."
    model_folder = model_folder.rename(tmp_path / "my model")  # a folder may have a space, too
    assert main(["predict", str(model_folder), text]) == 0
    wanted = capsys.readouterr().out
    monkeypatch.setattr("sentiment_lstm.released.hub_card", lambda: model_folder)
    assert main(["predict", text]) == 0
    assert capsys.readouterr().out == wanted
    assert main(["predict", text, "fine"]) == 0
    assert capsys.readouterr().out.startswith(wanted)
    output = tmp_path / "labels.jsonl"
    assert main(["predict", "--input", str(text_file), "--output", str(output)]) == 0
    lines = len(text_file.read_text().splitlines())
    assert len(output.read_text().splitlines()) == lines
    (model_folder / "model.safetensors").unlink()
    assert main(["predict", text]) == 1
    assert "no released checkpoint here; name a model folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml"),
        (["evaluate", "{folder}", "nowhere.ft.txt"], "nowhere.ft.txt: there is no such file"),
        (["evaluate", "{folder}", "{texts}"], "texts.txt:1: no label"),
        (["predict", "{folder}", "--input", "nowhere.txt"], "nowhere.txt: there is no such file"),
        (["predict", "{folder}", "fine", "--input", "{texts}"], "not both"),
        (["predict", "{folder}/a/b", "fine"], "no such model folder"),
        (["predict", "fine"], "fine: no such model folder"),
        (["predict", "{folder}", "fine", "--chunk_size", "0"], "must be 1 or more"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(
    arguments: list[str],
    message: str,
    model_folder: Path,
    text_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [word.format(folder=model_folder, texts=text_file) for word in arguments]
    assert main(filled) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    errors = [line for line in captured.err.splitlines() if line.startswith("sentiment-lstm: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["predict", "m", "--format", "xml"],
        ["evaluate", "m"],
        ["evaluate", "m", "sample", "--hidden_size", "3"],
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: sentiment-lstm" in capsys.readouterr().err


def test_a_dry_run_of_push_lists_what_would_be_sent(
    review_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 1\n")
    folder = tmp_path / "run"
    assert main(["train", str(recipe), "--output_dir", str(folder)]) == 0
    capsys.readouterr()
    assert main(["push", str(folder), "me/tiny", "--dry-run"]) == 0
    output = capsys.readouterr().out
    for name in ("README.md", "model.safetensors", "modeling_sentiment_lstm.py", "recipe.yaml"):
        assert name in output
    assert main(["push", str(tmp_path), "me/tiny", "--dry-run"]) == 1
    assert "sentiment-lstm: error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "pretrain", "evaluate", "predict", "export", "push"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"sentiment-lstm {command} " in capsys.readouterr().out.split("examples:")[1]


def test_a_bug_report_can_have_its_traceback() -> None:
    with pytest.raises(FileNotFoundError):
        main(["--traceback", "train", "nowhere.yaml"])
    with pytest.raises(FileNotFoundError):
        main(["train", "nowhere.yaml", "--seed", "1", "--traceback"])


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sentiment_lstm.recipes.read_recipe", interrupt)
    assert main(["train", "any.yaml"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(model_folder: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.txt"
    many.write_text("fine\n" * 50_000)
    command = [sys.executable, "-m", "sentiment_lstm", "predict", str(model_folder)]
    with subprocess.Popen(
        [*command, "--input", str(many)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(timeout=60) == 141
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
