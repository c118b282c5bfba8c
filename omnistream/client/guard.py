"""What a robot does with each action that reaches it: once, in time, never behind a stop.

Pure and without transport, so that a robot on any protocol can use it.
"""

from __future__ import annotations

from dataclasses import dataclass

from omnistream.protocol.codec import ActionFrame

__all__ = ["ActionGuard", "Verdict"]

#: Ids are remembered so long after they expire: longer than a worker's restart takes.
RESTART_NS = 60_000_000_000
MAX_SEEN = 1 << 16


@dataclass(frozen=True, slots=True)
class Verdict:
    """`do` it; or the `status` to acknowledge it with, and why."""

    do: bool
    status: str = ""
    detail: str = ""


class ActionGuard:
    """The receiver's rules, and its watchdog on a clock of its own (`local_ns`).

    `link_ns`: while the robot is under way and nothing at all was heard for so long, it stops too.
    """

    def __init__(self, watchdog_ns: int = 500_000_000, link_ns: int | None = None) -> None:
        self.watchdog_ns = watchdog_ns
        self.link_ns = link_ns or watchdog_ns
        self._seen: dict[str, int] = {}
        self._stops: dict[str, None] = {}
        self._stop_stamp_ns = -1
        self._streaming_ns: int | None = None
        self._under_way = False
        self._count = 0

    def new_run(self) -> None:
        """Another run's stamps have nothing to do with the last stop; ids of clients' own commands stay known."""
        self._stop_stamp_ns = -1

    def judge(self, frame: ActionFrame, run_ns: int | None) -> Verdict:
        """Whether to do `frame`; `run_ns` is the latest that run time can be (None: not known yet).

        A stop is done whenever it is new, however old; one seen before was done already.
        """
        if frame.is_stop:
            if frame.id in self._stops:
                return Verdict(do=False, status="done", detail="again")
            self._stops[frame.id] = None
            if len(self._stops) > 1024:
                del self._stops[next(iter(self._stops))]
            self._stop_stamp_ns = max(self._stop_stamp_ns, frame.stamp_ns)
            return Verdict(do=True)
        if frame.id in self._seen:
            return Verdict(do=False, status="duplicate", detail="its id was here before")
        verdict = self.still_valid(frame, run_ns)
        if verdict.do:
            self._remember(frame, run_ns or 0)
        return verdict

    def still_valid(self, frame: ActionFrame, run_ns: int | None) -> Verdict:
        """Asked again where an action had to wait for its turn."""
        if frame.is_stop:
            return Verdict(do=True)
        if run_ns is None:
            return Verdict(do=False, status="refused", detail="the sender's clock is not known yet")
        if frame.valid_until_ns is None or run_ns > frame.valid_until_ns:
            late = (run_ns - (frame.valid_until_ns or 0)) / 1e6
            return Verdict(do=False, status="expired", detail=f"valid until {late:.1f} ms ago")
        if frame.stamp_ns <= self._stop_stamp_ns:
            return Verdict(do=False, status="superseded", detail="not newer than the last stop")
        return Verdict(do=True)

    def done(self, frame: ActionFrame, local_ns: int) -> None:
        """The robot is doing `frame` now: the watchdog counts from here. A skill does not renew the velocity before it."""
        if frame.is_stop or frame.kind == "velocity":
            self._streaming_ns = local_ns if frame.moves else None
        self._under_way = frame.moves or self._streaming_ns is not None

    def deadline_ns(self, heard_ns: int) -> int | None:
        """When `watchdog` will ask for a stop if nothing comes; None while the robot is at rest."""
        due = [self._streaming_ns + self.watchdog_ns] if self._streaming_ns is not None else []
        return min(due + [heard_ns + self.link_ns]) if self._under_way else None

    def watchdog(self, local_ns: int, heard_ns: int) -> ActionFrame | None:
        """A stop, once, where a velocity was not renewed in time, or the robot is under way and the link is lost."""
        since = self._streaming_ns
        if since is not None and local_ns - since >= self.watchdog_ns:
            why = f"watchdog: no fresh motion for {(local_ns - since) // 1_000_000} ms"
        elif self._under_way and local_ns - heard_ns >= self.link_ns:
            why = f"the link is lost: nothing heard for {(local_ns - heard_ns) // 1_000_000} ms"
        else:
            return None
        self._count += 1
        stop = ActionFrame(id=f"client/stop/{self._count}", kind="stop", text=why)
        self.done(stop, local_ns)
        return stop

    def _remember(self, frame: ActionFrame, run_ns: int) -> None:
        self._seen[frame.id] = frame.valid_until_ns or 0
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        elif len(self._seen) % 1024 == 0:
            self._seen = {i: until for i, until in self._seen.items() if until + RESTART_NS > run_ns}
