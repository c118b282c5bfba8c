"""The four kinds of input port, by name."""

from __future__ import annotations

from omnistream.flow.config import PortConfig
from omnistream.flow.history import HistoryPort
from omnistream.flow.port import EachPort, InEdge, Port
from omnistream.flow.windowed import SessionPort, WindowPort

__all__ = ["make_port"]


def make_port(config: PortConfig, edges: list[InEdge], form: str) -> Port:
    """The port of the kind that `config.take` names."""
    if config.take == "window":
        assert config.window is not None
        return SessionPort(config, edges, form) if config.window.gap_ns else WindowPort(config, edges, form)
    return EachPort(config, edges, form) if config.take == "each" else HistoryPort(config, edges, form)
