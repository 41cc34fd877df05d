"""Reviews on many machines: Ray or Spark share them out, and this answers their tables.

The answers of a row stand beside what it has, as `predicted_label` and `predicted_score`. What an
engine reads and writes, what it does again when a machine is lost, and how many work at once is its
own business.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..data.columns import text_columns
from ..data.sources import MAX_LINE_BYTES, ReviewError
from ..extras import require
from ..outputs import OutputError
from .predictor import CHUNK_SIZE, SentimentPredictor, answer_columns, answer_types

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from fsspec import AbstractFileSystem
    from pyspark.sql import DataFrame

# Beside the answers once all of them are there, as Hadoop and Spark have it.
SUCCESS_FILE = "_SUCCESS"

# With fewer, Ray does not count those of the workers.
_FEW_CORES = 4

_WHERE = "the reviews"
_FORMATS = (".parquet", ".csv", ".jsonl", ".json")
_HINT = "Leave such rows out, or put a text in their place (an empty one is allowed)."


class TablePredictor:
    """Answers tables of Arrow: a class for Ray's `map_batches(batch_format="pyarrow")`.

    Args:
        model: A model folder or a Hub repository, which is found from where the worker runs; or a
            predictor, which travels there.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`. A
            column `title` is put in front, as in `load_reviews`.

    Raises:
        ModelError: See `SentimentPredictor.from_pretrained`.
    """

    def __init__(
        self, model: str | os.PathLike[str] | SentimentPredictor, text_column: str | None = None
    ) -> None:
        _take_one_core()
        if not isinstance(model, SentimentPredictor):
            model = SentimentPredictor.from_pretrained(model, low_precision=True)
        self._predictor = model
        self._text_column = text_column

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """Answer the texts of a table.

        Args:
            table: With a column of texts.

        Returns:
            The same with two more columns, `predicted_label` (string) and `predicted_score`
            (double); with other labels those of `predictor.answer_columns`.

        Raises:
            AnswerError: See `SentimentPredictor.predict`.
            ReviewError: If there is no column of texts, a text is missing, or there is a column of
                one of these names already.
        """
        import pyarrow

        names, named = table.column_names, self._text_column
        added = answer_types(self._predictor.label_set)
        columns = {name: table.column(name).to_pylist() for name in _needed(names, named, added)}
        answers = _answers(self._predictor, columns, named)
        kinds = {
            str: pyarrow.string(),
            float: pyarrow.float64(),
            list[str]: pyarrow.list_(pyarrow.string()),
            list[float]: pyarrow.list_(pyarrow.float64()),
        }
        for name, kind in added.items():
            table = table.append_column(name, pyarrow.array(answers[name], kinds[kind]))
        return table


def predict_with_ray(
    model: str | os.PathLike[str],
    reviews: str,
    output: str,
    *,
    text_column: str | None = None,
    exact: bool = False,
    chunk_size: int = CHUNK_SIZE,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> None:
    """Classify the texts of many files, on all machines of a Ray cluster.

    It is the cluster that `ray.init` finds (`RAY_ADDRESS`, or one that `ray start` has started
    here), or this machine alone. One worker has a GPU, or a core where the cluster has none. What a
    lost machine was at is done again by another. The order of the rows is the engine's; all their
    columns are kept.

    Args:
        model: A model folder or a Hub repository; the workers get it from here. It must need no
            Python code of its own.
        reviews: Files of `.parquet`, or of `.csv` with a header, or of JSON lines (`.jsonl`,
            `.json`), the last two also as `.gz` or `.bz2`: a path, a folder or a pattern with `*`,
            of any file system that fsspec knows. Every worker must be able to read it.
        output: A folder for parquet files, likewise; there must be nothing in it. When all answers
            are there, it has an empty file `_SUCCESS`.
        text_column: See `TablePredictor`.
        exact: See `predict_file`.
        chunk_size: Rows that a worker answers together.
        max_line_bytes: How many bytes a row of csv or JSON may take. Defaults to 32 MiB.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
        ModelError: See `SentimentPredictor.from_pretrained`.
        OSError: If there are no such files, or nothing can be written.
        OutputError: If there is something in the output.
        ReviewError: If a text is missing, or the files are of several formats or of none.
    """
    ray = _import_ray()
    files, files_system = _find(reviews)
    folder, folder_system = _new_folder(output)
    predictor = SentimentPredictor.from_pretrained(
        model, low_precision=not exact, chunk_size=chunk_size
    )
    is_ours = not ray.is_initialized()
    if is_ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        ray.init(include_dashboard=False)
    context = ray.data.DataContext.get_current()
    before = context.raise_original_map_exception, context.enable_progress_bars
    context.raise_original_map_exception = True
    context.enable_progress_bars = sys.stderr.isatty()
    try:
        added = answer_types(predictor.label_set)
        rows = _read(ray.data, files, files_system, text_column, max_line_bytes, added)
        answers = rows.map_batches(
            TablePredictor,
            fn_constructor_args=(predictor, text_column),
            batch_size=chunk_size,
            batch_format="pyarrow",
            **_workers(ray),
        )
        answers.write_parquet(folder, filesystem=_arrow(folder_system))
        folder_system.makedirs(folder, exist_ok=True)  # there is none where there are no rows
        folder_system.touch(f"{folder}/{SUCCESS_FILE}")
    except ray.exceptions.RayError as error:
        raise _own_error(error, output) from error
    finally:
        context.raise_original_map_exception, context.enable_progress_bars = before
        if is_ours:
            ray.shutdown()


def predict_with_spark(
    model: str | os.PathLike[str] | SentimentPredictor,
    reviews: DataFrame,
    *,
    text_column: str | None = None,
) -> DataFrame:
    """Classify the texts of a data frame of Spark, by its `mapInPandas`.

    Args:
        model: A model folder or a Hub repository; the workers get it from here. Or a predictor.
        reviews: The data frame.
        text_column: See `TablePredictor`.

    Returns:
        The data frame with two more columns, `predicted_label` (string) and `predicted_score`
        (double), with other labels those of `predictor.answer_columns`, which Spark computes when
        it is asked for them. A text that is missing then ends the job.

    Raises:
        ModelError: See `SentimentPredictor.from_pretrained`.
        ReviewError: If there is no column of texts, or a column of one of those names already.
    """
    from pyspark.sql.types import ArrayType, DoubleType, StringType, StructField, StructType

    _needed(reviews.columns, text_column, ())
    if not isinstance(model, SentimentPredictor):
        model = SentimentPredictor.from_pretrained(model, low_precision=True)
    added = answer_types(model.label_set)
    _needed(reviews.columns, text_column, added)
    kinds = {
        str: StringType(),
        float: DoubleType(),
        list[str]: ArrayType(StringType()),
        list[float]: ArrayType(DoubleType()),
    }
    fields = [StructField(name, kinds[kind]) for name, kind in added.items()]
    schema = StructType([*reviews.schema.fields, *fields])
    return reviews.mapInPandas(_pandas_function(pickle.dumps(model), text_column), schema)


# --- answers -------------------------------------------------------------------------------------


def _needed(
    names: list[str], text_column: str | None, added: Iterable[str], where: str = _WHERE
) -> list[str]:
    """The columns that are read; raises if there are none, or the answers' names are taken."""
    text, title = text_columns(names, where, text=text_column)
    for name in added:
        if name in names:
            raise ReviewError(f"{where}: there is a column {name!r} already: rename it or drop it")
    return [name for name in (title, text) if name]


def _answers(
    predictor: SentimentPredictor, columns: dict[str, list[Any]], text_column: str | None
) -> dict[str, list[Any]]:
    """The columns that answer some others."""
    return answer_columns(predictor, columns, text_column=text_column, where=_WHERE, hint=_HINT)


def _pandas_function(
    predictor: bytes, text_column: str | None
) -> Callable[[Iterable[pandas.DataFrame]], Iterator[pandas.DataFrame]]:
    """What `mapInPandas` runs, of a predictor that has been pickled."""

    def answer(frames: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        _take_one_core()
        loaded = _unpickled(predictor)
        added = answer_types(loaded.label_set)
        for frame in frames:
            # What is missing is NaN or NA in pandas, and None in all of them as objects.
            columns = {
                name: frame[name].astype(object).where(frame[name].notna(), None).tolist()
                for name in _needed(list(frame.columns), text_column, added)
            }
            yield frame.assign(**_answers(loaded, columns, text_column))

    return answer


@lru_cache(maxsize=1)
def _unpickled(predictor: bytes) -> SentimentPredictor:
    """Unpickle it once a process: Spark gives each task its bytes anew."""
    loaded: SentimentPredictor = pickle.loads(predictor)
    return loaded


def _take_one_core() -> None:
    """Keep the tokenizer, in one of many workers on a machine, from taking all of its cores."""
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))


# --- files ---------------------------------------------------------------------------------------


def _import_ray() -> Any:
    with require("ray"):
        import ray
        import ray.data
    return ray


def _workers(ray: Any) -> dict[str, Any]:
    """How many workers there may be, and what each of them takes of the cluster."""
    there = ray.cluster_resources()
    if gpus := int(there.get("GPU", 0)):
        return {"compute": ray.data.ActorPoolStrategy(min_size=1, max_size=gpus), "num_gpus": 1}
    cores = int(there.get("CPU", 1)) or 1
    # Where there are few, workers would hold all of them, and nobody could read for them.
    return {
        "compute": ray.data.ActorPoolStrategy(min_size=1, max_size=cores),
        "num_cpus": 1 if cores >= _FEW_CORES else 0,
    }


def _own_error(error: Exception, output: str) -> Exception:
    """What a worker has raised, or what Ray says has happened."""
    said = str(getattr(error, "cause", None) or error)
    said = said.partition("\nFailed to apply UDF")[0]  # and advice on the retries of Ray
    kind = type(error.cause) if hasattr(error, "cause") else OSError
    if issubclass(kind, (OSError, ValueError)) and kind is not OSError:
        return kind(said)
    return OSError(f"{output}: Ray could not finish, and not all answers are there: {said}")


def _find(reviews: str) -> tuple[list[str], AbstractFileSystem]:
    """The files that a path, a folder or a pattern names, and where they are."""
    system, path = _resolved(reviews)
    if system.isdir(path):
        path = f"{glob.escape(path.rstrip('/'))}/**"
    # Engines leave files of no bytes where a part had no rows.
    found = (
        [path]
        if system.isfile(path)
        else sorted(name for name, file in system.glob(path, detail=True).items() if file["size"])
    )
    files = [file for file in found if _is_visible(file, path) and _format_of(file)]
    if not files:
        raise FileNotFoundError(
            f"{reviews}: there is no file of {', '.join(_FORMATS)} by that name or pattern, or "
            "all are empty"
        )
    if len(formats := {_format_of(file) for file in files}) > 1:
        raise ReviewError(
            f"{reviews}: files of several formats ({', '.join(sorted(formats))}): take one pattern "
            "after the other, such as *.parquet"
        )
    return files, system


def _new_folder(output: str) -> tuple[str, AbstractFileSystem]:
    """A folder to write to; raises if there is something in it."""
    system, folder = _resolved(output)
    if system.isfile(folder):
        raise OutputError(f"{output}: is a file: an engine writes a folder")
    if system.exists(folder) and system.ls(folder, detail=False):
        finished = system.exists(f"{folder}/{SUCCESS_FILE}")
        what = (
            "answers are there already"
            if finished
            else (
                f"there is something already; answers without {SUCCESS_FILE} are of a job that was "
                "stopped"
            )
        )
        raise OutputError(f"{output}: {what}. Choose another folder, or delete it to start anew")
    return folder, system


def _resolved(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL and the path there."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(os.path.expanduser(url))
    except (ImportError, ValueError) as error:  # of a protocol without its package, or none
        raise ValueError(f"{url}: {error}") from error
    return system, path


def _format_of(file: str) -> str:
    """The ending that says how a file is read, or nothing."""
    name = file.lower()
    packed = name.removesuffix(".gz").removesuffix(".bz2")
    found = next((ending for ending in _FORMATS if packed.endswith(ending)), "")
    return "" if found == ".parquet" and packed != name else found


def _is_visible(file: str, pattern: str) -> bool:
    """Whether neither the file nor a folder that the pattern has found begins with _ or a dot."""
    known = pattern.split("*")[0].count("/")
    return not any(part.startswith(("_", ".")) for part in file.split("/")[known:])


def _arrow(system: AbstractFileSystem) -> Any:
    """A file system of fsspec as Arrow, and so Ray, knows them."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    return PyFileSystem(FSSpecHandler(system))


def _read(
    data: Any,
    files: list[str],
    system: AbstractFileSystem,
    text_column: str | None,
    max_line_bytes: int,
    added: Iterable[str] = (),
) -> Any:
    """A data set of Ray in which text is text: Arrow makes numbers and dates of what looks so."""
    import pyarrow
    from pyarrow import csv as arrow_csv
    from pyarrow import json as arrow_json

    file_format, where = _format_of(files[0]), {"filesystem": _arrow(system)}
    if file_format == ".parquet":
        return data.read_parquet(files, **where)
    with system.open(files[0], "rb", compression="infer") as stream:
        line = stream.readline(max_line_bytes + 1)
    if file_format == ".csv":
        names = next(csv.reader([line.decode("utf-8-sig", "replace")]), [])
    else:
        names = list(_record_of(line, files[0]))
    kinds = dict.fromkeys(_needed(names, text_column, added, files[0]), pyarrow.string())
    if file_format == ".csv":
        return data.read_csv(
            files,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max_line_bytes),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=kinds),
            **where,
        )
    return data.read_json(
        files,
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=max_line_bytes),
        parse_options=arrow_json.ParseOptions(explicit_schema=pyarrow.schema(kinds.items())),
        **where,
    )


def _record_of(line: bytes, file: str) -> dict[str, Any]:
    """The record of a line of JSON."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ReviewError(f"{file}:1: no JSON ({error}): a line is one record") from error
    if not isinstance(record, dict):
        raise ReviewError(f'{file}:1: no record of JSON: a line is as {{"text": ...}}')
    return record
