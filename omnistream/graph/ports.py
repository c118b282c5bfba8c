"""One input port: from the words of a graph file and the hint of its parameter to an `Input`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from omnistream.flow.config import PortConfig, Queue, Take, WindowConfig
from omnistream.flow.policy import default_policy
from omnistream.graph.graph import Input
from omnistream.graph.problems import Place, Problems
from omnistream.graph.spec import InputSpec
from omnistream.graph.suggest import did_you_mean
from omnistream.message import INFINITY, MS, PAYLOADS, VideoFrame
from omnistream.node import InPort

__all__ = ["Stream", "default_queue", "names_of", "optional_inputs", "resolve_port"]

_ANYTHING = frozenset(PAYLOADS.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """An output that a port reads: its name "node.port", its payload types, and whether a source makes it."""

    name: str
    types: frozenset[type]
    source: bool

    @property
    def known(self) -> frozenset[type]:
        """The types, or nothing where the output may be any payload (a recording, a pass-through)."""
        return frozenset() if self.types == _ANYTHING else self.types


def default_queue(types: Iterable[type]) -> Queue:
    """The policy of these payload types where the file names none; of several, the strictest."""
    return Queue(*default_policy(types))


def optional_inputs(cls: type) -> frozenset[str]:
    """The inputs that a graph may leave out: parameters with a default."""
    method = getattr(cls, "step", None) or getattr(cls, "write", None)
    if method is None:
        return frozenset()
    parameters = inspect.signature(method).parameters.values()
    return frozenset(p.name for p in parameters if p.default is not inspect.Parameter.empty)


def resolve_port(
    port: InPort, spec: InputSpec, streams: tuple[Stream, ...], cls: type, place: Place, problems: Problems
) -> Input:
    """The port with all its defaults. What does not fit together is added to `problems`."""
    types = _check_types(port, streams, cls, place, problems)
    take = _take(port, spec, cls, place, problems)
    window = _window(spec, types or port.types, take, place, problems)
    side = take in ("latest", "recent")
    for word, given in (("hold", spec.hold), ("lag", spec.lag)):
        if given is not None and not side and spec.take not in ("latest", "recent"):
            problems.add(
                (*place, word), f"`{word}` is for a port that takes latest or recent; this one takes {take}; delete it"
            )
    if take == "recent" and (spec.hold is None or spec.hold >= INFINITY):
        problems.add(place, "`take: recent` keeps what it may still show; write how far back that is, such as `hold: 2s`")
    if spec.lag is not None and spec.lag >= INFINITY:
        problems.add((*place, "lag"), "a `lag` without end never sees anything; write one like '40ms'")
    if spec.delay is not None and not side:
        problems.add(
            (*place, "delay"), f"feedback cannot trigger, and this port takes {take}; write `take: latest` or `take: recent`"
        )
    if spec.urgent and side:
        problems.add((*place, "urgent"), f"only a port that triggers can be urgent, and this one takes {take}; delete `urgent`")
    if take == "latest" and not port.optional:
        problems.add(place, f"`take: latest` may find nothing; write '{port.name}: {_hint(port)} | None' in {cls.__name__}")
    sources = [s for s in streams if s.source]
    if spec.in_flight and not sources:
        problems.add(
            (*place, "in_flight"), "`in_flight` limits what a source lets in, and this port reads from none; delete it"
        )
    queue = spec.queue or default_queue(types)
    if spec.max_bytes is not None:
        queue = dataclasses.replace(queue, max_bytes=spec.max_bytes)
    video = any((s.known or types) == frozenset({VideoFrame}) for s in sources)
    config = PortConfig(
        name=port.name,
        take=take,
        queue=queue,
        window=window,
        hold_ns=INFINITY if spec.hold is None else spec.hold,
        lag_ns=spec.lag or 0,
        wait_ns=20 * MS if spec.wait is None else spec.wait,
        delay_ns=spec.delay or 0,
        urgent=spec.urgent,
        in_flight=(2 if video else 0) if spec.in_flight is None else spec.in_flight,
        max_bytes=queue.max_bytes,
    )
    return Input(config, tuple(s.name for s in streams), port.form, port.optional)  # type: ignore[arg-type]


def _check_types(port: InPort, streams: tuple[Stream, ...], cls: type, place: Place, problems: Problems) -> frozenset[type]:
    """The payload types that will come, where every stream fits the port."""
    found: set[type] = set()
    for stream in streams:
        strange = stream.known - port.types
        if strange:
            gives, takes = names_of(stream.types), names_of(port.types)
            problems.add(place, f"'{stream.name}' gives {gives}, but the port '{port.name}' of {cls.__name__} takes {takes}")
        found |= stream.known or port.types
    return frozenset(found)


def _take(port: InPort, spec: InputSpec, cls: type, place: Place, problems: Problems) -> Take:
    hinted: Mapping[str, Take] = {"window": "window", "recent": "recent"}
    fits: Take | None = hinted.get(port.form)
    take: Take = spec.take or ("window" if spec.window or spec.session else "each")
    where = f"the port '{port.name}' of {cls.__name__}"
    if fits == "window":
        if take != "window":
            words = "write `window: {size: 1s}` or `session: {gap: 500ms}`"
            problems.add(place, f"{where} takes a Window; {words if spec.take is None else f'delete `take: {spec.take}`'}")
        elif spec.window is None and spec.session is None:
            problems.add(place, f"{where} takes a Window; write `window: {{size: 1s}}` or `session: {{gap: 500ms}}`")
    elif fits == "recent":
        if take != "recent":
            problems.add(place, f"{where} takes all Recent messages; write `take: recent`")
    elif take in ("window", "recent"):
        wants = "Window" if take == "window" else "Recent"
        problems.add(place, f"{where} takes one message at a time; delete `{take}`, or write its hint as '{wants}[...]'")
        return "each"
    if fits != "window" and spec.take in ("each", "latest", "recent") and (spec.window or spec.session):
        word = "window" if spec.window else "session"
        problems.add((*place, "take"), f"`take: {spec.take}` does not go with a `{word}`; delete one")
    return fits or take


def _window(spec: InputSpec, types: frozenset[type], take: Take, place: Place, problems: Problems) -> WindowConfig | None:
    if take != "window":
        return None
    if spec.window is not None:
        return WindowConfig(size_ns=spec.window.size, hop_ns=spec.window.hop or spec.window.size)
    if spec.session is None:
        return None
    if end := spec.session.end:
        lacking = [t for t in types if end not in _fields(t)]
        if lacking:
            names = sorted(set.intersection(*(_fields(t) for t in types)))
            hint = did_you_mean(end, names, "it has")
            problems.add((*place, "session", "end"), f"{names_of(lacking)} has no field '{end}'{hint}")
    return WindowConfig(gap_ns=spec.session.gap, end=spec.session.end)


def _fields(cls: type[Any]) -> set[str]:
    return {f.name for f in dataclasses.fields(cls)}


def names_of(types: Iterable[type]) -> str:
    """Payload types as an error names them."""
    found = frozenset(types)
    return "any payload" if found == _ANYTHING else " | ".join(n for n, t in PAYLOADS.items() if t in found)


def _hint(port: InPort) -> str:
    inner = names_of(port.types)
    return {"message": f"Message[{inner}]", "window": f"Window[{inner}]", "recent": f"Recent[{inner}]"}.get(port.form, inner)
