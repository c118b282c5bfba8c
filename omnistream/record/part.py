"""Recording a live run: each life of a worker keeps what its sources brought and what its nodes did in a spool of its own.

A frame of a spool is a tag and a body: ``M`` a message (a msgpack [stream, stamp, payload type, seq, tap], then the
record), ``J`` a journal row. The recorder takes them from there into the file (record/scribe.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self
from zlib import crc32

import msgpack
import numpy as np

from omnistream.coded import Coded, Group
from omnistream.errors import RecordingError
from omnistream.flow.cell import Cell, Firing
from omnistream.message import Message, VideoFrame
from omnistream.record.codec import CodedFrame, RecordedMessage, record_buffers
from omnistream.record.journal import Out, chains_of, reads_of
from omnistream.record.spool import SEGMENT_BYTES, Spool, apart, read_frames, segments

__all__ = ["ABOUT", "DONE", "PartRecorder"]

#: In the run's directory while it is recorded: what the run is, for whoever has to make the file without it.
ABOUT = "record.json"
#: And how far the file has come.
DONE = "recorded.json"

_log = logging.getLogger("omnistream.record")


class Options(Protocol):
    """What a recorder wants to know of a run's options (engine/options.py)."""

    @property
    def run_dir(self) -> str: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def record_streams(self) -> tuple[str, ...]: ...
    @property
    def record_queue(self) -> int: ...
    @property
    def record_packets(self) -> bool: ...


@dataclass(slots=True)
class _Hole:
    """Messages of a stream that were not kept: the last of them, and how many."""

    epoch: int
    seq: int
    stamp: int
    count: int = 0


class PartRecorder:
    """What one life of a worker keeps. All of it is with the operating system before an effect of it leaves.

    `streams` are those to be kept; without them, all that comes from outside. With more than `queue` bytes that nobody has
    taken yet, messages are not kept: that is a hole, and its rows say from where to where. A disk that is full ends the
    recording, with a line in the log, and not the run. With `packets` a frame is kept as what it was decoded from, if its
    source says so.
    """

    def __init__(
        self, run_dir: str, worker: str, incarnation: int, streams: Sequence[str] = (), queue: int = 0,
        segment_bytes: int = SEGMENT_BYTES, packets: bool = False,
    ) -> None:  # fmt: skip
        self._dir, self._worker, self._incarnation = Path(run_dir), worker, incarnation
        self._streams, self._queue, self._packets = frozenset(streams), queue, packets
        self._sent: dict[str, tuple[Group, int]] = {}
        self._told: set[tuple[str, str]] = set()
        self._chains: dict[str, bytes] = {}
        self._holes: dict[str, _Hole] = {}
        self._behind = False
        self._spool: Spool | None = None
        try:
            self._chains = self._left_chains()
            self._spool = Spool(run_dir, f"{worker}.{incarnation}", self._preface, segment_bytes)
        except OSError as error:
            if not incarnation:
                raise RecordingError(f"{run_dir}: nothing can be recorded there ({error.strerror})") from None
            self._broke_off(error)

    @classmethod
    def of(cls, options: Options, worker: str) -> Self:
        """One for a worker that is told these options."""
        streams, queue, packets = options.record_streams, options.record_queue, options.record_packets
        return cls(options.run_dir, worker, options.incarnation, streams, queue, packets=packets)

    def taps(self, stream: str) -> bool:
        """Whether an output of a node is to be kept, which is no source's."""
        return stream in self._streams

    def message(
        self, message: Message[Any], bound_ns: int | None, clock_source: str, *, tap: bool = False, coded: Coded | None = None
    ) -> None:
        """A message as it left a source, or an external node; or, with `tap`, any other that is to be kept."""
        m = message
        if (self._streams and m.stream not in self._streams) or not self._room(m):
            return
        cause = None if m.cause_ns == m.stamp_ns else m.cause_ns
        lineage = None if m.lineage == {m.stream: m.stamp_ns} else m.lineage
        payload = m.payload if coded is None or not self._packets else self._coded(m.stream, m.payload, coded)
        record = RecordedMessage(
            m.stamp_ns, m.start_ns, payload, bound_ns, m.epoch, m.seq, clock_source, m.origin, cause, lineage
        )
        head = _packed((m.stream, m.stamp_ns, type(m.payload).__name__, m.seq, tap))
        self._append(b"M", head, *record_buffers(record))

    def _coded(self, stream: str, frame: VideoFrame, coded: Coded) -> VideoFrame | CodedFrame:
        """A frame as the packets that have come with it since the last one that was kept; as it is where there are none."""
        group, at = coded.group, coded.at
        if group is None:
            if (stream, coded.why) not in self._told:
                self._told.add((stream, coded.why))
                _log.warning("%s is recorded as pixels without loss, not as the camera sends it: %s", stream, coded.why)
            return frame
        last, sent = self._sent.get(stream, (None, -1))
        first = sent + 1 if last is group else 0
        self._sent[stream] = group, at
        packets = tuple(group.packets[first : at + 1])
        return CodedFrame(group.codec, group.number, at, packets, coded.look, crc32(np.ascontiguousarray(frame.image).data))

    def began(self, start_ns: int) -> None:
        """The run has begun."""
        self._row("b", start_ns)

    def opened(self, node: str) -> None:
        self._row("o", node)

    def fired(self, cell: Cell, firing: Firing, outs: Sequence[Out], fate: str) -> None:
        """A firing, before its outputs leave. `fate` is empty while it goes on: `more` and `ended` follow."""
        variant = (firing.variant,) if firing.variant else ()
        self._row("f", cell.name, firing.t, reads_of(cell, firing), outs, fate, *variant)

    def more(self, node: str, outs: Sequence[Out]) -> None:
        self._row("g", node, outs)

    def ended(self, node: str, fate: str) -> None:
        self._row("e", node, fate)

    def consumed(self, cell: Cell, firing: Firing, fate: str, chain: bytes, void: Sequence[int]) -> None:
        """A sink's firing, before it is written; `chain` is the sink's digest with it."""
        self._chains[cell.name] = chain
        self._row("s", cell.name, firing.t, reads_of(cell, firing), fate, chain, void)

    def chain(self, sink: str) -> bytes:
        """A sink's digest as the last life of its worker left it; empty where none did."""
        return self._chains.get(sink, b"")

    def _left_chains(self) -> dict[str, bytes]:
        """The sinks' digests as earlier lives of the worker left them: each segment begins with them."""
        found: dict[str, bytes] = {}
        if self._incarnation:
            missing = apart(self._dir)
            for (worker, incarnation), paths in segments(self._dir).items():
                if worker == self._worker and incarnation < self._incarnation and (worker, incarnation) not in missing:
                    for path in paths:
                        with suppress(FileNotFoundError), path.open("rb") as file:
                            found.update(chains_of(d[1:] for _, d in read_frames(file, b"J")))
        return found

    def _preface(self) -> tuple[bytes, ...]:
        return (b"J", _packed(("c", self._chains))) if self._chains else ()

    # -- holes -------------------------------------------------------------------------------------

    def _room(self, message: Message[Any]) -> bool:
        """Whether a message can be kept. If not, or if it is the first that can be again, a row says so."""
        if not self._queue or self._spool is None:
            return True
        m, hole = message, self._holes.get(message.stream)
        waiting = self._spool.waiting()
        self._behind = waiting > (self._queue // 2 if self._behind else self._queue)
        if self._behind:
            if hole is None:
                _log.warning("the recorder is %d MB behind: messages of %s are not kept", waiting >> 20, m.stream)
                hole = self._holes[m.stream] = _Hole(m.epoch, m.seq, m.stamp_ns)
                self._row("h", m.stream, m.epoch, m.seq, m.stamp_ns)
            hole.epoch, hole.seq, hole.stamp = m.epoch, m.seq, m.stamp_ns
            hole.count += 1
            return False
        if hole is not None:
            self._end_hole(m.stream)
        return True

    def _end_hole(self, stream: str) -> None:
        hole = self._holes.pop(stream)
        self._row("k", stream, hole.epoch, hole.seq, hole.stamp, hole.count)

    # -- the spool ---------------------------------------------------------------------------------

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
            for stream in list(self._holes):
                self._end_hole(stream)
        if self._spool is not None:
            self._spool.close()
            self._spool = None


def _packed(value: Any) -> bytes:
    return msgpack.packb(value)  # type: ignore[return-value]
