"""A folder as it goes to the Hub, in versions of transformers that the package does not take.

`make test-versions` makes an environment of each file beside this one, and runs these tests.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import PRESETS, ROOT, randomised
from transformers import pipeline

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.inference.onnx import export
from sentiment_lstm.tokenization import TUTORIAL_PRESET, save_tokenizer, train_tokenizer

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

VERSIONS = sorted(path.stem for path in Path(__file__).parent.glob("*.txt"))
TEXTS = ["I love it, works well.", "Broke in a week: a waste of money. 1/10", "", "unheard-of 🙂"]

# Run without the package. `folder`, `onnx` (a folder or None), `texts` and `expected` are set.
LOAD = """
import torch
from transformers import (AutoConfig, AutoModel, AutoModelForSequenceClassification as Auto,
                          AutoTokenizer, Trainer, TrainingArguments, pipeline)

trusted = {"trust_remote_code": True}

def check(model, tolerance=1e-6, tokenizer=None, **options):
    classify = pipeline("text-classification", model, tokenizer=tokenizer, **options)
    for found, wanted in zip(classify(texts), expected["answers"], strict=True):
        assert found["label"] == wanted["label"], (found, wanted)
        assert abs(found["score"] - wanted["score"]) <= tolerance, (found, wanted)

config = AutoConfig.from_pretrained(folder, **trusted)
for name, value in expected["config"].items():
    assert getattr(config, name) == value, (name, getattr(config, name))
tokenizer = AutoTokenizer.from_pretrained(folder)
assert [tokenizer(text)["input_ids"] for text in texts] == expected["ids"]
check(folder, **trusted)

model = Auto.from_pretrained(folder, **trusted).eval()
backbone = AutoModel.from_pretrained(folder, **trusted).eval()
batch = tokenizer(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    logits = model(**batch).logits
    assert (logits - torch.tensor(expected["logits"])).abs().max() <= 1e-6
    pooled = model.model(**batch).pooler_output
    assert torch.equal(backbone(**batch).pooler_output, pooled)
    assert torch.equal(model(**batch, return_dict=False)[0], logits)
model.save_pretrained("again")
tokenizer.save_pretrained("again")
check("again", **trusted)

# Another head, and a step of training.
names = {0: "poor", 1: "fair", 2: "good"}
other = Auto.from_pretrained(folder, id2label=names, single_logit=False,
                             ignore_mismatched_sizes=True, **trusted)
assert (other.config.id2label, other.config.label2id["good"]) == (names, 2)
assert other.config.temperature == 1
assert torch.equal(other.model.embeddings.weight, model.model.embeddings.weight)
for name, weights in other.named_parameters():
    assert weights.isfinite().all(), name
arguments = TrainingArguments("run", max_steps=2, use_cpu=True, report_to="none", save_steps=2)
rows = [dict(tokenizer(text), labels=2) for text in texts[:2] * 8]
Trainer(other, arguments, train_dataset=rows, processing_class=tokenizer).train()
assert Auto.from_pretrained("run/checkpoint-2", **trusted).config.id2label == names

if onnx:
    from optimum.onnxruntime import ORTModelForSequenceClassification
    exported = ORTModelForSequenceClassification.from_pretrained(onnx, **trusted)
    check(exported, tolerance=1e-5, tokenizer=AutoTokenizer.from_pretrained(onnx))
print("done")
"""


def environment(version: str) -> Path:
    """The interpreter that has a version of transformers."""
    folder = Path(os.environ.get("VERSIONS_VENV", ROOT / ".venv-versions")) / version
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: `make test-versions` makes it")
    return folder / "bin" / "python"


@pytest.mark.parametrize("preset", ["default", "tutorial"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_answers_the_same_in_other_versions(
    version: str, preset: str, make_model: MakeModel, reviews: list[tuple[str, int]], tmp_path: Path
) -> None:
    python = environment(version)
    options: Any = TUTORIAL_PRESET if preset == "tutorial" else {}
    tokenizer = train_tokenizer((text for text, _ in reviews), **options)
    size = {"vocab_size": len(tokenizer)}
    model = randomised(randomised(make_model(**PRESETS[preset], **size, temperature=0.7)))
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tokenizer, tmp_path / "model")
    config = ("temperature", "pad_token_id", "tie_word_embeddings", "pooling", "pad_to_length")
    with torch.no_grad():
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        expected = {
            "answers": pipeline("text-classification", str(tmp_path / "model"))(TEXTS),
            "config": {name: getattr(model.config, name) for name in config},
            "ids": [tokenizer(text)["input_ids"] for text in TEXTS],
            "logits": model(**batch).logits.tolist(),
        }
    onnx = None
    if "optimum-onnx" in (Path(__file__).parent / f"{version}.txt").read_text(encoding="utf-8"):
        onnx = str(export(tmp_path / "model", tmp_path / "onnx"))
    given = f"onnx, texts = {onnx!r}, {TEXTS!r}\nfolder = {str(tmp_path / 'model')!r}\n"
    done = subprocess.run(
        [python, "-c", f"expected = {json.loads(json.dumps(expected))!r}\n{given}{LOAD}"],
        # Not even the checkout can be imported from there.
        cwd=tmp_path,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("done\n")
    # What was saved there is read here.
    again = pipeline("text-classification", str(tmp_path / "again"))(TEXTS)
    for found, wanted in zip(again, expected["answers"], strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)
