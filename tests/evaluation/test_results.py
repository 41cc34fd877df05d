"""What leaves the machine: figures and names, without folders and tokens."""

from typing import Any

import pytest

from sentiment_lstm.evaluation.results import redact_recipe, redact_results, without_folders


def test_published_names_keep_sources_apart() -> None:
    recipe = {"train": ["a/x.txt", "b/x.txt"], "validation": ["a/x.txt", "sample:test"]}
    assert redact_recipe(recipe) == {
        "train": ["x.txt", "x.txt (2)"],
        "validation": ["x.txt", "sample:test"],
    }
    results: dict[str, Any] = {
        "reviews": {"train": {"a/x.txt": 1, "b/x.txt": 2}, "test": {"c/x.txt:train[:5]": 3}},
        "metrics": {"test/c/x.txt:train[:5]": 4, "test/b/x.txt": 5, "test/d/y.csv": 6},
    }
    published = redact_results(results)
    assert published == {
        "reviews": {"train": {"x.txt": 1, "x.txt (2)": 2}, "test": {"x.txt:train[:5]": 3}},
        "metrics": {"test/x.txt:train[:5]": 4, "test/x.txt (2)": 5, "test/y.csv": 6},
    }
    assert redact_results(published) == published


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run /home/me/x.txt now", "run x.txt now"),
        ("run --train=/home/me/x.txt:train[:5]", "run --train=x.txt:train[:5]"),
        ("run ~/x.txt ../shared/data/y.txt /z.txt", "run x.txt y.txt z.txt"),
        (r"run C:\\reviews\\x.csv", "run x.csv"),
        (
            "python scripts/x.py --baseline a/b either/or",
            "python scripts/x.py --baseline a/b either/or",
        ),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_only_paths_that_lead_outside_lose_their_folders(text: str, expected: str) -> None:
    assert without_folders(text) == expected
