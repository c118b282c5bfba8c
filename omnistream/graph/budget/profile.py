"""`GRAPH.profile.json`: what a graph's steps, sources and hops took on each host on which they were measured."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from omnistream.errors import GraphError
from omnistream.graph.graph import NodeInfo

__all__ = [
    "GRID", "HopProfile", "HostProfile", "NodeProfile", "Profile", "SourceProfile", "Spread", "StepProfile", "StreamProfile",
    "cpu_model", "host_key", "options_key", "profile_path", "read_profile", "versions_here", "write_profile",
]  # fmt: skip

#: The quantiles that are kept of a distribution: few in the middle, more in the tail, which decides about p99.
GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 1.0)
_RARE, _MANY = 0.9985, 1000
_VERSION = 1
#: A profile is read whole: more than this is none of ours.
_LARGEST = 16 << 20

_Us = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Any = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=1 << 53)]
_Mean = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Word = Annotated[str, Field(max_length=300)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Spread(_Part):
    """A distribution in microseconds, as its quantiles at `GRID`; `n` values were seen."""

    n: _Count = 0
    q: Annotated[list[_Any], Field(min_length=len(GRID), max_length=len(GRID))] = [0.0] * len(GRID)

    @classmethod
    def of(cls, values_ns: Any) -> Self:
        a = np.asarray(values_ns, dtype=np.float64) / 1e3
        if not len(a):
            return cls()
        return cls(n=len(a), q=[round(float(v), 2) for v in np.quantile(a, GRID)])

    @classmethod
    def flat(cls, us: float) -> Self:
        """Always the same."""
        return cls(n=1, q=[float(us)] * len(GRID))

    def at(self, p: float) -> float:
        """The quantile `p` (0 to 1) in microseconds."""
        return float(np.interp(p, GRID, self.q))

    @property
    def mean(self) -> float:
        q = np.asarray(self.q)
        return float(np.sum((q[1:] + q[:-1]) / 2 * np.diff(GRID)))

    def draw_ns(self, rng: np.random.Generator, count: int) -> list[float]:
        """So many values of it, in nanoseconds."""
        grid, q = list(GRID), list(self.q)
        if self.n > _MANY:  # the largest of many is rarer than the last place of the grid; between them tails are exponential
            grid.insert(-1, _RARE)
            q.insert(-1, q[-2] + (q[-1] - q[-2]) * math.log((1 - GRID[-2]) / (1 - _RARE)) / math.log((1 - GRID[-2]) * self.n))
        return (np.interp(rng.random(count), grid, q) * 1e3).tolist()

    def scaled(self, by: float) -> Spread:
        return Spread(n=self.n, q=[v * by for v in self.q])


class StepProfile(_Part):
    """What one firing of a node takes, without waiting for others: computing, and neither that nor runnable (`rest`)."""

    cpu: Spread
    """CPU time of the thread that steps."""
    rest: Spread
    """Wall time less CPU time, alone on the host: sleeping, asking somebody, handing over to a thread."""
    wall: Spread
    """Wall time, alone."""
    gil: _Share = 0.0
    """How much of the CPU time the step holds Python's lock, as nobody else in its process can compute then."""
    takes: _Mean = 1.0
    """How often it has to take that lock again beside one who holds it all the time."""

    def slower(self, by: float) -> StepProfile:
        """The step if all of it took `by` times as long."""
        return self.model_copy(update={k: getattr(self, k).scaled(by) for k in ("cpu", "rest", "wall")})


class StreamProfile(_Part):
    """What comes out of an output."""

    per_firing: _Mean
    """Messages in a firing, on average."""
    bytes: _Mean = 0.0
    """Size of their arrays, on average."""
    samples: _Count = 0
    """Of audio: samples in a chunk, as most have."""
    rate_hz: _Count = 0


class SourceProfile(_Part):
    """How a source brings its messages."""

    interval: Spread
    """From one stamp to the next."""
    late: Spread
    """From the stamp to when the source yields it."""
    cpu: Spread
    """CPU time of making one."""
    stamped: bool = True
    """It says itself when it was; otherwise it is stamped when the graph takes it."""
    exact: bool = False
    """It says with each message when the next one comes."""


class NodeProfile(_Part):
    """One node, source or sink."""

    role: Literal["node", "source", "sink"]
    use: _Word
    options: Annotated[str, Field(max_length=64)] = ""
    kind: Literal["inline", "task", "thread", "none"] = "none"
    """How it is run: at once on the worker's event loop, as a task there, or in a thread."""
    firings: _Count = 0
    together: Spread = Spread()
    """Wall time of a step among its neighbours, on the same cores."""
    cpu: Spread = Spread()
    """CPU time of a step among its neighbours."""
    alone: Annotated[dict[_Word, StepProfile], Field(max_length=16)] = {}
    """By variant ("" where the node has none), stepped alone with what it was given in the run."""
    outputs: Annotated[dict[_Word, StreamProfile], Field(max_length=64)] = {}
    source: SourceProfile | None = None


class HopProfile(_Part):
    """From one worker to another, by size of the arrays."""

    kind: Literal["worker", "process", "host"]
    bytes: _Count
    latency: Spread
    """From emitting to receiving, idle."""
    cpu: Spread
    """What the receiver computes of it."""


class HostProfile(_Part):
    """What was measured on one host."""

    cpu: _Word
    cores: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
    versions: Annotated[dict[_Word, _Word], Field(max_length=64)]
    measured_unix_s: _Count = 0
    seconds: _Mean = 0.0
    load: _Mean = 0.0
    """Cores that others kept busy meanwhile."""
    wake: Spread = Spread.flat(60.0)
    """How late a thread that sleeps is woken."""
    others: Spread = Spread()
    """How many threads of others were running on the host, or waited to; a number, not a time."""
    switch_us: _Us = 5000.0
    """How long a thread has Python's lock while another wants it (sys.getswitchinterval in a run)."""
    turn_us: _Us = 0.0
    """A worker's turn of nodes that are ready ends after so long, and tasks come; 0: when none is ready."""
    firing_us: _Us = 20.0
    """What the engine itself takes for a firing in place."""
    hops: Annotated[list[HopProfile], Field(max_length=64)] = []
    nodes: Annotated[dict[_Word, NodeProfile], Field(max_length=10_000)]

    def slower(self, by: float) -> HostProfile:
        """This host if each step of each node took `by` times as long."""
        nodes = {
            name: n.model_copy(update={"cpu": n.cpu.scaled(by), "alone": {v: s.slower(by) for v, s in n.alone.items()}})
            for name, n in self.nodes.items()
        }
        return self.model_copy(update={"nodes": nodes})


class Profile(_Part):
    """All hosts on which a graph was measured, by `host_key`."""

    version: Literal[1] = _VERSION
    graph: _Word
    hosts: Annotated[dict[_Word, HostProfile], Field(max_length=256)] = {}

    def with_host(self, key: str, host: HostProfile) -> Profile:
        return Profile(graph=self.graph, hosts={**self.hosts, key: host})


def profile_path(graph: str | Path) -> Path:
    """Where a graph's profile lies: beside it."""
    return Path(graph).with_suffix(".profile.json")


def read_profile(path: str | Path) -> Profile | None:
    """The profile in a file, None if there is no such file. Raises GraphError where it is none of ours."""
    file = Path(path)
    again = "delete it, and measure again with `omnistream profile`"
    try:
        if file.stat().st_size > _LARGEST:
            raise GraphError(f"{path}: this is no profile: it has {file.stat().st_size} bytes; {again}")
        found: Any = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GraphError(f"{path}: the profile cannot be read ({error.strerror}); {again}") from None
    except (ValueError, RecursionError):
        raise GraphError(f"{path}: this is no JSON; {again}") from None
    if isinstance(found, dict) and isinstance(found.get("version"), int) and found["version"] != _VERSION:
        raise GraphError(f"{path}: this profile is of version {found['version']}, and {_VERSION} is known here; {again}")
    try:
        return Profile.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "the file"
        raise GraphError(f"{path}: {where[:200]}: {first['msg']}; {again}") from None


def write_profile(path: str | Path, profile: Profile) -> None:
    """Write it whole or not at all. Raises GraphError where it cannot be written."""
    file = Path(path)
    beside = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        beside.write_text(profile.model_dump_json(indent=1) + "\n")
        beside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise GraphError(f"{path}: the profile cannot be written ({error.strerror}); name another file with --out") from None


def host_key(cores: float, versions: Mapping[str, str]) -> str:
    """What a measurement holds for: this processor, its cores, and the versions of what computes."""
    words = ", ".join(f"{k} {v}" for k, v in sorted(versions.items()))
    return f"{cpu_model()}; {cores:g} cores; {words}"[:300]


def cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()[:200]
    return platform.processor() or platform.machine()


def versions_here() -> dict[str, str]:
    """Of what decides how long steps take: Python, and the packages that compute."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("omnistream", "numpy", "onnxruntime", "ai-edge-litert", "torch", "ray"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def options_key(info: NodeInfo) -> str:
    """Tells whether a node was measured with the class and the options that it has now."""
    words = json.dumps([info.target, dict(info.options)], sort_keys=True, default=str)
    return hashlib.blake2b(words.encode(), digest_size=8).hexdigest()
