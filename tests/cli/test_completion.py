"""A shell that asks what could come next gets the commands, the options and their values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

# What pip installs, in a machine that is to import neither of these to answer a Tab.
SCRIPT = f"""#!{sys.executable}
import sys
sys.modules.update(dict.fromkeys(["torch", "transformers", "numpy"]))
sys.path.insert(0, {str(ROOT)!r})
from sentiment_lstm.cli.main import main
sys.exit(main())
"""

REGISTER = 'eval "$(register-python-argcomplete sentiment-lstm)"'
# Then what bash does when Tab is pressed behind the words.
BASH = f"""
{REGISTER}
complete -p sentiment-lstm >&2
COMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=9 COMP_KEY=9
_python_argcomplete sentiment-lstm
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A `PATH` with the command and what the extra brings."""
    script = tmp_path / "sentiment-lstm"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    return os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])


def complete(line: str, path: str, folder: Path) -> set[str]:
    """What bash offers behind a line."""
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", line],
        env={"PATH": path, "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_python_argcomplete" in done.stderr, done.stderr
    return {word.strip() for word in done.stdout.splitlines() if word.strip()}


def test_readme_says_how_it_is_switched_on() -> None:
    assert f"`{REGISTER}`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sentiment-lstm pre", {"predict", "pretrain"}),
        ("sentiment-lstm exp", {"explain", "export"}),
        ("sentiment-lstm predict --ex", {"--exact"}),
        ("sentiment-lstm predict --format ", {"jsonl", "csv"}),
        ("sentiment-lstm explain --method o", {"occlusion"}),
        ("sentiment-lstm predict --input rev", {"reviews.txt"}),
        ("sentiment-lstm fly", set()),
    ],
)
def test_bash_completes(line: str, offered: set[str], path: str, tmp_path: Path) -> None:
    (tmp_path / "reviews.txt").write_text("fine\n")
    assert complete(line, path, tmp_path) == offered
