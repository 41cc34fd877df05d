"""The transformer peer: here a tiny one, since the tests' packages have not the real one."""

from pathlib import Path

import minilm
import numpy as np
import pytest
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    set_seed,
)


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
