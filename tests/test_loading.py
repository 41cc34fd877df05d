"""Every way to load a model folder or a Hub repository, with the package and without it."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_hub import FakeHub
from support import PRESETS, ROOT, WITHOUT_PACKAGE, randomised, run_alone
from transformers import pipeline

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

TEXTS = ["I love it, works well.", "Broke in a week: a waste of money.", "unheard-of"]

# What both processes do. `options` is empty where the package is imported, else it says
# `trust_remote_code=True`; `expected` are the answers for each repository and revision.
LOAD = """
import json, os, sys, torch
from huggingface_hub import snapshot_download
from transformers import (AutoConfig, AutoModel, AutoModelForSequenceClassification as Auto,
                          AutoTokenizer, logging, pipeline)

logging.set_verbosity_error()
texts, expected = json.load(open("expected.json"))

def check(model, repo, which="new", tolerance=1e-6, tokenizer=None, **more):
    classify = pipeline("text-classification", model, tokenizer=tokenizer, **more)
    for found, wanted in zip(classify(texts), expected[repo][which], strict=True):
        assert found["label"] == wanted["label"], (repo, found, wanted)
        assert abs(found["score"] - wanted["score"]) <= tolerance, (repo, found, wanted)

for repo in expected:
    folder = snapshot_download(repo)
    for place in (repo, folder):
        config = AutoConfig.from_pretrained(place, **options)
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
        backbone = AutoModel.from_pretrained(place, **options)
        model = Auto.from_pretrained(place, **options)
        names = [type(each).__name__ for each in (config, backbone, model)]
        assert names == ["SentimentLSTMConfig", "SentimentLSTMModel",
                         "SentimentLSTMForSequenceClassification"], names
        assert type(backbone).__module__.split(".")[0] == package
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            pooled = backbone.eval()(**batch).pooler_output
            assert torch.equal(model.classifier(pooled), model(**batch).logits[:, -len(
                model.classifier.bias):])
        check(place, repo, **options)

    check(repo, repo, "old", revision="v1", **options)
    old = Auto.from_pretrained(repo, revision="v1", **options)
    check(old, repo, "old", tokenizer=tokenizer)

    half = Auto.from_pretrained(repo, dtype=torch.bfloat16, **options)
    assert half.dtype is torch.bfloat16
    check(half, repo, tolerance=0.03, tokenizer=tokenizer)
    check(Auto.from_pretrained(repo, device_map="auto", low_cpu_mem_usage=True, **options), repo,
          tokenizer=tokenizer)

    if not config.single_logit:
        try:
            Auto.from_pretrained(repo, num_labels=3, **options)
        except RuntimeError as error:
            assert "ignore_mismatched_sizes" in str(error)
        else:
            raise AssertionError("mismatched sizes were not noticed")
    names = {0: "poor", 1: "fair", 2: "good"}
    other = Auto.from_pretrained(repo, id2label=names, single_logit=False,
                                 ignore_mismatched_sizes=True, **options)
    assert other(**batch).logits.shape == (3, 3)
    assert (other.config.id2label, other.config.label2id["good"]) == (names, 2)

    # Saved once more, with its code, it loads once more.
    again = f"again/{repo}"
    model.save_pretrained(again)
    tokenizer.save_pretrained(again)
    code = {"configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"}
    assert code <= set(os.listdir(again))
    named = json.load(open(f"{again}/config.json"))["auto_map"]
    assert not any("--" in name for name in named.values()), named  # none needs the repository
    check(again, repo, **options)
    AutoModel.from_pretrained(again, **options).save_pretrained(f"backbone/{repo}")
    Auto.from_pretrained(f"backbone/{repo}", **options)
print("done")
"""

WITH_PACKAGE = 'import sentiment_lstm\noptions, package = {}, "sentiment_lstm"\n'
REMOTE = """
options, package = {"trust_remote_code": True}, "transformers_modules"
from transformers import AutoConfig
try:
    AutoConfig.from_pretrained("tester/default")
except ValueError as error:  # nobody is there to ask, and nothing was run
    assert "trust_remote_code=True" in str(error), error
else:
    raise AssertionError("code was run without having been trusted")
"""


@pytest.fixture
def repositories(
    hub: FakeHub, make_model: MakeModel, reviews: list[tuple[str, int]], tmp_path: Path
) -> dict[str, dict[str, Any]]:
    """Two repositories, one for each preset, with a first revision `v1`, and what they answer."""
    torch.manual_seed(2)  # of all weights, for by chance two answers may be the same
    answers: dict[str, dict[str, Any]] = {}
    for name, tokenizer_preset in (("default", {}), ("tutorial", TUTORIAL_PRESET)):
        options: Any = tokenizer_preset
        tokenizer = train_tokenizer((text for text, _ in reviews), **options)
        repo = hub.add_repository(f"tester/{name}")
        answers[repo.id] = {}
        for revision in ("old", "new"):
            folder = tmp_path / name / revision
            # Sure enough of themselves to tell their answers apart.
            randomised(randomised(make_model(**PRESETS[name]))).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            hub.push(repo, {path.name: path.read_bytes() for path in folder.iterdir()})
            if revision == "old":
                repo.refs["refs/tags/v1"] = repo.head.sha
            answers[repo.id][revision] = pipeline("text-classification", str(folder))(TEXTS)
        scores = [
            {round(answer["score"], 3) for answer in answers[repo.id][revision]}
            for revision in ("old", "new")
        ]
        assert not scores[0] & scores[1], "the revisions must differ for this to mean much"
    return answers


@pytest.mark.parametrize(
    "start", [WITH_PACKAGE, WITHOUT_PACKAGE + REMOTE], ids=["with the package", "without it"]
)
def test_every_way_to_load(
    start: str, hub: FakeHub, repositories: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "expected.json").write_text(json.dumps([TEXTS, repositories]))
    printed = run_alone(hub, home, start + textwrap.dedent(LOAD))
    assert printed.endswith("done\n")


# What somebody without the package does who loads but one thing, and saves it. Each folder has
# classes of its own, so that none finds what was registered for another.
SAVE = """
import torch
from transformers import (AutoConfig, AutoModel, AutoModelForSequenceClassification as Auto,
                          AutoTokenizer, Trainer, TrainingArguments, logging, pipeline)

logging.set_verbosity_error()
code = {"configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"}
trusted = {"trust_remote_code": True}

def load(auto, folder):
    if auto is not AutoTokenizer:
        named = json.load(open(f"{folder}/config.json"))["auto_map"]
        assert sorted(named) == ["AutoConfig", "AutoModel", "AutoModelForSequenceClassification"]
    loaded, report = auto.from_pretrained(folder, output_loading_info=True, **trusted)
    assert not report["missing_keys"], report
    return loaded

AutoModel.from_pretrained("backbone", **trusted).save_pretrained("backbone saved")
Auto.from_pretrained("classifier", **trusted).save_pretrained("classifier saved")
AutoModel.from_config(AutoConfig.from_pretrained("config", **trusted), **trusted).save_pretrained(
    "new saved")
AutoConfig.from_pretrained("config alone", **trusted).save_pretrained("config alone saved")
tokenizer = AutoTokenizer.from_pretrained("tokenizer", **trusted)
tokenizer.save_pretrained("tokenizer saved")

model = Auto.from_pretrained("trainer", **trusted)
arguments = TrainingArguments("run", max_steps=1, save_steps=1, use_cpu=True, disable_tqdm=True,
                              report_to="none")
rows = [dict(tokenizer(text), labels=1) for text in texts[:2] * 4]
Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer).train()

for folder in ("backbone saved", "classifier saved", "new saved", "run/checkpoint-1"):
    assert code <= set(os.listdir(folder)), folder
    load(AutoModel, folder)
for folder in ("classifier saved", "run/checkpoint-1"):
    load(Auto, folder)
assert AutoConfig.from_pretrained("config alone saved", **trusted).hidden_size == 16
again = AutoTokenizer.from_pretrained("tokenizer saved")
assert again(texts).input_ids == tokenizer(texts).input_ids
trained = pipeline("text-classification", "run/checkpoint-1", **trusted)(texts)
assert trained == pipeline("text-classification", model.eval(), tokenizer=tokenizer)(texts)
print("done")
"""


def test_whatever_alone_was_loaded_without_the_package_can_be_saved(
    model_folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    home = tmp_path / "home"
    for name in ("backbone", "classifier", "config", "config alone", "tokenizer", "trainer"):
        shutil.copytree(model_folder, home / name)
    start = f"{WITHOUT_PACKAGE}\nimport json, os\ntexts = {TEXTS!r}\n"
    printed = run_alone(hub, home, start + SAVE)
    assert printed.endswith("done\n")


# --- what is registered, and when ----------------------------------------------------------------

FIRST_CALLS = {
    "pipeline": "pipeline('text-classification', folder)('fine')",
    "from_pretrained": "assert_ours(AutoModelForSequenceClassification.from_pretrained(folder))",
    "for_model": "assert_ours(AutoModel.from_config(AutoConfig.for_model('sentiment_lstm')))",
    "an unpickled config": "assert_ours(AutoModel.from_config(unpickle('config')))",
    "an unpickled model": "assert_ours(unpickle('model'))",
    "the model's module": """
from sentiment_lstm.modeling_sentiment_lstm import SentimentLSTMModel
assert_ours(SentimentLSTMModel(SentimentLSTMModel.config_class(vocab_size=9)))
""",
}


def test_whatever_comes_first_finds_the_model_classes(model_folder: Path, tmp_path: Path) -> None:
    """They are registered when the first config is made, and only then imported.

    Each call is the first of a fork, for transformers alone take seconds to import.
    """
    model = SentimentLSTMForSequenceClassification.from_pretrained(model_folder)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    (tmp_path / "config.pickle").write_bytes(pickle.dumps(model.config))
    start = """
import os, pickle, sys
import sentiment_lstm
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline
folder = sys.argv[1]

def unpickle(name):
    with open(f"../{name}.pickle", "rb") as file:
        return pickle.load(file)

def assert_ours(model):
    assert type(model).__module__ == "sentiment_lstm.modeling_sentiment_lstm"
    model.save_pretrained("saved")
    assert {"configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"} <= set(
        os.listdir("saved"))
    AutoModel.from_pretrained("saved")

assert "sentiment_lstm.modeling_sentiment_lstm" not in sys.modules
"""
    forks = f"""
for name, call in {FIRST_CALLS!r}.items():
    if (child := os.fork()) == 0:
        os.mkdir(name)
        os.chdir(name)
        exec(call)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name
"""
    done = subprocess.run(
        [sys.executable, "-c", start + forks, str(model_folder)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1500:]


def test_a_class_that_somebody_else_registered_stays() -> None:
    code = """
import sentiment_lstm
from transformers import AutoModel, PreTrainedModel
class Mine(PreTrainedModel):
    config_class = sentiment_lstm.SentimentLSTMConfig
AutoModel.register(sentiment_lstm.SentimentLSTMConfig, Mine)
assert type(AutoModel.from_config(sentiment_lstm.SentimentLSTMConfig())) is Mine
"""
    subprocess.run([sys.executable, "-c", code], check=True)
