"""Word vectors of a pretrained transformer, to start a classifier from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import word_vectors
from numpy.typing import NDArray
from safetensors.torch import load_file
from sentences import FRAMES
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.training.distillation import text_key, write_soft_labels
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

    # Whatever else is read: the same words, so that none is without its vector.
    other = tmp_path / "other.txt"
    other.write_text("__label__2 brandnew words: brandnew words\n__label__1 same: brandnew\n")
    listed = {"extra_words": str(folder / "words.txt"), "max_vocab_size": len(found)}
    again = make_tokens(read_recipe(recipe, listed | {"train": str(other)}))[0]
    assert again.get_vocab().keys() == found.get_vocab().keys()

    monkeypatch.setattr("sys.argv", ["word_vectors", str(recipe), "--embedding_size", "17"])
    with pytest.raises(SystemExit, match=r"word_vectors: embedding_size is 17; .* than 16 comp"):
        word_vectors.main()
    words, said = ["a", "b", "c"], np.zeros((3, 1))
    with pytest.raises(ValueError, match="sentiment is 4 of no more than 3 dimensions"):
        word_vectors.word_vectors(tiny_minilm, words, 3, 0.1, sentiment=4, said=said)
    with pytest.raises(ValueError, match="sentiment takes what teachers said"):
        word_vectors.word_vectors(tiny_minilm, words, 3, 0.1, sentiment=1)


def test_what_a_sign_shows_is_read(tiny_minilm: PretrainedTransformer) -> None:
    words = ["\N{PARTY POPPER}", "\N{WHITE SMILING FACE}\N{VARIATION SELECTOR-16}", "lamp", ":("]
    found = word_vectors.word_vectors(tiny_minilm, words, 3, 0.1)
    names = ["party popper", "white smiling face", "lamp", "sad face"]
    assert torch.equal(found, word_vectors.word_vectors(tiny_minilm, names, 3, 0.1))
    assert not torch.equal(found[0], found[1])


def test_a_misspelling_is_read_as_what_is_meant(
    tiny_minilm: PretrainedTransformer,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, meant = tmp_path / "words.txt", tmp_path / "meant.txt"
    listed.write_text("lamp\nlmap\nlampp\n")
    meant.write_text("lmap lamp\n")
    recipe = write_recipe(extra_words=str(listed), embedding_size=8)
    folder = tmp_path / "vectors"
    options = ["--meant", str(meant), "--output_dir", str(folder)]
    monkeypatch.setattr("sys.argv", ["word_vectors", str(recipe), *options])
    word_vectors.main()
    weight = load_file(folder / "model.safetensors")["embeddings.weight"]
    ids = PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()
    assert torch.allclose(weight[ids["lmap"]], weight[ids["lamp"]], atol=1e-5)
    assert not torch.allclose(weight[ids["lampp"]], weight[ids["lamp"]], atol=1e-3)
    meant.write_text("lmap lamp\nlampp\n")
    with pytest.raises(SystemExit, match=r"meant.txt, line 2: a misspelling and .* not 'lampp'"):
        word_vectors.main()


def test_what_teachers_say_of_words_is_kept_of_their_vectors(
    tiny_minilm: PretrainedTransformer, tokenizer: PreTrainedTokenizerFast
) -> None:
    known = sorted(tokenizer.get_vocab())
    words = [f"{one} {other}" for one in known for other in known]
    whole = word_vectors.word_vectors(tiny_minilm, words, 16, 0.1).numpy()
    # One of the smaller principal components, which are lost first.
    said = np.repeat(whole[:, [8]], 2, axis=1).astype(float)
    said[::3, 1] = np.nan
    plain = word_vectors.word_vectors(tiny_minilm, words, 3, 0.1).numpy()
    found = word_vectors.word_vectors(tiny_minilm, words, 3, 0.1, sentiment=1, said=said).numpy()

    def alike(vectors: NDArray[np.float32], column: int) -> float:
        return abs(float(np.corrcoef(vectors[:, column], whole[:, 8])[0, 1]))

    assert max(alike(plain, column) for column in range(3)) < 0.05
    assert alike(found, 2) > 0.8
    assert np.allclose(np.corrcoef(found, rowvar=False)[:2, :2], np.eye(2), atol=1e-3)
    assert found.std() == pytest.approx(0.1, rel=0.01)


def test_words_are_read_in_frames_for_what_teachers_say(
    tiny_minilm: PretrainedTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = tiny_minilm.load()
    read: list[str] = []

    def reading(texts: list[str], **options: Any) -> Any:
        read.extend(texts)
        return tokenizer(texts, **options)

    monkeypatch.setattr(PretrainedTransformer, "load", lambda transformer: (model, reading))
    words, said = ["lamp", "bright", ":("], np.array([[0.0, 2.0], [1.0, 0.0], [-1.0, 1.0]])
    word_vectors.word_vectors(tiny_minilm, words, 2, 0.1)
    assert sorted(read) == ["bright", "lamp", "sad face"]
    del read[:]
    word_vectors.word_vectors(tiny_minilm, words, 2, 0.1, sentiment=1, said=said)
    spoken = ["lamp", "bright", "sad face"]
    assert sorted(read) == sorted(frame.format(word) for word in spoken for frame in FRAMES)


def test_the_frames_that_teachers_have_read_say_what_they_think_of_a_word() -> None:
    texts = [frame.format("tidy") for frame in FRAMES]
    teacher = dict(zip(map(text_key, texts), [0.5, 0.9, 1.0, 0.0], strict=True))
    said = word_vectors.said_of(["tidy", "untold"], teacher)
    assert said[0] == pytest.approx([0, np.log(9), np.log(99), -np.log(99)])
    assert np.isnan(said[1]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "--sentiment: say where soft labels are"),
        ({"soft_labels": True}, "knows 0 words of the vocabulary .* too few for --sentiment 2"),
    ],
)
def test_without_a_teacher_of_words_there_is_no_sentiment(
    fields: dict[str, bool],
    message: str,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, path = write_recipe(), tmp_path / "soft.parquet"
    write_soft_labels(path, ["one text"], [0.7])
    named = ["--soft_labels", str(path)] if fields else []
    monkeypatch.setattr("sys.argv", ["word_vectors", str(recipe), "--sentiment", "2", *named])
    with pytest.raises(SystemExit, match=message):
        word_vectors.main()
