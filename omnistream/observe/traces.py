"""The traces of a run, as they are gathered from its workers: made into spans, and handed to a file and a collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnistream.clock import Clock
from omnistream.message import INFINITY
from omnistream.observe.otlp import OtlpExport
from omnistream.observe.perfetto import TraceFile
from omnistream.observe.spans import HOLD_NS, Spans
from omnistream.observe.tracer import Noted

__all__ = ["Traces"]


class Traces:
    """`look` at the run now and then; `finish` when it has ended. `file` and `export` are told of every span."""

    def __init__(self, clock: Clock, spans: Spans, file: TraceFile | None, export: OtlpExport | None) -> None:
        self._clock, self._spans, self._file, self._export = clock, spans, file, export
        self.count = 0

    def look(self, noted: list[Noted], edges: Mapping[str, Mapping[str, Any]], started_ns: int) -> None:
        """What workers have noted since, which is taken, and how much waits on each edge."""
        now = self._clock.now()
        self._spans.note(noted)
        noted.clear()
        if self._file is not None:
            self._file.begin(started_ns)
            self._file.queues(now, edges)
        self._hand_on(now - HOLD_NS)

    def _hand_on(self, until_ns: int) -> None:
        for span in self._spans.ready(until_ns):
            self.count += 1
            if self._file is not None:
                self._file.add(span)
            if self._export is not None:
                self._export.add(span)
        if self._export is not None:
            self._export.send()

    async def finish(self, events_lost: int) -> list[str]:
        """All that is left; what a summary should say. `events_lost` are those that workers had no room for."""
        self._hand_on(INFINITY)
        said: list[str] = []
        if self._file is not None:
            self._file.close()
            more = f"; {self._file.left_out} events more would not fit" if self._file.left_out else ""
            said.append(f"trace in {self._file.path}: {self.count} spans{more}")
        if self._export is not None:
            await self._export.close()
            lost = f", {self._export.lost} not" if self._export.lost else ""
            said.append(f"spans sent to {self._export.url}: {self._export.sent}{lost}")
        if events_lost:
            said.append(
                f"{events_lost} events of traces were dropped by workers that had no room; sample less with --trace-sample"
            )
        return said
