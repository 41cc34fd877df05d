"""Inputs for `fuzz`: what a command is given, and how to tell whether its answer is right."""

from __future__ import annotations

import bz2
import csv
import datetime
import gzip
import io
import json
import random
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .commands import Ended
from .stage import make_text
from .tally import Fault

_OUTPUT = ("--exact", "--include_text", "--chunk_size", "16")


@dataclass(frozen=True)
class Case:
    """One input.

    Args:
        arguments: Of the command.
        files: Name -> content, written where it works, over what is there.
        given: Standard input.
        check: What is wrong with an answer, if the command has given one.
        must_answer: Whether the input is good, so that the command may not refuse it.
        texts: What it has to have classified, if that is known, in order.
    """

    arguments: Sequence[str]
    files: dict[str, bytes] = field(default_factory=dict)
    given: bytes = b""
    check: Callable[[Ended], Fault | None] = lambda ended: None
    must_answer: bool = False
    texts: list[str] | None = None

    def made(self, folder: Path) -> dict[str, bytes]:
        """The files to write over those of a folder."""
        return self.files


# --- texts ---------------------------------------------------------------------------------------

_FRAGMENTS = (
    *("great", "broke", "not", "5.", "a.", "'a", "...", "--", "``", "''", "$5,000.00", "10/10"),
    *("<br />", "&amp;", "U.S.A.", "can't", "I'll", "gonna", "http://x.y/z?q=1", "__label__x"),
    *(
        "é",
        "e\u0301",
        "ß",
        "İ",
        "ﬁ",
        "中文",
        "日本語",
        "한국어",
        "العربية",
        "עברית",
        "ไทย",
        "हिन्दी",
    ),
    *("😀", "👨\u200d👩\u200d👧", "🇩🇪", "\u200b", "\u200d", "\ufeff", "\u202e", "\u00ad", "\ufffd"),
    *(
        "\t",
        "\r",
        "\v",
        "\f",
        "\x1b[31m",
        "\x07",
        "\x85",
        "\u2028",
        "\u2029",
        "\u00a0",
        "\u3000",
        "\x1c",
    ),
    *(
        '"',
        "'",
        ",",
        ";",
        "|",
        "\\",
        "\\n",
        '""',
        "'''",
        "{",
        "}",
        "[",
        "]",
        "#",
        "%s",
        "{0}",
        "NaN",
    ),
    *("null", "true", "-1", "1e999", "\U0010ffff", "\ue000", "\u0301" * 30, "x" * 300, " " * 50),
)
# What takes long where a pattern is careless, each repeated.
_REPEATED = ("5. ", "a.", "'a", "a'", " ", ".", "-", "1,", "\u0301", "ab ", "!", "中", "<", "n't ")


def strange_text(random: random.Random) -> str:
    """A text of characters that a review rarely has; it has no line end."""
    kind = random.randrange(10)
    if kind == 0:
        return ""
    if kind == 1:
        return random.choice(_REPEATED) * random.choice((1, 30, 1000, 20_000))
    if kind == 2:
        return "".join(chr(_code_point(random)) for _ in range(random.randrange(1, 60)))
    parts = random.choices((*_FRAGMENTS, *make_text(random).split()), k=random.randrange(1, 25))
    return random.choice(("", " ")).join(parts)


def _code_point(random: random.Random) -> int:
    while True:
        point = random.choice((random.randrange(0x80), random.randrange(0x110000)))
        if not 0xD800 <= point < 0xE000 and point not in (0, 10, 13):
            return point


def _line(random: random.Random) -> str:
    """A text that is one line of a file as it stands."""
    text = strange_text(random).lstrip("\ufeff")
    return "" if text.startswith("__label__") else text


def texts(random: random.Random) -> Case:
    """Texts as arguments or on standard input."""
    lines = [_line(random) for _ in range(random.randrange(1, 8))]
    if random.randrange(2):
        lines = [line[:1000] for line in lines if line and not line.startswith("-")] or ["fine"]
        arguments = ("predict", "--model", "model", *_OUTPUT, "--", *lines)
        return _answered(arguments, lines, must_answer=True)
    given = "\n".join([*lines, ""]).encode()
    if random.randrange(3):
        return _answered(("predict", "--model", "model", *_OUTPUT), lines, True, given=given)
    given = mutated(given, random)
    return _answered(("predict", "--model", "model", *_OUTPUT), _texts_of_lines(given), given=given)


# --- files of texts ------------------------------------------------------------------------------


def good_file(random: random.Random) -> Case:
    """A file as it should be, of texts that are not."""
    name, lines, content = _file(random)
    return _answered(_predict(name), lines, True, files={name: _packed(name, content)})


def damaged_file(random: random.Random) -> Case:
    """A file of texts that something has gone over."""
    name, _, content = _file(random)
    if random.randrange(12) == 0:
        content = random.randbytes(random.randrange(200))
        return _answered(_predict(name), _expected(name, content), files={name: content})
    if random.randrange(2):
        content = _packed(name, mutated(content, random))
    else:
        content = mutated(_packed(name, content), random)
    return _answered(_predict(name), _expected(name, content), files={name: content})


def _predict(name: str) -> Sequence[str]:
    return ("predict", "--model", "model", "--input", name, *_OUTPUT)


def _file(random: random.Random) -> tuple[str, list[str], bytes]:
    """A name, the texts, and the content that stands for them."""
    lines = [_line(random) for _ in range(random.randrange(1, 10))]
    kind = random.choice(tuple(_WRITERS))
    packing = random.choice(("", "", ".gz", ".bz2"))
    return f"input{kind}{packing}", lines, _WRITERS[kind](lines, random)


def _write_lines(lines: list[str], random: random.Random) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _write_fasttext(lines: list[str], random: random.Random) -> bytes:
    return "".join(f"__label__{random.randrange(1, 3)} {line}\n" for line in lines).encode()


def _write_csv(lines: list[str], random: random.Random) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator=random.choice(("\n", "\r\n")))
    # Where it quotes as little as it can, the writer forgets that a `\r` ends a row for readers.
    if random.randrange(2) or any("\r" in line for line in lines):
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    name = random.choice(("text", "content", "review"))
    writer.writerow(["id", name])
    writer.writerows(enumerate(lines))
    return stream.getvalue().encode()


def _write_json(lines: list[str], random: random.Random) -> bytes:
    name, plain = random.choice(("text", "content", "review")), bool(random.randrange(2))
    rows = [json.dumps({"id": 1, name: line}, ensure_ascii=plain) for line in lines]
    return "".join(f"{row}\n" for row in rows).encode()


_WRITERS: dict[str, Callable[[list[str], random.Random], bytes]] = {
    ".txt": _write_lines,
    ".ft.txt": _write_fasttext,
    ".csv": _write_csv,
    ".jsonl": _write_json,
}


def _packed(name: str, content: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    return bz2.compress(content) if name.endswith(".bz2") else content


# --- what should come out ------------------------------------------------------------------------


def _expected(name: str, content: bytes) -> list[str] | None:
    """The texts of a file, read in the plainest way; `None` if it has to be refused."""
    try:
        if name.endswith(".gz"):
            content = gzip.decompress(content)
        elif name.endswith(".bz2"):
            content = bz2.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    if ".csv" in name:
        return _texts_of_csv(content)
    return _texts_of_json(content) if ".jsonl" in name else _texts_of_lines(content)


def _texts_of_lines(content: bytes) -> list[str] | None:
    try:
        lines = content.removeprefix(b"\xef\xbb\xbf").decode().split("\n")
    except UnicodeDecodeError:
        return None
    lines = lines if lines[-1] else lines[:-1]
    return [_without_label(line) for line in lines]


def _without_label(line: str) -> str:
    """The line without a label of fastText in front, of which there are two."""
    label, _, rest = line.partition(" ")
    return rest if label in ("__label__1", "__label__2") else line


def _texts_of_csv(content: bytes) -> list[str] | None:
    try:
        # Only the texts have to be UTF-8, not what stands beside them.
        text = content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
        lines = [f"{line}\n" for line in text.split("\n")]
        rows = [row for row in csv.reader(lines, strict=True) if row]
        header = rows[0]
        column = next(
            header.index(name) for name in ("text", "content", "review") if name in header
        )
    except (ValueError, csv.Error, IndexError, StopIteration):
        return None
    if "title" in header or any(len(row) != len(header) for row in rows):
        return None
    texts = [row[column] for row in rows[1:]]
    return texts if all(_is_text(text) for text in texts) else None


def _is_text(text: str) -> bool:
    """Whether a text was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts_of_json(content: bytes) -> list[str] | None:
    found = []
    try:
        for line in content.removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
            if line.strip():
                record = json.loads(line)
                name = next(name for name in ("text", "content", "review") if name in record)
                found.append(record[name])
    except (ValueError, TypeError, StopIteration, RecursionError):
        return None
    return found if all(isinstance(text, str) for text in found) else None


def _answered(
    arguments: Sequence[str],
    expected: list[str] | None,
    must_answer: bool = False,
    **others: Any,
) -> Case:
    """A case whose answer has a line for each expected text, and repeats it."""

    def check(ended: Ended) -> Fault | None:
        if expected is None:
            return Fault("wrong", "answers what cannot be read")
        rows = [json.loads(line) for line in ended.output.split("\n")[:-1]]
        if len(rows) != len(expected):
            return Fault("lost", f"{len(rows)} answers to {len(expected)} texts")
        for number, (row, text) in enumerate(zip(rows, expected, strict=True), 1):
            if row["text"] != text:
                return Fault("wrong", f"reads text {number} as {row['text'][:60]!r}: {text[:60]!r}")
        return _fit(rows)

    return Case(arguments, check=check, must_answer=must_answer, texts=expected, **others)


def _fit(rows: list[dict[str, Any]]) -> Fault | None:
    """Whether rows are answers at all."""
    for number, row in enumerate(rows, 1):
        if not (isinstance(row["label"], str) and 0 <= row["score"] <= 1):
            return Fault("wrong", f"answer {number} is {row}")
    return None


# --- labelled files ------------------------------------------------------------------------------


def labelled_file(random: random.Random) -> Case:
    """Reviews with labels in a format that is read."""
    name, labels, content = _labelled(random)

    def check(ended: Ended) -> Fault | None:
        (found,) = json.loads(ended.output).values()
        expected = [labels.count(0), labels.count(1)]
        sums = [sum(row) for row in found["confusion_matrix"]]
        if found["reviews"] != len(labels):
            return Fault("lost", f"{found['reviews']} of {len(labels)} reviews")
        return None if sums == expected else Fault("wrong", f"labels {sums}, not {expected}")

    return Case(("evaluate", "model", name), {name: content}, check=check, must_answer=True)


def damaged_labelled_file(random: random.Random) -> Case:
    """Reviews with labels that something has gone over."""
    name, _, content = _labelled(random)
    arguments = ["evaluate", "model", name, "--on_bad_line", random.choice(("raise", "skip"))]

    def check(ended: Ended) -> Fault | None:
        (found,) = json.loads(ended.output).values()
        if sum(map(sum, found["confusion_matrix"])) == found["reviews"] > 0:
            return None
        return Fault("wrong", f"measures {found['reviews']} reviews")

    if name.endswith((".gz", ".bz2")) and random.randrange(2):
        unpack = gzip.decompress if name.endswith(".gz") else bz2.decompress
        return Case(arguments, {name: _packed(name, mutated(unpack(content), random))}, check=check)
    return Case(arguments, {name: mutated(content, random)}, check=check)


def _labelled(random: random.Random) -> tuple[str, list[int], bytes]:
    labels = [0, 1] + [random.randrange(2) for _ in range(random.randrange(10))]
    random.shuffle(labels)
    rows = [(label, make_text(random, label) + f" {number}") for number, label in enumerate(labels)]
    kind = random.choice((".ft.txt", ".csv", "zhang.csv", ".jsonl", ".parquet"))
    packing = "" if kind == ".parquet" else random.choice(("", "", ".gz", ".bz2"))
    content = _LABELLED[kind](rows)
    name = f"input{kind}{packing}"
    return name, labels, _packed(name, content)


def _labelled_csv(rows: list[tuple[int, str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows([("label", "text"), *rows])
    return stream.getvalue().encode()


def _zhang_csv(rows: list[tuple[int, str]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerows((label + 1, "A title", text) for label, text in rows)
    return stream.getvalue().encode()


def _labelled_parquet(rows: list[tuple[int, str]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"label": [row[0] for row in rows], "text": [row[1] for row in rows]})
    if len(rows) % 2:  # as datasets writes it
        names = {"names": ["neg", "pos"], "_type": "ClassLabel"}
        known = {
            "info": {"features": {"label": names, "text": {"_type": "Value", "dtype": "string"}}}
        }
        table = table.replace_schema_metadata({"huggingface": json.dumps(known)})
    stream = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, stream)
    return bytes(stream.getvalue().to_pybytes())


def _labelled_json(rows: list[tuple[int, str]]) -> bytes:
    lines = [json.dumps({"label": label, "text": text}) + "\n" for label, text in rows]
    return "".join(lines).encode()


def _labelled_lines(rows: list[tuple[int, str]]) -> bytes:
    return "".join(f"__label__{label + 1} {text}\n" for label, text in rows).encode()


_LABELLED: dict[str, Callable[[list[tuple[int, str]]], bytes]] = {
    ".ft.txt": _labelled_lines,
    ".csv": _labelled_csv,
    "zhang.csv": _zhang_csv,
    ".jsonl": _labelled_json,
    ".parquet": _labelled_parquet,
}


# --- recipes and models --------------------------------------------------------------------------

# Values of every type that YAML has, good for little.
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 0.5, -0.5, 1.5, 1e-30, 1e30, float("nan"), float("inf")),
    *(
        2**31,
        2**63,
        2**100,
        -(2**70),
        "",
        " ",
        "x",
        "1",
        "0.5",
        "true",
        "null",
        "no",
        "auto",
        "ünï",
    ),
    *("x" * 5000, "\x00", "/", "..", "~", "$HOME", "a:b", "steps", "epoch", "loss", [], [1], ["x"]),
    *([None], [[]], {}, {"a": 1}, {1: 2}, {"a": {"b": []}}, datetime.date(2020, 1, 1)),
    *(datetime.datetime(2020, 1, 1, 1, 1), {1, 2}, b"bytes", [1, "x", None], "[1, 2]", "{}"),
)
# What these would ask for is done, or takes for ever as it should.
_LEFT_ALONE = frozenset(
    (
        *("max_steps", "num_train_epochs", "torch_compile", "torch_compile_backend"),
        *("torch_compile_mode", "train", "validation", "output_dir", "dataloader_num_workers"),
    )
)


def recipe(random: random.Random) -> Case:
    """A recipe that has one wrong thing or several."""
    from dataclasses import fields

    from sentiment_lstm.training import recipe as recipes

    kinds = (recipes.ReviewArguments, recipes.TokenizerArguments, recipes.ModelArguments)
    names = sorted(
        {one.name for kind in (*kinds, recipes.RecipeTrainingArguments) for one in fields(kind)}
        - _LEFT_ALONE
    )
    content: dict[Any, Any] = {
        "train": "train.ft.txt",
        "validation": "validation.ft.txt",
        "output_dir": "new",
        "embedding_size": 4,
        "hidden_size": 4,
        "per_device_train_batch_size": 8,
        "max_steps": 2,
        "bf16": False,
        "disable_tqdm": True,
        "use_cpu": True,
    }
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = random.choice(_VALUES)
        if random.randrange(12) == 0:
            content[random.choice(("trian", "", 1, None, "hiden_size", True))] = value
        elif random.randrange(12) == 0:
            content[random.choice(("train", "validation"))] = value
        else:
            content[random.choice(names)] = value
    text = yaml.safe_dump(content, allow_unicode=True).encode()
    if random.randrange(4) == 0:
        text = mutated(text, random)
    return Case(("train", "recipe.yaml"), {"recipe.yaml": text})


def config(random: random.Random) -> Case:
    """A config that has one wrong thing or several."""
    return _model("config.json", random, lambda content: _mutated_json(content, random))


def tokenizer(random: random.Random) -> Case:
    """A tokenizer, and what transformers says of it, that something has gone over."""
    name = random.choice(("tokenizer.json", "tokenizer.json", "tokenizer_config.json"))
    return _model(name, random, lambda content: _mutated_json(content, random))


def weights(random: random.Random) -> Case:
    """Weights that something has gone over, in their header or their numbers."""

    def change(content: bytes) -> bytes:
        kind = random.randrange(3)
        if kind == 0:
            return mutated(content, random)
        if kind == 1:
            return _flipped(content, random)
        size = int.from_bytes(content[:8], "little")
        header = _mutated_json(content[8 : 8 + size], random)
        return len(header).to_bytes(8, "little") + header + content[8 + size :]

    return _model("model.safetensors", random, change)


def _model(name: str, random: random.Random, change: Callable[[bytes], bytes]) -> Case:
    lines = [make_text(random) for _ in range(3)]

    def check(ended: Ended) -> Fault | None:
        rows = [json.loads(line) for line in ended.output.split("\n")[:-1]]
        if len(rows) != len(lines):
            return Fault("lost", f"{len(rows)} answers to {len(lines)} texts")
        return _fit(rows)

    arguments = ("predict", "--model", "model", *lines)
    return Changed(arguments, check=check, changed=f"model/{name}", change=change)


@dataclass(frozen=True)
class Changed(Case):
    """A case that changes a file of the model.

    Args:
        changed: Which.
        change: Content -> another.
    """

    changed: str = ""
    change: Callable[[bytes], bytes] = lambda content: content

    def made(self, folder: Path) -> dict[str, bytes]:
        """The changed file."""
        return {self.changed: self.change((folder / self.changed).read_bytes())}


# --- mutations -----------------------------------------------------------------------------------

_TOKENS = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b'"', b"'", b","),
    *(
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"-",
        b"0",
        b"1e999",
        b"NaN",
        b"null",
        b"&a ",
        b"*a",
        b"!!",
    ),
    *(
        b"!!python/object:os.system ",
        b"[" * 2000,
        b'{"a":' * 2000,
        b"\t",
        b"__label__3 ",
        b"%",
        b"#",
    ),
)


def mutated(content: bytes, random: random.Random) -> bytes:
    """Content with one to four things wrong."""
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(content) + 1)
        to = min(len(content), at + random.choice((1, 2, 5, 30)))
        kind = random.randrange(6)
        if kind == 0:
            content = content[:at] + content[to:]
        elif kind == 1:
            content = content[:at] + random.choice(_TOKENS) + content[at:]
        elif kind == 2:
            content = content[:at] + content[at:to] * random.choice((2, 20)) + content[to:]
        elif kind == 3:
            content = content[:at] + random.randbytes(to - at) + content[to:]
        elif kind == 4 and at < len(content):
            flipped = bytes([content[at] ^ 1 << random.randrange(8)])
            content = content[:at] + flipped + content[at + 1 :]
        elif kind == 5 and random.randrange(3) == 0:
            content = content[:at]
    return content


def _flipped(content: bytes, random: random.Random) -> bytes:
    """Content of the same length, with bits flipped."""
    flipped = bytearray(content)
    for _ in range(random.choice((1, 1, 4, 30))):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _mutated_json(content: bytes, random: random.Random) -> bytes:
    """JSON with another value somewhere, one more or one less; or bytes that may be none."""
    if random.randrange(5) == 0:
        return mutated(content, random)
    value: Any = json.loads(content)
    for _ in range(random.choice((1, 1, 2))):
        holder = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(holder[key], (dict, list)) and holder[key] and random.randrange(4):
                holder = holder[key]
                continue
            _change(holder, key, random)
            break
    return json.dumps(value, default=str).encode()


def _change(holder: Any, key: Any, random: random.Random) -> None:
    kind = random.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder["".join(random.choices(string.ascii_letters, k=4))] = holder[key]
    elif kind == 2 and isinstance(holder[key], (int, float)):
        holder[key] = holder[key] * random.choice((-1, 0, 2, 0.5, 1000, 10**9)) + random.randrange(
            2
        )
    else:
        holder[key] = random.choice(_VALUES)
