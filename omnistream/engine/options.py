"""What a run is asked to be, as every worker is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnistream.flow.edge import Account
    from omnistream.link.tcp_terms import LinkKeys

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`fresh` is a replay without a clock (rule 29): nothing is forced, dropped, skipped or expired, no sink is opened.

    `start_ns` and `end_ns` are the recorded span in a replay; live, `start_ns` is when the run was launched, by which clients
    know one run from another. `offset_ns` is the clock's constant, the same for all workers of a host. `run_dir` holds sockets
    and what is recorded. `accounts` tell a restarted worker what its edges had come to before. `record_streams` are
    those to be recorded (none named: all that comes from outside), `record_queue` the bytes of a worker that may wait for the
    recorder (0: all), and with `record_packets` frames are kept as what the camera sent where it sends that. Traces are made of
    a `trace_share` of the causes.

    `variants` are the ones that nodes are to have from the start and to keep, by node; a fresh replay has the first of each.

    On a cluster `keys` are this run's, made by its head and kept in memory only; `host` names the worker's host and `address`
    is where it is reached. `apart` says that it is another one than the head's: its clock is kept there, and the worker ends
    itself if the head is silent.
    """

    fresh: bool = False
    start_ns: int = 0
    end_ns: int = 1 << 62
    offset_ns: int = 0
    seed: int = 0
    armed: bool = False
    incarnation: int = 0
    run_dir: str = ""
    record: bool = False
    record_streams: tuple[str, ...] = ()
    record_queue: int = 0
    record_packets: bool = False
    trace_share: float = 0.0
    accounts: Mapping[str, Account] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    keys: LinkKeys | None = None
    host: str = ""
    address: str = ""
    apart: bool = False
