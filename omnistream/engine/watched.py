"""A fresh replay that is looked at: every firing of every node, in one order, whatever the order in which they were worked out.

A firing to come descends from what a source has yet to say, which is not below its bound, or from a message that is on its way.
All that has fired below both is shown, by t and then by the place of the node in the graph. So two replays are shown alike.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from omnistream.clock import Clock
from omnistream.coded import Coded
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.recorder import Recorder
from omnistream.engine.seen import Seen, Watch, reads_of
from omnistream.engine.worker import Worker
from omnistream.flow.cell import Cell, Firing
from omnistream.flow.edge import Edge
from omnistream.graph.cycles import upstream
from omnistream.graph.graph import Graph
from omnistream.graph.plan import make_plan
from omnistream.message import INFINITY, Message

__all__ = ["WatchedCrew"]


class WatchedCrew(LocalCrew):
    """The local engine's hands, with one worker: nothing is between two. `enough` is called when the watch is over."""

    def __init__(self, graph: Graph, clock: Clock, options: RunOptions, watch: Watch) -> None:
        super().__init__(make_plan(graph, "one"), clock, options)
        self.watch = watch
        self.enough: Callable[[], None] = lambda: None
        self._places = _places(graph)
        self._shown: list[tuple[int, int, int, Seen]] = []
        self._count = 0

    def recorder_of(self, worker: Worker) -> Recorder | None:
        return _Onlooker(worker, self._ended)

    def _make(self, name: str, options: RunOptions) -> Worker:
        worker = super()._make(name, options)
        onlooker: Any = worker.recorder
        for hosted in worker.nodes.values():
            for out in hosted.cell.outs.values():
                out.edges.append(_tap(hosted.name, onlooker))
        return worker

    async def call(self, worker: str, method: str, *args: Any) -> Any:
        result = await super().call(worker, method, *args)
        if method == "probe":
            self._show(self._passed())
        elif method == "close":
            self._show(INFINITY + 1)
        return result

    def _passed(self) -> int:
        """No node will fire below this any more."""
        (worker,) = self.workers.values()
        bounds = [s.out.bound for s in worker.sources.values() if not s.is_done]
        return min([*bounds, worker.probe()["oldest"]])

    def _ended(self, seen: Seen) -> None:
        self._count += 1
        heapq.heappush(self._shown, (seen.t, self._places[seen.node], self._count, seen))

    def _show(self, until: int) -> None:
        while self._shown and self._shown[0][0] < until and not self.watch.over:
            self.watch.fired(heapq.heappop(self._shown)[3])
        if self.watch.over:
            self.enough()


class _Onlooker:
    """Takes the place of what records a run: it is told of each firing, and hears its outputs."""

    def __init__(self, worker: Worker, ended: Callable[[Seen], None]) -> None:
        self._worker, self._ended = worker, ended
        self._going: dict[str, Seen] = {}
        self._due: dict[str, int] = {}

    def fired(self, cell: Cell, firing: Firing, outs: Sequence[tuple[str, int, int]], fate: str) -> None:
        self._going[cell.name] = Seen(cell.name, "node", 0, firing.t, reads_of(firing), [], fate)
        self._due[cell.name] = len(outs)
        self._look(cell.name)

    def more(self, node: str, outs: Sequence[tuple[str, int, int]]) -> None:
        self._due[node] += len(outs)

    def ended(self, node: str, fate: str) -> None:
        self._going[node].fate = fate
        self._look(node)

    def heard(self, node: str, message: Message[Any]) -> None:
        self._going[node].outs.append(message)
        self._due[node] -= 1
        self._look(node)

    def _look(self, node: str) -> None:
        if self._going[node].fate and not self._due[node]:
            self._ended(self._going.pop(node))

    def consumed(self, cell: Cell, firing: Firing, fate: str, chain: bytes, void: Sequence[int]) -> None:
        del chain, void
        self._ended(Seen(cell.name, "sink", 0, firing.t, reads_of(firing), [], fate))

    def message(
        self, message: Message[Any], bound_ns: int | None, clock_source: str, *, tap: bool = False, coded: Coded | None = None
    ) -> None: ...

    def taps(self, stream: str) -> bool:
        del stream
        return False

    def began(self, start_ns: int) -> None: ...

    def opened(self, node: str) -> None: ...

    def chain(self, sink: str) -> bytes:
        del sink
        return b""

    def close(self) -> None: ...


def _tap(node: str, onlooker: _Onlooker) -> Edge:
    """One more edge of an output, which keeps nothing."""
    return _Tap(node, onlooker)  # type: ignore[return-value]


class _Tap:
    """As much of an `Edge` as an output port needs."""

    asks: tuple[int, ...] = ()

    def __init__(self, node: str, onlooker: _Onlooker) -> None:
        self._node, self._onlooker = node, onlooker
        self.stream_bound = 0
        self.queue = self
        self.droppable = True

    def offer(self, message: Message[Any], ack: Any) -> None:
        del ack
        self._onlooker.heard(self._node, message)

    def answer(self) -> None: ...


def _places(graph: Graph) -> dict[str, int]:
    """Each node's place in an order in which it comes after what it reads from."""
    found: dict[str, int] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        for other in upstream(graph.nodes[name], feedback=False):
            if other not in found and other not in above:
                visit(other, above | {name})
        found.setdefault(name, len(found))

    for name in graph.nodes:
        visit(name, frozenset())
    return found
