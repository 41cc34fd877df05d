from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, pipeline

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.inference import predictor as inference
from sentiment_lstm.inference.predictor import load, low_precision_copy, predict, predict_proba

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

TEXTS = [
    "",  # first: the pipeline then takes the ids of the whole batch for floats
    "I love this lamp!",
    "Broke in a week, waste of money.",
    "   ",
    "The story is warm and funny. " * 40,
    "unheard-of words zxqv",
    "Great!",
]


@pytest.fixture
def model(make_model: MakeModel) -> SentimentLSTMForSequenceClassification:
    """A model whose answers differ from text to text."""
    torch.manual_seed(3)
    model = make_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("sizes", [(1, 1), (2, 40), (4096, 16_384), (3, 100_000)])
def test_answers_do_not_depend_on_chunks_and_batches(
    sizes: tuple[int, int],
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    expected = np.stack(list(predict_proba(model, tokenizer, TEXTS)))
    chunk_size, batch_tokens = sizes
    found = predict_proba(model, tokenizer, TEXTS, chunk_size=chunk_size, batch_tokens=batch_tokens)
    np.testing.assert_allclose(np.stack(list(found)), expected, atol=1e-6)
    assert len({row[0] for row in expected.round(6).tolist()}) >= len(TEXTS) - 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_answers_are_those_of_the_pipeline(
    side: str, model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    tokenizer.padding_side = side
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    for batch_size in (1, 4):
        texts = TEXTS
        if side == "left" and batch_size > 1:
            # The pipeline itself fails to pad nothing on the left (`tensor[-0:] = []`).
            texts = [text for text in TEXTS if text.strip()]
        answers = classify(texts, batch_size=batch_size)
        for answer, ours in zip(answers, predict(model, tokenizer, texts), strict=True):
            assert answer["label"] == ours.label
            assert answer["score"] == pytest.approx(ours.score, abs=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_labels": 1},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"num_labels": 1, "problem_type": "regression"},
        {"num_labels": 3},
    ],
)
def test_scores_of_every_kind_are_those_of_the_pipeline(
    fields: dict[str, object], make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = make_model(**fields)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    # With top_k the pipeline returns a list a text, unlike what its annotation says.
    all_answers: Any = classify(TEXTS)
    for answers, probabilities in zip(
        all_answers, predict_proba(model, tokenizer, TEXTS), strict=True
    ):
        scores = {answer["label"]: answer["score"] for answer in answers}
        names = model.config.id2label
        assert names is not None
        ours = dict(zip(names.values(), probabilities.tolist(), strict=True))
        assert ours == pytest.approx(scores, abs=1e-6)


def test_predictions_can_be_told_apart(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    first, second = predict(model, tokenizer, ["Great!", "Great!"])
    assert first == first
    assert first != second
    assert len({first, second}) == 2


def test_a_draft_changes_no_label_and_hardly_a_probability(
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    draft = low_precision_copy(model)
    assert isinstance(draft, SentimentLSTMForSequenceClassification)
    texts = [f"{text} {number}" for text in TEXTS for number in ("one", "day", "week", "month")]
    with torch.no_grad():  # sure of some, and in two minds about others
        model.classifier.weight.mul_(4)
        draft.classifier.weight.mul_(4)
    exact = list(predict(model, tokenizer, texts))
    found = list(predict(model, tokenizer, texts, draft=draft))
    assert [answer.label for answer in found] == [answer.label for answer in exact]
    close = [answer.score < 0.55 for answer in exact]
    assert 0 < sum(close) < len(texts)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=0.02)
        if theirs.score < 0.53:
            assert ours.score == pytest.approx(theirs.score, abs=1e-6)
    # A draft that is as wrong as bf16 never is, and the close ones still come out right.
    with torch.no_grad():
        draft.classifier.bias.add_(torch.tensor([0.05, -0.05]))
    found = list(predict(model, tokenizer, texts, draft=draft))
    assert [answer.label for answer in found] == [answer.label for answer in exact]
    alone = list(predict(draft, tokenizer, texts))
    assert [answer.label for answer in alone] != [answer.label for answer in exact]


@pytest.mark.parametrize(
    "fields",
    [
        {"num_labels": 1},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"num_labels": 2, "problem_type": "regression"},
    ],
)
def test_where_numbers_count_there_is_no_draft(
    fields: dict[str, object], make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    assert low_precision_copy(make_model()) is not None
    assert low_precision_copy(make_model(**fields)) is None
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    assert low_precision_copy(make_model()) is None


def test_token_ids_are_those_of_a_call(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts = [*TEXTS, "_PAD or _UNK?"]
    expected = tokenizer(texts, verbose=False)["input_ids"]
    tokenizer(texts, truncation=True, max_length=2, padding="max_length")  # sets the backend up so
    tokenizer.backend_tokenizer.encode_special_tokens = False
    assert inference._token_ids(tokenizer, texts) == expected


def test_batches_count_the_padding_that_the_model_adds(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = make_model(pad_to_length=50)
    sizes = []
    model.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    list(predict(model, tokenizer, ["fine"] * 10, batch_tokens=200))
    assert sizes == [4, 4, 2]


def test_texts_are_taken_as_they_are_needed(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"review {taken}"

    answers = predict(model, tokenizer, endless(), chunk_size=10)
    for _ in range(11):
        next(answers)
    assert taken == 20


def test_a_folder_loads_ready_to_predict(model_folder: Path) -> None:
    model, tokenizer = load(model_folder)
    assert not model.training
    assert next(predict(model, tokenizer, ["Great!"])).label in ("NEGATIVE", "POSITIVE")


@pytest.mark.parametrize("name", ["nothing", "{folder}/nothing", "{folder}/nothing/here"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    path = name.format(folder=tmp_path)
    with pytest.raises(OSError, match=f"{path}: no such model folder"):
        load(path)


def test_a_model_that_does_not_load_is_named(model_folder: Path) -> None:
    weights = (model_folder / "model.safetensors").read_bytes()
    (model_folder / "model.safetensors").write_bytes(weights[:-50])
    with pytest.raises(OSError, match=f"{model_folder}: cannot load this model"):
        load(model_folder)
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match=f"{model_folder}: cannot load this model"):
        load(model_folder)
    with pytest.raises(OSError, match="nobody/nothing: cannot load this model"):
        load("nobody/nothing")


def test_a_backbone_is_no_classifier(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    make_model().model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"no trained classifier, its weights lack classifier\.bias"):
        load(tmp_path)


def test_sizes_are_checked(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        next(predict(model, tokenizer, TEXTS, chunk_size=0))
    with pytest.raises(TypeError, match="texts is a str"):
        next(predict(model, tokenizer, "good"))
