"""What every actions sink does with what it is given, whatever carries it: the gate, and who sends what passes."""

from __future__ import annotations

from collections import Counter

from omnistream.message import MS, Action, Message
from omnistream.node import Context, Sink
from omnistream.protocol.codec import ActionFrame
from omnistream_drivers.action_gate import ActionGate, Refusal

__all__ = ["ActionSink"]


class ActionSink(Sink):
    """Lets actions through its gate: motions to `send_motion`, stops to `send_stop`. What is refused is reported by name."""

    gate: ActionGate
    counts: Counter[str]
    ctx: Context

    def start(self, ctx: Context, *, limits: dict[str, list[float]], strict: bool, watchdog_ms: int) -> None:
        """To be called first of all in `open`."""
        self.ctx = ctx
        self.counts = Counter()
        self.gate = ActionGate(
            name=ctx.name,
            run=ctx.start_ns,
            incarnation=ctx.incarnation,
            limits=limits,
            strict=strict,
            watchdog_ns=watchdog_ms * MS,
        )

    def send_motion(self, frame: ActionFrame, now_ns: int) -> None:
        """Hand a motion to the transport, and tell the gate with `sent` if that could be done."""
        raise NotImplementedError

    def send_stop(self, frame: ActionFrame, now_ns: int) -> None:
        """Hand a stop to the transport, before anything else, until it is acknowledged."""
        raise NotImplementedError

    async def write(self, action: Message[Action] | None, stop: Message[Action] | None = None) -> None:
        if stop is not None and stop.payload.kind != "stop":
            self.refuse(Refusal("refused", f"the port 'stop' takes only actions of kind stop, not {stop.payload.kind}"))
            stop = None
        for message in (stop, action):
            if message is None:
                continue
            now = self.ctx.clock.now()
            frame = self.gate.admit(message, now)
            if isinstance(frame, Refusal):
                self.refuse(frame)
            elif frame.is_stop:
                self.send_stop(frame, now)
            else:
                self.send_motion(frame, now)

    async def safe(self, reason: str) -> None:
        now = self.ctx.clock.now()
        self.send_stop(self.gate.safe(reason, now), now)

    async def resume(self) -> None:
        self.gate.resume()

    def refuse(self, refusal: Refusal) -> None:
        self.counts[refusal.reason] += 1
        self.ctx.report(refusal.reason, refusal.text)

    def watch(self, now_ns: int) -> None:
        """To be called every few ms: stops a stream that dried up."""
        frame = self.gate.watchdog(now_ns)
        if frame is not None:
            self.ctx.report("watchdog", frame.text)
            self.send_stop(frame, now_ns)

    def acknowledged(self, action_id: str, status: str, detail: str) -> None:
        """A client says what became of an action: counted, and reported where it was not done."""
        self.counts[f"acked_{status}"] += 1
        if status in ("expired", "refused", "superseded"):
            self.ctx.report(status, f"by the client: {action_id[:200]}: {detail[:200]}")
