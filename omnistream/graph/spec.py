"""`GraphSpec`: a graph file as written. Unknown words are refused by name; the words of later versions, too.

The descriptions of the fields are the reference in docs/graph.md and the JSON schema's hover texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from omnistream.flow.config import Queue
from omnistream.flow.policy import MAX_N, POLICIES, Policy
from omnistream.graph.keep import BLACK_BOX_EVENTS
from omnistream.graph.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_endpoint, parse_size
from omnistream.message import INFINITY

__all__ = [
    "LATER",
    "BlackBoxSpec",
    "GraphSpec",
    "InputSpec",
    "NodeSpec",
    "RecordSpec",
    "RotateSpec",
    "SessionSpec",
    "WindowSpec",
    "WorkerSpec",
]

#: Words of versions to come, by the model in which they would stand; each is refused with "is not in this version".
LATER: Mapping[str, frozenset[str]] = {
    "GraphSpec": frozenset(
        {"export", "exports", "graph_import", "graph_imports", "instance", "instances", "models", "pools", "profile"}
        | {"safe_state", "values", "variants", "accept_late", "version"}
    ),
    "NodeSpec": frozenset({"export", "external", "instances", "pool", "record", "restart", "snapshot", "variants"}),
    "InputSpec": frozenset({"allowed_lateness", "batch", "late", "priority"}),
    "WorkerSpec": frozenset({"affinity", "host", "pool", "replicas", "resources", "restart"}),
    "WindowSpec": frozenset({"allowed_lateness", "count", "clock"}),
    "SessionSpec": frozenset({"allowed_lateness", "max"}),
}

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not a name; write letters, digits, '_' and '-' only, beginning with a letter")
    return value


def _finite(ns: int) -> int:
    if not 0 < ns < INFINITY:
        raise ValueError("this duration must be more than 0 and have an end; write one like '200ms'")
    return ns


def _lag(value: object) -> int:
    if value == "auto":
        raise ValueError("`auto` is not in this version; write the lag as a duration, such as '40ms'")
    return parse_duration(value)


def _streams(value: object) -> object:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(s, str) for s in found):
        raise ValueError("a port reads from 'node', 'node.port', or a list of them; write one of these")
    return found


def _queue(value: object) -> Queue:
    word, n = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else (value, None)
    policy = POLICIES.get(word) if isinstance(word, str) else None
    if policy is None or policy.takes_n != isinstance(value, Mapping):
        *words, last = (f"{{{w}: {p.example}}}" if p.takes_n else w for w, p in POLICIES.items())
        raise ValueError(f"{repr(value)[:80]} is not a queue policy; write {', '.join(words)} or {last}")
    if not policy.takes_n:
        return Queue(str(word))
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= MAX_N:
        raise ValueError(f"`{word}: {n}` must be a number of messages from 1 to {MAX_N}; write {{{word}: {policy.example}}}")
    return Queue(str(word), n)


def _queue_schema() -> dict[str, Any]:
    """What an editor takes for a queue: one of the bare words, or a map of one word and N."""

    def one(word: str, policy: Policy) -> dict[str, Any]:
        if not policy.takes_n:
            return {"const": word, "description": policy.meaning}
        n = {"description": policy.meaning, "maximum": MAX_N, "minimum": 1, "type": "integer"}
        return {"additionalProperties": False, "properties": {word: n}, "required": [word], "type": "object"}

    return {"anyOf": [one(w, p) for w, p in POLICIES.items()]}


def _input(value: object) -> object:
    return {"from": value} if isinstance(value, str | list) else value


def _mcap(value: str) -> str:
    if not value.endswith(".mcap"):
        raise ValueError(f"{value[:80]!r} is not the name of a recording; write one that ends in '.mcap'")
    return value


def _record(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not an address; write a name or number without a port, such as '192.168.1.20'")
    return value


def _endpoint(value: str) -> str:
    try:
        parse_endpoint(value)
    except ValueError as error:
        raise ValueError(f"{value[:80]!r} is not an address to serve at; {error}") from None
    return value


def _ports(value: object) -> object:
    found = _PORTS.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    first, last = (int(found[1]), int(found[2] or found[1])) if found is not None else (0, 0)
    if not 0 < first <= last < 65536:
        raise ValueError(f"{str(value)[:80]!r} is no range of ports; write one like '5600-5699'")
    return (first, last)


def _on(value: object) -> object:
    if isinstance(value, Mapping):
        raise ValueError("pools (`on: {pool: ...}`) are not in this version; write `on:` with the name of a worker")
    return value


_DURATION_INPUT = Annotated[str, Field(pattern=DURATION_PATTERN)] | Literal[0]
Duration = Annotated[int, BeforeValidator(parse_duration, json_schema_input_type=_DURATION_INPUT)]
Finite = Annotated[Duration, AfterValidator(_finite)]
Lag = Annotated[int, BeforeValidator(_lag, json_schema_input_type=_DURATION_INPUT)]
_SIZE_INPUT = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=SIZE_PATTERN)]
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=_SIZE_INPUT)]
_STREAMS_INPUT = str | Annotated[list[str], Field(min_length=1)]
Streams = Annotated[list[str], BeforeValidator(_streams, json_schema_input_type=_STREAMS_INPUT)]
Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": f"^{_NAME.pattern}$"})]


class _Spec(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, arbitrary_types_allowed=True
    )


class WindowSpec(_Spec):
    """Windows of event time, aligned to multiples of `hop` since the epoch (rule 8)."""

    size: Finite
    """How much time one window spans."""
    hop: Finite | None = None
    """From the start of one window to the start of the next; at most `size`. Default: `size`."""


class SessionSpec(_Spec):
    """Windows that end where the input pauses (rule 8)."""

    gap: Finite
    """A session ends when no message came for this long (event time)."""
    end: str = ""
    """A field of the payload; a message in which it is true ends the session at once, such as `final`."""


class InputSpec(_Spec):
    """One input port. `port: node` is short for `port: {from: node}`."""

    from_: Annotated[Streams, Field(alias="from")]
    """What the port reads: `node` (its output `out`, or its only one), `node.port`, or a list that is merged by stamp."""
    take: Literal["each", "window", "latest", "recent"] | None = None
    """How: `each` message (default; triggers), a `window` (triggers), the `latest` one, or all `recent` ones."""
    window: WindowSpec | None = None
    """For a port that takes a `Window`: its size and hop."""
    session: SessionSpec | None = None
    """For a port that takes a `Window`: sessions instead of fixed sizes."""
    hold: Duration | None = None
    """For `latest` and `recent`: how far back they look. Default for `latest`: `inf`."""
    lag: Lag | None = None
    """For `latest` and `recent`: look this far into the past, so that nobody waits for the newest. Default: 0."""
    wait: Duration | None = None
    """How long a firing waits for this port, live, before it goes on without; 0 and `inf` are allowed. Default: 20ms."""
    delay: Finite | None = None
    """Marks feedback: the port is `latest` or `recent`, and sees messages this much later."""
    urgent: bool = False
    """The port's messages wait for no other port: a stop."""
    queue: Annotated[Queue | None, BeforeValidator(_queue), WithJsonSchema(_queue_schema())] = None
    """What happens to messages that the node has no time for. Default: by the payload."""
    max_bytes: Size | None = None
    """Limit of what is queued and buffered for this port, such as `64MiB`. Default: `256MiB`."""
    in_flight: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """At most so many unfinished messages of a source behind this port; 0: off. Default: 2 for video from a source."""

    @model_validator(mode="after")
    def _one_window(self) -> InputSpec:
        if self.window is not None and self.window.hop is not None and self.window.hop > self.window.size:
            raise ValueError("the window's `hop` is longer than its `size`, so what lies between is lost; make hop <= size")
        if self.window is not None and self.session is not None:
            raise ValueError("a port has a `window` or a `session`, not both; delete one")
        return self


class NodeSpec(_Spec):
    """One node, source or sink."""

    use: str
    """What it is: a name that `omnistream nodes` lists, or an import path `module:Class`."""
    with_: Annotated[dict[str, Any], Field(alias="with", default_factory=dict)]
    """Its options: the fields of its class. `omnistream nodes NAME` shows them."""
    inputs: dict[str, Annotated[InputSpec, BeforeValidator(_input, json_schema_input_type=str | list[str] | InputSpec)]] = {}
    """Its input ports: the parameters of its `step` or `write`."""
    on: Annotated[Name | None, BeforeValidator(_on, json_schema_input_type=str)] = None
    """The worker it runs on; nodes with the same name share one. Without it: see "Where nodes run"."""


class WorkerSpec(_Spec):
    """What one worker asks of its host."""

    cpu: Annotated[float, Field(ge=0, le=4096, allow_inf_nan=False)] = 0.0
    """CPU cores to reserve; 0 reserves none, and shares."""
    gpu: Annotated[float, Field(ge=0, le=64, allow_inf_nan=False)] = 0.0
    """GPUs to reserve: a share of one (0.5), or a whole number."""
    gpu_required: bool = False
    """True: refuse to run without the GPU. False: run on the CPU then, with a notice."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads for each model's inference. Default: by the host's cores; see "Where nodes run"."""
    labels: dict[str, str] = {}
    """Labels that the host must carry (Ray node labels)."""
    advertise: Annotated[str, AfterValidator(_address)] = ""
    """On a cluster: where workers on other hosts reach this one, such as a container's host. Default: its host's address."""
    ports: Annotated[
        tuple[int, int] | None,
        BeforeValidator(
            _ports,
            json_schema_input_type=Annotated[int, Field(ge=1, le=65535)] | Annotated[str, Field(pattern=f"^{_PORTS.pattern}$")],
        ),
    ] = None
    """On a cluster: the worker listens to other hosts at the first free port of these, such as `5600-5699`. Default: any."""

    @model_validator(mode="after")
    def _gpus(self) -> WorkerSpec:
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise ValueError(f"`gpu: {self.gpu:g}` is neither a share of one GPU nor a whole number; write 0.5, 1 or 2")
        if self.gpu_required and not self.gpu:
            raise ValueError("`gpu_required` without `gpu` asks for nothing; write how much, such as `gpu: 1`")
        return self


#: Of a recording that goes on in the next: each has the graph file in it, and what its first frames depend on.
_SMALLEST_FILE = 64 << 10


class RotateSpec(_Spec):
    """When a recording goes on in the next file (`run.0001.mcap`, `run.0002.mcap`, ...): by size, by time, or either."""

    size: Size | None = None
    """A file ends when it has so many bytes, such as `1GiB`; at least `64KiB`."""
    every: Finite | None = None
    """A file ends after so long, such as `10min`."""

    @model_validator(mode="after")
    def _one(self) -> RotateSpec:
        if self.size is None and self.every is None:
            raise ValueError(
                "`rotate` says neither a size nor a time; write `rotate: {size: 1GiB}` or `rotate: {every: 10min}`"
            )
        if self.size is not None and self.size < _SMALLEST_FILE:
            raise ValueError(f"`rotate: {{size: {self.size}}}` is hardly a message for each file; write `size: 64KiB` or more")
        return self


class BlackBoxSpec(_Spec):
    """Nothing is written until something happens; then what came before it is: `run.20261122-231502.mcap`."""

    last: Finite = 30_000_000_000
    """How much of the past is kept. Default: 30s."""
    max_bytes: Size = 256 << 20
    """At most so many bytes of it, in memory. Default: `256MiB`."""
    after: Finite = 2_000_000_000
    """What comes so long after it is written, too; events in that time are one. Default: 2s."""
    on: Annotated[list[Literal["stop", "refused", "error", "restart"]], Field(min_length=1)] = list(BLACK_BOX_EVENTS)
    """For what: a robot's `stop`, an action that was `refused`, an `error` of a node, a worker's death and `restart`.
    Key `b` and SIGUSR1 always do. Default: all."""


class RecordSpec(_Spec):
    """What of each run is recorded. `omnistream run --record FILE` names another file."""

    path: Annotated[str, AfterValidator(_mcap)] = ""
    """The file, `.mcap`; `{time}` in its name is when the run began, as 20261122-231502 in UTC. Without it only runs with
    `--record FILE` are recorded. One that is there is overwritten only by a run with `--overwrite`."""
    streams: Annotated[list[str], Field(min_length=1)] | None = None
    """`node` or `node.port`, those of nodes among them. Default: all that comes from outside, as a replay of the run needs."""
    video: Literal["exact", "compact"] = "exact"
    """`exact`: every pixel as it was, as what the camera sent where it sends H.264, H.265 or JPEG. `compact`: small, plays in
    Foxglove, and cannot be replayed as recorded."""
    rotate: RotateSpec | None = None
    """Go on in another file. Default: one file."""
    queue: Size = 256 << 20
    """Bytes that may wait for the recorder, for each worker; beyond them messages are not kept, and the file says which.
    Default: `256MiB`."""
    black_box: BlackBoxSpec | None = None
    """Keep only the last while, and write it when something happens."""


class GraphSpec(_Spec):
    """A graph of sources, nodes and sinks."""

    graph: Name
    """The graph's name."""
    budget: Finite = 200_000_000
    """From a cause (captured) to its effect (sent); what takes longer is expired. Default: 200ms."""
    workers: dict[Name, WorkerSpec] = {}
    """Workers that need more than the defaults; one that a node names in `on` need not be here."""
    nodes: Annotated[dict[Name, NodeSpec], Field(min_length=1)]
    """Every node, source and sink, by name."""
    quality: Literal["adaptive", "fixed"] = "adaptive"
    """`adaptive`: nodes that have variants take cheaper ones while the budget is in danger. `fixed`: they keep to the first."""
    record: Annotated[RecordSpec | None, BeforeValidator(_record, json_schema_input_type=str | RecordSpec)] = None
    """What of each run is recorded. `record: FILE.mcap` is short for `record: {path: FILE.mcap}`."""
    metrics: Annotated[str, AfterValidator(_endpoint)] = ""
    """Serve metrics of each run for Prometheus at this address, such as `127.0.0.1:9464`; as `omnistream run --metrics`."""
