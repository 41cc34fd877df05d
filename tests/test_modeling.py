"""The laws of the model: padding, loading, losses, precisions, pieces."""

from collections.abc import Callable
from itertools import pairwise
from logging import Logger
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import DEFAULT_PRESETS, EVERY_POOLING, PRESETS, TUTORIAL_PRESET, randomised
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification

from sentiment_lstm import (
    SentimentLSTMConfig,
    SentimentLSTMForSequenceClassification,
    SentimentLSTMModel,
    modeling_sentiment_lstm,
)

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]


each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
each_default_preset = pytest.mark.parametrize(
    "preset", DEFAULT_PRESETS.values(), ids=DEFAULT_PRESETS.keys()
)

LENGTHS = [9, 4, 0, 1, 7]


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and mask, with an empty review among them."""
    ids = torch.randint(2, 40, (len(LENGTHS), max(LENGTHS)))
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    return ids * mask, mask


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def in_dtype(model: Any, dtype: torch.dtype) -> SentimentLSTMForSequenceClassification:
    """The model in another precision (transformers' annotation of `to` confuses mypy)."""
    converted: SentimentLSTMForSequenceClassification = model.to(dtype)
    return converted


# --- padding -------------------------------------------------------------------------------------


@each_preset
def test_logits_do_not_depend_on_padding_or_batch_mates(
    preset: dict[str, Any], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = randomised(make_model(**preset))
    ids, mask = batch
    more = torch.full((len(LENGTHS), 6), 17)  # padding need not be made of pad tokens
    nothing = torch.zeros_like(more)
    with torch.no_grad():
        expected = model(ids, mask).logits
        left = model(torch.cat([more, ids], 1), torch.cat([nothing, mask], 1)).logits
        right = model(torch.cat([ids, more], 1), torch.cat([mask, nothing], 1)).logits
        reversed_batch = model(ids.flip(0), mask.flip(0)).logits.flip(0)
        alone = torch.cat(
            [model(row[None, :length]).logits for row, length in zip(ids, LENGTHS, strict=True)]
        )
    for logits in (left, right, reversed_batch, alone):
        torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-5)
    distinct = expected[:, 1] - expected[:, 0]
    assert len(distinct.unique()) == len(LENGTHS), "the reviews must differ for this to mean much"


@each_default_preset
def test_padding_between_words_is_skipped(preset: dict[str, Any], make_model: MakeModel) -> None:
    model = randomised(make_model(**preset))
    with torch.no_grad():
        gaps = model(torch.tensor([[5, 0, 0, 6, 0, 7]]), torch.tensor([[1, 0, 0, 1, 0, 1]]))
        plain = model(torch.tensor([[5, 6, 7]]))
    torch.testing.assert_close(gaps.logits, plain.logits)


@each_default_preset
def test_states_stand_where_the_words_stood_and_are_zero_at_padding(
    preset: dict[str, Any], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    backbone = randomised(make_model(**preset)).model
    ids, mask = batch
    with torch.no_grad():
        right = backbone(ids, mask, output_hidden_states=True)
        left = backbone(ids.roll(0), mask)
        shifted = backbone(
            torch.cat([torch.zeros_like(ids), ids], 1),
            torch.cat([torch.zeros_like(mask), mask], 1),
        )
    torch.testing.assert_close(shifted.last_hidden_state[:, ids.shape[1] :], left[0])
    for states in right.hidden_states:
        assert (states[mask == 0] == 0).all()
        assert (states[mask == 1] != 0).any(-1).all()


@each_default_preset
def test_an_empty_review_gets_the_bias_of_the_classifier(
    preset: dict[str, Any], make_model: MakeModel
) -> None:
    model = randomised(make_model(**preset))
    with torch.no_grad():
        padded = model(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3)).logits
        # Of length 0 and float, as tokenizers return an empty text.
        nothing = model(torch.zeros(1, 0), torch.zeros(1, 0))
    torch.testing.assert_close(padded[0], model.classifier.bias.detach())
    torch.testing.assert_close(nothing.logits, padded)


@each_preset
def test_gradients_of_empty_reviews_are_finite(
    preset: dict[str, Any], make_model: MakeModel
) -> None:
    model = make_model(**preset).train()
    model(torch.zeros(2, 3).long(), torch.zeros(2, 3), labels=torch.tensor([0, 1])).loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_the_tutorial_preset_pads_like_pad_input(make_model: MakeModel) -> None:
    model = randomised(make_model(**TUTORIAL_PRESET))
    size = TUTORIAL_PRESET["pad_to_length"]
    short, long = torch.tensor([[5, 6, 7]]), torch.arange(2, 15)[None]
    padded = nn.functional.pad(short, (size - 3, 0))
    with torch.no_grad():
        torch.testing.assert_close(model(short).logits, model(padded).logits)
        torch.testing.assert_close(model(long).logits, model(long[:, :size]).logits)
        # Padding is read: a review of nothing but padding has states of its own.
        states = model.model(padded).last_hidden_state
    assert (states != 0).any(-1).all()


@each_preset
def test_ids_and_their_embeddings_give_the_same(
    preset: dict[str, Any], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = randomised(make_model(**preset))
    ids, mask = batch[0].flip(1), batch[1].flip(1)
    with torch.no_grad():
        vectors = model.get_input_embeddings()(ids)
        torch.testing.assert_close(
            model(inputs_embeds=vectors, attention_mask=mask).logits, model(ids, mask).logits
        )


# --- pieces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(3,), (1, 2, 7), (0, 4, 4), (8,)])
def test_pieces_give_the_states_and_logits_of_the_whole(
    cuts: tuple[int, ...], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = randomised(make_model(bidirectional=False, num_hidden_layers=2, pooling=EVERY_POOLING))
    ids, mask = batch
    edges = [0, *cuts, ids.shape[1]]
    state, states = None, []
    with torch.no_grad():
        whole = model(ids, mask, output_hidden_states=True)
        for start, end in pairwise(edges):
            piece = model(
                ids[:, start:end],
                mask[:, start:end],
                state=state,
                use_cache=True,
                output_hidden_states=True,
            )
            state = piece.state
            states.append(piece.hidden_states[-1])
    torch.testing.assert_close(piece.logits, whole.logits, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(torch.cat(states, 1), whole.hidden_states[-1], atol=1e-6, rtol=1e-5)


def test_pieces_without_padding_give_the_logits_of_the_whole(make_model: MakeModel) -> None:
    model = randomised(make_model(bidirectional=False, num_hidden_layers=2, pooling=EVERY_POOLING))
    ids = torch.randint(2, 40, (3, 9))
    with torch.no_grad():
        first = model(ids[:, :4], use_cache=True)
        second = model(ids[:, 4:], state=first.state, use_cache=True)
        torch.testing.assert_close(second.logits, model(ids).logits, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("preset", [{}, TUTORIAL_PRESET], ids=["two directions", "tutorial"])
def test_who_cannot_read_in_pieces_says_so(preset: dict[str, Any], make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="one direction"):
        make_model(**preset)(torch.tensor([[5, 6]]), use_cache=True)


# --- any length ----------------------------------------------------------------------------------

DEEP = {"num_hidden_layers": 3, "pooling": EVERY_POOLING}
# As `PRESETS`, and what differs where texts are cut: where the directions of layers meet.
LARGE_PRESETS = PRESETS | {"three layers": DEEP, "one way": DEEP | {"bidirectional": False}}
each_large_preset = pytest.mark.parametrize(
    "preset", LARGE_PRESETS.values(), ids=LARGE_PRESETS.keys()
)


@pytest.fixture
def cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[int]]:
    """A function that makes a model take 11 words at once, or pieces of 2 of what is more.

    It returns a list of how many words, padding included, each call of a layer gets from then on,
    and each of the embedding and the pooling.
    """

    def cut(model: Any) -> list[int]:
        step = (4 * model.model.layers[0].forward_lstm.hidden_size + 28) * 4
        monkeypatch.setattr(modeling_sentiment_lstm, "_LARGEST_RUN", 12 * step)
        monkeypatch.setattr(modeling_sentiment_lstm, "_PIECE", 2 * step)
        sizes: list[int] = []
        for module in model.modules():
            if isinstance(module, (nn.LSTM, nn.Embedding, type(model.model.pooler))):
                module.register_forward_pre_hook(
                    lambda _, inputs: sizes.append(inputs[0].shape[:2].numel())
                )
        # With other weights than its own a layer is not called by itself.
        run = torch.lstm

        def counting(*args: Any) -> Any:
            sizes.append(args[0].shape[:2].numel())
            return run(*args)

        monkeypatch.setattr(torch, "lstm", counting)
        return sizes

    return cut


@each_large_preset
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_text_of_any_length_is_read_in_pieces(
    preset: dict[str, Any],
    dtype: torch.dtype,
    make_model: MakeModel,
    cut_into_pieces: Callable[[Any], list[int]],
) -> None:
    """The logits are those of reading at once, and nothing is ever as large as the text."""
    model = in_dtype(randomised(make_model(**preset)), dtype)
    ids = torch.randint(2, 40, (6, 25))
    lengths = torch.tensor([25, 3, 0, 14, 11, 1])
    right = torch.arange(25) < lengths[:, None]
    holes = (torch.rand(6, 25) < 0.8) & right
    with torch.no_grad():
        vectors = model.get_input_embeddings()(ids)
        cases: list[dict[str, torch.Tensor]] = [
            {"input_ids": ids, "attention_mask": right},
            {"input_ids": ids, "attention_mask": right.flip(1)},
            {"input_ids": ids, "attention_mask": holes},
            {"input_ids": ids[:1]},
            {"input_ids": ids, "attention_mask": torch.zeros_like(ids)},
            {
                "inputs_embeds": vectors.masked_fill(~holes.unsqueeze(-1), torch.nan),
                "attention_mask": holes,
            },
        ]
        expected = [model(**case).logits for case in cases]
        sizes = cut_into_pieces(model)
        found = [model(**case).logits for case in cases]
    tolerance = 0.06 if dtype is torch.bfloat16 else 1e-5
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    assert max(sizes) < 12
    assert 2 in sizes or "pad_to_length" in preset, "something must have been cut"


@each_large_preset
def test_states_of_any_length_are_those_of_reading_at_once(
    preset: dict[str, Any],
    make_model: MakeModel,
    batch: tuple[torch.Tensor, torch.Tensor],
    cut_into_pieces: Callable[[Any], list[int]],
) -> None:
    model = randomised(make_model(**preset))
    with torch.no_grad():
        expected = model(*batch, output_hidden_states=True)
        last = model.model(*batch).last_hidden_state
        sizes = cut_into_pieces(model)
        found = model(*batch, output_hidden_states=True)
        torch.testing.assert_close(model.model(*batch).last_hidden_state, last)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-6, rtol=1e-5)
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert len(batch[0]) in sizes, "a layer must have been run step by step"


@each_large_preset
def test_training_takes_texts_of_any_length(
    preset: dict[str, Any],
    make_model: MakeModel,
    batch: tuple[torch.Tensor, torch.Tensor],
    cut_into_pieces: Callable[[Any], list[int]],
) -> None:
    """Loss and gradients are those of reading at once, with the same weights dropped."""
    # Which states are dropped from between layers depends on how they lie in memory.
    dropouts = {"weight_dropout": 0.3, "word_dropout": 0.1, "hidden_dropout": 0.0}
    model = randomised(make_model(**dropouts, **preset)).train()
    labels = torch.tensor([0, 1, 1, 0, 1])

    def gradients() -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model.zero_grad()
        loss = model(*batch, labels=labels).loss
        loss.backward()
        found = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        return found | {"loss": loss.detach()}

    expected = gradients()
    sizes = cut_into_pieces(model)
    for name, gradient in gradients().items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)
    assert len(batch[0]) in sizes, "a layer must have been run step by step"


def test_under_autocast_a_text_of_any_length_is_read(
    make_model: MakeModel, cut_into_pieces: Callable[[Any], list[int]]
) -> None:
    model = randomised(make_model(num_hidden_layers=2, pooling=EVERY_POOLING))
    ids = torch.randint(2, 40, (2, 25))
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(ids, labels=torch.tensor([0, 1]))
        cut_into_pieces(model)
        found = model(ids, labels=torch.tensor([0, 1]))
        with torch.no_grad():
            pooled = model(ids).logits
    torch.testing.assert_close(found.logits, expected.logits, atol=0.06, rtol=0.06)
    torch.testing.assert_close(pooled, expected.logits, atol=0.06, rtol=0.06)
    found.loss.backward()


def test_more_words_than_a_layer_of_onednn_can_take(make_model: MakeModel) -> None:
    """Gates of 2 GiB, at which it fails. The last state has long forgotten the first words."""
    model = make_model(hidden_size=64, embedding_size=4, bidirectional=False, pooling="last")
    words = 2**21 + 1
    assert words * 4 * 64 * 4 > 2**31
    ids = torch.randint(2, 40, (1, words))
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, model(ids[:, -5000:]).logits)


# --- loading, saving, initialisation -------------------------------------------------------------


@each_preset
def test_save_and_load_give_the_same_logits(
    preset: dict[str, Any],
    make_model: MakeModel,
    batch: tuple[torch.Tensor, torch.Tensor],
    tmp_path: Path,
) -> None:
    model = randomised(make_model(**preset))
    model.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".py", ".safetensors"}
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is SentimentLSTMForSequenceClassification
    backbone = AutoModel.from_pretrained(tmp_path)
    assert type(backbone) is SentimentLSTMModel
    for one, other in ((loaded, model), (backbone, model.model)):
        kept, saved = one.state_dict(), other.state_dict()
        assert kept.keys() == saved.keys()
        assert all(torch.equal(kept[name], saved[name]) for name in kept)
    # A CPU may add up in another order where memory begins elsewhere.
    near: Any = {"rtol": 0, "atol": 1e-6}
    with torch.no_grad():
        torch.testing.assert_close(loaded(*batch).logits, model(*batch).logits, **near)
        pooled = model.model(*batch).pooler_output
        torch.testing.assert_close(backbone(*batch).pooler_output, pooled, **near)


def test_initialisation_is_that_of_the_table(make_model: MakeModel) -> None:
    model = make_model(embedding_size=64, hidden_size=64, pooling="attention", vocab_size=2000)
    embeddings = model.model.embeddings.weight.detach()
    assert (embeddings[0] == 0).all()
    assert embeddings[1:].std() == pytest.approx(0.1, rel=0.05)
    lstm = model.model.layers[0].forward_lstm
    units = lstm.hidden_size
    for gate, weight in enumerate(lstm.weight_hh_l0.detach().chunk(4)):
        torch.testing.assert_close(weight @ weight.T, torch.eye(units), atol=1e-5, rtol=0)
        bias = lstm.bias_ih_l0.detach().chunk(4)[gate]
        assert (bias == (1.0 if gate == 1 else 0.0)).all()
    limit = (6 / (64 + units)) ** 0.5
    assert 0.95 * limit < lstm.weight_ih_l0.abs().max() <= limit
    assert (lstm.bias_hh_l0 == 0).all()
    assert (model.model.pooler.attention == 0).all()
    assert (model.classifier.bias == 0).all()


def test_the_tutorial_preset_starts_as_torch_does(make_model: MakeModel) -> None:
    """`initialization="torch"` draws what torch's own layers would have drawn."""
    model = make_model(initialization="torch", bidirectional=False, pooling="last")
    for ours, fresh in [
        (model.model.layers[0].forward_lstm, lambda: torch.nn.LSTM(12, 16, batch_first=True)),
        (model.classifier, lambda: torch.nn.Linear(16, 2)),
    ]:
        torch.manual_seed(3)
        expected = fresh().state_dict()
        torch.manual_seed(3)
        for parameter in ours.parameters():
            parameter._is_hf_initialized = False
        model._init_weights(ours)
        for name, weight in ours.state_dict().items():
            torch.testing.assert_close(weight, expected[name])
    assert SentimentLSTMConfig.tutorial().initialization == "torch"


def test_missing_weights_are_initialised_and_the_rest_kept(
    make_model: MakeModel, tmp_path: Path
) -> None:
    model = randomised(make_model())
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    missing = [
        "model.layers.0.forward_lstm.weight_hh_l0",
        "model.layers.0.backward_lstm.bias_ih_l0",
    ]
    for name in missing:
        del weights[name]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    result: Any = SentimentLSTMForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    loaded, report = result
    assert set(report["missing_keys"]) == set(missing)
    for name, weight in loaded.state_dict().items():
        if name not in missing:
            assert torch.equal(weight, weights[name]), name
    first = loaded.model.layers[0]
    for weight in first.forward_lstm.weight_hh_l0.detach().chunk(4):
        torch.testing.assert_close(weight @ weight.T, torch.eye(8), atol=1e-5, rtol=0)
    assert first.backward_lstm.bias_ih_l0.detach().chunk(4)[1].eq(1).all()


def test_corrupted_weights_raise(make_model: MakeModel, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Exception, match=r"(?i)safetensor|incomplete|invalid"):
        SentimentLSTMForSequenceClassification.from_pretrained(tmp_path)


def test_another_number_of_labels_takes_a_new_head(make_model: MakeModel, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    loaded = SentimentLSTMForSequenceClassification.from_pretrained(
        tmp_path, id2label={0: "a", 1: "b", 2: "c"}, ignore_mismatched_sizes=True
    )
    assert loaded(torch.tensor([[5, 6]])).logits.shape == (1, 3)


@pytest.mark.parametrize("first", ["classifier", "backbone"])
def test_a_new_head_forgets_the_temperature_of_the_old_one(
    first: str, make_model: MakeModel, tmp_path: Path
) -> None:
    saved = make_model(temperature=2.5)
    (saved if first == "classifier" else saved.model).save_pretrained(tmp_path)

    def temperature(**options: Any) -> Any:
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, **options)
        return loaded.config.temperature

    other = {"num_labels": 5, "ignore_mismatched_sizes": True}
    assert temperature() == (2.5 if first == "classifier" else 1)
    assert temperature(**other) == 1
    result: Any = SentimentLSTMForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True, **other
    )
    assert result[0].config.temperature == 1
    assert "missing_keys" in result[1]


def test_embeddings_can_be_resized(make_model: MakeModel) -> None:
    model = make_model()
    before = model.model.embeddings.weight.detach().clone()
    model.resize_token_embeddings(len(before) + 5)
    assert model.config.vocab_size == len(before) + 5
    assert torch.equal(model.model.embeddings.weight[: len(before)], before)
    assert model(torch.tensor([[len(before) + 4]])).logits.isfinite().all()


# --- outputs and losses --------------------------------------------------------------------------


@each_preset
def test_outputs_are_the_standard_ones(
    preset: dict[str, Any], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = make_model(**preset)
    ids, mask = batch
    labels = torch.ones(len(ids), dtype=torch.long)
    output = model(ids, mask, labels=labels, output_hidden_states=True)
    length = preset.get("pad_to_length", ids.shape[1])
    assert output.logits.shape == (len(ids), 2)
    assert len(output.hidden_states) == 1 + preset.get("num_hidden_layers", 1)
    assert output.hidden_states[0].shape == (len(ids), length, 12)
    assert output.hidden_states[-1].shape == (len(ids), length, 16)
    as_tuple = model(ids, mask, labels=labels, output_hidden_states=True, return_dict=False)
    assert torch.equal(as_tuple[0], output.loss)
    assert torch.equal(as_tuple[1], output.logits)
    model.config.return_dict = False
    assert torch.equal(model(ids, mask)[0], output.logits)


def test_what_other_models_take_changes_nothing_and_is_warned_about(
    make_model: MakeModel,
    batch: tuple[torch.Tensor, torch.Tensor],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What PEFT, say, passes to every classifier."""
    Logger.warning_once.cache_clear()  # type: ignore[attr-defined] # of transformers
    model = randomised(make_model())
    ids, mask = batch
    for part in (model, model.model):
        expected = part(ids, mask)[0]
        silent = part(
            ids,
            mask,
            token_type_ids=torch.zeros_like(ids),
            output_attentions=False,
            head_mask=None,
        )
        assert torch.equal(silent[0], expected)
        assert caplog.text == ""
    for _ in range(2):
        output = model(ids, mask, output_attentions=True, position_ids=torch.zeros_like(ids))
        assert torch.equal(output.logits, model(ids, mask).logits)
        assert output.attentions is None
    for name in ("output_attentions", "position_ids"):
        assert caplog.text.count(f"ignores `{name}`") == 1


def test_losses_are_those_of_the_problem_types(
    make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    ids, mask = batch
    classes = torch.tensor([0, 2, 1, 1, 0])
    several = torch.rand(5, 3).round()
    numbers = torch.rand(5)
    cases: list[tuple[dict[str, Any], torch.Tensor, nn.Module]] = [
        ({"num_labels": 3}, classes, nn.CrossEntropyLoss()),
        ({"num_labels": 3}, several, nn.BCEWithLogitsLoss()),
        ({"num_labels": 3, "problem_type": "regression"}, several, nn.MSELoss()),
    ]
    for fields, labels, loss in cases:
        output = randomised(make_model(**fields))(ids, mask, labels=labels)
        torch.testing.assert_close(output.loss, loss(output.logits, labels))
    output = make_model(num_labels=1)(ids, mask, labels=numbers)
    torch.testing.assert_close(output.loss, nn.MSELoss()(output.logits[:, 0], numbers))


def test_a_single_logit_is_a_sigmoid(
    make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = randomised(make_model(**TUTORIAL_PRESET))
    labels = torch.tensor([0, 1, 1, 0, 1])
    output = model(*batch, labels=labels)
    logit = output.logits[:, 1]
    assert (output.logits[:, 0] == 0).all()
    torch.testing.assert_close(output.logits.softmax(-1)[:, 1], logit.sigmoid())
    expected = nn.BCELoss()(logit.sigmoid(), labels.float())
    torch.testing.assert_close(output.loss, expected)


@each_preset
def test_training_moves_every_parameter(
    preset: dict[str, Any], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = randomised(make_model(**preset)).train()
    ids, mask = batch
    model(ids, mask, labels=torch.tensor([0, 1, 1, 0, 1])).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_dropout_acts_in_training_only(
    make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    names = [
        "embedding_dropout",
        "hidden_dropout",
        "classifier_dropout",
        "word_dropout",
        "weight_dropout",
    ]
    for name in names:
        off = dict.fromkeys(names, 0.0) | {"num_hidden_layers": 2}
        model = randomised(make_model(**(off | {name: 0.5})))
        assert torch.equal(model(*batch).logits, model(*batch).logits)
        model.train()
        assert not torch.equal(model(*batch).logits, model(*batch).logits), name


@pytest.mark.parametrize(("shared", "constant"), [(1, 1), (-1, 2), (None, None)])
def test_dropout_is_shared_along_one_dimension(shared: int | None, constant: int | None) -> None:
    dropped = modeling_sentiment_lstm.SentimentLSTMDropout(0.25, shared)(torch.ones(40, 30, 50))
    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert dropped.mean() == pytest.approx(1.0, abs=0.05), "the mean is kept"
    for dimension in (1, 2):
        is_constant = bool((dropped.amax(dimension) == dropped.amin(dimension)).all())
        assert is_constant == (dimension == constant)


def test_temperature_divides_the_logits(
    make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model = randomised(make_model())
    logits = model(*batch).logits
    model.config.temperature = 2.5
    torch.testing.assert_close(model(*batch).logits, logits / 2.5)


# --- precision, tracing --------------------------------------------------------------------------


@each_preset
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_close_to_fp32(
    preset: dict[str, Any],
    dtype: torch.dtype,
    make_model: MakeModel,
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    model = randomised(make_model(**preset))
    with torch.no_grad():
        expected = model(*batch).logits
        logits = in_dtype(model, dtype)(*batch).logits
    assert logits.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, atol=0.06, rtol=0.06)


def test_without_a_bf16_kernel_the_layers_run_in_fp32(
    make_model: MakeModel,
    batch: tuple[torch.Tensor, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = in_dtype(randomised(make_model()), torch.bfloat16)
    seen: list[torch.dtype] = []
    run = torch.lstm

    def seeing(*args: Any) -> Any:
        seen.append(args[0].dtype)
        return run(*args)

    monkeypatch.setattr(torch, "lstm", seeing)
    monkeypatch.setattr(modeling_sentiment_lstm, "_CPU_DTYPES", {torch.float32})
    logits = model(*batch).logits
    assert seen == [torch.float32] * 2
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()
    logits.sum().backward()
    assert model.model.layers[0].forward_lstm.weight_hh_l0.grad is not None


@pytest.mark.filterwarnings("ignore:_check_is_size:FutureWarning")  # torch's own, in its loop
@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")
@each_preset
def test_export_gives_the_same_for_other_sizes(
    preset: dict[str, Any], make_model: MakeModel, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    # Plain export unrolls an LSTM to the example's length (pytorch issue 115092).
    patches = pytest.importorskip("torch.export._patches", reason="torch 2.11 has it")
    model = randomised(make_model(**preset))
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("sequence", min=1)}
    example = (torch.randint(2, 40, (2, 5)), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    with patches.register_lstm_while_loop_decomposition(), torch.no_grad():
        exported = torch.export.export(
            model, example, dynamic_shapes={"input_ids": sizes, "attention_mask": sizes}
        ).module()
        for ids, mask in (batch, (batch[0].flip(1), batch[1].flip(1))):
            torch.testing.assert_close(
                exported(ids, mask).logits, model(ids, mask).logits, atol=1e-6, rtol=1e-5
            )


# --- errors --------------------------------------------------------------------------------------


def test_wrong_inputs_are_named(make_model: MakeModel) -> None:
    model = make_model()
    ids = torch.tensor([[5, 6]])
    with pytest.raises(ValueError, match="either `input_ids` or `inputs_embeds`"):
        model()
    with pytest.raises(ValueError, match="either `input_ids` or `inputs_embeds`"):
        model(ids, inputs_embeds=torch.zeros(1, 2, 12))
    with pytest.raises(ValueError, match=r"`attention_mask` is \(1, 3\), the input \(1, 2\)"):
        model(ids, torch.ones(1, 3))


def test_config_and_model_agree_on_sizes() -> None:
    config = SentimentLSTMConfig(vocab_size=50, hidden_size=10, pooling="max+mean")
    model = SentimentLSTMForSequenceClassification(config)
    assert model.classifier.in_features == 2 * config.hidden_size
    assert model.model(torch.tensor([[3, 4]])).pooler_output.shape == (1, 20)
