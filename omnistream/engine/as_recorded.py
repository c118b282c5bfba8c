"""A live run again, exactly (rule 30): each node awaits the messages that its next journal row names, and fires at its t.

Nothing is settled, forced, dropped or skipped here; all of that was decided in the run, and the journal says how.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from omnistream.clock import SystemClock, perf_ns
from omnistream.engine.rerun import Key, Rerun
from omnistream.engine.seen import Watch
from omnistream.engine.threads import keep_to
from omnistream.errors import RecordingError
from omnistream.graph.graph import NodeInfo, Plan
from omnistream.message import INFINITY, Message
from omnistream.observe.outcome import Outcome, combined_digest
from omnistream.record.journal import Fired, Opened

__all__ = ["AsRecorded", "Evidence"]


class Evidence(Protocol):
    """What a recording holds of a run (record/evidence.py)."""

    @property
    def seed(self) -> int: ...

    @property
    def start_ns(self) -> int: ...

    @property
    def threads(self) -> Mapping[str, int]:
        """How many each node's model had. What has none here had one."""
        ...

    def rows(self) -> Mapping[str, Sequence[Opened | Fired]]:
        """The journal by node, through all its lives."""
        ...

    def messages(self, stream: str, budget_ns: int) -> Iterator[Message[Any]]:
        """What a source, or an external node, brought."""
        ...

    def streams(self) -> Sequence[str]: ...

    def taps(self) -> Sequence[str]:
        """What nodes gave of themselves, recorded to be looked at; `messages` has it, too."""
        ...

    def require(self, streams: Collection[str] | None) -> None:
        """Raises RecordingError unless these streams (None: all from outside) are as they were received."""
        ...


class AsRecorded:
    """One replay. `run` returns the accounts; `cut` then says what the journal's end left undone, if anything.

    It ends with what fired at `span[1]`, `left` then being the firings that come after; `pace` is how many times real time
    it goes at most from `span[0]` on. What comes before that is done at once: nodes need their state.
    With `only` the rest of the graph is left out. `taps` are streams of nodes that are taken from the recording.

    Raises DifferenceError at the first difference from the run, and RecordingError where the recording has a hole.
    """

    def __init__(
        self,
        plan: Plan,
        evidence: Evidence,
        span: tuple[int, int] = (-INFINITY, INFINITY),
        pace: float | None = None,
        watch: Watch | None = None,
        only: Collection[str] | None = None,
        taps: Collection[str] = (),
    ) -> None:
        self.plan, self.graph, self.evidence = plan, plan.graph, evidence
        self.span, self.pace, self.watch = span, pace, watch
        rows = evidence.rows()
        strange = sorted(set(rows) - set(self.graph.nodes)) if only is None else ()
        if strange:
            raise RecordingError(f"the recording is of another graph: it has a node '{strange[0]}', which this one has not")
        held = {*evidence.streams(), *taps}
        self.bringing: dict[str, Iterator[Message[Any]]] = {}
        self.nodes: dict[str, Rerun] = {}
        for name, info in self.graph.nodes.items():
            for stream in (f"{name}.{out}" for out in info.outputs):
                if stream in held:
                    self.bringing[stream] = evidence.messages(stream, self.graph.budget_ns)
            if info.role != "source" and (only is None or name in only):
                self.nodes[name] = self.rerun_of(info, deque(rows.get(name, ())), evidence.threads.get(name, 1))
        self._wanted = Counter(k for node in self.nodes.values() for k in node.wants())
        self._store: dict[Key, Message[Any]] = {}
        self.cut: dict[str, int] = {}
        self._threads = 0
        self.left = 0

    def rerun_of(self, info: NodeInfo, rows: deque[Opened | Fired], threads: int) -> Rerun:
        return Rerun(self, info, rows, threads)

    async def run(self) -> Outcome:
        """Fire every row, always the one with the least t of those whose messages are there."""
        outcome = Outcome(started_ns=self.evidence.start_ns)
        started = perf_ns()
        try:
            if not await self._fire_all():
                if self.watch is not None and self.watch.over:
                    outcome.stopped_by = "enough"
                self.left = sum(len(node.rows) for node in self.nodes.values())
        finally:
            for node in self.nodes.values():
                await node.close()
        if not self.left:
            self.cut = {name: len(node.rows) for name, node in self.nodes.items() if node.rows}
        outcome.duration_s = (perf_ns() - started) / 1e9
        outcome.nodes = {name: node.stats() for name, node in self.nodes.items()}
        outcome.sinks = {name: node.chain.hex() for name, node in self.nodes.items() if node.info.role == "sink"}
        outcome.digest = combined_digest(outcome.sinks)
        if self.cut:
            outcome.digest_note = f"the journal ends early: {sum(self.cut.values())} firings were not to be had"
        return outcome

    async def _fire_all(self) -> bool:
        """False if it has ended before the journal did."""
        clock = SystemClock()
        begun: int | None = None
        while ready := [n for n in self.nodes.values() if n.is_ready()]:
            node = min(ready, key=Rerun.due)
            due = node.due()
            if due > self.span[1]:
                return False
            if self.pace is not None and due >= self.span[0]:
                begun = clock.now() if begun is None else begun
                await clock.sleep_until(begun + int((due - max(self.span[0], self.evidence.start_ns)) / self.pace))
            seen = await node.fire()
            if self.watch is not None and seen is not None and due >= self.span[0]:
                self.watch.fired(seen)
                if self.watch.over:
                    return False
        return True

    def keep_to(self, threads: int, *, anew: bool = False) -> None:
        """The process keeps to what the node that is about to run had; `anew`: libraries may have been loaded since."""
        if anew or threads != self._threads:
            self._threads = threads
            keep_to(threads)

    # -- messages ----------------------------------------------------------------------------------

    def find(self, key: Key) -> Message[Any] | None:
        """A message, if it is there by now."""
        found = self._store.get(key)
        if found is None and (stream := self.bringing.get(key[0])) is not None:
            for message in stream:
                self.keep(message)
                if (message.stream, message.epoch, message.seq) == key:
                    break
            found = self._store.get(key)
            if found is None:
                raise RecordingError(
                    f"the recording has a hole: '{key[0]}' lacks message {key[2]} (life {key[1]}), which was read"
                )
        return found

    def keep(self, message: Message[Any]) -> None:
        key = (message.stream, message.epoch, message.seq)
        if self._wanted[key]:
            self._store[key] = message

    def done_with(self, key: Key) -> None:
        self._wanted[key] -= 1
        if not self._wanted[key]:
            self._store.pop(key, None)
