"""What came of each try: survived, or a fault with its reason."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from .commands import Ended

_T = TypeVar("_T")
_ERROR = "sentiment-lstm: error: "
_TRACES = re.compile(
    r"Traceback \(most recent call last\)|This is a bug of|panicked at|core dumped"
)


@dataclass(frozen=True)
class Fault:
    """What was not as promised.

    Args:
        outcome: `lost`: work is gone, or a command does not end or cannot be resumed; `wrong`: it
            ends with something else than it should, or says nothing of use; `tracebacks`: it
            ends in a way that nobody has foreseen.
        reason: In a line.
    """

    outcome: Literal["lost", "wrong", "tracebacks"]
    reason: str


@dataclass
class Tally:
    """How often a kind of fault was tried, and what came of it.

    Args:
        kind: What was done, and to what: a row of the table.
        note: Why nothing was tried.
    """

    kind: str
    note: str = ""
    tried: int = 0
    seconds: float = 0.0
    faults: list[tuple[str, Fault]] = field(default_factory=list)

    def add(self, what: str, fault: Fault | None) -> None:
        """Count a try.

        Args:
            what: How to do it again.
            fault: What was not as promised, if anything.
        """
        self.tried += 1
        if fault is not None:
            self.faults.append((what, fault))
            sys.stderr.write(f"\r  {self.kind}: {fault.outcome}: {what}: {fault.reason}\n")
        if self.tried % 50 == 0:
            sys.stderr.write(f"  {self.kind}: {self.tried} tried, {len(self.faults)} faults\n")

    @contextmanager
    def timed(self) -> Iterator[Tally]:
        """Count the seconds."""
        started = time.perf_counter()
        try:
            yield self
        finally:
            self.seconds += time.perf_counter() - started

    def row(self) -> dict[str, Any]:
        """What is printed and kept."""
        counts = {name: 0 for name in ("lost", "wrong", "tracebacks")}
        for _, fault in self.faults:
            counts[fault.outcome] += 1
        return {
            "kind": self.kind,
            "tried": self.tried,
            "survived": self.tried - len(self.faults),
            **counts,
            "seconds": round(self.seconds, 1),
            "note": self.note,
        }


def unforeseen(ended: Ended) -> Fault | None:
    """What no command may ever do: hang, crash, or show where it failed."""
    if ended.too_long:
        return Fault("lost", f"had not ended after {ended.seconds:.0f} s")
    if ended.too_large:
        return Fault("lost", f"took {ended.megabytes} MB of memory")
    if ended.code < 0:
        return Fault("tracebacks", f"ended by signal {-ended.code}: {_last(ended)}")
    if _TRACES.search(ended.error):
        return Fault("tracebacks", _last(ended))
    return None


def refused(ended: Ended, names: Sequence[str] = ()) -> Fault | None:
    """Whether a command that was given something bad has said so as promised.

    Args:
        ended: What it did.
        names: What its line has to name, one of them at least.

    Returns:
        What was wrong: it ended in another way than with 1 and one line on standard error.
    """
    if fault := unforeseen(ended):
        return fault
    lines = [line for line in ended.error.splitlines() if line.startswith(_ERROR)]
    if ended.code != 1 or len(lines) != 1 or not ended.error.endswith(f"{lines[0]}\n"):
        return Fault("wrong", f"exit code {ended.code} and no single last line: {_last(ended)}")
    if names and not any(name in lines[0] for name in names):
        return Fault("wrong", f"names none of {', '.join(names)}: {_last(ended)}")
    return None


def succeeded(ended: Ended) -> Fault | None:
    """Whether a command that had nothing to complain of has ended well."""
    if fault := unforeseen(ended):
        return fault
    if ended.code != 0:
        return Fault("lost", f"exit code {ended.code}: {_last(ended)}")
    return None


def sample(items: Sequence[_T], tries: int | None) -> list[_T]:
    """All items, or so many of them at even distances, the first and the last among them."""
    if tries is None or tries >= len(items):
        return list(items)
    if tries == 1:
        return [items[len(items) // 2]]
    return [items[index * (len(items) - 1) // (tries - 1)] for index in range(tries)]


def _last(ended: Ended) -> str:
    lines = ended.error.strip().splitlines() or ["nothing on standard error"]
    return lines[-1][:300]
