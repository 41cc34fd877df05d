"""A model as a page that needs no server: what `sentiment-lstm export --browser` writes.

The browser itself reads the reviews, by ONNX Runtime for WebAssembly and by the tokenizers of
JavaScript. npm brings the two, in the versions of `web/package-lock.json`; the rest of the page is
`web/`. Before a page is written, it has to give Python's answers in Node.

Needs Node.js with npm, and the packages of the extra `export`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.onnx import export, refuse_full_folder
from ..inference.predictor import SentimentPredictor

_WEB = Path(__file__).with_name("web")
_PAGE = ("index.html", "style.css", "page.js", "classifier.js", "package.json", "README.md")
# What is taken of the packages -> its name in the folder. Any server knows what `.js` is, and not
# all of them `.mjs`.
_LIBRARIES = {
    "onnxruntime-web/dist/ort.wasm.bundle.min.mjs": "onnxruntime-web.js",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "@huggingface/tokenizers/dist/tokenizers.min.mjs": "tokenizers.js",
    "@huggingface/tokenizers/LICENSE": "tokenizers-LICENSE",
}
# What has to be answered as in Python before the page is written: of several lengths, one of them
# empty, with what tokenizers have rules for. Answers are not quite the same: the page has weights
# in half precision.
_TEXTS = (
    "Works as described, and it arrived early.",
    "",
    "I don’t know &amp; it wasn't sooooo good :-( 4.5/5, $1,250 &#39;n <br /> 👍🏽 ÜBER-naïve!!!!!",
    "_PAD and _UNK",
    "The hinge snapped, and nobody answers my mails. " * 40,
)
_TOLERANCE = 5e-3


def export_page(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    trust_remote_code: bool = False,
) -> Path:
    """Write a model as a static page, and check that the page gives the answers of Python.

    Any web server shows it; nothing of it comes from elsewhere, and it sends nothing anywhere.

    Args:
        model: A model folder or a Hub repository, whose tokenizer has plain words.
        folder: Where to write `index.html` and the rest, about 14 MB and two bytes for each
            parameter of the model. It is whole or empty.
        trust_remote_code: See `SentimentPredictor.from_pretrained`.

    Returns:
        The folder.

    Raises:
        FileExistsError: If there is something in the folder.
        OSError: If Node.js or npm is missing, npm does not bring the libraries, there is no such
            model, or it does not load.
        ValueError: If the model is of another kind, JavaScript cannot read its tokenizer, or the
            page's answers differ from those of Python.
    """
    folder = Path(folder)
    refuse_full_folder(folder)
    npm, node = _find("npm"), _find("node")
    predictor = SentimentPredictor.from_pretrained(model, trust_remote_code=trust_remote_code)
    _refuse_words_beyond_javascript(model, predictor)
    folder.mkdir(parents=True, exist_ok=True)
    # Written beside its place first: what arrives there is whole and has been checked.
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        page = Path(unfinished, "page")
        export(model, page, float16=True, trust_remote_code=trust_remote_code)
        for code in page.glob("*.py"):  # of the config, which no browser runs
            code.unlink()
        for name in _PAGE:
            shutil.copyfile(_WEB / name, page / name)
        _bring_libraries(npm, Path(unfinished, "npm"), page / "libraries")
        _check(model, predictor, node, page)
        for path in page.iterdir():
            shutil.move(path, folder / path.name)
    return folder


def answers_in_node(
    node: str, page: str | os.PathLike[str], texts: Sequence[str]
) -> NDArray[np.float64]:
    """The answers of a page, computed by its own JavaScript without a browser.

    Args:
        node: The program Node.js.
        page: What `export_page` wrote.
        texts: One text or more.

    Returns:
        `(texts, num_labels)`, as `SentimentPredictor.predict_proba` has them.

    Raises:
        ValueError: If it fails; the message is JavaScript's.
    """
    done = _run([node, str(_WEB / "answers.mjs"), os.fspath(page)], input=json.dumps([*texts]))
    if done.returncode:
        errors = [line.strip() for line in done.stderr.splitlines() if "Error: " in line]
        raise ValueError((errors or [done.stderr.strip()])[0][:300])
    return np.array(json.loads(done.stdout))


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise FileNotFoundError(
            f"{program}: not found; a page takes Node.js with npm, which brings its two libraries "
            "and tries it: https://nodejs.org"
        )
    return found


def _run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, encoding="utf-8", check=False, **options
    )


def _refuse_words_beyond_javascript(
    model: str | os.PathLike[str], predictor: SentimentPredictor
) -> None:
    r"""Raise for rules with `\K` or `\G`, which regular expressions of JavaScript lack."""
    backend = json.loads(predictor.tokenizer.backend_tokenizer.to_str())
    rules = json.dumps([backend["normalizer"], backend["pre_tokenizer"]])
    for sign in (r"\K", r"\G"):
        if sign in rules:
            raise ValueError(
                f"{model}: its tokenizer has rules with {sign}, as NLTK's words have them, and "
                "JavaScript cannot read such. A page takes plain words: train with `words: plain`, "
                "the default preset's"
            )


def _bring_libraries(npm: str, workplace: Path, libraries: Path) -> None:
    """Install the two packages in a folder of their own, and take what the page needs of them."""
    for place in (workplace, libraries):
        place.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(_WEB / name, workplace / name)
    # Nothing of the packages is run, and what npm has brought before is not asked for again.
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = _run([npm, "ci", *quiet], cwd=workplace)
    if done.returncode:
        lines = [line.removeprefix("npm error").strip() for line in done.stderr.splitlines()]
        said = "; ".join(line for line in lines if line and not line.startswith("at "))  # its code
        raise OSError(f"npm has not brought the libraries of the page: {said[:400]}")
    for source, name in _LIBRARIES.items():
        shutil.copyfile(workplace / "node_modules" / source, libraries / name)


def _check(
    model: str | os.PathLike[str], predictor: SentimentPredictor, node: str, page: Path
) -> None:
    """Compare the page's answers with those of Python."""
    try:
        found = answers_in_node(node, page, _TEXTS)
    except ValueError as error:
        raise ValueError(
            f"{model}: JavaScript does not read it, and nothing was written: {error}"
        ) from error
    expected = predictor.predict_proba(_TEXTS)
    if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise ValueError(
            f"{model}: the answers of its page differ from those of Python by "
            f"{np.abs(found - expected).max():.1e}: nothing was written"
        )
