"""The card says what the results say, and nothing about the machine that they come from."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from sentiment_lstm.card import CARD_TEMPLATE, CardError, make_card, publish_recipe, publish_results

SLICED = "/home/me/reviews/other.ft.txt.bz2:train[57:]"


def metrics(accuracy: float, **fields: Any) -> dict[str, Any]:
    return {
        "reviews": 1459,
        "accuracy": accuracy,
        "accuracy_low": 0.8929,
        "accuracy_high": 0.92255,
        "f1": 0.9112,
        "precision": 0.9009,
        "recall": 0.9216,
        "roc_auc": 0.96765,
        "loss": 0.24613,
        "expected_calibration_error": 0.0363,
        "confusion_matrix": [[644, 75], [58, 682]],
    } | fields


@pytest.fixture
def results() -> dict[str, Any]:
    """Results as training writes them, of sources of every kind."""
    facts = {"reviews": 2000, "positive": 1046, "fingerprint": "0ddd01e310cf32f8"}
    return {
        "recipe": {
            "train": ["fancyzhx/amazon_polarity:train[:2000]", "../data/train.ft.txt"],
            "validation": [SLICED],
            "test": ["C:\\reviews\\test.csv"],
            "output_dir": "/home/me/runs/small",
            "max_train_length": 256,
            "learning_rate": 0.002,
            "pooling": "max+mean",
            "hub_token": "hf_secret",
            "seed": 42,
        },
        "reviews": {
            "train": {
                "fancyzhx/amazon_polarity:train[:2000]": facts,
                "../data/train.ft.txt": {**facts, "reviews": 57489, "fingerprint": "0f1a"},
            },
            "validation": {SLICED: {**facts, "positive": 740, "reviews": 1459}},
            "test": {"C:\\reviews\\test.csv": facts},
        },
        "seed": 42,
        "parameters": 4361218,
        "vocab_size": 32000,
        "training": {
            "steps": 2790,
            "epochs": 3.0,
            "best_step": 2320,
            "best_validation_loss": 0.25527,
            "log": [],
            "resumed_from": None,
        },
        "machine": {
            "device": "cpu",
            "threads": 2,
            "processes": 1,
            "bf16": True,
            "python": "3.11.7",
        },
        "versions": {"sentiment-lstm": "0.1.0", "torch": "2.13.0+cpu"},
        "metrics": {
            f"validation/{SLICED}": metrics(0.90884),
            "test/C:\\reviews\\test.csv": metrics(0.8985, reviews=2000, roc_auc=None),
        },
        "wall_time_seconds": {"prepare": 24.7, "train": 331.5, "evaluate": 3.2},
    }


def section(card: ModelCard, title: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n\n(.*?)(?=^##|\Z)", card.text, re.M | re.S)
    assert found, f"no section {title}"
    return found[1].strip()


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for item in [*value, *value.values()]:
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, str):
        yield from (float(number) for number in re.findall(r"\d+(?:\.\d+)?", value))
    elif value is not None:
        yield float(value)


def test_sections(results: dict[str, Any]) -> None:
    card = make_card(results, repo_id="me/small", figures=["learning_curves.png", "my_plot.png"])
    headings = re.findall(r"^#+ .*", card.text, re.MULTILINE)
    assert headings == [
        "# small",
        "## Use",
        "## Intended use and limits",
        "## Results",
        "### Calibration",
        "## Figures",
        "## Training",
        "### Reproduction",
        "## Licence",
    ]
    assert "It has 4,361,218 parameters\nand a vocabulary of 32,000 words" in card.text
    with_package, without = code_blocks(section(card, "Use"), "python")
    assert with_package.startswith("import sentiment_lstm")
    assert 'model="me/small")' in with_package
    assert "sentiment_lstm" not in without
    assert 'model="me/small", trust_remote_code=True)' in without
    assert code_blocks(section(card, "Use"), "bash") == ["hf download me/small\n"]
    limits = section(card, "Intended use and limits")
    assert "one run with the seed 42" in limits
    assert "first 256 tokens" in limits
    assert "test reviews were looked at once" in limits
    assert section(card, "Figures") == (
        "![Loss and validation accuracy over the training steps](learning_curves.png)\n\n"
        "![my_plot](my_plot.png)"
    )
    assert code_blocks(section(card, "Reproduction"), "bash") == [
        "sentiment-lstm train recipe.yaml\n"
    ]
    assert "Apache 2.0" in section(card, "Licence")


def test_tables(results: dict[str, Any]) -> None:
    card = make_card(results)
    assert section(card, "Results").splitlines() == [
        "| reviews | number | accuracy | 95 % interval | F1 | precision | recall | AUC |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| `validation/other.ft.txt.bz2:train[57:]` | 1,459 | 90.88 % | 89.29 % to 92.25 % "
        "| 91.12 % | 90.09 % | 92.16 % | 0.9677 |",
        "| `test/test.csv` | 2,000 | 89.85 % | 89.29 % to 92.25 % | 91.12 % | 90.09 % | 92.16 % "
        "| – |",
        "",
        "F1, precision and recall are those of POSITIVE. Right and wrong answers by the right "
        "label:",
        "",
        "| reviews | NEGATIVE, right | NEGATIVE, wrong | POSITIVE, right | POSITIVE, wrong |",
        "| --- | --- | --- | --- | --- |",
        "| `validation/other.ft.txt.bz2:train[57:]` | 644 | 75 | 682 | 58 |",
        "| `test/test.csv` | 644 | 75 | 682 | 58 |",
    ]
    assert section(card, "Calibration").splitlines()[-2:] == [
        "| `validation/other.ft.txt.bz2:train[57:]` | 3.63 % | 0.2461 |",
        "| `test/test.csv` | 3.63 % | 0.2461 |",
    ]
    training = section(card, "Training")
    for row in [
        "| train | `fancyzhx/amazon_polarity:train[:2000]` | 2,000 | 1,046 | `0ddd01e310cf32f8` |",
        "| train | `train.ft.txt` | 57,489 | 1,046 | `0f1a` |",
        "| validation | `other.ft.txt.bz2:train[57:]` | 1,459 | 740 | `0ddd01e310cf32f8` |",
        "| steps | 2,790 (3 epochs) |",
        "| chosen step | 2,320 |",
        "| its validation loss | 0.2553 |",
        "| machine | cpu, threads: 2, processes: 1, bf16 |",
        "| seconds to train | 331.5 |",
        "| software | Python 3.11.7, sentiment-lstm 0.1.0, torch 2.13.0+cpu |",
    ]:
        assert row in training.splitlines()
    assert code_blocks(training, "yaml") == [
        "train:\n- fancyzhx/amazon_polarity:train[:2000]\n- train.ft.txt\n"
        "validation:\n- other.ft.txt.bz2:train[57:]\ntest:\n- test.csv\n"
        "output_dir: small\nmax_train_length: 256\nlearning_rate: 0.002\npooling: max+mean\n"
        "seed: 42\n"
    ]


def test_metadata_reads_back(results: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    make_card(results, repo_id="me/small").save(path)
    data = ModelCard.load(path, ignore_metadata_errors=False).data
    assert data.license == "apache-2.0"
    assert data.language == "en"
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert data.datasets == ["fancyzhx/amazon_polarity"]
    assert data.metrics == ["accuracy", "f1", "precision", "recall"]
    assert data.tags is not None
    assert "sentiment-analysis" in data.tags
    assert data.model_name == "small"
    assert data.eval_results is not None
    found = {(r.dataset_name, r.dataset_split, r.metric_type): r for r in data.eval_results}
    validation = found["other.ft.txt.bz2:train[57:] (validation)", "train[57:]", "accuracy"]
    assert validation.dataset_type == "other.ft.txt.bz2"
    assert validation.metric_value == 0.90884
    assert found["test.csv (test)", "train", "accuracy"].metric_value == 0.8985
    assert ("test.csv (test)", "train", "roc_auc") not in found
    assert len(found) == 13


def test_every_figure_is_in_the_results(results: dict[str, Any]) -> None:
    card = make_card(results, repo_id="me/small")
    known = set(numbers_in(results))
    text = card.text.replace("95 % interval", "").replace("Apache 2.0", "").replace("F1", "")
    for token in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)*(?: %)?", text):
        number = token.rstrip(",.").replace(",", "").removesuffix(" %")
        if number.count(".") > 1:  # a version
            assert number in json.dumps(results)
            continue
        decimals = len(number.partition(".")[2])
        scale = 100 if token.endswith("%") else 1
        error = 0.5 * 10**-decimals + 1e-9
        assert any(abs(value * scale - float(number)) <= error for value in known), token


def test_a_run_without_test_reviews_says_so(results: dict[str, Any]) -> None:
    results["reviews"]["test"] = {}
    results["recipe"].pop("max_train_length")
    results["training"] |= {"best_step": None, "best_validation_loss": None}
    card = make_card(results)
    limits = section(card, "Intended use and limits")
    assert "no test reviews" in limits
    assert "first" not in limits
    assert "Figures" not in card.text
    assert "hf download" not in card.text
    assert 'model="path/to/this/folder"' in card.text
    assert "| chosen step | – |" in card.text


def test_nothing_of_the_machine_is_published(results: dict[str, Any]) -> None:
    before = copy.deepcopy(results)
    published = publish_results(results)
    for text in (str(make_card(results)), json.dumps(published)):
        for private in ("/home", "me/", "../", "C:", "data/", "secret"):
            assert private not in text
    assert results == before
    assert publish_results(published) == published


def test_published_names_keep_sources_apart(results: dict[str, Any]) -> None:
    recipe = {"train": ["a/x.txt", "b/x.txt"], "validation": ["a/x.txt", "sample:test"]}
    assert publish_recipe(recipe) == {
        "train": ["x.txt", "x.txt (2)"],
        "validation": ["x.txt", "sample:test"],
    }
    facts = results["reviews"]["test"].popitem()[1]
    results["reviews"]["train"] = {"a/x.txt": facts, "b/x.txt": facts}
    assert list(publish_results(results)["reviews"]["train"]) == ["x.txt", "x.txt (2)"]


def test_results_that_are_no_finished_run_are_named(results: dict[str, Any]) -> None:
    unfinished = {key: results[key] for key in ("recipe", "reviews")}
    with pytest.raises(CardError, match="lack metrics, parameters, training"):
        make_card(unfinished)
    del results["versions"]
    with pytest.raises(CardError, match="lack 'versions'"):
        make_card(results)


def test_own_template(results: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / CARD_TEMPLATE
    path.write_text("---\n{{ card_data }}\n---\n{{ name }}: {{ parameters }}")
    assert make_card(results, template=path).text == "small: 4,361,218"
