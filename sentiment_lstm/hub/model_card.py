"""The model card: what `results.json` says of a training run, as the Hub shows it.

Nothing in a card is typed by hand: every figure comes from the results and from `baselines.json`,
and the words around them from `card_template.md` beside this file.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..data.labels import NUMBER, LabelSet
from ..data.sources import parse_source
from ..evaluation.figures import (
    ACCURACY_BY_LENGTH,
    BEHAVIOUR,
    CONFUSION_MATRIX,
    CURVE,
    LEARNING_CURVES,
    RELIABILITY_DIAGRAM,
)
from ..evaluation.recipe_files import dump_recipe, rename_fields
from ..evaluation.results import BySource, Results, metrics_by_name
from .ablations import ablation_table
from .baselines import Baseline, redact_baselines
from .card_tables import (
    calibration_table,
    confusion_table,
    interval,
    labels_table,
    length_table,
    measured,
    negation_table,
    percent,
    results_table,
    table,
)

_TEMPLATE = Path(__file__).with_name("card_template.md")

# What a picture of this name shows, in the order of the card; any other is captioned by its name.
_CAPTIONS = {
    LEARNING_CURVES: "Loss and validation accuracy over the training steps",
    CONFUSION_MATRIX: "Labels against predicted labels",
    RELIABILITY_DIAGRAM: "Accuracy by confidence",
    ACCURACY_BY_LENGTH: "Accuracy by the length of the review",
    BEHAVIOUR: "Behavioural tests that fail, by capability",
    CURVE: "Accuracy by the number of training reviews, of this model and others",
}
# Figure of `results.json` -> its name in the card.
_METRICS = {
    "accuracy": "Accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "roc_auc": "Area under the ROC curve",
    "loss": "Loss",
    "expected_calibration_error": "Expected calibration error",
    # Of other labels than two.
    "micro_f1": "Micro F1",
    "macro_f1": "Macro F1",
    "quadratic_weighted_kappa": "Quadratic weighted kappa",
    "mean_squared_error": "Mean squared error",
    "mean_absolute_error": "Mean absolute error",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}
# Figure -> what the Hub calls the metric, in the card's list of metrics.
_HUB_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
}
_EXAMPLES = [
    "Great little lamp: It is bright, sturdy and easy to set up.",
    "Broke in a week: The hinge snapped and nobody answers my mails.",
    "Not bad at all: I never had a reason to complain.",
]


class CardError(ValueError):
    """Results that no card can be made of; the message says what is missing."""


def make_card(
    results: Results,
    *,
    repo_id: str | None = None,
    baselines: Sequence[Baseline] = (),
    ablation: Mapping[str, Any] | None = None,
    figures: Sequence[str] = (),
    template: str | os.PathLike[str] | None = None,
) -> ModelCard:
    """Make the card of a finished training run.

    Args:
        results: Of the run. Folders in them do not reach the card: see `Results.redact`.
        repo_id: Hub repository that the examples load. Defaults to none: they name a folder.
        baselines: Other models to compare with, as `read_baselines` gives them.
        ablation: Choices measured one at a time, as `read_ablation` gives them.
        figures: Pictures beside the card, by file name. Those that training draws come first.
        template: A Jinja template. Defaults to the one that comes with the package.

    Returns:
        The card; `str(card)` is its Markdown, and `card.data` its metadata.

    Raises:
        CardError: If figures are missing, or a baseline was measured on other reviews.
        FileNotFoundError: If there is no such template.
    """
    results, baselines = results.redact(), redact_baselines(baselines, results)
    _check_baselines(baselines, results)
    metrics = results.metrics_by_name()
    recipe = rename_fields(results.recipe)
    recipe_text = dump_recipe(recipe).rstrip()
    try:
        name = repo_id.split("/")[-1] if repo_id else recipe.get("output_dir", "model")
        model = repo_id or "path/to/this/folder"
        labels = results.labels
        evaluate_command = _evaluate_command(results, model)
        card: ModelCard = ModelCard.from_template(
            _metadata(results, name),
            template_str=Path(template or _TEMPLATE).read_text(encoding="utf-8"),
            name=name,
            repo_id=repo_id,
            model=model,
            parameters=f"{results.parameters:,}",
            vocab_size=f"{results.vocab_size:,}",
            train_reviews=f"{results.number_of_reviews('train'):,}",
            seed=results.seed,
            max_train_length=recipe.get("max_train_length"),
            has_sample=any(
                parse_source(source).kind == "sample"
                for sources in results.reviews.values()
                for source in sources
            ),
            has_test=bool(results.reviews.get("test")),
            parts=[measured(part, found) for part, found in metrics.items()],
            kind=labels.problem_type,
            names=labels.names,
            ordered=labels.ordered,
            results_table=results_table(metrics, labels),
            confusion_table=confusion_table(metrics, labels),
            labels_table=labels_table(metrics),
            calibration_table=calibration_table(metrics, labels),
            length_table=length_table(metrics, labels),
            negation_table=negation_table(metrics, labels),
            behaviour_table=_behaviour_table(name, results, baselines),
            baselines=baselines,
            baselines_table=_baselines_table(name, results, baselines),
            ablation_table=ablation_table(ablation) if ablation else None,
            ablation_seeds=len(next(iter(ablation.values()))["seeds"]) if ablation else 0,
            has_unlabelled=bool(results.reviews.get("unlabelled")),
            reviews_table=_reviews_table(results.reviews, labels),
            training_table=_training_table(results),
            recipe=recipe_text,
            fence=_fence(recipe_text, evaluate_command),
            init_from=recipe.get("init_from"),
            averaged=results.averaged,
            starts_from_classifier="init_from/config.json" in results.files,
            soft_labels=recipe.get("soft_labels"),
            extra_words=recipe.get("extra_words"),
            evaluate_command=evaluate_command,
            figures=_captioned(figures),
        )
    except KeyError as error:
        raise CardError(f"the results lack {error}: they are not what training writes") from error
    return card


def _evaluate_command(results: Results, model: str) -> str:
    """The command that measures the model again, on the reviews as they were labelled."""
    sources = [source for _, source, _ in results.parts()]
    said = results.recipe.get("labels") if results.labels.problem_type != NUMBER else None
    if isinstance(said, Mapping):
        said = [f"{label}={meaning}" for label, meaning in said.items()]
    words = ["sentiment-lstm", "evaluate", model, *sources]
    return shlex.join(words + (["--labels", *map(str, said)] if said else []))


def _check_baselines(baselines: Sequence[Baseline], results: Results) -> None:
    """Figures of different reviews under one name must not stand beside each other."""
    own = results.metrics_by_name()
    for baseline in baselines:
        for name, found in metrics_by_name(baseline.metrics).items():
            if name in own and found["reviews"] != own[name]["reviews"]:
                raise CardError(
                    f"{baseline.name} was measured on {found['reviews']:,} reviews of {name}, and "
                    f"the model on {own[name]['reviews']:,}: measure both on the same reviews"
                )
        if results.behaviour and baseline.behaviour:
            suites = [found["suite"] for found in (baseline.behaviour, results.behaviour)]
            if suites[0] != suites[1]:
                raise CardError(
                    f"{baseline.name} was measured on the behavioural tests {suites[0]}, and the "
                    f"model on {suites[1]}: measure both on the same tests"
                )


# --- what the template is filled with ------------------------------------------------------------


def _fence(*blocks: str) -> str:
    """A fence for blocks of code that none of them closes: longer than any run in them."""
    runs = re.findall("`+", "\n".join(blocks))
    return "`" * max(3, *(len(run) + 1 for run in runs), 0)


def _captioned(figures: Sequence[str]) -> list[tuple[str, str]]:
    order = list(_CAPTIONS)
    known = sorted((file for file in figures if file in _CAPTIONS), key=order.index)
    others = [file for file in figures if file not in _CAPTIONS]
    return [(file, _CAPTIONS.get(file, Path(file).stem)) for file in [*known, *others]]


def _metadata(results: Results, name: str) -> ModelCardData:
    sources = [parse_source(source) for source in results.reviews["train"]]
    ids = {
        "stanfordnlp/imdb" if s.kind == "sample" else s.name for s in sources if s.kind != "file"
    }
    known = {key for _, _, figures in results.parts() for key in figures}
    return ModelCardData(
        license="apache-2.0",
        language="en",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment-analysis", "lstm", "reviews"],
        datasets=sorted(ids) or None,
        metrics=[name for key, name in _HUB_METRICS.items() if key in known],
        widget=[{"text": text} for text in _EXAMPLES],
        model_name=name,
        # This model's results alone: to the Hub an index means what the repository's model does
        # (issue 15). Baselines stand in the text.
        eval_results=[result for part in results.parts() for result in _eval(*part)],
    )


def _eval(split: str, source: str, metrics: Mapping[str, Any]) -> list[EvalResult]:
    """The entries of the `model-index` for one set of reviews."""
    parsed = parse_source(source)
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Sentiment analysis",
            dataset_type=parsed.name,
            dataset_name=f"{source} ({split})",
            dataset_split=parsed.split or "train",
            metric_type=metric,
            metric_name=title,
            metric_value=metrics[metric],
        )
        for metric, title in _METRICS.items()
        if metrics.get(metric) is not None
    ]


def _baselines_table(name: str, results: Results, baselines: Sequence[Baseline]) -> str:
    """This model and its baselines, with a column for each set of reviews that one saw."""
    if not baselines:
        return ""
    own = results.metrics_by_name()
    theirs = [metrics_by_name(baseline.metrics) for baseline in baselines]
    parts = list(dict.fromkeys(part for metrics in theirs for part in metrics))
    seconds = results.wall_time_seconds["train"]
    first = [f"**{name}**", f"{results.parameters:,}", "the reviews below", f"{seconds:,}"]
    return table(
        ["model", "parameters", "trained on", "seconds to train", *(f"`{part}`" for part in parts)],
        [
            [*first, *(_cell(own.get(part)) for part in parts)],
            *(
                [
                    baseline.name,
                    _optional(baseline.parameters, ","),
                    baseline.trained_on,
                    _optional(baseline.train_seconds, ","),
                    *(_cell(metrics.get(part)) for part in parts),
                ]
                for baseline, metrics in zip(baselines, theirs, strict=True)
            ),
        ],
    )


def _behaviour_table(name: str, results: Results, baselines: Sequence[Baseline]) -> str:
    """Failure rates by capability, a column a model; empty if this model's are not known."""
    if results.behaviour is None:
        return ""
    models = {f"**{name}**": results.behaviour}
    models |= {one.name: one.behaviour for one in baselines if one.behaviour is not None}

    def row(title: str, cases: int, found: Iterable[Mapping[str, Any] | None]) -> list[str]:
        rates = ("–" if one is None else percent(one["failure_rate"], 1) for one in found)
        return [title, f"{cases:,}", *rates]

    return table(
        ["capability", "cases", *models],
        [
            *(
                row(title, own["cases"], (m["capabilities"].get(title) for m in models.values()))
                for title, own in results.behaviour["capabilities"].items()
            ),
            row("mean", results.behaviour["cases"], models.values()),
        ],
    )


def _cell(found: Mapping[str, Any] | None) -> str:
    return "–" if found is None else f"{percent(found['accuracy'], 1)} ({interval(found, 1)})"


def _reviews_table(reviews: BySource, label_set: LabelSet) -> str:
    title = "labels" if label_set.config_fields() else "positive"
    return table(
        ["part", "reviews", "number", title, "fingerprint"],
        [
            [
                split,
                f"`{source}`",
                f"{facts['reviews']:,}",
                _labels_text(facts),
                f"`{facts['fingerprint']}`",
            ]
            for split, parts in reviews.items()
            for source, facts in parts.items()
        ],
    )


def _labels_text(facts: Mapping[str, Any]) -> str:
    """How many reviews have which label."""
    if "positive" in facts:
        return f"{facts['positive']:,}"
    if "labels" in facts:
        return ", ".join(f"{name}: {number:,}" for name, number in facts["labels"].items())
    if "lowest" in facts:
        return f"{facts['lowest']:g} to {facts['highest']:g}"
    return "no labels"


def _training_table(results: Results) -> str:
    training, machine, seconds = results.training, results.machine, results.wall_time_seconds
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    return table(
        ["training", ""],
        [
            ["steps", f"{training['steps']:,} ({training['epochs']:g} epochs)"],
            ["chosen step", _optional(training["best_step"], ",")],
            ["its validation loss", _optional(training["best_validation_loss"], ".4f")],
            [
                "machine",
                f"{machine['device']}, threads: {machine['threads']}, processes: "
                f"{machine['processes']}, {'bf16' if machine['bf16'] else 'no bf16'}",
            ],
            ["seconds to prepare", f"{seconds['prepare']:,}"],
            ["seconds to train", f"{seconds['train']:,}"],
            ["seconds to evaluate", f"{seconds['evaluate']:,}"],
            ["software", f"Python {machine['python']}, {versions}"],
        ],
    )


def _optional(number: float | None, style: str) -> str:
    return "–" if number is None else format(number, style)
