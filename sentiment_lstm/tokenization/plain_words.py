r"""Plain words: what the default preset reads, fast, and the same in Rust and in JavaScript.

- Letters and marks make a word, in any language; digits may follow them (`mp3`). Case is dropped.
- Numbers are read as they are written: `10/10` is `10`, `/`, `10`, and `1.5` and `1,000` are words.
- `n't` is a word (`do` `n't`), as are `'s`, `'m`, `'d`, `'ll`, `'re` and `'ve`. So `don't` and
  `do n't`, as some data sets have it, are the same.
- A letter or a mark that stands three times or more in a row stands twice: `sooooo` is `soo`, and
  `!!!!!` is `!!`.
- A web address is one word, which hardly any vocabulary knows.
- Emoticons are words, with their nose left out: `:-)` is `:)`. So are emoji, one by one, with
  skin tone, gender and variation left out.
- `.`, `!` and `?` in a row are one word (`?!`), asterisks too (`*****`); other marks are each one.
- Quotes, brackets, hyphens and the like separate words and are dropped: `well-made` is two words.
- The HTML that is left in many reviews is read: `&amp;`, `&quot;`, `&#39;`, `<br />`.

To read the same in JavaScript (`@huggingface/tokenizers`) the patterns have no look-behind, no
`\G` and no `\K`, name characters by Unicode's properties rather than `\w`, and match the same
where `++` is read as `+`, as is done there. No match looks further than three characters beyond
its end or gives back more than sixty, so the cost is linear in the length of any text. Each pass
over the text has its price; those that look for a fixed text cost least.
"""

from __future__ import annotations

from tokenizers import Regex, normalizers, pre_tokenizers


def normalizer() -> normalizers.Normalizer:
    """Rewrite what changes."""
    fixed = {
        "&quot;": '"',
        "&#39;": "'",
        "&amp;": "&",
        "<br />": " ",
        "\u2019": "'",  # the curly apostrophe
        "-)": ")",  # a nose; hyphens elsewhere are dropped anyway
        "-(": "(",
        "\u03c2": "\u03c3",  # the Greek s at the end of a word, which only JavaScript makes
    }
    return normalizers.Sequence(
        [
            normalizers.Lowercase(),
            *(normalizers.Replace(old, new) for old, new in fixed.items()),
            normalizers.Replace(Regex(_REPEATED), ""),
        ]
    )


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Find the words."""
    # Inverted: the pattern describes the words, and what lies between them is removed.
    return pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)


_REPEATED = r"([a-z!?.])(?=\1\1)"
"""What is followed by two of its kind. (What it would be after two, only a look-behind can say.)"""

_LETTER = r"\p{L}\p{M}"

_VARIATION = "\ufe0e\ufe0f"
"""Says how the emoji before it looks; a mark, by Unicode."""

_EMOJI_PARTS = "\U0001f3fb-\U0001f3ff\u200d\u2640\u2642"
"""Tones of skin, the joiner, and the two signs of gender."""

_DROPPED = r"\"'`\u00b4\u2018\u201c-\u201f\u00ab\u00bb()\[\]{}\-\u2010-\u2015_\\"

_WORD = (
    rf"(?![ {_VARIATION}])(?:"  # most searches begin at a space: fail there at once
    r"n't"
    r"|(?:https?:/|ww\.)[^\s]++"  # three w's stand twice
    rf"|[a-z]++(?![{_LETTER}\p{{N}}]|'t)"
    r"|[a-z]{1,60}(?=n't)"  # the next word then is `n't`
    r"|[0-9]++(?:[.,][0-9]++)*+"
    r"|[.!?]++|\*++"
    r"|'(?:[smd]|ll|re|ve)(?![a-z])"
    r"|[:;=]'?-?(?:[()\[\]|\\*]++|[dpo/](?![a-z/]))"
    r"|</?3(?![0-9])"
    rf"|[^\s{_LETTER}\p{{N}}{_DROPPED}{_EMOJI_PARTS}]"
    rf"|[{_LETTER}\p{{N}}]++"
    r")"
)
