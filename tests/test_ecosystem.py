"""From the other side: what datasets, evaluate, peft and accelerate do with our parts."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import evaluate
import pytest
import torch
import yaml
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.evaluation.metrics import SentimentMetrics
from sentiment_lstm.inference.predictor import load_model

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]


# --- datasets ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("batched", [False, True])
def test_map_and_filter_give_the_same_in_two_processes(
    batched: bool, tokenizer: PreTrainedTokenizerFast, review_file: Path
) -> None:
    reviews = load_reviews(review_file)

    def tokenize(row: dict[str, Any]) -> dict[str, Any]:
        return dict(tokenizer(row["text"]))

    def is_long(row: dict[str, Any]) -> Any:
        ids = tokenizer(row["text"])["input_ids"]
        return [len(each) > 16 for each in ids] if batched else len(ids) > 16

    options: dict[str, Any] = {"batched": batched, "load_from_cache_file": False}
    if batched:
        options["batch_size"] = 7  # which divides neither the reviews nor their halves
    for transform, function in ((reviews.map, tokenize), (reviews.filter, is_long)):
        alone = transform(function, num_proc=1, **options)
        together = transform(function, num_proc=2, **options)
        assert together.to_dict() == alone.to_dict()
        assert together.features == alone.features
    assert 0 < len(alone) < len(reviews)


def test_a_tokenizer_as_the_function_of_map(
    tokenizer: PreTrainedTokenizerFast, review_file: Path
) -> None:
    """Pickled by itself, and cached: the second call finds the first one's file."""
    reviews = load_reviews(review_file)
    first, second = (
        reviews.map(tokenizer, input_columns="text", batched=True, num_proc=2) for _ in range(2)
    )
    expected = tokenizer(reviews["text"][:])["input_ids"]
    assert first["input_ids"][:] == second["input_ids"][:] == expected
    assert first.cache_files == second.cache_files


def test_a_collator_and_a_loader_feed_the_model(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, review_file: Path
) -> None:
    model = make_model()
    reviews = load_reviews(review_file).rename_column("label", "labels")
    tokens = reviews.map(
        lambda batch: tokenizer(batch["text"]), batched=True, remove_columns="text"
    )
    collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)
    loader: Any = DataLoader(tokens, batch_size=7, collate_fn=collator)
    logits = []
    with torch.no_grad():
        for batch in loader:
            assert set(batch) == {"input_ids", "attention_mask", "labels"}
            assert batch["input_ids"].shape[1] % 8 == 0
            output = model(**batch)
            assert output.loss.isfinite()
            logits.append(output.logits)
        alone = [model(torch.tensor([ids])).logits for ids in tokens["input_ids"]]
    torch.testing.assert_close(torch.cat(logits), torch.cat(alone))


# --- evaluate ------------------------------------------------------------------------------------


class _Share(evaluate.Metric):
    """Another metric of the same inputs: the share of reviews called positive."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {
                "predictions": datasets.Sequence(datasets.Value("float64")),
                "references": datasets.Value("int64"),
            }
        )
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=features
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {"share": sum(row[1] > row[0] for row in predictions) / len(predictions)}


def test_metrics_can_be_combined() -> None:
    predictions = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]]
    references = [0, 1, 0, 1]
    expected = SentimentMetrics().compute(predictions=predictions, references=references)
    both = evaluate.combine([SentimentMetrics(), _Share(keep_in_memory=True)])
    at_once = both.compute(predictions=predictions, references=references)
    for start in (0, 2):
        both.add_batch(
            predictions=predictions[start : start + 2], references=references[start : start + 2]
        )
    assert at_once == both.compute() == {**expected, "share": 0.5}

    twice = evaluate.combine({"first": SentimentMetrics(), "second": SentimentMetrics()})
    assert twice.compute(predictions=predictions, references=references) == {
        f"{which}_{name}": value
        for which in ("first", "second")
        for name, value in (expected or {}).items()
    }


# --- peft ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft asks
def test_an_adapter_trains_and_is_loaded_on_top_of_its_model(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """LoRA on the word vectors, one layer and the head as a whole; the rest stays as it was."""
    import peft  # takes its time

    def load() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(model_folder).eval()

    config = peft.LoraConfig(
        task_type="SEQ_CLS", r=4, target_modules=["embeddings"], modules_to_save=["layers.0"]
    )
    model: Any = peft.get_peft_model(load(), config)
    arguments = TrainingArguments(
        str(tmp_path / "run"),
        max_steps=2,
        learning_rate=0.1,
        gradient_accumulation_steps=2,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    texts = ["I love it: works well.", "Broke in a week: a waste of money."]
    rows: Any = [dict(tokenizer(text), labels=1 - i) for i, text in enumerate(texts)] * 16
    trainer = Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
    assert not trainer.model_accepts_loss_kwargs, "the loss is a mean: it is not to be scaled"
    trainer.train()
    model.save_pretrained(tmp_path / "adapter")

    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model.eval()(**batch).logits
        base = load()
        assert not torch.allclose(base(**batch).logits, expected, atol=0.01)
        again = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
        assert torch.equal(again(**batch).logits, expected)
        merged = again.merge_and_unload()
        torch.testing.assert_close(merged(**batch).logits, expected)
    for part in (merged, tokenizer):
        part.save_pretrained(tmp_path / "merged")
    alone, _ = load_model(tmp_path / "merged")
    with torch.no_grad():
        torch.testing.assert_close(alone(**batch).logits, expected)


# --- accelerate ----------------------------------------------------------------------------------


def test_accelerate_launch_trains_in_two_processes(review_file: Path, tmp_path: Path) -> None:
    """The command of the README, on two processes of this machine's CPU."""
    recipe = {
        "train": f"{review_file}:train[:48]",
        "validation": f"{review_file}:train[48:]",
        "output_dir": str(tmp_path / "run"),
        "embedding_size": 8,
        "hidden_size": 8,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 0.01,
        "use_cpu": True,
        "disable_tqdm": True,
        "bf16": False,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    command = (
        "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 "
        "--mixed_precision no --dynamo_backend no --main_process_port 0 "
        f"-m sentiment_lstm train {path} --ddp_backend gloo"
    )
    done = subprocess.run(
        [sys.executable, *command.split()],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("model folder: ") == 1, "one process reports"
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["machine"]["processes"] == 2
    # 48 reviews in batches of twice 4.
    assert results["training"]["steps"] == 6
    model, _ = load_model(tmp_path / "run")
    assert model.config.hidden_size == 8
