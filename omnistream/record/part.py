"""Recording a live run: each life of a worker keeps what its sources brought and what its nodes did in a part of its own.

A frame of a part is a tag and a body: ``M`` a message (a msgpack [stream, stamp], then the record), ``J`` a journal row.
At the end the parts become one file (record/join.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from omnistream.errors import RecordingError
from omnistream.flow.cell import Cell, Firing
from omnistream.message import Message
from omnistream.record.codec import RecordedMessage, record_buffers
from omnistream.record.journal import Fired, Out, firings, reads_of
from omnistream.record.spool import Spool, read_frames

__all__ = ["ABOUT", "PartRecorder"]

#: In the run's directory while it is recorded: what the run is, for whoever has to make the file without it.
ABOUT = "record.json"

_log = logging.getLogger("omnistream.record")


class PartRecorder:
    """What one life of a worker keeps. All of it is with the operating system before an effect of it leaves.

    A disk that is full ends the recording, with a line in the log, and not the run; the file then says that it has a hole.
    """

    def __init__(self, run_dir: str, worker: str, incarnation: int) -> None:
        self._dir, self._worker, self._incarnation = Path(run_dir), worker, incarnation
        self._spool: Spool | None = None
        try:
            self._spool = Spool(_path(self._dir, worker, incarnation))
        except OSError as error:
            if not incarnation:
                raise RecordingError(f"{run_dir}: nothing can be recorded there ({error.strerror})") from None
            self._broke_off(error)

    def message(self, message: Message[Any], bound_ns: int | None, clock_source: str) -> None:
        """A message as it left a source, or an external node."""
        m = message
        cause = None if m.cause_ns == m.stamp_ns else m.cause_ns
        lineage = None if m.lineage == {m.stream: m.stamp_ns} else m.lineage
        record = RecordedMessage(
            m.stamp_ns, m.start_ns, m.payload, bound_ns, m.epoch, m.seq, clock_source, m.origin, cause, lineage
        )
        self._append(b"M", _packed((m.stream, m.stamp_ns)), *record_buffers(record))

    def began(self, start_ns: int) -> None:
        """The run has begun."""
        self._row("b", start_ns)

    def opened(self, node: str) -> None:
        self._row("o", node)

    def fired(self, cell: Cell, firing: Firing, outs: Sequence[Out], fate: str) -> None:
        """A firing, before its outputs leave. `fate` is empty while it goes on: `more` and `ended` follow."""
        self._row("f", cell.name, firing.t, reads_of(cell, firing), outs, fate)

    def more(self, node: str, outs: Sequence[Out]) -> None:
        self._row("g", node, outs)

    def ended(self, node: str, fate: str) -> None:
        self._row("e", node, fate)

    def consumed(self, cell: Cell, firing: Firing, fate: str, chain: bytes, void: Sequence[int]) -> None:
        """A sink's firing, before it is written; `chain` is the sink's digest with it."""
        self._row("s", cell.name, firing.t, reads_of(cell, firing), fate, chain, void)

    def chain(self, sink: str) -> bytes:
        """A sink's digest as the last life of its worker left it; empty where none did."""
        for incarnation in range(self._incarnation - 1, -1, -1):
            last = b""
            path = _path(self._dir, self._worker, incarnation)
            if path.exists():
                with path.open("rb") as file:
                    for row in firings((d[1:] for _, d in read_frames(file, b"J")), incarnation):
                        if isinstance(row, Fired) and row.node == sink and row.chain:
                            last = bytes.fromhex(row.chain)
            if last:
                return last
        return b""

    def _row(self, *row: Any) -> None:
        self._append(b"J", _packed(row))

    def _append(self, *parts: bytes | memoryview) -> None:
        if self._spool is None:
            return
        try:
            self._spool.append(*parts)
        except OSError as error:
            self._broke_off(error)

    def _broke_off(self, error: OSError) -> None:
        _log.error("the recording ends here: %s", error.strerror)
        with suppress(OSError):
            Path(self._dir, f"{self._worker}.{self._incarnation}.hole").touch()
        self.close()

    def close(self) -> None:
        """Nothing is kept from now on. Idempotent."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None


def _packed(value: Any) -> bytes:
    return msgpack.packb(value)  # type: ignore[return-value]


def _path(run_dir: Path, worker: str, incarnation: int) -> Path:
    return run_dir / f"{worker}.{incarnation}.part"
