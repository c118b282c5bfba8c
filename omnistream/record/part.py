"""Recording a live run: each life of a worker keeps what its sources brought and what its nodes did in a spool of its own.

A frame of a spool is a tag and a body: ``M`` a message (a msgpack [stream, stamp, payload type, seq, tap], then the
record), ``J`` a journal row. The recorder takes them from there into the file (record/scribe.py).
"""

from __future__ import annotations

import logging
import os
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
from omnistream.record.spool import HOLE, SEGMENT_BYTES, Spool, apart, read_frames, segments

__all__ = ["ABOUT", "BOX", "DONE", "ENDED", "PartRecorder"]

#: In the run's directory while it is recorded: what the run is, for whoever has to make the file without it.
ABOUT = "record.json"
#: And how far the file has come.
DONE = "recorded.json"
#: And, once it has, how the run ended.
ENDED = "ended.json"
#: The folder of a black box's ring: in the run's shared memory, or here where there is none.
BOX = "box"

#: Room that each worker takes beforehand, to say in it that there is none.
_SPARE, _SPARE_BYTES = ".spare", 4096
#: After the disk was full, at least so many bytes have to be free, or so many times what did not fit.
_ROOM, _ROOMY = 64 << 10, 4

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


@dataclass(slots=True)
class _Gap:
    """What was not kept of a worker since its disk was full: so much room has to be there before anything is again."""

    from_ns: int
    wanted: int
    count: int = 0
    told: bool = False


class PartRecorder:
    """What one life of a worker keeps. All of it is with the operating system before an effect of it leaves.

    `streams` are those to be kept; without them, all that comes from outside. With more than `queue` bytes that nobody has
    taken yet, messages are not kept: that is a hole, and its rows say from where to where. While the disk of `run_dir` is
    full nothing is kept of this worker, which is a hole, too, with a line in the log; the run goes on. With `packets` a
    frame is kept as what it was decoded from, if its source says so.
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
        self._behind = self._closed = False
        self._gap: _Gap | None = None
        self._now_ns = self._gaps = 0
        self._running: set[str] = set()  # nodes whose journal has the beginning of a firing, and not its end
        self._segment_bytes = segment_bytes
        self._spare = Path(run_dir, f"{worker}.{incarnation}{_SPARE}")
        self._spool: Spool | None = None
        try:
            self._chains = self._left_chains()
            self._spool = self._make_spool()
            self._take_spare()
        except OSError as error:
            if not incarnation:
                raise RecordingError(f"{run_dir}: nothing can be recorded there ({error.strerror})") from None
            self._begin_gap(error, 0)

    def _make_spool(self) -> Spool:
        return Spool(self._dir, f"{self._worker}.{self._incarnation}", self._preface, self._segment_bytes)

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
        if self._streams and m.stream not in self._streams:
            return
        self._now_ns = max(self._now_ns, m.stamp_ns)
        if not self._disk_has_room():
            assert self._gap is not None
            self._gap.count += 1
            return
        if not self._room(m):
            return
        cause = None if m.cause_ns == m.stamp_ns else m.cause_ns
        lineage = None if m.lineage == {m.stream: m.stamp_ns} else m.lineage
        payload, at = (m.payload, None) if coded is None or not self._packets else self._coded(m.stream, m.payload, coded)
        record = RecordedMessage(
            m.stamp_ns, m.start_ns, payload, bound_ns, m.epoch, m.seq, clock_source, m.origin, cause, lineage
        )
        head = _packed((m.stream, m.stamp_ns, type(m.payload).__name__, m.seq, tap))
        kept = self._append(b"M", head, *record_buffers(record))
        if kept and at is not None:
            self._sent[m.stream] = at
        elif not kept and self._gap is not None:
            self._gap.count += 1

    def _coded(self, stream: str, frame: VideoFrame, coded: Coded) -> tuple[VideoFrame | CodedFrame, tuple[Group, int] | None]:
        """A frame as the packets that have come with it since the last one that was kept, and how far that is; as it is
        where there are none."""
        group, at = coded.group, coded.at
        if group is None:
            if (stream, coded.why) not in self._told:
                self._told.add((stream, coded.why))
                _log.warning("%s is recorded as pixels without loss, not as the camera sends it: %s", stream, coded.why)
            return frame, None
        last, sent = self._sent.get(stream, (None, -1))
        first = sent + 1 if last is group else 0
        packets = tuple(group.packets[first : at + 1])
        crc = crc32(np.ascontiguousarray(frame.image).data)
        return CodedFrame(group.codec, group.number, at, packets, coded.look, crc), (group, at)

    def began(self, start_ns: int) -> None:
        """The run has begun."""
        self._row("b", start_ns)

    def opened(self, node: str) -> None:
        self._row("o", node)

    def fired(self, cell: Cell, firing: Firing, outs: Sequence[Out], fate: str) -> None:
        """A firing, before its outputs leave. `fate` is empty while it goes on: `more` and `ended` follow."""
        variant = (firing.variant,) if firing.variant else ()
        self._now_ns = max(self._now_ns, firing.t)
        self._running.discard(cell.name)
        if self._row("f", cell.name, firing.t, reads_of(cell, firing), outs, fate, *variant) and not fate:
            self._running.add(cell.name)

    def more(self, node: str, outs: Sequence[Out]) -> None:
        if node in self._running:
            self._row("g", node, outs)

    def ended(self, node: str, fate: str) -> None:
        if node in self._running:
            self._row("e", node, fate)
            self._running.discard(node)

    def consumed(self, cell: Cell, firing: Firing, fate: str, chain: bytes, void: Sequence[int]) -> None:
        """A sink's firing, before it is written; `chain` is the sink's digest with it."""
        self._chains[cell.name] = chain
        self._now_ns = max(self._now_ns, firing.t)
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

    def _row(self, *row: Any) -> bool:
        return self._disk_has_room() and self._append(b"J", _packed(row))

    def _append(self, *parts: bytes | memoryview) -> bool:
        """Whether it is kept."""
        if self._spool is None or self._gap is not None:
            return False
        try:
            self._spool.append(*parts)
        except OSError as error:
            self._begin_gap(error, sum(map(len, parts)))
            return False
        return True

    # -- a disk that is full -----------------------------------------------------------------------

    def _begin_gap(self, error: OSError, size: int) -> None:
        """Nothing is kept until there is room for several of what there was none for."""
        self._gaps += 1
        if _is_round(self._gaps):
            text = "there is no room in %s (%s): nothing of worker %s is recorded until there is"
            _log.error(text, self._dir, error.strerror, self._worker)
        self._gap = _Gap(self._now_ns, max(_ROOMY * size, _ROOM))
        self._tell_gap()

    def _tell_gap(self) -> None:
        """Say from where on, in the room that was set aside for it; a file's name says it where that is gone, too. And
        end the segment, so that the recorder can let it go."""
        assert self._gap is not None
        with suppress(OSError):
            self._spare.unlink(missing_ok=True)
            self._say_gap(self._gap)
        with suppress(OSError):
            if not self._gap.told:
                self._hole().touch()
            if self._spool is not None:
                self._spool.turn_over()

    def _disk_has_room(self) -> bool:
        """Whether things are kept; where they were not, and can be again, a row says so."""
        gap = self._gap
        if gap is None:
            return True
        if self._closed:
            return False
        try:
            self._spool = self._spool or self._make_spool()
            if not self._has_free(gap.wanted):
                self._spool.turn_over()
                return False
            self._take_spare()
            self._say_gap(gap)
            self._spool.append(b"J", _packed(("c", self._chains)))
            self._spool.append(b"J", _packed(("y", self._now_ns, gap.count)))
            self._hole().unlink(missing_ok=True)
        except OSError:
            return False
        if _is_round(self._gaps):
            text = "there is room in %s again: worker %s is recorded; %d messages were not"
            _log.warning(text, self._dir, self._worker, gap.count)
        self._gap = None
        return True

    def _say_gap(self, gap: _Gap) -> None:
        if not gap.told and self._spool is not None:
            self._spool.append(b"J", _packed(("x", gap.from_ns)))
            gap.told = True

    def _has_free(self, wanted: int) -> bool:
        try:
            there = os.statvfs(self._dir)
        except OSError:
            return False
        return there.f_bavail * there.f_frsize >= wanted

    def _take_spare(self) -> None:
        fd = os.open(self._spare, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _SPARE_BYTES)
        finally:
            os.close(fd)

    def _hole(self) -> Path:
        return Path(self._dir, f"{self._worker}.{self._incarnation}{HOLE}")

    def close(self) -> None:
        """Nothing is kept from now on. Idempotent."""
        if self._spool is not None and not self._closed:
            for stream in list(self._holes):
                self._end_hole(stream)
            self._disk_has_room()
        self._closed = True
        self._spare.unlink(missing_ok=True)
        if self._spool is not None:
            self._spool.close()
            self._spool = None


def _is_round(count: int) -> bool:
    """Of what happens again and again, 1, 2, 4, ... are told."""
    return count & (count - 1) == 0


def _packed(value: Any) -> bytes:
    return msgpack.packb(value)  # type: ignore[return-value]
