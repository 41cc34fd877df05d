"""What an engine runs on each machine, and which files it is given; see also `tests/engines`."""

import gzip
import inspect
import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pyarrow
import pytest

from sentiment_lstm.cli.main import main
from sentiment_lstm.data.sources import ReviewError
from sentiment_lstm.inference import engines
from sentiment_lstm.inference.batch import predict_file
from sentiment_lstm.inference.engines import TablePredictor, predict_with_ray
from sentiment_lstm.inference.predictor import SentimentPredictor
from sentiment_lstm.outputs import OutputError

COLUMNS: dict[str, list[Any]] = {
    "id": [2**53 + 1, None, 3, 4],
    "title": ["Great gift", None, "", "Meh"],
    "text": ["I love it.", "Broke in a\nweek.", "", "2020-01-01"],
    "tags": [["a"], [], None, ["b", "c"]],
}


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker says how many there are, for its process and no other."""
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")


@pytest.fixture
def one_process(model_folder: Path, tmp_path: Path) -> list[Any]:
    """Labels and scores of the rows by `predict_file`."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict_file(model_folder, tmp_path / "rows.jsonl", tmp_path / "labels.jsonl", exact=True)
    lines = map(json.loads, (tmp_path / "labels.jsonl").read_text().splitlines())
    return [(line["label"], pytest.approx(line["score"], abs=1e-6)) for line in lines]


@pytest.fixture
def predictor(model_folder: Path) -> SentimentPredictor:
    return SentimentPredictor.from_pretrained(model_folder)


def test_a_table_has_the_answers_of_one_process(
    predictor: SentimentPredictor, one_process: list[Any]
) -> None:
    table = pyarrow.table(COLUMNS)
    answered = TablePredictor(predictor)(table)
    assert answered.drop_columns(["predicted_label", "predicted_score"]).equals(table)
    columns = (answered["predicted_label"].to_pylist(), answered["predicted_score"].to_pylist())
    assert list(zip(*columns, strict=True)) == one_process


@pytest.mark.parametrize("dtype", ["object", "string"])
def test_frames_of_spark_have_the_answers_of_one_process(
    dtype: str, predictor: SentimentPredictor, one_process: list[Any]
) -> None:
    frame = pandas.DataFrame(COLUMNS).astype({"title": dtype, "text": dtype})
    answer = engines._pandas_function(pickle.dumps(predictor), None)
    answered = pandas.concat(answer([frame[:1], frame[1:1], frame[1:]]))
    pandas.testing.assert_frame_equal(answered[list(COLUMNS)], frame)
    columns = (answered["predicted_label"], answered["predicted_score"])
    assert list(zip(*columns, strict=True)) == one_process


def test_a_worker_loads_a_model_from_where_it_lies(model_folder: Path) -> None:
    answered = TablePredictor(str(model_folder), "words")(pyarrow.table({"words": ["fine"]}))
    assert answered["predicted_label"].to_pylist()[0] in {"NEGATIVE", "POSITIVE"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["fine", None]}, r"batch:2: None in column 'text'\. Leave such rows out"),
        ({"text": [1]}, "batch:1: 1 in column 'text'"),
        ({"words": ["fine"]}, "no text column .* among the columns words"),
        ({"text": ["fine"], "predicted_label": [1]}, "there is a column 'predicted_label' already"),
    ],
)
def test_a_row_without_its_text_ends_the_job(
    columns: dict[str, list[Any]], message: str, predictor: SentimentPredictor
) -> None:
    with pytest.raises(ReviewError, match=message):
        TablePredictor(predictor)(pyarrow.table(columns))
    answer = engines._pandas_function(pickle.dumps(predictor), None)
    with pytest.raises(ReviewError, match=message):
        list(answer([pandas.DataFrame(columns)]))


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    for name in ("a.csv", "b/c.CSV.gz", "b/_temporary/d.csv", ".e.csv", "_SUCCESS", "notes.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text\n")
    (folder / "0.csv").touch()  # as engines leave where a part had no rows
    return folder


@pytest.mark.parametrize("where", ["", "/", "/**", "file://"])
def test_a_folder_is_all_that_can_be_read_in_it(where: str, files: Path) -> None:
    name = f"file://{files}" if where == "file://" else f"{files}{where}"
    found, _ = engines._find(name)
    assert found == [f"{files}/a.csv", f"{files}/b/c.CSV.gz"]


@pytest.mark.parametrize("name", ["a.csv", "*.csv"])
def test_a_path_and_a_pattern_are_files(name: str, files: Path) -> None:
    assert engines._find(f"{files}/{name}")[0] == [f"{files}/a.csv"]


def test_the_name_of_a_folder_is_no_pattern(files: Path) -> None:
    folder = files.rename(files.with_name("reviews [1]"))
    assert engines._find(str(folder))[0] == [f"{folder}/a.csv", f"{folder}/b/c.CSV.gz"]


def test_files_are_found_in_any_file_system() -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem().pipe("/bucket/x.parquet", b"PAR1")
    found, system = engines._find("memory://bucket/*.parquet")
    assert found == ["/bucket/x.parquet"]
    assert isinstance(system, MemoryFileSystem)
    folder, _ = engines._new_folder("memory://bucket/labels")
    assert folder == "/bucket/labels"
    with pytest.raises(OutputError, match="memory://bucket: there is something already"):
        engines._new_folder("memory://bucket")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("*.parquet", FileNotFoundError, r"\*\.parquet: there is no file of \.parquet, \.csv"),
        ("notes.md", FileNotFoundError, "there is no file of"),
        ("", ReviewError, r"files of several formats \(\.csv, \.jsonl\)"),
    ],
)
def test_files_that_cannot_be_read_together_are_refused(
    name: str, error: type[Exception], message: str, files: Path
) -> None:
    (files / "x.jsonl").write_text("{}\n")
    with pytest.raises(error, match=message):
        engines._find(f"{files}/{name}")


def test_a_protocol_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"teleport://x: .*teleport"):
        engines._find("teleport://x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["part.parquet"], "something already; answers without _SUCCESS are of a job that was st"),
        (["part.parquet", "_SUCCESS"], "answers are there already"),
    ],
)
def test_answers_are_not_put_beside_others(
    content: list[str], message: str, tmp_path: Path
) -> None:
    for name in content:
        (tmp_path / name).touch()
    with pytest.raises(OutputError, match=message):
        engines._new_folder(str(tmp_path))
    with pytest.raises(OutputError, match="is a file"):
        engines._new_folder(str(tmp_path / content[0]))


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"CPU": 1.0}, {"max_size": 1, "num_cpus": 0}),
        ({"CPU": 3.0}, {"max_size": 3, "num_cpus": 0}),
        ({"CPU": 16.0}, {"max_size": 16, "num_cpus": 1}),
        ({"CPU": 16.0, "GPU": 2.0}, {"max_size": 2, "num_gpus": 1}),
    ],
)
def test_workers_leave_a_core_to_those_who_read(
    there: dict[str, float], expected: dict[str, int]
) -> None:
    data = SimpleNamespace(ActorPoolStrategy=lambda **size: size)
    asked = engines._workers(SimpleNamespace(data=data, cluster_resources=lambda: there))
    size = asked.pop("compute")
    assert size.pop("min_size") == 1
    assert {**size, **asked} == expected


class StubData:
    """What is asked of `ray.data`."""

    def read_csv(self, files: list[str], **options: Any) -> Any:
        return options["convert_options"].column_types

    def read_json(self, files: list[str], **options: Any) -> Any:
        schema = options["parse_options"].explicit_schema
        return dict(zip(schema.names, schema.types, strict=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "\ufefftext,title,id\n1,2,3\n"),
        ("x.jsonl", '{"id": 1, "title": "2020-01-01", "text": "2020-01-01"}\n'),
    ],
)
def test_text_is_text_whatever_it_looks_like(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(content.encode()))
    files, system = engines._find(str(path))
    kinds = engines._read(StubData(), files, system, None, 1000)
    assert kinds == {"title": pyarrow.string(), "text": pyarrow.string()}
    with pytest.raises(ReviewError, match=rf"{path}: no column 'gone'"):
        engines._read(StubData(), files, system, "gone", 1000)


@pytest.mark.parametrize("content", ["[1]\n", "{\n", "\n"])
def test_a_file_that_is_no_json_lines_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    files, system = engines._find(str(tmp_path))
    with pytest.raises(ReviewError, match=r"x\.json:1: no "):
        engines._read(StubData(), files, system, None, 1000)


# --- the command ---------------------------------------------------------------------------------


def test_without_ray_the_command_says_what_to_install(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["predict", "--engine", "ray", "--input", str(files), "--output", str(files / "out")]
    assert main(words) == 1
    assert 'pip install "sentiment-lstm[ray]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--input x", "--engine needs --input and --output"),
        ("--output x", "--engine needs --input and --output"),
        ("--input x --output y --format csv", "--format does not go with --engine"),
        ("--input x --output y --include_text", "--include_text does not go with --engine"),
        ("--input x --output y --trust_remote_code", "--trust_remote_code does not go"),
    ],
)
def test_what_an_engine_does_not_do_is_wrong_usage(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--engine", "ray", *words.split()])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_command_passes_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        engines, "predict_with_ray", lambda *a, **options: asked.append((a, options))
    )
    words = "--text_column words --exact --chunk_size 7 --max_line_bytes 99"
    command = f"predict --engine ray --model m --input s3://b/*.csv --output s3://b/out {words}"
    assert main(command.split()) == 0
    options = {"text_column": "words", "exact": True, "chunk_size": 7, "max_line_bytes": 99}
    assert asked == [(("m", "s3://b/*.csv", "s3://b/out"), options)]
    assert list(inspect.signature(predict_with_ray).parameters)[3:] == list(options)
