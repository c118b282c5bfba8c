"""What a recording proves of a run: its journal, and every message that came from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgpack

from omnistream.errors import PayloadError, RecordingError
from omnistream.message import Message
from omnistream.record.codec import RecordedMessage, decode_record
from omnistream.record.cut import CUT
from omnistream.record.join import JOURNAL, REPEATED, RUN
from omnistream.record.journal import Fired, Opened, firings
from omnistream.record.reader import Recording
from omnistream.record.writer import HEAD

__all__ = ["RunEvidence"]


class RunEvidence:
    """A recording opened for an as-recorded replay.

    Raises RecordingError where it holds no journal, has a hole, or a stream that is not just as it was received (rule 33).
    """

    def __init__(self, file: Recording) -> None:
        self._file = file
        self._attachments = file.attachments
        self._journals = {n.removeprefix(JOURNAL): d for n, d in self._attachments.items() if n.startswith(JOURNAL)}
        run = file.metadata.get(RUN, {})
        if not self._journals and (part := file.metadata.get(CUT)):
            raise RecordingError(
                f"{file.path} is a part of {part.get('file', 'a recording')}, without the journal of its run: "
                "replay it without --as-recorded, or cut one from the very beginning with all streams"
            )
        if not self._journals:
            raise RecordingError(
                f"{file.path} holds no journal: record a live run with --record, or replay it without --as-recorded"
            )
        if run.get("holes"):
            raise RecordingError(
                f"{file.path} has a hole (of worker {run['holes']}; full disk, lost host): replay it without --as-recorded"
            )
        lossy = [t for t in file.streams() if not file.is_lossless(t)]
        if lossy:
            raise RecordingError(f"{file.path}: the stream '{lossy[0]}' is lossy; replay it without --as-recorded")
        try:
            self.seed, self.start_ns = int(run["seed"]), int(run["start_ns"])
            sets: Any = json.loads(file.metadata[HEAD]["sets"])
            if self.seed < 0 or not isinstance(sets, list) or not all(isinstance(s, str) for s in sets):
                raise ValueError("no seed, or no overrides")
            self.sets: list[str] = sets
            threads: Any = json.loads(run.get("threads", "{}"))
            self.threads: dict[str, int] = {str(n): max(1, int(count)) for n, count in dict(threads).items()}
        except (KeyError, ValueError, TypeError) as error:
            raise RecordingError(f"{file.path} does not say how it was run ({error})") from None
        self.digest = run.get("digest", "")

    def rows(self) -> dict[str, list[Opened | Fired]]:
        """The journal by node, through all its lives."""
        found: dict[str, list[Opened | Fired]] = {}
        for name in sorted(self._journals, key=_life):
            try:
                rows: Any = msgpack.unpackb(self._journals[name])
                if not isinstance(rows, list):
                    raise ValueError("it is no list of rows")
            except (ValueError, msgpack.UnpackException) as error:
                raise RecordingError(f"{self._file.path}: the journal of {name} is damaged ({error})") from None
            for row in firings(rows, _life(name)[1]):
                found.setdefault(row.node, []).append(row)
        return found

    def streams(self) -> Sequence[str]:
        return list(self._file.streams())

    def messages(self, stream: str, budget_ns: int) -> Iterator[Message[Any]]:
        """What came from outside on a stream, as it was: in order; then what a killed source began again with."""
        for m in chain(self._file.messages(stream), self._repeated(stream)):
            cause = m.stamp_ns if m.cause_ns is None else m.cause_ns
            lineage = {stream: m.stamp_ns} if m.lineage is None else m.lineage
            origin = m.origin or (stream, m.epoch, m.seq)
            yield Message(stream, m.epoch, m.seq, origin, m.stamp_ns, cause, cause + budget_ns, lineage, m.payload, m.start_ns)

    def _repeated(self, stream: str) -> Iterator[RecordedMessage]:
        try:
            held: Any = msgpack.unpackb(self._attachments.get(REPEATED, b"\x90"))
            for topic, stamp, data in held:
                if topic == stream:
                    yield decode_record(data, stamp)
        except (ValueError, TypeError, msgpack.UnpackException, PayloadError) as error:
            raise RecordingError(f"{self._file.path}: what it holds of killed sources is damaged ({error})") from None


def _life(name: str) -> tuple[str, int]:
    worker, _, incarnation = name.rpartition(".")
    return worker, int(incarnation) if incarnation.isdecimal() else 0
