"""How much an install takes: the packages of a fresh environment and their bytes on the disk.

    python scripts/install_size.py                                     print it
    python scripts/install_size.py --json docs/results/install.json    and write it

Makes a virtual environment in a temporary folder and installs the package twice with the versions
of constraints.txt, without an extra and then with `train`. The first has to predict. Which torch
that is, for CPUs or with CUDA, is what pip is set up to find.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from sentiment_lstm import __version__
from sentiment_lstm.files import write_json

ROOT = Path(__file__).resolve().parents[1]
# Name of the install -> what pip is asked for, each on top of the last one.
INSTALLS = {"base": ".", "train": ".[train]"}
_PREDICTS = ["-m", "sentiment_lstm", "predict", "Sturdy, bright, and it arrived early."]


def measure(site: Path, besides: Iterable[str] = ()) -> dict[str, int]:
    """The packages of an environment and how many bytes their files have.

    Args:
        site: Its `site-packages`.
        besides: Packages that are not counted.

    Returns:
        Name of a package in its normal form -> bytes, those of compiled modules included; the
        largest first.
    """
    sizes: dict[str, int] = {}
    for package in distributions(path=[str(site)]):
        name = canonicalize_name(package.metadata["Name"])
        if name not in {*besides}:
            paths = (Path(str(file.locate())) for file in package.files or ())
            sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def measure_installs(folder: Path) -> dict[str, Any]:
    """Install in a new environment, and measure it after each.

    Args:
        folder: Where to make the environment.

    Returns:
        What `docs/results/install.json` holds.

    Raises:
        subprocess.CalledProcessError: If pip fails, or the base install does not predict.
    """
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    tools = measure(site)  # pip, and with an older Python setuptools
    installs = {}
    for name, wanted in INSTALLS.items():
        pip = [python, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", wanted]
        subprocess.run(pip, cwd=ROOT, check=True)
        subprocess.run([python, *_PREDICTS], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        installs[name] = measure(site, tools)
    return {
        "version": __version__,
        "command": "python scripts/install_size.py --json docs/results/install.json",
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "packages": installs,
    }


def describe(result: Mapping[str, Any]) -> str:
    """The installs, a line each: packages, megabytes, and how many of these are torch."""
    return "\n".join(
        f"{name}: {len(sizes)} packages, {sum(sizes.values()) / 1e6:,.0f} MB, "
        f"{sizes.get('torch', 0) / 1e6:,.0f} MB of them torch"
        for name, sizes in result["packages"].items()
    )


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="install_size_") as folder:
            result = measure_installs(Path(folder))
    except subprocess.CalledProcessError as error:
        sys.exit(f"install_size: {error}")
    print(describe(result))
    if options.json:
        print(f"wrote {write_json(options.json, result)}")


if __name__ == "__main__":
    main()
