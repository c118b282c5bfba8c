"""A recording through a graph, without a clock (rule 29): what the command line and `omnistream.testing` have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from omnistream.clock import SystemClock
from omnistream.engine.as_recorded import AsRecorded
from omnistream.engine.conductor import Conductor
from omnistream.engine.crew import Crew
from omnistream.engine.options import RunOptions
from omnistream.engine.recorded_graph import check_inputs, graph_then
from omnistream.engine.seen import Watch
from omnistream.engine.watched import WatchedCrew
from omnistream.errors import DifferenceError, GraphError, RecordingError
from omnistream.graph.external import play_external, refuse_external
from omnistream.graph.graph import Graph, NodeInfo, Plan
from omnistream.graph.load import load_graph, uses_of
from omnistream.graph.plan import make_plan
from omnistream.graph.units import show_duration
from omnistream.message import INFINITY, PAYLOADS, SECOND
from omnistream.observe.outcome import Outcome
from omnistream.record.evidence import RunEvidence
from omnistream.record.journal import Fired
from omnistream.record.playable import Playable, open_recording
from omnistream.record.reader import Recording

__all__ = ["Again", "Part", "Prepared", "fresh_conductor", "fresh_options", "open_run", "prepare", "watched_conductor"]


@dataclass(frozen=True, slots=True)
class Part:
    """[from_ns, to_ns) of a recording, counted from its start."""

    from_ns: int | None = None
    to_ns: int | None = None

    def __post_init__(self) -> None:
        if self.to_ns is not None and self.to_ns <= (self.from_ns or 0):
            first, last = show_duration(self.from_ns or 0), show_duration(self.to_ns)
            raise GraphError(f"from {first} to {last} is no part of a recording; the end must come after the beginning")

    def span(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """First and last stamp of this part of what was recorded from `start_ns` to `end_ns`. Raises RecordingError."""
        first = start_ns + (self.from_ns or 0)
        if first > end_ns:
            asked, length = (self.from_ns or 0) / SECOND, (end_ns - start_ns) / SECOND
            raise RecordingError(f"the recording ends after {length:.3f} s, so nothing is left from {asked:g} s on")
        return first, end_ns if self.to_ns is None else min(end_ns, start_ns + self.to_ns - 1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph whose sources play a recording; the recorded span; and what to tell about how they fit."""

    graph: Graph
    span: tuple[int, int]
    start_ns: int
    notices: tuple[str, ...] = ()


def prepare(recording: str | Path, graph: str | Path, sets: Sequence[str] = (), part: Part | None = None) -> Prepared:
    """The graph with a stream of the recording for each source that there is one for, and for each external node.

    Raises GraphError and RecordingError, such as where no stream fits any source.
    """
    part = part or Part()
    with open_recording(recording) as file:
        if file.chosen and file.chosen not in file.streams():
            raise RecordingError(f"{file.path} has no stream '{file.chosen}'; it has {', '.join(file.streams()) or 'none'}")
        sets = [*sets, *play_external(load_graph(graph, sets), str(recording), file.streams())]
        bare = load_graph(graph, sets)
        refuse_external(bare)
        streams, lacking = _streams(bare, file)
        span = part.span(file.start_ns, file.end_ns)
        start_ns, notices = file.start_ns, [file.notice] if file.notice else []
        places = [f"{node}={file.named(stream)}" for node, stream in streams.items()]
    if not streams:
        raise GraphError(f"{recording} has no stream for any source of {graph}")
    notices += [f"{why}; so '{name}' is silent" for name, why in lacking.items()]
    found = load_graph(graph, sets, places)
    nodes = {n: _played(i, streams[n], part) if n in streams else i for n, i in found.nodes.items()}
    return Prepared(dataclasses.replace(found, nodes=nodes), span, start_ns, tuple(notices))


def _streams(graph: Graph, file: Playable) -> tuple[dict[str, str], dict[str, str]]:
    """The recorded stream of each source that has one; and the devices that have none, with the reason."""
    found: dict[str, str] = {}
    lacking: dict[str, str] = {}
    for info in graph.nodes.values():
        if info.role == "source":
            try:
                found[info.name] = file.stream_for(info.name, [PAYLOADS[t] for t in info.types.get("out", ())])
            except RecordingError as error:
                if info.make().is_device:
                    lacking[info.name] = str(error)
    return found, lacking


def _played(info: NodeInfo, stream: str, part: Part) -> NodeInfo:
    times = {"from_s": part.from_ns, "to_s": part.to_ns}
    given = {k: ns / SECOND for k, ns in times.items() if ns is not None}
    return dataclasses.replace(info, options={**info.options, "stream": stream, **given})


def fresh_options(prepared: Prepared, run_dir: str = "") -> RunOptions:
    start, end = prepared.span
    return RunOptions(fresh=True, start_ns=start, end_ns=end, offset_ns=SystemClock().offset_ns, run_dir=run_dir)


def fresh_conductor(plan: Plan, crew: Crew, options: RunOptions, pace: float | None = None) -> Conductor:
    """Leads a replay: as fast as it goes, or `pace` times real time."""
    clock = SystemClock(options.offset_ns)
    return Conductor(plan, crew, clock, fresh=True, start_ns=options.start_ns, pace=pace)


def watched_conductor(prepared: Prepared, watch: Watch, pace: float | None = None) -> Conductor:
    """Leads one in this process that is looked at."""
    options = fresh_options(prepared)
    crew = WatchedCrew(prepared.graph, SystemClock(options.offset_ns), options, watch)
    conductor = fresh_conductor(crew.plan, crew, options, pace)
    crew.enough = lambda: conductor.stop("enough")
    return conductor


def open_run(where: str | Path) -> Recording:
    """The recording of a live run. Raises RecordingError for what is none, such as other people's recordings."""
    path = Path(where).expanduser()
    if first := next(iter(sorted(path.glob("*.0001.mcap"))), None) if path.is_dir() else None:
        raise RecordingError(f"{path} is a directory; name the run's first file, {first}, beside which the others are found")
    file = open_recording(where)
    if isinstance(file, Recording) and not file.chosen:
        return file
    file.close()
    why = f"is a whole run; leave '#{file.chosen}' out" if isinstance(file, Recording) else "holds no journal of a run"
    raise RecordingError(f"{file.path} {why}: only what --record has kept of a live run can be had again as it was")


@dataclass(slots=True)
class Again:
    """A live run to be had again as it was recorded: evidence, graph and plan."""

    evidence: RunEvidence
    plan: Plan
    span: tuple[int, int]
    start_ns: int
    then: Graph | None

    @classmethod
    def of(
        cls, file: Recording, graph: str | Path, sets: Sequence[str] = (), part: Part | None = None, *, partial: bool = False
    ) -> Self:
        """Raises RecordingError where the file is no evidence of a run; `partial`: not all that came from outside is needed.

        Windows fire after the last message, too: only `part` says where it ends.
        """
        part = part or Part()
        first = file.start_ns + (part.from_ns or 0)
        last = INFINITY if part.to_ns is None else file.start_ns + part.to_ns - 1
        evidence = RunEvidence(file, None if part.to_ns is None else last, partial=partial)
        trusted = uses_of(graph, sets)  # of code, the user's own command names it, not the recording
        plan = make_plan(load_graph(graph, [*evidence.sets, *sets], trusted=trusted), "one")
        if part.from_ns is not None:
            fired = [row.t for rows in evidence.rows().values() for row in rows if isinstance(row, Fired)]
            part.span(file.start_ns, max(fired, default=evidence.end_ns))
        then = graph_then(evidence.graph, evidence.sets, plan.graph, trusted)
        return cls(evidence, plan, (first, last), file.start_ns, then)

    def replay(self, pace: float | None = None, watch: Watch | None = None) -> AsRecorded:
        """All of it. Raises RecordingError where the graph is another one than that of the run."""
        replay = AsRecorded(self.plan, self.evidence, self.span, pace, watch)
        check_inputs(self.then, self.plan.graph, replay.nodes)
        return replay

    def check(self, replay: AsRecorded, outcome: Outcome) -> bool:
        """Whether the whole run was had again, equal to it. Raises DifferenceError where its digest is another."""
        whole = not replay.cut and not replay.left and bool(self.evidence.digest)
        if whole and outcome.digest != self.evidence.digest:
            raise DifferenceError(f"the digest is {outcome.digest}, and the run's was {self.evidence.digest}")
        return whole
