"""The exported file gives the logits of the model, whatever the batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from sentiment_lstm import SentimentLSTMForSequenceClassification
from sentiment_lstm.cli.main import main
from sentiment_lstm.inference.onnx import export, to_onnx
from sentiment_lstm.inference.predictor import load_model

MakeModel = Callable[..., SentimentLSTMForSequenceClassification]

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "one_direction": {"bidirectional": False},
    "last": {"pooling": "last", "num_hidden_layers": 2},
    "last_forward": {"pooling": "last", "num_hidden_layers": 3, "bidirectional": False},
    "all_poolings": {"pooling": "attention+last+mean+max", "num_hidden_layers": 2},
    "three_labels": {"num_labels": 3},
    "temperature": {"temperature": 2.5},
    "tutorial": {
        "pad_to_length": 9,
        "pooling": "last",
        "single_logit": True,
        "temperature": 0.5,
        "bidirectional": False,
    },
    "tutorial_variant": {"pad_to_length": 9, "pooling": "attention+mean+max", "pad_token_id": 3},
}


def randomised(
    model: SentimentLSTMForSequenceClassification,
) -> SentimentLSTMForSequenceClassification:
    """The model with weights in which every parameter counts."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def logits(session: onnxruntime.InferenceSession, ids: torch.Tensor, mask: torch.Tensor) -> Any:
    return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]


@pytest.mark.parametrize("float16", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_logits_are_those_of_torch_for_every_size_and_padding(
    preset: str, float16: bool, make_model: MakeModel
) -> None:
    torch.manual_seed(0)  # some weights are so large that float32 is off by 1e-5
    model = randomised(make_model(**PRESETS[preset]))
    if float16:
        model = model.half().float()
    session = onnxruntime.InferenceSession(to_onnx(model, float16=float16).SerializeToString())
    generator = torch.Generator().manual_seed(1)
    for batch, length in [(1, 1), (1, 40), (4, 8), (3, 9), (5, 200), (2, 0)]:
        ids = torch.randint(model.config.vocab_size, (batch, length), generator=generator)
        lengths = torch.randint(length + 1, (batch, 1), generator=generator)
        right = (torch.arange(length) < lengths).long()
        anywhere = torch.randint(2, (batch, length), generator=generator)
        for mask in (torch.ones_like(ids), right, right.flip(1), anywhere, torch.zeros_like(ids)):
            found, expected = logits(session, ids, mask), model(ids, mask).logits.numpy()
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_weights_of_half_precision_are_exported_as_float(make_model: MakeModel) -> None:
    model = randomised(make_model()).bfloat16()
    ids, mask = torch.tensor([[4, 5, 6]]), torch.tensor([[1, 1, 1]])
    found = logits(onnxruntime.InferenceSession(to_onnx(model).SerializeToString()), ids, mask)
    np.testing.assert_allclose(found, model.float()(ids, mask).logits.detach(), atol=1e-5)


def test_a_folder_has_all_that_the_runtime_needs(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    randomised(make_model()).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    folder = tmp_path / "new" / "onnx"
    assert export(tmp_path / "model", folder) == folder
    assert list(tmp_path.joinpath("new").iterdir()) == [folder]  # nothing unfinished is left
    texts = ["I love this lamp!", "", "Broke in a week, waste of money."]
    inputs = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    found = logits(session, inputs["input_ids"], inputs["attention_mask"])
    model, _ = load_model(tmp_path / "model")
    np.testing.assert_allclose(found, model(**inputs).logits.detach(), atol=1e-5)
    assert AutoConfig.from_pretrained(folder).id2label == model.config.id2label


def test_smaller_weights_are_nearly_the_same(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    model = make_model(vocab_size=3000, embedding_size=64, hidden_size=128)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    for name, options in (("plain", []), ("int8", ["--int8"]), ("float16", ["--float16"])):
        assert main(["export", str(tmp_path / "model"), str(tmp_path / name), *options]) == 0
    files = [tmp_path / name / "model.onnx" for name in ("plain", "int8", "float16")]
    sizes = [file.stat().st_size for file in files]
    assert sizes[1] < 0.3 * sizes[0]
    assert sizes[2] < 0.52 * sizes[0]
    ids = torch.randint(3000, (4, 30), generator=torch.Generator().manual_seed(2))
    mask = (torch.arange(30) < torch.tensor([[30], [11], [1], [0]])).long()
    plain, int8, float16 = [logits(onnxruntime.InferenceSession(file), ids, mask) for file in files]
    assert np.ptp(plain[:, 0]) > 0.1
    np.testing.assert_allclose(int8, plain, atol=0.01)
    np.testing.assert_allclose(float16, plain, atol=1e-3)
    # Of weights that are in half precision already nothing is lost.
    model.half().save_pretrained(tmp_path / "half")
    tokenizer.save_pretrained(tmp_path / "half")
    export(tmp_path / "half", tmp_path / "again", float16=True)
    assert (tmp_path / "again/model.onnx").read_bytes() == files[2].read_bytes()
    exact = model.float()(ids, mask).logits.detach()
    np.testing.assert_allclose(float16, exact, atol=1e-6)


def test_weights_are_kept_in_one_way(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose one"):
        export(model_folder, tmp_path / "onnx", int8=True, float16=True)
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["export", str(model_folder), str(tmp_path / "onnx"), "--int8", "--float16"])
    assert not (tmp_path / "onnx").exists()


def test_a_wrong_file_is_not_written(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_another_bias(
        model: SentimentLSTMForSequenceClassification, *, float16: bool
    ) -> onnx.ModelProto:
        wrong = to_onnx(model, float16=float16)
        for constant in wrong.graph.initializer:
            is_float = constant.data_type == onnx.TensorProto.FLOAT
            if is_float and list(constant.dims) == [model.config.num_labels]:
                bias = numpy_helper.to_array(constant) + np.float32(0.01)
                constant.CopyFrom(numpy_helper.from_array(bias, constant.name))
        return wrong

    monkeypatch.setattr("sentiment_lstm.inference.onnx.to_onnx", with_another_bias)
    with pytest.raises(ValueError, match=r"differ by 1\.0e-02 .*: nothing was written"):
        export(model_folder, tmp_path / "onnx")
    assert not any((tmp_path / "onnx").iterdir())


def test_large_logits_may_differ_by_as_large_a_rounding(
    make_model: MakeModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """The answers of a regression on votes are hundreds, of which float32 has seven digits."""
    model = randomised(make_model(id2label={0: "votes"}, problem_type="regression"))
    with torch.no_grad():
        model.classifier.weight *= 1000
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "onnx")


def test_a_folder_with_something_in_it_is_left_alone(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in model_folder.iterdir()}
    assert main(["export", str(model_folder), str(model_folder)]) == 1
    assert f"{model_folder}: not empty" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in model_folder.iterdir()} == before
