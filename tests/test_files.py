"""Files are written whole or not at all, and a full disk is one error that says where."""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file
from support import no_file_beyond
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.files import DiskFullError, naming_full_disk, replacing, unfinished, write_text
from sentiment_lstm.outputs import check_output


def test_a_text_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for text in ("first\r\nline\n", "ä\n"):
        assert write_text(path, text) == path
        assert path.read_bytes() == text.encode()
    with contextlib.suppress(InterruptedError), replacing(path) as stream:
        stream.write("half")
        stream.flush()
        assert len(unfinished(tmp_path)) == 1
        raise InterruptedError
    assert path.read_text(encoding="utf-8") == "ä\n"
    assert os.listdir(tmp_path) == ["recipe.yaml"], "and leaves no litter"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious, path = tmp_path / "precious", tmp_path / "results.json"
    precious.write_text("precious\n")
    path.symlink_to(precious)
    (tmp_path / "results.json.part").symlink_to(precious)
    write_text(path, "new\n")
    assert path.read_text() == "new\n"
    assert not path.is_symlink()
    assert precious.read_text() == "precious\n"


def test_a_link_at_the_part_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by somebody who knows its name."""
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f".results.json.{'00' * 8}.part").symlink_to(precious)
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "results.json", "new\n")
    assert precious.read_text() == "precious\n"


def test_what_a_killed_process_was_writing_is_known(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from sentiment_lstm.files import replacing\n"
        "with replacing(sys.argv[1]), replacing(sys.argv[2]):\n"
        "    os._exit(9)\n"
    )
    names = [tmp_path / "run.json", tmp_path / "best.yaml"]
    done = subprocess.run([sys.executable, "-c", code, *names], check=False)
    assert done.returncode == 9
    (tmp_path / ".run.json.mine.part").touch()
    (tmp_path / "notes.part").touch()
    assert len(list(tmp_path.iterdir())) == 4
    assert len(unfinished(tmp_path)) == 2
    (left,) = unfinished(tmp_path, "run.json")
    assert left.name.startswith(".run.json.")


# --- full disks ----------------------------------------------------------------------------------


def _with_numpy(path: Path, size: int) -> None:
    with open(path, "xb") as stream:
        np.save(stream, np.zeros(size, np.uint8))


def _with_parquet(path: Path, size: int) -> None:
    pq.write_table(pa.table({"key": np.random.default_rng(0).random(size // 8)}), path)


WRITERS: dict[str, Callable[[Path, int], object]] = {
    "python": lambda path, size: path.write_bytes(bytes(size)),
    "replacing": lambda path, size: write_text(path, "x" * size),
    "torch": lambda path, size: torch.save(torch.zeros(size // 4), path),
    "safetensors": lambda path, size: save_file({"x": torch.zeros(size // 4)}, path),
    "numpy": _with_numpy,
    "parquet": _with_parquet,
    "picture": lambda path, size: Figure().savefig(path, format="png"),
}


@pytest.mark.parametrize("size", [5_000, 200_000])
@pytest.mark.parametrize("writer", list(WRITERS))
def test_what_a_library_makes_of_a_full_disk(writer: str, size: int, tmp_path: Path) -> None:
    """A limit on the size of a file stands for the disk; it takes no rights to set one."""
    path = tmp_path / "file"
    with (
        pytest.raises(DiskFullError, match=rf"^{path}: there is no room for it \(.*; \d.* free"),
        naming_full_disk(path),
        no_file_beyond(1000),
    ):
        WRITERS[writer](path, size)


def test_a_tokenizer_on_a_full_disk(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFullError, match=rf"^{tmp_path}: .*\(File too large; "),
        naming_full_disk(tmp_path),
        no_file_beyond(1000),
    ):
        tokenizer.save_pretrained(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_a_full_device_has_no_size() -> None:
    with (
        pytest.raises(DiskFullError, match=r"^/dev/full: .* \(No space left on device\)\. Make"),
        check_output("/dev/full").open() as stream,
    ):
        stream.write("x")


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        Exception("No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 598"),
        RuntimeError("[enforce ...] . PytorchStreamWriter failed writing file data/0"),
        OSError("1000000 requested and 131056 written"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
        OSError("Not enough disk space. Needed: Unknown size (download: Unknown size)"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_seen_however_it_is_told(
    error: Exception, wrapped: bool, tmp_path: Path
) -> None:
    told = ValueError("something else") if wrapped else error
    with (
        pytest.raises(DiskFullError, match=r"while it is read .* free, about 3 MB needed\)"),
        naming_full_disk(tmp_path, 3_000_000, "it is read"),
    ):
        raise told from error if wrapped else None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        RuntimeError("[enforce fail at inline_container.cc:145] . PytorchStreamReader failed"),
        KeyboardInterrupt(),
        ValueError("the labels are full of gaps"),
        ValueError("no label: 'It says the disk is full'"),
    ],
    ids=repr,
)
def test_another_error_stays_what_it_is(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, naming_full_disk(tmp_path):
        raise error
    assert caught.value is error


def _raise_a_cause_again(cause: Exception) -> None:
    try:
        raise RuntimeError("what a library makes of it") from cause
    except RuntimeError:
        raise cause from None


def test_a_cause_that_is_raised_again_stays_what_it_is(tmp_path: Path) -> None:
    """It then is the cause of its own context."""
    cause = ValueError("a bad line")
    with pytest.raises(ValueError, match="a bad line") as caught, naming_full_disk(tmp_path):
        _raise_a_cause_again(cause)
    assert caught.value is cause


def test_the_innermost_name_is_kept(tmp_path: Path) -> None:
    """The outer place may lie on another disk, with all room."""
    inner: Any = tmp_path / "inner"
    with (
        pytest.raises(DiskFullError, match=rf"^{inner}: ") as caught,
        naming_full_disk(tmp_path),
        naming_full_disk(inner),
    ):
        raise FULL
    assert str(caught.value).count("no room") == 1
    # Of a folder, the file is named where it is known.
    with pytest.raises(DiskFullError, match=r"^/x/file: "), naming_full_disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/x/file")
    with pytest.raises(DiskFullError, match=r"^/x/copy: "), naming_full_disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/other/disk", None, "/x/copy")
