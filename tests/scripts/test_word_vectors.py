"""Word vectors of a pretrained transformer, to start a classifier from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import word_vectors
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.training.preprocessing import make_tokens
from sentiment_lstm.training.pretrained import PretrainedTransformer
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.trainer import make_trainer


def test_word_vectors_start_a_classifier_off(
    tiny_minilm: PretrainedTransformer,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = write_recipe()
    folder = tmp_path / "vectors"
    options = ["--embedding_size", "8", "--output_dir", str(folder)]
    monkeypatch.setattr("sys.argv", ["word_vectors", str(recipe), *options])
    word_vectors.main()
    assert f"to {folder}" in capsys.readouterr().out

    weight = load_file(folder / "model.safetensors")["embeddings.weight"]
    found = PreTrainedTokenizerFast.from_pretrained(folder)
    assert weight.shape == (len(found), 8)
    assert (weight[:2] == 0).all(), "nothing is known of _PAD and _UNK"
    assert weight[2:].std() == pytest.approx(0.1, rel=0.05)
    spread = weight[2:].var(0)
    assert (spread.diff() > 0).all(), "principal components, the largest last"

    fields = {"init_from": str(folder), "output_dir": str(tmp_path / "x"), "embedding_size": 8}
    started = read_recipe(recipe, fields)
    model: Any = make_trainer(started, *make_tokens(started)).model
    assert torch.equal(model.get_input_embeddings().weight, weight)

    monkeypatch.setattr("sys.argv", ["word_vectors", str(recipe), "--embedding_size", "17"])
    with pytest.raises(SystemExit, match=r"word_vectors: embedding_size is 17; .* than 16 comp"):
        word_vectors.main()


def test_an_emoji_is_read_by_its_name(tiny_minilm: PretrainedTransformer) -> None:
    words = ["\N{PARTY POPPER}", "\N{WHITE SMILING FACE}\N{VARIATION SELECTOR-16}", "lamp", ":)"]
    found = word_vectors.word_vectors(tiny_minilm, words, 3, 0.1)
    names = ["party popper", "white smiling face", "lamp", ":)"]
    assert torch.equal(found, word_vectors.word_vectors(tiny_minilm, names, 3, 0.1))
    assert not torch.equal(found[0], found[1])
