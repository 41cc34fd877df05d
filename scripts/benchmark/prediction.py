"""`predict`: a file of reviews in, a file of labels out."""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    pipeline,
)
from tutorial import reference

from benchmark.common import (
    BATCH,
    SEQ_LEN,
    Side,
    alone,
    export_to,
    in_bf16,
    load_minilm,
    measure,
    onnx_options,
    progress,
    read,
    watched_memory,
    write_lines,
)
from sentiment_lstm.inference.batch import predict_file
from sentiment_lstm.inference.predictor import SentimentPredictor

# Of the transformers' input; they have a longest one.
TRANSFORMER_TOKENS = 256


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all sides, and our memory.

    The time of ours is that of `sentiment-lstm predict` without the imports: it loads its model.
    """
    texts = read(options, 20_000)
    source, output = write_lines(options, texts), options.scratch / "labels.jsonl"

    def ours(exact: bool) -> Callable[[], object]:
        return lambda: predict_file(options.model, source, output, exact=exact)

    dtype = "bf16, close calls in float32" if in_bf16() else "float32"
    sides = [
        Side("ours", ours(exact=False), len(texts), dtype),
        Side("ours, exact", ours(exact=True), len(texts), "float32"),
        *onnx_sides(options, texts),
        fasttext_side(options, texts),
        minilm_side(options, texts[:: max(1, len(texts) // 512)]),
        distilbert_side(options, texts[:: max(1, len(texts) // 192)]),
        tutorial_side(options, texts[:: max(1, len(texts) // 200)]),
    ]
    some = texts[:: max(1, len(texts) // 2000)]
    classify = pipeline("text-classification", model=str(options.model), trust_remote_code=False)
    theirs = [answer["label"] for answer in classify(some)]
    predictor = SentimentPredictor.from_pretrained(options.model, low_precision=True)
    found = [prediction.label for prediction in predictor.predict(some)]
    same = sum(left == right for left, right in zip(found, theirs, strict=True))
    measured = measure(sides, options.rounds)
    memory = {}
    for times in (1, 4, 16):
        progress(f"memory for {times * len(texts):,} reviews")
        source = write_lines(options, texts * times)
        memory[times * len(texts)] = alone(predict_once, options.model, source)
    return {
        "sides": measured,
        "labels_of_the_pipeline": f"{same} of {len(some)}",
        "own_memory_mb_by_reviews": memory,
    }


def predict_once(model: str, source: Path) -> int:
    """Label a file in a process of its own: peak of its own memory in MB."""
    with watched_memory() as peak:
        predict_file(model, source, source.with_suffix(".jsonl"))
    return peak.megabytes


def onnx_sides(options: argparse.Namespace, texts: list[str]) -> list[Side]:
    """The exported model, float32 and int8."""
    import onnxruntime

    tokenizer = AutoTokenizer.from_pretrained(options.model, trust_remote_code=False)

    def side(name: str, int8: bool) -> Side:
        file = export_to(options, name, int8)
        session = onnxruntime.InferenceSession(file, onnx_options(options))

        def forward(ids: Any, mask: Any) -> Any:
            return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

        note = "int8" if int8 else "float32"
        return batch_side(options, f"ours, ONNX {note}", tokenizer, forward, texts, 64, None, note)

    return [side("onnx", False), side("onnx-int8", True)]


def fasttext_side(options: argparse.Namespace, texts: list[str]) -> Side:
    """FastText with bigrams, trained on the reviews themselves: only its speed is looked at."""
    import fasttext

    model = fasttext.train_supervised(
        str(options.plain_reviews), wordNgrams=2, dim=10, epoch=1, verbose=0, thread=2
    )
    source, output = write_lines(options, texts), options.scratch / "fasttext.txt"

    def work() -> None:
        with open(source, encoding="utf-8") as lines, open(output, "w") as stream:
            for line in lines:
                # The method below `predict`, which a numpy of version 2 breaks.
                (score, label), *_ = model.f.predict(line, 1, 0.0, "strict")
                stream.write(f"{label} {score}\n")

    return Side("fastText", work, len(texts), "bigrams, 10 dimensions, one thread")


def minilm_side(options: argparse.Namespace, texts: list[str]) -> Side:
    """MiniLM-L6 with a classifier, at the dtype and batch size that suit it best."""
    return best_transformer(options, "MiniLM-L6", load_minilm, texts)


def distilbert_side(options: argparse.Namespace, texts: list[str]) -> Side:
    """A model of DistilBERT's shape with random weights and MiniLM's words (both BERT's)."""

    def make(dtype: torch.dtype) -> tuple[Any, Any]:
        model: Any = DistilBertForSequenceClassification(DistilBertConfig())
        return model.to(dtype).eval(), load_minilm(torch.float32)[1]

    return best_transformer(options, "DistilBERT's shape", make, texts)


def best_transformer(
    options: argparse.Namespace,
    name: str,
    make: Callable[[Any], tuple[Any, Any]],
    texts: list[str],
) -> Side:
    """The fastest of two dtypes and some batch sizes, by a trial on a quarter of the texts."""
    candidates = []
    for dtype, batch_size in itertools.product((torch.bfloat16, torch.float32), (8, 32, 128)):
        model, tokenizer = make(dtype)

        def forward(ids: Any, mask: Any, model: Any = model) -> Any:
            return model(input_ids=ids, attention_mask=mask).logits.float().numpy()

        note = f"{str(dtype).removeprefix('torch.')}, batches of {batch_size}"
        progress(f"{name}: {note}")
        length = TRANSFORMER_TOKENS
        trial, side = (
            batch_side(options, name, tokenizer, forward, some, batch_size, length, note)
            for some in (texts[::4], texts)
        )
        start = time.perf_counter()
        trial.work()
        candidates.append((time.perf_counter() - start, side))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def batch_side(
    options: argparse.Namespace,
    name: str,
    tokenizer: Any,
    forward: Callable[[Any, Any], Any],
    texts: list[str],
    batch_size: int,
    max_length: int | None,
    note: str,
) -> Side:
    """File in, file out, sorted by length: what anyone would write around a model."""
    source = write_lines(options, texts)
    output = options.scratch / f"{name.replace(' ', '_')}.jsonl"

    def work() -> None:
        lines = Path(source).read_text(encoding="utf-8").split("\n")[:-1]
        ids = tokenizer(
            lines, truncation=max_length is not None, max_length=max_length, verbose=False
        )["input_ids"]
        order = sorted(range(len(lines)), key=lambda index: -len(ids[index]))
        answers: dict[int, str] = {}
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            inputs = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            with torch.inference_mode():
                logits = torch.as_tensor(forward(inputs["input_ids"], inputs["attention_mask"]))
            scores, labels = logits.softmax(-1).max(-1)
            for index, label, score in zip(batch, labels.tolist(), scores.tolist(), strict=True):
                answers[index] = json.dumps({"label": label, "score": score})
        with open(output, "w") as stream:
            stream.writelines(answers[index] + "\n" for index in range(len(lines)))

    return Side(name, work, len(texts), note)


def tutorial_side(options: argparse.Namespace, texts: list[str]) -> Side:
    """The tutorial's own path: NLTK, padded to 200, its network in float32, batches of 400."""
    vocabulary = AutoTokenizer.from_pretrained(options.model, trust_remote_code=False).get_vocab()
    net = reference.SentimentNet(len(vocabulary) + 1).eval()
    source, output = write_lines(options, texts), options.scratch / "tutorial.txt"

    def work() -> None:
        lines = Path(source).read_text(encoding="utf-8").split("\n")[:-1]
        ids = [reference.encode(reference.tokenize(line), vocabulary) for line in lines]
        batches = torch.from_numpy(reference.pad_input(ids, SEQ_LEN)).split(BATCH)
        answers = reference.sigmoids(net, batches, carry_hidden=False)
        with open(output, "w") as stream:
            stream.writelines(f"{answer}\n" for answer in answers.tolist())

    return Side("the tutorial", work, len(texts), "NLTK, padded to 200, float32")
