"""The released checkpoint: how one is made, and the one in `hub_card/`."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import release
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, pipeline

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.evaluation.behaviour import measure_behaviour, positive_of
from sentiment_lstm.evaluation.evaluate import evaluate
from sentiment_lstm.evaluation.results import read_results
from sentiment_lstm.files import default_model
from sentiment_lstm.inference.predictor import SentimentPredictor, load_model
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import train

ROOT = Path(__file__).parents[2]


def test_a_release_is_half_the_bytes_and_the_figures_are_its_own(
    review_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.yaml"
    part = f"{review_file}:train[40:]"
    recipe.write_text(
        f"train: {review_file}:train[:40]\nvalidation: {part}\noutput_dir: {tmp_path / 'run'}\n"
        "num_train_epochs: 3\nembedding_size: 40\nhidden_size: 40\nuse_cpu: true\n"
        "disable_tqdm: true\n"
    )
    folder = train(read_recipe(recipe))
    # Figures of some other weights must not survive.
    results = json.loads((folder / "results.json").read_text())
    results["metrics"]["validation"][part]["accuracy"] = 0.123
    (folder / "results.json").write_text(json.dumps(results))
    output = tmp_path / "released"
    choices = {"first": {"seeds": [0], "accuracy": {part: [0.5]}, "parameters": 9, "seconds": 1.0}}
    (tmp_path / "ablation.json").write_text(json.dumps(choices))
    options = ["--output", str(output), "--ablation", str(tmp_path / "ablation.json")]
    monkeypatch.setattr(sys, "argv", ["release.py", str(folder), "a/b", *options])
    release.main()

    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, output)]
    assert sizes[1] < 0.55 * sizes[0]
    words = [(path / "tokenizer.json").read_text() for path in (folder, output)]
    assert len(words[1]) < 0.8 * len(words[0])
    assert json.loads(words[1]) == json.loads(words[0])
    model, tokenizer = load_model(output)
    assert model.dtype == torch.float32, "half the bytes, but not half the precision in computing"
    assert model.config.temperature == load_model(folder)[0].config.temperature
    ((_, _, figures),) = read_results(output / "results.json").parts()
    reviews = load_reviews(part)
    predictor = SentimentPredictor(model, tokenizer)
    found = evaluate(predictor, reviews)
    assert figures["accuracy"] == found["accuracy"]
    assert figures["loss"] == pytest.approx(found["loss"], abs=1e-6)
    behaviour = measure_behaviour(positive_of(predictor)).as_dict()
    assert read_results(output / "results.json").behaviour == behaviour
    assert (output / "behaviour.png").exists()
    first, second = (
        pipeline("text-classification", model=str(path))(reviews["text"][:])
        for path in (folder, output)
    )
    assert [a["label"] for a in first] == [b["label"] for b in second]
    assert [a["score"] for a in first] == pytest.approx([b["score"] for b in second], abs=2e-3)
    text = "".join(path.read_text() for path in output.glob("*.[jm][sd]*"))
    assert str(tmp_path) not in text, "no folder of this machine"
    assert "| first | 50.00 % |" in (output / "README.md").read_text()
    assert not (output / "ablation.json").exists(), "it names folders"


def test_a_release_can_be_the_mean_of_two_passes(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    first = train(read_recipe(write_recipe(max_steps=1, output_dir=str(tmp_path / "first"))))
    options = {"max_steps": 2, "init_from": str(first), "output_dir": str(tmp_path / "second")}
    second = train(read_recipe(write_recipe(**options)))
    output = tmp_path / "released"
    release.release(second, "a/b", output, average=True)
    before, after, mean = (load_file(f / "model.safetensors") for f in (first, second, output))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for name, tensor in mean.items():
        assert torch.equal(tensor, ((before[name] + after[name]) / 2).half()), name
    assert read_results(output / "results.json").averaged
    said = "The weights are the mean of what that run makes and of what it starts from, `first`"
    assert said in (output / "README.md").read_text()

    other = train(
        read_recipe(write_recipe(max_steps=1, hidden_size=8, output_dir=str(tmp_path / "other")))
    )
    shutil.copytree(other, first, dirs_exist_ok=True)
    with pytest.raises(ValueError, match="first: a model of other sizes or words than"):
        release.release(second, "a/b", output, average=True)
    with pytest.raises(ValueError, match="other: started from no model"):
        release.release(other, "a/b", output, average=True)


def test_an_unfinished_run_is_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["release.py", str(tmp_path), "a/b"])
    with pytest.raises(SystemExit, match="not the results of a finished run"):
        release.main()


def test_the_released_checkpoint_answers() -> None:
    folder = default_model()
    assert folder == ROOT / "hub_card"
    classify = pipeline("text-classification", model=str(folder))
    answers = classify(
        [
            "Wonderful: bright, sturdy, and it works perfectly. I love it.",
            "Terrible: it broke after a week. A waste of money, do not buy it.",
        ]
    )
    assert [answer["label"] for answer in answers] == ["POSITIVE", "NEGATIVE"]
    assert all(answer["score"] > 0.95 for answer in answers)


def test_the_released_checkpoint_reads_numbers_negations_and_whose_opinion_it_is() -> None:
    classify = pipeline("text-classification", model=str(default_model()))
    # 0.1.0 had the first two wrong (issue 17).
    positive = ["10/10", "Not bad at all.", "My neighbour hates it, but I love it.", "5 stars"]
    negative = ["1/10", "I would not say it is good.", "One star", ":("]
    labels = [answer["label"] for answer in classify(positive + negative)]
    assert labels == ["POSITIVE"] * len(positive) + ["NEGATIVE"] * len(negative)


def test_the_released_checkpoint_keeps_its_promises() -> None:
    folder = default_model()
    # Issue 17 counts the weights: those of 0.1.0 had 8.7 MB.
    assert (folder / "model.safetensors").stat().st_size < 15e6
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.num_parameters() < 12e6
    assert all(t.dtype == torch.float16 for t in load_file(folder / "model.safetensors").values())
    for _, _, metrics in read_results(folder / "results.json").parts():
        assert metrics["expected_calibration_error"] < 0.02
        assert f"{100 * metrics['accuracy']:.2f} %" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"])
def test_the_released_code_is_that_of_the_package(name: str) -> None:
    package = ROOT / "sentiment_lstm" / name
    assert (default_model() / name).read_text() == package.read_text(), (
        f"copy {package.relative_to(ROOT)} to hub_card/"
    )
