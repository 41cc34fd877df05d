"""A model folder as ONNX: `model.onnx` with config and tokenizer, for ONNX Runtime.

The graph is written down here, node by node, rather than traced from the model: ONNX has an LSTM
operator that reads both directions of a padded batch by the reviews' lengths, and no exporter of
torch arrives at it (`torch.export` unrolls an LSTM to the length of the example, pytorch issue
115092).

Needs the packages of the extra `export`: `pip install "sentiment-lstm[export]"`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..extras import require
from ..files import ONNX_FILE
from ..modeling_sentiment_lstm import SentimentLSTMForSequenceClassification
from ..tokenization import save_tokenizer
from .predictor import load_model

with require("export"):
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

# The oldest that have all that is used, so that older runtimes read the file too.
_OPSET = 18
_IR_VERSION = 8

# How far apart the logits of ONNX Runtime and of torch may be; of those above 1, as a share.
_TOLERANCE = 1e-5


def export(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    int8: bool = False,
    float16: bool = False,
    trust_remote_code: bool = False,
) -> Path:
    """Write a model as ONNX, and check that ONNX Runtime gives the logits that torch gives.

    The file takes `input_ids` and `attention_mask`, `(batch, sequence)` int64 of any length, and
    returns `logits`, `(batch, num_labels)` float32. As in torch, padding may stand anywhere, and
    a review may be empty; but in a batch of none, ONNX Runtime's LSTM ends the process.

    Args:
        model: A model folder or a Hub repository.
        folder: Where to write `model.onnx`, the config and the tokenizer.
        int8: Keep the weights as 8-bit integers: a quarter of the size, twice as fast on a
            machine that multiplies them, and logits that are the same to about 0.05 only. What
            is checked is the file before that.
        float16: Keep the weights in half precision, and compute in float32: half of the size, and
            logits that are the same to about 0.01, or to the last digits where the model's own
            file has them so, as the released checkpoint's. What is checked is that ONNX Runtime
            agrees with torch on the rounded weights.
        trust_remote_code: See `SentimentPredictor.from_pretrained`.

    Returns:
        The folder.

    Raises:
        FileExistsError: If there is something in the folder.
        OSError: If there is no such model, or it does not load.
        ValueError: If the model is of another kind, or ONNX Runtime disagrees with torch; or of
            `int8` and `float16` together.
    """
    if int8 and float16:
        raise ValueError("int8 and float16 are two ways to keep the weights: choose one")
    folder = Path(folder)
    refuse_full_folder(folder)
    loaded, tokenizer = load_model(model, trust_remote_code=trust_remote_code)
    if not isinstance(loaded, SentimentLSTMForSequenceClassification):
        raise ValueError(
            f"{model}: a {type(loaded).__name__} cannot be exported, only our own kind"
        )
    folder.mkdir(parents=True, exist_ok=True)
    # Written beside its place first: what arrives there is whole and has been checked.
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        file = Path(unfinished, ONNX_FILE)
        if float16:
            loaded = loaded.half().float()
        onnx.save(to_onnx(loaded, float16=float16), file)
        _check(loaded, file)
        if int8:
            _quantize(file)
        loaded.config.save_pretrained(unfinished)
        save_tokenizer(tokenizer, unfinished)
        for path in sorted(Path(unfinished).iterdir(), key=lambda path: path == file):
            shutil.move(path, folder / path.name)
    return folder


def refuse_full_folder(folder: Path) -> None:
    """Raise for a folder in which there is something; it may be missing.

    Args:
        folder: The folder.

    Raises:
        FileExistsError: If there is something in it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: not empty; choose another folder, or delete it")


def to_onnx(
    model: SentimentLSTMForSequenceClassification, *, float16: bool = False
) -> onnx.ModelProto:
    """Write down the graph of a classifier; see `export` for its inputs and outputs.

    Args:
        model: The classifier; its weights become float32.
        float16: Write the weights as float16, for the runtime to make float32 of them.

    Returns:
        The model.
    """
    config, graph = model.config, _Graph(float16=float16)
    ids, lengths = _right_padded(graph, config)  # (B, T), (B, 1)
    if config.pad_to_length is not None:
        ids, lengths = _padded_like_the_tutorial(graph, ids, lengths, config)
    words = graph("Less", graph.range(graph.size(ids, 1)), lengths)  # (B, T)
    words = graph("Unsqueeze", graph("Transpose", words), graph.int64(2))  # (T, B, 1)

    # Of the embeddings only those that are read become float32.
    embeddings = graph.stored(model.model.embeddings.weight)
    hidden = graph.as_float(graph("Gather", embeddings, graph("Transpose", ids)))  # (T, B, E)
    last = ""
    for layer in model.model.layers:
        directions = [lstm for lstm in (layer.forward_lstm, layer.backward_lstm) if lstm]
        hidden, last = _lstm(graph, directions, hidden, lengths)  # (T, B, H), (B, H)

    query = model.model.pooler.attention
    pooled = {
        "last": lambda: last,
        "max": lambda: _max(graph, hidden, words),
        "mean": lambda: _mean(graph, hidden, words, lengths),
        "attention": lambda: _attention(graph, hidden, words, query),
    }
    vectors = graph("Concat", *[pooled[name]() for name in config.poolings], axis=1)
    # An empty review, for which the poolings have given the state of padding, is zero.
    some_word = graph("Greater", lengths, graph.int64(0))
    vectors = graph("Where", some_word, vectors, graph.float(0.0))

    weight, bias = graph.weight(model.classifier.weight), graph.weight(model.classifier.bias)
    logits = graph("Gemm", vectors, weight, bias, transB=1)
    logits = graph("Div", logits, graph.float(config.temperature))
    if config.single_logit:
        logits = graph("Pad", logits, graph.int64(0, 1, 0, 0))  # (0, z)
    return graph.finished(logits, int(config.num_labels or 0))


def _right_padded(graph: _Graph, config: SentimentLSTMConfig) -> tuple[str, str]:
    """The ids `(B, T)` with all padding behind the words, and the lengths `(B, 1)`."""
    # At least one column, since the LSTM needs a step.
    missing = graph("Sub", graph.int64(1), graph.size("input_ids", 1))
    missing = graph("Max", missing, graph.int64(0))
    pads = graph("Concat", graph.int64(0, 0, 0), missing, axis=0)
    mask = graph("Cast", graph("Cast", "attention_mask", to=TensorProto.BOOL), to=TensorProto.INT64)
    mask = graph("Pad", mask, pads)
    ids = graph("Pad", "input_ids", pads)

    # Where each column goes: a stable sort of the mask, by counting.
    axis = graph.int64(1)
    lengths = graph("ReduceSum", mask, axis, keepdims=1)
    padding = graph("Sub", axis, mask)
    behind = graph("Add", lengths, graph("CumSum", padding, axis))
    is_word = graph("Cast", mask, to=TensorProto.BOOL)
    place = graph("Where", is_word, graph("CumSum", mask, axis), behind)
    ids = graph("Where", is_word, ids, graph.int64(config.pad_token_id or 0))
    ids = graph("ScatterElements", ids, graph("Sub", place, axis), ids, axis=1)
    return ids, lengths


def _padded_like_the_tutorial(
    graph: _Graph, ids: str, lengths: str, config: SentimentLSTMConfig
) -> tuple[str, str]:
    """The first words of each review behind padding, which counts as words from here on."""
    size = config.pad_to_length or 0
    padding = graph("Squeeze", graph.int64(config.pad_token_id or 0))
    ids = graph("Pad", ids, graph.int64(0, 0, 0, size), padding)
    ids = graph("Slice", ids, graph.int64(0), graph.int64(size), graph.int64(1))
    lengths = graph("Min", lengths, graph.int64(size))
    # Rotated, so that the padding at the end comes to stand in front.
    column = graph("Add", graph.range(graph.int64(size)), lengths)
    ids = graph("GatherElements", ids, graph("Mod", column, graph.int64(size)), axis=1)
    return ids, graph("Max", lengths, graph.int64(size))


def _lstm(graph: _Graph, directions: list[nn.LSTM], inputs: str, lengths: str) -> tuple[str, str]:
    """One layer: its states `(T, B, H)`, and `(B, H)` those after each direction's last word."""
    units = directions[0].hidden_size
    gates = [
        {name: _onnx_gates(weight) for name, weight in lstm.named_parameters()}
        for lstm in directions
    ]
    weights = [
        torch.stack([named["weight_ih_l0"] for named in gates]),
        torch.stack([named["weight_hh_l0"] for named in gates]),
        torch.stack([torch.cat([named["bias_ih_l0"], named["bias_hh_l0"]]) for named in gates]),
    ]
    # An empty review is read as one word of padding; what comes of it is put to zero at the end.
    steps = graph("Squeeze", graph("Max", lengths, graph.int64(1)), graph.int64(1))
    steps = graph("Cast", steps, to=TensorProto.INT32)
    states, last = graph.several(
        "LSTM",
        2,
        *[inputs, *map(graph.weight, weights), steps],
        hidden_size=units,
        direction="bidirectional" if len(directions) == 2 else "forward",
    )
    # (T, D, B, units) and (D, B, units), with D directions
    states = graph("Transpose", states, perm=[0, 2, 1, 3])
    last = graph("Transpose", last, perm=[1, 0, 2])
    return (
        graph("Reshape", states, graph.int64(0, 0, len(directions) * units)),
        graph("Reshape", last, graph.int64(0, len(directions) * units)),
    )


def _onnx_gates(values: torch.Tensor) -> torch.Tensor:
    """Stack the gates as ONNX does (input, output, forget, cell); in torch forget comes second."""
    first, forget, cell, output = values.detach().chunk(4)
    return torch.cat([first, output, forget, cell])


def _max(graph: _Graph, hidden: str, words: str) -> str:
    lowest = graph("Where", words, hidden, graph.float(-np.inf))
    return graph("ReduceMax", lowest, graph.int64(0), keepdims=0)


def _mean(graph: _Graph, hidden: str, words: str, lengths: str) -> str:
    total = graph("Where", words, hidden, graph.float(0.0))
    total = graph("ReduceSum", total, graph.int64(0), keepdims=0)
    return graph("Div", total, graph("Cast", lengths, to=TensorProto.FLOAT))


def _attention(graph: _Graph, hidden: str, words: str, query: torch.Tensor) -> str:
    scores = graph("MatMul", hidden, graph.weight(query.unsqueeze(-1)))  # (T, B, 1)
    lowest = float(np.finfo(np.float32).min)  # and not -inf, of which a softmax alone is NaN
    weights = graph("Softmax", graph("Where", words, scores, graph.float(lowest)), axis=0)
    return graph("ReduceSum", graph("Mul", weights, hidden), graph.int64(0), keepdims=0)


class _Graph:
    """An ONNX graph under construction: calling it adds a node and returns the output's name."""

    def __init__(self, *, float16: bool = False) -> None:
        self.float16 = float16
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.several(kind, 1, *inputs, **attributes)[0]

    def several(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with `outputs` outputs, which are the last ones of its operator."""
        name = f"{kind}_{len(self.nodes)}"
        names = [f"{name}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return names

    def weight(self, values: torch.Tensor) -> str:
        """The values as float32."""
        return self.as_float(self.stored(values))

    def stored(self, values: torch.Tensor) -> str:
        """A constant of the values, in the type in which weights are written."""
        values = values.detach().to(torch.float16 if self.float16 else torch.float32)
        return self._constant(values.cpu().contiguous().numpy())

    def as_float(self, stored: str) -> str:
        """Values of that type as float32."""
        return self("Cast", stored, to=TensorProto.FLOAT) if self.float16 else stored

    def float(self, value: float) -> str:
        """A constant `()` float32."""
        return self._constant(np.array(value, dtype=np.float32))

    def int64(self, *values: int) -> str:
        """A constant `(values,)` int64."""
        return self._constant(np.array(values, dtype=np.int64))

    def size(self, values: str, dimension: int) -> str:
        """The size `(1,)` of one dimension."""
        return self("Shape", values, start=dimension, end=dimension + 1)

    def range(self, size: str) -> str:
        """The numbers from 0 to below a size `(1,)`."""
        scalars = [self._constant(np.array(value)) for value in (0, 1)]
        return self("Range", scalars[0], self("Squeeze", size), scalars[1])

    def _constant(self, values: np.ndarray) -> str:
        # The same number under the same name: the embedding is too large to be hashed.
        key = f"{values.dtype}_{values.tolist()}" if values.size < 8 else str(len(self.constants))
        self.constants.setdefault(key, numpy_helper.from_array(values, f"constant_{key}"))
        return f"constant_{key}"

    def finished(self, logits: str, num_labels: int) -> onnx.ModelProto:
        """The model whose output is `logits`."""
        self.nodes.append(helper.make_node("Identity", [logits], ["logits"], name="logits"))
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", num_labels])
        graph = helper.make_graph(
            self.nodes, "sentiment_lstm", inputs, [output], list(self.constants.values())
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="sentiment-lstm",
            producer_version=version("sentiment-lstm"),
        )
        onnx.checker.check_model(model, full_check=True)
        return model


# --- afterwards ----------------------------------------------------------------------------------


@torch.no_grad()
def _check(model: SentimentLSTMForSequenceClassification, file: Path) -> None:
    """Compare ONNX Runtime with torch on random reviews of several lengths, one of them empty."""
    generator = torch.Generator().manual_seed(0)
    shape = (5, 60)
    ids = torch.randint(model.config.vocab_size, shape, generator=generator)
    mask = (torch.arange(shape[1]) < torch.tensor([[0], [1], [10], [59], [60]])).long()
    model = model.cpu()
    expected = model(input_ids=ids, attention_mask=mask).logits.numpy()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    difference = float(np.abs(found - expected).max())
    allowed = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:
        raise ValueError(
            f"the logits of ONNX Runtime {onnxruntime.__version__} differ by {difference:.1e} from "
            f"those of torch, by more than {allowed:.0e}: nothing was written"
        )


def _quantize(file: Path) -> None:
    """Turn the weights of an ONNX file into 8-bit integers, in place."""
    model = onnx.load(file)
    add_pre_process_metadata(model)  # spares a warning: this graph has nothing to be simplified
    # Seven bits: without VNNI a CPU adds two products in sixteen bits, and cuts off what is more.
    quantize_dynamic(
        model,
        file,
        op_types_to_quantize=["LSTM", "Gather"],
        per_channel=True,
        reduce_range=True,
    )
