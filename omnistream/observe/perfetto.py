"""A trace file for ui.perfetto.dev and chrome://tracing: a track for each node, waits on edges, arrows along the cause, queues.

The Chrome trace event format, written as the run goes on: a file that was cut off is read as far as it goes.
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from omnistream.errors import OmniStreamError
from omnistream.graph.graph import Plan
from omnistream.observe.spans import Span

__all__ = ["MOST_BYTES", "TraceFile"]

_log = logging.getLogger("omnistream")
#: A file ends here; what comes later is counted.
MOST_BYTES = 256 << 20


class TraceFile:
    """`add` spans, `queues` now and then, `close`. Raises OmniStreamError where it cannot be written."""

    def __init__(self, path: str, plan: Plan, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self.written = self.left_out = 0
        self._left, self._plan = most_bytes, plan
        self._start = 0
        self._tracks: dict[str, tuple[int, int]] = {}
        self._until: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        try:
            self._file: IO[str] = _open(path)
        except OSError as error:
            raise OmniStreamError(f"--trace {path}: it cannot be written ({error.strerror})") from None
        self._file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        for pid, worker in enumerate(plan.workers, 1):
            self._event(ph="M", name="process_name", pid=pid, tid=0, args={"name": f"worker {worker.name}"})
            for tid, node in enumerate(worker.nodes, 1):
                self._tracks[node] = (pid, tid)
                self._event(ph="M", name="thread_name", pid=pid, tid=tid, args={"name": node})

    def begin(self, start_ns: int) -> None:
        """Times in the file are after this."""
        self._start = start_ns

    def add(self, span: Span) -> None:
        """A source, a step or a sink is a slice on its node's track; a wait is one beside it, and an arrow into the step."""
        pid, tid = self._tracks[span.node]
        args: dict[str, Any] = {"cause_ns": str(span.trace), "fate": span.fate}  # JavaScript's numbers would round it
        if span.key is not None:
            args |= {"stream": span.key[0], "epoch": span.key[1], "seq": span.key[2]}
        if span.kind == "wait":
            self._wait(span, pid, tid, args)
            return
        begin = max(span.begin_ns, self._until.get(span.node, 0))  # a source's next may be captured before its last is sent
        self._until[span.node] = span.end_ns
        args |= {"t": span.t, "age_ms": round((begin - span.trace) / 1e6, 3)}
        self._event(
            ph="X", name=span.name, cat=span.kind, pid=pid, tid=tid, begin=begin, dur=(span.end_ns - begin) / 1e3, args=args
        )

    def _wait(self, span: Span, pid: int, tid: int, args: Mapping[str, Any]) -> None:
        name = span.id.hex()
        for ph, at in (("b", span.begin_ns), ("e", span.end_ns)):
            self._event(ph=ph, name=span.name, cat="wait", id=name, pid=pid, tid=tid, begin=at, args=args if ph == "b" else {})
        if span.fate not in ("consumed", "error"):
            self._event(ph="i", s="t", name=f"lost: {span.fate}", cat="lost", pid=pid, tid=tid, begin=span.end_ns, args=args)
            return
        source = span.name.split("->")[0].rpartition(".")[0]
        if source in self._tracks:
            from_pid, from_tid = self._tracks[source]
            arrow = {"cat": "cause", "name": "cause", "id": name}
            self._event(ph="s", pid=from_pid, tid=from_tid, begin=span.begin_ns - 1, **arrow)
            self._event(ph="f", bp="e", pid=pid, tid=tid, begin=span.end_ns, **arrow)

    def queues(self, at_ns: int, edges: Mapping[str, Mapping[str, Any]]) -> None:
        """How much waits at each edge's sender, where that has changed."""
        for key, edge in edges.items():
            source = key.split("->")[0].rpartition(".")[0]
            if self._pending.get(key, 0) != edge["pending"] and source in self._tracks:
                self._pending[key] = edge["pending"]
                pid = self._tracks[source][0]
                self._event(ph="C", name=f"pending {key}", pid=pid, tid=0, begin=at_ns, args={"messages": edge["pending"]})

    def _event(self, *, begin: int | None = None, **event: Any) -> None:
        if begin is not None:
            event["ts"] = (begin - self._start) / 1e3
        text = json.dumps(event, separators=(",", ":"))
        if len(text) + 2 > self._left:
            self.left_out += 1
            return
        self._left -= len(text) + 2
        try:
            self._file.write(text if not self.written else f",\n{text}")
        except OSError as error:
            self._broke_off(error)
        else:
            self.written += 1

    def _broke_off(self, error: OSError) -> None:
        """Its disk is full, or gone: the run goes on without."""
        _log.error("the trace ends here: %s", error.strerror)
        self._left = 0
        self.left_out += 1

    def close(self) -> None:
        try:
            self._file.write("\n]}\n")
            self._file.close()
        except OSError as error:
            if self._left:
                self._broke_off(error)


def _open(path: str) -> IO[str]:
    return gzip.open(path, "wt") if path.endswith(".gz") else Path(path).open("w")
