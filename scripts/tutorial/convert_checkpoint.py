"""Turn a checkpoint of the tutorial into a model folder.

    python scripts/tutorial/convert_checkpoint.py state_dict.pt words.json OUT

`state_dict.pt` is what the tutorial saves: the `state_dict` of its `SentimentNet`. `words.json`
is its vocabulary, as `word2idx` (word -> id) or as the list `words` in the order of the ids:
`json.dump(word2idx, open("words.json", "w"))`. The folder loads with `from_pretrained` and
`pipeline`, and the score of POSITIVE is the tutorial's sigmoid.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
from pathlib import Path

import torch

from sentiment_lstm import SentimentLSTMConfig, SentimentLSTMForSequenceClassification
from sentiment_lstm.tokenization import TUTORIAL_PRESET, build_tokenizer, save_tokenizer


class CheckpointError(ValueError):
    """A file that is no checkpoint or no vocabulary of the tutorial; the message says why."""


def convert(state_dict_path: Path, words_path: Path, output: Path) -> Path:
    """Write the model folder of a tutorial checkpoint.

    Args:
        state_dict_path: The `state_dict` of a `SentimentNet`, saved with `torch.save`.
        words_path: Its vocabulary as json.
        output: The folder to write; it may not exist yet, or be empty.

    Returns:
        The folder.

    Raises:
        CheckpointError: If a file is something else, or the two do not belong together.
        FileNotFoundError: If a file does not exist.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CheckpointError(f"{output}: exists and is not empty; choose another folder")
    weights = _read_weights(state_dict_path)
    vocabulary = _read_vocabulary(words_path)
    config = _config(weights, state_dict_path)
    if config.vocab_size < len(vocabulary):
        raise CheckpointError(
            f"{words_path}: {len(vocabulary)} words, but {state_dict_path} has vectors for "
            f"{config.vocab_size}; they are not of the same run"
        )
    model = SentimentLSTMForSequenceClassification(config)
    renamed = _renamed(weights, config.num_hidden_layers)
    _check_shapes(renamed, model, state_dict_path)
    model.load_state_dict(renamed)
    options = TUTORIAL_PRESET | {"model_max_length": config.pad_to_length}
    try:
        tokenizer = build_tokenizer(vocabulary, **options)
    except ValueError as error:
        raise CheckpointError(f"{words_path}: not the tutorial's word2idx: {error}") from error
    model.save_pretrained(output)
    save_tokenizer(tokenizer, output)
    return output


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(
            f"{path}: no state_dict that can be read safely ({reason}). Save the weights alone: "
            "torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise CheckpointError(f"{path}: no state_dict, which maps names to tensors")
    return content


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: no valid json ({error})") from error
    if isinstance(content, list):
        content = {word: index for index, word in enumerate(content)}
    if not isinstance(content, dict) or not all(
        isinstance(word, str) and isinstance(index, int) for word, index in content.items()
    ):
        raise CheckpointError(f"{path}: neither a list of words nor an object of word -> id")
    return content


def _config(weights: dict[str, torch.Tensor], path: Path) -> SentimentLSTMConfig:
    """The architecture that the names and shapes of the weights tell."""
    layers = sum(name.startswith("lstm.weight_ih_l") for name in weights)
    expected = {"embedding.weight", "fc.weight", "fc.bias"} | {
        f"lstm.{kind}_{gates}_l{layer}"
        for kind in ("weight", "bias")
        for gates in ("ih", "hh")
        for layer in range(layers)
    }
    if not layers or set(weights) != expected:
        different = sorted(set(weights) ^ (expected or {"lstm.weight_ih_l0"}))
        raise CheckpointError(
            f"{path}: not the weights of the tutorial's SentimentNet: {', '.join(different[:5])} "
            "missing or not expected"
        )
    for name in ("embedding.weight", "lstm.weight_hh_l0"):
        if weights[name].dim() != 2:
            raise CheckpointError(f"{path}: {name} is {tuple(weights[name].shape)}, not a matrix")
    vocab_size, embedding_size = weights["embedding.weight"].shape
    return SentimentLSTMConfig.tutorial(
        vocab_size=vocab_size,
        embedding_size=embedding_size,
        hidden_size=weights["lstm.weight_hh_l0"].shape[1],
        num_hidden_layers=layers,
    )


def _renamed(weights: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    names = {
        "embedding.weight": "model.embeddings.weight",
        "fc.weight": "classifier.weight",
        "fc.bias": "classifier.bias",
    }
    for layer in range(layers):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            ours = f"model.layers.{layer}.forward_lstm.{kind}_l0"
            names[f"lstm.{kind}_l{layer}"] = ours
    return {ours: weights[theirs] for theirs, ours in names.items()}


def _check_shapes(
    weights: dict[str, torch.Tensor], model: SentimentLSTMForSequenceClassification, path: Path
) -> None:
    for name, parameter in model.state_dict().items():
        if weights[name].shape != parameter.shape:
            raise CheckpointError(
                f"{path}: {name} is {tuple(weights[name].shape)}, where the rest of the "
                f"checkpoint asks for {tuple(parameter.shape)}"
            )


def main() -> int:
    """Convert the files named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("state_dict", type=Path, metavar="STATE_DICT.pt")
    parser.add_argument("words", type=Path, metavar="WORDS.json")
    parser.add_argument("output", type=Path, metavar="OUT")
    options = parser.parse_args()
    try:
        folder = convert(options.state_dict, options.words, options.output)
    except (CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
