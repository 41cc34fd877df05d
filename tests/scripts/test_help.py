"""Every script says how it is used, run by its path from wherever one is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
# A folder with a `__main__.py` is a script; so is every other module that has a `main`.
COMMANDS = sorted(
    path.parent if path.name == "__main__.py" else path
    for path in SCRIPTS.rglob("*.py")
    if path.name == "__main__.py" or "\ndef main()" in path.read_text(encoding="utf-8")
)

# All in one process, so that torch is imported once; each finds only what Python would show it.
RUN_ALL = """
import contextlib, io, json, runpy, sys
from pathlib import Path
paths = sys.path[1:]
found = {}
for name in sys.argv[1:]:
    script = Path(name)
    sys.path[:] = [str(script if script.is_dir() else script.parent), *paths]
    for module in ("benchmark", "tutorial"):
        for loaded in [key for key in sys.modules if key.partition(".")[0] == module]:
            del sys.modules[loaded]
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_path(name, run_name="__main__")
            code = None
        except SystemExit as done:
            code = done.code
        except Exception as error:
            code = repr(error)
    found[name] = [code, printed.getvalue()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, str]]:
    """Path of a script -> its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *map(str, COMMANDS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[object, str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_a_script_has_help(path: Path, helps: dict[str, tuple[object, str]]) -> None:
    code, printed = helps[str(path)]
    assert code == 0
    name = path.relative_to(SCRIPTS.parent).as_posix()
    assert f"python {name}" in printed, "the command that runs it"
    assert "--help" in printed


def test_no_script_hides_a_module_of_python() -> None:
    names = {path.stem for path in SCRIPTS.rglob("*.py")} - {"__init__", "__main__"}
    assert not names & sys.stdlib_module_names, "a script's folder stands first on Python's path"
