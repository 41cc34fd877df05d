"""The pictures show the figures that they are given, and are small enough for a card."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from support import make_behaviour, make_results

from sentiment_lstm.data.labels import LabelSet
from sentiment_lstm.evaluation import figures
from sentiment_lstm.evaluation.figures import (
    draw_all,
    draw_behaviour,
    draw_confusion_matrix,
    tokens_text,
)
from sentiment_lstm.evaluation.metrics import score
from sentiment_lstm.evaluation.results import Results
from sentiment_lstm.evaluation.slices import score_slices

pytestmark = pytest.mark.usefixtures("real_pictures")


@pytest.fixture
def results() -> Results:
    """Figures of two sets of reviews that were never written."""
    random = np.random.default_rng(0)
    metrics: dict[str, dict[str, dict[str, Any]]] = {}
    for split, source in (
        ("validation", "some.ft.txt:train[57489:]"),
        ("test", "a_rather_long_name_of_a_file.jsonl.bz2"),
    ):
        positive = random.beta(0.4, 0.4, 300)
        probabilities = np.stack([1 - positive, positive], axis=1)
        labels = (random.random(300) < positive).astype(int)
        metrics.setdefault(split, {})[source] = score(probabilities, labels) | {
            "slices": score_slices(
                probabilities, labels, random.integers(0, 600, 300), random.random(300) < 0.3
            )
        }
    log = [
        {"step": 10, "loss": 0.6},
        {"step": 10, "eval_loss": 0.5, "eval_accuracy": 0.75}
        | {"eval_accuracy_low": 0.7, "eval_accuracy_high": 0.8},
        {"step": 20, "loss": 0.4},
    ]
    return make_results(training={"log": log}, metrics=metrics)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Figures by file name, as they are saved."""
    saved: dict[str, Figure] = {}
    save = Figure.savefig

    def keep(self: Figure, path: Any, **options: Any) -> None:
        saved[Path(path).name] = self
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_four_pictures_small_and_always_the_same(results: Results, tmp_path: Path) -> None:
    before = copy.deepcopy(results)
    names = draw_all(results, tmp_path)
    assert names == [
        "learning_curves.png",
        "confusion_matrix.png",
        "reliability_diagram.png",
        "accuracy_by_length.png",
    ]
    first = {}
    for name in names:
        first[name] = (tmp_path / name).read_bytes()
        height, width, _ = imread(tmp_path / name).shape
        assert 300 < height < 1000, name
        assert 800 < width < 1400, name
        assert len(first[name]) < 150_000, name
    draw_all(results, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names} == first
    assert results == before


def test_results_without_slices_give_the_pictures_that_they_can(
    results: Results, tmp_path: Path
) -> None:
    for _, _, found in results.parts():
        del found["slices"]
    del results.training["log"]
    assert draw_all(results, tmp_path) == ["confusion_matrix.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["confusion_matrix.png"]


def test_they_show_the_figures(results: Results, tmp_path: Path, drawn: dict[str, Figure]) -> None:
    draw_all(results, tmp_path)
    metrics = results.metrics_by_name()
    parts = list(metrics)

    losses, accuracies = drawn["learning_curves.png"].axes
    assert [line.get_xydata().tolist() for line in losses.lines] == [  # type: ignore[union-attr]
        [[10, 0.6], [20, 0.4]],
        [[10, 0.5]],
    ]
    assert accuracies.lines[0].get_xydata().tolist() == [[10, 75]]  # type: ignore[union-attr]

    for axes, part in zip(drawn["confusion_matrix.png"].axes, parts, strict=True):
        assert axes.get_title().replace("\n", "") == part
        counts = [int(text.get_text().split("\n")[0].replace(",", "")) for text in axes.texts]
        matrix = np.array(metrics[part]["confusion_matrix"])
        assert counts == matrix.flatten().tolist()
        shares = [float(text.get_text().split("\n")[1].rstrip("%")) for text in axes.texts]
        assert sum(shares) == pytest.approx(200, abs=0.2), "per cent of each label"

    for name, kind in [
        ("reliability_diagram.png", "confidence"),
        ("accuracy_by_length.png", "length"),
    ]:
        above, below = drawn[name].axes
        (legend,) = drawn[name].legends
        assert [text.get_text() for text in legend.get_texts()][-2:] == parts
        for (points, _, (intervals,)), part in zip(above.containers, parts, strict=True):
            slices = metrics[part]["slices"][kind]
            accuracies_ = [100 * one["accuracy"] for one in slices]
            assert points.get_ydata().tolist() == pytest.approx(accuracies_)
            ends = [tuple(segment[:, 1]) for segment in intervals.get_segments()]
            assert ends == [
                pytest.approx((100 * one["accuracy_low"], 100 * one["accuracy_high"]))
                for one in slices
            ]
        shares = [bar.get_height() for bar in below.patches if isinstance(bar, Rectangle)]
        assert sum(shares) == pytest.approx(200), "all reviews of both parts"
    assert [label.get_text() for label in below.get_xticklabels()][::5] == ["0–25", "over 400"]


def test_behaviour_is_drawn_by_capability(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    ours, theirs = make_behaviour(negation=0.25, typos=0.05), make_behaviour(typos=0.5)
    assert draw_all(make_results(behaviour=ours), tmp_path) == ["behaviour.png"]
    (axes,) = drawn["behaviour.png"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean", "negation", "typos"]
    assert [bar.get_width() for bar in axes.containers[0]] == [15, 25, 5]
    assert not drawn["behaviour.png"].legends, "one model needs no name"
    draw_behaviour({"ours": ours, "theirs": theirs}, tmp_path / "both.png")
    (axes,) = drawn["both.png"].axes
    one, other = axes.containers
    assert [bar.get_width() for bar in one] == [15, 25, 5]
    assert [bar.get_width() for bar in other] == [50, 50], "and nothing where nothing is known"
    # Beside each other, in the row of their name.
    assert [round(bar.get_y() + bar.get_height() / 2) for bar in other] == [0, 2]
    assert one[2].get_y() + one[2].get_height() == pytest.approx(other[1].get_y())
    assert one[0].get_facecolor() != other[0].get_facecolor()
    assert [text.get_text() for text in drawn["both.png"].legends[0].get_texts()] == [
        "ours",
        "theirs",
    ]


def test_many_parts_and_classes_fit(results: Results, tmp_path: Path) -> None:
    (one,) = results.metrics["test"].values()
    many: dict[str, Any] = {f"{number}.csv": one for number in range(8)}
    many["three.csv"] = one | {"confusion_matrix": np.eye(3, dtype=int).tolist()}
    draw_all(make_results(metrics={"test": many}), tmp_path)
    height, width, _ = imread(tmp_path / "confusion_matrix.png").shape
    assert height == pytest.approx(width, rel=0.1), "three columns, three rows"


def test_names_are_drawn_as_they_are(results: Results, tmp_path: Path) -> None:
    """`$$` is no formula: a run that is finished ended with an error of matplotlib's."""
    (one,) = results.metrics["test"].values()
    names = ["$", "$$", "$a_1$"]
    labels = LabelSet(tuple(names)).as_dict()
    metrics = {"test": {"$$.csv": one | {"confusion_matrix": np.eye(3, dtype=int).tolist()}}}
    assert len(draw_all(make_results(metrics=metrics, label_set=labels), tmp_path)) == 3


def test_a_picture_draws_on_no_display() -> None:
    assert not re.search(r"import.*pyplot", Path(figures.__file__).read_text())


def test_names_of_lengths() -> None:
    assert tokens_text(0, 25) == "0–25"
    assert tokens_text(1001, 2000) == "1,001–2,000"
    assert tokens_text(401, None) == "over 400"


def test_a_confusion_matrix_of_very_many_labels_is_small(tmp_path: Path) -> None:
    found = {"confusion_matrix": np.eye(400, dtype=int).tolist()}
    names = [f"label {number}" for number in range(400)]
    draw_confusion_matrix({"all": found}, path := tmp_path / "x.png", names)
    assert max(imread(path).shape) < 4000
