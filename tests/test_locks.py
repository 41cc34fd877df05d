"""A lock is one process's at a time, says whose, and ends with its process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import no_file_beyond

from sentiment_lstm.files import DiskFullError
from sentiment_lstm.locks import LockedError, _command, hold, hold_for_job

HOLD = """
import signal, sys, time
from sentiment_lstm.locks import hold
# Where the suite runs in the background, Ctrl-C is ignored, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
with hold(sys.argv[1], "it"):
    print("held", flush=True)
    sys.stdin.read()
"""

HOLD_AND_FORK = """
import os, sys, time
from sentiment_lstm.locks import hold
with hold(sys.argv[1], "it"):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
    os._exit(0)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with holder(path) as process:
        with pytest.raises(LockedError) as caught, hold(path, "runs/demo"):
            pass
        message = str(caught.value)
        assert message.startswith(f"runs/demo: in use by process {process.pid} on ")
        assert f"on {socket.gethostname()} since 2" in message
        assert "python" in message
        assert "-c" in message
        assert json.loads(path.read_text())["pid"] == process.pid, "the holder's, still"


def test_a_holder_that_has_just_come_is_waited_for(tmp_path: Path) -> None:
    """Until it has written who it is, the file is empty."""
    path = tmp_path / "run.lock"
    with holder(path) as process:
        written = path.read_text()
        path.write_text("")
        threading.Timer(0.2, path.write_text, [written]).start()
        with (
            pytest.raises(LockedError, match=f"in use by process {process.pid} on"),
            hold(path, ""),
        ):
            pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_lock_ends_with_its_process(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with holder(path) as process:
        process.send_signal(number)
        process.wait(timeout=30)
        with hold(path, "it"):
            assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_lock_does_not_live_on_in_the_children_of_a_killed_process(tmp_path: Path) -> None:
    """As workers that read data are, which notice seconds later that their parent is gone."""
    path = tmp_path / "run.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_FORK, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait(timeout=30)
        try:
            with hold(path, "it"):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_released_locks_leave_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        with hold(tmp_path / "new" / "run.lock", "it"):
            assert (tmp_path / "new" / "run.lock").exists()
        assert not (tmp_path / "new").exists()
    with hold(tmp_path / "new" / "run.lock", "it"):
        (tmp_path / "new" / "model").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]


def test_a_lock_on_a_full_disk_is_named_and_not_held(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.lock"
    with (
        pytest.raises(DiskFullError, match=rf"^{path}: there is no room for it"),
        no_file_beyond(10),
        hold(path, "it"),
    ):
        pass
    assert not path.parent.exists()
    with hold(path, "it"):
        assert json.loads(path.read_text())


def test_what_is_in_the_file_locks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_text('{"pid": 1}')
    with hold(path, "it"):
        pass


def test_a_lock_is_not_shared_within_a_process(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with (
        hold(path, "it"),
        pytest.raises(LockedError, match=f"process {os.getpid()} on"),
        hold(path, "it"),
    ):
        pass


def test_the_other_processes_of_a_job_take_no_lock_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with hold_for_job(path, "it", is_main=True), hold_for_job(path, "it", is_main=False):
        assert path.exists()
    with hold_for_job(path, "it", is_main=False):
        assert not path.exists()


def test_a_token_is_not_told() -> None:
    words = ["/usr/bin/python", "-m", "sentiment_lstm", "train", "a b.yaml", "--hub_token", "hf_1"]
    shown = _command([*words, "--seed", "3", "--hub-token=hf_2"])
    assert shown == (
        "python -m sentiment_lstm train 'a b.yaml' --hub_token '***' --seed 3 '--hub-token=***'"
    )
