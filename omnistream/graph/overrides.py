"""What the command line changes in a graph: ``--set PATH=VALUE`` and ``--source NODE=FILE|DEVICE|URL``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnistream.errors import GraphError
from omnistream.graph.options import options_of
from omnistream.graph.played import is_recording, split_part
from omnistream.graph.problems import Problems
from omnistream.graph.registry import find
from omnistream.graph.suggest import did_you_mean
from omnistream.graph.tree import parse_tree

__all__ = ["Replaced", "apply_sets", "apply_sources"]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A source that plays a recording now: what it used to be, and the flag that said so."""

    use: str
    flag: str


def apply_sets(value: Any, sets: Sequence[str], problems: Problems, env: Mapping[str, str]) -> None:
    """Put each value at its path, in place. Nodes must exist; their words may be new."""
    for text in sets:
        flag = f"--set {text}"
        path, equals, raw = text.partition("=")
        place = tuple(path.split("."))
        if not equals or not all(place):
            problems.without_line(f"{flag}: this is no PATH=VALUE; write one like nodes.camera.with.fps=10")
            continue
        inner = Problems(flag)
        tree = parse_tree(raw, inner, env)
        if inner.found:
            problems.without_line(f"{flag}: the value cannot be read; write a number, true, text, or '[a, b]'")
        elif isinstance(value, dict) and _may_set(value, place, flag, problems):
            _put(value, place, tree.value)
            problems.sets[place] = flag


def _may_set(value: dict[str, Any], place: tuple[str, ...], flag: str, problems: Problems) -> bool:
    nodes = value.get("nodes")
    if place[0] == "nodes" and isinstance(nodes, dict) and (len(place) < 2 or place[1] not in nodes):
        name = place[1] if len(place) > 1 else ""
        problems.without_line(f"{flag}: there is no node '{name}'{did_you_mean(name, nodes, 'the nodes:')}")
        return False
    return True


def _put(value: dict[str, Any], place: tuple[str, ...], leaf: Any) -> None:
    """Set what is at a path. ``inputs.port: node`` becomes ``{from: node}`` where a word is set inside it."""
    holder = value
    for depth, part in enumerate(place[:-1]):
        inside = holder.get(part)
        if not isinstance(inside, dict):
            port = depth == 3 and place[0] == "nodes" and place[2] == "inputs" and isinstance(inside, str | list)
            inside = {"from": inside} if port else {}
            holder[part] = inside
        holder = inside
    holder[place[-1]] = leaf


def apply_sources(
    value: Any, sources: Sequence[str], problems: Problems, trusted: Collection[str] | None = None
) -> dict[str, Replaced]:
    """Give sources another input, in place: a recording where one is named, else the source's own `device` option.

    Returns the nodes that play a recording now.
    """
    replaced: dict[str, Replaced] = {}
    given: dict[str, str] = {}
    nodes = value.get("nodes") if isinstance(value, dict) else None
    if not isinstance(nodes, dict):
        return replaced
    for text in sources:
        flag = f"--source {text}"
        name, equals, where = text.partition("=")
        node = nodes.get(name)
        if not equals or not name or not where:
            problems.without_line(f"{flag}: this is no NODE=FILE|DEVICE|URL; write one like camera=clip.mcap")
        elif name in given:
            problems.without_line(
                f"{flag}: '{name}' has its input from --source {given[name]} already; leave one of the two out"
            )
        elif name not in nodes:
            sought = [n for n, spec in nodes.items() if isinstance(spec, dict) and "inputs" not in spec]
            problems.without_line(f"{flag}: there is no node '{name}'{did_you_mean(name, sought, 'the sources:')}")
        elif isinstance(node, dict) and isinstance(node.get("use"), str):
            given[name] = text
            if not is_recording(where):
                _device(name, node, where, flag, problems, trusted)
            elif _is_playable(name, node, where, flag, problems):
                replaced[name] = Replaced(node["use"], flag)
                nodes[name] = _recording(node, where)
                problems.sets |= {("nodes", name, "use"): flag, ("nodes", name, "with"): flag}
    return replaced


def _is_playable(name: str, node: Mapping[str, Any], where: str, flag: str, problems: Problems) -> bool:
    if "inputs" in node:
        problems.without_line(f"{flag}: '{name}' has inputs, so it is not a source; --source replaces a source's input")
        return False
    if not Path(split_part(where)[0]).expanduser().exists():
        problems.without_line(f"{flag}: there is no such file '{where}'; write the path of a recording")
        return False
    return True


def _recording(node: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The node as a `recording`, which plays the stream that is called like its node."""
    kept = {k: v for k, v in node.items() if k not in ("use", "with")}
    path, part = split_part(where)
    whole = str(Path(path).expanduser().resolve()) + (f"#{part}" if part else "")
    return {"use": "recording", "with": {"path": whole}} | kept


def _device(
    name: str, node: dict[str, Any], where: str, flag: str, problems: Problems, trusted: Collection[str] | None
) -> None:
    try:
        found = find(str(node["use"]), trusted)
    except GraphError:
        return  # its `use` is reported with its line
    if found.role != "source":
        problems.without_line(f"{flag}: '{name}' is a {found.role}, not a source; --source replaces a source's input")
    elif "device" not in options_of(found.cls):
        problems.without_line(f"{flag}: {found.cls.__name__} has no option `device` to replace; give a recording (FILE.mcap)")
    else:
        given = node.get("with")
        node["with"] = (given if isinstance(given, dict) else {}) | {"device": where}
        problems.sets["nodes", name, "with", "device"] = flag
