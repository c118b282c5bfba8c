"""One node of a live run again, through all its lives: what its journal rows name it is given, and must answer with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from omnistream.clock import SystemClock, perf_ns
from omnistream.engine.contexts import context_of
from omnistream.engine.seen import Seen, reads_of
from omnistream.engine.sink import chained, inexact_of
from omnistream.engine.step import Step, outputs_of
from omnistream.errors import DifferenceError, OmniStreamError, RecordingError
from omnistream.flow.cell import Cell, Firing, OutPort
from omnistream.flow.port import InEdge, Item, Port
from omnistream.flow.ports import make_port
from omnistream.graph.graph import NodeInfo
from omnistream.graph.wiring import wires
from omnistream.link.wire import pack
from omnistream.message import Message
from omnistream.node import Ports, ports_of
from omnistream.observe.outcome import percentiles
from omnistream.record.journal import Fired, Opened, Out
from omnistream.tensor import Carriage, hollow

if TYPE_CHECKING:
    from omnistream.engine.as_recorded import AsRecorded

__all__ = ["Key", "Rerun"]

#: (stream, epoch, seq): which message it is.
Key = tuple[str, int, int]


class Rerun:
    """One node or sink, through all its lives."""

    def __init__(self, replay: AsRecorded, info: NodeInfo, rows: deque[Opened | Fired], threads: int) -> None:
        self.replay, self.info, self.rows, self.threads = replay, info, rows, threads
        self.firings = self.emitted = self.received = 0
        self.durations: list[int] = []
        self.chain = b""
        self.inexact = inexact_of(replay.graph, info)
        self.outs: list[Message[Any]] = []
        self.node: Any = None
        self.external = False
        self.streams: dict[tuple[int, int], str] = {}
        edges: dict[int, list[InEdge]] = {}
        for wire in wires(replay.graph):
            if wire.target == info.name:
                edges.setdefault(wire.port, []).append(InEdge(wire.key, wire.place, wire.config))
                self.streams[wire.port, wire.place] = f"{wire.source}.{wire.output}"
        self.ports: list[Port] = [make_port(p.config, edges[i], p.form) for i, p in enumerate(info.inputs)]
        self.takes_tensors = info.takes_tensors
        self._carriage = Carriage()
        self.life = -1
        self.cell: Cell | None = None
        self.step: Step | None = None

    def wants(self) -> Iterator[Key]:
        """Every message that a row names, as often as one does."""
        for row in self.rows:
            if isinstance(row, Fired):
                yield from self._keys(row)

    def _keys(self, row: Fired) -> Iterator[Key]:
        for port, (_, items) in row.reads.items():
            for edge, epoch, seq, _ in items:
                if (port, edge) not in self.streams:
                    raise RecordingError(f"the recording is of another graph: '{self.info.name}' has no input {port}.{edge}")
                yield self.streams[port, edge], epoch, seq

    def is_ready(self) -> bool:
        if not self.rows:
            return False
        row = self.rows[0]
        return isinstance(row, Opened) or all(self.replay.find(key) is not None for key in self._keys(row))

    def due(self) -> int:
        row = self.rows[0]
        return -1 if isinstance(row, Opened) else row.t

    # -- firing ------------------------------------------------------------------------------------

    async def fire(self) -> Seen | None:
        """Do what the next row says. None for a beginning."""
        row = self.rows.popleft()
        if isinstance(row, Opened):
            await self._open(row.incarnation)
            return None
        if self.cell is None:
            await self._open(0)
        cell = self.cell
        assert cell is not None
        firing = cell.firing = Firing(row.t)
        cell.inherit(firing, [self._taken(i, row) for i in range(len(self.ports))])
        self.firings += 1
        self.received += sum(len(items) for _, items in firing.items)
        self.outs = []
        if self.info.role == "sink":
            self._consume(row, firing)
        elif row.fate != "skipped" and not self.external:
            await self._step(row, firing)
        cell.firing = None
        for key in self._keys(row):
            self.replay.done_with(key)
        return Seen(self.info.name, self.info.role, self.life, firing.t, reads_of(firing), self.outs, row.fate, self.firings)

    def _taken(self, number: int, row: Fired) -> tuple[Port, list[Item] | None]:
        port = self.ports[number]
        port.ended, named = row.reads.get(number, (False, ()))
        items: list[Item] = []
        for edge, epoch, seq, stamp in named:
            message = self.replay.find((self.streams[number, edge], epoch, seq))
            assert message is not None
            message = self._carriage.tensors(message) if self.takes_tensors else self._carriage.arrays(message)
            items.append(Item(port.edges[edge], stamp, message, None, 0))
        return port, items or None

    async def _open(self, incarnation: int) -> None:
        await self.close()
        graph, info = self.replay.graph, self.info
        outs = {o: OutPort(o, f"{info.name}.{o}", incarnation) for o in info.outputs}
        self.cell = Cell(info.name, self.ports, outs, graph.budget_ns)
        self.life = incarnation
        if info.role == "sink":
            return
        node = info.make()
        self.external = self.external_of(node)
        if self.external:
            return
        self.node = node
        self.output: Ports = ports_of(type(node))
        self.step = Step(node.step, generator=self.output.generator, blocking=bool(getattr(node, "blocking", False)))
        rng = np.random.default_rng([self.replay.evidence.seed, crc32(info.name.encode()), incarnation])
        used = {row.variant for row in self.rows if isinstance(row, Fired)}
        self.ctx = context_of(
            info, node, clock=SystemClock(), rng=rng, report=lambda *_: None, start_ns=self.replay.evidence.start_ns,
            threads=self.threads, incarnation=incarnation, variants=tuple(v for v in info.variants if v in used),
        )  # fmt: skip
        self.replay.keep_to(self.threads, anew=True)
        try:
            await node.open(self.ctx)
        except OmniStreamError:
            raise
        except Exception as error:
            what = f"{type(node).__name__} cannot be opened: {type(error).__name__}: {error}"
            raise RecordingError(f"nodes.{info.name}: {what}") from error
        self.replay.keep_to(self.threads, anew=True)

    def external_of(self, node: Any) -> bool:
        """Whether what it gave is played from the recording."""
        return bool(getattr(node, "external", False))

    def variant_of(self, row: Fired) -> str:
        """The one that the run's step was; recordings from before there were any have none, which is the first."""
        known = self.info.variants
        if row.variant and row.variant not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise RecordingError(
                f"'{self.info.name}' was its variant '{row.variant}' in the run, and there is none such; {has}"
            )
        return row.variant or (known[0] if known else "")

    async def _step(self, row: Fired, firing: Firing) -> None:
        assert self.step is not None
        ctx, expected = self.ctx, deque(row.outs)
        ctx.now, ctx.cause, ctx.deadline = firing.t, firing.cause, firing.deadline
        ctx.variant = self.variant_of(row)
        self.replay.keep_to(self.threads)
        started = perf_ns()
        try:
            await self.step.wait(firing.args, lambda result: self._put(result, expected, row))
        except _BrokenOffError:
            expected.clear()
        except RecordingError:
            raise
        except Exception as error:
            broken_off = not row.fate and not expected  # before it failed, or before that was written down
            if row.fate != "error" and not broken_off:
                raise self._differs(row, f"it raised {type(error).__name__}: {error}") from error
        else:
            if row.fate == "error":
                raise self._differs(row, "it did not raise, as it did in the run")
        self.durations.append(perf_ns() - started)
        if expected:
            raise self._differs(row, f"it gave nothing on '{expected[0][0]}', where the run did")

    async def _put(self, result: Any, expected: deque[Out], row: Fired) -> None:
        outs = outputs_of(self.output, result) if result is not None else []
        if outs and not expected and not row.fate:
            raise _BrokenOffError
        if row.fate == "error" and not expected:
            for _, payload, _ in outs:
                pack(hollow(payload))  # which raises for what could not leave the worker, as in the run
        assert self.cell is not None
        for out, payload, start in outs:
            if not expected or expected[0][0] != out:
                raise self._differs(row, f"it gave a {type(payload).__name__} on '{out}', which the run did not")
            _, seq, stamp = expected.popleft()
            port = self.cell.outs[out]
            port.seq, port.bound = seq, stamp
            self.emitted += 1
            message = self.cell.emit(out, payload, start)
            self.outs.append(message)
            self.replay.keep(message)

    def _consume(self, row: Fired, firing: Firing) -> None:
        if row.fate != "consumed":
            return
        for number in row.void:
            if not 0 <= number < len(self.ports):
                raise RecordingError(f"the recording is of another graph: '{self.info.name}' has no input {number}")
            firing.args[self.ports[number].config.name] = None
        self.chain = chained(self.chain, firing, self.inexact)
        self.emitted += sum(len(items) for port, items in firing.items if firing.args[port.config.name] is not None)
        if self.chain.hex() != row.chain:
            raise self._differs(row, "what it consumed is not what it consumed in the run")

    def _differs(self, row: Fired, what: str) -> DifferenceError:
        return DifferenceError(f"'{self.info.name}' at {row.t} ns (life {self.life}) differs from the run: {what}")

    async def close(self) -> None:
        if self.node is not None:
            assert self.step is not None
            self.step.close()
            await self.node.close()
            self.node = None

    def stats(self) -> dict[str, Any]:
        return {
            "in": self.received,
            "out": self.emitted,
            "step_ms": percentiles(self.durations),
            "queue": 0,
            "queue_max": 0,
            "role": self.info.role,
        }


class _BrokenOffError(Exception):
    """The run broke off in this firing, after what it had emitted."""
