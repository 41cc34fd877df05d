"""Documents are what `make docs` renders, and none of their figures is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from blocks import ROOT
from jinja2 import nodes
from support import make_results

import docs

TEMPLATES = sorted((ROOT / "docs" / "templates").glob("*.md"))
# Written by hand: pages without a template, and what says how to contribute.
PAGES = [
    path
    for path in [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    if path.name not in {template.name for template in TEMPLATES}
]
UNIT = (
    r"%|(?:percent|per cent|points?|times|[x×]|s|ms|seconds?|minutes?|hours?|h|days?|[kKMG]B|[kM]|"
    r"reviews/s|reviews per second)\b"
)
NUMBER = (
    r"\b(?:\d[\d,.]*|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|"
    r"fifty|ninety|hundred)"
)
# What was measured: a number and its unit. Numbers of anything else are structure: the first 200
# words, Python 3.10, four pictures.
FIGURE = re.compile(rf"{NUMBER}[ \u00a0-]?(?:{UNIT})", re.IGNORECASE)
# The level of an interval is chosen, not measured.
CHOSEN = re.compile(r"95 % interval")


def prose(text: str) -> str:
    """A template or a page without expressions, code and comments."""
    text = re.sub(r"^(`{3,}|~{3,}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|<!--.*?-->", "§", text, flags=re.DOTALL)
    return CHOSEN.sub("§", re.sub(r"`[^`]*`", "§", text))


def typed_figures(text: str) -> list[str]:
    """Figures in prose, and constants in expressions that say one."""
    found = FIGURE.findall(prose(text))
    constants = [node.value for node in jinja2.Environment().parse(text).find_all(nodes.Const)]
    return found + [
        str(value)
        for value in constants
        if (isinstance(value, str) and FIGURE.search(value))
        or isinstance(value, float)
        # The number of decimals, an index, or a unit's.
        or (isinstance(value, int) and not (-1 <= value <= 3 or value == 1_000_000))
    ]


def test_every_document_is_what_is_rendered() -> None:
    rendered = docs.render_all()
    assert ROOT / "README.md" in rendered
    assert ROOT / "hub_card" / "README.md" in rendered
    for path, text in rendered.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: run `make docs`"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_figure_is_typed_in_a_template(path: Path) -> None:
    assert typed_figures(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_written_by_hand_hold_no_figures(path: Path) -> None:
    assert FIGURE.findall(prose(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "right on 93.2 % of them",
        "30 times as long",
        "thirty times",
        "a ratio of 3.79 x",
        "trains in 94 s",
        "1,338 seconds",
        "85 minutes",
        "4.4M parameters",
        "8.7 MB",
        "5,376 reviews/s",
        "1.2 points",
        "{{ 93.2 }} %",
        "{{ 0.932|percent }}",
        "{{ 932|divided }}",
        "{{ '93 %' }}",
    ],
)
def test_a_typed_figure_is_noticed(text: str) -> None:
    assert typed_figures(text)


@pytest.mark.parametrize(
    "text",
    [
        "the first 200 words",
        "Python 3.10 or later",
        "a 95 % interval",
        "100-d words, two layers of 512",
        "the logits of torch to 1e-5",
        "four pictures and three seeds",
        "`train[50%:]` and `--limit 20`",
        "```bash\nmake demo  # 90 s\n```",
        "{{ found.accuracy|percent(2) }} of them",
        "{{ points['4000']|percent }}",
    ],
)
def test_structure_is_no_figure(text: str) -> None:
    assert typed_figures(text) == []


def test_a_figure_that_the_results_lack_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("{{ results.gone.accuracy|percent }}")
    monkeypatch.setattr(docs, "TEMPLATES", tmp_path)
    with pytest.raises(docs.DocsError, match=r"page\.md.*gone"):
        docs.render_all()


def test_what_is_kept_of_a_run_is_redacted_and_short() -> None:
    found: dict[str, Any] = {
        "reviews": 10,
        "accuracy": 0.9,
        "accuracy_low": 0.8,
        "accuracy_high": 0.95,
        "loss": 0.2,
        "f1": 0.9,
        "roc_auc": None,
        "expected_calibration_error": 0.01,
        "slices": {},
    }
    results = make_results(
        reviews={"test": {"/home/me/x.ft.txt": {"reviews": 10, "fingerprint": "f"}}},
        metrics={"test": {"/home/me/x.ft.txt": found}},
        versions={"sentiment-lstm": "9.9"},
    )
    kept = docs.extract(results, "demo")
    assert "/home" not in json.dumps(kept)
    assert kept["version"] == "9.9"
    assert kept["command"] == "sentiment-lstm train scripts/recipes/demo.yaml"
    assert "slices" not in kept["metrics"]["test"]["x.ft.txt"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (docs.percent(0.93214, 2), "93.21 %"),
        (
            docs.accuracy({"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.921}),
            "90.0 % (88.0 to 92.1)",
        ),
        (docs.over_seeds([0.5, 0.7, 0.6]), "60.0 % (50.0 to 70.0)"),
        (docs.difference({"difference": -0.033, "standard_error": 0.004}), "−3.3 ± 0.4 points"),
        (docs.difference({"difference": 0.025}), "+2.5 points"),
        (docs.points(-0.008), "0.8 points"),
        (docs.duration(94.2), "94 s"),
        (docs.duration(3096.1), "52 minutes"),
        (docs.duration(8205), "2.3 hours"),
        (docs.times(30.01), "30 times"),
    ],
)
def test_figures_are_written_as_documents_write_them(written: str, expected: str) -> None:
    assert written == expected


def test_accuracy_over_several_sets_counts_reviews() -> None:
    found = [{"reviews": 1, "accuracy": 1.0}, {"reviews": 3, "accuracy": 2 / 3}]
    pooled = docs.pooled(found)
    assert pooled["accuracy"] == pytest.approx(0.75)
    assert pooled["accuracy_low"] < 0.75 < pooled["accuracy_high"]
