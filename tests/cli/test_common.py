"""The fields of a recipe on the command line, as a mapping."""

from typing import Any

import pytest

from sentiment_lstm.cli.common import read_overrides


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--seed", "7"], {"seed": "7"}),
        (["--seed=7"], {"seed": "7"}),
        (["--learning-rate", "1e-3"], {"learning_rate": "1e-3"}),
        (["--disable_tqdm"], {"disable_tqdm": True}),
        (["--use_cpu", "--seed", "7"], {"use_cpu": True, "seed": "7"}),
        (["--train", "a:train[:5]", "b"], {"train": ["a:train[:5]", "b"]}),
        (["--train=a=b", "c"], {"train": ["a=b", "c"]}),
        (["--test", "null"], {"test": None}),
        (["--output_dir", ""], {"output_dir": ""}),
        (["--output_dir="], {"output_dir": ""}),
        (["--lr_scheduler_kwargs", "-1"], {"lr_scheduler_kwargs": "-1"}),
        (["--run_name=--odd"], {"run_name": "--odd"}),
        (["--seed", "7", "--seed", "8"], {"seed": "8"}),
    ],
)
def test_words_become_fields(words: list[str], expected: dict[str, Any]) -> None:
    assert read_overrides(words) == expected


def test_a_value_without_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match="unrecognized arguments: 7"):
        read_overrides(["7", "--seed", "8"])
