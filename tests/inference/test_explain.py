"""Why: what each word does to the score, and the laws that hold for it."""

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from support import PRESETS, randomised
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from sentiment_lstm import (
    SentimentLSTMConfig,
    SentimentLSTMForSequenceClassification,
    SentimentPredictor,
)
from sentiment_lstm.inference.explain import METHODS, _beginning, explain, integrated_gradients
from sentiment_lstm.inference.explanation import Explanation, Word, html_page
from sentiment_lstm.tokenization import build_tokenizer, train_tokenizer

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

TEXTS = [
    "",
    "   ",
    "Great!",
    "zxqv qqqq",
    "I love this lamp, but the hinge snapped.",
    "A joy to read:  it's warm\nand funny 👍🏽 don\u2019t <b>miss</b> &amp; it. " * 3,
]


def difference(predictor: SentimentPredictor, texts: list[str]) -> list[float]:
    """The log-odds of POSITIVE that `predict_proba` gives texts."""
    probabilities = predictor.predict_proba(texts).astype(np.float64)
    odds: list[float] = np.log(probabilities[:, 1] / probabilities[:, 0]).tolist()
    return odds


@pytest.fixture(params=PRESETS)
def predictor(
    request: pytest.FixtureRequest, make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> SentimentPredictor:
    """A model that has learnt nothing, but says something of each text, of every preset."""
    torch.manual_seed(5)
    model = randomised(make_model(**PRESETS[request.param], temperature=0.8))
    if request.param == "tutorial":
        tokenizer = build_tokenizer(tokenizer.get_vocab(), unknown_to_pad=True)
    return SentimentPredictor(model, tokenizer)


@pytest.fixture(scope="module")
def trained(
    reviews: list[tuple[str, int]], _tokenizer: PreTrainedTokenizerFast
) -> SentimentPredictor:
    """A small model that knows its reviews."""
    torch.manual_seed(0)
    config = SentimentLSTMConfig(vocab_size=len(_tokenizer), embedding_size=12, hidden_size=16)
    model = SentimentLSTMForSequenceClassification(config)
    batch = _tokenizer([text for text, _ in reviews], padding=True, return_tensors="pt")
    labels = torch.tensor([label for _, label in reviews])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    # Some words are unknown, as among the words of the reviews that others train on.
    for _ in range(60):
        unknown = torch.rand(batch["input_ids"].shape) < 0.15
        ids = batch["input_ids"].masked_fill(unknown & batch["attention_mask"].bool(), 1)
        loss = model(ids, batch["attention_mask"], labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return SentimentPredictor(model, _tokenizer)


# --- laws, for all presets -----------------------------------------------------------------------


def test_the_score_is_the_log_odds_that_predict_gives(predictor: SentimentPredictor) -> None:
    explanations = [predictor.explain(text) for text in TEXTS]
    scores = [explanation.score for explanation in explanations]
    np.testing.assert_allclose(scores, difference(predictor, TEXTS), atol=2e-5)
    assert {explanation.label for explanation in explanations} == {"POSITIVE"}
    predictions = predictor.predict(TEXTS)
    assert [one.predicted for one in explanations] == [one.label for one in predictions]
    other = predictor.explain(TEXTS[-1], label="NEGATIVE")
    assert other.score == pytest.approx(-scores[-1], abs=1e-5)
    assert other.words[0].contribution == pytest.approx(-explanations[-1].words[0].contribution)


def test_contributions_add_up(predictor: SentimentPredictor) -> None:
    for text in TEXTS:
        explanation = predictor.explain(text)
        total = explanation.baseline + sum(word.contribution for word in explanation.words)
        assert total == pytest.approx(explanation.score, abs=1e-6)
        assert explanation.rest == pytest.approx(0, abs=1e-6)


def test_the_baseline_is_a_text_of_unknown_words(predictor: SentimentPredictor) -> None:
    for text in TEXTS:
        explanation = predictor.explain(text)
        same_length = "zxqv " * len(predictor.encode([text])[0])
        (expected,) = difference(predictor, [same_length])
        assert explanation.baseline == pytest.approx(expected, abs=2e-5)


def test_unknown_words_and_no_words_explain_nothing(predictor: SentimentPredictor) -> None:
    for text in ("", "   ", "zxqv qqqq"):
        explanation = predictor.explain(text)
        assert len(explanation.words) == len(text.split())
        assert [word.contribution for word in explanation.words] == [0.0] * len(text.split())
        assert explanation.score == pytest.approx(explanation.baseline, abs=1e-6)


def test_offsets_are_of_the_text_as_it_is(predictor: SentimentPredictor) -> None:
    for text in TEXTS:
        end = 0
        for word in predictor.explain(text).words:
            assert end <= word.start < word.end
            assert text[word.start : word.end] == word.text != ""
            assert not re.search(r"\s", word.text)
            end = word.end
    found = predictor.explain("I LOVE it. It's gooood, don\u2019t miss 👍🏽 it!")
    words = [word.text for word in found.words]
    assert words[:6] == ["I", "LOVE", "it", "It", "'s", "gooood"]
    assert words[6:] == ["do", "n\u2019t", "miss", "👍", "it", "!"]
    # What the normalizer puts in the place of several characters has all of them.
    found = predictor.explain('It&#39;s (Oooooh--OOO) we&#39;ll, "good" don&#39;t')
    words = [word.text for word in found.words]
    assert words[:6] == ["It", "&#39;s", "Oooooh", "OOO", "we", "&#39;ll"]
    assert words[6:] == ["good", "do", "n&#39;t"]


def test_a_beginning_is_looked_for_nearby() -> None:
    """Else a text of brackets takes time by their square."""
    tried = []

    class Normalizer:
        def normalize_str(self, text: str) -> str:
            tried.append(text)
            return text

    class Backend:
        normalizer = Normalizer()
        pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    backend: Any = Backend()
    assert _beginning("(" * 10_000 + "oh", 10_000, 10_002, 0, backend) == 0, "one word from there"
    assert len(tried) == 1
    spaces = "( " * 5_000 + "(" * 200 + "oh"
    assert _beginning(spaces, len(spaces) - 2, len(spaces), 0, backend) == len(spaces) - 42
    assert len(tried) == 3


def test_an_explanation_is_always_the_same(predictor: SentimentPredictor) -> None:
    """Also among others, in inference mode, and when few are computed at once."""
    text = TEXTS[4]
    first = predictor.explain(text)
    for other in TEXTS:
        predictor.explain(other)
    predictor.predict(TEXTS)
    with torch.inference_mode():
        assert predictor.explain(text) == first
    with torch.no_grad():
        assert predictor.explain(text) == first
    predictor.batch_tokens = 7
    few = predictor.explain(text)
    for one, another in zip(first.words, few.words, strict=True):
        assert one.contribution == pytest.approx(another.contribution, abs=1e-5)
    assert all(parameter.grad is None for parameter in predictor.model.parameters())


def test_occlusion_leaves_out_each_word(predictor: SentimentPredictor) -> None:
    text = TEXTS[4]
    explanation = predictor.explain(text, method="occlusion")
    (whole,) = difference(predictor, [text])
    for word in explanation.words:
        (without,) = difference(predictor, [text[: word.start] + text[word.end :]])
        assert word.contribution == pytest.approx(whole - without, abs=2e-5)
    said = explanation.baseline + sum(word.contribution for word in explanation.words)
    assert explanation.rest == pytest.approx(explanation.score - said)


def test_running_scores_are_those_of_the_beginnings(predictor: SentimentPredictor) -> None:
    text = TEXTS[5]
    words = predictor.explain(text).words
    if predictor.model.config.bidirectional:
        assert {word.running_score for word in words} == {None}
        return
    expected = difference(predictor, [text[: word.end] for word in words])
    found = [word.running_score for word in words]
    np.testing.assert_allclose(np.array(found, dtype=float), expected, atol=2e-5)
    assert len(set(found)) > 5


def test_words_beyond_the_window_do_nothing(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.manual_seed(2)
    model = randomised(make_model(**PRESETS["tutorial"]))  # it reads eight words
    tokenizer = build_tokenizer(tokenizer.get_vocab(), unknown_to_pad=True)
    predictor = SentimentPredictor(model, tokenizer)
    words = predictor.explain("I love this lamp and the hinge snapped in a week, great").words
    assert [word.contribution != 0 for word in words] == [True] * 8 + [False] * 4
    assert len({word.running_score for word in words[7:]}) == 1
    words = predictor.explain("x " * 8 + "a great lamp").words
    assert {word.contribution for word in words[8:]} == {0.0}
    # Without an early word the ninth is read.
    occluded = predictor.explain("I love this lamp and the hinge snapped in", method="occlusion")
    assert abs(occluded.words[0].contribution) > 1e-3
    assert occluded.words[8].contribution == pytest.approx(0, abs=1e-6)


# --- what it finds -------------------------------------------------------------------------------


def test_top_words_move_the_score_more_than_random_ones(
    trained: SentimentPredictor, reviews: list[tuple[str, int]]
) -> None:
    """And not much less than those that matter most by leaving out each."""
    chance = random.Random(0)
    moved: dict[str, list[float]] = {"random": [], **{method: [] for method in METHODS}}
    for text, label in reviews[:10]:
        sign = 1 if label else -1
        for method, movements in moved.items():
            if method == "random":
                words = list(trained.explain(text).words)
                chance.shuffle(words)
            else:
                words = list(trained.explain(text, method=method).words)
                words.sort(key=lambda word: -sign * word.contribution)
            left = text
            for word in sorted(words[:3], key=lambda word: -word.start):
                left = left[: word.start] + left[word.end :]
            before, after = difference(trained, [text, left])
            movements.append(sign * (before - after))
    means = {name: float(np.mean(movements)) for name, movements in moved.items()}
    assert means["integrated_gradients"] > 3 * means["random"]
    assert means["integrated_gradients"] > 0.8 * means["occlusion"]


def test_top_words_are_those_that_the_reviews_taught(trained: SentimentPredictor) -> None:
    explanation = trained.explain("Great little lamp. The hinge snapped.")
    strength = {word.text: word.contribution for word in explanation.words}
    assert strength["Great"] > 0 > strength["hinge"]
    assert [word.contribution for word in explanation.top(2)] == sorted(
        strength.values(), key=abs, reverse=True
    )[:2]


def test_a_linear_score_is_explained_exactly() -> None:
    weights, vectors, baseline = torch.randn(3, 5, 4, dtype=torch.float64)
    found = integrated_gradients(lambda rows: (rows * weights).sum((1, 2)), vectors, baseline)
    torch.testing.assert_close(found, (weights * (vectors - baseline)).sum(-1))


@pytest.mark.parametrize("width", [0.3, 1e-2, 1e-4])
def test_the_way_is_cut_where_the_score_jumps(width: float) -> None:
    """Gradients at even distances would step over most of it, and find too much or too little."""
    asked: list[int] = []

    def score(rows: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return ((rows[:, 0, 0] - 0.7) / width).sigmoid() + rows[:, 1, 0] ** 2

    vectors = torch.ones(2, 1, dtype=torch.float64)
    found = integrated_gradients(score, vectors, torch.zeros_like(vectors))
    start, end = score(torch.stack([torch.zeros_like(vectors), vectors]))
    torch.testing.assert_close(found.sum(), end - start)
    torch.testing.assert_close(
        found, torch.stack([end - start - 1, end - end + 1]), rtol=0.01, atol=0
    )
    assert sum(asked) < 300


def test_words_that_cancel_each_other_out_are_explained() -> None:
    vectors = torch.ones(2, 1, dtype=torch.float64)
    found = integrated_gradients(
        lambda rows: rows[:, 0, 0] ** 2 - rows[:, 1, 0] ** 3, vectors, torch.zeros_like(vectors)
    )
    torch.testing.assert_close(found, torch.tensor([1.0, -1.0]).double(), rtol=0.01, atol=0)
    assert float(found.sum()) == pytest.approx(0, abs=1e-12)


def test_what_never_adds_up_is_an_error() -> None:
    def jump(rows: torch.Tensor) -> torch.Tensor:  # which no gradient sees
        return (rows[:, 0, 0] > 0.3).double() + 0 * rows.sum((1, 2))

    vectors = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"do not add up: 1.000 of \+1.000 is missing"):
        integrated_gradients(jump, vectors, torch.zeros_like(vectors))


# --- other models --------------------------------------------------------------------------------

STARS = {0: "one", 1: "three", 2: "five"}


@pytest.mark.parametrize(
    "problem", ["single_label_classification", "multi_label_classification", "regression"]
)
def test_any_labels(
    problem: str, make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.manual_seed(1)
    model = randomised(make_model(id2label=STARS, problem_type=problem))
    predictor = SentimentPredictor(model, tokenizer)
    text = TEXTS[4]
    (prediction,) = predictor.predict([text])
    assert predictor.explain(text).label == prediction.label
    for index, name in STARS.items():
        explanation = predictor.explain(text, label=name)
        assert explanation.label == name
        probability = float(prediction.probabilities[index])
        score = torch.tensor(explanation.score, dtype=torch.float64)
        said = score if problem == "regression" else score.sigmoid()
        assert float(said) == pytest.approx(probability, abs=1e-5)
        assert explanation.rest == pytest.approx(0, abs=1e-6)


def test_pieces_of_a_word_are_one_word() -> None:
    tokenizer = train_tokenizer(
        ["good lamp lamps lamping sooo good good lamp"], vocab_size=4, max_word_pieces=20
    )
    config = SentimentLSTMConfig(vocab_size=len(tokenizer), embedding_size=4, hidden_size=4)
    torch.manual_seed(0)
    model = randomised(SentimentLSTMForSequenceClassification(config))
    predictor = SentimentPredictor(model, tokenizer)
    text = "lamping Lamps, good"
    assert len(predictor.encode([text])[0]) > 3
    explanation = predictor.explain(text)
    assert [word.text for word in explanation.words] == ["lamping", "Lamps", "good"]
    assert explanation.rest == pytest.approx(0, abs=1e-6)


def test_words_of_nltk_are_where_they_stand(make_model: MakeModel) -> None:
    text = 'He said "no" to www.example.com, I can\'t ... 1,000.5 Mr. X.'
    tokenizer = train_tokenizer([text], words="nltk")
    model = randomised(make_model(vocab_size=len(tokenizer), bidirectional=False))
    explanation = SentimentPredictor(model, tokenizer).explain(text)
    words = [word.text for word in explanation.words]
    assert words[:6] == ["He", "said", '"', "no", '"', "to"]
    assert words[6:11] == ["www.example.com", ",", "I", "ca", "n't"]
    for word in explanation.words:
        assert text[word.start : word.end] == word.text
    assert explanation.rest == pytest.approx(0, abs=1e-6)
    assert explanation.words[-1].running_score == pytest.approx(explanation.score, abs=1e-5)


def test_a_transformer_is_explained_too() -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "lamp"]
    vocabulary = {word: index for index, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]"
    )
    config = DistilBertConfig(vocab_size=7, dim=8, hidden_dim=8, n_layers=1, n_heads=2)
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    explanation = SentimentPredictor(model, tokenizer).explain("good lamp")
    assert [word.text for word in explanation.words] == ["good", "lamp"]
    assert explanation.rest == pytest.approx(0, abs=1e-6)
    assert explanation.words[0].running_score is None


# --- what cannot be explained --------------------------------------------------------------------


def test_what_cannot_be_explained_is_said(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = make_model()
    predictor = SentimentPredictor(model, tokenizer)
    text: Any = ["a", "list"]
    with pytest.raises(TypeError, match="is list, not str"):
        predictor.explain(text)
    with pytest.raises(ValueError, match="there is no label 'GOOD'; use one of NEGATIVE, POSITIVE"):
        predictor.explain("fine", label="GOOD")
    with pytest.raises(ValueError, match="method is 'lime'; use one of integrated_gradients, occl"):
        predictor.explain("fine", method="lime")
    with pytest.raises(ValueError, match="lone surrogate"):
        predictor.explain("fine \ud800")
    with pytest.raises(ValueError, match="has 5001 words, and at most 5000 can be explained"):
        predictor.explain("lamp " * 5_001)
    nameless = deepcopy(tokenizer)
    nameless.backend_tokenizer.model = models.WordLevel(tokenizer.get_vocab(), unk_token="gone")
    with pytest.raises(ValueError, match="no unknown word"):
        SentimentPredictor(model, nameless).explain("lamp")
    with pytest.raises(ValueError, match=r"computes in torch\.bfloat16"):
        SentimentPredictor(model.bfloat16(), tokenizer).explain("fine")


def test_a_low_precision_predictor_explains_its_model(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = randomised(make_model())
    exact = SentimentPredictor(model, tokenizer).explain(TEXTS[4])
    fast = SentimentPredictor(model, tokenizer, low_precision=True).explain(TEXTS[4])
    assert fast == exact


# --- how it looks --------------------------------------------------------------------------------

EVIL = '<script>alert("1")</script> & \x1b[31mred\u202e bad'


def made_up(text: str, *words: tuple[str, float], label: str = "POSITIVE") -> Explanation:
    found, end = [], 0
    for word, contribution in words:
        start = text.index(word, end)
        end = start + len(word)
        found.append(Word(start, end, word, contribution))
    total = 0.5 + sum(contribution for _, contribution in words)
    return Explanation(text, tuple(found), label, total, 0.5, "integrated_gradients", label)


def test_the_text_is_plain_without_colour() -> None:
    text = made_up("Not a bad lamp.", ("Not", 1.25), ("bad", -2.0), ("lamp", 0.01)).to_text()
    assert text == (
        "POSITIVE. Score of POSITIVE: -0.24, of which +0.50 without words, -0.74 for the words\n"
        "\nNot a bad lamp.\n\n    -2.00  bad\n    +1.25  Not\n    +0.01  lamp\n"
    )


def test_colours_follow_sign_and_strength() -> None:
    text = made_up("Not a bad lamp.", ("Not", 1.25), ("bad", -2.0), ("lamp", 0.01)).to_text(
        colour=True
    )
    line = text.splitlines()[2]
    assert line == "\x1b[30;48;5;111mNot\x1b[0m a \x1b[30;48;5;209mbad\x1b[0m lamp."


def test_a_text_commands_no_terminal() -> None:
    explanation = made_up(EVIL, ("[31mred\u202e", 1.0), label="\x1b[2JGOOD")
    for colour in (False, True):
        text = explanation.to_text(colour=colour)
        assert "\u202e" not in text
        assert re.findall("\x1b[^m]*m", text) == ["\x1b[30;48;5;69m", "\x1b[0m"] * colour
        assert text.count("\x1b") == 2 * colour


def test_a_page_holds_no_more_than_words() -> None:
    explanation = made_up(EVIL, ("alert", 1.0), ('"', -0.5), ("bad", 0.01), label='<i>"')
    for page in (explanation.to_html(), explanation._repr_html_(), html_page([explanation] * 2)):
        tags = {"html", "head", "meta", "title", "body", "h1", "section", "p", "span", "DOCTYPE"}
        assert set(re.findall(r"<(\w+)", page)) <= tags
        assert "&lt;script&gt;" in page
        assert not re.search("https?:|src=|href=|\x1b|\u202e", page)
        assert 'title="+1.000" style="background:rgba(0,114,178,0.70)">alert<' in page
        assert 'title="-0.500" style="background:rgba(213,94,0,0.35)">&quot;<' in page
        assert 'title="+0.010">bad<' in page
    assert html_page([explanation] * 2).count("<section") == 2
    assert html_page([]).startswith("<!DOCTYPE html>")


def test_json_holds_everything(trained: SentimentPredictor) -> None:
    explanation = trained.explain(TEXTS[4])
    values = json.loads(json.dumps(explanation.to_dict()))
    values["words"] = tuple(Word(**word) for word in values["words"])
    assert Explanation(**values) == explanation


def test_explain_is_what_the_predictor_calls(trained: SentimentPredictor) -> None:
    found = explain(
        trained.model, trained.tokenizer, trained._backend, TEXTS[4], predicted="POSITIVE"
    )
    assert found.words == trained.explain(TEXTS[4]).words
