"""The model card: what `results.json` says of a training run, as the Hub shows it.

Nothing in a card is typed by hand: every figure comes from the results, and the words around them
from `hub_card/card_template.md`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

CARD_TEMPLATE = "card_template.md"

# What a picture of this name shows; any other is captioned by its name.
_CAPTIONS = {
    "learning_curves.png": "Loss and validation accuracy over the training steps",
    "confusion_matrix.png": "Confusion matrix",
    "reliability_diagram.png": "How often the model is right, by how sure it is",
    "accuracy_by_length.png": "Accuracy by the length of the review",
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
}
_EXAMPLES = [
    "Great little lamp: It is bright, sturdy and easy to set up.",
    "Broke in a week: The hinge snapped and nobody answers my mails.",
]
_SPLITS = ("train", "validation", "test")


class CardError(ValueError):
    """Results that no card can be made of; the message says what is missing."""


def make_card(
    results: Mapping[str, Any],
    *,
    repo_id: str | None = None,
    figures: Sequence[str] = (),
    template: str | os.PathLike[str] | None = None,
) -> ModelCard:
    """Make the card of a finished training run.

    Args:
        results: The content of `results.json`. Folders in it do not reach the card: see
            `publish_results`.
        repo_id: Hub repository that the examples load. Defaults to none: they name a folder.
        figures: Pictures beside the card, by file name, in the order in which to show them.
        template: A Jinja template. Defaults to the one that comes with the package.

    Returns:
        The card; `str(card)` is its Markdown, and `card.data` its metadata.

    Raises:
        CardError: If the results are not those of a finished run.
        FileNotFoundError: If there is no such template.
    """
    missing = sorted({"recipe", "reviews", "metrics", "training", "parameters"} - set(results))
    if missing:
        raise CardError(
            f"the results lack {', '.join(missing)}: a card needs those of a finished run, which "
            "`sentiment-lstm train` writes"
        )
    results = publish_results(results)
    try:
        text = _template(template).read_text(encoding="utf-8")
        name = repo_id.split("/")[-1] if repo_id else results["recipe"].get("output_dir", "model")
        card: ModelCard = ModelCard.from_template(
            _metadata(results, name),
            template_str=text,
            name=name,
            repo_id=repo_id,
            model=repo_id or "path/to/this/folder",
            parameters=f"{results['parameters']:,}",
            vocab_size=f"{results['vocab_size']:,}",
            seed=results["seed"],
            max_train_length=results["recipe"].get("max_train_length"),
            has_test=bool(results["reviews"]["test"]),
            results_table=_results_table(results["metrics"]),
            confusion_table=_confusion_table(results["metrics"]),
            calibration_table=_calibration_table(results["metrics"]),
            reviews_table=_reviews_table(results["reviews"]),
            training_table=_training_table(results),
            recipe=dump_recipe(results["recipe"]).rstrip(),
            figures=[(file, _CAPTIONS.get(file, Path(file).stem)) for file in figures],
        )
    except KeyError as error:
        raise CardError(f"the results lack {error}: they are not what training writes") from error
    return card


def publish_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """Take from results what concerns the machine that they were made on: folders and tokens.

    A file of reviews keeps its name and its slice (`x.ft.txt:train[:100]`), a dataset on the Hub
    its id.

    Args:
        results: The content of `results.json`, of a finished run or not.

    Returns:
        A copy to publish. Publishing it once more changes nothing.
    """
    names = _public_names(
        [source for parts in results.get("reviews", {}).values() for source in parts]
    )
    published = dict(results)
    if "recipe" in results:
        published["recipe"] = publish_recipe(results["recipe"], names)
    if "reviews" in results:
        published["reviews"] = {
            split: {names[source]: facts for source, facts in parts.items()}
            for split, parts in results["reviews"].items()
        }
    if "metrics" in results:
        parts = [(key.partition("/"), metrics) for key, metrics in results["metrics"].items()]
        published["metrics"] = {
            f"{split}/{names.get(source) or _public_name(source)}": metrics
            for (split, _, source), metrics in parts
        }
    return published


def publish_recipe(
    recipe: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Take folders and tokens from the fields of a recipe.

    Args:
        recipe: Flat fields, as in `recipe.yaml`.
        names: Source of reviews -> what to call it. Defaults to the last part of its path.

    Returns:
        A copy to publish.
    """
    if names is None:
        names = _public_names([source for split in _SPLITS for source in recipe.get(split) or ()])
    published: dict[str, Any] = {}
    for field, value in recipe.items():
        if field.endswith("token"):  # transformers' `hub_token`
            continue
        if field in _SPLITS and value:
            published[field] = [names.get(source) or _public_name(source) for source in value]
        else:
            published[field] = value if field == "hub_model_id" else _without_folders(value)
    return published


def dump_recipe(recipe: Mapping[str, Any]) -> str:
    """Write a recipe as YAML, as training writes `recipe.yaml`."""
    return yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True)


# --- names that may be public --------------------------------------------------------------------


def _public_names(sources: Iterable[str]) -> dict[str, str]:
    """A name without folders for each source; equal names of different sources are numbered."""
    names: dict[str, str] = {}
    for source in sources:
        if source in names:
            continue
        name, number = _public_name(source), 2
        while name in names.values():
            name, number = f"{_public_name(source)} ({number})", number + 1
        names[source] = name
    return names


def _public_name(source: str) -> str:
    name, split = _parse_source(source)
    public = name if _is_hub_id(name) else _basename(name)
    return f"{public}:{split}" if split else public


def _parse_source(source: str) -> tuple[str, str | None]:
    """The two halves of `SOURCE:SPLIT`, as the readers of reviews part them."""
    found = re.fullmatch(r"(.+?):([A-Za-z_]\w*(?:\s*[\[(+].*)?)", source)
    return (found[1], found[2]) if found else (source, None)


def _is_hub_id(name: str) -> bool:
    """Whether a source is `owner/name` on the Hub: a file of reviews ends in one of these."""
    is_file = re.search(r"\.(txt|csv|jsonl|parquet)(\.gz|\.bz2)?$", name, re.IGNORECASE)
    return not is_file and bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name))


def _basename(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _without_folders(value: Any) -> Any:
    if isinstance(value, str):
        return _basename(value)
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    return value


# --- what the template is filled with ------------------------------------------------------------


def _template(path: str | os.PathLike[str] | None) -> Any:
    """The template: in the installed package, or in the checkout that the package is run from."""
    if path is not None:
        return Path(path)
    installed = files(__package__ or "sentiment_lstm") / "hub_card" / CARD_TEMPLATE
    if installed.is_file():
        return installed
    return Path(__file__).parents[1] / "hub_card" / CARD_TEMPLATE


def _metadata(results: Mapping[str, Any], name: str) -> ModelCardData:
    parsed = [_parse_source(source)[0] for source in results["reviews"]["train"]]
    measured = {key for metrics in results["metrics"].values() for key in metrics}
    return ModelCardData(
        license="apache-2.0",
        language="en",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment-analysis", "lstm", "reviews"],
        datasets=sorted({source for source in parsed if _is_hub_id(source)}) or None,
        metrics=[key for key in ("accuracy", "f1", "precision", "recall") if key in measured],
        widget=[{"text": text} for text in _EXAMPLES],
        model_name=name,
        eval_results=[
            result
            for part, metrics in results["metrics"].items()
            for result in _eval(part, metrics)
        ],
    )


def _eval(part: str, metrics: Mapping[str, Any]) -> list[EvalResult]:
    """The entries of the `model-index` for one set of reviews."""
    split, _, source = part.partition("/")
    name, reviews = _parse_source(source)
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Sentiment analysis",
            dataset_type=name,
            dataset_name=f"{source} ({split})",
            dataset_split=reviews or "train",
            metric_type=metric,
            metric_name=title,
            metric_value=metrics[metric],
        )
        for metric, title in _METRICS.items()
        if metrics.get(metric) is not None
    ]


def _results_table(metrics: Mapping[str, Any]) -> str:
    return _table(
        ["reviews", "number", "accuracy", "95 % interval", "F1", "precision", "recall", "AUC"],
        [
            [
                f"`{part}`",
                f"{found['reviews']:,}",
                _percent(found["accuracy"]),
                f"{_percent(found['accuracy_low'])} to {_percent(found['accuracy_high'])}",
                *(_percent(found[key]) for key in ("f1", "precision", "recall")),
                "–" if found["roc_auc"] is None else f"{found['roc_auc']:.4f}",
            ]
            for part, found in metrics.items()
        ],
    )


def _confusion_table(metrics: Mapping[str, Any]) -> str:
    return _table(
        ["reviews", "NEGATIVE, right", "NEGATIVE, wrong", "POSITIVE, right", "POSITIVE, wrong"],
        [
            [f"`{part}`", f"{tn:,}", f"{fp:,}", f"{tp:,}", f"{fn:,}"]
            for part, found in metrics.items()
            for (tn, fp), (fn, tp) in [found["confusion_matrix"]]
        ],
    )


def _calibration_table(metrics: Mapping[str, Any]) -> str:
    return _table(
        ["reviews", "expected calibration error", "loss"],
        [
            [
                f"`{part}`",
                _percent(found["expected_calibration_error"]),
                f"{found['loss']:.4f}",
            ]
            for part, found in metrics.items()
        ],
    )


def _reviews_table(reviews: Mapping[str, Any]) -> str:
    return _table(
        ["part", "reviews", "number", "positive", "fingerprint"],
        [
            [
                split,
                f"`{source}`",
                f"{facts['reviews']:,}",
                f"{facts['positive']:,}",
                f"`{facts['fingerprint']}`",
            ]
            for split, parts in reviews.items()
            for source, facts in parts.items()
        ],
    )


def _training_table(results: Mapping[str, Any]) -> str:
    training, machine, seconds = (
        results[part] for part in ("training", "machine", "wall_time_seconds")
    )
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return _table(
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


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, in which a bar would end a cell."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def _percent(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")


def _optional(number: float | None, style: str) -> str:
    return "–" if number is None else format(number, style)
