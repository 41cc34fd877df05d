"""Spark on this machine: the answers are those of one process."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sentiment_lstm.data.sources import ReviewError
from sentiment_lstm.inference.engines import predict_with_spark
from sentiment_lstm.inference.predictor import SentimentPredictor, answer_columns

sql = pytest.importorskip("pyspark.sql", reason="`make test-engines` has it")

pytestmark = pytest.mark.filterwarnings(
    "ignore:PySpark does not yet fully support:FutureWarning"  # pandas 3
)
ROWS = [
    (2**53 + 1, "Great gift", "I love it."),
    (None, None, "Broke in a\nweek."),
    (3, "", "Meh"),
    (4, None, ""),
]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        spark = builder.getOrCreate()
        yield spark
        spark.stop()


def test_rows_have_the_answers_of_one_process(spark: Any, model_folder: Path) -> None:
    reviews = spark.createDataFrame(ROWS, "id long, title string, text string").repartition(2)
    answered = predict_with_spark(model_folder, reviews)
    assert reviews.columns == ["id", "title", "text"]
    assert answered.columns == [*reviews.columns, "predicted_label", "predicted_score"]
    found = {row[:3]: row[3:] for row in map(tuple, answered.collect())}
    texts = [f"{title}: {text}" if title else text for _, title, text in ROWS]
    answers = SentimentPredictor.from_pretrained(model_folder).predict(texts)
    assert found == {
        row: (answer.label, pytest.approx(answer.score, abs=0.005))
        for row, answer in zip(ROWS, answers, strict=True)
    }


def test_other_labels_have_the_answers_of_one_process(
    spark: Any, of_any_labels: SentimentPredictor
) -> None:
    reviews = spark.createDataFrame(ROWS, "id long, title string, text string").coalesce(1)
    answered = predict_with_spark(of_any_labels, reviews)
    columns = {"title": [row[1] for row in ROWS], "text": [row[2] for row in ROWS]}
    expected = answer_columns(of_any_labels, columns)
    assert answered.columns == [*reviews.columns, *expected]
    rows = answered.collect()
    for name, values in expected.items():
        scores = [pytest.approx(value, abs=0.005) for value in values]
        wanted = scores if name.startswith("predicted_score") else values
        assert [row[name] for row in rows] == wanted, name


def test_a_text_that_is_missing_ends_the_job(spark: Any, model_folder: Path) -> None:
    reviews = spark.createDataFrame([("fine",), (None,)], "words string")
    with pytest.raises(ReviewError, match="no text column"):
        predict_with_spark(model_folder, reviews)
    answered = predict_with_spark(model_folder, reviews.coalesce(1), text_column="words")
    with pytest.raises(Exception, match=r"batch:2: None in column 'words'\. Leave such rows out"):
        answered.collect()
