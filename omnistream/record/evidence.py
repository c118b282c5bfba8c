"""What a recording proves of a run: its journal, and every message that came from outside."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from omnistream.errors import PayloadError, RecordingError
from omnistream.message import SECOND, Message
from omnistream.record.codec import RecordedMessage, decode_record
from omnistream.record.cut import CUT
from omnistream.record.identity import RUN_ID, run_of
from omnistream.record.journal import Fired, Opened, firings
from omnistream.record.reader import Recording
from omnistream.record.scribe import REPEATED
from omnistream.record.writer import HEAD, RUN

__all__ = ["RunEvidence"]


class RunEvidence:
    """A recording opened for an as-recorded replay. A run in several files is opened by its first, and goes on in the rest.

    Raises RecordingError where it holds no journal, does not begin where the run did, has a hole before `until_ns`, or a
    stream that is not just as it was received (rule 33).
    """

    def __init__(self, file: Recording, until_ns: int | None = None, *, partial: bool = False) -> None:
        """`partial`: not all that came from outside will be needed; what is, `require` is asked for."""
        self._file = file
        following, self._gap = _following(file)
        self._files = [file, *following]
        run = file.metadata.get(RUN, {})
        self._journals: dict[str, list[bytes]] = {}
        for one in self._files:
            for name, rows in one.journals().items():
                self._journals.setdefault(name, []).extend(rows)
        if not self._journals and (part := file.metadata.get(CUT)):
            raise RecordingError(
                f"{file.path} is a part of {part.get('file', 'a recording')}, without the journal of its run: "
                "replay it without --as-recorded, or cut one from the very beginning with all streams"
            )
        if not self._journals:
            raise RecordingError(
                f"{file.path} holds no journal: record a live run with --record, or replay it without --as-recorded"
            )
        self._check_whole(run, until_ns)
        if not partial:
            self.require(None)
        try:
            self.seed, self.start_ns = int(run["seed"]), int(run["start_ns"])
            sets: Any = json.loads(file.metadata[HEAD]["sets"])
            if self.seed < 0 or not isinstance(sets, list) or not all(isinstance(s, str) for s in sets):
                raise ValueError("no seed, or no overrides")
            self.sets: list[str] = sets
            threads: Any = json.loads(run.get("threads", "{}"))
            self.threads: dict[str, int] = {str(n): max(1, int(count)) for n, count in dict(threads).items()}
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise RecordingError(f"{file.path} does not say how it was run ({error})") from None
        self.end_ns = max(one.end_ns for one in self._files)
        self.digest = self._files[-1].metadata.get(RUN, {}).get("digest", "")
        #: The graph file as it was run.
        self.graph = file.attachments.get("graph.yaml", b"").decode(errors="replace")

    def _check_whole(self, run: Any, until_ns: int | None) -> None:
        """That nothing is missing which a replay as recorded needs."""
        path, instead = self._file.path, "replay it without --as-recorded"
        if run.get("middle"):
            raise RecordingError(f"{path} is of a black box: what the nodes had seen before is not in it; {instead}")
        if run.get("number", "1") != "1":
            first = _numbered(path, 1)
            raise RecordingError(
                f"{path} is file {run['number']} of a run: what its nodes had seen before is in those before it; replay {first}"
            )
        try:
            holes = [_hole(h) for h in _listed(self._files[-1].metadata.get(RUN, {}).get("holes", "[]"))]
            start = int(run.get("start_ns", 0))
        except (KeyError, ValueError, TypeError) as error:
            raise RecordingError(f"{path} does not say what is missing in it ({error}); {instead}") from None
        for hole in sorted(holes, key=lambda h: h["from_ns"]):
            if until_ns is None or hole["from_ns"] <= until_ns:
                span = f"{(hole['from_ns'] - start) / SECOND:.3f} s to {(hole['to_ns'] - start) / SECOND:.3f} s of the run"
                count = f" ({hole['count']} messages)" if hole.get("count") else ""
                raise RecordingError(f"{path} has a hole: {hole['what']} from {span}{count}, for {hole['why']}; {instead}")
        gap = self._gap
        if gap is not None and (until_ns is None or gap.from_ns <= until_ns):
            since = (gap.from_ns - start) / SECOND
            raise RecordingError(
                f"{path}: {gap.why}: what was read from {since:.3f} s of the run on is not here; put it there, ask for "
                f"what comes before (--to), or {instead}"
            )

    def require(self, streams: Collection[str] | None) -> None:
        """That these streams from outside (None: all) are here as they were received. Raises RecordingError."""
        path, instead = self._file.path, "replay it without --as-recorded"
        left_out = _listed(self._file.metadata.get(RUN, {}).get("left_out", "[]"))
        for stream in left_out:
            if streams is None or stream in streams:
                raise RecordingError(f"{path}: the stream '{stream}' was not recorded (`record: streams:`); {instead}")
        for one in self._files:
            lossy = [t for t in one.streams() if not one.is_lossless(t) and not one.is_tap(t)]
            lossy = [t for t in lossy if streams is None or t in streams]
            if lossy:
                raise RecordingError(
                    f"{path}: the stream '{lossy[0]}' is lossy (`video: compact`): its frames are not those that "
                    f"the nodes were given; {instead}"
                )

    def rows(self) -> dict[str, list[Opened | Fired]]:
        """The journal by node, through all its lives."""
        found: dict[str, list[Opened | Fired]] = {}
        for name in sorted(self._journals, key=_life):
            for row in firings(self._journals[name], _life(name)[1]):
                found.setdefault(row.node, []).append(row)
        return found

    def streams(self) -> Sequence[str]:
        """Those that came from outside."""
        return list(dict.fromkeys(t for one in self._files for t in one.streams() if not one.is_tap(t)))

    def taps(self) -> Sequence[str]:
        """Those that nodes gave of themselves, recorded to be looked at, of which nothing is lost."""
        lossy = {t for one in self._files for t in one.streams() if not one.is_lossless(t)}
        return list(dict.fromkeys(t for one in self._files for t in one.streams() if one.is_tap(t) and t not in lossy))

    def messages(self, stream: str, budget_ns: int) -> Iterator[Message[Any]]:
        """What came from outside on a stream, as it was: in order; then what a killed source began again with."""
        for m in self._every(stream):
            cause = m.stamp_ns if m.cause_ns is None else m.cause_ns
            lineage = {stream: m.stamp_ns} if m.lineage is None else m.lineage
            origin = m.origin or (stream, m.epoch, m.seq)
            yield Message(stream, m.epoch, m.seq, origin, m.stamp_ns, cause, cause + budget_ns, lineage, m.payload, m.start_ns)

    def _every(self, stream: str) -> Iterator[RecordedMessage]:
        for one in self._files:
            if stream in one.streams():
                yield from one.messages(stream)
        for one in self._files:
            yield from _repeated(one, stream)

    def close(self) -> None:
        """The files after the first; that one belongs to whoever opened it."""
        for one in self._files[1:]:
            one.close()


@dataclass(frozen=True, slots=True)
class _Gap:
    """A file that is missing in a row of them; what comes from `from_ns` on may have been in it."""

    from_ns: int
    why: str


def _following(file: Recording) -> tuple[list[Recording], _Gap | None]:
    """The files that a rotated recording goes on in, up to its end or to where one is missing."""
    found: list[Recording] = []
    run, one = file.metadata.get(HEAD, {}).get(RUN_ID, ""), file
    since = file.start_ns
    while (said := one.metadata.get(RUN, {})).get("number") == str(len(found) + 1) and not said.get("last"):
        after = _numbered(file.path, len(found) + 2)
        is_ours = run_of(after) == run
        if not said.get("next", "").isdecimal():
            return found, _Gap(since, f"{one.path.name} is not whole, and the run goes on in {after.name}") if is_ours else None
        since = int(said["next_from_ns"]) if said.get("next_from_ns", "").isdecimal() else one.start_ns
        if not is_ours:
            what = "is of another run" if after.exists() else "is missing"
            return found, _Gap(since, f"the run goes on in {after.name}, which {what}")
        try:
            one = Recording(after)
        except RecordingError as error:
            return found, _Gap(since, str(error))
        found.append(one)
    return found, None


def _numbered(path: Path, number: int) -> Path:
    """The file of another number beside one ("run.0001.mcap")."""
    return path.with_name(f"{Path(path.stem).stem}.{number:04d}{path.suffix}")


def _repeated(file: Recording, stream: str) -> Iterator[RecordedMessage]:
    held = {name: data for name, data in file.attachments.items() if name.startswith(REPEATED)}
    try:
        for name in sorted(held, key=lambda n: int(n.removeprefix(REPEATED))):
            topic, stamp, data = msgpack.unpackb(held[name])
            if topic == stream:
                yield decode_record(data, stamp)
    except (ValueError, TypeError, msgpack.UnpackException, PayloadError) as error:
        raise RecordingError(f"{file.path}: what it holds of killed sources is damaged ({error})") from None


def _listed(text: str) -> list[Any]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _hole(said: Any) -> dict[str, Any]:
    """A hole as it is written down. Raises KeyError, ValueError or TypeError for what is none."""
    if not isinstance(said, dict):
        raise TypeError(f"{str(said)[:40]!r} is no hole")
    times = {name: int(said[name]) for name in ("from_ns", "to_ns")}
    return times | {"what": str(said["what"]), "why": str(said["why"]), "count": int(said.get("count") or 0)}


def _life(name: str) -> tuple[str, int]:
    worker, _, incarnation = name.rpartition(".")
    return worker, int(incarnation) if incarnation.isdecimal() else 0
