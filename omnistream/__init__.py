"""OmniStream: streaming perception and control as graphs of nodes in event time, on time or accounted for."""

from omnistream.errors import OmniStreamError
from omnistream.message import Message, Window
from omnistream.node import Context, Emit, Node, Recent, Sink, Source

__all__ = ["Context", "Emit", "Message", "Node", "OmniStreamError", "Recent", "Sink", "Source", "Window"]
