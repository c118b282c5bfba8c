"""The recorder: takes what workers spool into the file, while they do, and lets the spools go once it is safely there.

It is a process of its own (record/recorder.py); whatever dies, another scribe goes on from what the last one said was done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgpack

from omnistream.errors import PayloadError, RecordingError
from omnistream.flow.ledger import Row
from omnistream.message import INFINITY
from omnistream.record.about import About
from omnistream.record.black_box import PIECE_NS, Ring, ring_folder
from omnistream.record.codec import CodedFrame, RecordedMessage, decode_record, encode_record
from omnistream.record.done import Done, Hole, Made, only_one
from omnistream.record.identity import RUN_ID, run_of
from omnistream.record.packets import Groups, PacketReader
from omnistream.record.part import DONE
from omnistream.record.progress import Progress, read_progress
from omnistream.record.spool import HOLE
from omnistream.record.tail import Life, Tail
from omnistream.record.writer import JOURNAL, RUN, TAP, RecordingWriter

__all__ = ["REPEATED", "Scribe"]

#: Attachments of what does not rise: a source that was killed may begin again at stamps that it had given already.
REPEATED = "repeated/"
#: So many bytes are taken before what is done is written down.
_STRIDE = 4 << 20
_DAMAGED = "its spool was damaged"
_NO_ROOM = "there was no room in the folder for temporary files (TMPDIR)"


class Scribe:
    """One recording. `turn` takes what is there, `finish` all of it, and ends the file.

    With `remove`, segments that are safely in the file are removed, and how far it has come stands in the run's directory,
    from where another scribe goes on. `stepped` is called after each step of what may take long. Raises RecordingError
    where the file cannot be written; nothing is lost by that, and a new scribe may try again.
    """

    def __init__(self, run_dir: str, about: About, *, remove: bool) -> None:
        self.about = about
        self._dir, self._remove = Path(run_dir), remove
        self._done = Done()
        self._writer: RecordingWriter | None = None
        self._rows: dict[str, list[bytes]] = {}
        self._taken = 0
        self._groups = Groups()
        self._head = 0  # so many bytes of the file are what its first frames depend on, and no reason to end it
        self._lock = only_one(self._dir) if remove else -1
        self._ring = Ring(ring_folder(self._dir), about.keep) if about.keep.box_ns else None
        try:
            if remove and (self._dir / DONE).exists():
                self._go_on()
        except BaseException:
            os.close(self._lock)
            raise
        self._progress = Progress(self._dir / DONE)
        self.stepped: Callable[[], None] = lambda: None
        self._tail = Tail(self._dir, self._done.places)

    def _go_on(self) -> None:
        """Where the last scribe was. What it wrote since it last said so is cut off, and made again from the spools."""
        try:
            self._done = Done.of(json.loads(read_progress(self._dir / DONE)))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RecordingError(f"{self._dir / DONE} does not say how far the recording has come ({error})") from None
        done, path = self._done, self._path(self._done.number)
        if self._ring is not None:
            self._ring.written = done.written
        if done.made or not done.size:
            return
        run = run_of(path)
        if run is None and not (path.exists() and path.stat().st_size):
            done.holes.append(Hole("all streams", done.began_ns, done.now_ns, 0, f"{path} was removed"))
            done.size = done.count = 0
            return
        if run != self.about.run or path.stat().st_size < done.size:
            raise RecordingError(
                f"{path} is there already, and is not what was recorded: another run's, or cut; move it, and the recording "
                "goes on where it was, or make another file of what is left: omnistream record recover --to FILE.mcap"
            )
        self._writer = self._open(path, resume=True)
        if self._writer.size < done.size:
            done.holes.append(Hole("all streams", self._writer.end_ns, done.now_ns, 0, f"{path} was damaged"))
        self._writer.hold()
        self._writer.find(self._groups)

    # -- while it goes on --------------------------------------------------------------------------

    def turn(self, *, last: bool = False) -> bool:
        """Take what is there. Whether there was anything."""
        if self._done.made:
            return False
        before = self._tail.places()
        for life, frame in self._tail.frames(last=last):
            self._note_breaks(life)
            self._take(life, frame)
            self._taken += len(frame)
            if self._taken > _STRIDE or self._is_over():
                self._settle()
        for life in self._tail.lives.values():
            self._note_breaks(life)
        if self._tail.places() != before or self._rows:
            self._settle()
            return True
        return False

    def _note_breaks(self, life: Life) -> None:
        """Where a segment was damaged there is a hole, from what was taken last to what is taken next."""
        if life.breaks:
            what, since = f"worker {life.name}", self._done.seen.get(life.name, self._done.start_ns)
            self._done.open.setdefault(what, Hole(what, since, since, 0, _DAMAGED))
            life.breaks = 0

    def _take(self, life: Life, frame: bytes) -> None:
        if frame[:1] == b"J":
            self._take_row(life, frame[1:])
            return
        unpacker = msgpack.Unpacker(use_list=False)
        unpacker.feed(frame[1:1025])
        stream, stamp, kind, seq, tap = unpacker.unpack()
        data = bytes(memoryview(frame)[1 + unpacker.tell() :])
        done = self._done
        done.seen[life.name] = stamp
        writer = self._begun(stamp)
        broken = done.open.get(f"worker {life.name}")
        if broken is not None and broken.why == _DAMAGED:
            self._done.end_hole(broken.what, stamp, 0)
        record = self._decoded(stream, stamp, data) if writer.encodes(kind) else None
        if record is not None and isinstance(record.payload, CodedFrame) and not self._groups.take(stream, record):
            why = "packets of its video were lost, up to the next key frame"
            hole = done.open.get(stream) or Hole(stream, stamp, stamp, 0, why)
            done.open[stream] = replace(hole, count=hole.count + 1)
            return
        for what in [w for w in done.open if w == stream or _is_of_earlier(w, life)]:  # the worker died in it
            done.end_hole(what, stamp, done.open[what].count)
        if stamp > done.last.get(stream, -1):
            about = {TAP: life.worker} if tap else {}
            if record is not None:
                writer.write(stream, record, about)
            else:
                writer.write_record(stream, kind, stamp, seq, data, about)
            done.last[stream] = stamp
            done.now_ns = max(done.now_ns, stamp)
        else:
            if record is not None and isinstance(record.payload, CodedFrame):
                writer.write(stream, replace(record, payload=replace(record.payload, look=None)))  # for those after it
                record = self._decoded_alone(stream, record)
                if record is None:
                    return
                data = encode_record(record)
            done.repeated += 1
            writer.attach(f"{REPEATED}{done.repeated}", msgpack.packb((stream, stamp, data)), "application/msgpack")  # type: ignore[arg-type]
        done.count += 1

    def _decoded(self, stream: str, stamp: int, data: bytes) -> RecordedMessage:
        try:
            return decode_record(data, stamp, ours=True)
        except PayloadError as error:
            raise RecordingError(f"{self._dir}: a message of '{stream}' is damaged: {error}") from None

    def _decoded_alone(self, stream: str, record: RecordedMessage) -> RecordedMessage | None:
        """A message with its pixels, as it lies beside the others and so without the packets before it; None is a hole."""
        try:
            return PacketReader(f"{self._dir}: '{stream}'").shown(self._groups.whole(stream, record))
        except RecordingError as error:
            self._done.holes.append(Hole(stream, record.stamp_ns, record.stamp_ns, 1, str(error)))
            return None

    def _take_row(self, life: Life, row: bytes) -> None:
        kind = row[1:3]
        if kind in (b"\xa1b", b"\xa1h", b"\xa1k", b"\xa1x", b"\xa1y"):
            match msgpack.unpackb(row, use_list=False):
                case ("b", int() as start):
                    self._begun(start)
                case ("h", str() as stream, int() as epoch, int() as seq, int() as stamp):
                    why = f"the recorder was behind from message {seq} of life {epoch} on"
                    self._done.open[stream] = Hole(stream, stamp, stamp, 0, why)
                case ("k", str() as stream, int(), int(), int() as stamp, int() as count):
                    self._done.end_hole(stream, stamp, count)
                case ("x", int() as stamp):
                    before = self._done.seen.get(f"{life.worker}.{life.incarnation - 1}", self._done.start_ns)
                    hole = Hole(f"worker {life.name}", stamp or before, stamp or before, 0, _NO_ROOM)
                    self._done.open.setdefault(hole.what, hole)
                case ("y", int() as stamp, int() as count):
                    self._done.end_hole(f"worker {life.name}", stamp, count)
                case _:
                    pass
        elif kind != b"\xa1c":
            self._rows.setdefault(life.name, []).append(row)
            if kind in (b"\xa1f", b"\xa1s"):
                self._done.seen[life.name] = _time_of(row) or self._done.seen.get(life.name, self._done.start_ns)

    def _begun(self, start_ns: int) -> RecordingWriter:
        """The file, which is made when it is known when the run began."""
        if self._writer is None:
            self._done.start_ns = self._done.start_ns or start_ns
            self._next_file(start_ns)
        assert self._writer is not None
        return self._writer

    def _next_file(self, start_ns: int) -> None:
        done, about = self._done, self.about
        done.began_ns, done.now_ns = start_ns, max(done.now_ns, start_ns)
        path = self._path(done.number)
        if self._ring is None:
            self._make_way(path)
        self._writer = self._open(path, resume=False)
        self._writer.hold()
        self._writer.metadata(RUN, self._words())
        self._writer.attach("graph.yaml", about.text.encode(), "application/yaml")
        for stream, head in self._groups.heads(done.now_ns):
            self._writer.write(stream, head)
        self._writer.flush()
        self._head = self._writer.size

    def _make_way(self, path: Path) -> None:
        """Where a file is that is not ours, it is let be, unless it was said that it may go. Of such all pieces go at once."""
        about = self.about
        if about.overwrite and self._done.number == 1:
            for other in about.pieces():
                if other != path and run_of(other) not in (None, about.run):
                    other.unlink(missing_ok=True)
        elif run_of(path) not in (None, about.run):
            raise RecordingError(f"{path} is there already, and is not this run's; move it, or name another file")

    def _open(self, path: Path, *, resume: bool) -> RecordingWriter:
        about = self.about
        said = {"graph": about.graph, "file": about.file, "sets": json.dumps(about.sets), "sources": json.dumps(about.sources)}
        video = "foxglove" if about.keep.video == "compact" else "exact"
        return RecordingWriter(
            path, start_ns=self._done.began_ns, video=video, audio="foxglove", preset="superfast",
            metadata=said | dict(about.words) | {RUN_ID: about.run}, resume=resume, size=self._done.size,
        )  # fmt: skip

    def _path(self, number: int) -> Path:
        return self._ring.path(number, self._done.began_ns) if self._ring is not None else self.about.numbered(number)

    def _words(self) -> dict[str, str]:
        done, about = self._done, self.about
        words = {"seed": str(about.seed), "start_ns": str(done.start_ns), "left_out": json.dumps(about.left_out)}
        words["threads"] = json.dumps(dict(about.threads))
        return words | ({"number": str(done.number), "of": Path(about.path).name} if about.keep.rotates else {})

    def _settle(self) -> None:
        """Give to the operating system what was taken, say so, and let the spools go."""
        self.stepped()
        self._taken = 0
        self._write_rows()
        if self._writer is None:
            return
        self._writer.flush()
        self._say()
        if self._is_over():
            self._turn_over()

    def _is_over(self) -> bool:
        """Whether the file is as long or as large as one is to be."""
        if self._writer is None:
            return False
        keep, done = self.about.keep, self._done
        every = PIECE_NS if self._ring is not None else keep.rotate_ns
        old = bool(every) and done.now_ns - done.began_ns >= every
        most = self._ring.piece if self._ring is not None else keep.rotate_bytes
        return old or bool(most and self._writer.size - self._head >= most)

    def _turn_over(self) -> None:
        """End the file, and begin the next."""
        assert self._writer is not None
        if self._ring is None:
            said = {"next": str(self._done.number + 1), "next_from_ns": str(self._not_before())}
            self._writer.metadata(RUN, self._words() | said)
        self._writer.close()
        self._done.number += 1
        self._next_file(self._done.now_ns)
        if self._ring is not None:
            self._ring.trim(self._done.now_ns)
        self._say()

    def _not_before(self) -> int:
        """No worker that goes on has anything to come from before that."""
        seen, lives = self._done.seen, self._tail.lives
        newest = {life.name: (life.worker, life.incarnation + 1) not in lives for life in lives.values()}
        return min((stamp for name, stamp in seen.items() if newest.get(name)), default=self._done.start_ns)

    # -- the black box -----------------------------------------------------------------------------

    def write_box(self, why: Sequence[str]) -> str:
        """What led to this, as a file of its own, without what an earlier one holds. Empty where nothing is new."""
        self.turn()
        if self._ring is None or self._writer is None:
            return ""
        self._turn_over()
        written = self._ring.write(Path(self.about.path), self._done.number, why, self.stepped)
        self._done.written = self._ring.written
        if written is None:
            return ""
        self._done.boxes.append(str(written[0]))
        self._done.boxed += written[1]
        self._say()
        return str(written[0])

    def _write_rows(self) -> None:
        if self._writer is None:
            return
        for name, rows in self._rows.items():
            packed: Any = msgpack.packb(rows)
            self._writer.write_record(JOURNAL + name, "Journal", self._done.now_ns, 0, packed)
        self._rows.clear()

    def _say(self) -> None:
        if not self._remove or self._writer is None:
            return
        self._done.size, self._done.places = self._writer.size, self._tail.places()
        try:
            self._progress.say(self._done.as_json())
        except OSError as error:
            raise RecordingError(f"{self._dir / DONE} cannot be written ({error.strerror})") from error
        self._tail.remove_read()

    # -- the end -----------------------------------------------------------------------------------

    def finish(self, start_ns: int, rows: Sequence[Mapping[str, Any]], run: Mapping[str, Any] | None = None) -> Made:
        """Take the rest, and end the file, with the ledger's `rows`. `run` is said of all of it, such as its digest."""
        if self._done.made:
            return Made.of(self._done.made)
        self.turn(last=True)
        writer = self._begun(start_ns or self._done.now_ns)
        self._settle()
        done = self._done
        end_ns = max(done.now_ns, int((run or {}).get("end_ns", 0)))
        holes = [*done.holes, *(replace(h, to_ns=end_ns) for h in done.open.values()), *self._broken(end_ns)]
        lost = [Row(h.to_ns, h.what, "not_recorded", count=h.count, detail=f"{h.why}, from {h.from_ns} ns on") for h in holes]
        writer = self._writer or writer
        writer.attach("ledger.json", json.dumps([*rows, *(r.as_dict() for r in lost)]).encode(), "application/json")
        words = self._words() | {k: str(v) for k, v in (run or {}).items()} | {"last": "yes"}
        writer.metadata(RUN, words | ({"holes": json.dumps([asdict(h) for h in holes])} if holes else {}))
        place = writer.place()
        writer.close()
        made = self._made(holes, place)
        done.made = asdict(made)
        if self._remove:
            with suppress(OSError):  # without it, the next one would end the file again
                self._progress.say(done.as_json())
        self.close()
        if not made.files and self._ring is None:
            raise RecordingError(f"{made.notes[-1]}: nothing is left of its recording")
        return made

    def _made(self, holes: list[Hole], place: Path | None) -> Made:
        """What there is by now; the last file is at `place`."""
        done = self._done
        if self._ring is not None:
            return Made(done.boxes, done.boxed, holes)
        files: list[str] = []
        notes: list[str] = []
        for number in range(1, done.number + 1):
            path = self.about.numbered(number)
            there = place if number == done.number else path if run_of(path) == self.about.run else None
            if there is not None:
                files.append(str(there))
            if there != path:
                how = f"moved to {there}" if there is not None else "deleted" if number == done.number else "moved or deleted"
                notes.append(f"{path} was {how} during the run")
        return Made(files, done.count, holes, notes)

    def _broken(self, end_ns: int) -> list[Hole]:
        """Lives of which a part is missing: their disk was full, or their host was lost."""
        found = sorted(p.name.removesuffix(HOLE) for p in self._dir.glob(f"*{HOLE}"))
        why = "its disk was full, or its host was lost"
        return [Hole(f"worker {name}", self._done.seen.get(name, self._done.start_ns), end_ns, 0, why) for name in found]

    def close(self) -> None:
        """Leave everything as it is. Idempotent."""
        self._tail.close()
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _time_of(row: bytes) -> int:
    """When a firing was; 0 where the row is damaged, which who reads it will say."""
    with suppress(ValueError, TypeError, IndexError, msgpack.UnpackException):
        time = msgpack.unpackb(row, use_list=False)[2]
        return time if isinstance(time, int) and 0 < time < INFINITY else 0
    return 0


def _is_of_earlier(what: str, life: Life) -> bool:
    """Whether a hole is of an earlier life of the worker."""
    worker, _, incarnation = what.removeprefix("worker ").rpartition(".")
    return what.startswith("worker ") and worker == life.worker and int(incarnation) < life.incarnation
