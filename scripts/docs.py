"""Render README.md, docs/*.md and the card in hub_card/ from templates and committed results.

    python scripts/docs.py                        write them: `make docs`
    python scripts/docs.py --check                write nothing; exit with 1 if one is out of date
    python scripts/docs.py --add runs/demo        what a finished run measured, to docs/results/

No figure is typed: a template in docs/templates/ says where in the result files it stands. Those of
the released checkpoint are in hub_card/, those of everything else in docs/results/, each in the
shape that its command writes (`scripts/benchmark`, `scripts/ablation.py`, `sentiment-lstm
evaluate`). A file may hold `version` and `command` besides, to say what measured it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import jinja2

from sentiment_lstm.evaluation.metrics import accuracy_interval
from sentiment_lstm.evaluation.results import Results, read_results
from sentiment_lstm.files import (
    ABLATION_FILE,
    BASELINES_FILE,
    CARD_FILE,
    RESULTS_FILE,
    write_json,
    write_text,
)
from sentiment_lstm.hub.ablations import ablation_table
from sentiment_lstm.hub.baselines import read_baselines
from sentiment_lstm.hub.model_card import make_card

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
TEMPLATES = ROOT / "docs" / "templates"
RELEASED = ROOT / "hub_card"
# What the card of the released checkpoint calls it: whoever pushes it has a name of their own.
REPO_ID = "USER/sentiment-lstm-amazon"
# What a run's figures are in docs/results/: not the slices and the log, which are long.
FIGURES = ("reviews", "accuracy", "accuracy_low", "accuracy_high", "loss", "f1", "roc_auc")
FACTS = ("seed", "parameters", "vocab_size", "machine", "versions", "wall_time_seconds")


class DocsError(ValueError):
    """A document that cannot be rendered; the message names the template or the results."""


def render_all() -> dict[Path, str]:
    """Every document that is made by this script -> its text.

    Raises:
        DocsError: If a template asks for a figure that the results lack.
    """
    environment = make_environment()
    texts = {RELEASED / CARD_FILE: render_card()}
    for template in sorted(TEMPLATES.glob("*.md")):
        folder = ROOT if template.name == "README.md" else ROOT / "docs"
        try:
            text = environment.get_template(template.name).render()
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError) as error:
            raise DocsError(f"docs/templates/{template.name}: {error}") from error
        note = (
            f"<!-- Rendered from docs/templates/{template.name}: change that, then `make docs`. -->"
        )
        texts[folder / template.name] = f"{note}\n\n{text.lstrip()}"
    return texts


def render_card() -> str:
    """The card of the released checkpoint, from the files beside it and the ablations."""
    baselines = RELEASED / BASELINES_FILE
    card = make_card(
        read_results(RELEASED / RESULTS_FILE),
        repo_id=REPO_ID,
        baselines=read_baselines(baselines) if baselines.exists() else [],
        ablation=rows_of(read_json(RESULTS / ABLATION_FILE)),
        figures=sorted(path.name for path in RELEASED.glob("*.png")),
    )
    return str(card)


def make_environment() -> jinja2.Environment:
    """What templates see: the results, and how figures are written."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "results": read_folder(RESULTS),
        "released": read_results(RELEASED / RESULTS_FILE),
        "baselines": {one.name: one for one in read_baselines(RELEASED / BASELINES_FILE)},
        "benchmark": benchmark,
        "file_size": file_size,
    }
    environment.filters |= {
        "ablation_table": lambda content: ablation_table(rows_of(content)),
        "accuracy": accuracy,
        "column": column,
        "count": lambda number: f"{number:,}",
        "difference": difference,
        "duration": duration,
        "machine": machine,
        "median": statistics.median,
        "megabytes": lambda size: f"{size / 1e6:,.{int(size < 1e8)}f} MB",
        "millions": lambda number: f"{number / 1e6:.1f}M",
        "over_seeds": over_seeds,
        "percent": percent,
        "points": points,
        "pooled": pooled,
        "rate": lambda number: f"{number:,.0f} reviews/s",
        "rest_list": rest_list,
        "rows": rows_of,
        "seconds": lambda number, decimals=0: f"{number:,.{decimals}f} s",
        "sides_table": sides_table,
        "times": times,
    }
    return environment


# --- results -------------------------------------------------------------------------------------


@lru_cache
def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DocsError: If it holds no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DocsError(f"{path}: no valid JSON ({error})") from error


def read_folder(folder: Path) -> dict[str, Any]:
    """Everything in a folder of results: name of a file or folder, without ending -> content."""
    return {
        path.stem: read_folder(path) if path.is_dir() else read_json(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() or path.suffix == ".json"
    }


def rows_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rows of an `ablation.json`, which stand by themselves or beside what measured them."""
    rows: Mapping[str, Any] = content.get("rows", content)
    return rows


def column(runs: Mapping[str, Any], names: Iterable[str], *keys: str) -> list[Any]:
    """What several runs have under the same keys, as `over_seeds` and `median` take it."""
    return [reduce(getitem, keys, runs[name]) for name in names]


def benchmark(part: str) -> dict[str, Any]:
    """What `scripts/benchmark PART --json` wrote (another machine: FOLDER/PART); sides by name."""
    result = dict(read_json(RESULTS / "benchmarks" / f"{part}.json")[Path(part).name])
    return result | {"side": {side["side"]: side for side in result.get("sides", ())}}


def extract(results: Results, recipe: str) -> dict[str, Any]:
    """What docs/results/ keeps of a finished run of a recipe, without folders of the machine."""
    results = results.redact()
    verb = "train" if results.metrics else "pretrain"  # a language model has none
    metrics: dict[str, dict[str, Any]] = {}
    for split, source, found in results.parts():
        figures = (*FIGURES, "expected_calibration_error")
        metrics.setdefault(split, {})[source] = {name: found[name] for name in figures}
    return {
        "version": results.versions["sentiment-lstm"],
        "command": f"sentiment-lstm {verb} scripts/recipes/{recipe}.yaml",
        "reviews": results.reviews,
        "metrics": metrics,
        **{name: getattr(results, name) for name in FACTS},
    }


def file_size(path: str) -> int:
    """Bytes of a file of the checkout."""
    return (ROOT / path).stat().st_size


# --- how figures are written ---------------------------------------------------------------------


def percent(share: float, decimals: int = 1) -> str:
    """0.932 -> `93.2 %`."""
    return f"{100 * share:.{decimals}f} %"


def accuracy(found: Mapping[str, Any]) -> str:
    """Accuracy with its 95 % interval: `93.2 % (91.8 to 94.4)`."""
    low, high = (100 * found[f"accuracy_{end}"] for end in ("low", "high"))
    return f"{percent(found['accuracy'])} ({low:.1f} to {high:.1f})"


def over_seeds(accuracies: list[float]) -> str:
    """The median of the seeds with the lowest and the highest: `75.6 % (73.2 to 77.6)`."""
    low, high = (100 * end for end in (min(accuracies), max(accuracies)))
    return f"{percent(statistics.median(accuracies))} ({low:.1f} to {high:.1f})"


def points(difference: float, decimals: int = 1) -> str:
    """A difference of two shares: `0.8 points`."""
    return f"{100 * abs(difference):.{decimals}f} points"


def difference(row: Mapping[str, Any]) -> str:
    """A row's difference to the baseline: `−3.3 ± 0.4 points`."""
    text = f"{100 * row['difference']:+.1f}".replace("-", "−")
    if "standard_error" in row:
        text += f" ± {100 * row['standard_error']:.1f}"
    return f"{text} points"


def times(ratio: float, decimals: int = 0) -> str:
    """A ratio: `30 times`."""
    return f"{ratio:.{decimals}f} times"


def duration(seconds: float) -> str:
    """A long time in the unit that suits it: `94 s`, `52 minutes`, `2.4 hours`."""
    if seconds < 300:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def pooled(metrics: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Accuracy over several sets of reviews together, with its 95 % interval."""
    metrics = list(metrics)
    reviews = sum(found["reviews"] for found in metrics)
    right = round(sum(found["accuracy"] * found["reviews"] for found in metrics))
    low, high = accuracy_interval(right, reviews)
    return {"accuracy": right / reviews, "accuracy_low": low, "accuracy_high": high}


def machine(result: Mapping[str, Any]) -> str:
    """The machine of a benchmark, in a line."""
    found = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    bf16 = "with bf16" if found["bf16"] else "without bf16"
    return (
        f"{found['cpu']} {bf16}, threads: {found['threads']}, Python {found['python']}, {versions}"
    )


def sides_table(result: Mapping[str, Any]) -> str:
    """The sides of a benchmark: ours first, which the others' ratios are of."""
    return table(
        ["", "reviews/s", "ratio", "how"],
        (
            [
                side["side"],
                f"{side['reviews_per_second']:,.1f}",
                f"{side['ratio']:.2f}",
                side["note"],
            ]
            for side in result["sides"]
        ),
    )


def rest_list(result: Mapping[str, Any]) -> str:
    """What a benchmark measured besides its sides, a line each."""
    lines = []
    for name, value in result.items():
        if name in ("side", "sides", "machine"):
            continue
        title = name.replace("_", " ")
        if isinstance(value, Mapping) and all(isinstance(one, Mapping) for one in value.values()):
            lines += [f"- {title}:", *(f"  - {each}: {plain(one)}" for each, one in value.items())]
        else:
            lines.append(f"- {title}: {plain(value)}")
    return "\n".join(lines)


def plain(value: Any) -> str:
    """A value, or several by name, in a line."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name.replace('_', ' ')}: {plain(one)}" for name, one in value.items())
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{value:,}" if number else str(value)


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


# --- the command ---------------------------------------------------------------------------------


def main() -> None:
    """Write the documents, or say which are out of date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--add", type=Path, metavar="RUN", help="a folder of a finished run")
    parser.add_argument("--name", help="of the added results (default: the folder's)")
    options = parser.parse_args()
    if options.check and options.add:
        parser.error("--add writes, and --check does not: give one of them")
    try:
        if options.add:
            name = options.name or options.add.name
            content = extract(read_results(options.add / RESULTS_FILE), name)
            print(f"wrote {write_json(RESULTS / 'recipes' / f'{name}.json', content)}")
        changed = {
            path: text
            for path, text in render_all().items()
            if not path.exists() or path.read_text(encoding="utf-8") != text
        }
    except (OSError, ValueError) as error:
        sys.exit(f"docs: {error}")
    for path, text in changed.items():
        if not options.check:
            write_text(path, text)
        print(f"{'out of date' if options.check else 'wrote'}: {path.relative_to(ROOT)}")
    if options.check and changed:
        sys.exit("docs: run `make docs`, and commit what it writes")


if __name__ == "__main__":
    main()
