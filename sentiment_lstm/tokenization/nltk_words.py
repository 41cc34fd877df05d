r"""The words of a review exactly as the tutorial cuts them.

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

from collections.abc import Iterable
from itertools import groupby

from tokenizers import Regex, normalizers, pre_tokenizers


def normalizer() -> normalizers.Normalizer:
    """Rewrite what changes; each pass costs, so there are as few as can be."""
    return normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"[\d&&[^0]]"), "0"),
            normalizers.Replace(Regex(_url_pattern()), "<url>"),
            normalizers.Replace(Regex(_sentence_start_pattern()), _SENTENCE),
            normalizers.Replace(Regex(_opening_quote_pattern()), f"{_FROM_DOUBLE}``"),
            normalizers.Replace('"', f"{_FROM_DOUBLE}''"),
        ]
    )


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Find the words."""
    # Inverted: the pattern describes the words, and what lies between them is removed.
    return pre_tokenizers.Split(Regex(_word_pattern()), behavior="removed", invert=True)


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

_LONGEST_WORD = 1_000
"""Parts after which a word without spaces is cut, so that one match takes bounded time."""

_URL_CONDITION_WITHIN = 100_000
"""Periods and colons among which the URL rule's condition must come; Oniguruma's largest count."""
_URL_RUNS = 20_000
"""Runs of non-spaces without a URL after which the URL rule stops."""
_URL_PERIODS = 100
"""Periods of one run, those in a row counted once, among which a URL's last must come."""

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
