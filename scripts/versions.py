"""What a model folder says in other versions of transformers, without this package.

    python scripts/versions.py                                      the released checkpoint
    python scripts/versions.py --json docs/results/versions.json    and write it

`make .venv-versions/4.57 .venv-versions/5.0` makes the environments (`make test-versions` too); the
newest version is that of the environment that this runs in. Each loads the folder with the code
that lies in it (`trust_remote_code`), and scores the same texts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from docs import RELEASED, ROOT
from sentiment_lstm import __version__
from sentiment_lstm.files import write_json

VERSIONS = ROOT / ".venv-versions"
TEXTS = (
    "Sturdy, bright, and it arrived early.",
    "Not bad at all.",
    "10/10",
    "My neighbour hates it, but I love it.",
    "It stopped working after two days :(",
)
_SCORE = """
import json, platform, sys, torch, transformers
from transformers import pipeline
classify = pipeline("text-classification", sys.argv[1], trust_remote_code=True)
answers = classify(json.loads(sys.argv[2]))
assert "sentiment_lstm" not in sys.modules, "the folder's own code was not used"
print(json.dumps({
    "transformers": transformers.__version__, "torch": torch.__version__,
    "python": platform.python_version(),
    "answers": [[one["label"], one["score"]] for one in answers],
}))
"""


def score(interpreters: Iterable[Path], model: Path) -> dict[str, Any]:
    """Let each environment score the texts.

    Args:
        interpreters: Of the environments; the last one's answers are what others are compared with.
        model: A model folder.

    Returns:
        What `docs/results/versions.json` holds.

    Raises:
        ValueError: If an environment cannot load the folder; the message has its last line.
    """
    found = [_score(python, model.resolve()) for python in interpreters]
    reference = found[-1]["answers"]
    for entry in found:
        pairs = list(zip(entry["answers"], reference, strict=True))
        entry["same_labels"] = sum(one[0] == other[0] for one, other in pairs)
        moves = [abs(_positive(*one) - _positive(*other)) for one, other in pairs]
        entry["largest_difference"] = max(moves)
    return {
        "version": __version__,
        "command": "python scripts/versions.py --json docs/results/versions.json",
        "texts": list(TEXTS),
        "environments": found,
    }


def describe(result: Mapping[str, Any]) -> str:
    """The environments, a line each: what answers, and how far it is from the last one."""
    return "\n".join(
        f"transformers {entry['transformers']}, torch {entry['torch']}: "
        f"{entry['same_labels']} of {len(result['texts'])} labels the same, scores within "
        f"{entry['largest_difference']:.1e}"
        for entry in result["environments"]
    )


def _positive(label: str, score: float) -> float:
    """The probability of POSITIVE, of two labels."""
    return score if label == "POSITIVE" else 1 - score


def _score(python: Path, model: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="versions_") as folder:
        done = subprocess.run(
            [str(python), "-c", _SCORE, str(model), json.dumps(TEXTS)],
            cwd=folder,
            env=os.environ | {"HF_MODULES_CACHE": str(Path(folder, "modules")), "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ValueError(f"{python}: cannot load {model} ({last})")
    entry: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return entry


def main() -> None:
    """Score, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?", default=RELEASED)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the answers there")
    options = parser.parse_args()
    found = VERSIONS.glob("*/bin/python")
    others = sorted(found, key=lambda python: Version(python.parts[-3]))
    if not others:
        sys.exit(f"versions: there is no environment below {VERSIONS}: make test-versions")
    try:
        result = score([*others, Path(sys.executable)], options.model)
    except ValueError as error:
        sys.exit(f"versions: {error}")
    print(describe(result))
    if options.json:
        print(f"wrote {write_json(options.json, result)}")


if __name__ == "__main__":
    main()
