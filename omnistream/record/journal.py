"""The journal: one row for every firing, written before its outputs leave (rule 28), so that a run can be had again.

A row is a msgpack list. ``reads`` is, for every port that gave something, [port, ended, [[edge, epoch, seq, stamp], ...]]:
the port's place in the step, whether the input of a window had ended, and the messages by their place in ``from:``.
``outs`` is [[output, seq, stamp], ...]. A row of a node that has variants ends with the one that it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgpack

from omnistream.errors import RecordingError
from omnistream.flow.cell import Cell, Firing
from omnistream.message import INFINITY

__all__ = ["Fired", "Opened", "Out", "Reads", "chains_of", "firings", "reads_of"]

#: port -> (its input had ended, [(edge, epoch, seq, effective stamp), ...])
Reads = Mapping[int, tuple[bool, Sequence[tuple[int, int, int, int]]]]
#: (output, seq, stamp)
Out = tuple[str, int, int]


@dataclass(slots=True)
class Opened:
    """A new life of a node: its state is empty, and its outputs bear this epoch."""

    node: str
    incarnation: int


@dataclass(slots=True)
class Fired:
    """A firing. `fate` is "consumed", why it was not stepped or failed, or empty where the run broke off in it.

    `chain` is a sink's digest after it; `void` are the ports of a sink whose payload had expired. `variant` is "" where the
    node had none.
    """

    node: str
    t: int
    reads: Reads
    outs: list[Out]
    fate: str
    chain: str = ""
    void: Sequence[int] = field(default=())
    variant: str = ""


def reads_of(cell: Cell, firing: Firing) -> list[Any]:
    """What a firing has read, as a row says it."""
    found: list[Any] = []
    for port, items in firing.items:
        messages = [(i.edge.index, i.message.epoch, i.message.seq, i.stamp) for i in items]
        found.append((cell.ports.index(port), port.ended, messages))
    return found


def firings(rows: Iterable[bytes], incarnation: int) -> Iterator[Opened | Fired]:
    """The rows of one life of a worker, each firing whole. Raises RecordingError for what is no row."""
    running: dict[str, Fired] = {}
    for data in rows:
        try:
            row = msgpack.unpackb(data, use_list=False, strict_map_key=True)
            match row:
                case ("b", int()) | ("c", dict()):  # the run begins; sinks' digests, again
                    pass
                case ("o", str() as node):
                    yield Opened(node, incarnation)
                case ("f", str() as node, int() as t, tuple() as reads, tuple() as outs, str() as fate, *variant):
                    fired = Fired(node, _time(t), _reads(reads), _outs(outs), fate, variant=_variant(variant))
                    if fate:
                        yield fired
                    else:
                        running[node] = fired
                case ("g", str() as node, tuple() as outs):
                    running[node].outs += _outs(outs)
                case ("e", str() as node, str() as fate):
                    fired = running.pop(node)
                    fired.fate = fate
                    yield fired
                case ("s", str() as node, int() as t, tuple() as reads, str() as fate, bytes() as chain, tuple() as void):
                    yield Fired(node, _time(t), _reads(reads), [], fate, chain.hex(), [int(port) for port in void])
                case _:
                    raise RecordingError("the journal holds a row of no known kind")
        except (ValueError, TypeError, KeyError, IndexError, msgpack.UnpackException) as error:
            raise RecordingError(f"the journal holds a damaged row: {type(error).__name__}: {str(error)[:80]}") from None
    yield from running.values()


def chains_of(rows: Iterable[bytes]) -> dict[str, bytes]:
    """The newest digest of each sink that rows tell of. Rows that are damaged are passed over."""
    found: dict[str, bytes] = {}
    for data in rows:
        with suppress(ValueError, TypeError, msgpack.UnpackException):
            match msgpack.unpackb(data, use_list=False):
                case ("c", dict() as chains):
                    found.update({str(sink): bytes(chain) for sink, chain in chains.items()})
                case ("s", str() as sink, _, _, _, bytes() as chain, _):
                    found[sink] = chain
                case _:
                    pass
    return found


def _time(value: int) -> int:
    if not -INFINITY < value < INFINITY:
        raise ValueError(f"{value} is no time")
    return value


def _variant(rest: Sequence[Any]) -> str:
    if len(rest) > 1 or not all(isinstance(word, str) for word in rest):
        raise ValueError("a firing has one variant, or none")
    return rest[0] if rest else ""


def _outs(value: tuple[Any, ...]) -> list[Out]:
    return [(str(out), int(seq), _time(int(stamp))) for out, seq, stamp in value]


def _reads(value: tuple[Any, ...]) -> Reads:
    return {
        int(port): (bool(ended), [(int(e), int(p), int(s), int(t)) for e, p, s, t in items]) for port, ended, items in value
    }
