import json
import math
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from sentiment_lstm import SentimentLSTMConfig
from sentiment_lstm.configuration_sentiment_lstm import LARGEST


def make(**fields: Any) -> SentimentLSTMConfig:
    """A config from fields that its signature does not name."""
    return SentimentLSTMConfig(**fields)


@pytest.mark.parametrize(
    "config",
    [
        SentimentLSTMConfig(),
        SentimentLSTMConfig.tutorial(vocab_size=10),
        make(num_labels=5, pooling="last+attention", embedding_dropout=0),
    ],
)
def test_a_saved_config_loads_equal(config: SentimentLSTMConfig, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is SentimentLSTMConfig
    assert loaded.to_dict() | {"_name_or_path": ""} == config.to_dict()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 0),
        ("vocab_size", 10**9),
        ("embedding_size", 10**9),
        ("hidden_size", 10**30),
        ("num_hidden_layers", 10**9),
        ("num_labels", 10**9),
        ("num_labels", 0),
        ("num_labels", "two"),
        ("pad_to_length", 10**9),
        ("embedding_size", "128"),
        ("hidden_size", 7),
        ("hidden_size", 8.0),
        ("num_hidden_layers", True),
        ("bidirectional", 1),
        ("pooling", "max+max"),
        ("pooling", "median"),
        ("pooling", ""),
        ("pooling", None),
        ("pad_to_length", 0),
        ("embedding_dropout", 1.0),
        ("hidden_dropout", -0.1),
        ("classifier_dropout", "0.5"),
        ("initializer_range", 0),
        ("initialization", "xavier"),
        ("word_dropout", 1),
        ("weight_dropout", None),
        ("locked_dropout", "yes"),
        ("temperature", 0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 10**400),
        ("initializer_range", math.inf),
        ("embedding_dropout", math.nan),
        ("pad_token_id", 32_000),
        ("id2label", {1: "NEGATIVE", 2: "POSITIVE"}),
    ],
)
def test_an_error_names_the_field_and_the_value(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{field}` must be") as caught:
        SentimentLSTMConfig(**{field: value})
    assert repr(value) in str(caught.value)


def test_fields_are_checked_in_view_of_each_other() -> None:
    with pytest.raises(ValueError, match="`single_logit` must be false"):
        make(single_logit=True, num_labels=3)
    for problem_type in ("regression", "multi_label_classification"):
        with pytest.raises(ValueError, match="`problem_type` must be single_label"):
            make(single_logit=True, problem_type=problem_type)
    with pytest.raises(ValueError, match="`pad_token_id` must be"):
        SentimentLSTMConfig(pad_to_length=10, pad_token_id=None)
    with pytest.raises(ValueError, match="`label2id` must be the inverse"):
        SentimentLSTMConfig(id2label={0: "no", 1: "yes"}, label2id={"no": 1, "yes": 0})
    assert SentimentLSTMConfig(hidden_size=7, bidirectional=False).hidden_size == 7


def test_label_names_follow_from_each_other() -> None:
    assert SentimentLSTMConfig().label2id == {"NEGATIVE": 0, "POSITIVE": 1}
    names = {0: "bad", 1: "so-so", 2: "good"}
    ids = {"bad": 0, "so-so": 1, "good": 2}
    assert SentimentLSTMConfig(id2label=names).label2id == ids
    assert SentimentLSTMConfig(label2id=ids).id2label == names
    as_text = {"bad": "0", "so-so": "1", "good": "2"}
    for named in ({}, {"id2label": names}):
        config = make(label2id=as_text, **named)
        assert (config.id2label, config.label2id) == (names, ids)
    assert make(num_labels=3).id2label == {
        0: "LABEL_0",
        1: "LABEL_1",
        2: "LABEL_2",
    }


@pytest.mark.parametrize("names", [{0: "bad", 1: "good"}, {0: "a", 1: "b", 2: "c"}])
def test_label_names_given_to_from_pretrained_replace_those_of_the_folder(
    names: dict[int, str], tmp_path: Path
) -> None:
    SentimentLSTMConfig().save_pretrained(tmp_path / "first")
    ids = {name: index for index, name in names.items()}
    as_in_json = {str(index): name for index, name in names.items()}
    overrides: list[dict[str, Any]] = [
        {"id2label": names},
        {"id2label": as_in_json},
        {"label2id": ids},
        {"id2label": names, "label2id": ids, "num_labels": len(names)},
    ]
    for override in overrides:
        config = AutoConfig.from_pretrained(tmp_path / "first", **override)
        config.save_pretrained(tmp_path / "second")
        for found in (config, AutoConfig.from_pretrained(tmp_path / "second")):
            assert (found.id2label, found.label2id) == (names, ids)
            assert found.num_labels == len(names)
    path = tmp_path / "first" / "config.json"
    config_json = json.loads(path.read_text())
    config_json["label2id"] = {name: str(index) for name, index in config_json["label2id"].items()}
    path.write_text(json.dumps(config_json))
    assert AutoConfig.from_pretrained(tmp_path / "first").label2id == {"NEGATIVE": 0, "POSITIVE": 1}
    _, unused = AutoConfig.from_pretrained(
        tmp_path / "first", id2label=names, other=1, return_unused_kwargs=True
    )
    assert unused == {"other": 1}


def test_fields_given_to_from_pretrained_are_checked(tmp_path: Path) -> None:
    SentimentLSTMConfig.tutorial().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`pad_to_length` must be"):
        AutoConfig.from_pretrained(tmp_path, pad_to_length=0)
    names = {0: "poor", 1: "fair", 2: "good"}
    with pytest.raises(ValueError, match="`single_logit` must be false"):
        AutoConfig.from_pretrained(tmp_path, id2label=names)
    config = AutoConfig.from_pretrained(tmp_path, id2label=names, single_logit=False, dtype="auto")
    assert (config.num_labels, config.pad_to_length) == (3, 200)


def test_the_number_of_labels_given_to_from_pretrained(tmp_path: Path) -> None:
    SentimentLSTMConfig().save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, num_labels=3)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


def test_a_misspelled_field_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    make(hiden_size=64)
    assert "no field `hiden_size`" in caplog.text


def test_loading_what_transformers_wrote_warns_of_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make(num_labels=3, problem_type="regression")
    config.save_pretrained(tmp_path)
    SentimentLSTMConfig.from_pretrained(tmp_path)
    assert caplog.text == ""


def test_the_tutorial_preset_is_the_tutorials_network() -> None:
    config = SentimentLSTMConfig.tutorial(vocab_size=100, pad_to_length=50)
    assert (config.embedding_size, config.hidden_size, config.num_hidden_layers) == (400, 512, 2)
    assert (config.bidirectional, config.pooling, config.single_logit) == (False, "last", True)
    assert (config.vocab_size, config.pad_to_length) == (100, 50)


def test_a_limit_has_a_name_and_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"`num_hidden_layers` must be .* to 100 \(see LARGEST\)"):
        SentimentLSTMConfig(num_hidden_layers=101)
    monkeypatch.setitem(LARGEST, "num_hidden_layers", 101)
    assert SentimentLSTMConfig(num_hidden_layers=101).num_hidden_layers == 101


def test_labels_that_were_given_other_names_load(tmp_path: Path) -> None:
    config = SentimentLSTMConfig()
    config.id2label = {0: "bad", 1: "good"}
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert loaded.id2label == {0: "bad", 1: "good"}
    assert loaded.label2id == {"bad": 0, "good": 1}
