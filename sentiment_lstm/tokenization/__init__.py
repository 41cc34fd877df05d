"""The words of a review and their ids, in one `tokenizer.json`.

[`train_tokenizer`] counts the words of a stream of reviews and returns a plain
`PreTrainedTokenizerFast`; [`count_words`] is its first half. Everything the tokenizer knows lives
in `tokenizer.json`, so loading one runs no code of ours.

What a word is, is one of two sets of rules ([`Words`]): `plain_words`, the default, and
`nltk_words`, the tutorial's to the letter.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypedDict, get_args

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from ..files import write_json
from . import nltk_words, plain_words

PAD_TOKEN = "_PAD"
UNK_TOKEN = "_UNK"

Words = Literal["plain", "nltk"]
"""Whose rules say what a word is: `plain_words` or `nltk_words`."""


class PresetOptions(TypedDict):
    """The options of [`train_tokenizer`] in which the tutorial and the defaults differ."""

    words: Words
    model_max_length: int | None
    padding_side: str
    unknown_to_pad: bool


TITLE_MARK = "\ufdd2"
"""The word that `mark_title` puts between title and text, a Unicode noncharacter."""

TUTORIAL_PRESET: PresetOptions = {
    "words": "nltk",
    "model_max_length": 200,
    "padding_side": "left",
    "unknown_to_pad": True,
}
"""The tutorial's `word_tokenize` and `pad_input`: `train_tokenizer(texts, **TUTORIAL_PRESET)`."""

DEFAULT_PRESET: PresetOptions = {
    "words": "plain",
    "model_max_length": None,
    "padding_side": "right",
    "unknown_to_pad": False,
}
"""What `train_tokenizer(texts)` does by itself."""


def train_tokenizer(
    texts: Iterable[str],
    *,
    words: Words = "plain",
    min_frequency: int = 2,
    vocab_size: int | None = None,
    model_max_length: int | None = None,
    padding_side: str = "right",
    truncation_side: str = "right",
    unknown_to_pad: bool = False,
    max_word_pieces: int = 0,
    mark_title: bool = False,
    extra_words: Iterable[str] = (),
) -> PreTrainedTokenizerFast:
    """Build a tokenizer whose vocabulary is the words of `texts`.

    `_PAD` is 0, `_UNK` is 1; the words follow by falling count, ties in order of first
    appearance, which is the order of the tutorial's `word2idx`. No special tokens are added
    around a text.

    Args:
        texts: The training reviews. They are read once, one by one, and not kept.
        words: The rules: `"plain"` or, as in the tutorial, `"nltk"`. Defaults to `"plain"`.
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
            first `: `. Defaults to False, as in the tutorial. Only with `words="nltk"`.
        extra_words: Words that enter the vocabulary however rare they are: of use where something
            else is known of them, such as vectors to start from. They are cut by the rules as any
            text, and count towards `vocab_size`. Defaults to none.

    Returns:
        A plain `PreTrainedTokenizerFast`. `save_pretrained` writes all there is to know, and
        `AutoTokenizer.from_pretrained` reads it without this package. A review that says `_PAD`
        says the word `_pad`, not the special token; whoever reads `tokenizer.json` with
        `tokenizers` alone sets `encode_special_tokens = True` for that.

    Raises:
        ValueError: An option is out of range, or the extra words do not fit.
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
    counts = count_words(texts, words=words, mark_title=mark_title)
    extra = count_words(extra_words, words=words)
    vocabulary = _vocabulary(counts, min_frequency, vocab_size, extra)
    for piece in _word_pieces(counts, vocabulary, max_word_pieces):
        vocabulary[piece] = len(vocabulary)
    return build_tokenizer(
        vocabulary,
        words=words,
        model_max_length=model_max_length,
        padding_side=padding_side,
        truncation_side=truncation_side,
        unknown_to_pad=unknown_to_pad,
        mark_title=mark_title,
    )


def build_tokenizer(
    vocabulary: Mapping[str, int],
    *,
    words: Words = "plain",
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
        words: The rules by which the words were cut; see `train_tokenizer`.
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
    backend.normalizer, backend.pre_tokenizer = _rules(words, mark_title)
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


def save_tokenizer(
    tokenizer: PreTrainedTokenizerBase, folder: str | os.PathLike[str]
) -> list[Path]:
    """Save a tokenizer so that transformers 4 reads it too; see `write_portable_config`.

    Args:
        tokenizer: A fast tokenizer.
        folder: Where to.

    Returns:
        The files.
    """
    paths = [Path(path) for path in tokenizer.save_pretrained(folder)]
    write_portable_config(folder)
    return paths


def write_portable_config(folder: str | os.PathLike[str]) -> None:
    """Leave in the config of a saved tokenizer what all versions of transformers read alike.

    Version 5 writes a new name of `PreTrainedTokenizerFast`, and version 4 then finds no tokenizer;
    and of one that was loaded, from where, which is nobody's business.

    Args:
        folder: Where a tokenizer was saved, or none.
    """
    path = Path(folder, "tokenizer_config.json")
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: content[name] for name in content.keys() - {"is_local", "local_files_only"}}
        if kept.get("tokenizer_class") == "TokenizersBackend":
            kept["tokenizer_class"] = "PreTrainedTokenizerFast"
        if kept != content:
            write_json(path, dict(sorted(kept.items())))


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


def count_words(
    texts: Iterable[str], *, words: Words = "plain", mark_title: bool = False
) -> Counter[str]:
    """Count the words of `texts`, in order of first appearance.

    Args:
        texts: Reviews; read once, one by one.
        words: See `train_tokenizer`.
        mark_title: See `train_tokenizer`.

    Returns:
        A `Counter` whose keys are in order of first appearance (`most_common` keeps that order
        among equal counts).

    Raises:
        TypeError: One of `texts` is not a string.
    """
    counts: Counter[str] = Counter()
    for found in iter_words(texts, words=words, mark_title=mark_title):
        counts.update(found)
    return counts


def iter_words(
    texts: Iterable[str], *, words: Words = "plain", mark_title: bool = False
) -> Iterator[list[str]]:
    """Yield the words of each text: what the tokenizer looks up in its vocabulary.

    Args:
        texts: Reviews; read once, one by one.
        words: See `train_tokenizer`.
        mark_title: See `train_tokenizer`.

    Yields:
        The words of one text, in order.

    Raises:
        TypeError: One of `texts` is not a string.
    """
    if isinstance(texts, str):
        raise TypeError("texts is a str: pass an iterable of reviews, for example [text]")
    normalizer, pre_tokenizer = _rules(words, mark_title)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"texts[{number}] is {type(text).__name__}, not str: pass the review texts alone, "
                "for example dataset['text']"
            )
        found = pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))
        yield [word for word, _ in found]


_LONGEST_TITLE = 150
"""Characters within which the title's colon must come; Amazon's titles are seldom longer."""

_PIECE = "##"
"""What a piece that continues a word begins with, as in BERT's vocabularies."""


def _rules(
    words: Words, mark_title: bool
) -> tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer]:
    """What rewrites a text, and what finds its words then."""
    if words == "plain":
        if mark_title:
            raise ValueError("mark_title needs words='nltk': plain words have no mark of a title")
        return plain_words.normalizer(), plain_words.pre_tokenizer()
    if words != "nltk":
        raise ValueError(f"words is {words!r}; use one of {', '.join(get_args(Words))}")
    normalizer = nltk_words.normalizer()
    if mark_title:
        title_end = Regex(rf"\A[^:]{{1,{_LONGEST_TITLE}}}\K: ")
        mark = normalizers.Replace(title_end, f" {TITLE_MARK} ")
        normalizer = normalizers.Sequence([mark, normalizer])
    return normalizer, nltk_words.pre_tokenizer()


def _check_sides(model_max_length: int | None, padding_side: str, truncation_side: str) -> None:
    if model_max_length is not None and model_max_length < 1:
        raise ValueError(f"model_max_length is {model_max_length}; use 1 word or more")
    for name, side in (("padding_side", padding_side), ("truncation_side", truncation_side)):
        if side not in ("left", "right"):
            raise ValueError(f"{name} is {side!r}; use 'left' or 'right'")


def _vocabulary(
    counts: Counter[str], min_frequency: int, vocab_size: int | None, extra_words: Iterable[str]
) -> dict[str, int]:
    """Number the words by falling count; `sorted` is stable, so ties keep their order.

    `tokenizers.trainers.WordLevelTrainer` would break ties alphabetically instead.
    """
    extra = dict.fromkeys(extra_words)
    room = None if vocab_size is None else vocab_size - len((PAD_TOKEN, UNK_TOKEN, *extra))
    if room is not None and room < 0:
        raise ValueError(f"vocab_size is {vocab_size}; {len(extra)} extra words do not fit")
    words = [word for word, count in counts.items() if count >= min_frequency or word in extra]
    words.sort(key=counts.__getitem__, reverse=True)
    chosen = {*[word for word in words if word not in extra][:room], *extra}
    words = [word for word in words if word in chosen]
    unseen = [word for word in extra if word not in counts]
    return {word: index for index, word in enumerate([PAD_TOKEN, UNK_TOKEN, *words, *unseen])}


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
