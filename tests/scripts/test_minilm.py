"""The transformer baseline: here a tiny one, since the tests' packages have not the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import minilm
import numpy as np
import pytest
import torch
import word_vectors
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    set_seed,
)

from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.run import make_tokens, make_trainer


@pytest.fixture
def tiny(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> tuple[BertForSequenceClassification, PreTrainedTokenizerFast]:
        set_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            pad_token_id=tokenizer.pad_token_id,
        )
        return BertForSequenceClassification(config).eval(), tokenizer

    monkeypatch.setattr(minilm, "load_minilm", load)
    monkeypatch.setattr(minilm, "LEARNING_RATE", 0.01)  # it begins at random
    monkeypatch.setattr(minilm, "READ_AT_LEAST", 1200)


def test_it_learns_and_is_found_again(
    tiny: None, reviews: list[tuple[str, int]], tmp_path: Path
) -> None:
    texts, labels = map(list, zip(*reviews, strict=True))
    tuned = minilm.fine_tune(texts, labels, tmp_path)
    positive = minilm.predict_positive(tuned, texts)
    assert ((positive > 0.5) == np.array(labels)).mean() > 0.9
    one_by_one = [minilm.predict_positive(tuned, [text])[0] for text in texts[:12]]
    assert positive[:12] == pytest.approx(one_by_one, abs=0.02), "in bf16"

    (folder,) = tmp_path.iterdir()
    written = (folder / "model.safetensors").stat().st_mtime_ns
    again = minilm.fine_tune(texts, labels, tmp_path)
    assert again.seconds == tuned.seconds > 0
    assert (minilm.predict_positive(again, texts) == positive).all()
    assert (folder / "model.safetensors").stat().st_mtime_ns == written, "not trained again"
    minilm.fine_tune(texts[:10], labels[:10], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "other reviews, another model"


def test_word_vectors_start_a_classifier_off(
    tiny: None,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = write_recipe(embedding_size=8)
    folder = tmp_path / "vectors"
    monkeypatch.setattr("sys.argv", ["word_vectors", str(recipe), "--output_dir", str(folder)])
    word_vectors.main()
    assert f"to {folder}" in capsys.readouterr().out

    weight = load_file(folder / "model.safetensors")["embeddings.weight"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    assert weight.shape == (len(tokenizer), 8)
    assert (weight[:2] == 0).all(), "nothing is known of _PAD and _UNK"
    assert weight[2:].std() == pytest.approx(0.1, rel=0.05)
    spread = weight[2:].var(0)
    assert (spread.diff() > 0).all(), "principal components, the largest last"

    started = read_recipe(recipe, ["--init_from", str(folder), "--output_dir", str(tmp_path / "x")])
    model: Any = make_trainer(started, *make_tokens(started)).model
    assert torch.equal(model.get_input_embeddings().weight, weight)
