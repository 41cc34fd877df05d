"""How fast we are beside what else does the job, each measured in turns in the same process.

    python scripts/benchmark tokenize --reviews REVIEWS
    python scripts/benchmark train --reviews REVIEWS
    python scripts/benchmark predict --reviews REVIEWS --model FOLDER
    python scripts/benchmark latency --reviews REVIEWS --model FOLDER
    python scripts/benchmark evaluate --reviews REVIEWS --model FOLDER
    python scripts/benchmark scale --reviews REVIEWS --model FOLDER

REVIEWS is a file in Kaggle's format. Every side of a comparison runs `--rounds` times, in turns,
and its median counts; a ratio says how many times faster we are. `--threads` sets the threads of
torch, tokenizers and ONNX Runtime alike; `--limit` takes fewer reviews, for a quick look; `--json
FILE` writes all numbers, the command, the machine and the versions, and `--picture FILE` draws the
rates. Baselines that need minutes for all the reviews get every n-th one, so that lengths are the
same; what is compared is reviews per second.

Needs the packages of the extra `benchmark` (and `test`, for the tutorial's own path).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

# `python scripts/benchmark` looks for modules in that folder only.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmark.common import document, draw, kaggle_lines, report

# Part -> its module. Modules are imported once the threads are set, which the libraries that they
# need read only then.
PARTS = {
    "tokenize": "tokenization",
    "train": "training",
    "predict": "prediction",
    "latency": "latency",
    "evaluate": "evaluation",
    "scale": "scale",
}
WITHOUT_MODEL = ("tokenize", "train")


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(
        prog="python scripts/benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--reviews", type=Path, required=True, help="in Kaggle's format")
    parser.add_argument("--model", help="a model folder; tokenize and train need none")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="reviews to take")
    parser.add_argument("--steps", type=int, default=24, help="train: batches of 400 a round")
    parser.add_argument("--size", type=int, default=4_000_000, help="scale: reviews")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--picture", type=Path, help="draw the rates there (not of scale)")
    options = parser.parse_args()
    if options.part not in WITHOUT_MODEL and not options.model:
        parser.error(f"{options.part} needs --model")
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = Path(scratch)
        options.plain_reviews = options.scratch / "reviews.ft.txt"
        options.plain_reviews.write_bytes(b"".join(kaggle_lines(options.reviews)))
        part = importlib.import_module(f"benchmark.{PARTS[options.part]}")
        result = part.run(options)
    content = document(options, result, sys.argv[1:])
    report(options.part, result)
    if options.json:
        from sentiment_lstm.files import write_json

        write_json(options.json, content)
    if options.picture and "sides" in result:
        draw(options.part, result, options.picture)


if __name__ == "__main__":
    main()
