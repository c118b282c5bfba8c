"""Recording a live run: each worker writes its own sources' messages to a part; the parts become one file at the end."""

from __future__ import annotations

import heapq
import json
import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError
from omnistream.flow.ledger import Row
from omnistream.graph.graph import Graph
from omnistream.message import Message
from omnistream.node import Emit
from omnistream.record.codec import RecordedMessage
from omnistream.record.reader import Recording
from omnistream.record.writer import RecordingWriter

__all__ = ["PartRecorder", "join_parts"]

_log = logging.getLogger("omnistream.record")
_QUEUE = 2000


class PartRecorder:
    """Called with every message that a source gave a seq. A thread writes; a full queue is counted, and the file says so."""

    def __init__(self, run_dir: str, worker: str, incarnation: int) -> None:
        self._path = Path(run_dir, f"{worker}.{incarnation}.mcap")
        self._queue: queue.Queue[tuple[Message[Any], int, str] | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._write, name="record", daemon=True)
        self.lost = 0
        self._thread.start()

    def __call__(self, message: Message[Any], emit: Emit[Any], bound: int) -> None:
        try:
            self._queue.put_nowait((message, bound, emit.clock_source))
        except queue.Full:
            self.lost += 1

    def _write(self) -> None:
        writer: RecordingWriter | None = None
        try:
            while (item := self._queue.get()) is not None:
                message, bound, clock_source = item
                if writer is None:
                    writer = RecordingWriter(self._path, start_ns=message.stamp_ns)
                writer.write_message(message, bound, clock_source)
        except RecordingError as error:
            _log.error("the recording ends here: %s", error)
        finally:
            if writer is not None:
                if self.lost:
                    writer.metadata("holes", {"messages": str(self.lost)})
                writer.close()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(10)


def _stamped(recording: Recording, topic: str) -> Iterator[tuple[int, str, RecordedMessage]]:
    for message in recording.messages(topic):
        yield message.stamp_ns, topic, message


def join_parts(run_dir: str, path: str, graph: Graph, start_ns: int, rows: Sequence[Row]) -> int:
    """All parts of a run as one file, with the graph and the ledger inside; the number of messages.

    Raises RecordingError where the file cannot be written.
    """
    parts = [Recording(p) for p in sorted(Path(run_dir).glob("*.mcap"))]
    count = 0
    metadata = {"graph": graph.name, "file": graph.file, "sets": json.dumps(graph.sets), "sources": json.dumps(graph.sources)}
    with RecordingWriter(path, start_ns=start_ns, metadata=metadata) as writer:
        streams = [_stamped(part, topic) for part in parts for topic in part.streams()]
        for _, topic, message in heapq.merge(*streams, key=lambda entry: entry[:2]):
            writer.write(topic, message)
            count += 1
        writer.attach("graph.yaml", graph.text.encode(), "application/yaml")
        writer.attach("ledger.json", json.dumps([r.as_dict() for r in rows]).encode(), "application/json")
    for part in parts:
        part.close()
    return count
