"""One object that answers, whatever it is asked with."""

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedTokenizerFast, pipeline

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.inference.batch import predict_file
from sentiment_lstm.inference.predictor import (
    AnswerError,
    ModelError,
    SentimentPredictor,
    _low_precision_copy,
    computes_in_bf16,
    load_model,
)

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
    expected = SentimentPredictor(model, tokenizer).predict_proba(TEXTS)
    chunk_size, batch_tokens = sizes
    predictor = SentimentPredictor(
        model, tokenizer, chunk_size=chunk_size, batch_tokens=batch_tokens
    )
    np.testing.assert_allclose(predictor.predict_proba(TEXTS), expected, atol=1e-6)
    assert expected.dtype == np.float32
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
        for answer, ours in zip(
            answers, SentimentPredictor(model, tokenizer).predict(texts), strict=True
        ):
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
        all_answers, SentimentPredictor(model, tokenizer).predict_proba(TEXTS), strict=True
    ):
        scores = {answer["label"]: answer["score"] for answer in answers}
        names = model.config.id2label
        assert names is not None
        ours = dict(zip(names.values(), probabilities.tolist(), strict=True))
        assert ours == pytest.approx(scores, abs=1e-6)


def test_predictions_can_be_told_apart(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    first, second = SentimentPredictor(model, tokenizer).predict(["Great!", "Great!"])
    assert first == first
    assert first != second
    assert len({first, second}) == 2


def test_low_precision_changes_no_label_and_hardly_a_probability(
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    texts = [f"{text} {number}" for text in TEXTS for number in ("one", "day", "week", "month")]
    with torch.no_grad():  # sure of some, and in two minds about others
        model.classifier.weight.mul_(4)
    predictor = SentimentPredictor(model, tokenizer, low_precision=True)
    exact = SentimentPredictor(model, tokenizer).predict(texts)
    found = predictor.predict(texts)
    assert [answer.label for answer in found] == [answer.label for answer in exact]
    close = [answer.score < 0.55 for answer in exact]
    assert 0 < sum(close) < len(texts)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=0.02)
        if theirs.score < 0.53:
            assert ours.score == pytest.approx(theirs.score, abs=1e-6)
    # A copy that is as wrong as bf16 never is, and the close ones still come out right.
    low = predictor._copy
    assert isinstance(low, SentimentLSTMForSequenceClassification)
    with torch.no_grad():
        low.classifier.bias.add_(torch.tensor([0.05, -0.05]))
    found = predictor.predict(texts)
    assert [answer.label for answer in found] == [answer.label for answer in exact]
    alone = SentimentPredictor(low, tokenizer).predict(texts)
    assert [answer.label for answer in alone] != [answer.label for answer in exact]


@pytest.mark.parametrize(
    "fields",
    [
        {"num_labels": 1},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"num_labels": 2, "problem_type": "regression"},
    ],
)
def test_where_numbers_count_there_is_no_low_precision(
    fields: dict[str, object], make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    assert _low_precision_copy(make_model()) is not None
    assert _low_precision_copy(make_model(**fields)) is None
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    assert _low_precision_copy(make_model()) is None
    monkeypatch.delattr("torch.cpu.get_capabilities")  # of an older torch
    assert _low_precision_copy(make_model()) is None


def test_token_ids_are_those_of_a_call(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts = [*TEXTS, "_PAD or _UNK?"]
    expected = tokenizer(texts, verbose=False)["input_ids"]
    tokenizer(texts, truncation=True, max_length=2, padding="max_length")  # sets the backend up so
    tokenizer.backend_tokenizer.encode_special_tokens = False
    assert SentimentPredictor(model, tokenizer).encode(texts) == expected


def test_batches_count_the_padding_that_the_model_adds(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = make_model(pad_to_length=50)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    SentimentPredictor(model, tokenizer, batch_tokens=200).predict(["fine"] * 10)
    assert sizes == [4, 4, 2]


def test_texts_of_one_length_share_batches_without_padding(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    batches: list[torch.Tensor] = []
    hook = model.register_forward_pre_hook(lambda _, arguments: batches.append(arguments[1]))
    lengths = [3] * 20 + [5] * 12 + [12, 11, 40]
    predictor = SentimentPredictor(model, tokenizer, batch_tokens=60)
    answers = predictor.predict_proba(["fine " * length for length in lengths])
    hook.remove()
    shapes = [tuple(mask.shape) for mask in batches]
    # Two of nearly the same length are too few for batches of their own.
    assert shapes == [(1, 40), (5, 12), (9, 5), (20, 3)]
    assert [bool(mask.all()) for mask in batches] == [True, False, True, True]
    one_by_one = np.concatenate([predictor.predict_proba(["fine " * length]) for length in lengths])
    np.testing.assert_allclose(answers, one_by_one, atol=1e-6)


def test_texts_are_taken_as_they_are_needed(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"review {taken}"

    answers = SentimentPredictor(model, tokenizer, chunk_size=10).stream(endless())
    for _ in range(11):
        next(answers)
    assert taken == 20


def test_every_kind_of_sequence_gives_the_same(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    expected = predictor.predict_proba(TEXTS)
    column = datasets.Dataset.from_dict({"text": TEXTS})["text"]
    for texts in (tuple(TEXTS), iter(TEXTS), pd.Series(TEXTS), np.array(TEXTS), column):
        np.testing.assert_array_equal(predictor.predict_proba(texts), expected)
    assert predictor.predict([]) == []
    assert predictor.predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize("wrong", [None, 3, 2.5, float("nan"), b"fine", ["fine"]])
def test_what_is_no_text_is_named(
    wrong: Any, model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    with pytest.raises(TypeError, match=rf"texts\[1\] is {type(wrong).__name__}, not str"):
        predictor.predict(["fine", wrong])
    for texts in ("good", None, 5, {"text": ["good"]}, pd.DataFrame({"text": ["good"]})):
        with pytest.raises(TypeError, match=f"texts is a {type(texts).__name__}: pass"):
            predictor.predict(texts)  # type: ignore[arg-type]


def test_half_a_character_is_named(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    with pytest.raises(ValueError, match=r"texts\[1\] has a lone surrogate at character 3"):
        predictor.predict(["fine \N{PILE OF POO}", "ab\ud800"])


def test_ids_give_what_their_texts_give(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    found = predictor.predict_proba_ids(predictor.encode(TEXTS))
    np.testing.assert_array_equal(found, predictor.predict_proba(TEXTS))


def test_a_batch_of_columns_gets_labels_and_scores(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    texts = [text or "nothing" for text in TEXTS]
    answers = predictor.predict([f"A title: {text}" for text in texts])
    found = predictor({"title": ["A title"] * len(texts), "text": texts, "label": [0] * len(texts)})
    assert found["predicted_label"] == [answer.label for answer in answers]
    assert found["predicted_score"] == [answer.score for answer in answers]
    assert found["label"] == [0] * len(texts)
    mapped = datasets.Dataset.from_dict({"content": texts}).map(
        predictor, batched=True, batch_size=3
    )
    alone = predictor.predict(texts)
    assert mapped["predicted_label"][:] == [answer.label for answer in alone]
    with pytest.raises(ValueError, match="no text column"):
        predictor({"body": texts})


def test_a_pickled_predictor_answers_the_same(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer, low_precision=True)
    copy = pickle.loads(pickle.dumps(predictor))
    texts = [*TEXTS, "_PAD or _UNK?"]
    np.testing.assert_array_equal(copy.predict_proba(texts), predictor.predict_proba(texts))


def test_threads_that_use_the_tokenizer_change_no_answer(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    expected = predictor.predict_proba(TEXTS)
    stop = threading.Event()

    def truncate() -> None:
        while not stop.is_set():
            tokenizer(TEXTS, truncation=True, max_length=2, padding="max_length")

    others = [threading.Thread(target=truncate) for _ in range(2)]
    for other in others:
        other.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(predictor.predict_proba, [TEXTS] * 60):
                np.testing.assert_array_equal(found, expected)
    finally:
        stop.set()
        for other in others:
            other.join()


def test_a_folder_loads_ready_to_predict(model_folder: Path) -> None:
    predictor = SentimentPredictor.from_pretrained(model_folder)
    assert not predictor.model.training
    (answer,) = predictor.predict(["Great!"])
    assert answer.label in ("NEGATIVE", "POSITIVE")


@pytest.mark.parametrize("name", ["nothing", "{folder}/nothing", "{folder}/nothing/here"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    path = name.format(folder=tmp_path)
    with pytest.raises(ModelError, match=f"{path}: no such model folder"):
        load_model(path)


def test_a_model_that_does_not_load_is_named(model_folder: Path) -> None:
    weights = (model_folder / "model.safetensors").read_bytes()
    (model_folder / "model.safetensors").write_bytes(weights[:-50])
    with pytest.raises(ModelError, match=f"{model_folder}: does not load"):
        load_model(model_folder)
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=f"{model_folder}: does not load"):
        load_model(model_folder)
    with pytest.raises(ModelError, match="nobody/nothing: does not load"):
        load_model("nobody/nothing")


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def move_word(tokenizer: dict[str, Any]) -> None:
    """To an id of its own beyond the others, so that the number of words is the same."""
    vocab = tokenizer["model"]["vocab"]
    vocab["lamp"] = 10**6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (move_word, "with ids up to 1000000, and the model only"),
        (lambda tokenizer: tokenizer["model"]["vocab"].clear(), "does not load|does not answer"),
        (lambda tokenizer: tokenizer["model"].update(unk_token="nothing"), "does not"),
        (lambda tokenizer: tokenizer["model"].update(type="Marbles"), "does not load"),
        (lambda tokenizer: tokenizer.pop("model"), "does not load"),
        (lambda tokenizer: tokenizer.update(normalizer=7), "does not load"),
        (lambda tokenizer: tokenizer.update(added_tokens=None), "does not load"),
    ],
)
def test_a_damaged_tokenizer_is_named(
    change: Callable[[dict[str, Any]], Any], message: str, model_folder: Path
) -> None:
    change_tokenizer(model_folder, change)
    with pytest.raises(ModelError, match=rf"{model_folder}: .*({message})"):
        load_model(model_folder)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 100_000, b"\xff\xfe\x00", b"{"])
def test_a_file_of_something_else_is_a_model_error(
    name: str, content: bytes, model_folder: Path
) -> None:
    (model_folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"^{model_folder}: [^\n]*$"):
        load_model(model_folder)


def test_a_backbone_is_no_classifier(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    make_model().model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match=r"do not fit each other: missing keys, for example classifier\.bias"
    ):
        load_model(tmp_path)


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["classifier.bias", "model.embeddings.weight"])
def test_weights_that_are_no_numbers_are_noticed(
    number: float,
    name: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    """One is enough, and be it that of the rarest word."""
    model = make_model()
    with torch.no_grad():
        model.get_parameter(name)[-1] = number
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=rf"the weight {name} has NaN or infinite numbers"):
        SentimentPredictor.from_pretrained(tmp_path)


def test_weights_that_make_no_numbers_are_noticed(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = make_model(temperature=0.1)
    with torch.no_grad():
        model.classifier.bias.fill_(3e38)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the model answers nan: its weights are damaged"):
        SentimentPredictor.from_pretrained(tmp_path)


@pytest.mark.parametrize("temperature", ["NaN", "Infinity", "1e999", "0", "1e-320"])
def test_a_temperature_that_divides_into_no_numbers_is_noticed(
    temperature: str, model_folder: Path
) -> None:
    path = model_folder / "config.json"
    text = path.read_text().replace('"temperature": 1.0', f'"temperature": {temperature}')
    path.write_text(text)
    with pytest.raises(ModelError, match=r"`temperature` must be a finite|answers nan"):
        SentimentPredictor.from_pretrained(model_folder)


@pytest.fixture(params=[torch.nan, torch.inf, -torch.inf])
def overflowing(
    request: pytest.FixtureRequest,
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
) -> SentimentLSTMForSequenceClassification:
    """A model whose answer to a text with the word "money" is no number."""

    def spoil(_: Any, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        money = inputs[0].eq(tokenizer.get_vocab()["money"]).any(1)
        output.logits[money, 1] = request.param

    model.register_forward_hook(spoil)
    return model


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
def test_an_answer_that_is_no_number_is_an_error_that_names_the_text(
    chunk_size: int,
    overflowing: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    predictor = SentimentPredictor(overflowing, tokenizer, chunk_size=chunk_size)
    texts = ["Great!", "unheard-of words", "", "waste of money", "fine", "no money"]
    message = r"texts\[3\]: the model's answer is no number, .* too large for float32: leave it out"
    for ask in (predictor.predict, predictor.predict_proba):
        with pytest.raises(AnswerError, match=message):
            ask(texts)
    with pytest.raises(AnswerError, match=r"texts\[13\]"):
        predictor.predict(texts, start=10)
    with pytest.raises(AnswerError, match=r"texts\[13\]"):
        predictor.predict_proba_ids(predictor.encode(texts), start=10)
    answers = predictor.stream(texts)
    before = [next(answers) for _ in range(3 // chunk_size * chunk_size)]
    assert all(np.isfinite(answer.score) for answer in before)
    with pytest.raises(AnswerError, match=message):
        next(answers)


def test_a_job_names_the_text_by_its_number_in_the_file_and_keeps_what_was_done(
    model_folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = SentimentLSTMForSequenceClassification.forward
    money = tokenizer.get_vocab()["money"]

    def spoilt(self: Any, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        output: Any = forward(self, ids, mask)
        output.logits[ids.eq(money).any(1)] = torch.nan
        return output

    texts, output = tmp_path / "texts.txt", tmp_path / "labels.jsonl"
    texts.write_text("fine\n" * 5 + "waste of money\n" + "fine\n")
    monkeypatch.setattr(SentimentLSTMForSequenceClassification, "forward", spoilt)
    with pytest.raises(AnswerError, match=r"^texts\[5\]"):
        predict_file(model_folder, texts, output, chunk_size=2, exact=True)
    assert not output.exists()
    monkeypatch.undo()

    predict = SentimentPredictor.predict
    starts: list[int] = []

    def watched(self: SentimentPredictor, chunk: Any, *, start: int = 0) -> Any:
        starts.append(start)
        return predict(self, chunk, start=start)

    monkeypatch.setattr(SentimentPredictor, "predict", watched)
    predict_file(model_folder, texts, output, chunk_size=2, exact=True)
    assert starts == [0, 4, 6], "the trial of the model, and what was not done"
    assert len(output.read_text().splitlines()) == 7


def test_a_sigmoid_does_not_hide_an_answer_that_is_no_number(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = make_model(num_labels=1, temperature=0.1)
    with torch.no_grad():
        model.classifier.bias.fill_(3e38)
    with pytest.raises(AnswerError, match=r"texts\[0\]"):
        SentimentPredictor(model, tokenizer).predict(["fine"])


def test_half_precision_that_overflows_names_the_remedy(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    with torch.no_grad():
        model.classifier.bias.fill_(60_000)
        model.config.temperature = 0.1
    half: Any = model.to(torch.float16)  # type: ignore[arg-type]
    with pytest.raises(AnswerError, match=r"large for float16: load the model with dtype=torch.fl"):
        SentimentPredictor(half, tokenizer).predict(["fine"])


@pytest.mark.parametrize(
    ("found", "faster"),
    [
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True}, True),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, True),
        # No faster than float32 in AVX-512: 2/3 of the speed of this predictor was measured.
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, False),
        ({"cpu_name": "Neoverse V2", "bf16": True}, True),
        ({"cpu_name": "Intel Xeon", "avx512_f": True}, False),
    ],
)
def test_bf16_where_it_is_faster(
    found: dict[str, object], faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found)
    assert computes_in_bf16(torch.device("cpu")) is faster


def test_what_overflows_in_the_low_precision_copy_is_computed_again(
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    predictor = SentimentPredictor(model, tokenizer, low_precision=True)
    low = predictor._copy
    assert isinstance(low, SentimentLSTMForSequenceClassification)
    with torch.no_grad():
        low.classifier.weight.fill_(torch.inf)
    expected = SentimentPredictor(model, tokenizer).predict_proba(TEXTS)
    np.testing.assert_allclose(predictor.predict_proba(TEXTS), expected, atol=1e-6)


def test_sizes_are_checked(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match=r"must be 1 or more, .*; got 0 and"):
        SentimentPredictor(model, tokenizer, chunk_size=0)
    with pytest.raises(ValueError, match=r"must be 1 or more, .*; got 4096 and 0"):
        SentimentPredictor(model, tokenizer, batch_tokens=0)
    with pytest.raises(ValueError, match="must be 1 or more, and at most"):
        SentimentPredictor(model, tokenizer, chunk_size=10**20)


def test_threads_that_compute_in_another_dtype_leave_the_weights_alone(
    model: SentimentLSTMForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentiment_lstm.modeling_sentiment_lstm._CPU_DTYPES", {torch.float32})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    predictor = SentimentPredictor(model.bfloat16(), tokenizer, batch_tokens=16)
    before = dict(model.named_parameters())
    predictor.predict_proba(["good " * (1 + number % 30) for number in range(300)])
    for name, weight in model.named_parameters():
        assert weight is before[name]
        assert weight.dtype == torch.bfloat16


def test_a_model_that_was_trained_meanwhile_answers_without_dropout(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    predictor = SentimentPredictor(model, tokenizer)
    expected = predictor.predict_proba(TEXTS)
    model.train()
    np.testing.assert_array_equal(predictor.predict_proba(TEXTS), expected)


def test_a_row_is_no_batch(
    model: SentimentLSTMForSequenceClassification, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Of a text the characters would be classified, of a table with a name twice the name."""
    predictor = SentimentPredictor(model, tokenizer)
    rows = datasets.Dataset.from_dict({"text": TEXTS[1:3]})
    with pytest.raises(TypeError, match=r"'text' is one text.*batched=True"):
        rows.map(predictor)
    assert len(rows.map(predictor, batched=True)) == 2
    with pytest.raises(ValueError, match="a column name occurs twice"):
        predictor(pd.DataFrame([TEXTS[1:3]], columns=["text", "text"]))
