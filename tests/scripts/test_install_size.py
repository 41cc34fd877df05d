"""What `scripts/install_size.py` counts, and that what it has written is of these requirements."""

import json
import sys
from importlib.metadata import requires
from pathlib import Path

import install_size
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import ROOT


def add_package(site: Path, name: str, sizes: dict[str, int]) -> None:
    """A package as pip installs it, with files of some sizes; its metadata takes bytes, too."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    for file, size in sizes.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_bytes(b"x" * size)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata)
    listed = [*sizes, f"{info.name}/METADATA", "gone.py"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in listed))


def metadata_bytes(name: str) -> int:
    return len(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_the_bytes_of_a_package_are_those_of_its_files(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    add_package(site, "Small.Thing", {"small/__init__.py": 10, "small/a.py": 5})
    add_package(site, "large", {"large.so": 1000, "../../bin/large": 7})
    add_package(site, "pip", {"pip.py": 3})
    (site / "nobody.py").write_bytes(b"x" * 99)
    assert install_size.measure(site, ["pip"]) == {
        "large": 1007 + metadata_bytes("large"),
        "small-thing": 15 + metadata_bytes("Small.Thing"),
    }
    assert [*install_size.measure(site)] == ["large", "small-thing", "pip"]


def test_it_prints_and_writes_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a pip that installs one package in all, and one more with the extra."""
    site = tmp_path / "site-packages"
    add_package(site, "pip", {"pip.py": 3})
    commands: list[list[str]] = []

    def command(words: list[str], **kwargs: object) -> None:
        commands.append([str(word) for word in words[1:]])
        if "pip" in words:
            name = "torch" if len(commands) == 1 else "scipy"
            add_package(site, name, {f"{name}.so": 2_000_000})

    monkeypatch.setattr("venv.create", lambda folder, with_pip: None)
    monkeypatch.setattr("subprocess.check_output", lambda words, text: f"{site}\n")
    monkeypatch.setattr("subprocess.run", command)
    monkeypatch.setattr(sys, "argv", ["install_size.py", "--json", str(tmp_path / "found.json")])
    install_size.main()
    asked = [words[-1] for words in commands if "pip" in words]
    assert asked == [".", ".[train]"]
    assert ["predict" in words for words in commands] == [False, True, False, True]
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "base: 1 packages, 2 MB, 2 MB of them torch"
    assert second == "train: 2 packages, 4 MB, 2 MB of them torch"
    found = json.loads((tmp_path / "found.json").read_text())["packages"]
    assert {name: [*sizes] for name, sizes in found.items()} == {
        "base": ["torch"],
        "train": ["scipy", "torch"],
    }


def test_what_was_measured_is_what_is_required_now() -> None:
    packages = json.loads((ROOT / "docs/results/install.json").read_text())["packages"]
    wanted: dict[str, set[str]] = {"base": {"sentiment-lstm"}, "train": set()}
    for one in map(Requirement, requires("sentiment-lstm") or []):
        extra = "base" if one.marker is None else str(one.marker).split()[-1].strip("'\"")
        if extra in wanted:
            wanted[extra].add(canonicalize_name(one.name))
    base, train = {*packages["base"]}, {*packages["train"]}
    assert wanted["base"] <= base <= train
    assert wanted["train"] <= train - base, "run scripts/install_size.py anew"
