"""What a user writes: `Node`, `Source` and `Sink`, and how their ports are read from type hints.

A node is a keyword-only dataclass whose fields are the ``with:`` options of the graph file. Making one is free
and picklable; files, sockets and weights are touched only between `open` and `close`, on the worker.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import types
import typing
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from omnistream.clock import Clock
from omnistream.coded import Coded
from omnistream.errors import GraphError
from omnistream.message import INFINITY, PAYLOADS, Message, Origin, Window

__all__ = ["Context", "Emit", "InPort", "Node", "Ports", "Recent", "Sink", "Source", "ports_of"]

T = TypeVar("T")


class Recent(tuple[Message[T], ...], Generic[T]):
    """What a ``take: recent`` port reads: all messages of [t-lag-hold, t-lag], oldest first."""

    __slots__ = ()


@dataclass(slots=True)
class Context:
    """What the runtime gives a node. `now`, `cause` and `rng` are all that a step may know of time and chance (rule 27).

    `clock`, `start_ns` (when the run began) and `end_ns` (where a replay ends) are for sources and sinks, whose business is
    the world outside.
    `live` is False in a replay, where no device may be opened. `report` adds a row to the ledger: something that was
    refused or went wrong, counted by its reason; the graph goes on.
    `variant` is which of the node's `variants` the next step is to be, "" where it has none; it changes between steps only.
    `variants` are those that the run may ask for, of which the first is first, and `unconnected` the inputs that the graph
    leaves out: `open` opens what the steps can need. Both are empty where that is not known; then a step opens what it lacks.
    `threads` is how many a model may use; where it is the library's to choose (BLAS, torch), the process keeps to it already.
    `alloc(shape, dtype)` gives an array to fill; where it is to leave the worker it lies in shared memory, if it is large
    and there is any, and emitting it copies nothing. It is read-only once it has been sent: take a new one for each message.
    """

    name: str
    clock: Clock
    rng: np.random.Generator
    report: Callable[[str, str], None]
    live: bool = True
    start_ns: int = 0
    end_ns: int = INFINITY
    threads: int = 1
    incarnation: int = 0
    now: int = 0
    cause: int = 0
    deadline: int = 0
    variant: str = ""
    variants: tuple[str, ...] = ()
    unconnected: frozenset[str] = frozenset()
    log: logging.Logger = dataclasses.field(default_factory=lambda: logging.getLogger("omnistream"))
    alloc: Callable[[int | Sequence[int], Any], np.ndarray] = np.empty


@dataclass(slots=True)
class Emit(Generic[T]):
    """A payload with what only its source knows about it. A source may also yield the bare payload.

    `stamp_ns`: when it happened, in run time (default: now). `start_ns`: its first moment, if it spans time.
    `bound_ns`: no later message will be stamped below this (default: stamp + 1, or 0.8 of the declared period).
    `origin`: identity given by a client, so that a resent command is known.
    `settled` is called once, with "done" when every effect of the message is acknowledged, else with why it was lost.
    `clock_source`: which clock the stamp is from, when it is not the host's.
    `coded`: what a frame was decoded from, for a recording (omnistream/coded.py).
    """

    payload: T
    stamp_ns: int | None = None
    start_ns: int | None = None
    bound_ns: int | None = None
    origin: Origin | None = None
    settled: Callable[[str], None] | None = None
    clock_source: str = "host"
    coded: Coded | None = None


class Node:
    """Turns input messages into output messages.

    Define ``async def step(self, port: Type, ...) -> Output | None``. Parameter names are the input ports and
    their hints the payloads: ``T`` (one payload), ``T | None`` (a port that may have none at this firing),
    ``Window[T]``, ``Recent[T]``, or ``Message[T]`` for the payload with its stamp and origin. The return hint is the
    output; several outputs are a NamedTuple or dataclass of optional payloads; an async generator emits several messages.
    """

    #: True: a step computes for long, as a model does; it is run off the event loop (in a thread), and planned threads for.
    blocking: ClassVar[bool] = False
    #: True: outputs depend on more than inputs, time and rng (a cloud model): a recording keeps them, and a replay plays them.
    external: ClassVar[bool] = False
    #: Output fields whose floats differ in the last digits from one machine to another, as a model's may, each with the
    #: difference that is still the same answer: they are left out of digests, and `replay --golden` compares them with it.
    #: ``inexact = {"confidence": 1e-3}``. A node that hands such a value on declares it, too.
    inexact: ClassVar[Mapping[str, float]] = {}

    #: Names for how a step may be done, from the best to the cheapest ("full", "small"). Under load the runtime takes a cheaper
    #: one for a while: `step` reads `ctx.variant`, and what it keeps must be good for all of them.
    variants: ClassVar[tuple[str, ...]] = ()

    #: True: the arrays of what `step` takes are torch tensors, on whatever device they are (`.to(device)` costs nothing on the
    #: right one). Others read the same memory: change nothing in place, for the process may end by it.
    takes_tensors: ClassVar[bool] = False

    async def open(self, ctx: Context) -> None:
        """Load weights, start sessions, warm up. Called once on the worker before the first step."""

    async def close(self) -> None:
        """Release what `open` took. Called once, also after a failure."""

    step: ClassVar[Callable[..., Any]]


class Source:
    """Brings messages in from the world: ``async def run(self, ctx) -> AsyncIterator[T | Emit[T]]``.

    The iterator's end is the end of the stream. `delay_ns` is how long after the fact a message can still arrive:
    the runtime promises `now - delay_ns` when somebody waits. `period_ns` > 0 promises the next stamp
    at least 0.8 periods later.
    """

    period_ns: int = 0
    delay_ns: int = 0
    #: False for a clock or timer: its messages are no perception, so reaction times do not count from them.
    sense: ClassVar[bool] = True
    #: True: a real device. `replay` never opens it.
    is_device: ClassVar[bool] = True

    async def open(self, ctx: Context) -> None:
        """Open the device. Raise DeviceError where it cannot be had at launch."""

    async def close(self) -> None:
        """Release the device. `run` has ended or been cancelled."""

    run: ClassVar[Callable[..., AsyncIterator[Any]]]


class Sink:
    """Sends messages out: ``async def write(self, port: Type, ...) -> None``, ports as in `Node.step`.

    A sink that moves something real has `actuator` True (a class or instance attribute, or a property): it is opened
    only when the run is armed. No sink is opened in a replay. `safe` brings the world to rest; it is called at stop, and
    while a worker that it depends on is down.
    """

    actuator: bool = False

    async def open(self, ctx: Context) -> None:
        """Bind or connect. Raise DeviceError where that cannot be."""

    async def close(self) -> None:
        """Send what must be sent last, and release the transport."""

    async def safe(self, reason: str) -> None:
        """Bring the robot to rest now. Idempotent."""

    async def resume(self) -> None:
        """What `safe` was called for is over; motion is allowed again."""

    write: ClassVar[Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class InPort:
    """One input: the payload types it accepts and the shape in which the step takes them."""

    name: str
    types: frozenset[type]
    form: str  # one | message | window | recent
    optional: bool


@dataclass(frozen=True, slots=True)
class Ports:
    """Inputs and outputs of a node, source or sink class; `record` is the class that holds several outputs."""

    inputs: Mapping[str, InPort]
    outputs: Mapping[str, frozenset[type]]
    record: type | None = None
    generator: bool = False


def _union(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _payloads(hint: Any, where: str) -> frozenset[type]:
    found = frozenset(t for t in _union(hint) if t is not type(None))
    strange = [t for t in found if PAYLOADS.get(getattr(t, "__name__", "")) is not t]
    if strange or not found:
        raise GraphError(f"{where}: {hint!r} is not a payload; use one of {', '.join(PAYLOADS)} from omnistream.message")
    return found


def _in_port(name: str, hint: Any, where: str) -> InPort:
    parts = _union(hint)
    optional = type(None) in parts
    rest = [p for p in parts if p is not type(None)]
    forms = {Window: "window", Recent: "recent", Message: "message"}
    form = forms.get(typing.get_origin(rest[0]), "one") if len(rest) == 1 else "one"
    inner = typing.get_args(rest[0])[0] if form != "one" else typing.Union[tuple(rest) or hint]  # noqa: UP007
    return InPort(name, _payloads(inner, where), form, optional)


@cache
def ports_of(cls: type) -> Ports:
    """The ports that a class declares by its type hints.

    Raises GraphError naming the class and the parameter where a hint is missing or is no payload.
    """
    kind = next(b for b in (Node, Source, Sink) if issubclass(cls, b))
    method = {Node: "step", Source: "run", Sink: "write"}[kind]
    function = getattr(cls, method, None)
    if function is None:
        raise GraphError(f"{cls.__name__} has no '{method}' method; a {kind.__name__} needs one")
    hints = typing.get_type_hints(function, localns={"Window": Window, "Recent": Recent, "Message": Message})
    inputs: dict[str, InPort] = {}
    if method != "run":
        for name in list(inspect.signature(function).parameters)[1:]:
            if name not in hints:
                raise GraphError(f"{cls.__name__}.{method}: parameter '{name}' has no type; write '{name}: Text' or the like")
            inputs[name] = _in_port(name, hints[name], f"{cls.__name__}.{method}: parameter '{name}'")
    if method == "write":
        return Ports(inputs, {})
    where = f"{cls.__name__}.{method}: what it returns"
    result = hints.get("return", type(None))
    generator = typing.get_origin(result) in (AsyncIterator, typing.get_origin(typing.AsyncGenerator[int, None]))
    if generator and typing.get_args(result):
        result = typing.get_args(result)[0]
    parts = [p for p in _union(result) if p is not type(None) and typing.get_origin(p) is not Emit]
    parts += [t for p in _union(result) if typing.get_origin(p) is Emit for t in _union(typing.get_args(p)[0])]
    if not parts:
        raise GraphError(
            f"{cls.__name__}.{method} returns nothing; a {'source' if method == 'run' else 'node'} must have an output"
        )
    single = parts[0] if len(parts) == 1 and isinstance(parts[0], type) else None
    if single is not None and PAYLOADS.get(single.__name__) is not single and typing.get_type_hints(single):
        record = single
        outputs = {n: _payloads(h, f"{where}, field '{n}'") for n, h in typing.get_type_hints(record).items()}
        return Ports(inputs, outputs, record, generator)
    return Ports(inputs, {"out": _payloads(typing.Union[tuple(parts)], where)}, None, generator)  # noqa: UP007
