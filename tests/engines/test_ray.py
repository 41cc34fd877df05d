"""Ray on a cluster that loses a machine: the answers are those of one process."""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from sentiment_lstm.cli.main import main
from sentiment_lstm.inference import engines
from sentiment_lstm.inference.batch import predict_file
from sentiment_lstm.inference.predictor import Prediction, SentimentPredictor, answer_columns

ray = pytest.importorskip("ray", reason="`make test-engines` has it")
cluster_utils = pytest.importorskip("ray.cluster_utils")

# What Ray of before 2.60 says where there is no GPU.
pytestmark = pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning")
FILES, ROWS, CHUNK = 12, 8, 4
SIZE = {"num_cpus": 2, "object_store_memory": 100 * 2**20}


class MarkingPredictor(SentimentPredictor):
    """Leaves a mark where it was asked, and takes its time, so that there is a middle."""

    marks: Path | None = None

    def predict(self, texts: Iterable[str], *, start: int = 0) -> list[Prediction]:
        if self.marks is not None:
            node = ray.get_runtime_context().get_node_id()
            (self.marks / f"{node} {uuid.uuid4()}").touch()
            time.sleep(0.3)
        return super().predict(texts, start=start)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two machines with two cores, besides the head, which does no work."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = cluster_utils.Cluster(
            initialize_head=True,
            connect=True,  # while there is no other: never to a machine that is to be lost
            head_node_args={"include_dashboard": False, **SIZE, "num_cpus": 0},
        )
        for _ in range(2):
            cluster.add_node(**SIZE)
        cluster.wait_for_nodes()
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Parquet files, each of which is shared out by itself."""
    folder = tmp_path / "reviews"
    folder.mkdir()
    for file in range(FILES):
        numbers = range(file * ROWS, (file + 1) * ROWS)
        table = {
            "number": list(numbers),
            "title": [None if number % 3 else "Well" for number in numbers],
            "text": [f"It is {'great' if number % 5 else 'a waste'}." for number in numbers],
        }
        parquet.write_table(pyarrow.table(table), folder / f"{file:02}.parquet")
    return folder


@pytest.fixture
def one_process(model_folder: Path, tables: Path, tmp_path: Path) -> list[Any]:
    """Number, label and score of each row by `predict_file`."""
    rows = parquet.read_table(tables).to_pylist()
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict_file(model_folder, tmp_path / "rows.jsonl", tmp_path / "labels", exact=True)
    answers = map(json.loads, (tmp_path / "labels").read_text().splitlines())
    return [
        (row["number"], answer["label"], pytest.approx(answer["score"], abs=1e-6))
        for row, answer in zip(rows, answers, strict=True)
    ]


def answers_in(folder: Path) -> list[Any]:
    rows = parquet.read_table(folder).to_pylist()
    assert list(rows[0]) == ["number", "title", "text", "predicted_label", "predicted_score"]
    found = [(row["number"], row["predicted_label"], row["predicted_score"]) for row in rows]
    return sorted(found)


def test_a_lost_machine_loses_nothing_and_doubles_nothing(
    cluster: Any,
    model_folder: Path,
    tables: Path,
    one_process: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray.cloudpickle.register_pickle_by_value(__import__(__name__))
    predictor: Any = MarkingPredictor.from_pretrained(model_folder, chunk_size=CHUNK)
    predictor.marks = tmp_path / "marks"
    predictor.marks.mkdir()
    stand_in = SimpleNamespace(from_pretrained=lambda *_, **__: predictor)
    monkeypatch.setattr(engines, "SentimentPredictor", stand_in)
    # Blocks of a few files, however small these are: so there is something to share out.
    monkeypatch.setattr(ray.data.DataContext.get_current(), "target_max_block_size", 1000)
    before_the_end: list[int] = []

    def lose_a_machine() -> None:
        """The one that is the first to have answered twice."""
        while True:
            marks = [path.name.split()[0] for path in (tmp_path / "marks").iterdir()]
            for node in cluster.worker_nodes:
                if marks.count(node.node_id) >= 2:
                    cluster.remove_node(node, allow_graceful=False)
                    before_the_end.append(len(marks))
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=lose_a_machine, daemon=True)
    thread.start()
    output = tmp_path / "answers"
    command = ["predict", "--model", str(model_folder), "--engine", "ray", "--exact"]
    command += ["--input", str(tables / "*.parquet"), "--output", str(output)]
    assert main([*command, "--chunk_size", str(CHUNK)]) == 0
    assert answers_in(output) == one_process
    assert before_the_end[0] < FILES * ROWS // CHUNK
    at_work = {path.name.split()[0] for path in (tmp_path / "marks").iterdir()}
    assert len(at_work) == 2, "the other machine has done the rest"
    assert (output / "_SUCCESS").exists()
    assert main(command) == 1, "answers are there already"
    assert answers_in(output) == one_process


def test_other_labels_have_the_answers_of_one_process(
    cluster: Any, of_any_labels: SentimentPredictor, tables: Path, tmp_path: Path
) -> None:
    of_any_labels.model.save_pretrained(tmp_path / "x")
    of_any_labels.tokenizer.save_pretrained(tmp_path / "x")
    engines.predict_with_ray(tmp_path / "x", str(tables), str(tmp_path / "answers"), exact=True)
    found = parquet.read_table(tmp_path / "answers").to_pylist()
    read = parquet.read_table(tables)
    expected = read.to_pydict() | answer_columns(of_any_labels, read.to_pydict())
    assert list(found[0]) == list(expected)
    rows = sorted(found, key=lambda row: row["number"])
    for name, values in expected.items():
        scores = [pytest.approx(value, abs=1e-6) for value in values]
        wanted = scores if name.startswith("predicted_score") else values
        assert [row[name] for row in rows] == wanted, name


def test_a_text_that_is_missing_is_one_line(
    cluster: Any, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet.write_table(pyarrow.table({"text": ["fine", None]}), tmp_path / "bad.parquet")
    command = ["predict", "--model", str(model_folder), "--engine", "ray"]
    command += ["--input", str(tmp_path / "bad.parquet"), "--output", str(tmp_path / "answers")]
    assert main(command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    hint = "Leave such rows out, or put a text in their place (an empty one is allowed)."
    assert error == f"sentiment-lstm: error: batch:2: None in column 'text'. {hint}"
    assert os.listdir(tmp_path / "answers") == []


def test_no_rows_have_no_answers(cluster: Any, model_folder: Path, tmp_path: Path) -> None:
    nothing = pyarrow.table({"text": pyarrow.array([], pyarrow.string())})
    parquet.write_table(nothing, tmp_path / "none.parquet")
    engines.predict_with_ray(
        model_folder, str(tmp_path / "none.parquet"), str(tmp_path / "answers")
    )
    assert os.listdir(tmp_path / "answers") == ["_SUCCESS"]
