"""Every error a user can meet: where it is, what was found, what to write instead."""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "DeviceError",
    "DifferenceError",
    "GraphError",
    "LinkError",
    "ModelError",
    "OmniStreamError",
    "PayloadError",
    "RecordingError",
]


class OmniStreamError(Exception):
    """One clear sentence for a person. The command line prints it without a traceback and exits with 2."""

    exit_code = 2


class GraphError(OmniStreamError):
    """The graph file cannot be run as written. The text begins with ``file:line:`` and the path in the file."""


class BudgetError(OmniStreamError):
    """A graph that cannot hold its budget on this host, by what was measured. The command line exits with 3."""

    exit_code = 3


class PayloadError(OmniStreamError):
    """Bytes or values that are not a valid payload: refused at the border, counted, never decoded further."""


class DeviceError(OmniStreamError):
    """A camera, microphone, broker or socket that cannot be opened or has gone away."""


class ModelError(OmniStreamError):
    """Model weights that cannot be had, or are not the ones named by their digest."""


class RecordingError(OmniStreamError):
    """A recording that is missing, truncated, corrupt or does not fit the graph."""


class DifferenceError(RecordingError):
    """A replay gave something else than what it was compared with. The command line exits with 1, as `diff` does."""

    exit_code = 1


class LinkError(OmniStreamError):
    """A link between workers that cannot be made."""
