"""Who comes first (rule 14): stops, then commands, then what a sensor brings. It chooses between nodes and between edges.

The order inside an edge, and inside a node, is never touched.
"""

from __future__ import annotations

from collections.abc import Collection

from omnistream.flow.config import PortConfig
from omnistream.flow.policy import POLICIES

__all__ = ["COMMAND", "FLOW", "RANKS", "URGENT", "rank_of"]

#: The ranks, from the first to the last.
URGENT, COMMAND, FLOW = RANKS = range(3)

#: Payloads that come of themselves, many a second: to lose one is no harm, whatever policy a graph gives their edges.
_FLOWING = frozenset(t.__name__ for policy in POLICIES.values() if policy.droppable for t in policy.default_for)


def rank_of(config: PortConfig, payloads: Collection[str]) -> int:
    """The rank of an edge into a port, by the names of the payloads that it may carry: one that may be a command is one."""
    if config.urgent:
        return URGENT
    flows = bool(payloads) and set(payloads) <= _FLOWING
    return FLOW if config.queue.droppable or flows else COMMAND
