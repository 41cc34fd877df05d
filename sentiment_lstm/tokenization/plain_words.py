r"""Plain words: what the default preset reads, fast, and the same in Rust and in JavaScript.

- Letters and marks make a word, in any language; digits may follow them (`mp3`). Case is dropped.
- Numbers are read as they are written: `10/10` is `10`, `/`, `10`, and `1.5` and `1,000` are words.
- `n't` is a word (`do` `n't`), as are `'s`, `'m`, `'d`, `'ll`, `'re` and `'ve`. So `don't` and
  `do n't`, as some data sets have it, are the same.
- Drawn-out words are folded where the letter is an o, as it mostly is: `sooooo` is `soo`.
- Emoticons are words. So are emoji, one by one, with skin tone, gender and variation left out.
- `!`, `?` and dots in a row are words of up to three (`!!!`, `?!`, `...`), asterisks of up to five.
- `$`, `%`, `&`, `/` and the like are words; periods, commas, colons, quotes, brackets and hyphens
  separate words and are dropped (`well-made` is two). That loses nothing that could be measured
  (docs/ablations.md), and a tenth of what there is to read.
- The HTML that is left in many reviews is read: `&#39;` is an apostrophe, and `&amp;`, `&quot;` and
  `<br />` are each a word.

To read the same in JavaScript (`@huggingface/tokenizers`) the patterns have no look-behind, no
`\G` and no `\K`, name characters by Unicode's properties rather than `\w`, and match the same
where `++` is read as `+`, as is done there. (One letter differs: of a Greek capital sigma at the
end of a word JavaScript makes another small letter.) No match looks further than three characters
beyond its end or gives back more than sixty, so the cost is linear in the length of any text. Each
pass over the text has its price, so there are as few as can be; one that looks for a fixed text
costs a fiftieth of the whole, one that looks at each letter a tenth.
"""

from __future__ import annotations

from tokenizers import Regex, normalizers, pre_tokenizers


def normalizer() -> normalizers.Normalizer:
    """Rewrite what changes."""
    return normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace("\u2019", "'"),  # the curly apostrophe
            normalizers.Replace("&#39;", "'"),
            normalizers.Replace(Regex("ooo++"), "oo"),
        ]
    )


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Find the words."""
    # Inverted: the pattern describes the words, and what lies between them is removed.
    return pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)


_LETTER = r"\p{L}\p{M}\p{N}"

_DROPPED_ASCII = r".,:;\"'`()\[\]{}\-_\\"
_DROPPED = _DROPPED_ASCII + r"\u00b4\u2018\u201c-\u201f\u00ab\u00bb\u2010-\u2015"

_BEGINS_NOTHING = r" .,\"`()\[\]{}\-_\\"
"""Where a search often begins, and what begins no word: but for the period, of dots in a row."""

_EMOJI_PARTS = "\U0001f3fb-\U0001f3ff\u200d\u2640\u2642"
"""Tones of skin, the joiner, and the two signs of gender."""

_VARIATION = "\ufe0e\ufe0f"
"""Says how the emoji before it looks; a mark, by Unicode."""

# The frequent ones first, and what fails fails at once: most of the time goes into trying.
_WORD = (
    r"[a-z]++(?=[ .,!?):;\"\-])"
    rf"|(?![{_BEGINS_NOTHING}])(?:"
    rf"[a-z]++(?![{_LETTER}]|'t)"
    r"|[a-z]{1,60}(?=n't)|n't"
    r"|[!?][.!?]{0,2}"
    r"|[0-9]++(?:[.,][0-9]++)*+"
    r"|'(?:[smd]|ll|re|ve)(?![a-z])"
    r"|[:;=]'?-?(?:[()\[\]|\\*]|[dpo/](?![a-z/]))"
    r"|</?3(?![0-9])"
    r"|&(?:[a-z]{2,6}|#[0-9]{1,5});|<br ?/?>"
    r"|\*{1,5}"
    rf"|[^\s{_LETTER}{_DROPPED}{_EMOJI_PARTS}{_VARIATION}]"
    rf"|(?![{_VARIATION}])[{_LETTER}]++"
    r")"
    r"|[.][.!?]{1,2}"
)
