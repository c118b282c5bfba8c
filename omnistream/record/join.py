"""The parts of a run as one file: at its end, or afterwards, where the run was killed before it came to that."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgpack

from omnistream.errors import RecordingError
from omnistream.flow.ledger import Row
from omnistream.graph.graph import Graph
from omnistream.record.codec import RecordedMessage, decode_record, encode_record
from omnistream.record.part import ABOUT
from omnistream.record.spool import read_frames
from omnistream.record.writer import RecordingWriter

__all__ = ["JOURNAL", "REPEATED", "RUN", "About", "join_parts", "recover"]

#: Attachments that hold journals are called "journal/WORKER.INCARNATION".
JOURNAL = "journal/"
#: The attachment of what does not rise: a source that was killed may begin again at stamps that it had given already.
REPEATED = "repeated"
#: The metadata of the run as a whole.
RUN = "run"


@dataclass(frozen=True)
class About:
    """What is recorded, and into which file."""

    path: str
    graph: str
    file: str
    text: str
    sets: tuple[str, ...]
    sources: tuple[str, ...]
    seed: int = 0
    threads: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, path: str, seed: int, threads: Mapping[str, int] | None = None) -> Self:
        """`threads` says of each node how many its model has."""
        where = str(Path(path).absolute())
        return cls(where, graph.name, graph.file, graph.text, tuple(graph.sets), tuple(graph.sources), seed, threads or {})

    def leave(self, run_dir: str) -> None:
        Path(run_dir, ABOUT).write_text(json.dumps(asdict(self)))

    @classmethod
    def found(cls, run_dir: Path) -> Self:
        """Raises RecordingError where it is damaged."""
        try:
            said: dict[str, Any] = json.loads((run_dir / ABOUT).read_text())
            path, graph, file, text = (str(said[k]) for k in ("path", "graph", "file", "text"))
            sets, sources = tuple(map(str, said["sets"])), tuple(map(str, said["sources"]))
            return cls(path, graph, file, text, sets, sources, int(said["seed"]), dict(said.get("threads", {})))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RecordingError(f"{run_dir / ABOUT} does not say what was recorded ({error})") from None


def join_parts(run_dir: str, about: About, start_ns: int, rows: Sequence[Row], run: Mapping[str, Any] | None = None) -> int:
    """All parts of a run as one file, with the graph, the journal and the ledger inside; the number of messages.

    `run` is said of the run as a whole, such as its digest. Raises RecordingError where the file cannot be written.
    """
    try:
        return _join(run_dir, about, start_ns, rows, run or {})
    except BaseException:
        Path(about.path).unlink(missing_ok=True)  # half a file would pass for all of it
        raise


def _join(run_dir: str, about: About, start_ns: int, rows: Sequence[Row], run: Mapping[str, Any]) -> int:
    count = 0
    metadata = {"graph": about.graph, "file": about.file, "sets": json.dumps(about.sets), "sources": json.dumps(about.sources)}
    holes = sorted(p.stem for p in Path(run_dir).glob("*.hole"))
    with ExitStack() as stack:
        parts = {p.stem: stack.enter_context(p.open("rb")) for p in sorted(Path(run_dir).glob("*.part"))}
        writer = stack.enter_context(RecordingWriter(about.path, start_ns=start_ns, metadata=metadata))
        streams: list[Iterator[tuple[int, str, RecordedMessage]]] = []
        journals: dict[str, bytes] = {}
        for name, file in parts.items():
            places, journal = _places(file)
            journals[name] = msgpack.packb(journal)  # type: ignore[assignment]
            streams += [_messages(file, found, stream) for stream, found in places.items()]
        last: dict[str, int] = {}
        repeated: list[Any] = []
        for stamp, stream, message in heapq.merge(*streams, key=lambda entry: entry[:2]):
            if stamp > last.get(stream, -1):
                writer.write(stream, message)
                last[stream] = stamp
            else:
                repeated.append((stream, stamp, encode_record(message)))
            count += 1
        writer.attach("graph.yaml", about.text.encode(), "application/yaml")
        writer.attach("ledger.json", json.dumps([r.as_dict() for r in rows]).encode(), "application/json")
        if repeated:
            writer.attach(REPEATED, msgpack.packb(repeated), "application/msgpack")  # type: ignore[arg-type]
        for name, journal_bytes in journals.items():
            writer.attach(JOURNAL + name, journal_bytes, "application/msgpack")
        words = {k: str(v) for k, v in run.items()} | {
            "seed": str(about.seed),
            "start_ns": str(start_ns),
            "threads": json.dumps(dict(about.threads)),
        }
        writer.metadata(RUN, words | ({"holes": ", ".join(holes)} if holes else {}))
    return count


def recover(run_dir: Path, to: str | None = None) -> tuple[str, int]:
    """The file of a run that could not make it, from the parts in its directory: its path, and the number of messages.

    Raises RecordingError where there is nothing to make it of, or a file is there already.
    """
    about = About.found(run_dir)
    if to is not None:
        about = replace(about, path=str(Path(to).absolute()))
    if Path(about.path).exists() and Path(about.path).stat().st_size:
        raise RecordingError(f"{about.path} is there already; move it, or name another file with --to")
    start_ns = 0
    for part in sorted(run_dir.glob("*.part")):
        with part.open("rb") as file:
            for _, frame in read_frames(file):
                row: Any = msgpack.unpackb(frame[1:]) if frame[:1] == b"J" else None
                if row and row[0] == "b":
                    start_ns = start_ns or row[1]
                    break
    return about.path, join_parts(str(run_dir), about, start_ns, ())


def _places(file: BinaryIO) -> tuple[dict[str, list[tuple[int, int]]], list[bytes]]:
    """Of a part: (stamp, place) of each message by stream, and the journal's rows."""
    places: dict[str, list[tuple[int, int]]] = {}
    journal: list[bytes] = []
    for at, data in read_frames(file):
        if data[:1] == b"M":
            unpacker = msgpack.Unpacker()
            unpacker.feed(data[1:1025])
            stream, stamp = unpacker.unpack()
            places.setdefault(stream, []).append((stamp, at))
        else:
            journal.append(data[1:])
    return places, journal


def _messages(file: BinaryIO, places: Sequence[tuple[int, int]], stream: str) -> Iterator[tuple[int, str, RecordedMessage]]:
    for stamp, at in places:
        file.seek(at)
        _, data = next(read_frames(file))
        unpacker = msgpack.Unpacker()
        unpacker.feed(data[1:])
        unpacker.unpack()
        yield stamp, stream, decode_record(data[1 + unpacker.tell() :], stamp)
