"""What the extras of the package bring, and what to say where it is missing.

To load, to predict, to explain and to push takes no extra. A module that needs one asks for it
before it imports what the extra brings.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

_TRAIN = (
    "accelerate",
    "datasets",
    "evaluate",
    "matplotlib",
    "pyarrow",
    "scipy",
    "sklearn",
)
# Extra -> modules that it brings, as they are imported; pyproject.toml has the packages.
EXTRAS = {
    "export": ("onnx", "onnxruntime"),
    "page": ("gradio",),
    "ray": ("ray", "pyarrow"),
    "train": _TRAIN,
    "tune": (*_TRAIN, "optuna"),
}


def require(extra: str) -> AbstractContextManager[None]:
    """See that an extra is installed, without importing anything of it.

    Args:
        extra: One of `EXTRAS`.

    Returns:
        A context that does nothing. Imports that stand in it, `with require("train"):`, still are
        imports at the top of a file.

    Raises:
        ModuleNotFoundError: If a module of it is missing; the message says what to install.
    """
    missing = [name for name in EXTRAS[extra] if not _is_there(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ModuleNotFoundError(
            f'{", ".join(missing)} {verb} not installed: `pip install "sentiment-lstm[{extra}]"`',
            name=missing[0],
        )
    return nullcontext()


def _is_there(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None  # None is how Python blocks an import
    return find_spec(name) is not None
