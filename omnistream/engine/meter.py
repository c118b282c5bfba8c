"""What a node's steps take and give while they run: a `Step` that is measured, and keeps some of what it was given."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from omnistream.clock import Clock, perf_ns, thread_ns
from omnistream.engine.runqueue import waited_ns
from omnistream.engine.step import Step, outputs_of
from omnistream.flow.edge import nbytes
from omnistream.message import AudioChunk, Message, Window
from omnistream.node import Context, Emit, Ports

__all__ = ["Given", "Meter", "MeteredStep", "NoStep", "SourceMeter", "metered_source"]

_SAMPLES = 20_000
#: So many firings' arguments are kept for stepping again alone, and so many bytes of them.
_KEPT, _KEPT_BYTES = 80, 64 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """What one firing was given."""

    now: int
    cause: int
    deadline: int
    args: dict[str, Any]


@dataclass(slots=True)
class Meter:
    """The figures of one node, in nanoseconds."""

    ports: Ports
    ctx: Context
    keeps: bool = True
    wall: deque[int] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    cpu: deque[int] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    waited: deque[int] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    given: list[Given] = field(default_factory=list)
    emitted: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    chunks: dict[str, Counter[tuple[int, int]]] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    _bytes_kept: int = 0

    def begin(self, args: dict[str, Any]) -> None:
        if self.keeps and len(self.given) < _KEPT and self._bytes_kept < _KEPT_BYTES:
            self._bytes_kept += sum(_size(v) for v in args.values())
            self.given.append(Given(self.ctx.now, self.ctx.cause, self.ctx.deadline, dict(args)))

    def took(self, began: int, ended: int, cpu: int, waited: int) -> None:
        """A firing from `began` to `ended`, that computed `cpu` and waited `waited` for a core."""
        self.wall.append(ended - began)
        self.cpu.append(cpu)
        self.waited.append(waited)
        self.spans.append((began, ended))
        del self.spans[:-_KEPT]

    def gave(self, result: Any) -> None:
        if result is None:
            return
        for out, payload, _ in outputs_of(self.ports, result):
            self.note(out, payload)

    def note(self, out: str, payload: Any) -> None:
        self.emitted[out] += 1
        self.bytes[out] += nbytes(payload)
        if isinstance(payload, AudioChunk):
            self.chunks.setdefault(out, Counter())[len(payload.samples), payload.rate_hz] += 1


class MeteredStep(Step):
    """A node's step, measured. What it gives is looked at and handed on."""

    def __init__(self, function: Callable[..., Any], *, generator: bool, blocking: bool, meter: Meter) -> None:
        super().__init__(function, generator=generator, blocking=blocking)
        self.meter = meter
        self.kind = "inline" if self.inline else "thread" if blocking else "task"
        self._busy = self._waited = 0
        if self.kind == "task":
            self.function = self._pieces if generator else self._whole
            self._original = function

    def call(self, args: dict[str, Any]) -> Any:
        self.meter.begin(args)
        waited, began, cpu = waited_ns(), perf_ns(), thread_ns()
        result = super().call(args)
        cpu, ended = thread_ns() - cpu, perf_ns()
        self.meter.took(began, ended, cpu, waited_ns() - waited)
        self.meter.gave(result)
        return result

    async def wait(self, args: dict[str, Any], put: Callable[[Any], Awaitable[None]]) -> None:
        async def looked_at(result: Any) -> None:
            self.meter.gave(result)
            await put(result)

        self.meter.begin(args)
        self._busy = self._waited = 0
        waited, began = waited_ns(), perf_ns()
        await super().wait(args, looked_at)
        self.meter.took(began, perf_ns(), self._busy, self._waited + waited_ns() - waited)

    def _in_thread(self, args: dict[str, Any], put: Any, loop: Any) -> None:
        waited, cpu = waited_ns(), thread_ns()
        super()._in_thread(args, put, loop)
        self._busy = thread_ns() - cpu
        self._waited = waited_ns() - waited

    async def _whole(self, **args: Any) -> Any:
        return await _Metered(self._original(**args), self._spent)

    async def _pieces(self, **args: Any) -> AsyncIterator[Any]:
        iterator = self._original(**args)
        while True:
            try:
                item = await _Metered(iterator.__anext__(), self._spent)
            except StopAsyncIteration:
                return
            yield item

    def _spent(self, ns: int) -> None:
        self._busy += ns


class NoStep(Step):
    """In the place of a step that is not to be taken, as an actuator's while it is measured what leads to it."""

    def __init__(self) -> None:
        self.function = self.call
        self.generator = False
        self.inline = True
        self._direct = True
        self._pool: ThreadPoolExecutor | None = None

    def call(self, args: dict[str, Any]) -> Any:
        del args


class _Metered:
    """An awaitable that tells how much its thread computed for it."""

    def __init__(self, inner: Any, spent: Callable[[int], None]) -> None:
        self.inner, self.spent = inner, spent

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.inner.__await__()
        error: BaseException | None = None
        while True:
            began = thread_ns()
            try:
                item = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                self.spent(thread_ns() - began)
            error = None
            try:
                yield item
            except BaseException as thrown:
                error = thrown


@dataclass(slots=True)
class SourceMeter:
    """How a source brings its messages: stamps, how late each was yielded, and what it took."""

    clock: Clock
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    late: deque[int] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    cpu: deque[int] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    count: int = 0
    bytes: int = 0
    stamped: int = 0
    bounded: int = 0
    chunks: Counter[tuple[int, int]] = field(default_factory=Counter)


def metered_source(run: Callable[[Context], AsyncIterator[Any]], meter: SourceMeter) -> Callable[[Context], AsyncIterator[Any]]:
    """A source's `run`, measured."""

    async def metered(ctx: Context) -> AsyncIterator[Any]:
        iterator = run(ctx)
        busy = 0

        def spent(ns: int) -> None:
            nonlocal busy
            busy += ns

        try:
            while True:
                busy = 0
                try:
                    item = await _Metered(iterator.__anext__(), spent)
                except StopAsyncIteration:
                    return
                now = meter.clock.now()
                emit = item if type(item) is Emit else Emit(item)
                stamp = now if emit.stamp_ns is None else emit.stamp_ns
                meter.count += 1
                meter.stamped += emit.stamp_ns is not None
                meter.bounded += emit.bound_ns is not None
                meter.stamps.append(stamp)
                meter.late.append(max(0, now - stamp))
                meter.cpu.append(busy)
                meter.bytes += nbytes(emit.payload)
                if isinstance(emit.payload, AudioChunk):
                    meter.chunks[len(emit.payload.samples), emit.payload.rate_hz] += 1
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    return metered


def _size(value: Any) -> int:
    if isinstance(value, Message):
        return nbytes(value.payload)
    if isinstance(value, Window | tuple):
        return sum(_size(v) for v in value)  # type: ignore[arg-type]
    return nbytes(value)
