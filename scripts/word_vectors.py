"""Take the word vectors of a transformer to start from, in the place of random ones.

    python scripts/word_vectors.py scripts/recipes/default.yaml [--of mpnet]
        [--output_dir runs/word_vectors]

Each word of the recipe's vocabulary is read by the pretrained MiniLM, or MPNet, by itself;
the mean of the states of its pieces, reduced to the recipe's `embedding_size` by principal
components, is the word's vector. Of an emoji the name is read: its tokenizer may not know the sign,
and Unicode says what it shows ("face with open mouth vomiting"). The folder is one for the field
`init_from`, whose vectors go to the same words. MiniLM comes with the extra `benchmark`, MPNet with
`teacher`.
"""

from __future__ import annotations

import argparse
import sys
import unicodedata
from pathlib import Path

import torch
from safetensors.torch import save_file
from tqdm.auto import tqdm

from sentiment_lstm.cli.common import read_overrides
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
) -> torch.Tensor:
    """Reduce what a transformer says of words to vectors.

    Args:
        transformer: Which one.
        words: Words, each read by itself.
        size: Dimensions of a vector, at most the transformer's own.
        spread: Standard deviation of the numbers that come out.
        batch_size: Words read together.

    Returns:
        `(words, size)` float32, of mean zero; the largest component last.

    Raises:
        ModuleNotFoundError: As `PretrainedTransformer.load`.
        OSError: As `PretrainedTransformer.load`.
        ValueError: If the transformer's dimensions, or the words, are fewer than `size`.
    """
    model, tokenizer = transformer.load()
    most = min(model.base_model.config.hidden_size, len(words))
    if size > most:
        raise ValueError(
            f"embedding_size is {size}; of {len(words)} words there are no more than {most} "
            "components"
        )
    spoken = list(map(_spoken, words))
    # Shortest first: a name of ten pieces would have a whole batch of words padded to ten.
    order = sorted(range(len(words)), key=lambda index: len(spoken[index]))
    vectors = torch.empty(len(words), model.base_model.config.hidden_size)  # (W, H)
    for start in tqdm(range(0, len(words), batch_size), desc="words", mininterval=5):
        some = order[start : start + batch_size]
        batch = tokenizer(
            [spoken[index] for index in some], padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model.base_model(**batch).last_hidden_state  # (B, T, H)
        vectors[some] = mean_over(states, batch["attention_mask"])
    vectors = vectors - vectors.mean(0)
    components = torch.linalg.eigh(vectors.T @ vectors).eigenvectors  # rising
    vectors = vectors @ components[:, -size:]  # (W, size)
    scaled: torch.Tensor = vectors * (spread / vectors.std())
    return scaled


def _spoken(word: str) -> str:
    """The name of an emoji or another sign, in lower case; any other word as it is."""
    sign = word.removesuffix("\N{VARIATION SELECTOR-16}")
    if len(sign) == 1 and unicodedata.category(sign) == "So":
        return unicodedata.name(sign, word).lower()
    return word


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
    parser.add_argument("--output_dir", type=Path, default=Path("runs/word_vectors"))
    options, fields = parser.parse_known_args()
    try:
        recipe = read_recipe(options.recipe, read_overrides(fields))
        tokenizer = make_tokenizer(recipe.tokenizer, load_all(recipe.reviews))
        words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
        weight = torch.zeros(len(words), recipe.model.embedding_size)
        # Nothing is known of `_PAD` and `_UNK`, the first two.
        weight[2:] = word_vectors(
            PRETRAINED[options.of],
            words[2:],
            recipe.model.embedding_size,
            recipe.model.initializer_range,
        )
    except ModuleNotFoundError as error:
        sys.exit(f"word_vectors: {error.name} is needed: pip install '.[benchmark]'")
    except (OSError, ValueError) as error:
        sys.exit(f"word_vectors: {error}")
    tokenizer.save_pretrained(options.output_dir)
    save_file({"embeddings.weight": weight}, options.output_dir / "model.safetensors")
    print(f"wrote {len(words)} vectors to {options.output_dir}")


if __name__ == "__main__":
    main()
