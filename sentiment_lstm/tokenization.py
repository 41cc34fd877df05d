r"""The words of a review, exactly as the tutorial cuts them, in one `tokenizer.json`.

[`train_tokenizer`] counts the words of a stream of reviews and returns a plain
`PreTrainedTokenizerFast`; [`count_words`] is its first half. Everything the tokenizer knows lives
in `tokenizer.json`, so loading one runs no code of ours.

The words are those of the tutorial's preprocessing: `.lower()`, digits to `0`, its URL rule, then
`nltk.word_tokenize` of NLTK 3.10 with the English Punkt model. NLTK applies some thirty
substitutions in turn; here six normalizer passes rewrite what changes (case, digits, URLs,
quotes, and a mark where a sentence begins), and a single pattern then finds the words. That is
what makes it fast, and it keeps the offsets pointing into the original text (those of `<url>`
point at the last character of the URL).

The rules that surprise are NLTK's or the tutorial's:

- The URL rule only runs if the review holds `www.`, `http:`, `https:` or `.com` anywhere, and then
  replaces everything up to the last `.xyz` of any run of non-spaces: in such a review
  `great.but` becomes `<url>` too. NLTK then cuts `<url>` into `<`, `url`, `>`.
- Opening double quotes become two backticks and closing ones two apostrophes.
- A period is a word of its own only where Punkt ends a sentence: not after `mr.`, and not after
  `10.` when a lower-case word follows.

Known differences from the tutorial, none of which occurs in 83,000 Amazon reviews:

- Python's `lower` writes a Greek sigma at the end of a word as ς, tokenizers writes σ: `ΣΟΦΟΣ`.
- Spaces other than ASCII's (no-break space and the like) separate words for both, but NLTK does
  not let them begin a new run when it looks for sentences: in `b.\u00a0!"` it keeps `b.` whole.
- Runs of more than 250 characters without a space (`000...0..` ends in two periods for us and in
  one for NLTK), and of more than 20 colons or commas before a digit (`0,,,...,,0`).
- What would take longer and longer to read. A word of more than 1,000 parts (a run of letters or a
  mark such as `.` between them: `a.a.a.`) is cut there. The URL rule looks for its condition
  before the 100,000th period or colon, stops after 20,000 runs without a `.xyz`, and looks at the
  first 100 periods of a run.
- The two noncharacters U+FDD0 and U+FDD1 are used as marks and disappear from a text: `a\ufdd0`.
- NLTK before 3.10 has other rules for curly quotes: `“so”`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TypedDict

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

PAD_TOKEN = "_PAD"
UNK_TOKEN = "_UNK"


class PresetOptions(TypedDict):
    """The options of [`train_tokenizer`] in which the tutorial and the defaults differ."""

    model_max_length: int | None
    padding_side: str
    unknown_to_pad: bool


TITLE_MARK = "\ufdd2"
"""The word that `mark_title` puts between title and text, a Unicode noncharacter."""

TUTORIAL_PRESET: PresetOptions = {
    "model_max_length": 200,
    "padding_side": "left",
    "unknown_to_pad": True,
}
"""The tutorial's `pad_input`: `train_tokenizer(texts, **TUTORIAL_PRESET)`."""

DEFAULT_PRESET: PresetOptions = {
    "model_max_length": None,
    "padding_side": "right",
    "unknown_to_pad": False,
}
"""What `train_tokenizer(texts)` does by itself."""


def train_tokenizer(
    texts: Iterable[str],
    *,
    min_frequency: int = 2,
    vocab_size: int | None = None,
    model_max_length: int | None = None,
    padding_side: str = "right",
    truncation_side: str = "right",
    unknown_to_pad: bool = False,
    max_word_pieces: int = 0,
    mark_title: bool = False,
) -> PreTrainedTokenizerFast:
    """Build a tokenizer whose vocabulary is the words of `texts`.

    `_PAD` is 0, `_UNK` is 1; the words follow by falling count, ties in order of first
    appearance, which is the order of the tutorial's `word2idx`. No special tokens are added
    around a text.

    Args:
        texts: The training reviews. They are read once, one by one, and not kept.
        min_frequency: How often a word has to occur to enter the vocabulary. Defaults to 2, the
            tutorial's choice.
        vocab_size: The largest number of words, `_PAD` and `_UNK` included. Defaults to no
            limit.
        model_max_length: Where `truncation=True` cuts a review, in words. Defaults to nowhere, as
            an LSTM has no longest input; the tutorial's is 200.
        padding_side: `"right"` or `"left"`. Defaults to `"right"`; the tutorial's is `"left"`.
        truncation_side: The end at which a long review is cut. Defaults to `"right"`, so the
            first words stay, as in the tutorial.
        unknown_to_pad: Give unknown words the id of `_PAD`, as the tutorial's lookup does, in
            place of `_UNK`. Defaults to False.
        max_word_pieces: Cut unknown words, in place of `_UNK`, into a known beginning and up to so
            many pieces such as `##ing`, which follow the words in the vocabulary. Defaults to 0,
            as in the tutorial.
        mark_title: Put [`TITLE_MARK`] where the title of a review ends, in place of Kaggle's
            first `: `. Defaults to False, as in the tutorial.

    Returns:
        A plain `PreTrainedTokenizerFast`. `save_pretrained` writes all there is to know, and
        `AutoTokenizer.from_pretrained` reads it without this package. A review that says `_PAD`
        says the word `_pad`, not the special token; whoever reads `tokenizer.json` with
        `tokenizers` alone sets `encode_special_tokens = True` for that.

    Raises:
        ValueError: An option is out of range.
        TypeError: One of `texts` is not a string.
    """
    if min_frequency < 1:
        raise ValueError(f"min_frequency is {min_frequency}; use 1 to keep every word, or more")
    if vocab_size is not None and vocab_size < 3:
        raise ValueError(
            f"vocab_size is {vocab_size}; it counts {PAD_TOKEN} and {UNK_TOKEN}, so use 3 or more, "
            "or None for no limit"
        )
    if max_word_pieces < 0:
        raise ValueError(f"max_word_pieces is {max_word_pieces}; use 0 for none, or more")
    _check_sides(model_max_length, padding_side, truncation_side)  # before the long part
    counts = count_words(texts, mark_title=mark_title)
    vocabulary = _vocabulary(counts, min_frequency, vocab_size)
    for piece in _word_pieces(counts, vocabulary, max_word_pieces):
        vocabulary[piece] = len(vocabulary)
    return build_tokenizer(
        vocabulary,
        model_max_length=model_max_length,
        padding_side=padding_side,
        truncation_side=truncation_side,
        unknown_to_pad=unknown_to_pad,
        mark_title=mark_title,
    )


def build_tokenizer(
    vocabulary: Mapping[str, int],
    *,
    model_max_length: int | None = None,
    padding_side: str = "right",
    truncation_side: str = "right",
    unknown_to_pad: bool = False,
    mark_title: bool = False,
) -> PreTrainedTokenizerFast:
    """Build a tokenizer of a vocabulary that is known, such as the tutorial's `word2idx`.

    Args:
        vocabulary: Word -> id: 0, 1, 2, ... with `_PAD` as 0 and `_UNK` as 1. Where there are
            pieces (`##ing`) among the words, unknown words are cut into them.
        model_max_length: See `train_tokenizer`, as for the other options.
        padding_side: See there.
        truncation_side: See there.
        unknown_to_pad: See there.
        mark_title: See there.

    Returns:
        See there.

    Raises:
        ValueError: The ids have gaps, the special tokens stand elsewhere, or an option is out of
            range.
    """
    _check_sides(model_max_length, padding_side, truncation_side)
    if (vocabulary.get(PAD_TOKEN), vocabulary.get(UNK_TOKEN)) != (0, 1):
        raise ValueError(f"the vocabulary must give {PAD_TOKEN} the id 0 and {UNK_TOKEN} the id 1")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError(
            f"the ids of the {len(vocabulary)} words must be 0 to {len(vocabulary) - 1}, each once"
        )
    unk_token = PAD_TOKEN if unknown_to_pad else UNK_TOKEN
    # "#" is always a word of its own, so no word looks like a piece.
    if any(word.startswith(_PIECE) and word != _PIECE for word in vocabulary):
        model = models.WordPiece(
            dict(vocabulary), unk_token=unk_token, continuing_subword_prefix=_PIECE
        )
        backend = Tokenizer(model)
        backend.decoder = decoders.WordPiece(prefix=_PIECE, cleanup=False)
    else:
        backend = Tokenizer(models.WordLevel(dict(vocabulary), unk_token=unk_token))
    backend.normalizer = _normalizer(mark_title)
    backend.pre_tokenizer = _pre_tokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD_TOKEN,
        unk_token=UNK_TOKEN,
        model_max_length=VERY_LARGE_INTEGER if model_max_length is None else model_max_length,
        padding_side=padding_side,
        truncation_side=truncation_side,
        # The defaults include token_type_ids, which an LSTM has no use for.
        model_input_names=["input_ids", "attention_mask"],
        # Decoded words are joined by spaces; nothing is to be tidied away.
        clean_up_tokenization_spaces=False,
        # A review that says "_PAD" says the word "_pad": without this, special tokens are cut
        # out of the raw text before anything else happens.
        split_special_tokens=True,
    )


def private_backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """A copy of what turns text into ids, which no other user of the tokenizer can change.

    A call of a tokenizer leaves truncation and padding set in its backend, for whoever comes next
    and for other threads. The copy cuts and pads nothing.

    Args:
        tokenizer: A fast tokenizer.

    Returns:
        The copy; its `encode_batch_fast` gives the ids of `tokenizer(texts)`.
    """
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def count_words(texts: Iterable[str], *, mark_title: bool = False) -> Counter[str]:
    """Count the words of `texts`, in order of first appearance.

    Args:
        texts: Reviews; read once, one by one.
        mark_title: See `train_tokenizer`.

    Returns:
        A `Counter` whose keys are in order of first appearance (`most_common` keeps that order
        among equal counts).

    Raises:
        TypeError: One of `texts` is not a string.
    """
    counts: Counter[str] = Counter()
    for words in iter_words(texts, mark_title=mark_title):
        counts.update(words)
    return counts


def iter_words(texts: Iterable[str], *, mark_title: bool = False) -> Iterator[list[str]]:
    """Yield the words of each text: what the tokenizer looks up in its vocabulary.

    Args:
        texts: Reviews; read once, one by one.
        mark_title: See `train_tokenizer`.

    Yields:
        The words of one text, in order.

    Raises:
        TypeError: One of `texts` is not a string.
    """
    if isinstance(texts, str):
        raise TypeError("texts is a str: pass an iterable of reviews, for example [text]")
    normalizer, pre_tokenizer = _normalizer(mark_title), _pre_tokenizer()
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"texts[{number}] is {type(text).__name__}, not str: pass the review texts alone, "
                "for example dataset['text']"
            )
        words = pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))
        yield [word for word, _ in words]


def _check_sides(model_max_length: int | None, padding_side: str, truncation_side: str) -> None:
    if model_max_length is not None and model_max_length < 1:
        raise ValueError(f"model_max_length is {model_max_length}; use 1 word or more")
    for name, side in (("padding_side", padding_side), ("truncation_side", truncation_side)):
        if side not in ("left", "right"):
            raise ValueError(f"{name} is {side!r}; use 'left' or 'right'")


def _vocabulary(counts: Counter[str], min_frequency: int, vocab_size: int | None) -> dict[str, int]:
    """Number the words by falling count; `sorted` is stable, so ties keep their order.

    `tokenizers.trainers.WordLevelTrainer` would break ties alphabetically instead.
    """
    kept = [word for word, count in counts.items() if count >= min_frequency]
    kept.sort(key=counts.__getitem__, reverse=True)
    words = [PAD_TOKEN, UNK_TOKEN, *kept]
    return {word: index for index, word in enumerate(words[:vocab_size])}


def _word_pieces(counts: Counter[str], vocabulary: Mapping[str, int], number: int) -> list[str]:
    """The pieces that unknown words are cut into, at most `number`.

    WordPiece takes the longest known beginning of a word, then the longest pieces (Wu et al. 2016,
    "Google's Neural Machine Translation System"). So: the characters, that every word with a known
    beginning can be cut, then what is most often left behind the beginning.
    """
    if number == 0:
        return []
    ends: Counter[str] = Counter()
    for word, count in counts.items():
        if word not in vocabulary:
            known = (cut for cut in range(len(word) - 1, 0, -1) if word[:cut] in vocabulary)
            cut = next(known, None)
            if cut is not None:
                ends[word[cut:]] += count
    characters: Counter[str] = Counter()
    for end, count in ends.items():
        for character in end:
            characters[character] += count
    ranked = [piece for piece, _ in (*characters.most_common(), *ends.most_common())]
    return [_PIECE + piece for piece in dict.fromkeys(ranked)][:number]


# --------------------------------------------------------------------------------------------
# The rules. "Step n" counts NLTK's substitutions (nltk/tokenize/destructive.py, release 3.10)
# in the order in which they run; Punkt is nltk/tokenize/punkt.py of the same release.
# Patterns are Oniguruma's. They see lower-cased text in which every digit is 0.
#
# Oniguruma gives up, and tokenizers panics, where one match backtracks ten million times. So a
# loop over what a text may repeat for ever either never gives back (`++`) or has an upper bound,
# and what a match looks at beyond its end is not looked at again by more than a few others. That
# makes the cost linear in the length of any text.

_SENTENCE = "\ufdd0"
"""Put in front of each sentence but the first. A Unicode noncharacter, so no text holds it."""
_FROM_DOUBLE = "\ufdd1"
"""Put in front of a quote that stood for a `"`, to tell `"` from two apostrophes."""

_LONGEST_TITLE = 150
"""Characters within which the title's colon must come; Amazon's titles are seldom longer."""

_LONGEST_WORD = 1_000
"""Parts after which a word without spaces is cut, so that one match takes bounded time."""

_URL_CONDITION_WITHIN = 100_000
"""Periods and colons among which the URL rule's condition must come; Oniguruma's largest count."""
_URL_RUNS = 20_000
"""Runs of non-spaces without a URL after which the URL rule stops."""
_URL_PERIODS = 100
"""Periods of one run, those in a row counted once, among which a URL's last must come."""

_PIECE = "##"
"""What a piece that continues a word begins with, as in BERT's vocabularies."""

_PUNKT_ABBREVIATIONS = (
    "a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v "
    "calif chg cie co col colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j "
    "feb fla fri ft g g.d g.f g.k ga gen h h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan "
    "jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj messrs mg mich minn mr mrs ms n n.c "
    "n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof r r.a r.h r.i r.j "
    "r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn tues u.k u.n "
    "u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr"
)
"""The abbreviations of NLTK's English Punkt model (Kiss and Strunk 2006).

Its 156th, three spaced periods, cannot occur as the end of a token.
"""
_PUNKT_LOWER_STARTERS = ("administrators", "b-week", "r-revised", "z-holiday")
"""The words that Punkt saw begin a sentence in lower case and never saw capitalised."""

_ASCII_SPACE = r" \t\n\r\x0b\x0c"
_RUN = rf"[^{_ASCII_SPACE}]"

# Punkt's patterns: what may follow a period, what ends one of its tokens, what begins one.
_NON_WORD = r"""[)";}\]*:@'({\[‘’“”«»?!]"""
_CANDIDATE = rf"(?={_NON_WORD}|\s++\S)"
_INNER_END = rf"{_NON_WORD}|--|\.\.|,(?:{_NON_WORD}|--|\.\.)"
_TOKEN_END = rf"(?=\s|\z|{_INNER_END}|,(?:\s|\z))"
_TOKEN_START = r"""(?:\A|[\s()"\[\]{}:;*@]|\.\.|--)[`&#,\-]{0,3}"""

_MARKS = r";@#$%&?!*\[\](){}<>" + "\u2012-\u2015«“‘„»”’"
"""Always words of their own (steps 1, 10, 11, 13, 15, 16 and 19)."""


def _normalizer(mark_title: bool) -> normalizers.Normalizer:
    """Rewrite what changes; each pass costs, so there are as few as can be."""
    title_end = Regex(rf"\A[^:]{{1,{_LONGEST_TITLE}}}\K: ")
    return normalizers.Sequence(
        [
            *([normalizers.Replace(title_end, f" {TITLE_MARK} ")] if mark_title else []),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"[\d&&[^0]]"), "0"),
            normalizers.Replace(Regex(_url_pattern()), "<url>"),
            normalizers.Replace(Regex(_sentence_start_pattern()), _SENTENCE),
            normalizers.Replace(Regex(_opening_quote_pattern()), f"{_FROM_DOUBLE}``"),
            normalizers.Replace('"', f"{_FROM_DOUBLE}''"),
        ]
    )


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    # Inverted: the pattern describes the words, and what lies between them is removed.
    return pre_tokenizers.Split(Regex(_word_pattern()), behavior="removed", invert=True)


def _url_pattern() -> str:
    r"""The tutorial's `[^ ]+(?<=\.[a-z]{3})`, if its condition on the whole text holds.

    `\G` ties each match to the end of the one before, and the condition is looked at in the
    first only, so a text without URLs is read once.
    """
    condition = (
        rf"(?=(?:[^.:]*+[.:]){{1,{_URL_CONDITION_WITHIN}}}?"
        r"(?:(?<=\.)com|(?<=www\.|http:|https:)))"
    )
    to_period = r"(?:[^ .]*+\.++)"
    no_url = rf"(?!{to_period}{{1,{_URL_PERIODS}}}?[a-z]{{3}})"
    other_runs = rf"(?>(?:{no_url}[^ ]*+ ++){{0,{_URL_RUNS}}})"
    url = rf"{to_period}{{1,{_URL_PERIODS}}}[a-z]{{3}}"
    return rf"\G(?:(?!\A)|{condition}){other_runs}\K{url}"


def _sentence_start_pattern() -> str:
    r"""Match up to where Punkt begins a sentence; the match itself is empty (`\K`).

    Punkt asks about a run of non-spaces once, at its last `.`, `?` or `!` that is followed by a
    space or a mark, and says yes if any token in sight ends a sentence. So: find the first that
    does, go on to the last candidate of its run, then skip the closing quotes and brackets that
    belong to the sentence (`re_boundary_realignment`).
    """
    ends = _sentence_end_pattern(r"[;:?!,]")
    # A mark that opens a run is asked about besides the last one of the run (but not, by an
    # accident of the search for the run's start, after a single space that opens the text).
    opens_run = rf"(?<!{_RUN})(?<!\A[{_ASCII_SPACE}])[.?!](?={_NON_WORD})"
    after_opener = rf"(?<=(?:\A|[{_ASCII_SPACE}])[.?!]{_NON_WORD}{_RUN}{{0,20}}\.)"
    # Not an end itself, but a token of the run that follows is.
    ends_inside = _sentence_end_pattern(rf"(?:[;:,]|[?!]{_TOKEN_END})")
    before_end = rf"(?=\s++\S{{0,250}}?{ends_inside}(?:{_INNER_END}|,(?:\s|\z)))"
    to_last = rf"(?>{_RUN}{{0,250}}[.?!]{_CANDIDATE}|{_CANDIDATE})"
    return (
        rf"(?:{opens_run}|{ends}(?={_INNER_END}|\s++\S){to_last}"
        rf"|\.(?:{before_end}|{after_opener}{to_last}))"
        r"\s*+(?:[\"')\]}‘’“”«»]++(?:\s++|(?=--)|\z))?+\K"
    )


def _sentence_end_pattern(marks: str) -> str:
    """A `.`, `?` or `!` whose token, taken by itself, ends a sentence.

    On lower-cased text an abbreviation never does, and of Punkt's tables of orthographic contexts
    and collocations only four words are left. A single letter or a number does not before a
    lower-case word or one of Punkt's marks (`_second_pass_annotation`, 4.3).

    Args:
        marks: The pattern of those marks, where they follow without a space.
    """
    abbreviation = rf"(?<!(?:{_TOKEN_START}|-)(?:{_any_of(_PUNKT_ABBREVIATIONS.split())}))"
    starters = "|".join(_PUNKT_LOWER_STARTERS)
    goes_on = (
        rf"(?:{marks}|\s++(?:(?!(?:{starters})\.?{_TOKEN_END})\p{{Lower}}"
        rf"|[;:,]|[?!]{_TOKEN_END}|\.(?!\.){_TOKEN_END}))"
    )
    letter = rf"(?!(?<!\w\w)(?<={_TOKEN_START}[\w&&[^\d]])\.{goes_on})"
    number = rf"(?!(?<=[0,.\-])(?<={_TOKEN_START}[.,]?0[0,.\-]{{0,40}})\.{goes_on})"
    return rf"(?:(?<!\.){letter}{number}{abbreviation}\.(?!\.)|[?!])"


def _opening_quote_pattern() -> str:
    """A `"` or `''` that opens (steps 2 and 4): after a space or a bracket, or first of all."""
    before = r"[ (\[{<«“‘„`"
    return (
        rf"(?:\"(?<={before}{_SENTENCE}]\"|\A\"|{_SENTENCE}\"\"|\A\"\")"
        rf"|''(?<={before}]''|{_SENTENCE}\"''|\A\"''))"
    )


def _word_pattern() -> str:
    """One word, wherever the search stands: what NLTK's steps leave between spaces."""
    # Step 6: the period that ends a sentence, with its closing marks.
    final = rf"(?=[\])}}>'»”’ {_FROM_DOUBLE}]*+\s*+(?:{_SENTENCE}|\z))"
    # Where NLTK has put a space by the time it splits clitics off (steps 23 and 24)...
    space = rf"[\s{_SENTENCE}{_FROM_DOUBLE}{_MARKS}`]|\z|''|--|\.\.|[:,](?!0)|\.{final}"
    # ... and by the time it splits a closing apostrophe off (step 14).
    early_space = "[«“‘„`;@#$%&?!\u2012-\u2015]" rf"| (?!\s*+\z)|\.\.|[:,](?!0)|\.{final}"
    clitic_end = rf"(?={space}|'(?!')(?:{early_space}))"
    late_end = rf"(?={space}|'(?!')(?:{space})|'[smd]{clitic_end})"
    clitic = rf"(?:[smd]{clitic_end}|(?:ll|re|ve){late_end})"
    negation = rf"n't{late_end}"

    # Step 25: cannot, d'ye, gimme, gonna, gotta, lemme, more'n, wanna; and step 26, 'tis, 'twas.
    end = rf"(?:\b|(?={negation}))"
    contraction = (
        rf"\b(?:can(?=not{end})|d(?='ye{end})|gim(?=me{end})|gon(?=na{end})|got(?=ta{end})"
        rf"|lem(?=me{end})|more(?='n{end})"
        rf"|wan(?=na(?:(?={space}|{negation})|'(?:[smd]|ll|re|ve)?(?={space}))))"
    )
    contracted = (
        rf"(?<=\w)(?:(?:not|me|na|ta){end}|'n{end}(?<=more'n)|'ye{end}(?<=d'ye)"
        r"|'t(?=(?:is|was)\b)|(?:is|was)\b(?<='tis|'twas))"
    )

    # The parts of a longer word. Letters end before `n't`.
    letters = rf"(?:\w++(?!')|\w++(?<!n)|\w++(?!'t{late_end})|\w+(?={negation})|(?<=')n(?='))"
    other = rf"[^\w\s{_SENTENCE}{_FROM_DOUBLE}{_MARKS}`'\"\-.:,]++"
    dash = r"-(?!-)"
    period = rf"\.(?!\.)(?!{final})"
    # Step 5 cuts after an apostrophe that opens. NLTK's \w leaves out numbers such as ²,
    # Oniguruma's does not.
    word_char = r"[\w&&[^\p{No}]]"
    opens_clitic = rf"(?:re|ve|ll|m|t|s|d|n)(?!{word_char})"
    inside = rf"(?:(?<={word_char}')|(?!(?!{opens_clitic}){word_char}))"
    more = (
        rf"(?>(?:(?!{contraction}){letters}|{other}|{dash}|{period}|(?<![:,])[:,](?=0)"
        rf"|'(?!'|{space}|{clitic}){inside}){{0,{_LONGEST_WORD - 1}}})"
    )
    # Step 7 takes colons and commas in pairs, and the second of a pair keeps to what follows.
    second_of_pair = r"(?<=(?:[^:,]|\A)[:,](?:[:,][:,]){0,9})[:,](?:[:,](?=0)|(?![:,]))"
    longer = (
        rf"(?:{letters}|{other}|{dash}|{period}|[:,](?=0)|{second_of_pair}"
        rf"|'(?!'|{space}){inside}){more}"
    )
    return (
        # Most searches begin at a space: fail there at once.
        rf"(?![ {_SENTENCE}])(?:"
        # The common words first; those with another first letter may be contractions.
        r"[abefhijkn-vx-z][a-z]*+(?=[ ])"
        rf"|[,:](?=[ ])|\.(?=[ ]?{_SENTENCE})|[{_MARKS}]"
        rf"|(?=[cdglmw]){contraction}|[a-z]++(?=[ ])"
        rf"|{contracted}|{negation}|{longer}"
        # Ellipses, quotes, dashes; then anything that is left.
        rf"|\.\.++|``|''|--|[^\s{_SENTENCE}{_FROM_DOUBLE}])"
    )


def _any_of(words: Iterable[str]) -> str:
    """An alternation of `words`, grouped by first letter so that most fail at once."""
    groups = groupby(sorted(words), key=lambda word: word[0])
    alternatives = (f"{first}(?:{'|'.join(word[1:] for word in group)})" for first, group in groups)
    return "|".join(alternatives).replace(".", r"\.")
