"""``omnistream replay``: a recording through a graph, fresh or as it was recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from omnistream.cli.check import GraphArgument, SetOption
from omnistream.cli.conduct import Engine, EngineOption, LayoutOption, SummaryOption, check_summary
from omnistream.cli.files import check_output, duration
from omnistream.cli.sentence import sentences
from omnistream.errors import GraphError

__all__ = ["replay"]

FromOption = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begin so long after its start, such as 2.5s.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End before what came so long after its start.")]


@sentences
def replay(
    recording: Annotated[
        str, typer.Argument(metavar="RECORDING", help="A run's (run --record), or another's: docs/recordings.md.")
    ],
    graph: GraphArgument,
    engine: EngineOption = Engine.local,
    sets: SetOption = None,
    summary: SummaryOption = None,
    layout: LayoutOption = None,
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="The live run again, with every choice it made; a difference is told.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(metavar="NODE", help="This node, as it is today, on what the run gave it: where it differs.")
    ] = None,
    from_: FromOption = None,
    to: ToOption = None,
    pace: Annotated[
        float | None, typer.Option(metavar="N", help="N times real time at most; default: as fast as it goes.")
    ] = None,
    loop: Annotated[
        int, typer.Option(metavar="N", min=0, help="Replay N times, each with the same digest; 0: until Ctrl-C.")
    ] = 1,
    step: Annotated[bool, typer.Option("--step", help="Show each firing, its inputs and outputs; Enter goes on.")] = False,
    nodes: Annotated[
        list[str] | None, typer.Option("--node", metavar="NODE", help="With --step: only this node's firings.")
    ] = None,
    expect: Annotated[str | None, typer.Option(metavar="DIGEST", help="The exit code is 1 if another digest comes.")] = None,
    golden: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare with what --write-golden kept: the first difference is shown.")
    ] = None,
    write_golden: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep what the sinks (with --only, the node's readers) are given.")
    ] = None,
) -> None:
    """Play a recording through a graph, without a clock: the same recording gives the same digest, on every engine.

    Nothing is dropped, skipped or late, and no device or robot is opened. With --as-recorded all that was dropped, forced
    or lost in the live run is so again, and its outputs are the run's, byte for byte. The exit code is 1 where what was
    compared is not the same.
    """
    from omnistream.cli.replaying import Ask, replay_all

    if pace is not None and not 1e-3 <= pace <= 1e6:
        raise GraphError(
            f"--pace {pace:g}: a replay goes between 0.001 and a million times real time; leave it out for no limit"
        )
    if nodes and not step:
        raise GraphError("--node says what --step shows; add --step")
    if only is not None and (expect is not None or as_recorded):
        raise GraphError("--only replays one node, as recorded; leave --as-recorded and --expect out")
    looks = step or golden is not None or write_golden is not None
    if (looks or as_recorded or only is not None) and (engine is not Engine.local or layout is not None):
        which = "a replay that is looked at (--step, --golden, --write-golden)" if looks else "an as-recorded replay"
        raise GraphError(f"{which} has an engine and layout of its own; leave --engine and --layout out")
    check_summary(summary)
    if write_golden is not None:
        check_output("--write-golden", write_golden)
    times = [duration(option, text) for option, text in (("--from", from_), ("--to", to))]
    replay_all(
        Ask(
            recording=recording, graph=graph, sets=sets or (), engine=engine, layout=layout, summary=summary,
            as_recorded=as_recorded, only=only, from_ns=times[0], to_ns=times[1], pace=pace, loop=loop, step=step,
            nodes=nodes or (), expect=expect, golden=golden, write_golden=write_golden,
        )
    )  # fmt: skip
