"""A graph whose ports are resolved and typed (`Graph`), and the same grouped into workers (`Plan`).

Both are plain frozen values: they pickle, and making them imports no model, no Ray and opens nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from omnistream.flow.config import PortConfig
from omnistream.graph.keep import Keep

__all__ = ["Graph", "Input", "NodeInfo", "Plan", "WorkerPlan"]


@dataclass(frozen=True, slots=True)
class Input:
    """One input port and the streams ("node.port", in the order written) that it merges."""

    config: PortConfig
    streams: tuple[str, ...]
    form: Literal["one", "message", "window", "recent"] = "one"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node of a graph: its class by import path ("module:Class"), its options and its resolved ports.

    `inputs` are in the order of the class's parameters; one with a default that the file leaves out is not among them.
    `types` names the payloads of each output. `on` is the worker that the file asks for, or "". `folder` is the
    graph's own, where the modules of its import paths are looked for after all that is installed.
    """

    name: str
    use: str
    target: str
    role: Literal["node", "source", "sink"]
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    on: str = ""
    blocking: bool = False
    line: int = 0
    folder: str = ""
    external: bool = False
    takes_tensors: bool = False
    inexact: Mapping[str, float] = field(default_factory=dict)
    variants: tuple[str, ...] = ()

    def make(self) -> Any:
        """The node object: imports its module, calls its class with the options."""
        if self.folder and self.folder not in sys.path:
            sys.path.append(self.folder)
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)(**self.options)


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes by name, in the order of the file; `text` is the file as read, for recordings.

    `workers` are those that the file describes. `sets` and `sources` are the words of the command line that were
    applied; `replaced` names the nodes that ``--source`` gave their input. `folder` is the one of the file.
    `record` is what it says of recording, if anything, `metrics` the address to serve metrics at, `quality` whether nodes may
    be switched between their variants.
    """

    name: str
    budget_ns: int
    nodes: Mapping[str, NodeInfo]
    file: str = ""
    text: str = ""
    workers: Mapping[str, WorkerPlan] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    folder: str = ""
    record: Keep | None = None
    metrics: str = ""
    quality: Literal["adaptive", "fixed"] = "adaptive"


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker: the nodes it hosts and what it asks of its host.

    `threads` is for each model's inference: in a `Graph` 0 where the file leaves it to the plan, in a `Plan` at least 1.
    `advertise` is where workers on other hosts reach it, "" for its host's own address; `ports` are the first and the last
    to choose from.
    `line` is where the file describes it, or 0.
    """

    name: str
    nodes: tuple[str, ...]
    cpu: float = 0.0
    gpu: float = 0.0
    gpu_required: bool = False
    threads: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    advertise: str = ""
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph and the workers that will run it; every node is on exactly one worker.

    `notices` are for the user; `why` says for each node why it is on its worker, `why_threads` of each worker why
    it has so many.
    """

    graph: Graph
    workers: tuple[WorkerPlan, ...]
    notices: tuple[str, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    why_threads: Mapping[str, str] = field(default_factory=dict)

    def threads(self) -> dict[str, int]:
        """How many each node may use."""
        return {n: w.threads for w in self.workers for n in w.nodes}
