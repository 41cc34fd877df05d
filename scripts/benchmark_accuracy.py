"""Train other models on the reviews of a finished run, and measure them where it was measured.

    python scripts/benchmark_accuracy.py FOLDER [--peers tfidf fasttext]

FOLDER is a model folder that `sentiment-lstm train` wrote. Each peer is trained on the very reviews
of its recipe and measured on its validation and test reviews. Prints a table with the model first,
and writes `FOLDER/peers.json`, which its card shows.

fastText comes with the extra `benchmark`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sentiment_lstm.metrics import score
from sentiment_lstm.peers import PEERS_FILE, Peer, write_peers
from sentiment_lstm.reviews import load_reviews
from sentiment_lstm.training import RESULTS_FILE

# Texts -> probabilities of POSITIVE, `(reviews,)`.
Predict = Callable[[list[str]], NDArray[np.float64]]
# What training gives: the function, and the number of parameters.
Trained = tuple[Predict, int]


def tfidf(texts: list[str], labels: list[int]) -> Trained:
    """Words and pairs of words by TF-IDF, and a logistic regression with C = 4."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    classifier = LogisticRegression(C=4, max_iter=1000)
    model = make_pipeline(vectorizer, classifier).fit(texts, labels)
    return lambda unseen: model.predict_proba(unseen)[:, 1], int(classifier.coef_.size) + 1


def fasttext(texts: list[str], labels: list[int]) -> Trained:
    """FastText with pairs of words, 10 dimensions and 5 epochs, on lower-cased text."""
    import fasttext as package

    def cleaned(text: str) -> str:
        return " ".join(text.lower().split())

    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for text, label in zip(texts, labels, strict=True):
            file.write(f"__label__{label} {cleaned(text)}\n")
        file.flush()
        model = package.train_supervised(
            file.name, wordNgrams=2, dim=10, epoch=5, lr=0.5, minCount=2, verbose=0
        )

    def predict(unseen: list[str]) -> NDArray[np.float64]:
        names, found = model.f.multilinePredict([cleaned(t) + "\n" for t in unseen], 1, 0.0, "")
        best = np.array([probability[0] for probability in found]).clip(0, 1)
        positive = np.array([name[0] == "__label__1" for name in names])
        return np.where(positive, best, 1 - best)

    parameters = model.get_input_matrix().size + model.get_output_matrix().size
    return predict, int(parameters)


PEERS: dict[str, tuple[str, Callable[[list[str], list[int]], Trained]]] = {
    "tfidf": ("TF-IDF + logistic regression", tfidf),
    "fasttext": ("fastText", fasttext),
}


def measure(name: str, results: dict[str, Any], command: str) -> Peer:
    """Train one peer on the training reviews of a run and measure it on each of its parts."""
    title, train = PEERS[name]
    texts: list[str] = []
    labels: list[int] = []
    on_bad_line = results["recipe"].get("on_bad_line", "raise")
    for source in results["recipe"]["train"]:
        reviews = load_reviews(source, on_bad_line=on_bad_line)
        texts += reviews["text"][:]
        labels += reviews["label"][:]
    started = time.perf_counter()
    predict, parameters = train(texts, labels)
    seconds = time.perf_counter() - started
    metrics = {}
    for part in results["metrics"]:
        reviews = load_reviews(part.split("/", 1)[1], on_bad_line=on_bad_line)
        positive = predict(reviews["text"][:])
        found = score(np.stack([1 - positive, positive], axis=1), reviews["label"][:])
        metrics[part] = {"reviews": len(reviews), **found}
    return Peer(
        name=title,
        description=" ".join((train.__doc__ or "").split()),
        parameters=parameters,
        trained_on="the same reviews",
        train_seconds=round(seconds, 1),
        command=f"{command} --peers {name}",
        metrics=metrics,
    )


def table(results: dict[str, Any], peers: list[Peer]) -> str:
    """Accuracy with its 95 % interval on each part, in Markdown."""
    parts = list(results["metrics"])
    rows: list[tuple[str, Any, Any]] = [
        ("the model", results["parameters"], results["metrics"]),
        *((peer.name, peer.parameters, peer.metrics) for peer in peers),
    ]
    lines = [["", "parameters", *parts], ["---"] * (2 + len(parts))]
    for name, parameters, metrics in rows:
        cells = [
            f"{found['accuracy']:.2%} ({found['accuracy_low']:.2%} to {found['accuracy_high']:.2%})"
            for found in (metrics[part] for part in parts)
        ]
        lines.append([name, f"{parameters:,}", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure the peers that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    options = parser.parse_args()
    try:
        results = json.loads((options.folder / RESULTS_FILE).read_text(encoding="utf-8"))
        if not results.get("metrics"):
            raise ValueError(f"{options.folder}: no finished run of `sentiment-lstm train`")
        command = "python scripts/benchmark_accuracy.py FOLDER"
        peers = []
        for name in options.peers:
            peers.append(measure(name, results, command))
            print(f"{peers[-1].name}: trained in {peers[-1].train_seconds} s", flush=True)
    except ModuleNotFoundError as error:
        sys.exit(f"benchmark_accuracy: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"benchmark_accuracy: {error}")
    write_peers(peers, options.folder / PEERS_FILE)
    print(f"\n{table(results, peers)}\n\nwrote {options.folder / PEERS_FILE}")


if __name__ == "__main__":
    main()
