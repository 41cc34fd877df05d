"""What breaks a command is done to it on purpose, and what it then makes of it is compared.

    python scripts/faults                       everything: longest on busy cores
    python scripts/faults --quick               a few tries of each, in minutes
    python scripts/faults kill damage           some kinds only

Each try runs the real command line on small reviews that are made up here, in a temporary folder,
and ends as `survived` (it did what docs/reliability.md promises), `lost` (work was gone, it did not
end or could not be resumed), `wrong` (other weights, other answers, or no word of use) or with a
traceback. `--save` keeps the table for the documents, in docs/results/faults.json; `--keep FOLDER`
keeps the input of each fault of `fuzz`. `full` mounts a small file system, which takes root.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faults.tally import Tally

# Before torch, tokenizers and datasets are imported, which read these once. One thread each: there
# are two processes at once, and a fork takes no threads along.
os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    HF_DATASETS_DISABLE_PROGRESS_BARS="1",
    MPLBACKEND="agg",
)

# `python scripts/faults` looks for modules in that folder only.
sys.path.insert(0, str(Path(__file__).parents[1]))

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "faults.json"
# Kind -> tries of each of its rows under --quick.
KINDS = {"kill": 12, "damage": 12, "twice": 3, "full": 6, "fuzz": 40}
COLUMNS = ("kind", "tried", "survived", "lost", "wrong", "tracebacks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try what is asked for; 0 if everything survived."""
    options = _parse(arguments)
    from faults import commands

    modules = [importlib.import_module(f"faults.{kind}") for kind in options.kinds or KINDS]
    commands.prepare()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and tidy up as after Ctrl-C
    rows: list[dict[str, Any]] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for tally in tallies(options, modules, Path(folder)):
            rows.append(tally.row())
            print(line([str(rows[-1][name]) for name in COLUMNS]), flush=True)
            for what, fault in tally.faults:
                print(f"    {fault.outcome}: {what}: {fault.reason}", flush=True)
            if tally.note:
                print(f"    {tally.note}", flush=True)
    if options.save:
        _save(options, rows, time.perf_counter() - started)
    return int(any(row["tried"] > row["survived"] for row in rows))


def tallies(
    options: argparse.Namespace, modules: Sequence[ModuleType], folder: Path
) -> Iterator[Tally]:
    """The rows of the table, each when it is known."""
    from faults.stage import Stage

    stage = Stage.make(folder)
    print(line(list(COLUMNS)), flush=True)
    for module in modules:
        quick = KINDS[module.__name__.rpartition(".")[2]]
        tries = options.tries or (quick if options.quick else None)
        yield from module.tallies(stage, tries, options.seed)


def line(cells: list[str]) -> str:
    """A line of the table."""
    return f"{cells[0]:<40}" + "".join(f"{cell:>12}" for cell in cells[1:])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python scripts/faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="a few tries of each")
    parser.add_argument("--tries", type=int, metavar="N", help="at most so many of each row")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn by lot (default: 0)")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--keep", metavar="FOLDER", help="keep what fuzz found there")
    options = parser.parse_args(arguments)
    if options.keep:
        os.environ["FAULTS_KEEP"] = os.path.abspath(options.keep)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    return options


def _chosen(options: argparse.Namespace) -> list[str]:
    """The words of the command line that decide what is tried."""
    tries = ["--tries", str(options.tries)] if options.tries else []
    seed = ["--seed", str(options.seed)] if options.seed else []
    return [*options.kinds, *(["--quick"] if options.quick else []), *tries, *seed]


def _save(options: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> None:
    from datetime import date
    from importlib.metadata import version

    from benchmark.common import machine

    from sentiment_lstm.files import write_json

    options.rounds = 1
    content = {
        "version": version("sentiment-lstm"),
        "command": shlex.join(["python", "scripts/faults", *_chosen(options)]),
        "date": date.today().isoformat(),
        "machine": machine(options),
        "seconds": round(seconds),
        "rows": rows,
    }
    print(f"wrote {write_json(RESULTS, content)}")


if __name__ == "__main__":
    sys.exit(main())
