"""Reviews are tokenised once, and what was interrupted resumes."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from sentiment_lstm.data.dataset import load_reviews
from sentiment_lstm.tokenization import private_backend, train_tokenizer
from sentiment_lstm.training import preprocessing
from sentiment_lstm.training.recipe import read_recipe

WriteRecipe = Callable[..., Path]


def test_validation_is_not_tokenised_twice(write_recipe: WriteRecipe) -> None:
    """What is cached depends on the words of a tokenizer, not on its use in between."""
    recipe = read_recipe(write_recipe())
    tokenizer = train_tokenizer(["a lamp", "a lamp"])
    reviews = list(preprocessing.load_all(recipe.reviews)["validation"].values())
    first = preprocessing.tokenize(reviews, tokenizer, 5)
    tokenizer("a lamp", truncation=True, max_length=3, padding="max_length")
    second = preprocessing.tokenize(reviews, tokenizer, 5)
    assert first._fingerprint == second._fingerprint
    assert max(first["length"]) == 5
    assert first[0]["input_ids"] == tokenizer(reviews[0][0]["text"])["input_ids"][:5]


def test_an_error_stands_on_a_line_of_its_own(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(texts: Iterable[str], **_: Any) -> None:
        raise ValueError("sabotage")

    monkeypatch.setattr(preprocessing, "train_tokenizer", fail)
    recipe = read_recipe(write_recipe())
    reviews = preprocessing.load_all(recipe.reviews)
    capsys.readouterr()
    with pytest.raises(ValueError, match="sabotage") as caught:
        preprocessing.make_tokenizer(recipe.tokenizer, reviews)
    assert capsys.readouterr().err.endswith("\n"), "it would stand behind the bar"
    del caught  # which has kept the bar until here


def test_tokenising_resumes_where_it_was_stopped(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(["a lamp", "a lamp"])
    source = read_recipe(write_recipe()).reviews.train[0]
    reviews = load_reviews(source, cache_dir=tmp_path / "cache")
    whole = preprocessing.tokenize([reviews], tokenizer)[:]

    read: list[str] = []
    broken_at = 25

    class Backend:
        def __init__(self, backend: Any) -> None:
            self.backend = backend

        def __getattr__(self, name: str) -> Any:
            return getattr(self.backend, name)

        def encode_batch_fast(self, texts: list[str]) -> Any:
            read.extend(texts)
            if len(read) > broken_at:
                raise KeyboardInterrupt
            return self.backend.encode_batch_fast(texts)

    monkeypatch.setattr(
        preprocessing, "private_backend", lambda tokenizer: Backend(private_backend(tokenizer))
    )
    monkeypatch.setattr(preprocessing, "_TOKENIZED_TOGETHER", 10)
    with pytest.raises(KeyboardInterrupt):
        preprocessing.tokenize([reviews], tokenizer)
    assert read == reviews["text"][:30]
    read.clear()
    broken_at = len(reviews)
    pieces = preprocessing.tokenize([reviews], tokenizer)
    assert read == reviews["text"][20:], "two files of ten were whole"
    assert pieces[:] == whole
    assert pieces._fingerprint == preprocessing.tokenize([reviews], tokenizer)._fingerprint


def test_a_recipe_says_whose_words(write_recipe: WriteRecipe) -> None:
    recipe = read_recipe(write_recipe())
    reviews = preprocessing.load_all(recipe.reviews)

    def rules(**fields: Any) -> str:
        arguments = recipe.replace(**fields).tokenizer
        backend = preprocessing.make_tokenizer(arguments, reviews).backend_tokenizer
        pattern: str = json.loads(backend.to_str())["pre_tokenizer"]["pattern"]["Regex"]
        return pattern

    assert rules() == rules(words="plain")
    assert rules(tutorial_tokenizer=True) == rules(words="nltk") != rules()
