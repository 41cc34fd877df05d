"""A file of labels is the same however often the job was stopped."""

import csv
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from sentiment_lstm.cli.main import main
from sentiment_lstm.data import texts as texts_module
from sentiment_lstm.data.texts import read_texts
from sentiment_lstm.inference import batch
from sentiment_lstm.inference.batch import BatchError, _finish, _identity, predict_file
from sentiment_lstm.inference.predictor import _TRIAL, SentimentPredictor
from sentiment_lstm.inference.rows import Rows
from sentiment_lstm.locks import LockedError, hold

CHUNK = 4
TEXTS = [
    text + f" Day {number}."
    for number in range(7)
    for text in ("I love it,\nworks well.", "", 'Broke in a "week"', "Great value, fine sound.")
][:-1]  # 27 texts, 7 chunks, the last one smaller


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


@pytest.fixture(params=["jsonl", "csv"])
def rows(request: pytest.FixtureRequest) -> Rows:
    return Rows(request.param, include_text=True)


@pytest.fixture
def expected(model_folder: Path, texts: Path, rows: Rows, tmp_path: Path) -> bytes:
    """The output of a job that nothing happened to."""
    output = tmp_path / "expected"
    predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    return output.read_bytes()


class StoppedError(Exception):
    pass


def stop_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> list[list[str]]:
    """Let the work stop after so many chunks; returns the list of those that are asked for."""
    asked: list[list[str]] = []
    predict = SentimentPredictor.predict

    def stopping(self: SentimentPredictor, chunk: Any, **options: Any) -> Any:
        if chunk == [_TRIAL]:  # not one of the job's, but asked when a model is loaded
            return predict(self, chunk, **options)
        if len(asked) == chunks:
            raise StoppedError
        asked.append(chunk)
        return predict(self, chunk, **options)

    monkeypatch.setattr(SentimentPredictor, "predict", stopping)
    return asked


def begin_job(
    monkeypatch: pytest.MonkeyPatch,
    chunks: int,
    model: Path,
    texts: Path,
    output: Path,
    rows: Rows,
) -> None:
    """Run a job that is stopped after so many chunks."""
    with monkeypatch.context() as patch:
        stop_after(patch, chunks)
        with pytest.raises(StoppedError):
            predict_file(model, texts, output, rows=rows, chunk_size=CHUNK)


def parts_of(output: Path) -> tuple[Path, Path]:
    """The shard and the manifest of a job that has been begun."""
    (manifest,) = output.parent.glob(f"{output.name}.part-*-0-of-1.manifest")
    return manifest.with_suffix(""), manifest


def test_labels_are_those_of_the_pipeline(model_folder: Path, texts: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    arguments = [
        "predict",
        "--model",
        str(model_folder),
        "--input",
        str(texts),
        "--output",
        str(output),
    ]
    assert main(arguments) == 0
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    classify = pipeline("text-classification", model=str(model_folder))
    for answer, theirs in zip(answers, classify(TEXTS), strict=True):
        assert answer["label"] == theirs["label"]
        assert answer["score"] == pytest.approx(theirs["score"], abs=0.01)


@pytest.mark.parametrize("chunks", [0, 1, 6])
@pytest.mark.parametrize("leftover", ["", '{"label": "POSIT', 'POSITIVE,0.7,"half\n'])
def test_a_stopped_job_resumes_without_a_lost_or_doubled_row(
    chunks: int,
    leftover: str,
    model_folder: Path,
    texts: Path,
    rows: Rows,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "labels"
    begin_job(monkeypatch, chunks, model_folder, texts, output, rows)
    assert not output.exists()
    part, manifest = parts_of(output)
    assert expected.startswith(part.read_bytes())  # written as it goes
    assert (len(part.read_bytes()) > len(rows.header.encode())) == (chunks > 0)
    with part.open("a") as stream, manifest.open("a") as recorded:
        stream.write(leftover)  # killed in the middle of a row
        recorded.write("1234" if leftover else "")  # and of a line of the manifest
    asked = stop_after(monkeypatch, 100)
    predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    assert output.read_bytes() == expected
    assert len(asked) == 7 - chunks
    assert not list(tmp_path.glob("labels.part*"))


def test_rows_are_the_texts_in_order(expected: bytes, rows: Rows, tmp_path: Path) -> None:
    with (tmp_path / "expected").open(newline="") as stream:
        found = csv.DictReader(stream) if rows.format == "csv" else map(json.loads, stream)
        assert [row["text"] for row in found] == TEXTS


def test_a_shard_that_lost_its_end_resumes_where_it_is_whole(
    model_folder: Path,
    texts: Path,
    rows: Rows,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "labels"
    begin_job(monkeypatch, 3, model_folder, texts, output, rows)
    os.truncate(parts_of(output)[0], 30)
    predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    assert output.read_bytes() == expected


@pytest.mark.parametrize("change", ["texts", "model", "format", "include_text"])
def test_two_jobs_are_never_mixed(
    change: str,
    model_folder: Path,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "labels"
    begin_job(monkeypatch, 2, model_folder, texts, output, Rows())
    part, _ = parts_of(output)
    begun = part.read_bytes()
    rows = Rows()
    if change == "texts":
        texts.write_text(texts.read_text().replace("Day 6", "Day 5"))
    elif change == "model":
        config = json.loads((model_folder / "config.json").read_text())
        config["id2label"]["0"], config["label2id"] = "BAD", {"BAD": 0, "POSITIVE": 1}
        (model_folder / "config.json").write_text(json.dumps(config))
    else:
        rows = Rows("csv") if change == "format" else Rows(include_text=True)
    with pytest.raises(BatchError, match=rf"labels\.part-.* another job \(other {change}\)"):
        predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    assert part.read_bytes() == begun


def test_the_same_bytes_by_another_ending_are_another_job(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A csv file that was called .txt: its lines are no rows."""
    output, lines = tmp_path / "labels", tmp_path / "reviews.txt"
    lines.write_text("".join(["id,text\n", *(f"{day},Day {day}: fine\n" for day in range(9))]))
    begin_job(monkeypatch, 1, model_folder, lines, output, Rows())
    table = lines.rename(lines.with_suffix(".csv"))
    with pytest.raises(BatchError, match=r"another job \(other reading\)"):
        predict_file(model_folder, table, output, chunk_size=CHUNK)


def test_a_job_takes_no_pipe(model_folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "texts.txt")
    with pytest.raises(BatchError, match="is a pipe or a device"):
        predict_file(model_folder, tmp_path / "texts.txt", tmp_path / "labels")


def test_a_carriage_return_stays_in_its_row(model_folder: Path, tmp_path: Path) -> None:
    texts = ["Great.\rLove it", "Broke.\r\nDo not buy", 'Said "no"\nand, well']
    lines = tmp_path / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    predict_file(model_folder, lines, tmp_path / "x.csv", rows=Rows("csv", include_text=True))
    with open(tmp_path / "x.csv", newline="", encoding="utf-8") as stream:
        assert [row["text"] for row in csv.DictReader(stream)] == texts
    assert list(read_texts(tmp_path / "x.csv")) == texts


def test_a_job_of_version_0_1_is_left_alone(
    model_folder: Path, texts: Path, tmp_path: Path
) -> None:
    for name in ("labels.part", "labels.part.job"):
        (tmp_path / name).write_text("POSITIVE\n")
    with pytest.raises(BatchError, match=r"labels\.part: the beginning of a job of version 0\.1"):
        predict_file(model_folder, texts, tmp_path / "labels")
    assert (tmp_path / "labels.part").read_text() == "POSITIVE\n"


def test_a_job_that_several_processes_had_begun_is_left_alone(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As version 0.1 wrote it, process by process."""
    output = tmp_path / "labels"
    begin_job(monkeypatch, 2, model_folder, texts, output, Rows())
    shard, manifest = parts_of(output)
    job, _, pieces = manifest.read_text().partition("\n")
    shared = json.loads(job) | {"processes": 2}
    name = f"labels.part-{_identity(shared)}-1-of-2"
    (tmp_path / f"{name}.manifest").write_text(json.dumps(shared) + "\n" + pieces)
    manifest.unlink()
    shard.rename(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(BatchError, match=rf"{name}: .* several processes shared.*delete .*part"):
        predict_file(model_folder, texts, output, chunk_size=CHUNK)
    assert (tmp_path / name).read_bytes() == before


def test_a_model_is_the_same_wherever_it_lies(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_job(monkeypatch, 2, model_folder, texts, tmp_path / "labels", Rows())
    moved = model_folder.rename(tmp_path / "elsewhere")
    asked = stop_after(monkeypatch, 100)
    predict_file(moved, texts, tmp_path / "labels", chunk_size=CHUNK)
    assert len(asked) == 5


def test_texts_are_read_and_rows_written_chunk_by_chunk(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def endless(*_: Any, **__: Any) -> Iterator[str]:
        nonlocal taken
        for taken in itertools.count(1):
            yield f"review {taken}"

    monkeypatch.setattr(batch, "read_texts", endless)
    stop_after(monkeypatch, 5)
    with pytest.raises(StoppedError):
        predict_file(model_folder, texts, tmp_path / "labels", chunk_size=CHUNK)
    assert taken == 6 * CHUNK
    assert len(parts_of(tmp_path / "labels")[0].read_text().splitlines()) == 5 * CHUNK


@pytest.mark.parametrize("to_file", [True, False])
def test_several_processes_do_not_do_the_same_work(
    to_file: bool,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["--input", str(texts), "--output", str(tmp_path / "labels")] if to_file else ["fine"]
    assert main(["predict", *words]) == 1
    error = capsys.readouterr().err
    assert "one of 2 processes" in error
    assert "--engine ray" in error, "what to do instead"
    assert not (tmp_path / "labels").exists()


# --- what has been written, and by whom ----------------------------------------------------------


def _other_bytes(part: Path, _: Path) -> None:
    part.write_bytes(part.read_bytes()[::-1])


def _one_letter(part: Path, _: Path) -> None:
    content = part.read_bytes()
    middle = len(content) // 2
    part.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def _short(part: Path, _: Path) -> None:
    os.truncate(part, part.stat().st_size - 1)


def _gone(part: Path, _: Path) -> None:
    part.unlink()


def _no_manifest(_: Path, manifest: Path) -> None:
    manifest.unlink()


def _odd_manifest(_: Path, manifest: Path) -> None:
    lines = manifest.read_bytes().splitlines(keepends=True)
    lines[2] = b"\xff one\n"
    manifest.write_bytes(b"".join(lines))


DAMAGES = [_other_bytes, _one_letter, _short, _gone, _no_manifest, _odd_manifest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_that_was_not_written_by_the_job_gets_into_its_output(
    damage: Callable[[Path, Path], None],
    model_folder: Path,
    texts: Path,
    rows: Rows,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "labels"
    begin_job(monkeypatch, 5, model_folder, texts, output, rows)
    damage(*parts_of(output))
    predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    assert output.read_bytes() == expected
    assert not list(tmp_path.glob("labels.part*"))


def test_a_shard_is_compared_with_its_record_before_it_becomes_the_output(
    model_folder: Path,
    texts: Path,
    rows: Rows,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "labels"
    for damage in (_one_letter, _short, lambda part, _: part.write_bytes(part.read_bytes() + b"x")):

        def finish(*arguments: Any, damage: Callable[[Path, Path], None] = damage) -> None:
            damage(*parts_of(output))
            _finish(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(batch, "_finish", finish)
            with pytest.raises(BatchError, match=r"is not what was written.*same command"):
                predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
        assert not output.exists()
    predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    assert output.read_bytes() == expected


def test_a_stream_to_the_same_output_leaves_a_begun_job_alone(
    model_folder: Path,
    texts: Path,
    rows: Rows,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "labels"
    begin_job(monkeypatch, 2, model_folder, texts, output, rows)
    begun = parts_of(output)[0].read_bytes()
    stream = ["predict", "--model", str(model_folder), "--output", str(output), *(["Fine."] * 40)]
    assert main(stream) == 0
    assert len(output.read_text().splitlines()) == 40
    assert parts_of(output)[0].read_bytes() == begun
    (tmp_path / "labels.part").write_text("what a stream has left when it was killed\n" * 40)
    predict_file(model_folder, texts, output, rows=rows, chunk_size=CHUNK)
    assert output.read_bytes() == expected


def test_a_manifest_without_its_shard_is_no_job(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it was killed while it cleaned up."""
    output = tmp_path / "labels"
    begin_job(monkeypatch, 1, model_folder, texts, output, Rows("csv"))
    part, manifest = parts_of(output)
    manifest.write_text("no json\n")
    with pytest.raises(BatchError, match=r"another job \(other manifest, which cannot be read\)"):
        predict_file(model_folder, texts, output)
    part.unlink()
    predict_file(model_folder, texts, output)
    assert len(output.read_text().splitlines()) == len(TEXTS)


@pytest.mark.parametrize("index", [0, 1], ids=["shard", "manifest"])
def test_a_job_does_not_write_through_a_link(
    index: int, model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, target = tmp_path / "labels", tmp_path / "target"
    target.write_text("keep")
    begin_job(monkeypatch, 1, model_folder, texts, output, Rows())
    link = parts_of(output)[index]
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(BatchError, match=f"{link.name}: is a link"):
        predict_file(model_folder, texts, output, chunk_size=CHUNK)
    assert target.read_text() == "keep"


# --- two at once ---------------------------------------------------------------------------------


def test_a_job_is_written_by_one_process_at_a_time(
    model_folder: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many, output = tmp_path / "many.txt", tmp_path / "labels"
    many.write_text("I love it, works well.\n" * 300_000)
    lock = tmp_path / "labels.part.lock"
    words = ["predict", "--model", model_folder, "--input", many, "--output", output]
    command = list(map(str, words))
    with subprocess.Popen([sys.executable, "-m", "sentiment_lstm", *command]) as first:
        while not list(tmp_path.glob("labels.part*.manifest")):
            assert first.poll() is None
            time.sleep(0.01)
        assert main(command) == 1
        error = capsys.readouterr().err
        assert f"{output}: in use by process {first.pid} on " in error
        assert "--input" in error, "by which command"
        first.kill()
    assert lock.exists(), "but locks nothing"
    many.write_text(many.read_text()[:2300])
    for part in tmp_path.glob("labels.part*"):
        part.unlink()
    assert main(command) == 0
    assert len(output.read_text().splitlines()) == 100


def test_a_lock_is_taken_where_the_output_lies_and_before_any_work(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "labels")
    monkeypatch.setattr(batch, "file_digest", None)
    with hold(tmp_path / "there" / "labels.part.lock", "it"):
        for output in (tmp_path / "link", tmp_path / "there" / ".." / "there" / "labels"):
            with pytest.raises(LockedError, match="in use by process"):
                predict_file(model_folder, texts, output)


def test_an_output_in_no_folder_is_refused_and_not_made(
    model_folder: Path, texts: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"labels: there is no folder .*new"):
        predict_file(model_folder, texts, tmp_path / "new" / "labels")
    assert not (tmp_path / "new").exists()


def test_a_stream_and_a_job_exclude_each_other(
    model_folder: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "labels"
    command = ["predict", "--model", str(model_folder), "--output", str(output)]
    stream = subprocess.Popen(
        [sys.executable, "-m", "sentiment_lstm", *command], stdin=subprocess.PIPE
    )
    with stream:
        assert stream.stdin is not None
        while not (lock := Path(f"{output}.part.lock")).exists() or not lock.read_bytes():
            assert stream.poll() is None
            time.sleep(0.01)
        for other in ([*command, "--input", str(texts)], [*command, "fine"]):
            assert main(other) == 1
            assert f"{output}: in use by process {stream.pid} on " in capsys.readouterr().err
        stream.stdin.write(b"fine\nbad\n")
        stream.stdin.close()
        assert stream.wait(timeout=120) == 0
    assert len(output.read_text().splitlines()) == 2
    with hold(f"{output}.part.lock", str(output)):
        assert main([*command, "fine"]) == 1
    assert len(output.read_text().splitlines()) == 2
    assert main([*command, "--input", str(texts)]) == 0
    assert len(output.read_text().splitlines()) == len(TEXTS)


# --- a full disk ---------------------------------------------------------------------------------

# A file that grows too large fails as on a full disk, but needs no disk of its own.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from sentiment_lstm.cli.main import main
for arguments in sys.argv[2].split("|"):
    print(main(arguments.split()))
"""


def test_a_job_on_a_full_disk_says_so_and_resumes(
    model_folder: Path, texts: Path, rows: Rows, expected: bytes, tmp_path: Path
) -> None:
    words = f"predict --model {model_folder} --input {texts} --format {rows.format} --include_text"
    jobs = [f"{words} --chunk_size {CHUNK} --output {tmp_path / name}" for name in "ab"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(len(expected) // 2), "|".join(jobs)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n1\n"
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    for name, error in zip("ab", errors, strict=True):
        assert f"error: {tmp_path / name}: there is no room for it (" in error
        assert " free). Make room, and give the same command again" in error
        output = tmp_path / name
        part, _ = parts_of(output)
        assert part.stat().st_size > 0
        assert not output.exists()
        assert main(jobs["ab".index(name)].split()) == 0
        assert output.read_bytes() == expected
    assert not list(tmp_path.glob("*.part*"))


# --- options -------------------------------------------------------------------------------------


def test_a_job_with_code_of_its_own_resumes_with_the_same_code_only(
    model_folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"):
        path = model_folder / name
        path.write_text(path.read_text().replace('"sentiment_lstm"', '"foreign"'))
    path = model_folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "foreign"}))
    output = tmp_path / "labels"
    with pytest.raises(OSError, match="trust_remote_code"):
        predict_file(model_folder, texts, output, chunk_size=CHUNK)
    job: dict[str, Any] = {"chunk_size": CHUNK, "trust_remote_code": True}
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(StoppedError):
            predict_file(model_folder, texts, output, **job)
    asked = stop_after(monkeypatch, 100)
    code = model_folder / "modeling_sentiment_lstm.py"
    before = code.read_text()
    code.write_text(before + "\nANOTHER = 1\n")
    # A new process, since transformers keeps the classes that it has loaded, with a cache of code
    # of its own, since transformers 5.6 has one place for all folders of one name.
    words = ["predict", "--model", model_folder, "--input", texts, "--output", output]
    options = ["--chunk_size", CHUNK, "--trust_remote_code"]
    command = [sys.executable, "-m", "sentiment_lstm", *words, *options]
    done = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "another job (other model)" in done.stderr
    code.write_text(before)
    predict_file(model_folder, texts, output, **job)
    assert len(asked) == 4
    assert len(output.read_text().splitlines()) == len(TEXTS)


def test_a_chunk_of_long_texts_ends_early(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, output = tmp_path / "texts.txt", tmp_path / "labels"
    path.write_text("word " * 2000 + "\nfine\nbad\n")
    monkeypatch.setattr(texts_module.chunks, "__defaults__", (10_000,))
    asked = stop_after(monkeypatch, 100)
    predict_file(model_folder, path, output)
    assert [len(chunk) for chunk in asked] == [1, 2]
    assert len(output.read_text().splitlines()) == 3


def test_a_job_that_failed_at_its_first_text_is_forgotten(
    model_folder: Path, tmp_path: Path, rows: Rows
) -> None:
    """Its file is mended, which makes another job of the same command."""
    texts, output = tmp_path / "texts.txt", tmp_path / "labels"
    texts.write_bytes(b"good\nb\xff\n")
    with pytest.raises(ValueError, match=r"texts\.txt:2: not valid UTF-8"):
        predict_file(model_folder, texts, output, rows=rows)
    texts.write_bytes(b"good\nbad\n")
    predict_file(model_folder, texts, output, rows=rows)
    assert output.read_text().count("\n") == 2 + bool(rows.header)
    assert sorted(path.name for path in tmp_path.glob("labels.part-*")) == []
