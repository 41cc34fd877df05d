"""A file of texts in, a file of labels out: by one process, as it goes, resumable.

While it runs, it writes a *shard* (`OUTPUT.part-JOB-0-of-1`, with a digest of what the job is) and
beside it a *manifest*: which job this is, and, piece by piece, where in the shard the piece ends
and its SHA-256. When the job resumes, what stands behind the last piece that is as recorded is cut
off, and before the output takes its name all pieces are compared once more; so nothing is lost,
doubled or of another job, however it was stopped. What is too much for one process is for an
engine: see `engines`.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm.auto import tqdm
from transformers.utils.hub import TRANSFORMERS_DYNAMIC_MODULE_NAME

from ..data.readers import format_of
from ..data.sources import ACCEPTED_TEXTS, MAX_LINE_BYTES, file_digest, is_stream
from ..data.texts import chunks, read_texts
from ..files import naming_full_disk
from ..locks import hold
from .predictor import CHUNK_SIZE, SentimentPredictor
from .rows import Rows, lock_of

# What names and manifests say of how many processes share a job. In version 0.1 there could be
# several; what one had begun is still resumed.
_PROCESSES = 1


class BatchError(ValueError):
    """A job that can be neither begun nor resumed; the message says what to do."""


def predict_file(
    model: str | os.PathLike[str],
    texts: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    rows: Rows | None = None,
    exact: bool = False,
    chunk_size: int = CHUNK_SIZE,
    max_line_bytes: int = MAX_LINE_BYTES,
    trust_remote_code: bool = False,
) -> None:
    """Classify the texts of one file into another, a row a text, in order.

    Rows are written as they come, and the output takes its name when it is whole. A job that was
    stopped resumes when it is given again. Nobody else can write the output meanwhile.

    Args:
        model: A model folder or a Hub repository.
        texts: See `read_texts`.
        output: The file to write; one that exists is replaced in the end.
        text_column: See `read_texts`.
        rows: How the output looks. Defaults to JSON lines without the texts.
        exact: Compute all in float32, where otherwise a copy in bf16 is asked first; see
            `SentimentPredictor`.
        chunk_size: Texts that are sorted by length together and then recorded as done; fewer where
            they are very long, see `data.texts.chunks`.
        max_line_bytes: See `read_texts`.
        trust_remote_code: Run Python code that lies beside the weights, if the model needs such.
            What that code is belongs to the job: with other code it is another one.

    Raises:
        BatchError: If there is the beginning of another job, what was written of this one has
            changed, or the texts are in no file that can be read twice.
        DiskFullError: If there is no room for the output. What was done is kept: the same command
            resumes the job when there is.
        LockedError: If another process is writing this output; the message says which.
        OSError: If there is no such model or file; as an `AnswerError` that names the text, if the
            model's answer to it is no number. What was done before is kept.
        ReviewError: If a text cannot be read.
    """
    rows = rows or Rows()
    if chunk_size < 1:
        raise BatchError(f"chunk_size must be 1 or more; got {chunk_size}")
    output = Path(os.path.realpath(output))
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output}: there is no folder {output.parent}")
    path = Path(texts).expanduser()
    reading = format_of(path, ACCEPTED_TEXTS)
    if is_stream(path):
        raise BatchError(f"{texts}: is a pipe or a device, and a job reads its texts twice")
    with naming_full_disk(output), hold(lock_of(output), str(output)):
        texts_digest = file_digest(texts)
        predictor = SentimentPredictor.from_pretrained(
            model,
            low_precision=not exact,
            chunk_size=chunk_size,
            trust_remote_code=trust_remote_code,
        )
        rows = replace(rows, label_set=predictor.label_set)
        job = {
            "model": _model_digest(predictor),
            "texts": texts_digest,
            "reading": reading,  # the same bytes are other texts by another ending
            "text_column": text_column,
            "format": rows.format,
            "include_text": rows.include_text,
            "exact": exact,
            "chunk_size": chunk_size,
            "processes": _PROCESSES,
            "version": version("sentiment-lstm"),
        }
        _refuse_other_jobs(output, job)
        shard = _Shard(output, job)
        done = shard.begin(rows.header)
        lines = read_texts(texts, text_column=text_column, max_line_bytes=max_line_bytes)
        with tqdm(unit=" reviews", initial=done * chunk_size, disable=None) as progress:
            start = 0
            for number, chunk in enumerate(chunks(lines, chunk_size)):
                if number >= done:
                    predictions = predictor.predict(chunk, start=start)
                    shard.append("".join(map(rows.row, chunk, predictions)).encode())
                    progress.update(len(chunk))
                start += len(chunk)
        _finish(shard, output)


class _Piece(NamedTuple):
    """Where in a shard a piece ends, and the SHA-256 of it."""

    end: int
    digest: str


class _Shard:
    """What has been written of a job, and the manifest of it.

    Args:
        output: What the job writes in the end.
        job: What makes it this job and no other, part of the names.
    """

    def __init__(self, output: Path, job: dict[str, Any]) -> None:
        self.job = job
        name = f"{output.name}.part-{_identity(job)}-0-of-{_PROCESSES}"
        self.path = output.with_name(name)
        self.manifest = output.with_name(name + ".manifest")

    def begin(self, header: str) -> int:
        """Begin the job or resume it; returns how many chunks are done."""
        for path in (self.path, self.manifest):
            if path.is_symlink():
                raise BatchError(f"{path}: is a link, which would be written through: delete it")
        whole = [len(piece) for piece in self.pieces()] if self.path.exists() else []
        if not whole:
            self.path.write_bytes(b"")
            self.manifest.write_text(json.dumps(self.job) + "\n", encoding="utf-8")
            self.append(header.encode())
            return 0
        # The first piece is the header, in which there may be nothing; then come the chunks.
        lines = _whole_lines(self.manifest)[: 1 + len(whole)]
        os.truncate(self.manifest, sum(map(len, lines)))
        os.truncate(self.path, sum(whole))
        return len(whole) - 1

    def append(self, piece: bytes) -> None:
        """Write one piece and then, when it is on the disk, where it ends."""
        with open(self.path, "ab") as shard:
            shard.write(piece)
            shard.flush()
            os.fsync(shard.fileno())
            end = shard.tell()
        with open(self.manifest, "a", encoding="utf-8") as manifest:
            manifest.write(f"{end} {hashlib.sha256(piece).hexdigest()}\n")
            manifest.flush()
            os.fsync(manifest.fileno())

    def recorded(self) -> list[_Piece]:
        """The pieces, as far as the manifest can be read."""
        pieces = []
        for line in _whole_lines(self.manifest)[1:]:
            end, _, digest = line.rstrip().partition(b" ")
            if not end.isdigit():
                break
            pieces.append(_Piece(int(end), digest.decode(errors="replace")))
        return pieces

    def pieces(self) -> Iterator[bytes]:
        """The pieces, up to the first one that is not what was recorded."""
        with open(self.path, "rb") as shard:
            start = 0
            for end, digest in self.recorded():
                piece = shard.read(max(0, end - start))
                if len(piece) != end - start or hashlib.sha256(piece).hexdigest() != digest:
                    return
                yield piece
                start = end

    def check(self) -> None:
        """Raise unless the shard is what was recorded, in every piece and in length."""
        recorded = self.recorded()
        whole = sum(1 for _ in self.pieces())
        if whole < len(recorded) or self.path.stat().st_size != recorded[-1].end:
            raise BatchError(
                f"{self.path}: is not what was written: another program or the disk has changed "
                "it. Give the same command again: it resumes behind the last piece that is whole"
            )


def _identity(job: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]


def _whole_lines(manifest: Path) -> list[bytes]:
    """The lines, less one that was being written when the process was stopped."""
    content = manifest.read_bytes() if manifest.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)


def _refuse_other_jobs(output: Path, job: dict[str, Any]) -> None:
    """Raise unless all that has been begun for this output is this very job."""
    name = glob.escape(output.name)
    if old := sorted(output.parent.glob(f"{name}.part*.job")):
        raise BatchError(
            f"{old[0].with_suffix('')}: the beginning of a job of version 0.1. Delete "
            f"{output}.part* to start anew, or choose another output"
        )
    for manifest in sorted(output.parent.glob(f"{name}.part-*-of-*.manifest")):
        shard = manifest.with_suffix("")
        if f".part-{_identity(job)}-" in manifest.name or not shard.exists():
            continue  # without its shard, it was killed while it cleaned up
        try:
            first, *pieces = _whole_lines(manifest)
            other = json.loads(first)
            differ = [key for key in sorted(job.keys() | other) if job.get(key) != other.get(key)]
        except (ValueError, TypeError, AttributeError):
            differ, pieces = ["manifest, which cannot be read"], [b""] * 2
        if len(pieces) < 2 and "processes" not in differ:  # no more than a header: nothing is lost
            manifest.unlink()
            shard.unlink()
            continue
        remedy = f"choose another output, or delete {output}.part* to start anew"
        if "processes" in differ:
            raise BatchError(
                f"{shard}: the beginning of a job that several processes shared, which no version "
                f"after 0.1 resumes: {remedy}"
            )
        raise BatchError(
            f"{shard}: the beginning of another job (other {', '.join(differ)}). Give that job's "
            f"command to resume it, {remedy}"
        )


def _finish(shard: _Shard, output: Path) -> None:
    """Give the shard the name of the output, if it is what was written."""
    shard.check()
    os.replace(shard.path, output)
    shard.manifest.unlink()


def _model_digest(predictor: SentimentPredictor) -> str:
    """What identifies a model wherever it lies: weights, config, tokenizer, and code of its own."""
    model, tokenizer = predictor.model, predictor.tokenizer
    config = {name: value for name, value in model.config.to_dict().items() if name[0] != "_"}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.cpu().contiguous().view(torch.uint8).numpy())
    for path in _own_code(predictor):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _own_code(predictor: SentimentPredictor) -> list[Path]:
    """The files of code that came with a model; none of one whose code is installed."""
    parts = (predictor.model, predictor.model.config, predictor.tokenizer)
    modules = {type(part).__module__ for part in parts}
    folders = {
        Path(str(sys.modules[name].__file__)).parent
        for name in modules
        if name.partition(".")[0] == TRANSFORMERS_DYNAMIC_MODULE_NAME
    }
    return sorted(path for folder in folders for path in folder.glob("*.py"))
