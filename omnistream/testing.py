"""For tests of nodes, drivers and graphs: a context on a manual clock, and a recording through a graph as a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from omnistream.clock import ManualClock
from omnistream.message import Message
from omnistream.node import Context

if TYPE_CHECKING:
    from omnistream.engine.outputs import GoldenWatch
    from omnistream.engine.replay import Part

__all__ = ["Replayed", "context", "replay"]


def context(name: str = "node", **over: Any) -> Context:
    """A context on a manual clock at 0, as a node meets it in `open`. Reports are kept in the list `ctx.report.rows`."""
    rows: list[tuple[str, str]] = []

    def report(reason: str, text: str) -> None:
        rows.append((reason, text))

    report.rows = rows  # type: ignore[attr-defined]
    values: dict[str, Any] = {"name": name, "clock": ManualClock(), "rng": np.random.default_rng(0), "report": report} | over
    return Context(**values)


@dataclass(kw_only=True)
class Replayed:
    """What a recording led to. `outputs` is by sink and port ("robot.action") what the sink was given, in order.

    `digest` is over all of it; `ledger` counts what was reported, by reason; `notices` are sentences about how the recording
    fits the graph, such as a device that it has no stream for.
    """

    digest: str
    outputs: Mapping[str, Sequence[Message[Any]]]
    ledger: Mapping[str, int]
    notices: Sequence[str] = ()
    start_ns: int = 0
    _watch: GoldenWatch = field(repr=False)
    _place: Callable[[str | Path], Path] = field(default=Path, repr=False)
    _write: bool = field(default=False, repr=False)

    def expect(self, digest: str) -> Self:
        """Fail, as an assertion does, unless the digest is this one."""
        __tracebackhide__ = True
        if self.digest != digest:
            raise AssertionError(f"the digest is {self.digest}, and {digest} was expected")
        return self

    def golden(self, file: str | Path) -> Self:
        """Fail, as an assertion does, at the first message that is not as in this golden file, with both side by side.

        `omnistream replay ... --write-golden FILE` makes one; so does this where pytest is told `--write-golden`.
        """
        from omnistream.record.compare import difference
        from omnistream.record.golden import read_golden, write_golden

        __tracebackhide__ = True
        path = self._place(file)
        if self._write:
            write_golden(path, self._watch.golden)
            return self
        found = difference(read_golden(path), self._watch.golden, self._watch.inexact, self.start_ns, str(file))
        if found is not None:
            raise AssertionError(found)
        return self


def replay(
    recording: str | Path,
    graph: str | Path,
    *,
    sets: Sequence[str] = (),
    as_recorded: bool = False,
    from_: str | None = None,
    to: str | None = None,
) -> Replayed:
    """A recording through a graph, as ``omnistream replay`` has it: without a clock, with no device and no robot opened.

    `sets` change the graph ("nodes.drive.with.max_mps=0.2"); `from_` and `to` are times such as "2.5s". `as_recorded` is the
    live run again, equal to it. Raises OmniStreamError, such as a DifferenceError, with a sentence that says what is wrong.
    """
    from omnistream.engine.replay import Part
    from omnistream.graph.units import parse_duration

    times = [None if t is None else parse_duration(t) for t in (from_, to)]
    part = Part(*times)
    return (_as_recorded if as_recorded else _fresh)(recording, graph, sets, part)


def _fresh(recording: str | Path, graph: str | Path, sets: Sequence[str], part: Part) -> Replayed:
    from omnistream.engine.outputs import GoldenWatch, Kept
    from omnistream.engine.replay import prepare, watched_conductor
    from omnistream.engine.seen import watch_all

    found = prepare(recording, graph, sets, part)
    kept, golden = Kept(found.graph), GoldenWatch(found.graph)
    outcome = _run(lambda: watched_conductor(found, watch_all([kept, golden])).run())
    golden.about(recording, "fresh", part, outcome.digest or "")
    return Replayed(
        digest=outcome.digest or "", outputs=kept.seen, ledger=dict(outcome.ledger), notices=found.notices,
        start_ns=found.start_ns, _watch=golden,
    )  # fmt: skip


def _as_recorded(recording: str | Path, graph: str | Path, sets: Sequence[str], part: Part) -> Replayed:
    from omnistream.engine.outputs import GoldenWatch, Kept
    from omnistream.engine.replay import Again, open_run
    from omnistream.engine.seen import watch_all

    with open_run(recording) as file:
        again = Again.of(file, graph, sets, part)
        kept, golden = Kept(again.plan.graph), GoldenWatch(again.plan.graph)
        rerun = again.replay(watch=watch_all([kept, golden]))
        outcome = _run(rerun.run)
        again.check(rerun, outcome)
    golden.about(recording, "as recorded", part, outcome.digest or "")
    return Replayed(
        digest=outcome.digest or "", outputs=kept.seen, ledger=dict(outcome.ledger), start_ns=again.start_ns, _watch=golden
    )


def _run(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """A coroutine to its end; in a thread where this one has an event loop that runs (an async test)."""

    async def whole() -> Any:
        return await make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(whole())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, whole()).result()
