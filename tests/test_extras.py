"""The base install loads, predicts, explains and pushes; what else there is names its extra."""

import ast
import gzip
import json
import re
import sys
import textwrap
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from fake_hub import FakeHub
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import run

from sentiment_lstm.extras import EXTRAS, require

TEXTS = ["I love it, works well.", "", "Waste of money; broke in a week."]


def requirements(package: str, extras: frozenset[str]) -> list[Requirement]:
    """What a package needs on this machine, with some of its extras."""
    try:
        found = [Requirement(line) for line in requires(package) or []]
    except PackageNotFoundError:  # as of another system's CUDA
        return []
    given = [{"extra": extra} for extra in extras or [""]]
    return [one for one in found if one.marker is None or any(map(one.marker.evaluate, given))]


def installed_by(package: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """The packages that come with a package, as `pip install PACKAGE` finds them."""
    done: set[tuple[str, frozenset[str]]] = set()
    new = {(canonicalize_name(package), extras)}
    while new:
        done |= new
        needed = [one for name, wanted in new for one in requirements(name, wanted)]
        new = {(canonicalize_name(one.name), frozenset(one.extras)) for one in needed} - done
    return {name for name, _ in done}


@cache
def modules_beyond(*extras: str) -> frozenset[str]:
    """The modules of this environment that an install with no more than these extras lacks."""
    there = installed_by("sentiment-lstm", frozenset(extras))
    return frozenset(
        module
        for module, packages in packages_distributions().items()
        if not there & {canonicalize_name(name) for name in packages}
    )


def without(modules: frozenset[str]) -> str:
    """Code after which none of the modules can be imported, nor is found to be there."""
    return f"import sys\nsys.modules.update(dict.fromkeys({sorted(modules)}))\n"


# --- the base ------------------------------------------------------------------------------------


def test_the_base_install_has_nothing_that_only_training_needs() -> None:
    lacks = modules_beyond()
    assert {*EXTRAS["train"], "pandas", "pytest", "optuna", "onnx"} <= lacks
    assert not {"numpy", "torch", "transformers", "tokenizers", "huggingface_hub", "yaml"} & lacks


USE = """
import json
from pathlib import Path
import sentiment_lstm
from sentiment_lstm import SentimentPredictor, push
from sentiment_lstm.cli.main import main
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

texts = json.loads(Path("texts.json").read_text())

def scores(predictions):
    return [one["score"] for one in predictions]

predictor = SentimentPredictor.from_pretrained("model")
answers = {
    "predict": [one.score for one in predictor.predict(texts)],
    "stream": [one.score for one in predictor.stream(iter(texts))],
    "batch": predictor({"text": texts})["predicted_score"],
    "pipeline": scores(pipeline("text-classification", model="model")(texts)),
}
model = AutoModelForSequenceClassification.from_pretrained("model")
tokenizer = AutoTokenizer.from_pretrained("model")
model.save_pretrained("again")
tokenizer.save_pretrained("again")
answers["saved"] = scores(pipeline("text-classification", model="again")(texts))
assert predictor.explain(texts[0]).words

for name in ("texts.txt.gz", "texts.csv", "texts.jsonl"):
    assert main(["predict", "--model", "model", "--exact", "--input", name,
                 "--output", "answers.jsonl"]) == 0
    lines = Path("answers.jsonl").read_text().splitlines()
    answers[f"predict --input {name}"] = scores(map(json.loads, lines))
assert main(["predict", "--model", "model", *texts]) == 0
assert main(["predict", "--model", "model", "--input", "texts.csv"]) == 0
assert main(["predict", texts[0]]) == 0
assert main(["explain", "--model", "model", "--html", "why.html", texts[0]]) == 0

assert main(["push", "model", "tester/one", "--private"]) == 0
done = push("again", "tester/two")
answers["pulled"] = scores(
    pipeline("text-classification", model="tester/two", revision=done.revision)(texts)
)
default = pipeline("text-classification", model=sentiment_lstm.DEFAULT_MODEL)
assert default("Great little lamp: bright, sturdy and easy to set up.")[0]["label"] == "POSITIVE"
print(json.dumps(answers))
"""


def test_the_base_install_loads_predicts_explains_and_pushes(
    hub: FakeHub, model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    lines = "".join(f"{text}\n" for text in TEXTS)
    (tmp_path / "texts.txt.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS))
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    printed = run(hub, tmp_path, without(modules_beyond()) + textwrap.dedent(USE))
    assert not [line for line in printed if line.startswith("OUTSIDE")]
    answers = json.loads(printed[-1])
    assert len(answers) == 9
    for way, scores in answers.items():
        assert scores == pytest.approx(answers["predict"], abs=1e-6), way
    assert len(set(answers["predict"])) == len(TEXTS), "different texts, or this shows little"
    assert {repo for _, repo in hub.repositories} == {"tester/one", "tester/two"}


# --- the extras ----------------------------------------------------------------------------------


LACKING = {
    "train recipe.yaml": "train",
    "pretrain recipe.yaml": "train",
    "tune recipe.yaml": "tune",
    "evaluate model texts.csv": "train",
    "evaluate model --behaviour": "train",
    "export model onnx": "export",
    "demo": "page",
    "predict --model model --engine ray --input texts.csv --output out": "ray",
}

RUN = """
import contextlib, io, json
from sentiment_lstm.cli.main import main
said = {}
for line in LINES:
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main(line.split())
    said[line] = code, errors.getvalue()
print(json.dumps(said))
"""


def test_a_command_without_its_extra_names_it(hub: FakeHub, model_folder: Path) -> None:
    start = without(modules_beyond()) + f"LINES = {[*LACKING]}"
    said = json.loads(run(hub, model_folder.parent, start + RUN)[-1])
    for line, extra in LACKING.items():
        code, error = said[line]
        assert code == 1, line
        assert error.endswith(f'not installed: `pip install "sentiment-lstm[{extra}]"`\n'), error
        assert len(error.splitlines()) == 1
        assert all(module in error for module in EXTRAS[extra])


@pytest.mark.parametrize("extra", EXTRAS)
def test_one_missing_module_is_enough_and_is_named(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in EXTRAS[extra]:
        monkeypatch.setitem(sys.modules, module, sys)
    require(extra)
    last = EXTRAS[extra][-1]
    monkeypatch.setitem(sys.modules, last, None)
    with pytest.raises(ModuleNotFoundError, match=rf"^{last} is not installed: .*\[{extra}\]") as e:
        require(extra)
    assert e.value.name == last


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_the_modules_that_are_asked_for(extra: str) -> None:
    mine = {f"extra == '{extra}'", f'extra == "{extra}"'}
    found = map(Requirement, requires("sentiment-lstm") or [])
    brought: dict[str, set[str]] = {
        canonicalize_name(one.name): one.extras for one in found if str(one.marker) in mine
    }
    packages_of = {
        module: set(map(canonicalize_name, packages))
        for module, packages in packages_distributions().items()
    }
    for module in EXTRAS[extra]:
        packages = packages_of.get(module, {module})
        # Ray brings pyarrow for its part `data`.
        assert packages & brought.keys() or "data" in brought.get("ray", set()), module
    asked = {*EXTRAS["train"], *EXTRAS[extra]}
    named = set().union(*(packages_of.get(module, {module}) for module in asked))
    assert brought.keys() <= named, "an extra brings what nobody asks for"


def test_whatever_imports_a_package_of_training_asks_for_it() -> None:
    """At the top of a file, where an error would be Python's own."""
    package = Path(sys.modules["sentiment_lstm"].__file__ or "").parent
    heavy = {*EXTRAS["train"]}
    for path in package.rglob("*.py"):
        if path.parent.name == "training":  # whose __init__ asks for all of it
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = (
                {alias.name for alias in node.names}
                if isinstance(node, ast.Import)
                else {node.module or ""}
                if isinstance(node, ast.ImportFrom)
                else set()
            )
            assert not heavy & {name.partition(".")[0] for name in names}, path
    assert re.search(r"^require\(\"train\"\)", (package / "training/__init__.py").read_text(), re.M)
