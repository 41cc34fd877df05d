"""The language model that a classifier starts from."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import results_of
from transformers import AutoModel

from sentiment_lstm import SentimentLSTMConfig
from sentiment_lstm.inference.predictor import load_model
from sentiment_lstm.training import pretraining
from sentiment_lstm.training.pretraining import SentimentLSTMForPreTraining
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import pretrain, train

WriteRecipe = Callable[..., Path]


def test_the_loss_of_pretraining_is_lowest_at_the_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gradient of the sampled softmax is zero, on average, where the model is right."""
    monkeypatch.setattr(pretraining, "NEGATIVES", 1000)  # every word is drawn many times
    words = 20
    model = SentimentLSTMForPreTraining(
        SentimentLSTMConfig(vocab_size=words, embedding_size=4, hidden_size=4)
    )
    torch.manual_seed(5)
    targets = torch.arange(words).repeat_interleave(torch.randint(1, 200, (words,)))
    with torch.no_grad():
        model.output_bias.copy_((targets.bincount() / len(targets)).log())
    queries = torch.zeros(len(targets), 4)
    for _ in range(60):
        model._loss(queries, targets, pretraining._sample(words, queries.device)).backward()
    assert model.output_bias.grad is not None
    assert (model.output_bias.grad / 60).abs().max() < 0.003


def test_pretraining_reads_either_padding_alike() -> None:
    model = SentimentLSTMForPreTraining(
        SentimentLSTMConfig(vocab_size=20, embedding_size=4, hidden_size=4)
    ).eval()
    ids, mask = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 0]]), torch.ones(2, 4, dtype=torch.int64)
    mask[1, 3] = 0
    losses = []
    for shift in (0, 1):
        rows = torch.stack([ids[0], ids[1].roll(shift)])
        masks = torch.stack([mask[0], mask[1].roll(shift)])
        torch.manual_seed(0)
        losses.append(model(rows, masks).loss)
    torch.testing.assert_close(losses[0], losses[1])


def test_pretraining_teaches_words_and_a_classifier_starts_from_it(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("The lamp from the shop was a joy.\n" * 20, encoding="utf-8")
    lm = {"unlabelled": str(texts), "output_dir": str(tmp_path / "lm"), "num_train_epochs": 12}
    folder = pretrain(read_recipe(write_recipe(**lm)))
    log = [e["eval_loss"] for e in results_of(folder).training["log"] if "eval_loss" in e]
    assert log[-1] < log[0] - 0.5, "words are foreseen better than at the start"
    assert results_of(folder).reviews["unlabelled"][str(texts)]["reviews"] == 20
    path = write_recipe(init_from=str(folder), learning_rate=0.0, num_train_epochs=1)
    model, _ = load_model(train(read_recipe(path)))
    backbone = AutoModel.from_pretrained(folder)
    for name, weight in backbone.named_parameters():
        if name != "embeddings.weight":
            assert torch.equal(weight, model.model.get_parameter(name)), name
