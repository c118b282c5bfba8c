"""`GraphSpec` -> `Graph`: classes found, options checked, ports connected and typed.

Imports only the modules that the graph names, makes each node once to let its class check its own options, and opens
nothing. Everything at fault is added to `Problems`; nodes at fault are left out of what is checked next, so that one
mistake is told once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from omnistream.errors import GraphError
from omnistream.graph.cycles import find_cycles
from omnistream.graph.graph import Graph, Input, NodeInfo, WorkerPlan
from omnistream.graph.keep import Keep
from omnistream.graph.options import check_options, make
from omnistream.graph.overrides import Replaced
from omnistream.graph.ports import Stream, names_of, optional_inputs, resolve_port
from omnistream.graph.problems import Place, Problems
from omnistream.graph.registry import Found, find
from omnistream.graph.spec import GraphSpec, NodeSpec, RecordSpec, RotateSpec
from omnistream.graph.suggest import did_you_mean
from omnistream.message import PAYLOADS

__all__ = ["resolve"]


@dataclass(slots=True)
class _Part:
    """A node on its way: as written, its class, and the outputs that others may read."""

    spec: NodeSpec
    found: Found
    outputs: Mapping[str, frozenset[type]]


def resolve(
    spec: GraphSpec, broken: frozenset[str], replaced: Mapping[str, Replaced], problems: Problems,
    trusted: Collection[str] | None = None,
) -> Graph:  # fmt: skip
    """The graph, complete only if `problems` is still empty. `broken` names nodes already reported.

    `trusted`: the only import paths that may be followed; None: all.
    """
    parts: dict[str, _Part] = {}
    for name, node in spec.nodes.items():
        part = _find(name, node, replaced.get(name), problems, trusted)
        if part is not None:
            parts[name] = part
    missing = broken | (spec.nodes.keys() - parts.keys())
    nodes: dict[str, NodeInfo] = {}
    for name, part in parts.items():
        place: Place = ("nodes", name)
        before = len(problems.found)
        options = check_options(part.found.cls, part.spec.with_, (*place, "with"), problems)
        if len(problems.found) == before:
            make(part.found.cls, options, (*place, "with"), problems)
        nodes[name] = NodeInfo(
            name=name,
            use=part.found.use,
            target=part.found.target,
            role=part.found.role,
            options=options,
            inputs=_inputs(name, part, parts, missing, problems),
            outputs=tuple(part.outputs),
            types={port: tuple(n for n, t in PAYLOADS.items() if t in types) for port, types in part.outputs.items()},
            on=part.spec.on or "",
            blocking=bool(getattr(part.found.cls, "blocking", False)),
            external=bool(getattr(part.found.cls, "external", False)),
            takes_tensors=bool(getattr(part.found.cls, "takes_tensors", False)),
            inexact=part.found.inexact,
            variants=part.found.variants,
            line=problems.lines.get(place, 0),
        )
    find_cycles(nodes, problems)
    workers = {
        name: WorkerPlan(
            name, (), w.cpu, w.gpu, w.gpu_required, w.threads or 0, dict(w.labels),
            problems.lines.get(("workers", name), 0), w.advertise, w.ports,
        )
        for name, w in spec.workers.items()
    }  # fmt: skip
    record = _record(spec.record, parts, missing, problems) if spec.record is not None else None
    return Graph(spec.graph, spec.budget, nodes, workers=workers, record=record, metrics=spec.metrics, quality=spec.quality)


def _record(spec: RecordSpec, parts: Mapping[str, _Part], missing: frozenset[str], problems: Problems) -> Keep:
    found = _streams(("record", "streams"), spec.streams or [], parts, missing, problems)
    if spec.rotate is not None and spec.black_box is not None:
        problems.add(("record", "rotate"), "a black box writes a file for each event; delete `rotate`")
    rotate, box = spec.rotate or RotateSpec.model_construct(), spec.black_box
    keep = Keep(spec.path, tuple(s.name for s in found or ()), spec.video, rotate.size or 0, rotate.every or 0, spec.queue)
    if box is None:
        return keep
    return replace(keep, box_ns=box.last, box_bytes=box.max_bytes, after_ns=box.after, events=tuple(box.on))


def _find(
    name: str, node: NodeSpec, replaced: Replaced | None, problems: Problems, trusted: Collection[str] | None
) -> _Part | None:
    place = ("nodes", name, "use")
    try:
        found = find(node.use, trusted)
    except GraphError as error:
        problems.add(place, str(error))
        return None
    outputs = found.ports.outputs
    if replaced is not None:
        try:
            original = find(replaced.use, trusted)
        except GraphError:  # the driver that is replaced need not be there; the recording knows the outputs
            return _Part(node, found, outputs)
        if original.role != "source":
            problems.without_line(
                f"{replaced.flag}: '{name}' is a {original.role}, not a source; --source replaces a source's input"
            )
            return None
        outputs = original.ports.outputs
    return _Part(node, found, outputs)


def _inputs(
    name: str, part: _Part, parts: Mapping[str, _Part], missing: frozenset[str], problems: Problems
) -> tuple[Input, ...]:
    cls, ports = part.found.cls, part.found.ports.inputs
    place: Place = ("nodes", name)
    given = part.spec.inputs
    if part.found.role == "source" and given:
        problems.add((*place, "inputs"), f"{cls.__name__} is a source and has no inputs; delete `inputs`")
        return ()
    for port in given:
        if port not in ports:
            problems.add((*place, "inputs", port), f"{cls.__name__} has no such input{did_you_mean(port, ports, 'it has')}")
    needed = [p for p in ports if p not in given and p not in optional_inputs(cls)]
    for port in needed:
        text = f"{cls.__name__} needs its input '{port}' ({names_of(ports[port].types)}); write `{port}: node.port`"
        problems.add((*place, "inputs"), text)
    inputs: list[Input] = []
    for port, hint in ports.items():
        if port in given:
            streams = _streams((*place, "inputs", port), given[port].from_, parts, missing, problems)
            if streams is not None:
                inputs.append(resolve_port(hint, given[port], streams, cls, (*place, "inputs", port), problems))
    if not needed and len(inputs) == len(given):
        _check_together(inputs, part, place, problems)
    return tuple(inputs)


def _check_together(inputs: list[Input], part: _Part, place: Place, problems: Problems) -> None:
    """What only all ports of a node together can show (rule 6; `wait`)."""
    cls = part.found.cls
    triggers = [i for i in inputs if i.config.triggers]
    if inputs and not triggers:
        problems.add((*place, "inputs"), "no input triggers, so this node never runs; let one take each message, or a window")
    for i in inputs:
        where = (*place, "inputs", i.config.name)
        if i.config.triggers and len(triggers) > 1 and not i.optional:
            others = ", ".join(f"'{t.config.name}'" for t in triggers if t is not i)
            problems.add(
                where,
                f"this port has no message when only {others} triggers; write the parameter '{i.config.name}' of "
                f"{cls.__name__} with '| None', or let the port take latest or recent",
            )
        alone = i.config.take == "each" and len(triggers) == 1 and len(i.streams) == 1
        if alone and part.spec.inputs[i.config.name].wait is not None:
            problems.add((*where, "wait"), "nothing waits for this port, which alone triggers the node; delete `wait`")


def _streams(
    place: Place, names: list[str], parts: Mapping[str, _Part], missing: frozenset[str], problems: Problems
) -> tuple[Stream, ...] | None:
    """The streams that a port reads, or None where one is not to be had."""
    found: list[Stream] = []
    sound = True
    for written in names:
        node, _, port = written.partition(".")
        if node not in parts:
            if node not in missing:
                problems.add(place, f"there is no node '{node}'{did_you_mean(node, [*parts, *missing], 'the nodes:')}")
            sound = False
            continue
        outputs = parts[node].outputs
        port = port or ("out" if "out" in outputs or not outputs else next(iter(outputs)) if len(outputs) == 1 else "")
        if port not in outputs:
            problems.add(place, _no_output(node, port, outputs))
            sound = False
        elif any(f.name == f"{node}.{port}" for f in found):
            problems.add(place, f"'{node}.{port}' is here twice; delete one")
        else:
            found.append(Stream(f"{node}.{port}", outputs[port], parts[node].found.role == "source"))
    return tuple(found) if sound else None


def _no_output(node: str, port: str, outputs: Mapping[str, Any]) -> str:
    if not outputs:
        return f"'{node}' is a sink and has no output; read from a source or a node"
    if not port:
        choice = ", ".join(f"'{node}.{p}'" for p in outputs)
        return f"'{node}' has several outputs; write one of {choice}"
    return f"'{node}' has no output '{port}'{did_you_mean(port, outputs, 'it has')}"
