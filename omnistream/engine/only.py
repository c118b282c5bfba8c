"""One node again, as it is today, on what the run gave it, compared firing by firing with what the run's node gave.

What it read is in the recording, or what stands before it is had again as it was recorded. What the run's node gave is known
from the journal: on which outputs, how many, with which stamps. Their contents are known where the recording holds that stream,
or where the node as the recording describes it (its options have been changed since) gives again what the journal says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from omnistream.clock import perf_ns
from omnistream.engine.as_recorded import AsRecorded, Evidence
from omnistream.engine.rerun import Key, Rerun
from omnistream.engine.seen import Watch
from omnistream.engine.step import outputs_of
from omnistream.errors import DifferenceError, RecordingError
from omnistream.flow.cell import Firing
from omnistream.graph.graph import Graph, NodeInfo, Plan
from omnistream.graph.suggest import did_you_mean
from omnistream.link.wire import pack
from omnistream.message import INFINITY, Message
from omnistream.observe.brief import brief
from omnistream.observe.outcome import Outcome
from omnistream.record.compare import fields_apart
from omnistream.record.golden import plain_message
from omnistream.record.journal import Fired, Opened
from omnistream.tensor import hollow

__all__ = ["Apart", "OnlyOne"]


@dataclass(frozen=True, slots=True)
class Apart:
    """A firing that does not give what it gave in the run, and a line for each difference."""

    t: int
    firing: int
    lines: Sequence[str]


class OnlyOne(AsRecorded):
    """The replay of `name`. `apart` are the firings that differ; `basis` says in a sentence what they were compared with.

    `then` is the node as the recording describes it, where that is not as it is today.
    """

    def __init__(
        self, plan: Plan, evidence: Evidence, name: str, then: NodeInfo | None = None,
        span: tuple[int, int] = (-INFINITY, INFINITY), pace: float | None = None, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        info = plan.graph.nodes.get(name)
        if info is None:
            raise RecordingError(
                f"--only {name}: there is no node '{name}'{did_you_mean(name, plan.graph.nodes, 'the nodes:')}"
            )
        if info.role != "node":
            raise RecordingError(f"--only {name}: '{name}' is a {info.role}; name a node that has inputs and outputs")
        if name not in evidence.rows():
            raise RecordingError(f"--only {name}: the run had no node '{name}'; it had {', '.join(sorted(evidence.rows()))}")
        self.name, self.then, self._taps = name, then, frozenset(evidence.taps())
        names, streams = _needed(plan.graph, name, {*evidence.streams(), *self._taps})
        evidence.require(streams)
        super().__init__(plan, evidence, span, pace, watch, names, streams & self._taps)

    def rerun_of(self, info: NodeInfo, rows: deque[Opened | Fired], threads: int) -> Rerun:
        if info.name != self.name:
            return super().rerun_of(info, rows, threads)
        self.tried = _Tried(self, info, rows, threads)
        return self.tried

    async def run(self) -> Outcome:
        try:
            return await super().run()
        finally:
            if self.tried.twin is not None:
                await self.tried.twin.close()

    def recorded(self, stream: str) -> bool:
        """Whether the recording holds what the run's node gave there."""
        return stream in self.bringing or stream in self._taps

    @property
    def apart(self) -> Sequence[Apart]:
        return self.tried.apart

    @property
    def basis(self) -> str:
        tried = self.tried
        if any(self.recorded(f"{self.name}.{out}") for out in tried.info.outputs):
            return "compared with what the recording holds of its outputs"
        if tried.twin is not None:
            return "compared with the node as the recording describes it, which gives what the journal says"
        changed = "the node as the recording describes it gives something else today; " if self.then is not None else ""
        return f"{changed}which outputs came, and when, is compared: the recording holds no contents of them"


def _needed(graph: Graph, name: str, held: Collection[str]) -> tuple[set[str], set[str]]:
    """The nodes to be rerun for this one, and the streams that are taken from the recording: what it `held` needs no rerun."""
    names, streams, todo = {name}, set[str](), [name]
    while todo:
        for port in graph.nodes[todo.pop()].inputs:
            for stream in port.streams:
                source = stream.rpartition(".")[0]
                if stream in held or graph.nodes[source].role == "source":
                    streams.add(stream)
                elif source not in names:
                    names.add(source)
                    todo.append(source)
    return names, streams


class _Tried(Rerun):
    """The node as it is today."""

    def __init__(self, replay: OnlyOne, info: NodeInfo, rows: deque[Opened | Fired], threads: int) -> None:
        super().__init__(replay, info, rows, threads)
        self.only = replay
        self.apart: list[Apart] = []
        self.twin: Rerun | None = None
        if replay.then is not None:
            self.twin = Rerun(replay, replay.then, deque(rows), threads)
        streams = [s for s in (f"{info.name}.{out}" for out in info.outputs) if replay.recorded(s)]
        self._coming = {s: replay.evidence.messages(s, replay.graph.budget_ns) for s in streams}

    def wants(self) -> Iterator[Key]:
        yield from super().wants()
        if self.twin is not None:
            yield from self.twin.wants()

    async def fire(self) -> Any:
        if self.twin is not None:
            try:
                await self.twin.fire()
            except DifferenceError:
                await self.twin.close()
                self.twin = None
        return await super().fire()

    def external_of(self, node: Any) -> bool:
        """An external node is asked again: that is what it was named for."""
        del node
        return False

    async def _step(self, row: Fired, firing: Firing) -> None:
        assert self.step is not None
        ctx = self.ctx
        ctx.now, ctx.cause, ctx.deadline = firing.t, firing.cause, firing.deadline
        ctx.variant = self.variant_of(row)
        self._named = {out: deque(o for o in row.outs if o[0] == out) for out in self.info.outputs}
        self.replay.keep_to(self.threads)
        started = perf_ns()
        failure = ""
        try:
            await self.step.wait(firing.args, self._give)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        self.durations.append(perf_ns() - started)
        lines = list(self._compare(row, failure))
        if lines:
            self.apart.append(Apart(firing.t, self.firings, lines))

    async def _give(self, result: Any) -> None:
        """What it emits bears the stamps of the run's, as far as there were as many (rule 9: stamps are the runtime's)."""
        assert self.cell is not None
        for out, payload, start in outputs_of(self.output, result) if result is not None else ():
            pack(hollow(payload))
            port = self.cell.outs[out]
            if self._named[out]:
                _, port.seq, port.bound = self._named[out].popleft()
            message = self.cell.emit(out, payload, start)
            self.outs.append(message)
            if self.twin is None and not self.only.recorded(message.stream):
                self.replay.keep(message)  # for those that stand before it and after it, too (feedback)

    def _compare(self, row: Fired, failure: str) -> Iterator[str]:
        then = {
            out: [self._then(out, seq, i) for i, (o, seq, _) in enumerate(row.outs) if o == out] for out in self.info.outputs
        }
        now = {out: [m for m in self.outs if m.stream == f"{self.info.name}.{out}"] for out in self.info.outputs}
        if (row.fate == "error") != bool(failure) and row.fate:
            yield f"it failed: {failure}" if failure else "it does not fail, as it did in the run"
        for out in self.info.outputs:
            for number in range(max(len(then[out]), len(now[out]))):
                here = now[out][number] if number < len(now[out]) else None
                if number >= len(then[out]):
                    if row.fate and here is not None:
                        yield f"{out}: the run gave nothing; now {self._text(here)}"
                elif here is None:
                    before = then[out][number]
                    yield f"{out}: nothing now; the run gave {'a message' if before is None else self._text(before)}"
                elif (before := then[out][number]) is not None:
                    yield from (f"{out}: {line}" for line in self._fields(before, here))

    def _fields(self, then: Message[Any], here: Message[Any]) -> Iterator[str]:
        inexact = self.info.inexact
        if type(then.payload) is not type(here.payload):
            yield f"the run gave {self._text(then)}; now {self._text(here)}"
            return
        for name, a, b in fields_apart(plain_message(then, inexact), plain_message(here, inexact), inexact):
            yield f"{name} was {a}, now {b}"

    def _text(self, message: Message[Any]) -> str:
        return brief(message.payload, self.replay.evidence.start_ns)

    def _then(self, out: str, seq: int, place: int) -> Message[Any] | None:
        """What the run's node gave, if that can be known."""
        stream = f"{self.info.name}.{out}"
        if stream in self._coming:
            for message in self._coming[stream]:
                if (message.epoch, message.seq) == (self.life, seq):
                    return message
            return None
        if self.twin is not None:
            return self.twin.outs[place] if place < len(self.twin.outs) else None
        return None
