"""The command line as a whole: help, exit codes, one line for bad input, and interrupts."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment_lstm.cli import main as main_module
from sentiment_lstm.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml"),
        (["evaluate", "{folder}", "nowhere.ft.txt"], "nowhere.ft.txt: there is no such file"),
        (["evaluate", "{folder}", "{texts}"], "texts.txt:1: no label"),
        (["evaluate", "{folder}", "{phones}"], "error: {here}/phones.txt:1: no label"),
        (["predict", "{folder}", "--input", "nowhere.txt"], "nowhere.txt: there is no such file"),
        (["predict", "{folder}", "fine", "--input", "{texts}"], "not both"),
        (["predict", "--model", "{folder}/a/b", "fine"], "no such model folder"),
        (["predict", "--model", "fine", "fine"], "fine: no such model folder"),
        (["predict", "{folder}", "fine", "--chunk_size", "0"], "must be 1 or more"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(
    arguments: list[str],
    message: str,
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("I love it, works well.\n")
    phones = tmp_path / "phones.txt"
    phones.write_text("It always runs out of memory.\n")
    filled = [word.format(folder=model_folder, texts=texts, phones=phones) for word in arguments]
    assert main(filled) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    errors = [line for line in captured.err.splitlines() if line.startswith("sentiment-lstm: ")]
    assert len(errors) == 1
    assert message.replace("{here}", str(tmp_path)) in errors[0]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["predict", "m", "--format", "xml"],
        ["evaluate", "m"],
        ["evaluate", "m", "sample", "--hidden_size", "3"],
        ["train", "any.yaml", "more"],
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: sentiment-lstm" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["train", "pretrain", "tune", "evaluate", "predict", "explain", "demo", "export", "push"],
)
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"sentiment-lstm {command} " in capsys.readouterr().out.split("examples:")[1]


def test_a_bug_report_can_have_its_traceback() -> None:
    with pytest.raises(FileNotFoundError):
        main(["--traceback", "train", "nowhere.yaml"])
    with pytest.raises(FileNotFoundError):
        main(["train", "nowhere.yaml", "--seed", "1", "--traceback"])


class PanicException(BaseException):
    """As the Rust of tokenizers raises it."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("lamp"), "KeyError: 'lamp'. This is a bug of sentiment-lstm: please report it"),
        (ZeroDivisionError(), "ZeroDivisionError: . This is a bug"),
        (RecursionError("too\ndeep"), "RecursionError: too deep. This is a bug"),
        (PanicException("called `unwrap`"), "PanicException: called `unwrap`. This is a bug"),
        (MemoryError(), "not enough memory: take smaller batches"),
        (RuntimeError("can't allocate memory: 8 GB"), "not enough memory: .*8 GB"),
        (ValueError(), "ValueError"),
        (RuntimeError("A requires b to be installed. Run c"), r"A requires b .* Run c$"),
    ],
)
def test_every_error_is_one_line(
    error: BaseException,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("sentiment_lstm.training.recipe.read_recipe", fail)
    assert main(["train", "any.yaml"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"sentiment-lstm: error: {message}", line)
    with pytest.raises(type(error)):
        main(["--traceback", "train", "any.yaml"])


# --- interrupts ----------------------------------------------------------------------------------


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sentiment_lstm.training.recipe.read_recipe", interrupt)
    assert main(["train", "any.yaml"]) == 130
    assert "; the same command resumes from the last checkpoint" in capsys.readouterr().err


def test_an_interrupt_that_a_library_turns_into_an_error_is_still_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt = main_module._Interrupt()

    def fail(*_: object) -> None:
        try:
            interrupt(signal.SIGINT, sys._getframe())
        except KeyboardInterrupt:
            raise RuntimeError("something else") from None

    monkeypatch.setattr("sentiment_lstm.training.recipe.read_recipe", fail)
    assert main_module._run(["train", "any.yaml"], interrupt) == 130
    assert capsys.readouterr().err.startswith("sentiment-lstm: interrupted; the same command")


RESUMES = "; with --input and --output, and no --engine, the same command resumes"
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def usual_signals() -> None:
    """What a terminal's processes have; the tests themselves may run where it is otherwise."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


# The first thing that the command line imports, then extensions, then what is imported last.
@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("argparse", signal.SIGINT),
        ("torch._C", signal.SIGINT),
        ("transformers.utils", signal.SIGTERM),
        ("sentiment_lstm.inference.predictor", signal.SIGINT),
        ("sentiment_lstm.inference.predictor", signal.SIGTERM),
    ],
)
def test_a_signal_while_it_starts_ends_with_one_line(
    module: str, number: signal.Signals, model_folder: Path
) -> None:
    # With `-X importtime` it says what it has imported, as it goes.
    command = [sys.executable, "-X", "importtime", "-m", "sentiment_lstm", "predict", "--model"]
    with subprocess.Popen(
        [*command, str(model_folder), "fine"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=usual_signals,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if line.split("|")[-1].strip() == module:
                process.send_signal(number)
                break
        rest = process.stderr.read()
        assert process.stdout.read() == ""
        assert process.wait(timeout=60) == 128 + number
    ignored = ("import time:", "Loading weights")
    lines = [line for line in rest.splitlines() if not line.strip("\r").startswith(ignored)]
    assert lines == [
        f"sentiment-lstm: {SIGNALS[number]}" + (RESUMES if module != "argparse" else "")
    ]


def test_ctrl_c_when_the_work_is_done_shows_no_traceback(model_folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sentiment_lstm", "predict", str(model_folder), "fine"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "label" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        # By itself or by the signal, which a shell says as 130, too.
        assert process.wait(timeout=60) in (130, -signal.SIGINT, 0)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_so(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a job that a shell runs in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        monkeypatch.setattr(sys, "argv", ["sentiment-lstm", "--version"])
        with pytest.raises(SystemExit):
            main()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_works_ends_with_one_line(
    number: signal.Signals, model_folder: Path
) -> None:
    command = [sys.executable, "-m", "sentiment_lstm", "predict", "--chunk_size", "1", "--model"]
    with subprocess.Popen(
        [*command, str(model_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=usual_signals,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("fine\n")
        process.stdin.flush()
        assert "label" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
        lines = process.stderr.read().splitlines()
    said = [line for line in lines if line.strip() and "Loading weights" not in line]
    assert said == [f"sentiment-lstm: {SIGNALS[number]}{RESUMES}"]


def test_the_workers_of_a_command_end_without_a_word() -> None:
    """A pool ends its workers with SIGTERM, and they have the handler of their parent."""
    code = """
import multiprocessing, signal, sys, time
from sentiment_lstm.cli.main import _Interrupt
interrupt = _Interrupt()
interrupt.install()
ready = multiprocessing.get_context("fork").Event()
def work():
    ready.set()
    time.sleep(60)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
ready.wait()
child.terminate()
child.join()
print(child.exitcode)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=usual_signals,
    )
    assert (done.stdout, done.stderr) == (f"{-signal.SIGTERM}\n", "")


def test_a_reader_that_goes_away_is_no_error(model_folder: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.txt"
    many.write_text("fine\n" * 50_000)
    command = [sys.executable, "-m", "sentiment_lstm", "predict", "--model", str(model_folder)]
    with subprocess.Popen(
        [*command, "--input", str(many)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(timeout=60) == 141
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
