"""A run with other labels than two: what its folder says, and what answers from it."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml
from fake_hub import FakeHub
from support import results_of
from transformers import PreTrainedTokenizerFast, pipeline

from sentiment_lstm import SentimentLSTMForSequenceClassification, SentimentPredictor, evaluate
from sentiment_lstm.cli.main import main
from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.data.labels import BINARY, NUMBER, SEVERAL, LabelSet
from sentiment_lstm.hub.model_card import make_card
from sentiment_lstm.inference import engines
from sentiment_lstm.inference.engines import TablePredictor
from sentiment_lstm.inference.onnx import export
from sentiment_lstm.training.recipe import RecipeError, read_recipe
from sentiment_lstm.training.run import train
from sentiment_lstm.training.trainer import ReviewCollator

WORDS = {1: "terrible, it broke", 2: "poor and weak", 3: "a plain lamp", 4: "good", 5: "I love it"}
NAMES = ["price", "quality"]
KINDS: dict[str, dict[str, Any]] = {
    "stars": {"labels": [1, 2, 3, 4, 5], "ordered_labels": True},
    "topics": {"labels": NAMES, "problem_type": SEVERAL},
    "number": {"labels": ["stars"], "problem_type": NUMBER},
    "two": {"labels": {1: "bad", 2: "bad", 3: "bad", 4: "good", 5: "good"}},
}
LABEL_SETS = {
    "stars": LabelSet(("1", "2", "3", "4", "5"), ordered=True),
    "topics": LabelSet(("price", "quality"), SEVERAL),
    "number": LabelSet(("stars",), NUMBER),
    "two": LabelSet(("bad", "good")),
}
TEXTS = ["I love it", "terrible, it broke", ""]


def fields(kind: str, folder: Path) -> dict[str, Any]:
    """A recipe of one kind, with its reviews."""
    source = folder / f"{kind}.jsonl"
    with open(source, "w", encoding="utf-8") as file:
        for number in range(80):
            stars = number * 7 % 5 + 1
            label: Any = stars
            if kind == "topics":
                label = ["price"] * (stars > 2) + ["quality"] * (stars == 5)
            record = {"text": f"{WORDS[stars]} on day {number}", "label": label}
            file.write(json.dumps(record) + "\n")
    return {
        "train": f"{source}:train[:60]",
        "validation": f"{source}:train[60:]",
        "output_dir": str(folder / "run"),
        "embedding_size": 12,
        "hidden_size": 16,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 8,
        "learning_rate": 0.02,
        "eval_steps": 1000,
        "embedding_dropout": 0.0,
        "classifier_dropout": 0.0,
        "disable_tqdm": True,
        "bf16": False,
        "use_cpu": True,
        **KINDS[kind],
    }


class Trained(NamedTuple):
    kind: str
    folder: Path
    reviews: str


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(fields(kind, folder)))
    return Trained(kind, train(read_recipe(recipe)), str(folder / f"{kind}.jsonl:train[60:]"))


def test_the_folder_says_its_labels(trained: Trained) -> None:
    expected = LABEL_SETS[trained.kind]
    model = SentimentLSTMForSequenceClassification.from_pretrained(trained.folder)
    assert LabelSet.of_config(model.config) == expected
    assert model.config.problem_type == expected.problem_type
    assert model.config.temperature == 1  # of a number; and all are right, which decides on none
    results = results_of(trained.folder)
    assert results.labels == expected
    (facts,) = results.reviews["train"].values()
    assert "positive" not in facts
    if trained.kind == "number":
        assert (facts["lowest"], facts["highest"]) == (1, 5)
    else:
        assert list(facts["labels"]) == list(expected.names)


def test_it_has_learnt_what_there_was_to_learn(trained: Trained) -> None:
    ((_, _, figures),) = results_of(trained.folder).parts()
    if trained.kind == "number":
        assert figures["mean_absolute_error"] < 0.6
        assert figures["pearson"] > 0.8
    elif trained.kind == "topics":
        assert min(one["f1"] for one in figures["per_label"].values()) > 0.8
    else:
        assert figures["accuracy"] > 0.8
    if trained.kind == "stars":
        assert figures["quadratic_weighted_kappa"] > 0.8


def test_a_batch_has_all_labels_of_a_review(tokenizer: PreTrainedTokenizerFast) -> None:
    collate = ReviewCollator(tokenizer, label_set=LabelSet(("a", "b", "c"), SEVERAL))
    features = [
        {"input_ids": [5, 6, 7], "labels": [0, 2]},
        {"input_ids": [5], "labels": []},
    ]
    batch = collate(features)
    assert batch["labels"].tolist() == [[1, 0, 1], [0, 0, 0]]
    assert batch["input_ids"].shape == (2, 3)
    assert [feature["labels"] for feature in features] == [[0, 2], []], "they stay as they are"


def test_predictor_and_pipeline_give_the_names(trained: Trained) -> None:
    predictor = SentimentPredictor.from_pretrained(trained.folder)
    names = LABEL_SETS[trained.kind].names
    classify: Any = pipeline("text-classification", model=str(trained.folder), top_k=None)
    for text, prediction in zip(TEXTS, predictor.predict(TEXTS), strict=True):
        theirs = {found["label"]: found["score"] for found in classify([text])[0]}
        assert set(theirs) == set(names)
        ours = dict(zip(names, prediction.probabilities.tolist(), strict=True))
        assert ours == pytest.approx(theirs, abs=1e-5)
        above = tuple(name for name in names if ours[name] > 0.5)
        expected = {"topics": above, "number": ()}.get(trained.kind, (prediction.label,))
        assert prediction.labels == expected


def test_rows_of_a_file_and_of_a_stream(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, output = tmp_path / "texts.txt", tmp_path / "out"
    texts.write_text("\n".join(TEXTS[:2]) + "\n")
    predictions = SentimentPredictor.from_pretrained(trained.folder).predict(TEXTS[:2])
    told = {}
    for form in ("jsonl", "csv"):
        command = ["predict", "--model", str(trained.folder), "--format", form, "--exact"]
        assert main([*command, "--input", str(texts), "--output", str(output)]) == 0
        assert main([*command, *TEXTS[:2]]) == 0
        told[form] = capsys.readouterr().out
        assert output.read_text() == told[form]
    lines = [json.loads(line) for line in told["jsonl"].splitlines()]
    rows = list(csv.DictReader(io.StringIO(told["csv"])))
    for line, row, prediction in zip(lines, rows, predictions, strict=True):
        if trained.kind == "number":
            assert list(line) == list(row) == ["score"]
            assert line["score"] == float(row["score"]) == pytest.approx(prediction.score)
        elif trained.kind == "topics":
            assert line["labels"] == list(prediction.labels)
            assert row["labels"] == ",".join(prediction.labels)
            scores = dict(zip(NAMES, prediction.probabilities.tolist(), strict=True))
            assert line["scores"] == pytest.approx(scores)
            assert {name: float(row[f"score_{name}"]) for name in NAMES} == line["scores"]
        else:
            assert line == {"label": prediction.label, "score": pytest.approx(prediction.score)}


def test_columns_of_a_table(trained: Trained) -> None:
    predictor = SentimentPredictor.from_pretrained(trained.folder)
    table = TablePredictor(predictor)(pa.table({"text": TEXTS}))
    answers = predictor({"text": TEXTS})
    score = f"predicted_score{'s' if trained.kind == 'topics' else ''}"
    # A CPU may add up in another order where memory begins elsewhere.
    near = answers | {score: [pytest.approx(value, abs=1e-6) for value in answers[score]]}
    assert table.to_pydict() == near
    added = {
        "topics": {
            "predicted_labels": pa.list_(pa.string()),
            "predicted_scores": pa.list_(pa.float64()),
        },
        "number": {"predicted_score": pa.float64()},
    }.get(trained.kind, {"predicted_label": pa.string(), "predicted_score": pa.float64()})
    assert {name: table.schema.field(name).type for name in table.column_names[1:]} == added
    # What Spark runs, of frames of pandas.
    (frame,) = engines._pandas_function(pickle.dumps(predictor), None)(
        [pd.DataFrame({"text": TEXTS})]
    )
    assert frame.to_dict("list") == near
    taken = pa.table({"text": TEXTS, next(iter(added)): TEXTS})
    with pytest.raises(ValueError, match=f"there is a column '{next(iter(added))}' already"):
        TablePredictor(predictor)(taken)


def test_evaluate_measures_what_training_did(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    ((_, _, expected),) = results_of(trained.folder).parts()
    said = ["--labels", *(f"{stars}={'good' if stars > 3 else 'bad'}" for stars in range(1, 6))]
    labels = said if trained.kind == "two" else []
    assert main(["evaluate", str(trained.folder), trained.reviews, *labels]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert found.keys() == expected.keys()
    assert found["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert found.get("per_label") == expected.get("per_label")


def test_the_card_speaks_of_the_labels(trained: Trained) -> None:
    results = results_of(trained.folder)
    card = str(make_card(results))
    assert not re.search("NEGATIVE|POSITIVE|positive", card)
    for name in LABEL_SETS[trained.kind].names:
        assert name in card
    ((_, source, figures),) = results.redact().parts()
    shown = {
        "stars": f"{figures.get('quadratic_weighted_kappa', 0):.4f}",
        "topics": f"{figures.get('macro_f1', 0):.2%}".replace("%", " %"),
        "number": f"{figures.get('mean_absolute_error', 0):.4f}",
        "two": "of bad | of good",
    }
    assert shown[trained.kind] in card
    command = f"sentiment-lstm evaluate path/to/this/folder '{source}'"
    given = {"two": " --labels 1=bad 2=bad", "stars": " --labels 1 2 3 4 5"}
    assert command + given.get(trained.kind, "") in card
    assert ("### Calibration" in card) == (trained.kind != "number")
    assert "\n\n\n\n" not in card


def test_the_folder_can_be_pushed(
    trained: Trained, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.connect(monkeypatch)
    assert main(["push", str(trained.folder), "tester/model"]) == 0
    files = hub.repositories["model", "tester/model"].files
    assert json.loads(files["config.json"])["problem_type"] is not None
    assert LABEL_SETS[trained.kind].names[0] in files["README.md"].decode()


def test_the_export_gives_the_same_logits(trained: Trained, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export(trained.folder, tmp_path / "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    predictor = SentimentPredictor.from_pretrained(trained.folder)
    batch = predictor.tokenizer(TEXTS[:2], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = predictor.model(**batch).logits.numpy()
    inputs = {name: batch[name].numpy() for name in ("input_ids", "attention_mask")}
    np.testing.assert_allclose(session.run(None, inputs)[0], logits, atol=1e-4)
    assert logits.shape == (2, len(LABEL_SETS[trained.kind].names))


def test_a_run_goes_on_from_one_with_the_same_labels(trained: Trained, tmp_path: Path) -> None:
    recipe = yaml.safe_load((trained.folder / "recipe.yaml").read_text())
    sizes = ("embedding_size", "hidden_size")
    recipe = {name: value for name, value in recipe.items() if name not in sizes}
    recipe |= {
        "init_from": str(trained.folder),
        "output_dir": str(tmp_path / "more"),
        "learning_rate": 0.0,
        "num_train_epochs": 1,
        "calibrate": False,
    }
    path = tmp_path / "more.yaml"
    path.write_text(yaml.safe_dump(recipe))
    again = SentimentPredictor.from_pretrained(train(read_recipe(path)))
    before = SentimentPredictor.from_pretrained(trained.folder)
    np.testing.assert_allclose(again.predict_proba(TEXTS), before.predict_proba(TEXTS), atol=1e-6)
    # With others, it keeps what it has read, and has a new head.
    other = "stars" if trained.kind != "stars" else "topics"
    recipe |= fields(other, tmp_path) | {"init_from": str(trained.folder), "num_train_epochs": 1}
    given = {*sizes, "labels", "problem_type", "ordered_labels"} - KINDS[other].keys()
    recipe = {name: value for name, value in recipe.items() if name not in given}
    path.write_text(yaml.safe_dump(recipe))
    model = SentimentPredictor.from_pretrained(train(read_recipe(path))).model
    assert LabelSet.of_config(model.config) == LABEL_SETS[other]


def test_two_labels_leave_the_files_that_they_left(
    write_recipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a run with NEGATIVE and POSITIVE writes has not a key more than in version 0.1."""
    folder = train(read_recipe(write_recipe(num_train_epochs=1, calibrate=True)))
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "NEGATIVE", "1": "POSITIVE"}
    assert not {"problem_type", "ordered_labels"} & config.keys()
    content = json.loads((folder / "results.json").read_text())
    assert "label_set" not in content
    assert results_of(folder).labels == BINARY
    for parts in content["reviews"].values():
        for facts in parts.values():
            assert facts.keys() == {"reviews", "positive", "fingerprint"}
    for parts in content["metrics"].values():
        for figures in parts.values():
            assert list(figures) == [
                *("reviews", "accuracy", "accuracy_low", "accuracy_high", "f1", "precision"),
                *("recall", "roc_auc", "loss", "expected_calibration_error"),
                *("confusion_matrix", "slices"),
            ]
            assert list(figures["slices"]) == ["confidence", "length", "negation"]
    capsys.readouterr()
    assert main(["predict", "--model", str(folder), "Good."]) == 0
    assert re.fullmatch(
        r'\{"label": "(NEGATIVE|POSITIVE)", "score": [0-9.]+\}\n', capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("stars", {"soft_labels": "x.parquet"}, "`soft_labels` is for NEGATIVE and POSITIVE"),
        ("topics", {"augment_halves": True}, "`augment_halves` is for NEGATIVE and POSITIVE"),
        ("number", {"single_logit": True}, "`single_logit` is for NEGATIVE and POSITIVE"),
        ("two", {"soft_labels": "x.parquet"}, "`soft_labels` is for NEGATIVE and POSITIVE"),
        ("two", {"ordered_labels": True}, "`ordered_labels` is for three labels and more"),
        ("topics", {"ordered_labels": True}, "`ordered_labels` is for three labels and more"),
        ("topics", {"label_smoothing_factor": 0.1}, "`label_smoothing_factor` means nothing"),
        ("number", {"temperature": 2.0}, "`temperature` means nothing"),
        ("number", {"metric_for_best_model": "f1"}, "must be one of loss, pearson, spearman"),
        ("two", {"metric_for_best_model": "macro_f1"}, "must be one of loss, accuracy, f1"),
        ("stars", {"problem_type": "stars"}, "`problem_type` must be one of"),
        ("number", {"labels": [1, 2]}, "its one name"),
    ],
)
def test_what_does_not_fit_the_labels_is_named(
    kind: str, more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(fields(kind, tmp_path) | more))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)
    assert not (tmp_path / "run").exists()


def test_a_ranking_takes_every_label(tmp_path: Path) -> None:
    recipe = fields("stars", tmp_path) | {"metric_for_best_model": "roc_auc"}
    source = tmp_path / "stars.jsonl"
    lines = source.read_text().splitlines()
    source.write_text(
        "\n".join([*lines[:60], *(line for line in lines[60:] if ": 3}" not in line)])
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(RecipeError, match="no validation review has 3: add some"):
        train(read_recipe(path))


def test_a_run_that_diverges_says_so(tmp_path: Path) -> None:
    recipe = fields("number", tmp_path) | {"learning_rate": 1e30, "max_steps": 4, "eval_steps": 2}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(ValueError, match=r"training has diverged\..*lower `learning_rate`"):
        train(read_recipe(path))


def test_sources_must_agree_on_the_labels(tmp_path: Path) -> None:
    import datasets

    for name, labels in [("a", ["bad", "good"]), ("b", ["good", "bad"])]:
        kind = datasets.ClassLabel(names=labels)
        features = datasets.Features({"text": datasets.Value("string"), "label": kind})
        rows = {"text": ["A lamp.", "It broke."], "label": [0, 1]}
        datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / f"{name}.parquet")
    recipe = fields("two", tmp_path) | {
        "train": str(tmp_path / "a.parquet"),
        "validation": str(tmp_path / "b.parquet"),
        "labels": None,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(ValueError, match=r"b\.parquet: its labels are good, bad, and those of "):
        train(read_recipe(path))
    # In one order, they are; and what the file names is found out only when it is read.
    recipe |= {"labels": ["bad", "good"], "num_train_epochs": 1}
    path.write_text(yaml.safe_dump(recipe))
    predictor = SentimentPredictor.from_pretrained(train(read_recipe(path)))
    assert predictor.label_set == LabelSet(("bad", "good"))
    found = evaluate(predictor, load_reviews(tmp_path / "b.parquet"))
    assert found["reviews"] == 2
