"""The laws that transformers' own test suite demands of every model, for both presets."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support import EVERY_POOLING, PRESETS, TUTORIAL_PRESET, randomised
from transformers import AutoModel, AutoModelForSequenceClassification

from sentiment_lstm import SentimentLSTMForSequenceClassification, SentimentLSTMModel

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())

IDS = torch.tensor([[5, 6, 7, 8, 9], [0, 4, 0, 3, 17], [12, 13, 0, 0, 0], [0, 0, 0, 0, 0]])
# Right-padded, with holes and padding in front, right-padded, empty.
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
RIGHT_PADDED = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
each_mask = pytest.mark.parametrize("mask", [MASK, RIGHT_PADDED], ids=["holes", "right-padded"])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(IDS, MASK).logits
    return logits


# --- saving and loading --------------------------------------------------------------------------


@each_preset
@pytest.mark.parametrize("max_shard_size", ["5GB", "1KB"])
def test_a_saved_model_is_the_same_model(
    preset: dict[str, Any], max_shard_size: str, make_model: MakeModel, tmp_path: Path
) -> None:
    model = randomised(make_model(**preset))
    model.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    shards = sorted(tmp_path.glob("model*.safetensors"))
    assert (len(shards) > 1) == (max_shard_size == "1KB")
    assert not list(tmp_path.glob("*.bin"))
    saved = {name: weight for shard in shards for name, weight in load_file(shard).items()}
    assert saved.keys() == model.state_dict().keys()

    result: Any = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    loaded, report = result
    assert not any(report.values())
    assert not loaded.training
    assert torch.equal(logits_of(loaded), logits_of(model))
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, saved[name]), name


@each_preset
def test_backbone_and_classifier_load_each_others_weights(
    preset: dict[str, Any], make_model: MakeModel, tmp_path: Path
) -> None:
    model = randomised(make_model(**preset))
    model.save_pretrained(tmp_path / "classifier")
    backbone = AutoModel.from_pretrained(tmp_path / "classifier")
    assert type(backbone) is SentimentLSTMModel
    with torch.no_grad():
        expected = model.model(IDS, MASK).pooler_output
        assert torch.equal(backbone(IDS, MASK).pooler_output, expected)
    backbone.save_pretrained(tmp_path / "backbone")
    result: Any = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "backbone", output_loading_info=True
    )
    again, report = result
    assert report["missing_keys"] == {"classifier.weight", "classifier.bias"}
    with torch.no_grad():
        assert torch.equal(again.model(IDS, MASK).pooler_output, expected)


def test_weights_of_another_size_are_refused_unless_that_is_wanted(
    make_model: MakeModel, tmp_path: Path
) -> None:
    model = randomised(make_model())
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    loaded = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, num_labels=3, ignore_mismatched_sizes=True
    )
    assert logits_of(loaded).shape == (len(IDS), 3)
    embeddings: Any = loaded.get_input_embeddings().weight
    assert torch.equal(embeddings, model.model.embeddings.weight)


@pytest.mark.parametrize(
    "options",
    [
        {"low_cpu_mem_usage": True},
        {"device_map": "cpu"},
        {"device_map": "auto"},
        {"dtype": "auto"},
        {"dtype": torch.bfloat16},
        {"attn_implementation": "eager"},
    ],
    ids=str,
)
def test_how_it_is_loaded_changes_nothing(
    options: dict[str, Any], make_model: MakeModel, tmp_path: Path
) -> None:
    model = randomised(make_model(pooling=EVERY_POOLING))
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, **options)
    dtype = torch.bfloat16 if options.get("dtype") is torch.bfloat16 else torch.float32
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    tolerance = 0.06 if dtype is torch.bfloat16 else 0
    device = next(loaded.parameters()).device
    with torch.no_grad():
        logits = loaded(IDS.to(device), MASK.to(device)).logits.float().cpu()
    torch.testing.assert_close(logits, logits_of(model), atol=tolerance, rtol=tolerance)


def test_a_resized_vocabulary_is_saved_and_loaded(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    size = model.config.vocab_size
    for new_size in (size + 10, size - 15):
        model.resize_token_embeddings(new_size)
        model.save_pretrained(tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["vocab_size"] == new_size
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert loaded.get_input_embeddings().num_embeddings == new_size
        assert torch.equal(logits_of(loaded), logits_of(model))
    # There is no output that could be tied to the word vectors.
    assert model.get_output_embeddings() is None
    assert not model.all_tied_weights_keys


# --- the forward pass ----------------------------------------------------------------------------


def test_the_signature_is_that_of_a_sequence_classifier(make_model: MakeModel) -> None:
    model = make_model()
    for part in (model, model.model):
        names = list(inspect.signature(part.forward).parameters)
        assert names[:3] == ["input_ids", "attention_mask", "inputs_embeds"]
        assert part.main_input_name == names[0]
        assert {"output_hidden_states", "return_dict"} <= set(names)
        # What PEFT passes to every classifier.
        assert {"output_attentions", "token_type_ids", "kwargs"} <= set(names)
    assert "labels" in inspect.signature(model.forward).parameters
    assert not model.accepts_loss_kwargs, "Trainer would take `**kwargs` for a loss that is a sum"


@each_preset
@each_mask
def test_a_tuple_holds_what_the_output_holds(
    preset: dict[str, Any], mask: torch.Tensor, make_model: MakeModel
) -> None:
    model = make_model(**preset)
    for part, labels in ((model, {"labels": torch.tensor([0, 1, 1, 0])}), (model.model, {})):
        options = {"attention_mask": mask, "output_hidden_states": True, **labels}
        output = part(IDS, **options)
        as_tuple = part(IDS, **options, return_dict=False)
        assert len(output.to_tuple()) == len(as_tuple)
        for ours, theirs in zip(output.to_tuple(), as_tuple, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    model.config.output_hidden_states = True
    assert model(IDS, mask).hidden_states is not None


@each_preset
@each_mask
def test_every_hidden_state_has_a_gradient(
    preset: dict[str, Any], mask: torch.Tensor, make_model: MakeModel
) -> None:
    """They lie on the way to the loss, wherever the padding stands."""
    model = randomised(make_model(**preset))
    output = model(IDS, mask, labels=torch.tensor([0, 1, 1, 0]), output_hidden_states=True)
    for states in output.hidden_states:
        states.retain_grad()
    output.loss.backward()
    for states in output.hidden_states:
        assert states.grad is not None
        assert states.grad.abs().sum() > 0
    with torch.no_grad():  # and to ask for them changes nothing
        torch.testing.assert_close(model(IDS, mask).logits, output.logits)
        last = model.model(IDS, mask).last_hidden_state
    torch.testing.assert_close(last, output.hidden_states[-1])


@each_preset
def test_nan_at_padding_is_not_read(preset: dict[str, Any], make_model: MakeModel) -> None:
    model = randomised(make_model(**preset))
    vectors = model.get_input_embeddings()(IDS).detach()
    spoilt = vectors.masked_fill(MASK.unsqueeze(-1) == 0, torch.nan)
    expected = model(inputs_embeds=vectors, attention_mask=MASK).logits
    logits = model(inputs_embeds=spoilt, attention_mask=MASK).logits
    torch.testing.assert_close(logits, expected)
    logits.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@each_preset
def test_double_precision_is_double_all_the_way(
    preset: dict[str, Any], make_model: MakeModel
) -> None:
    model: Any = randomised(make_model(**preset)).double()
    words = MASK.any(1)  # an empty review has no vector to move, or the same padding
    with torch.no_grad():
        vectors = model.get_input_embeddings()(IDS)
        first, second = (
            model.model(inputs_embeds=each, attention_mask=MASK).pooler_output[words]
            for each in (vectors, vectors + 1e-11)  # which fp32 cannot see
        )
    assert first.dtype == torch.float64
    assert ((first - second).abs() > 0).all()
    assert (first - second).abs().max() < 1e-8


def test_double_precision_in_pieces(make_model: MakeModel) -> None:
    model: Any = randomised(make_model(bidirectional=False, pooling=EVERY_POOLING)).double()
    with torch.no_grad():
        whole = model(IDS, MASK).logits
        first = model(IDS[:, :2], MASK[:, :2], use_cache=True)
        both = model(IDS[:, 2:], MASK[:, 2:], state=first.state, use_cache=True)
    torch.testing.assert_close(both.logits, whole, atol=1e-14, rtol=1e-13)
    assert {value.dtype for value in both.state.values()} == {torch.float64, torch.int64}


@each_preset
def test_without_a_mask_every_id_is_a_word(preset: dict[str, Any], make_model: MakeModel) -> None:
    model = make_model(**preset)
    ids = torch.tensor([[5, 6, 0]])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model(ids, torch.ones_like(ids)).logits)


@pytest.mark.parametrize("preset", ["default", "tutorial"])
def test_compiled_it_gives_the_same(preset: str, make_model: MakeModel) -> None:
    model = randomised(make_model(**PRESETS[preset]))
    # What is traced is that of the default backend, which would take a minute of C++ compiling.
    compiled: Any = torch.compile(model, backend="eager")
    # Traced on padding that stands right, where the model takes a short cut, then on other.
    for size, mask in ((5, RIGHT_PADDED), (3, MASK)):
        ids, part = IDS[:, :size], mask[:, :size]
        with torch.no_grad():
            torch.testing.assert_close(
                compiled(ids, part).logits, model(ids, part).logits, atol=1e-6, rtol=1e-5
            )
    torch._dynamo.reset()


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": torch.tensor([5, 6])}, r"`input_ids` is \(2,\), .* \(batch, sequence\)"),
        ({"input_ids": torch.tensor(5)}, r"`input_ids` is \(\), .* \(batch, sequence\)"),
        ({"input_ids": torch.zeros(1, 2, 3).long()}, r"`input_ids` is \(1, 2, 3\)"),
        ({"inputs_embeds": torch.zeros(2, 12)}, r"`inputs_embeds` is \(2, 12\), .*sequence, 12\)"),
        ({"inputs_embeds": torch.zeros(1, 2, 11)}, r"`inputs_embeds` is \(1, 2, 11\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    inputs: dict[str, torch.Tensor], message: str, make_model: MakeModel
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model()(**inputs)


def test_a_single_logit_takes_classes_only(make_model: MakeModel) -> None:
    model = make_model(**TUTORIAL_PRESET)
    with pytest.raises(ValueError, match="labels are classes"):
        model(IDS, MASK, labels=torch.rand(4, 2))


def test_a_config_that_was_changed_since_is_checked(make_model: MakeModel) -> None:
    config = make_model(**TUTORIAL_PRESET).config
    config.num_labels = 3
    with pytest.raises(ValueError, match="`single_logit` must be false unless there are two"):
        SentimentLSTMForSequenceClassification(config)
