"""train, evaluate and push as a user meets them."""

import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from sentiment_lstm.cli.main import main
from sentiment_lstm.evaluation.results import behaviour_missing


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


def test_evaluate_measures_behaviour(
    model_folder: Path, review_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = f"{review_file}:train[:30]", tmp_path / "behaviour.json"
    command = ["evaluate", str(model_folder), "--behaviour", "--output", str(output)]
    assert main(command) == 0
    told = capsys.readouterr().err
    (found,) = json.loads(output.read_text()).values()
    assert behaviour_missing(found) == []
    negation = found["capabilities"]["negation"]
    assert negation["failure_rate"] > 0, "the model has learnt nothing"
    assert f"\nnegation{negation['cases']:>23}{negation['failure_rate']:>9.1%}\n" in told
    assert f"\nmean{found['cases']:>27,}{found['failure_rate']:>9.1%}\n" in told
    (example, *_) = negation["examples"]
    first, probability = example["texts"][0], example["probabilities"][0]
    assert f"\nnegation, {example['target']}: {first} ({probability:.2f})" in told
    assert main([*command[:-2], source]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["behaviour"] == found
    assert both[source]["reviews"] == 30
    with pytest.raises(SystemExit) as error:
        main(["evaluate", str(model_folder)])
    assert error.value.code == 2
    assert "give a SOURCE of labelled reviews, or --behaviour" in capsys.readouterr().err


def test_evaluate_is_told_what_labels_mean_and_how_long_lines_are(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stars = tmp_path / "stars.csv"
    stars.write_text("text,label\ngood,5\nfine,4\nso so,3\nbad indeed,1\n")
    command = ["evaluate", str(model_folder), str(stars)]
    assert main(command) == 1
    assert "unknown label '5'" in capsys.readouterr().err
    command += ["--labels", "1=0", "4=1", "5=POSITIVE"]
    assert main(command) == 1
    assert "unknown label '3'" in capsys.readouterr().err
    command += ["--on_bad_line", "skip"]
    assert main(command) == 0
    (metrics,) = json.loads(capsys.readouterr().out).values()
    assert sum(metrics["confusion_matrix"][1]) == 2
    assert sum(metrics["confusion_matrix"][0]) == 1
    assert main([*command, "--max_line_bytes", "12"]) == 0
    (metrics,) = json.loads(capsys.readouterr().out).values()
    assert metrics["reviews"] == 2, "the rest of the file is not read"
    assert main([*command, "--labels", "5", "1=0"]) == 1
    assert "labels: '5' must be LABEL=MEANING" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names", [("spam", "ham"), ("ham", "spam"), ("1", "2"), ("2", "1"), ("0", "1")]
)
def test_evaluate_takes_the_names_of_two_labels_from_the_model(
    names: tuple[str, str], model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    config["problem_type"] = "single_label_classification"  # as a run writes it that was told names
    config |= {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    (model_folder / "config.json").write_text(json.dumps(config))
    reviews = tmp_path / "mail.jsonl"
    reviews.write_text(json.dumps({"text": "Hello there", "label": names[0]}) + "\n")
    assert main(["evaluate", str(model_folder), str(reviews)]) == 0
    (metrics,) = json.loads(capsys.readouterr().out).values()
    assert sum(metrics["confusion_matrix"][0]) == 1, "the first of the model's labels"
    lines = reviews.with_suffix(".ft.txt")
    lines.write_text(f"__label__{names[0]} Hello there\n")
    assert main(["evaluate", str(model_folder), str(lines)]) == 0
    (metrics,) = json.loads(capsys.readouterr().out).values()
    assert sum(metrics["confusion_matrix"][0]) == 1
    reviews.write_text('{"text": "Hello there", "label": 9}\n')
    assert main(["evaluate", str(model_folder), str(reviews)]) == 1
    assert "unknown label 9" in capsys.readouterr().err


def test_train_from_a_recipe_to_a_folder(
    review_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 1\nhidden_size: 8\n"
        "embedding_size: 4\ndisable_tqdm: true\n"
    )
    folder = tmp_path / "run"
    fields = [f"--output_dir={folder}", "--seed", "3", "--learning-rate", "0.01", "--use_cpu"]
    assert main(["train", str(recipe), *fields, "--hub_token", "hf_secret"]) == 0
    for path in folder.rglob("*"):
        assert path.is_dir() or b"hf_secret" not in path.read_bytes(), path
    output = capsys.readouterr().out
    assert f"validation/{review_file}: 60 reviews, accuracy" in output
    assert output.endswith(f"model folder: {folder}\n")
    assert {"seed: 3", "learning_rate: 0.01", "use_cpu: true"} <= set(
        (folder / "recipe.yaml").read_text().splitlines()
    )
    assert main(["predict", "--model", str(folder), "fine"]) == 0


def test_a_misspelled_field_is_named(
    review_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(f"train: {review_file}\nvalidation: {review_file}\n")
    assert main(["train", str(recipe), "--seeed", "3"]) == 1
    error = capsys.readouterr().err
    assert "seeed" in error
    assert "did you mean" in error


def test_a_dry_run_of_push_lists_what_would_be_sent(
    review_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(f"train: {review_file}\nvalidation: {review_file}\nnum_train_epochs: 1\n")
    folder = tmp_path / "run"
    sizes = ["--hidden_size", "8", "--embedding_size", "4"]
    assert main(["train", str(recipe), "--output_dir", str(folder), *sizes]) == 0
    capsys.readouterr()
    assert main(["push", str(folder), "me/tiny", "--dry-run"]) == 0
    output = capsys.readouterr().out
    for name in ("README.md", "model.safetensors", "modeling_sentiment_lstm.py", "recipe.yaml"):
        assert name in output
    assert main(["push", str(tmp_path), "me/tiny", "--dry-run"]) == 1
    assert "sentiment-lstm: error: " in capsys.readouterr().err


# --- code of others ------------------------------------------------------------------------------


@pytest.fixture
def mark(model_folder: Path, tmp_path: Path) -> Path:
    """What the code beside the weights writes when it runs; the model needs that code to load."""
    mark = tmp_path / "it-ran"
    for name in ("configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"):
        path = model_folder / name
        code = path.read_text(encoding="utf-8").replace('"sentiment_lstm"', '"foreign"')
        path.write_text(f"{code}\nopen({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    path = model_folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "foreign"}))
    return mark


COMMANDS = [
    ["predict", "--model", "{folder}"],
    ["predict", "--model", "{folder}", "--input", "{reviews}", "--output", "{output}"],
    ["predict", "--model", "{folder}", "fine"],
    ["evaluate", "{folder}", "{reviews}"],
    ["export", "{folder}", "{output}"],
    ["push", "{folder}", "me/tiny", "--dry-run"],
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_no_command_asks_whether_to_run_code(
    arguments: list[str],
    mark: Path,
    model_folder: Path,
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else a review that says "y" is the answer."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"y\n" * 9)))
    places = {"folder": model_folder, "reviews": review_file, "output": tmp_path / "output"}
    assert main([word.format(**places) for word in arguments]) == 1
    assert not mark.exists()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--trust_remote_code" in captured.err.splitlines()[-1]
    assert sys.stdin.read() == "y\n" * 9


@pytest.mark.parametrize("arguments", COMMANDS[:4])
def test_code_runs_where_it_is_trusted(
    arguments: list[str],
    mark: Path,
    model_folder: Path,
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"y\n")))
    places = {"folder": model_folder, "reviews": review_file, "output": tmp_path / "output"}
    assert main([*(word.format(**places) for word in arguments), "--trust_remote_code"]) == 0
    assert mark.exists()


# --- where the output goes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{folder}", "is a folder: name a file in it"),
        ("{folder}/nowhere/labels", "there is no folder"),
        ("{reviews}", "would destroy"),
        ("{link}", "would destroy"),
        ("{folder}/model.safetensors", "would destroy"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["predict", "--model", "{folder}", "--input", "{reviews}"],
        ["evaluate", "{folder}", "{reviews}:train[:3]"],
    ],
)
def test_a_bad_output_is_refused_before_anything_is_computed(
    command: list[str],
    output: str,
    message: str,
    model_folder: Path,
    review_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr("sentiment_lstm.inference.predictor._load", load)
    link = tmp_path / "link"
    link.symlink_to(review_file)
    before = review_file.read_bytes()
    places = {"folder": model_folder, "reviews": review_file, "link": link}
    words = [word.format(**places) for word in [*command, "--output", output]]
    assert main(words) == 1
    assert message in capsys.readouterr().err
    assert review_file.read_bytes() == before


@pytest.mark.parametrize("texts", [["--input", "{reviews}"], ["fine"]])
def test_devices_are_written_through_and_links_stay(
    texts: list[str], model_folder: Path, review_file: Path, tmp_path: Path
) -> None:
    command = ["predict", "--model", str(model_folder)]
    command += [word.format(reviews=review_file) for word in texts]
    # Links, so that not even a failure can replace a device of the machine.
    link, null = tmp_path / "link", tmp_path / "null"
    link.symlink_to(tmp_path / "labels.jsonl")
    null.symlink_to(os.devnull)
    assert main([*command, "--output", str(link)]) == 0
    assert main([*command, "--output", str(null)]) == 0
    assert link.is_symlink()
    assert null.is_symlink()
    expected = (tmp_path / "labels.jsonl").read_text()

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()), daemon=True)
    reader.start()
    assert main([*command, "--output", str(fifo)]) == 0
    reader.join(10)
    assert fifo.is_fifo()
    assert read == [expected]
    kept = {"link", "null", "labels.jsonl", "fifo", model_folder.name}
    assert {path.name for path in tmp_path.iterdir()} == kept
