"""What a replay gives, kept while it goes on: for golden files and for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnistream.engine.replay import Part
from omnistream.engine.seen import Seen
from omnistream.graph.graph import Graph
from omnistream.message import Message
from omnistream.record.golden import About, Golden

__all__ = ["GoldenWatch", "Kept"]


class Kept:
    """The messages that each sink consumed, by its port ("robot.action"), in order."""

    def __init__(self, graph: Graph) -> None:
        self.over = False
        self.seen: dict[str, list[Message[Any]]] = {
            f"{info.name}.{port.config.name}": []
            for info in graph.nodes.values()
            if info.role == "sink"
            for port in info.inputs
        }

    def fired(self, seen: Seen) -> None:
        if seen.role == "sink" and seen.fate == "consumed":
            for port, messages in seen.reads:
                self.seen[f"{seen.node}.{port}"] += messages


class GoldenWatch:
    """The same as a golden file has it; with `only`, what that node gave."""

    def __init__(self, graph: Graph, only: str = "") -> None:
        self.over = False
        self.golden = Golden()
        self._graph = graph.name
        self._only = only
        self.inexact = {name: info.inexact for name, info in graph.nodes.items()}

    def about(self, recording: str | Path, kind: str, part: Part, digest: str) -> None:
        """Say at the end what was replayed."""
        self.golden.about = About(self._graph, Path(recording).name, kind, part.from_ns, part.to_ns, digest)

    def fired(self, seen: Seen) -> None:
        if self._only:
            for message in seen.outs if seen.node == self._only else ():
                self._add(message.stream, message)
        elif seen.role == "sink" and seen.fate == "consumed":
            for port, messages in seen.reads:
                for message in messages:
                    self._add(f"{seen.node}.{port}", message)

    def _add(self, where: str, message: Message[Any]) -> None:
        self.golden.add(where, message, self.inexact.get(message.stream.rpartition(".")[0], {}))
