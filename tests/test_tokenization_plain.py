"""Plain words: what they are, that offsets hold, and that JavaScript reads the same."""

from __future__ import annotations

import json
import random
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from sentiment_lstm.tokenization import iter_words, train_tokenizer

JAVASCRIPT = Path(__file__).parent / "javascript"


def words(text: str) -> list[str]:
    return next(iter_words([text]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\n ", ""),
        ("It's GREAT.", "it 's great"),
        # Contractions, apart or not, straight or curly.
        ("I don't, can't and won't", "i do n't ca n't and wo n't"),
        ("I do n't", "i do n't"),
        ("I’m sure it wasn’t", "i 'm sure it was n't"),
        ("we've you'll they're he'd", "we 've you 'll they 're he 'd"),
        ("the dogs' o'brien 'quoted' rock'n'roll", "the dogs o brien quoted rock n roll"),
        ("what't " + "a" * 70 + "n't", "what t " + "a" * 70 + "n t"),
        # Numbers as they are written.
        ("10/10, 1/10", "10 / 10 1 / 10"),
        ("4.5 of 5 stars at $1,250.99.", "4.5 of 5 stars at $ 1,250.99"),
        ("an mp3, 5star, 2nd", "an mp3 5 star 2 nd"),
        ("90% off & more", "90 % off & more"),
        # What is drawn out.
        ("sooooo gooood, toooo", "soo good too"),
        ("nooo!!!!!! wait...... What?!", "noo !!! !!! wait ... ... what ?!"),
        ("1000 and 11111", "1000 and 11111"),
        # Emoticons and emoji.
        ("nice :-) or :) or ;-)", "nice :-) or :) or ;-)"),
        ("bad :( or :'( or =[", "bad :( or :'( or =["),
        ("fun :D :p, but <3 </3", "fun :d :p but <3 </3"),
        ("note:did not (so: x)", "note did not so x"),
        ("👍🏽 👍👍🏿 ❤️", "👍 👍 👍 ❤"),
        ("🤷🏽\u200d♀️🤷\u200d♂", "🤷 🤷"),
        ("great👍ok", "great 👍 ok"),
        # Marks.
        ('So.. (see: it) "x" [y] {z}; ok', "so .. see it x y z ok"),
        ("a well-made thing -- or two – or – three", "a well made thing or two or three"),
        ("***** and *", "***** and *"),
        ("under_score / slash @home #1", "under score / slash @ home # 1"),
        # Left-over HTML.
        ("Tom &amp; Jerry &quot;x&quot;", "tom &amp; jerry &quot; x &quot;"),
        ("Don&#39;t<br /><BR>go", "do n't <br_/> <br> go"),
        # Other languages.
        ("café naïve ¡hola! ÜBER", "café naïve ¡ hola ! über"),
        ("привет 日本語 e\u0301té ２", "привет 日本語 e\u0301té ２"),
    ],
)
def test_words(text: str, expected: str) -> None:
    # A blank within a word is written as an underscore.
    assert words(text) == [word.replace("_", " ") for word in expected.split()]


@pytest.mark.parametrize("mark", string.punctuation)
def test_a_mark_is_a_word_or_separates_words_wherever_it_stands(mark: str) -> None:
    expected = ["good", "bad"] if mark in ".,:;\"'`()[]{}-_\\" else ["good", mark, "bad"]
    for text in (f"good {mark} bad", f"good{mark} bad", f"good {mark}bad", f"good{mark}bad"):
        assert words(text) == expected, text


def test_offsets_point_into_the_original_text() -> None:
    text = "It’s SOOOO good :-) &amp; I don't &quot;lie&quot; 👍🏽 1.5"
    tokenizer = train_tokenizer([text], min_frequency=1)
    encoding = tokenizer(text, return_offsets_mapping=True)
    pieces = [text[start:end] for start, end in encoding["offset_mapping"]]
    assert tokenizer.convert_ids_to_tokens(encoding["input_ids"]) == words(text)
    assert pieces == [
        *("It", "’s", "SOOOO", "good", ":-)", "&amp;", "I", "do", "n't", "&quot;", "lie"),
        *("&quot;", "👍", "1.5"),
    ]


SENTENCES = [
    "It's a {} lamp, and I {} recommend it!",
    "{}: I don't know what to say... {}",
    "“{}” said my wife; he couldn’t {} :-)",
    "10/10, 4.5 stars &amp; {} <br />{}!!!",
    "{} www.{}.com (see http://example.org/{}) 👩🏽\u200d💻",
]
FRAGMENTS = [
    *"abcnst '’‘“”\"&;:)(*.!?,/<>3dp-_½Ⓐⅷ１٣éßςİŞ日ж\u0301\u200b\ufeff\u00a0\u2028\t\n\r\x0b\x1c",
    *("n't", "don't", "'s", "www.", "http://", "&quot;", "&amp;", "&#39;", "<br />", "10/10"),
    *("sooo", ":-)", "👍🏽", "❤️", "🤷\u200d♀️", "great", " not ", " bad "),
]


def test_javascript_reads_the_same_ids(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (JAVASCRIPT / "node_modules").is_dir():
        pytest.skip("needs Node and npm: `make test` installs the rest")
    draw = random.Random(17)
    texts = [
        draw.choice(SENTENCES).replace("{}", draw.choice(FRAGMENTS) + draw.choice(FRAGMENTS))
        if number % 2
        else "".join(draw.choices(FRAGMENTS, k=draw.randint(0, 60)))
        for number in range(2_000)
    ]
    # A third of the words is unknown.
    tokenizer = train_tokenizer(texts[::2], min_frequency=2)
    tokenizer.save_pretrained(tmp_path)
    done = subprocess.run(
        [node, "ids.mjs"],
        cwd=JAVASCRIPT,
        input=json.dumps({"folder": str(tmp_path), "texts": texts}),
        capture_output=True,
        text=True,
        check=True,
    )
    for text, ids in zip(texts, json.loads(done.stdout), strict=True):
        assert ids == tokenizer(text)["input_ids"], text
