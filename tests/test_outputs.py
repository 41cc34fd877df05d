"""Output goes where it was meant to, or nothing is computed."""

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment_lstm.outputs import OutputError, check_output


def write(path: Path, text: str = "new\n") -> None:
    with check_output(path).open() as stream:
        stream.write(text)


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("old\n")
    with check_output(path).open() as stream:
        stream.write("new\n")
        stream.flush()
        assert path.read_text() == "old\n"
    assert path.read_text() == "new\n"
    with contextlib.suppress(InterruptedError), check_output(path).open() as stream:
        stream.write("half\n")
        raise InterruptedError
    assert path.read_text() == "new\n"
    assert [file.name for file in tmp_path.iterdir()] == ["labels.jsonl"], "and leaves no litter"
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    with check_output(path).open() as first, check_output(path).open() as second:
        first.write("first\n" * 3)
        second.write("second\n")
    assert path.read_text() == "first\n" * 3


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "labels.jsonl", tmp_path / "link"
    link.symlink_to(target)
    for _ in range(2):  # a target that is not there yet, and one that is
        write(link)
        assert link.is_symlink()
        assert target.read_text() == "new\n"
        target.write_text("old\n")


def test_a_link_that_is_turned_afterwards_leads_nowhere_else(tmp_path: Path) -> None:
    link, precious = tmp_path / "link", tmp_path / "precious"
    precious.write_text("precious\n")
    link.symlink_to(tmp_path / "labels.jsonl")
    output = check_output(link)
    link.unlink()
    link.symlink_to(precious)
    with output.open() as stream:
        stream.write("new\n")
    assert precious.read_text() == "precious\n"
    assert (tmp_path / "labels.jsonl").read_text() == "new\n"


def test_a_link_at_the_part_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    (tmp_path / "labels.jsonl.part").symlink_to(precious)
    write(tmp_path / "labels.jsonl")
    assert precious.read_text() == "precious\n"
    assert not (tmp_path / "labels.jsonl").is_symlink()


def test_a_fifo_is_written_through(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()), daemon=True)
    reader.start()
    write(path)
    reader.join(10)
    assert read == ["new\n"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_device_is_written_through_and_stays(tmp_path: Path) -> None:
    # By a link, so that not even a failure can replace the machine's own.
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    output = check_output(link)
    assert output.is_stream
    with output.open() as stream:
        stream.write("new\n")
    assert link.is_symlink()
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_an_open_descriptor_is_written_through(tmp_path: Path) -> None:
    """`--output /dev/stdout > labels.jsonl` must not replace what the shell has opened."""
    path = tmp_path / "labels.jsonl"
    with open(path, "w") as opened:
        link = tmp_path / "out"
        link.symlink_to(f"/proc/self/fd/{opened.fileno()}")
        for name in (link, Path(f"/dev/fd/{opened.fileno()}")):
            before = path.stat().st_ino
            output = check_output(name)
            assert output.is_stream
            with output.open() as stream:
                stream.write("new\n")
            assert path.stat().st_ino == before
            assert path.read_text() == "new\n"


Prepare = Callable[[Path], object]


@pytest.mark.parametrize(
    ("name", "prepare", "message"),
    [
        ("folder", lambda path: path.mkdir(), "is a folder: name a file in it"),
        ("loop", lambda path: path.symlink_to(path), "its links lead in a circle"),
        ("nowhere/labels.jsonl", lambda path: None, "there is no folder .*nowhere: make it first"),
        ("labels.jsonl/", lambda path: None, "no name of a file"),
        ("a\0b", lambda path: None, "no place for output"),
        ("x" * 300, lambda path: None, "no place for output"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused(
    name: str, prepare: Prepare, message: str, tmp_path: Path
) -> None:
    prepare(tmp_path / name)
    with pytest.raises(OutputError, match=message):
        check_output(f"{tmp_path}/{name}")


def test_no_name_is_refused() -> None:
    with pytest.raises(OutputError, match="no name of a file"):
        check_output("")


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("fine\n")
    hard, soft = tmp_path / "hard", tmp_path / "soft"
    hard.hardlink_to(texts)
    soft.symlink_to(texts)
    for output, given in [(texts, soft), (soft, texts), (hard, texts)]:
        with pytest.raises(OutputError, match=f"would destroy {given}, which is read"):
            check_output(output, [given])
    # Nor by what is written before the output takes its name.
    shard = tmp_path / "labels.part-0-of-2"
    shard.write_text("fine\n")
    with pytest.raises(OutputError, match="would destroy"):
        check_output(tmp_path / "labels", [shard])
    assert check_output(tmp_path / "labels", [texts, "owner/name"]).path == tmp_path / "labels"


def test_a_name_that_begins_like_a_part_is_no_part(tmp_path: Path) -> None:
    texts = tmp_path / "labels.partial.txt"
    texts.touch()
    assert check_output(tmp_path / "labels", [texts]).path == tmp_path / "labels"
