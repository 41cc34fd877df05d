"""What an explanation says, and how it looks: as text, as HTML, as values for JSON."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

# Blue speaks for the label and orange against it, in three strengths: colours that nearly
# everybody can tell apart. Of a terminal's 256, and as red, green and blue.
_TERMINAL = {True: (153, 111, 69), False: (223, 216, 209)}
_RGB = {True: "0,114,178", False: "213,94,0"}
# What is weaker than this share of the strongest word is not coloured.
_FAINT = 0.1
# Words in the table below a text.
_LISTED = 10


@dataclass(frozen=True)
class Word:
    """A word of a text and what it did to the score.

    Args:
        start: Where it begins in the text, in characters.
        end: Where it ends: `text[start:end]` is the word as it was written.
        text: That.
        contribution: How far it moved the score, up or down.
        running_score: The score of the text up to and with this word, where the model reads in
            one direction; else `None`, since it reads the end of a text first as well.
    """

    start: int
    end: int
    text: str
    contribution: float
    running_score: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a model gives a text its score: `baseline` and all contributions add up to `score`.

    Args:
        text: The text.
        words: Its words in order. What stands between them the model does not read.
        label: The label that is explained; a positive contribution speaks for it.
        score: The log-odds of that label: their sigmoid is the probability that `predict` gives
            it. Of two labels it is the difference of their logits, of a regression the answer.
        baseline: The score of the same text with nothing but unknown words.
        method: `"integrated_gradients"` or `"occlusion"`.
        predicted: The label that `predict` gives the text.
    """

    text: str
    words: tuple[Word, ...]
    label: str
    score: float
    baseline: float
    method: str
    predicted: str

    @property
    def rest(self) -> float:
        """What of the score no word accounts for: nothing, unless the method is occlusion."""
        return self.score - self.baseline - sum(word.contribution for word in self.words)

    def top(self, number: int = _LISTED) -> list[Word]:
        """The words that moved the score most, either way; the strongest first.

        Args:
            number: How many.

        Returns:
            The words; of two that are as strong the earlier one is first.
        """
        return sorted(self.words, key=lambda word: -abs(word.contribution))[:number]

    def to_dict(self) -> dict[str, Any]:
        """All there is, as JSON can hold it."""
        values = asdict(self)
        values["words"] = list(values["words"])
        return values

    def to_text(self, *, colour: bool = False) -> str:
        """The text, and below it the words that moved the score most.

        Args:
            colour: Mark the words in the text by a terminal's colours, too.

        Returns:
            Some lines; what is no character to print, such as a terminal's commands, is replaced.
        """
        lines = [
            _printable(self._summary),
            "",
            "".join(
                _in_terminal(piece, share) if colour else _printable(piece)
                for piece, _, share in self._pieces()
            ),
        ]
        lines += [""] * bool(self.words)
        for word in self.top():
            running = "" if word.running_score is None else f"  (so far {word.running_score:+.2f})"
            lines.append(f"  {word.contribution:+7.2f}  {_printable(word.text)}{running}")
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """A part of a page, with the words coloured; see `html_page` for a whole one.

        Returns:
            A `section` with no script and no reference to anything else. All that comes from the
            text or the model is escaped.
        """
        text = "".join(_in_page(*piece) for piece in self._pieces())
        return (
            '<section style="margin:1.5em 0">\n'
            f"<p>{_escaped(self._summary)}</p>\n"
            f'<p style="white-space:pre-wrap;line-height:1.8">{text}</p>\n'
            "</section>\n"
        )

    _repr_html_ = to_html  # what a notebook shows

    @property
    def _summary(self) -> str:
        return (
            f"{self.predicted}. Score of {self.label}: {self.score:+.2f}, of which "
            f"{self.baseline:+.2f} without words, {self.score - self.baseline:+.2f} for the words"
        )

    def _pieces(self) -> list[tuple[str, Word | None, float]]:
        """The text in pieces, with the word that each is, and its share of the strongest one."""
        strongest = max((abs(word.contribution) for word in self.words), default=0.0)
        pieces: list[tuple[str, Word | None, float]] = []
        end = 0
        for word in self.words:
            pieces.append((self.text[end : word.start], None, 0.0))
            share = word.contribution / strongest if strongest else 0.0
            pieces.append((word.text, word, share))
            end = word.end
        return [*pieces, (self.text[end:], None, 0.0)]


def html_page(explanations: Iterable[Explanation]) -> str:
    """A whole page, which can be opened and sent as it is.

    Args:
        explanations: What is on it, in order.

    Returns:
        The page, in UTF-8 when it is written so.
    """
    sections = "".join(explanation.to_html() for explanation in explanations)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<title>What decided</title>\n</head>\n"
        '<body style="font:16px/1.5 sans-serif;max-width:45em;margin:2em auto;padding:0 1em;'
        'color:#000;background:#fff">\n<h1>What decided</h1>\n'
        f'<p><span style="background:rgba({_RGB[True]},.5)">Blue</span> speaks for the label, '
        f'<span style="background:rgba({_RGB[False]},.5)">orange</span> against it; a word\'s own '
        "figure is shown when the pointer rests on it.</p>\n"
        f"{sections}</body>\n</html>\n"
    )


def _in_terminal(piece: str, share: float) -> str:
    """A piece in black on its colour; line ends stay uncoloured, or they would colour a line."""
    piece = _printable(piece)
    if abs(share) < _FAINT:
        return piece
    shades = _TERMINAL[share > 0]
    shade = shades[min(int(abs(share) * len(shades)), len(shades) - 1)]
    return f"\x1b[30;48;5;{shade}m{piece}\x1b[0m"


def _in_page(piece: str, word: Word | None, share: float) -> str:
    if word is None:
        return _escaped(piece)
    said = f"{word.contribution:+.3f}"
    if word.running_score is not None:
        said += f", so far {word.running_score:+.3f}"
    style = ""
    if abs(share) >= _FAINT:
        style = f' style="background:rgba({_RGB[share > 0]},{0.7 * abs(share):.2f})"'
    return f'<span title="{said}"{style}>{_escaped(piece)}</span>'


def _escaped(text: str) -> str:
    """Text for a page, where a control character has no place."""
    return html.escape(_printable(text))


def _printable(text: str) -> str:
    """The text without what commands a terminal or turns the direction of writing."""
    return "".join("\ufffd" if _commands(character) else character for character in text)


def _commands(character: str) -> bool:
    if character in "\n\t":
        return False
    # The second half: marks that make what follows run from right to left.
    return unicodedata.category(character) == "Cc" or character in _DIRECTIONS


_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
