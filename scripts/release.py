"""Make the released checkpoint of a finished run: half the bytes, measured again, with its card.

    python scripts/release.py runs/default USER/NAME [--average] [--ablation FILE]
        [--output hub_card]

The weights are stored in float16 and computed in float32: `from_pretrained` converts them. With
`--average` they are the mean of those of the run and of the model that it started from: two passes
over the reviews end near each other (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima
and Better Generalization"). All
figures are those of the stored weights, on the validation and test reviews of the run and on the
behavioural suite; baselines
(`baselines.json`) and the curve are taken from the run's folder, and the card shows the table of
ablations that `scripts/ablation.py` wrote to FILE. What is written is what `sentiment-lstm push`
would send.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer

from sentiment_lstm.cli.common import summarise
from sentiment_lstm.data.dataset import load_many
from sentiment_lstm.evaluation.behaviour import measure_behaviour, positive_of
from sentiment_lstm.evaluation.evaluate import evaluate
from sentiment_lstm.evaluation.figures import draw_all
from sentiment_lstm.evaluation.results import BySource, Results, read_results
from sentiment_lstm.evaluation.templates import BehaviourError
from sentiment_lstm.files import ABLATION_FILE, RESULTS_FILE
from sentiment_lstm.hub.baselines import find_baselines, read_baselines
from sentiment_lstm.hub.push import stage
from sentiment_lstm.inference.predictor import SentimentPredictor, load_model
from sentiment_lstm.training.recipe import reading_options
from sentiment_lstm.training.starting import TOKENIZER_NAME


def release(
    folder: Path,
    repo_id: str,
    output: Path,
    ablation: Path | None = None,
    average: bool = False,
) -> dict[str, int]:
    """Write the released checkpoint.

    Args:
        folder: A finished run.
        repo_id: What the card calls it.
        output: Where to write.
        ablation: An `ablation.json` for the card.
        average: Whether the weights are the mean with those of what the run started from.

    Returns:
        Name of each file -> its bytes.

    Raises:
        OSError: If the folder holds no model.
        ValueError: If the folder holds no finished run; or with `average` if it started from no
            model, or where that was there now is one of other words or sizes.
    """
    results = read_results(folder / RESULTS_FILE)
    model, _ = load_model(folder)
    weights = model.state_dict()
    if average:
        weights = mean_with_start(folder, results.recipe.get("init_from"))
        results = dataclasses.replace(results, averaged=True)
    with tempfile.TemporaryDirectory() as name:
        draft = Path(name)
        for path in folder.iterdir():
            if path.is_file():
                shutil.copy(path, draft)
        if ablation is not None:
            shutil.copy(ablation, draft / ABLATION_FILE)
        # The config keeps saying float32, which is what the model then computes in.
        float16 = {key: tensor.half() for key, tensor in weights.items()}
        model.save_pretrained(draft, state_dict=float16)
        # Without a line for each word: two fifths of a megabyte fewer.
        words = str(draft / TOKENIZER_NAME)
        Tokenizer.from_file(words).save(words, pretty=False)
        results = measure_again(results, SentimentPredictor.from_pretrained(draft))
        results.write(draft / RESULTS_FILE)
        found = find_baselines(draft)
        baselines = [] if found is None else read_baselines(found)
        others = {other.name: other.behaviour for other in baselines if other.behaviour}
        draw_all(results.redact(), draft, others)
        return stage(draft, repo_id, output)


def mean_with_start(folder: Path, start: str | None) -> dict[str, torch.Tensor]:
    """The mean of a run's weights and of those that it started from, by their names."""
    if start is None:
        raise ValueError(f"{folder}: started from no model (`init_from`) to average it with")
    (model, tokenizer), (other, words) = load_model(folder), load_model(start)
    weights, others = model.state_dict(), other.state_dict()
    shapes, its = ({name: w.shape for name, w in one.items()} for one in (weights, others))
    if shapes != its or tokenizer.get_vocab() != words.get_vocab():
        raise ValueError(f"{start}: a model of other sizes or words than {folder}'s")
    return {name: (tensor + others[name]) / 2 for name, tensor in weights.items()}


def measure_again(results: Results, predictor: SentimentPredictor) -> Results:
    """The results of a run with the metrics and the behaviour of another model."""
    options = reading_options(results.recipe)
    reviews = load_many([source for _, source, _ in results.parts()], **options)
    metrics: BySource = {}
    for split, source, _ in results.parts():
        figures = evaluate(predictor, reviews[source])
        metrics.setdefault(split, {})[source] = figures
        print(f"{split}/{source}: {summarise(figures)}", flush=True)
    behaviour = None
    try:
        found = measure_behaviour(positive_of(predictor))
        behaviour = found.as_dict()
        print(f"behaviour: fails {found.failure_rate:.1%}", flush=True)
    except BehaviourError as error:  # labels of another name
        print(error, flush=True)
    # The weights are no longer those that the run wrote.
    return dataclasses.replace(results, metrics=metrics, behaviour=behaviour, written={})


def main() -> None:
    """Write it and list the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("repo_id", metavar="USER/NAME")
    parser.add_argument("--average", action="store_true")
    parser.add_argument("--ablation", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, default=Path("hub_card"))
    options = parser.parse_args()
    try:
        written = release(
            options.folder, options.repo_id, options.output, options.ablation, options.average
        )
    except (OSError, ValueError) as error:
        sys.exit(f"release: {error}")
    for name, size in written.items():
        print(f"{size:>12,}  {options.output / name}")


if __name__ == "__main__":
    main()
