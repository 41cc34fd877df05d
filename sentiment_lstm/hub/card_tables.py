"""The tables of a model card that depend on the labels, and how its figures are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..data.labels import NUMBER, SEVERAL, SINGLE, LabelSet
from ..evaluation.figures import tokens_text

# Part of the reviews -> its figures, as `Results.metrics_by_name` gives them.
Metrics = Mapping[str, Mapping[str, Any]]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, in which a bar would end a cell."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def percent(share: float, decimals: int = 2) -> str:
    """A share as per cent: `93.20 %`."""
    return f"{share:.{decimals}%}".replace("%", " %")


def interval(found: Mapping[str, Any], decimals: int = 2) -> str:
    """The 95 % interval of an accuracy."""
    low, high = (percent(found[f"accuracy_{end}"], decimals) for end in ("low", "high"))
    return f"{low} to {high}"


def measured(part: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the limits say of one set of reviews, in words for the template.

    Args:
        part: What the set is called.
        found: Its figures.

    Returns:
        `name`; `reviews` (how many) and `figure`, of the whole with its interval in words; and
        `shortest`, `longest` and `negation`, whose `figure` has the interval in brackets.
    """
    slices = found.get("slices", {"length": [], "negation": {}})
    lengths = [
        _share(one) | {"tokens": tokens_text(one["tokens_from"], one["tokens_to"])}
        for one in slices["length"]
    ]
    # One group alone, or one length, says nothing that the whole does not.
    negation = slices["negation"] if len(slices["negation"]) > 1 else {}
    whole = _share(found)
    if "accuracy" in found:
        whole["figure"] = f"{percent(found['accuracy'])} (95 % interval {interval(found)})"
    return {
        "name": part,
        **whole,
        "shortest": lengths[0] if len(lengths) > 1 else None,
        "longest": lengths[-1] if len(lengths) > 1 else None,
        "negation": {kind: _share(one) for kind, one in negation.items()},
    }


def results_table(metrics: Metrics, label_set: LabelSet) -> str:
    """A row for each set of reviews, with the figures that the labels have.

    Args:
        metrics: Of each.
        label_set: The labels.
    """
    if label_set.problem_type == NUMBER:
        columns = ["mean absolute error", "mean squared error", "Pearson", "Spearman"]
        keys = ["mean_absolute_error", "mean_squared_error", "pearson", "spearman"]
        return table(
            ["reviews", "number", *columns],
            [
                [*_named(part, found), *(_decimal(found[key]) for key in keys)]
                for part, found in metrics.items()
            ],
        )
    columns = ["accuracy", "95 % interval"]
    if label_set.problem_type == SEVERAL:
        columns += ["micro F1", "macro F1", "precision", "recall"]
        keys = ["micro_f1", "macro_f1", "precision", "recall"]
    else:
        columns += ["F1", "precision", "recall", "AUC"]
        keys = ["f1", "precision", "recall"]
    if label_set.ordered:
        columns.append("quadratic weighted kappa")
    rows = []
    for part, found in metrics.items():
        row = [*_named(part, found), percent(found["accuracy"]), interval(found)]
        row += [percent(found[key]) for key in keys]
        if label_set.problem_type != SEVERAL:
            row.append(_decimal(found["roc_auc"]))
        if label_set.ordered:
            row.append(_decimal(found["quadratic_weighted_kappa"]))
        rows.append(row)
    return table(["reviews", "number", *columns], rows)


def confusion_table(metrics: Metrics, label_set: LabelSet) -> str:
    """How many reviews of each label got which; empty where a review has no single label.

    Args:
        metrics: Of each set of reviews.
        label_set: The labels.
    """
    found = {part: one["confusion_matrix"] for part, one in metrics.items() if _is_one(label_set)}
    if not found:
        return ""
    names = label_set.names
    if len(names) == 2:
        ends = ("correct", "wrong")
        return table(
            ["reviews", *(f"{name}, {end}" for name in names for end in ends)],
            [
                [f"`{part}`", f"{tn:,}", f"{fp:,}", f"{tp:,}", f"{fn:,}"]
                for part, ((tn, fp), (fn, tp)) in found.items()
            ],
        )
    return table(
        ["reviews", "label", *(f"as {name}" for name in names)],
        [
            [f"`{part}`", name, *(f"{count:,}" for count in row)]
            for part, matrix in found.items()
            for name, row in zip(names, matrix, strict=True)
        ],
    )


def labels_table(metrics: Metrics) -> str:
    """The figures of each label; empty for two labels, which need none, and for numbers.

    Args:
        metrics: Of each set of reviews.
    """
    rows = [
        [
            f"`{part}`",
            name,
            f"{one['reviews']:,}",
            *(percent(one[key]) for key in ("precision", "recall", "f1")),
        ]
        for part, found in metrics.items()
        for name, one in found.get("per_label", {}).items()
    ]
    return table(["reviews", "label", "number", "precision", "recall", "F1"], rows) if rows else ""


def calibration_table(metrics: Metrics, label_set: LabelSet) -> str:
    """What confidence is worth; empty for numbers, which have none.

    Args:
        metrics: Of each set of reviews.
        label_set: The labels.
    """
    if label_set.problem_type == NUMBER:
        return ""
    return table(
        ["reviews", "expected calibration error", "loss"],
        [
            [f"`{part}`", percent(found["expected_calibration_error"]), f"{found['loss']:.4f}"]
            for part, found in metrics.items()
        ],
    )


def length_table(metrics: Metrics, label_set: LabelSet) -> str:
    """Figures by length; empty where the results are too old to have slices.

    Args:
        metrics: Of each set of reviews.
        label_set: The labels.
    """
    return _slices_table("tokens", _by_length(metrics), label_set)


def negation_table(metrics: Metrics, label_set: LabelSet) -> str:
    """Figures with and without a negation; empty where the results are too old to have slices.

    Args:
        metrics: Of each set of reviews.
        label_set: The labels.
    """
    return _slices_table("negation word", _by_negation(metrics), label_set)


# Part, name of a slice of it, figures of the slice.
_Slices = Iterator[tuple[str, str, Mapping[str, Any]]]


def _by_length(metrics: Metrics) -> _Slices:
    for part, found in metrics.items():
        for one in found.get("slices", {}).get("length", []):
            yield part, tokens_text(one["tokens_from"], one["tokens_to"]), one


def _by_negation(metrics: Metrics) -> _Slices:
    for part, found in metrics.items():
        for kind, one in found.get("slices", {}).get("negation", {}).items():
            yield part, kind, one


def _slices_table(title: str, slices: _Slices, label_set: LabelSet) -> str:
    columns = ["accuracy", "95 % interval"]
    if label_set.problem_type == NUMBER:
        columns = ["mean absolute error", "mean squared error"]
    elif label_set.problem_type == SEVERAL:
        columns += ["micro F1", "macro F1"]
    else:
        columns += [f"of {name}" for name in label_set.names]
    rows = [
        [f"`{part}`", name, f"{found['reviews']:,}", *_slice_cells(found, label_set)]
        for part, name, found in slices
    ]
    return table(["reviews", title, "number", *columns], rows) if rows else ""


def _slice_cells(found: Mapping[str, Any], label_set: LabelSet) -> list[str]:
    if label_set.problem_type == NUMBER:
        return [_decimal(found[key]) for key in ("mean_absolute_error", "mean_squared_error")]
    cells = [percent(found["accuracy"], 1), interval(found, 1)]
    if label_set.problem_type == SEVERAL:
        return cells + [percent(found[key], 1) for key in ("micro_f1", "macro_f1")]
    return cells + [
        percent(row[label] / sum(row), 1) if sum(row) else "–"
        for label, row in enumerate(found["confusion_matrix"])
    ]


def _share(found: Mapping[str, Any]) -> dict[str, str]:
    if "accuracy" in found:
        figure = f"{percent(found['accuracy'], 1)} ({interval(found, 1)})"
    else:
        figure = _decimal(found["mean_absolute_error"])
    return {"reviews": f"{found['reviews']:,}", "figure": figure}


def _named(part: str, found: Mapping[str, Any]) -> list[str]:
    return [f"`{part}`", f"{found['reviews']:,}"]


def _decimal(number: float | None) -> str:
    return "–" if number is None else f"{number:.4f}"


def _is_one(label_set: LabelSet) -> bool:
    """Whether a review has one label, and no number."""
    return label_set.problem_type == SINGLE
