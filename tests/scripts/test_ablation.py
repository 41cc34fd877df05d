"""The ablation script: rows, seeds, paired differences, and that it resumes where it stopped."""

import json
import sys
from pathlib import Path

import ablation
import numpy as np
import pytest
import yaml
from support import make_results, metrics, results_of

from sentiment_lstm.evaluation.evaluate import Predictions
from sentiment_lstm.training.recipe import read_recipe


@pytest.fixture
def table(review_file: Path, tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(
        yaml.safe_dump(
            {
                "train": f"{review_file}:train[:40]",
                "validation": f"{review_file}:train[40:]",
                "embedding_size": 8,
                "hidden_size": 8,
                "disable_tqdm": True,
                "bf16": False,
            }
        )
    )
    path = tmp_path / "table.yaml"
    rows = {"baseline": {}, "max, wide": {"pooling": "max", "hidden_size": 12}}
    fields = {"num_train_epochs": 1, "test": None}
    path.write_text(yaml.safe_dump({"recipe": "tiny.yaml", "fields": fields, "rows": rows}))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["ablation.py", *map(str, arguments)])
    ablation.main()


def test_a_table_is_run_and_summarised(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [table, "--seeds", 2, "--output_dir", tmp_path / "out"]
    run(monkeypatch, *arguments)
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert list(found) == ["baseline", "max, wide"]
    assert found["max, wide"]["parameters"] > found["baseline"]["parameters"]
    assert found["baseline"]["seeds"] == [0, 1]
    assert "difference" not in found["baseline"]
    accuracies = found["baseline"]["accuracy"]
    results = results_of(tmp_path / "out" / "baseline" / "seed0")
    ((_, source, figures),) = results.parts()
    assert accuracies[source][0] == accuracies["all"][0] == figures["accuracy"]
    # The difference is that of the accuracies.
    means = [np.mean(row["accuracy"]["all"]) for row in found.values()]
    assert found["max, wide"]["difference"] == pytest.approx(means[1] - means[0])
    assert (
        f"| max, wide | {np.median(found['max, wide']['accuracy']['all']) * 100:.2f} %" in printed
    )
    recipe = yaml.safe_load((tmp_path / "out" / "max-wide" / "seed1" / "recipe.yaml").read_text())
    assert (recipe["pooling"], recipe["hidden_size"], recipe["seed"]) == ("max", 12, 1)

    # What is there is not trained again.
    monkeypatch.setattr("sentiment_lstm.training.trainer.SentimentTrainer.train", None)
    monkeypatch.setattr(ablation, "predict_reviews", None)  # nor predicted
    run(monkeypatch, *arguments)
    assert json.loads((tmp_path / "out" / "ablation.json").read_text()) == found


def test_the_standard_error_is_paired(tmp_path: Path) -> None:
    results = make_results(
        metrics={"validation": {"x": metrics(0.5)}}, wall_time_seconds={"train": 1}
    )
    results.write(tmp_path / "results.json")
    right = np.array([True] * 60 + [False] * 40)
    # NEGATIVE is right for all reviews.
    positive, labels = np.where(right, 0.1, 0.9), np.zeros(100, dtype=int)
    ablation.write_predictions(tmp_path, Predictions.of_positive(positive, labels))
    assert (ablation.share_right([tmp_path, tmp_path]) == right).all()
    same = ablation.summarise([tmp_path], right.astype(float))
    assert (same["difference"], same["standard_error"]) == (0.0, 0.0)
    other = right.copy()
    other[:10] = False
    gain = ablation.summarise([tmp_path], other.astype(float))
    assert gain["difference"] == pytest.approx(0.1)
    assert gain["standard_error"] == pytest.approx(0.03, rel=0.02), "sqrt(0.1 * 0.9 / 100)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("recipe: tiny.yaml", "a table has `recipe`, `fields` and `rows`"),
        ("recipe: tiny.yaml\nrows: {a: {}}\nseeds: 3", "a table has"),
        ("recipe: nowhere.yaml\nrows: {a: {}}", "nowhere.yaml"),
        ("recipe: tiny.yaml\nrows: {a: {hiden_size: 3}}", "no field `hiden_size`"),
    ],
)
def test_a_wrong_table_says_so(
    content: str, message: str, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.write_text(content)
    with pytest.raises(SystemExit, match=f"ablation: .*{message}"):
        run(monkeypatch, table, "--output_dir", table.parent / "out")


@pytest.mark.parametrize("arguments", [["--seed", "42"], ["--seed=42"]])
def test_one_seed_for_all_rows_is_refused(
    arguments: list[str], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="say how many with --seeds"):
        run(monkeypatch, table, *arguments)


@pytest.mark.parametrize(
    "path", sorted(Path(ablation.__file__).parent.glob("ablations/*.yaml")), ids=lambda p: p.stem
)
def test_the_tables_of_the_project_are_valid(path: Path) -> None:
    recipe, rows = ablation.read_table(path)
    assert recipe.exists()
    for fields in rows.values():
        read_recipe(recipe, fields)
