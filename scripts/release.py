"""Make the released checkpoint of a finished run: half the bytes, measured again, with its card.

    python scripts/release.py runs/default USER/NAME [--ablation FILE] [--output hub_card]

The weights are stored in float16 and computed in float32: `from_pretrained` converts them. All
figures are those of the stored weights, on the validation and test reviews of the run; baselines
(`baselines.json`) and the curve are taken from the run's folder, and the card shows the table of
choices that `scripts/ablation.py` wrote to FILE. What is written is what `sentiment-lstm push`
would send.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmark_accuracy import read_results

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.evaluation.figures import draw_all
from sentiment_lstm.evaluation.results import redact_results
from sentiment_lstm.hub.ablations import ABLATION_FILE
from sentiment_lstm.hub.push import stage
from sentiment_lstm.inference.predictor import load
from sentiment_lstm.training.run import RESULTS_FILE, evaluate


def release(
    folder: Path, repo_id: str, output: Path, ablation: Path | None = None
) -> dict[str, int]:
    """Write the released checkpoint.

    Args:
        folder: A finished run.
        repo_id: What the card calls it.
        output: Where to write.
        ablation: An `ablation.json` for the card.

    Returns:
        Name of each file -> its bytes.

    Raises:
        ValueError: If the folder holds no finished run.
    """
    results = read_results(folder)
    model, tokenizer = load(folder)
    with tempfile.TemporaryDirectory() as name:
        draft = Path(name)
        for path in folder.iterdir():
            if path.is_file():
                shutil.copy(path, draft)
        if ablation is not None:
            shutil.copy(ablation, draft / ABLATION_FILE)
        # The config keeps saying float32, which is what the model then computes in.
        halves = {key: tensor.half() for key, tensor in model.state_dict().items()}
        model.save_pretrained(draft, state_dict=halves)
        stored, _ = load(draft)
        on_bad_line = results["recipe"].get("on_bad_line", "raise")
        for part in results["metrics"]:
            reviews = load_reviews(part.split("/", 1)[1], on_bad_line=on_bad_line)
            results["metrics"][part] = evaluate(stored, tokenizer, reviews)
            print(f"{part}: {results['metrics'][part]['accuracy']:.2%}", flush=True)
        (draft / RESULTS_FILE).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        draw_all(redact_results(results), draft)
        return stage(draft, repo_id, output)


def main() -> None:
    """Write it and list the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("repo_id", metavar="USER/NAME")
    parser.add_argument("--ablation", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, default=Path("hub_card"))
    options = parser.parse_args()
    try:
        written = release(options.folder, options.repo_id, options.output, options.ablation)
    except (OSError, ValueError) as error:
        sys.exit(f"release: {error}")
    for name, size in written.items():
        print(f"{size:>12,}  {options.output / name}")


if __name__ == "__main__":
    main()
