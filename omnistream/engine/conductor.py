"""Leads the workers of one run from opening to the last account, the same way on every engine.

Everything that is decided about a run as a whole is decided here and in lead.py: when sources may lead, when nothing moves
any more, what is done when a worker dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from omnistream.clock import Clock
from omnistream.engine.accounts import Accounts
from omnistream.engine.crew import Crew
from omnistream.engine.lead import lead
from omnistream.engine.quality import Quality
from omnistream.errors import OmniStreamError
from omnistream.flow.ledger import Row
from omnistream.graph.graph import Plan
from omnistream.message import INFINITY, SECOND
from omnistream.observe.outcome import Outcome

__all__ = ["Conductor"]

_log = logging.getLogger("omnistream")
_POLL_S = 0.25
#: A live table is shown again after so long, even if nothing has moved.
_SHOWN_S = 1.0
_QUIET_LOOKS = 2
_RESTARTS_PER_MINUTE = 10


class Conductor:
    """One run. `watch` is called with every snapshot round, for a live table.

    `pace` is how many times real time a fresh replay goes at most; without it, as fast as it can.
    """

    def __init__(
        self,
        plan: Plan,
        crew: Crew,
        clock: Clock,
        *,
        fresh: bool,
        start_ns: int = 0,
        watch: Callable[[Conductor], None] | None = None,
        restarts_per_minute: int = _RESTARTS_PER_MINUTE,
        pace: float | None = None,
    ) -> None:
        self.plan = plan
        self.crew = crew
        self.clock = clock
        self.fresh = fresh
        self.start_ns = start_ns
        self._start_ns = start_ns
        self.watch = watch
        self.restarts_per_minute = restarts_per_minute
        self.pace = pace
        self.accounts = Accounts(plan)
        self.outcome = self.accounts.outcome
        self.said = self.accounts.said
        self.workers = [w.name for w in plan.workers]
        self.down: dict[str, str] = {}
        self.events: list[str] = []
        self._deaths: Counter[str] = Counter()
        self._restarting: set[asyncio.Task[None]] = set()
        self._restart_times: list[int] = []
        self._failure: OmniStreamError | None = None
        self._opened = self._ending = False
        self._stop = asyncio.Event()
        self._now = asyncio.Event()
        self._moved = asyncio.Event()
        self._heard_enough = asyncio.Event()

    # -- the whole run -----------------------------------------------------------------------------

    def stop(self, reason: str = "stopped") -> None:
        """End the run and let it drain; a second call ends it at once."""
        if self._stop.is_set():
            self._now.set()
        self.outcome.stopped_by = reason
        self._stop.set()
        self._moved.set()

    async def run(self, until: Sequence[str] = (), for_s: float | None = None, drain_s: float = 2.0) -> Outcome:
        """Run until the sources `until` have ended (all sources, if none is named) and nothing is left to do."""
        self.crew.on_death(self._died)
        try:
            try:
                if not await self._begin():
                    return self.outcome
                if self.fresh:
                    await lead(self, self._paced, self._look_if_shown)
                else:
                    await self._conduct_live(until, for_s, drain_s)
                self.outcome.duration_s = (self.clock.now() - self.outcome.started_ns) / 1e9
                await self._look()
            finally:
                self._ending = True
                if not self._opened:  # stopped on the way: those that were
                    self.workers = [w for w in self.workers if w in self.crew.addresses()]
                await self.all("close", missing_ok=True)  # whatever ended the run, what was opened is brought to rest
            await self._look()
            if self._failure is not None:
                raise self._failure
        finally:
            for task in self._restarting:
                task.cancel()
            self.outcome.notices += self.crew.notes()
            await self.crew.end()
        self.accounts.sum_up()
        return self.outcome

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def _begin(self) -> bool:
        """Make the workers and let them start. False if the run was stopped meanwhile."""
        making, stopping = asyncio.ensure_future(self._launch()), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({making, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                return False
            making.result()
            return True
        finally:
            for task in (making, stopping):
                task.cancel()
            await asyncio.gather(making, stopping, return_exceptions=True)

    async def _launch(self) -> None:
        await self.crew.begin()
        self._opened = True
        await self.all("connect", self.crew.addresses())
        self.outcome.started_ns = self.clock.now()
        self._start_ns = self.start_ns if self.fresh else self.outcome.started_ns
        await self.all("start", self._start_ns)

    async def all(self, method: str, *args: Any, missing_ok: bool = False) -> list[Any]:
        """The answers of all workers that live."""
        asked = [w for w in self.workers if w not in self.down]
        calls: list[Awaitable[Any]] = [self.crew.call(w, method, *args) for w in asked]
        results = await asyncio.gather(*calls, return_exceptions=True)
        for worker, error in zip(asked, results, strict=True):
            if not isinstance(error, BaseException) or (worker in self.down and not self.fresh):
                continue  # one that died meanwhile is seen to by `_revive`
            if not missing_ok:
                raise error
            if not isinstance(error, OmniStreamError):
                _log.error("%s failed on a worker", method, exc_info=error)
        return [r for r in results if not isinstance(r, BaseException)]

    # -- live --------------------------------------------------------------------------------------

    async def _conduct_live(self, until: Sequence[str], for_s: float | None, drain_s: float) -> None:
        following = [asyncio.ensure_future(self._follow(w)) for w in self.workers]
        quality = Quality(self)
        quality.begin()
        try:
            if not await self._finishes(set(until), for_s):
                await self._stop_all(drain_s)
        finally:
            self._heard_enough.set()
            await quality.end()
            await self._look()  # which cuts short what the followers wait for
            await asyncio.gather(*following)

    async def _finishes(self, until: set[str], for_s: float | None) -> bool:
        """True when the sources `until` have ended and all is done; False if the run is stopped, fails or its time is up."""
        sources = [n for n, info in self.plan.graph.nodes.items() if info.role == "source"]
        wanted = until or set(sources)
        end = self.outcome.started_ns + int(for_s * SECOND) if for_s is not None else INFINITY
        ending = False
        quiet = 0
        while not self._stop.is_set() and self._failure is None:
            left_s = (end - self.clock.now()) / SECOND
            if left_s <= 0:
                self.outcome.stopped_by = "time"
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), min(_POLL_S if quiet else _SHOWN_S, left_s))
            self._moved.clear()
            if self.watch is not None:
                self.watch(self)
            if not ending and wanted <= self.accounts.ended and not self.down:
                ending = True
                await self.all("end_sources", [s for s in sources if s not in wanted], missing_ok=True)
            if ending and self.accounts.done >= set(self.workers) and not self.down:
                await self._look()
                quiet += 1
                if quiet >= _QUIET_LOOKS:
                    return True
            else:
                quiet = 0
        return False

    async def _follow(self, worker: str) -> None:
        """Hear of a worker whenever it has something new to say; an idle one is not asked again and again."""
        while not self._heard_enough.is_set():
            if worker not in self.down:
                with contextlib.suppress(OmniStreamError):  # it died, which is seen to elsewhere
                    snapshot = await self.crew.call(worker, "news")
                    if snapshot is not None:
                        self.accounts.merge(snapshot, self.down)
                        self._moved.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard_enough.wait(), _POLL_S)

    async def _stop_all(self, drain_s: float) -> None:
        """Let every worker drain, unless or until it is to be now."""
        self._ending = True
        draining, hurry = (
            asyncio.ensure_future(self.all("stop", drain_s, missing_ok=True)),
            asyncio.ensure_future(self._now.wait()),
        )
        try:
            await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if not draining.done():
                draining.cancel()
                await asyncio.gather(draining, return_exceptions=True)
                await self.all("stop", 0.0, missing_ok=True)
        finally:
            hurry.cancel()

    def _died(self, worker: str, why: str) -> None:
        """A worker is gone: the others force its ports, robots that depend on it rest, and it is made again (rule 25)."""
        self._deaths[worker] += 1
        if worker in self.down:  # it died while it was made again: `_revive` will see that
            return
        self.down[worker] = why
        self._moved.set()
        self.events.append(f"worker {worker} died ({why})")
        _log.info("worker %s died: %s", worker, why)
        self.accounts.died(worker)
        if not self.fresh:
            task = asyncio.get_running_loop().create_task(self._revive(worker, why))
            self._restarting.add(task)
            task.add_done_callback(self._restarting.discard)

    async def _revive(self, worker: str, why: str) -> None:
        """Make a worker again until it lives, or the limit is reached. Whoever dies in between is seen to by its own call."""
        died = self.clock.now()
        ended = sorted(self.accounts.had_ended)
        with contextlib.suppress(OmniStreamError):
            await self.all("lost", worker, missing_ok=True)
            await self.all("degraded", list(self.down), f"worker {worker} is down", missing_ok=True)
        while True:
            now = self.clock.now()
            self._restart_times = [t for t in self._restart_times if now - t < 60 * SECOND] + [now]
            if len(self._restart_times) > self.restarts_per_minute:
                limit = f"{self.restarts_per_minute} restarts a minute is the limit"
                self._failure = OmniStreamError(f"worker {worker} died again ({why}); {limit}")
                self._moved.set()
                return
            self.outcome.rows.append(Row(now, worker, "restart", detail=f"its state is lost: {why}"))
            self.outcome.restarts[worker] += 1
            try:
                deaths = self._deaths[worker]
                await self.crew.restart(worker, self.accounts.of_edges(worker))
                if self._deaths[worker] == deaths:
                    break
                why = "it died while it was made again"
            except Exception as error:  # whatever it is, nobody else would try again, or end the run
                why = str(error) if isinstance(error, OmniStreamError) else _last_line(error)
                _log.warning("worker %s did not come back: %s", worker, why)
                await asyncio.sleep(0.2)
        del self.down[worker]
        if self._ending or self._stop.is_set():  # it knows of no stop, and would do what is sent again to it
            with contextlib.suppress(OmniStreamError):
                await self.crew.call(worker, "stop", 0.0)
            return
        self._moved.set()
        self.events.append(f"worker {worker} is back after {(self.clock.now() - died) / 1e9:.1f} s")
        with contextlib.suppress(OmniStreamError):
            await self.all("connect", self.crew.addresses(), missing_ok=True)
            await self.crew.call(worker, "start", self._start_ns, ended)
            await self.all("degraded", list(self.down), "", missing_ok=True)

    # -- accounts ----------------------------------------------------------------------------------

    def _paced(self) -> int:
        """How far sources may be by now, where a replay is not to be faster than so many times real time."""
        if self.pace is None:
            return INFINITY
        return self.start_ns + int((self.clock.now() - self.outcome.started_ns) * self.pace)

    async def _look_if_shown(self) -> None:
        if self.watch is not None:
            await self._look()

    async def _look(self) -> None:
        for snapshot in await self.all("snapshot", missing_ok=True):
            self.accounts.merge(snapshot, self.down)
        if self.watch is not None:
            self.watch(self)

    def ledger(self) -> Counter[str]:
        """Losses and reports by reason, of all workers in all their lives."""
        return self.accounts.ledger()


def _last_line(error: Exception) -> str:
    """What went wrong, without the trace that some errors carry in their text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
