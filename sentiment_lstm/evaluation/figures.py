"""The pictures of a model folder, drawn from the figures in `results.json`.

Each function takes plain data and writes one PNG. Reviews are called what the data calls them:
pass results whose names others may see (see `Results.redact`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.labels import BINARY
from ..extras import require
from .results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEARNING_CURVES = "learning_curves.png"
CONFUSION_MATRIX = "confusion_matrix.png"
RELIABILITY_DIAGRAM = "reliability_diagram.png"
ACCURACY_BY_LENGTH = "accuracy_by_length.png"
BEHAVIOUR = "behaviour.png"
CURVE = "curve.png"  # that scripts/baselines.py draws

# Set of reviews, as `Results.metrics_by_name` calls it -> its metrics.
Metrics = Mapping[str, Mapping[str, Any]]
_Path = str | os.PathLike[str]

_DPI = 120
# Okabe and Ito's colours, which the colour-blind can tell apart, and marks for print in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^Dv<>"


def draw_all(
    results: Results, folder: _Path, others: Mapping[str, Mapping[str, Any]] | None = None
) -> list[str]:
    """Draw every picture that the results have the figures for.

    Args:
        results: Of a finished run; of an older one some figures may be missing.
        folder: Where to write the pictures, under the names at the top of this module.
        others: Name of another model -> its behaviour, to show beside that of the results.

    Returns:
        The names of the pictures written, in the order in which to show them.
    """
    drawn = []
    log, metrics = results.training.get("log"), results.metrics_by_name()
    if log:
        draw_learning_curves(log, Path(folder, LEARNING_CURVES))
        drawn.append(LEARNING_CURVES)
    draw_matrix = partial(draw_confusion_matrix, names=results.labels.names)
    pictures: list[tuple[str, Callable[[Metrics, _Path], None], Callable[[Any], bool]]] = [
        (CONFUSION_MATRIX, draw_matrix, lambda figures: "confusion_matrix" in figures),
        (RELIABILITY_DIAGRAM, draw_reliability_diagram, _has_confidences),
        (ACCURACY_BY_LENGTH, draw_accuracy_by_length, _has_lengths),
    ]
    for name, draw, needed in pictures:
        if found := {part: figures for part, figures in metrics.items() if needed(figures)}:
            draw(found, Path(folder, name))
            drawn.append(name)
    if results.behaviour is not None:
        models = {"this model": results.behaviour, **(others or {})}
        draw_behaviour(models, Path(folder, BEHAVIOUR))
        drawn.append(BEHAVIOUR)
    return drawn


def _has_confidences(figures: Mapping[str, Any]) -> bool:
    return bool(figures.get("slices", {}).get("confidence"))


def _has_lengths(figures: Mapping[str, Any]) -> bool:
    """Whether accuracies by length are known; a number has none."""
    return any("accuracy" in one for one in figures.get("slices", {}).get("length", ()))


def draw_learning_curves(log: Iterable[Mapping[str, float]], path: _Path) -> None:
    """Draw the losses and the validation accuracy over the training steps.

    Args:
        log: Entries with `step` and any of `loss`, `eval_loss` and `eval_accuracy`, as the Trainer
            logs them; of a number `eval_mean_absolute_error` is drawn in the place of the
            accuracy. Where there are `eval_accuracy_low` and `eval_accuracy_high`, the interval
            is drawn as well.
        path: The PNG to write.
    """
    log = list(log)
    figure = _new_figure(9, 3.6)
    losses, accuracies = figure.subplots(1, 2)
    is_number = any("eval_mean_absolute_error" in entry for entry in log)
    right = ("eval_mean_absolute_error", 1) if is_number else ("eval_accuracy", 100)
    for axes, key, label, colour, scale in [
        (losses, "loss", "training", _COLOURS[1], 1),
        (losses, "eval_loss", "validation", _COLOURS[0], 1),
        (accuracies, right[0], "validation", _COLOURS[0], right[1]),
    ]:
        points = [(entry["step"], scale * entry[key]) for entry in log if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=label, color=colour)
    ends = ("eval_accuracy_low", "eval_accuracy_high")
    band = [entry for entry in log if all(end in entry for end in ends)]
    if band:
        steps = [entry["step"] for entry in band]
        low, high = ([100 * entry[end] for entry in band] for end in ends)
        accuracies.fill_between(
            steps, low, high, color=_COLOURS[0], alpha=0.15, lw=0, label="95 % interval"
        )
    unit = "squared error" if is_number else "loss (nats per review)"
    losses.set(title="Loss", xlabel="training step", ylabel=unit)
    accuracies.set(title="Accuracy", xlabel="training step", ylabel="accuracy (%)")
    if is_number:
        accuracies.set(title="Distance", ylabel="mean absolute error")
    for axes in (losses, accuracies):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    _save(figure, path)


# Labels of a confusion matrix whose cells have numbers.
_MOST_NUMBERED = 30


def draw_confusion_matrix(
    metrics: Metrics, path: _Path, names: Sequence[str] = BINARY.names
) -> None:
    """Draw labels against predicted labels, a panel for each part.

    Args:
        metrics: Part -> its metrics; each has a `confusion_matrix`, rows by label.
        path: The PNG to write.
        names: Of the labels; numbers where the matrices have another number of labels.
    """
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    labels = max(len(found["confusion_matrix"]) for found in metrics.values())
    # Of a panel: five numbers in a row can still be read. Of very many labels there are colours
    # alone, or the picture would take gigabytes.
    has_numbers = labels <= _MOST_NUMBERED
    size = max(1.0, labels / 5) if has_numbers else 3.0
    figure = _new_figure(0.6 + 3.6 * columns * size, 3.9 * rows * size)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    for axes, (part, found) in zip(panels, metrics.items(), strict=False):
        counts = np.array(found["confusion_matrix"])
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts) if has_numbers else ():
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{count:,}\n{share:.1%}",
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
            )
        shown = names if len(counts) == len(names) else list(map(str, range(len(counts))))
        ticks = range(len(shown))
        if has_numbers:
            axes.set_xticks(ticks, shown)
            axes.set_yticks(ticks, shown, rotation=90, va="center")
        axes.set(xlabel="predicted", ylabel="label")
        axes.set_title(_wrapped(part), fontsize=9)
    figure.suptitle("Reviews by label and predicted label; per cent of the label")
    _save(figure, path)


def draw_reliability_diagram(metrics: Metrics, path: _Path) -> None:
    """Draw accuracy against confidence, and the share of reviews at each confidence.

    Args:
        metrics: Part -> its metrics with `slices`, as `score_slices` gives them.
        path: The PNG to write.
    """
    figure = _new_figure(7.2, 6.4)
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    parts = {part: found["slices"]["confidence"] for part, found in metrics.items()}
    lowest = 100 * min(one["confidence"] for bins in parts.values() for one in bins)
    curve.plot([lowest, 100], [lowest, 100], color="grey", ls="--", label="perfect calibration")
    for index, (part, bins) in enumerate(parts.items()):
        confidence = 100 * np.array([one["confidence"] for one in bins])
        width = 4 / len(parts)  # of a bin's 100 / 15
        _draw_accuracies(curve, confidence, bins, part, index)
        _draw_shares(counts, confidence + _shift(index, len(parts), width), bins, index, width)
    curve.set(
        title="Accuracy by confidence, with 95 % intervals",
        ylabel="accuracy (%)",
    )
    counts.set(xlabel="confidence: the score of the answer (%)", ylabel="reviews (%)")
    _finish(figure, curve, counts, path)


def draw_accuracy_by_length(metrics: Metrics, path: _Path) -> None:
    """Draw the accuracy on reviews of each length with its 95 % interval, and their share.

    Args:
        metrics: Part -> its metrics with `slices`, as `score_slices` gives them.
        path: The PNG to write.
    """
    parts = {part: found["slices"]["length"] for part, found in metrics.items()}
    slices = sorted(
        {(one["tokens_from"], one["tokens_to"]) for found in parts.values() for one in found}
    )
    figure = _new_figure(7.2, 5.6)
    accuracies, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for index, (part, found) in enumerate(parts.items()):
        # Beside each other, so that the intervals of the parts do not hide one another.
        width = 0.5 / len(parts)
        at = np.array([slices.index((one["tokens_from"], one["tokens_to"])) for one in found])
        at = at + _shift(index, len(parts), width)
        _draw_accuracies(accuracies, at, found, part, index)
        _draw_shares(counts, at, found, index, width)
    accuracies.set(title="Accuracy by length, with 95 % intervals", ylabel="accuracy (%)")
    counts.set(xlabel="tokens in the review", ylabel="reviews (%)")
    counts.set_xticks(range(len(slices)), [tokens_text(*limits) for limits in slices])
    _finish(figure, accuracies, counts, path)


def draw_behaviour(models: Mapping[str, Mapping[str, Any]], path: _Path) -> None:
    """Draw how many behavioural tests models fail, by capability.

    Args:
        models: Name -> its part `behaviour`, as in `results.json`; the order is that of the first.
        path: The PNG to write.
    """
    names = ["mean", *next(iter(models.values()))["capabilities"]]
    thickness = 0.8 / len(models)
    height = 1.2 + len(names) * max(0.3, 0.13 * len(models))
    figure = _new_figure(7.2, height)
    axes = figure.subplots()
    for index, (model, found) in enumerate(models.items()):
        rates = {"mean": found["failure_rate"]} | {
            name: figures["failure_rate"] for name, figures in found["capabilities"].items()
        }
        known = [at for at, name in enumerate(names) if name in rates]
        axes.barh(
            [at + _shift(index, len(models), thickness) for at in known],
            [100 * rates[names[at]] for at in known],
            thickness,
            label=model,
            color=_COLOURS[index % len(_COLOURS)],
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(title="Behavioural tests that fail", xlabel="cases (%)")
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)
    if len(models) > 1:
        figure.legend(loc="outside lower center", fontsize=9, ncols=min(4, len(models)))
    _save(figure, path)


def tokens_text(low: int, high: int | None) -> str:
    """Name a slice of lengths: `26–50`, or `over 400`."""
    return f"over {low - 1:,}" if high is None else f"{low:,}–{high:,}"


# --- common to the pictures ----------------------------------------------------------------------


def _draw_accuracies(
    axes: Axes, at: Any, slices: Sequence[Mapping[str, Any]], part: str, index: int
) -> None:
    accuracy, low, high = (
        100 * np.array([one[key] for one in slices])
        for key in ("accuracy", "accuracy_low", "accuracy_high")
    )
    axes.errorbar(
        at,
        accuracy,
        [accuracy - low, high - accuracy],
        label=part,
        color=_COLOURS[index % len(_COLOURS)],
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=5,
        lw=1.2,
        elinewidth=0.9,
        capsize=2.5,
    )


def _draw_shares(
    axes: Axes, at: Any, slices: Sequence[Mapping[str, Any]], index: int, width: float
) -> None:
    """Bars for how many of a part's reviews are in each slice."""
    reviews = np.array([one["reviews"] for one in slices])
    axes.bar(at, 100 * reviews / reviews.sum(), width, color=_COLOURS[index % len(_COLOURS)])


def _shift(index: int, parts: int, width: float) -> float:
    """How far from the middle one of several parts is drawn."""
    return (index - (parts - 1) / 2) * width


def _new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches. A push needs the names of the pictures, and no matplotlib."""
    with require("train"):
        from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _finish(figure: Figure, above: Axes, below: Axes, path: _Path) -> None:
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    # The names of parts are long: below the axes they cover nothing.
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", fontsize=9)
    _save(figure, path)


def _wrapped(text: str, width: int = 36) -> str:
    """A name of reviews on several lines: it has no spaces to break at."""
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


def _save(figure: Figure, path: _Path) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a label or a file may be called `$$`
    # Without the version of matplotlib, so that the same figures give the same file.
    figure.savefig(path, dpi=_DPI, format="png", metadata={"Software": None})
