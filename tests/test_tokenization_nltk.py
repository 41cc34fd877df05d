"""The tokenizer's words are the tutorial's: its own code, NLTK included, on the same texts."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punkt.data import english
from tutorial import reference

from sentiment_lstm.tokenization import (
    TUTORIAL_PRESET,
    iter_words,
    nltk_words,
    train_tokenizer,
)


def words(text: str) -> list[str]:
    return next(iter_words([text], words="nltk"))


SENTENCES = [
    'Great buy: I bought 2 of these. "They work!" said my wife. 10/10, would buy again.',
    "Mr. and Mrs. Green (of St. Ives, Ill.) loved it... I didn't. It's the kids' toy, y'all!!",
    "Don't waste your $$$ -- it's junk!!! I'd've returned it, but couldn't've got a refund.",
    'He said, "It\'s \'fine\', I guess." "Fine?!" I asked... No answer.',
    "I give it 0. the end. I give it 5. The end. Plan B. was worse; vitamin C. is ok.",
    "From the U.S. to the U.K. it shipped at 10 p.m. on Jan. 5. Arrived Feb. 2! wow",
    "Check http://www.example.com/item?id=3 or example.org. It was good.but not great.",
    "cannot gonna gotta gimme lemme wanna more'n d'ye 'tis 'twas rock'n'roll o'clock '90s",
    "``Quoted'' and ''odd'' and `single' and \"unbalanced",
    "(See p. 5.) [Note: it's ok.] {Braces.} <b>Bold</b>. a,b:c ,d :e ,,f ::g 1,000:30",
    "It ended with a quote.\" Then (brackets.) Then both.\") Then none. ' x ' y",
    'Was it ?". No it wasn\'t !" yes .". done',
    "“Curly quotes,” she said. ‘Single ones.’ «Guillemets.» The dash – and — that.",
    'Line one.\nLine two!\n\n"Line three"\tTabbed. \n',
    "The 5 administrators. 5. administrators met. a. b. c. x. z. i. so",
    'I saw dr. no." and mr. yes!) today... and ms. maybe.: ok',
    "e.g. this, i.e. that, etc. and so on vs. others; no. 5, vol. 2. ok.",
    "   leading and trailing spaces.   ",
    "",
    "....  . .. ... ! ? !? ?! !!! ,",
    "C++ / C# & R&D @home 50% #1 *star* under_score a-b--c---d x/y\\z 3-in-1",
    "naïve café ÉTÉ ½ cup of sugar² 日本語 привет 😀 ok",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_written_reviews(text: str) -> None:
    assert words(text) == reference.tokenize(text)


def test_the_tables_are_punkts() -> None:
    ours = set(nltk_words._PUNKT_ABBREVIATIONS.split())
    assert set(english.ABBREV_TYPES) - ours == {". . "}
    assert ours <= set(english.ABBREV_TYPES)
    upper, first_lower = 2 | 4 | 8, 16  # NLTK's _ORTHO_UC and _ORTHO_BEG_LC
    starters = {
        word
        for word, context in english.ORTHO_CONTEXT.items()
        if not context & upper and context & first_lower
    }
    assert starters == set(nltk_words._PUNKT_LOWER_STARTERS)
    # Every collocation begins with a number or a single letter and goes on in lower case, where
    # those do not end a sentence anyway.
    for first, second in english.COLLOCATIONS:
        assert first == "##number##" or len(first) == 1
        assert second[0].islower()
        assert second not in starters


def assembled(pieces: list[str], longest: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=longest).map("".join)


ALPHABETS = {
    "marks": [*"ab.?!,:\"'`-()0 ", " ", ". ", '" ', "mr. "],
    "clitics": [
        *("a", "n", "t", "s", "x", "can", "n't", "'s", "'ll", "'d", "cannot", "gonna", "wanna"),
        *("more'n", "d'ye", "'tis", "'", "'", '"', ".", ",", "-", "/", ")", " ", " "),
    ],
    "punkt": [
        *("mr.", "dr.", "u.s.", "i.", "b.", "_.", "3.", "1,000.", "x.", "so", "The", "b-week"),
        *("...", "..", ".", "!", "?", '"', "'", ")", "(", "]", "“", "”", "’", ",", ":", "--"),
        *(" ", " ", " ", " ", " "),
    ],
    "urls": ["www.", ".com", "http:", "https:", "a.bcd", ".but", "x", ".", "/", "0", " ", "\n"],
    "unicode": [*"ab.?!,:\"'-()0é’“”‘«»„–—…ñßÉ_½²³日😀", "\n", "\t", " "],
    "prose": [
        *("the ", "movie ", "great", ". ", ".", '" ', '"', " '", "'", "it's", "cannot", "mr. "),
        *("10. ", "u.s. ", "i. ", "... ", "!", "? ", "(", ")", ", ", ": ", "e.g. ", " - "),
        *('"No.', '"mr. ', "p.m.", "don't", "dogs' ", "'90s ", "www.shop.com ", "good.but "),
    ],
}


# The same examples on every run: a failure is to be repeatable, and further seeds are one
# environment away (hypothesis' own `--hypothesis-seed` after removing derandomize).
@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_random_texts(alphabet: str) -> None:
    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(assembled(ALPHABETS[alphabet], longest=16))
    def check(text: str) -> None:
        assert words(text) == reference.tokenize(text)

    check()


def test_vocabulary_and_padded_ids_are_the_tutorials() -> None:
    # Enough repeated words that many counts tie, and reviews beyond 200 words.
    rng = random.Random(3)
    texts = [" ".join(rng.choices(SENTENCES, k=rng.randint(0, 14))) for _ in range(60)]
    tokenizer = train_tokenizer(texts, **TUTORIAL_PRESET)
    tokenized = [reference.tokenize(text) for text in texts]
    vocabulary = reference.word2idx(tokenized)
    assert sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]) == list(
        vocabulary.items()
    )

    unseen = [*texts, "", "quagga zebu", "A wholly new review. Nothing known!"]
    ids = [reference.encode(reference.tokenize(text), vocabulary) for text in unseen]
    padded = tokenizer(unseen, padding="max_length", truncation=True)["input_ids"]
    assert max(len(row) for row in ids) > 200
    np.testing.assert_array_equal(np.array(padded), reference.pad_input(ids, 200))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\n ", ""),
        ("It's GREAT.", "it 's great ."),
        ("I don't, can't and won't", "i do n't , ca n't and wo n't"),
        ("cannot gonna gimme wanna", "can not gon na gim me wan na"),
        ("Sold 3 of 1,250 at 9:30", "sold 0 of 0,000 at 0:00"),
        ('She said "never again".', "she said `` never again '' ."),
        ("('quoted')", "( ' quoted ' )"),
        ("Mr. Brown met Dr. Grey. They left.", "mr. brown met dr. grey . they left ."),
        ("a 10. then 10. More", "a 00. then 00. more"),
        ("the year was 1999. 'Twas good", "the year was 0000 . ' twas good"),
        ("wait... what?! no -- never---so", "wait ... what ? ! no -- never -- -so"),
        ("U.S. made, e.g. here.", "u.s. made , e.g . here ."),
        ("good.bad", "good.bad"),
        ("see http://a.com/x now, it was good.but", "see < url > /x now , it was < url >"),
        ("a.com is here", "< url > is here"),
        ("café naïve ¡hola!", "café naïve ¡hola !"),
        ("“Curly” quotes’ end", "“ curly ” quotes ’ end"),
        ("90% off @ $5 & more*", "00 % off @ $ 0 & more *"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_the_url_rule_looks_at_the_whole_review() -> None:
    assert words("so great.but dear") == ["so", "great.but", "dear"]
    assert words("so great.but dear, www.") == ["so", "<", "url", ">", "dear", ",", "www", "."]


def test_offsets_point_into_the_original_text() -> None:
    text = 'It\'s "GREAT": Mr. Brown paid 25 at www.Shop.com. "Yes."'
    tokenizer = train_tokenizer([text], words="nltk", min_frequency=1)
    encoding = tokenizer(text, return_offsets_mapping=True)
    pieces = [text[start:end] for start, end in encoding["offset_mapping"]]
    assert pieces == [
        *("It", "'s", '"', "GREAT", '"', ":", "Mr.", "Brown", "paid", "25", "at"),
        # The three words of `<url>` all stand where the URL ends.
        *("m",) * 3,
        *(".", '"', "Yes", ".", '"'),
    ]


def test_a_word_is_cut_after_a_thousand_parts() -> None:
    assert words("a-" * 500) == ["a-" * 500]
    assert words("a-" * 1_250) == ["a-" * 500, "a-" * 500, "a-" * 250]
    long = "a" * 100_000
    assert words(long) == [long], "letters in a row are one part"


def test_the_url_rule_stops_after_a_documented_length() -> None:
    url = ["<", "url", ">"]
    assert words("x " * 20_000 + "a.com")[-3:] == url
    assert words("x " * 20_001 + "a.com")[-1] == "a.com"
    assert words("good.but " + ":" * 99_998 + " www.")[:3] == url
    assert words("good.but " + ":" * 99_999 + " www.")[0] == "good.but"
    assert words("a." * 100 + "com") == url
    assert words("a." * 101 + "com") != url
