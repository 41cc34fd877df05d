"""`pipeline("text-classification")` on both presets: whatever goes in, however it is batched."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from support import randomised
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

from sentiment_lstm import SentimentLSTMForSequenceClassification, modeling_sentiment_lstm
from sentiment_lstm.tokenization import DEFAULT_PRESET, TUTORIAL_PRESET, train_tokenizer

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

TEXTS = [
    "I love this lamp!",
    "Broke in a week, waste of money.",
    "The story is warm and funny. " * 60,  # longer than the tutorial's 200 words
    "unheard-of words zxqv",
    "Great!",
]
NOTHING = ["", "   ", "\t\n"]
PRESETS: dict[str, tuple[dict[str, Any], Any]] = {
    "default": ({}, DEFAULT_PRESET),
    "tutorial": (
        {"bidirectional": False, "pooling": "last", "pad_to_length": 200, "single_logit": True},
        TUTORIAL_PRESET,
    ),
}


@pytest.fixture(params=PRESETS)
def preset(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def classify(preset: str, make_model: MakeModel, reviews: list[tuple[str, int]]) -> Any:
    """A pipeline whose answers differ from text to text."""
    torch.manual_seed(3)
    fields, options = PRESETS[preset]
    tokenizer = train_tokenizer((text for text, _ in reviews), **options)
    model = randomised(make_model(**fields))
    return pipeline("text-classification", model=model, tokenizer=tokenizer)


def same(found: Any, expected: Any) -> bool:
    """Whether two lists of answers agree."""
    pairs = list(zip(found, expected, strict=True))
    assert {answer["label"] for answer in expected} <= {"NEGATIVE", "POSITIVE"}
    return all(
        ours["label"] == theirs["label"]
        and ours["score"] == pytest.approx(theirs["score"], abs=1e-6)
        for ours, theirs in pairs
    )


def logits_of(classify: Any, text: str) -> np.ndarray[Any, Any]:
    """What the model says of a text by itself, `(labels,)`."""
    ids = torch.tensor([classify.tokenizer(text, verbose=False)["input_ids"]])
    with torch.no_grad():
        logits: np.ndarray[Any, Any] = classify.model(ids).logits[0].numpy()
    return logits


# --- what goes in --------------------------------------------------------------------------------


def test_every_kind_of_input_gets_the_same_answers(classify: Any) -> None:
    expected = [classify(text)[0] for text in TEXTS]
    assert len({round(answer["score"], 4) for answer in expected}) == len(TEXTS)

    def stream() -> Iterator[str]:
        yield from TEXTS

    dataset = datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, 1, 0, 1]})
    assert same(classify(TEXTS), expected)
    assert same(classify([{"text": text} for text in TEXTS]), expected)
    for source in (stream(), KeyDataset(dataset, "text"), iter(dataset["text"])):
        assert same(list(classify(source)), expected)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_answers_do_not_depend_on_the_batch(classify: Any, batch_size: int, preset: str) -> None:
    # The empty text comes first, whose ids some releases of transformers give as floats.
    texts = [*NOTHING, *TEXTS] if preset == "default" else TEXTS
    expected = [classify(text)[0] for text in texts]
    assert same(classify(texts, batch_size=batch_size), expected)
    assert same(classify(texts[::-1], batch_size=batch_size), expected[::-1])
    assert same(list(classify((text for text in texts), batch_size=batch_size)), expected)


def test_two_texts_are_read_one_after_the_other(classify: Any) -> None:
    # Two sentences, so that they are cut into the same words alone and together.
    first, second = "I love this lamp!", "Great little lamp."
    pair = classify({"text": first, "text_pair": second})
    assert same([pair], classify(f"{first} {second}"))
    with pytest.raises(ValueError, match="text pairs"):
        classify([[first, second]])


# --- empty and long ------------------------------------------------------------------------------


def test_empty_texts_get_the_answer_to_nothing(classify: Any, preset: str) -> None:
    answers = classify(NOTHING, top_k=None)
    assert answers[0] == answers[1] == answers[2]
    if preset == "default":
        expected = classify.model.classifier.bias.detach().softmax(-1)
    else:
        padding = torch.zeros(1, 200, dtype=torch.long)
        expected = classify.model(padding).logits[0].detach().softmax(-1)
    scores = {answer["label"]: answer["score"] for answer in answers[0]}
    assert [scores["NEGATIVE"], scores["POSITIVE"]] == pytest.approx(expected.tolist())


LEFT_PADDING = "transformers pads nothing on the left as `tensor[-0:] = []`, which is an error"


@pytest.mark.parametrize("preset", ["tutorial"], indirect=True)
@pytest.mark.xfail(reason=LEFT_PADDING, raises=RuntimeError, strict=True)
def test_an_empty_text_in_a_batch_that_is_padded_on_the_left(classify: Any) -> None:
    classify(["", *TEXTS], batch_size=4)


@pytest.mark.parametrize("preset", ["tutorial"], indirect=True)
def test_how_the_tutorials_face_takes_an_empty_text_in_a_batch(classify: Any) -> None:
    """Padded by the tokenizer, or on the right: the model pads on the left by itself."""
    texts = [*NOTHING, *TEXTS]
    expected = [classify(text)[0] for text in texts]
    answers = classify(texts, batch_size=4, padding="max_length", truncation=True)
    assert same(answers, expected)
    classify.tokenizer.padding_side = "right"
    assert same(classify(texts, batch_size=4), expected)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What transformers warns of; its logger passes nothing on to pytest's."""
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


def test_a_review_of_20000_words(classify: Any, preset: str, warnings: list[str]) -> None:
    """The default preset reads it whole; the tutorial's its first 200 words, and says so."""
    words = ["good", "lamp", "broke", "story"] * 5000
    score = classify(" ".join(words))[0]["score"]
    last_word, word_200, word_201 = (words.copy() for _ in range(3))
    last_word[-1], word_200[199], word_201[200] = ["money"] * 3
    changed = [classify(" ".join(other))[0]["score"] for other in (last_word, word_200, word_201)]
    if preset == "default":
        assert score == pytest.approx(_positive(logits_of(classify, " ".join(words))), abs=1e-5)
        assert changed[0] != pytest.approx(score, abs=1e-7)
        assert warnings == []
    else:
        assert changed[0] == changed[2] == score
        assert changed[1] != pytest.approx(score, abs=1e-7)
        assert any("20000 > 200" in warning for warning in warnings)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_texts_too_large_for_a_layer_are_read_in_pieces(
    classify: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = classify(TEXTS)
    step = (4 * classify.model.model.units + 28) * 4
    monkeypatch.setattr(modeling_sentiment_lstm, "_LARGEST_RUN", 20 * step)
    monkeypatch.setattr(modeling_sentiment_lstm, "_PIECE", 7 * step)
    sizes: list[int] = []
    classify.model.model.layers[0].forward_lstm.register_forward_pre_hook(
        lambda _, inputs: sizes.append(inputs[0].shape[:2].numel())
    )
    assert same(classify(TEXTS, batch_size=batch_size), expected)
    assert 7 in sizes
    assert max(sizes) < 20


def _positive(logits: np.ndarray[Any, Any]) -> float:
    """The score of the winning label."""
    exponents = np.exp(logits - logits.max())
    return float((exponents / exponents.sum()).max())


# --- options -------------------------------------------------------------------------------------


def test_top_k(classify: Any) -> None:
    for text, ranked in zip(TEXTS, classify(TEXTS, top_k=None), strict=True):
        assert {answer["label"] for answer in ranked} == {"NEGATIVE", "POSITIVE"}
        assert ranked[0]["score"] >= ranked[1]["score"]
        assert sum(answer["score"] for answer in ranked) == pytest.approx(1)
        assert classify(text)[0] == classify(text, top_k=1)[0] == ranked[0]
        assert classify(text, top_k=2) == ranked


def test_function_to_apply(classify: Any) -> None:
    functions = {
        "none": lambda logits: logits,
        "sigmoid": lambda logits: 1 / (1 + np.exp(-logits)),
        "softmax": lambda logits: np.exp(logits) / np.exp(logits).sum(),
    }
    for name, function in functions.items():
        answers = classify(TEXTS[0], function_to_apply=name, top_k=None)
        scores = {answer["label"]: answer["score"] for answer in answers}
        found = [scores["NEGATIVE"], scores["POSITIVE"]]
        assert found == pytest.approx(function(logits_of(classify, TEXTS[0])).tolist(), abs=1e-6)
    default = classify(TEXTS[0])
    assert default == classify(TEXTS[0], function_to_apply="softmax")


def test_padding_changes_nothing_and_truncation_keeps_the_first_words(classify: Any) -> None:
    expected = classify(TEXTS)
    assert same(classify(TEXTS, padding=True), expected)
    padded = classify(TEXTS, padding="max_length", max_length=500, batch_size=2)
    assert same(padded, expected)
    cut = classify(TEXTS[0], truncation=True, max_length=3)
    assert same(cut, classify("I love this"))
    assert not same(cut, expected[:1])


def test_labels_have_the_names_of_the_config(classify: Any) -> None:
    expected = classify(TEXTS)
    classify.model.config.id2label = {0: "bad", 1: "good"}
    names = {"NEGATIVE": "bad", "POSITIVE": "good"}
    assert [answer["label"] for answer in classify(TEXTS)] == [
        names[answer["label"]] for answer in expected
    ]


def test_the_class_is_known_to_the_pipeline(
    make_model: MakeModel, tokenizer: Any, warnings: list[str]
) -> None:
    tasks: list[Any] = ["text-classification", "sentiment-analysis"]
    for task in tasks:
        assert pipeline(task, model=make_model(), tokenizer=tokenizer)("Great!")
    assert not any("not supported" in warning for warning in warnings)
