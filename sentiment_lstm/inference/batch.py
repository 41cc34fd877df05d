"""A file of texts in, a file of labels out: as it goes, resumable, shared among processes.

While it runs, each process writes a *shard* (`OUTPUT.part`; of several processes
`OUTPUT.part-0-of-2` and so on) and beside it a *manifest*: which job this is, and, chunk by chunk,
where in the shard the chunk ends. What stands behind the last recorded end is cut off when the job
resumes, so that nothing is lost or doubled, however it was stopped.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from tqdm.auto import tqdm

from ..data.sources import file_digest
from ..data.texts import read_texts
from ..locks import hold_for_job
from .predictor import CHUNK_SIZE, SentimentPredictor
from .rows import Rows

# Until the last of several processes is done, the others wait for it.
_PATIENCE = timedelta(days=7)


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
) -> bool:
    """Classify the texts of one file into another, a row a text, in order.

    Rows are written as they come, and the output takes its name when it is whole. A job that was
    stopped resumes when it is given again. Under `torchrun` or `accelerate launch` every process
    takes its share of the chunks, and the main process joins the shards. (On several machines the
    output must lie where all of them can read it.) Nobody else can write the output meanwhile.

    Args:
        model: A model folder or a Hub repository.
        texts: See `read_texts`.
        output: The file to write; one that exists is replaced in the end.
        text_column: See `read_texts`.
        rows: How the output looks. Defaults to JSON lines without the texts.
        exact: Compute all in float32, where otherwise a copy in bf16 is asked first; see
            `SentimentPredictor`.
        chunk_size: Texts that are sorted by length together and then recorded as done.

    Returns:
        Whether this is the main process, which has written the output.

    Raises:
        BatchError: If there is the beginning of another job.
        LockedError: If another process is writing this output; the message says which.
        OSError: If there is no such model or file.
        ReviewError: If a text cannot be read.
    """
    rows = rows or Rows()
    if chunk_size < 1:
        raise BatchError(f"chunk_size must be 1 or more; got {chunk_size}")
    processes = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    count, own = processes.num_processes, processes.process_index
    output = Path(os.path.realpath(output))
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output}: there is no folder {output.parent}")
    # Under the name of the parts, which no other file has.
    with hold_for_job(f"{output}.part.lock", str(output), bool(processes.is_main_process)):
        texts_digest = file_digest(texts)
        predictor = SentimentPredictor.from_pretrained(
            model, low_precision=not exact, chunk_size=chunk_size
        )
        job = {
            "model": _model_digest(predictor),
            "texts": texts_digest,
            "text_column": text_column,
            "format": rows.format,
            "include_text": rows.include_text,
            "exact": exact,
            "chunk_size": chunk_size,
            "processes": count,
            "version": version("sentiment-lstm"),
        }
        names = (
            [f"{output}.part"]
            if count == 1
            else [f"{output}.part-{i}-of-{count}" for i in range(count)]
        )
        shards = [_Shard(Path(name)) for name in names]
        _refuse_other_jobs(output, job)
        processes.wait_for_everyone()  # before any begins to write

        shard = shards[own]
        done = shard.begin(job, rows.header if processes.is_main_process else "")
        chunks = itertools.islice(
            _chunks(read_texts(texts, text_column=text_column), chunk_size),
            own + done * count,
            None,
            count,
        )
        with tqdm(unit=" reviews", initial=done * chunk_size, disable=None) as progress:
            for chunk in chunks:
                shard.append("".join(map(rows.row, chunk, predictor.predict(chunk))))
                progress.update(len(chunk))
        processes.wait_for_everyone()
        if processes.is_main_process:
            _join(shards, output)
    return bool(processes.is_main_process)


class _Shard:
    """What one process has written, and the manifest of it.

    Args:
        path: Of the shard.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path.with_name(path.name + ".manifest")

    def read(self) -> tuple[dict[str, Any] | None, list[int]]:
        """Which job this is the beginning of, if of any, and where each piece ends.

        The first piece is the header, in which there may be nothing; then come the chunks.
        """
        lines = self._whole_lines().decode().splitlines()
        return (json.loads(lines[0]) if lines else None), [int(line) for line in lines[1:]]

    def begin(self, job: dict[str, Any], header: str) -> int:
        """Begin the job or resume it; returns how many chunks are done."""
        _, ends = self.read()
        if not ends or not self.path.exists() or self.path.stat().st_size < ends[-1]:
            self.path.write_bytes(b"")
            self.manifest.write_text(json.dumps(job) + "\n", encoding="utf-8")
            self.append(header)
            return 0
        os.truncate(self.manifest, len(self._whole_lines()))
        os.truncate(self.path, ends[-1])
        return len(ends) - 1

    def _whole_lines(self) -> bytes:
        """The manifest, less a line that was being written when the process was stopped."""
        content = self.manifest.read_bytes() if self.manifest.exists() else b""
        return content[: content.rfind(b"\n") + 1]

    def append(self, piece: str) -> None:
        """Write one piece and then, when it is on the disk, where it ends."""
        with open(self.path, "ab") as shard:
            shard.write(piece.encode())
            shard.flush()
            os.fsync(shard.fileno())
            end = shard.tell()
        with open(self.manifest, "a", encoding="utf-8") as manifest:
            manifest.write(f"{end}\n")
            manifest.flush()
            os.fsync(manifest.fileno())

    def pieces(self) -> Iterator[bytes]:
        """The pieces of a finished shard."""
        with open(self.path, "rb") as shard:
            start = 0
            for end in self.read()[1]:
                yield shard.read(end - start)
                start = end


def _refuse_other_jobs(output: Path, job: dict[str, Any]) -> None:
    """Raise unless all that has been begun for this output is this very job."""
    name = glob.escape(output.name)
    if old := sorted(output.parent.glob(f"{name}.part*.job")):
        raise BatchError(
            f"{old[0].with_suffix('')}: the beginning of a job of version 0.1. Delete "
            f"{output}.part* to start anew, or choose another output"
        )
    for pattern in (f"{name}.part.manifest", f"{name}.part-*-of-*.manifest"):
        for manifest in sorted(output.parent.glob(pattern)):
            other, _ = _Shard(manifest.with_suffix("")).read()
            names = [] if other is None else sorted(job.keys() | other.keys())
            differ = [key for key in names if job.get(key) != (other or {}).get(key)]
            if differ:
                raise BatchError(
                    f"{manifest.with_suffix('')}: the beginning of another job (other "
                    f"{', '.join(differ)}). Give that job's command to resume it, choose "
                    f"another output, or delete {output}.part* to start anew"
                )


def _join(shards: list[_Shard], output: Path) -> None:
    """Put the pieces of all shards in order, each process having had every n-th chunk."""
    if len(shards) == 1:
        os.replace(shards[0].path, output)
    else:
        whole = output.with_name(output.name + ".part")
        with open(whole, "wb") as stream:
            pieces = itertools.zip_longest(*[shard.pieces() for shard in shards], fillvalue=b"")
            stream.writelines(itertools.chain.from_iterable(pieces))
        os.replace(whole, output)
    for shard in shards:
        shard.path.unlink(missing_ok=True)
        shard.manifest.unlink()


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(texts)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


def _model_digest(predictor: SentimentPredictor) -> str:
    """What identifies a model wherever it lies: weights, config and tokenizer."""
    model, tokenizer = predictor.model, predictor.tokenizer
    config = {name: value for name, value in model.config.to_dict().items() if name[0] != "_"}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
