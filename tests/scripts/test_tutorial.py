"""The tutorial preset is the tutorial: its network, its checkpoints, its loss and its training.

`tutorial.reference` holds the article's network and loop, written afresh.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    TrainerCallback,
    pipeline,
)
from tutorial import reference
from tutorial.convert_checkpoint import CheckpointError, convert

from sentiment_lstm import SentimentLSTMConfig, SentimentLSTMForSequenceClassification
from sentiment_lstm.tokenization import TUTORIAL_PRESET, train_tokenizer
from sentiment_lstm.training.recipe import RecipeTrainingArguments
from sentiment_lstm.training.trainer import SentimentTrainer

EMBEDDING, HIDDEN, LAYERS, LENGTH = 10, 12, 2, 200


def small_net(vocab_size: int, drop_prob: float = 0.5) -> reference.SentimentNet:
    """The tutorial's network at reduced scale."""
    return reference.SentimentNet(vocab_size, EMBEDDING, HIDDEN, LAYERS, drop_prob)


@pytest.fixture(scope="module")
def texts(reviews: list[tuple[str, int]]) -> list[str]:
    """The reviews, a long one, an empty one, and unknown words."""
    long = " ".join(text for text, _ in reviews)
    return [text for text, _ in reviews] + [long, "", "zxqv wvuq"]


@pytest.fixture(scope="module")
def vocabulary(texts: list[str]) -> dict[str, int]:
    return reference.word2idx(reference.tokenize(text) for text in texts)


@pytest.fixture(scope="module")
def padded(texts: list[str], vocabulary: dict[str, int]) -> torch.Tensor:
    """The tutorial's features, `(texts, 200)` int64."""
    ids = [reference.encode(reference.tokenize(text), vocabulary) for text in texts]
    return torch.from_numpy(reference.pad_input(ids, LENGTH))


@pytest.fixture
def net(vocabulary: dict[str, int]) -> reference.SentimentNet:
    """The tutorial's network, with its one embedding too many (`len(word2idx) + 1`)."""
    torch.manual_seed(0)
    net = small_net(len(vocabulary) + 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)  # else all texts get about the same answer
    net.eval()
    return net


@pytest.fixture
def checkpoint(
    net: reference.SentimentNet, vocabulary: dict[str, int], tmp_path: Path
) -> tuple[Path, Path]:
    """What somebody who followed the tutorial has on disk."""
    torch.save(net.state_dict(), tmp_path / "state_dict.pt")
    (tmp_path / "words.json").write_text(json.dumps(vocabulary))
    return tmp_path / "state_dict.pt", tmp_path / "words.json"


# --- checkpoints ---------------------------------------------------------------------------------


def test_a_converted_checkpoint_gives_the_tutorials_sigmoid(
    net: reference.SentimentNet,
    checkpoint: tuple[Path, Path],
    texts: list[str],
    padded: torch.Tensor,
    tmp_path: Path,
) -> None:
    folder = convert(*checkpoint, tmp_path / "model")
    with torch.no_grad():
        sigmoids, _ = net(padded, net.init_hidden(len(padded)))
    assert sigmoids.std() > 0.01, "the texts must differ for this to mean much"

    model = SentimentLSTMForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        logits = model(padded).logits
    assert (logits[:, 0] == 0).all()
    torch.testing.assert_close(logits[:, 1], torch.logit(sigmoids), atol=1e-6, rtol=0)

    classify = pipeline("text-classification", model=str(folder), top_k=None)
    answers: Any = classify(texts)  # one by one, without any padding: the model pads
    scores = [{a["label"]: a["score"] for a in answer}["POSITIVE"] for answer in answers]
    np.testing.assert_allclose(scores, sigmoids.numpy(), atol=1e-6)


def test_the_converted_tokenizer_is_the_tutorials_preprocessing(
    checkpoint: tuple[Path, Path], texts: list[str], padded: torch.Tensor, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(convert(*checkpoint, tmp_path / "model"))
    ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    assert torch.equal(ids, padded)


def test_words_may_be_a_list(
    checkpoint: tuple[Path, Path], vocabulary: dict[str, int], tmp_path: Path
) -> None:
    checkpoint[1].write_text(json.dumps(list(vocabulary)))
    folder = convert(*checkpoint, tmp_path / "model")
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == vocabulary


# What is wrong with words.json -> its content, what the error says.
BROKEN_WORDS = {
    "too many words": (json.dumps(["_PAD", "_UNK", *map(str, range(5000))]), "5002 words, but"),
    "numbers for words": ("[1, 2]", "neither a list of words"),
    "gaps in the ids": (json.dumps({"_PAD": 0, "_UNK": 1, "fine": 3}), "each once"),
    "no special words": (json.dumps(["fine", "lamp"]), "not the tutorial's word2idx: .*_PAD"),
    "no json": ("{", "no valid json"),
}


def broken(checkpoint: tuple[Path, Path], kind: str) -> str:
    """Spoil a checkpoint in one way; returns what the error must say."""
    weights_path, words_path = checkpoint
    if kind in BROKEN_WORDS:
        content, message = BROKEN_WORDS[kind]
        words_path.write_text(content)
        return message
    if kind == "no file of torch":
        weights_path.write_bytes(b"not a checkpoint")
        return "no state_dict that can be read safely"
    weights = torch.load(weights_path, weights_only=True)
    content_of: Any = weights
    if kind == "the whole module":
        content_of, message = small_net(5), "Save the weights alone"
    elif kind == "another network":
        del weights["fc.bias"]
        message = "fc.bias missing"
    elif kind == "a wrong shape":
        weights["fc.weight"] = weights["fc.weight"][:, :5].clone()
        message = r"classifier\.weight is \(1, 5\)"
    elif kind == "a vector for vectors":
        weights["embedding.weight"] = weights["embedding.weight"][0]
        message = r"embedding\.weight is \(\d+,\), not a matrix"
    else:
        content_of, message = list(weights.values()), "maps names to tensors"
    torch.save(content_of, weights_path)
    return message


@pytest.mark.parametrize(
    "kind",
    [
        "the whole module",
        "no file of torch",
        "another network",
        "a wrong shape",
        "a list of tensors",
        "a vector for vectors",
        *BROKEN_WORDS,
    ],
)
def test_what_is_no_checkpoint_is_refused(
    kind: str, checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    message = broken(checkpoint, kind)
    with pytest.raises(CheckpointError, match=message):
        convert(*checkpoint, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_with_something_in_it_is_not_overwritten(
    checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="not empty"):
        convert(*checkpoint, tmp_path)


# --- the cell ------------------------------------------------------------------------------------


def test_the_articles_equations_are_the_layers() -> None:
    """The gates as the article writes them, step by step, against `nn.LSTM`.

    In one place the article differs from the layer that it uses: its output gate passes the new
    long-term memory through weights of its own, `O_2 = tanh(W_output_2 C_t + bias_output_2)`,
    where the layer takes `tanh(C_t)`. The equations below hold with `W_output_2 = 1` and
    `bias_output_2 = 0`.
    """
    torch.manual_seed(1)
    layer = nn.LSTM(5, 7, batch_first=True)
    inputs = torch.randn(3, 11, 5)
    # One weight on (H_{t-1}, x_t) for each gate, where the layer has two, and two biases.
    parameters = dict(layer.named_parameters())
    weights = torch.cat([parameters["weight_hh_l0"], parameters["weight_ih_l0"]], dim=1).chunk(4)
    biases = (parameters["bias_hh_l0"] + parameters["bias_ih_l0"]).chunk(4)
    w_i1, w_forget, w_i2, w_output1 = weights
    b_i1, b_forget, b_i2, b_output1 = biases

    short, long = torch.zeros(3, 7), torch.zeros(3, 7)  # H, C
    steps = []
    for x in inputs.unbind(1):
        both = torch.cat([short, x], dim=1)  # (H_{t-1}, x_t)
        i_1 = torch.sigmoid(both @ w_i1.T + b_i1)
        i_2 = torch.tanh(both @ w_i2.T + b_i2)
        i_input = i_1 * i_2
        forget = torch.sigmoid(both @ w_forget.T + b_forget)
        long = long * forget + i_input
        o_1 = torch.sigmoid(both @ w_output1.T + b_output1)
        o_2 = torch.tanh(long)
        short = o_1 * o_2
        steps.append(short)
    outputs, (last_short, last_long) = layer(inputs)
    torch.testing.assert_close(torch.stack(steps, 1), outputs)
    torch.testing.assert_close(short, last_short[0])
    torch.testing.assert_close(long, last_long[0])


# --- training ------------------------------------------------------------------------------------


def test_the_loss_is_binary_cross_entropy_on_the_sigmoid(
    net: reference.SentimentNet, checkpoint: tuple[Path, Path], padded: torch.Tensor, tmp_path: Path
) -> None:
    folder = convert(*checkpoint, tmp_path / "model")
    model = SentimentLSTMForSequenceClassification.from_pretrained(folder)
    labels = torch.arange(len(padded)) % 2
    output, _ = net(padded, net.init_hidden(len(padded)))
    theirs = nn.BCELoss()(output, labels.float())
    ours = model(padded, labels=labels).loss
    torch.testing.assert_close(ours, theirs)
    theirs.backward()
    ours.backward()
    torch.testing.assert_close(model.classifier.weight.grad, net.fc.weight.grad)
    torch.testing.assert_close(model.model.embeddings.weight.grad, net.embedding.weight.grad)


class _Losses(TrainerCallback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if "loss" in kwargs["logs"]:
            self.values.append(kwargs["logs"]["loss"])


def test_trainer_stays_with_the_tutorials_loop(
    reviews: list[tuple[str, int]], vocabulary: dict[str, int], tmp_path: Path
) -> None:
    """The same start and the same batches: the same losses and weights for 50 steps.

    Without dropout, whose random numbers the two draw in another order.
    """
    tokenizer: PreTrainedTokenizerFast = train_tokenizer(
        (text for text, _ in reviews), **TUTORIAL_PRESET
    )
    torch.manual_seed(4)
    net = small_net(len(tokenizer), drop_prob=0.0)
    config = SentimentLSTMConfig.tutorial(
        vocab_size=len(tokenizer),
        embedding_size=EMBEDDING,
        hidden_size=HIDDEN,
        hidden_dropout=0.0,
        classifier_dropout=0.0,
    )
    model = SentimentLSTMForSequenceClassification(config)
    start = net.state_dict()
    with torch.no_grad():
        model.model.embeddings.weight.copy_(start["embedding.weight"])
        model.classifier.weight.copy_(start["fc.weight"])
        model.classifier.bias.copy_(start["fc.bias"])
        for index, layer in enumerate(model.model.layers):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(layer.forward_lstm, f"{kind}_l0").copy_(start[f"lstm.{kind}_l{index}"])

    ids = [tokenizer(text, truncation=True)["input_ids"] for text, _ in reviews]
    labels = [label for _, label in reviews]
    features = torch.from_numpy(reference.pad_input(ids, LENGTH))
    batch_size, epochs = 6, 5  # 60 reviews: 10 batches an epoch, 50 steps
    order = [range(start, start + batch_size) for start in range(0, len(ids), batch_size)] * epochs
    # From zeros for each batch: the state that the tutorial carries on is another matter.
    expected = reference.train_epoch(
        net,
        torch.optim.Adam(net.parameters(), lr=0.005),
        [(features[list(rows)], torch.tensor(labels)[list(rows)]) for rows in order],
        carry_hidden=False,
    )

    losses = _Losses()
    trainer = SentimentTrainer(
        model=model,
        args=RecipeTrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=batch_size,
            num_train_epochs=epochs,
            learning_rate=0.005,
            lr_scheduler_type="constant",
            max_grad_norm=5,
            weight_decay=0.0,
            train_sampling_strategy="sequential",
            bf16=False,
            use_cpu=True,
            logging_steps=1,
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({"input_ids": ids, "labels": labels}),
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[losses],
    )
    trainer.train()
    assert len(expected) == len(losses.values) == 50
    assert expected[0] > 2 * expected[-1], "the loop must learn for this to mean much"
    np.testing.assert_allclose(losses.values, expected, atol=1e-4)
    torch.testing.assert_close(
        model.model.embeddings.weight, net.embedding.weight, atol=1e-4, rtol=0
    )
