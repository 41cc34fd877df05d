"""Laws of the tokenizer: its vocabulary, its words, its options, and what survives a save."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sentiment_lstm.tokenization import (
    TITLE_MARK,
    TUTORIAL_PRESET,
    Words,
    build_tokenizer,
    count_words,
    iter_words,
    save_tokenizer,
    train_tokenizer,
)

ROOT = Path(__file__).parents[1]

REVIEWS = [
    "Lovely little lamp: It's bright, it's warm and it doesn't flicker. My desk loves it!",
    'Broke in 2 days: I can\'t say "great value" when the lamp broke. Mr. Brown was no help.',
    "lamp lamp lamp... I'm gonna buy 10 more (see www.lamps-for-you.com for the rest)",
    "",
    "Not bad, not good: zebra",
]


# What a search could go back and forth over: (head, what is repeated, tail).
REPEATED = [
    ("5.", " ", ""),
    ("5.", " ", "x"),
    ("a.", "\n", "b"),
    ("a. ", ")", "x"),
    ("a.", "' ", "x"),
    ("a'", " ", "x"),
    ("", "a' ", ""),
    ("", "a", "n't"),
    ("www. ", "a ", ""),
    ("www. ", "a.", ""),
    ("www. ", ".", ""),
    ("www. ", "a.com ", ""),
    ("mr. ", "0.", ""),
    (",", ",", "0"),
    *(("", unit, "") for unit in ("a.", "'a", "5. ", ". ", "mr. ", "i. ", "a.\n\n", "... ", "_.")),
    *(("", unit, "") for unit in ("!--", "!)", ".)", ". )", "'", '"', '."', ".'", "()", "?!")),
    *(("", unit, "") for unit in ("0,", "0.0-", "1,000.", ":", "a:0", "b-week. ", "-", "é.", "“")),
    *(("", unit, "") for unit in ("n't", "a'n't", "'s'", "more'n", ".com:", "a.com", "w")),
]


def words(text: str, rules: Words = "plain") -> list[str]:
    return next(iter_words([text], words=rules))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(REVIEWS, min_frequency=1)


# --- vocabulary -----------------------------------------------------------------------------


def test_words_are_numbered_by_falling_count_then_first_appearance() -> None:
    tokenizer = train_tokenizer(["pear fig pear apple", "apple fig pear kiwi"], min_frequency=1)
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary, key=lambda word: vocabulary[word]) == [
        *("_PAD", "_UNK"),
        *("pear", "fig", "apple", "kiwi"),
    ]


def test_rare_words_stay_out() -> None:
    texts = ["pear fig pear apple", "apple fig pear kiwi"]
    assert set(train_tokenizer(texts).get_vocab()) == {"_PAD", "_UNK", "pear", "fig", "apple"}
    only_pear = {"_PAD", "_UNK", "pear"}
    assert set(train_tokenizer(texts, min_frequency=3).get_vocab()) == only_pear


def test_vocab_size_counts_the_special_tokens_and_keeps_the_most_common() -> None:
    tokenizer = train_tokenizer(["pear fig pear apple fig pear"], min_frequency=1, vocab_size=4)
    assert tokenizer.get_vocab() == {"_PAD": 0, "_UNK": 1, "pear": 2, "fig": 3}
    assert len(tokenizer) == tokenizer.vocab_size == 4


def test_extra_words_are_known_however_rare_and_count_towards_vocab_size() -> None:
    texts = ["pear fig pear apple fig pear plum"]
    tokenizer = train_tokenizer(texts, vocab_size=6, extra_words=["\N{FOX FACE}", "Plum", "fig"])
    order = ["_PAD", "_UNK", "pear", "fig", "plum", "\N{FOX FACE}"]
    assert sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__) == order
    assert tokenizer.tokenize("A plum \N{FOX FACE}") == ["_UNK", "plum", "\N{FOX FACE}"]
    without = train_tokenizer(texts, extra_words=[]).get_vocab()
    assert without == train_tokenizer(texts).get_vocab()


def test_unknown_words_are_cut_into_pieces_and_the_words_keep_their_ids() -> None:
    texts = ["lamp light a b lamp light lampshade lampshade lightest lamps brightly"]
    words_only = train_tokenizer(texts, vocab_size=4)
    cut = train_tokenizer(texts, vocab_size=4, max_word_pieces=100)
    vocabulary = cut.get_vocab()
    assert vocabulary.items() > words_only.get_vocab().items()
    assert cut.tokenize("lamp lampshade lampses lampx! b") == [
        *("lamp", "lamp", "##shade", "lamp", "##s", "##e", "##s", "_UNK", "_UNK", "_UNK"),
    ], "the longest first; an x ends no word, and nothing begins with a mark or a b"
    ids = cut("lampshade")["input_ids"]
    assert cut.decode(ids) == "lampshade"
    assert cut("a lampshade", return_offsets_mapping=True)["offset_mapping"][1:] == [
        (2, 6),
        (6, 11),
    ]
    assert cut.tokenize("##shade") == ["_UNK"] * 3, "a text cannot write a piece"
    few = train_tokenizer(texts, vocab_size=4, max_word_pieces=3)
    assert len(few) == len(words_only) + 3


def test_the_end_of_a_title_is_marked_once_and_only_where_there_is_a_title() -> None:
    texts = [*REVIEWS, "lamp: warm: lamp"]
    tokenizer = train_tokenizer(texts, words="nltk", min_frequency=1, mark_title=True)
    said = tokenizer.tokenize("Lovely little lamp: it's bright: it's warm")
    assert said == [
        "lovely",
        "little",
        "lamp",
        TITLE_MARK,
        *words("it's bright: it's warm", "nltk"),
    ]
    for text in (
        "no title at all",
        "a ratio of 1:2",
        ": nothing before it",
        "so " * 80 + "late: x",
    ):
        assert TITLE_MARK not in tokenizer.tokenize(text)
    unmarked = train_tokenizer(REVIEWS, words="nltk", min_frequency=1)
    assert TITLE_MARK not in unmarked.get_vocab()


def test_counts_are_in_order_of_first_appearance() -> None:
    assert list(count_words(["b a", "c b"]).items()) == [("b", 2), ("a", 1), ("c", 1)]


def test_texts_are_read_once_and_one_by_one() -> None:
    read: list[int] = []

    def stream() -> Iterator[str]:
        for number in range(5):
            read.append(number)
            yield "one review"

    split = iter_words(stream())
    next(split)
    assert read == [0]
    read.clear()
    train_tokenizer(stream())
    assert read == [0, 1, 2, 3, 4]


def test_the_vocabulary_holds_exactly_the_words_that_encoding_looks_up(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    for text, expected in zip(REVIEWS, iter_words(REVIEWS), strict=True):
        assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == expected


# --- words ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", ["plain", "nltk"])
@pytest.mark.parametrize(("head", "unit", "tail"), REPEATED)
def test_what_is_repeated_takes_linear_time(rules: Words, head: str, unit: str, tail: str) -> None:
    def seconds(length: int) -> float:
        text, taken = head + unit * (length // len(unit)) + tail, []
        for _ in range(3):
            start = time.thread_time()
            words(text, rules)
            taken.append(time.thread_time() - start)
        return min(taken)

    # Four times as long: linear is 4, quadratic 16.
    assert seconds(40_000) < 8 * seconds(10_000)


@pytest.mark.parametrize("rules", ["plain", "nltk"])
@pytest.mark.parametrize(
    ("head", "unit", "times"),
    [("", "a.", 673_000), ("", "'a", 477_000), ("www. ", "a ", 500_000), ("5.", " ", 1_000_000)],
)
def test_no_length_is_too_much(rules: Words, head: str, unit: str, times: int) -> None:
    # Oniguruma gives up after ten million steps back within one match, and tokenizers panics.
    found = "".join(words(head + unit * times, rules))
    assert found.count("a") == unit.count("a") * times


def test_the_released_tokenizer_has_the_rules_of_this_package() -> None:
    released = json.loads((ROOT / "hub_card" / "tokenizer.json").read_text(encoding="utf-8"))
    built = build_tokenizer(released["model"]["vocab"]).backend_tokenizer
    assert json.loads(built.to_str()) == released


# --- options --------------------------------------------------------------------------------


def test_defaults_pad_on_the_right_and_keep_unknown_words_apart(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    batch = tokenizer(["zebra quagga", "zebra"], padding=True)
    zebra = tokenizer.get_vocab()["zebra"]
    assert batch["input_ids"] == [[zebra, 1], [zebra, 0]]
    assert batch["attention_mask"] == [[1, 1], [1, 0]]
    assert list(batch) == ["input_ids", "attention_mask"]


def test_the_tutorials_face_pads_left_to_200_and_sends_unknown_words_to_0() -> None:
    tokenizer = train_tokenizer(["zebra zebra lion lion"], **TUTORIAL_PRESET)
    texts = ["zebra quagga lion", "", "zebra " * 150 + "lion " * 100]
    rows = tokenizer(texts, padding="max_length", truncation=True)["input_ids"]
    assert rows == [[0] * 197 + [2, 0, 3], [0] * 200, [2] * 150 + [3] * 50]


def test_truncation_keeps_the_first_words_unless_told_otherwise() -> None:
    first = train_tokenizer(["a b c"], min_frequency=1, model_max_length=2)
    last = train_tokenizer(["a b c"], min_frequency=1, model_max_length=2, truncation_side="left")
    assert first.tokenize("a b c") == ["a", "b", "c"]
    assert first("a b c", truncation=True)["input_ids"] == first.convert_tokens_to_ids(["a", "b"])
    assert last("a b c", truncation=True)["input_ids"] == last.convert_tokens_to_ids(["b", "c"])


@pytest.mark.parametrize("literal", ["_PAD", "_UNK", "_pad"])
@pytest.mark.parametrize("unknown_to_pad", [False, True])
def test_a_review_cannot_write_special_tokens(literal: str, unknown_to_pad: bool) -> None:
    text = f"my {literal} arrived,{literal}!"
    tokenizer = train_tokenizer([text], min_frequency=1, unknown_to_pad=unknown_to_pad)
    assert tokenizer.tokenize(text) == words(text)
    assert min(tokenizer(text)["input_ids"]) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_frequency": 0}, "min_frequency is 0"),
        ({"max_word_pieces": -1}, "max_word_pieces is -1"),
        ({"vocab_size": 2}, "vocab_size is 2"),
        ({"vocab_size": 4, "extra_words": ["b", "c", "d"]}, "4; 3 extra words do not fit"),
        ({"words": "nltx"}, "words is 'nltx'; use one of plain, nltk"),
        ({"mark_title": True}, "mark_title needs words='nltk'"),
        ({"model_max_length": 0}, "model_max_length is 0"),
        ({"padding_side": "middle"}, "padding_side is 'middle'"),
        ({"truncation_side": "up"}, "truncation_side is 'up'"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_tokenizer(["a"], **options)  # type: ignore[arg-type]


def test_what_is_not_a_text_is_named() -> None:
    with pytest.raises(TypeError, match=r"texts\[1\] is dict"):
        train_tokenizer(["fine", {"text": "not fine"}])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="iterable of reviews"):
        train_tokenizer("one review")


# --- save and load --------------------------------------------------------------------------

LOAD_ELSEWHERE = """
import json, sys
from transformers import AutoTokenizer

def load(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding="max_length", truncation=True)
    return {
        "batch": dict(batch),
        "class": type(tokenizer).__name__,
        "ours": any(name.split(".")[0] == "sentiment_lstm" for name in sys.modules),
        "model_input_names": tokenizer.model_input_names,
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "special": [tokenizer.pad_token, tokenizer.pad_token_id, tokenizer.unk_token],
        "length": tokenizer.model_max_length,
    }

texts = json.loads(sys.stdin.read())
print(json.dumps([load(folder) for folder in sys.argv[1:]]))
"""
ELSEWHERE: list[Any] = [
    {},
    TUTORIAL_PRESET,
    {"truncation_side": "left"},
    {"words": "nltk", "vocab_size": 20, "max_word_pieces": 50, "mark_title": True},
]


def test_a_process_without_this_package_loads_the_same_tokenizer(tmp_path: Path) -> None:
    texts = [*REVIEWS, "_PAD quagga _UNK", "lamp " * 300]
    names = ["tokenizer.json", "tokenizer_config.json"]
    folders, expected = [], []
    for number, preset in enumerate(ELSEWHERE):
        tokenizer = train_tokenizer(REVIEWS, min_frequency=1, **preset)
        folder = tmp_path / str(number)
        assert sorted(path.name for path in save_tokenizer(tokenizer, folder)) == names
        assert sorted(os.listdir(folder)) == names
        # The name that transformers 4 knows, too.
        config = json.loads((folder / "tokenizer_config.json").read_text())
        assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
        # One that was loaded says nothing of where it was.
        again = tmp_path / f"{number} again"
        save_tokenizer(PreTrainedTokenizerFast.from_pretrained(folder), again)
        assert json.loads((again / "tokenizer_config.json").read_text()).keys() == config.keys()
        folders.append(str(folder))
        expected.append(
            {
                "batch": dict(tokenizer(texts, padding="max_length", truncation=True)),
                "class": type(tokenizer).__name__,
                "ours": False,
                "model_input_names": ["input_ids", "attention_mask"],
                "sides": [tokenizer.padding_side, tokenizer.truncation_side],
                "special": ["_PAD", 0, "_UNK"],
                "length": tokenizer.model_max_length,
            }
        )
    done = subprocess.run(  # one for all, since importing transformers takes seconds
        [sys.executable, "-c", LOAD_ELSEWHERE, *folders],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_saving_twice_changes_nothing(tmp_path: Path) -> None:
    train_tokenizer(REVIEWS, **TUTORIAL_PRESET).save_pretrained(tmp_path / "first")
    again = AutoTokenizer.from_pretrained(tmp_path / "first")
    assert type(again) is PreTrainedTokenizerFast
    again(REVIEWS, padding="max_length", truncation=True)
    again.save_pretrained(tmp_path / "second")
    third = AutoTokenizer.from_pretrained(tmp_path / "second")
    texts = [*REVIEWS, "lamp " * 300]
    # Padding and truncation set by a call are not to stick.
    assert third(texts)["input_ids"] == again(texts)["input_ids"]
    assert len(third("lamp " * 300)["input_ids"]) == 300
