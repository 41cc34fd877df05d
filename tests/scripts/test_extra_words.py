"""Words that a vocabulary has although reviews seldom say them."""

from collections.abc import Callable
from pathlib import Path

import extra_words
import pytest
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.tokenization import iter_words
from sentiment_lstm.training.preprocessing import load_all, make_tokenizer
from sentiment_lstm.training.pretrained import PretrainedTransformer
from sentiment_lstm.training.recipe import read_recipe


def test_a_recipe_knows_what_a_transformer_knows_whole_and_the_emoji(
    tiny_minilm: PretrainedTransformer,
    tokenizer: PreTrainedTokenizerFast,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "new" / "words.txt"
    monkeypatch.setattr("sys.argv", ["x", "--of", "minilm", "--output_file", str(path)])
    extra_words.main()
    listed = path.read_text(encoding="utf-8").splitlines()
    assert f"wrote {len(listed):,} words to {path}" in capsys.readouterr().out

    emoji = "\N{FOX FACE}\N{HEAVY BLACK HEART}\N{ROCKET}\N{YAWNING FACE}"
    assert {*emoji} <= {*listed}
    assert "\N{EMOJI MODIFIER FITZPATRICK TYPE-3}" not in listed
    words = [word for word in listed if word.isalpha()]
    assert words == sorted(words)
    assert set(words) == {
        word
        for word in tokenizer.get_vocab()
        if word.isascii() and word.isalpha() and len(word) > 2
    }

    rare = write_recipe(min_frequency=1000, max_vocab_size=len(listed) + 2, extra_words=str(path))
    recipe = read_recipe(rare)
    vocabulary = make_tokenizer(recipe.tokenizer, load_all(recipe.reviews)).get_vocab()
    assert {*listed} == vocabulary.keys() - {"_PAD", "_UNK"}, "however rare: each by itself"

    recipe = read_recipe(rare, {"max_vocab_size": 10})
    with pytest.raises(ValueError, match=rf"is 10; {len(listed)} extra words do not fit"):
        make_tokenizer(recipe.tokenizer, load_all(recipe.reviews))


def test_each_emoticon_is_a_word_and_shows_something() -> None:
    shown = extra_words.emoticons()
    assert list(iter_words(shown)) == [[emoticon] for emoticon in shown]
    assert shown[":)"] == shown["=-)"] == "smiling face"
    assert shown[":'("] == "crying sad face"
    assert shown[";p"] == "winking playful face with tongue out"


def test_forms_of_known_words_are_words_too() -> None:
    known = {"detest", "despise", "abhor", "pity", "wish", "happy", "quick", "van", "sing"}
    forms = ["detests", "detested", "despising", "despises", "abhorred", "abhors"]
    forms += ["pitied", "pities", "wishing", "wishes", "happily", "quickly"]
    others = ["vans", "red", "ring", "sings", "thing", "abhor", "lamps", "fly"]
    found = extra_words.inflections([*others, *forms], known)
    assert sorted(found) == sorted(forms), "no plurals, and nothing by chance"


def test_a_recipe_says_which_forms_there_are(
    tiny_minilm: PretrainedTransformer,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, path = tmp_path / "texts.txt", tmp_path / "words.txt"
    texts.write_text("I detest it.\n" * 10 + "He detests it.\n" * 2 + "It was detested.\n")
    recipe = write_recipe(unlabelled=str(texts), soft_labels="none.parquet")
    arguments = ["--of", "minilm", "--output_file", str(path)]
    monkeypatch.setattr("sys.argv", ["x", str(recipe), *arguments])
    extra_words.main()
    assert "detests" not in path.read_text().split(), "that it is a verb's nobody says twice"
    texts.write_text(texts.read_text() + "I detested it.\n")
    extra_words.main()
    listed = path.read_text(encoding="utf-8").splitlines()
    assert {"detests", "detested"} <= {*listed}
    assert "detest" not in listed, "the texts themselves say it often enough"
    monkeypatch.setattr("sys.argv", ["x", "--train", str(texts), *arguments])
    with pytest.raises(SystemExit):
        extra_words.main()


def test_words_on_which_the_label_depends_are_told_from_others() -> None:
    texts = [f"{'awful' if label == 0 else 'lovely'} thing for the money" for label in (0, 1) * 9]
    texts[0] += " lovely lovely lovely"
    assert extra_words.telling_words(texts, [0, 1] * 9, 2) == ["awful", "lovely"]
    assert len(extra_words.telling_words(texts, [0, 1] * 9, 9)) == 4, "of four letters and more"


def test_what_is_misspelt_is_no_other_word() -> None:
    meant = extra_words.misspelt(["poor", "pour", "good"], {"por", "god"})
    pour = ["puor", "pur", "poour", "poru", "pouur"]
    assert meant == {"poro": "poor", **dict.fromkeys(pour, "pour"), "godo": "good"}, "not goood"
    assert list(iter_words(meant)) == [[word] for word in meant], "what a text can say"


def test_a_recipe_says_what_is_misspelt(
    tiny_minilm: PretrainedTransformer,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, path = write_recipe(), tmp_path / "words.txt"
    arguments = ["--of", "minilm", "--misspelt", "2", "--output_file", str(path)]
    monkeypatch.setattr("sys.argv", ["x", str(recipe), *arguments])
    extra_words.main()
    listed = path.read_text(encoding="utf-8").splitlines()
    lines = (tmp_path / "meant.txt").read_text(encoding="utf-8").splitlines()
    meant = dict(line.split() for line in lines)
    assert len({*meant.values()}) == 2
    assert listed[-len(meant) :] == list(meant), "the last ones, each once"
    assert len(listed) == len({*listed})
    vocabulary = make_tokenizer(
        read_recipe(recipe).tokenizer, load_all(read_recipe(recipe).reviews)
    ).get_vocab()
    assert {*meant.values()} <= vocabulary.keys(), "words of the reviews"
