# ruff: noqa: E501  a sentence that is compared stands in one line
"""Random graph files that are valid, as plain values, and random damage to them."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_DURATIONS = st.sampled_from(["0", "1ms", "20ms", "1.5s", "inf", "3 min"])
_FINITE = st.sampled_from(["1ns", "5ms", "2s"])
_QUEUES: st.SearchStrategy[Any] = st.one_of(
    st.just("newest"), st.builds(lambda n: {"block": n}, st.integers(1, 99)), st.builds(lambda n: {"drop_oldest": n}, st.integers(1, 99))
)  # fmt: skip
#: class -> input ports (name, payload kinds), outputs
_KINDS: dict[str, tuple[dict[str, frozenset[str]], dict[str, str]]] = {
    "Speech": ({"audio": frozenset({"audio", "any"})}, {"out": "transcript"}),
    "Encoder": ({"audio": frozenset({"audio", "any"})}, {"out": "features"}),
    "Parse": ({"text": frozenset({"text", "transcript", "any"})}, {"out": "command"}),
    "Hands": ({"frame": frozenset({"video", "any"})}, {"out": "gesture", "stop": "gesture"}),
    "Pass": (
        {"x": frozenset({"audio", "video", "text", "transcript", "features", "command", "gesture", "any"})},
        {"out": "any"},
    ),
    "Loop": ({"x": frozenset({"text", "any"})}, {"out": "text"}),
    "Show": ({"value": frozenset({"audio", "video", "text", "transcript", "features", "command", "gesture", "any"})}, {}),
}
_SOURCES = {"Mic": "audio", "Cam": "video", "Typed": "text", "Anything": "any"}


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 9) -> dict[str, Any]:
    """The values of a valid file, with words on its ports, workers, feedback and fan-in."""
    nodes: dict[str, Any] = {}
    streams: list[tuple[str, str]] = []
    for i in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(sorted(_SOURCES)))
        nodes[f"s{i}"] = {"use": f"graph_parts:{kind}"}
        streams.append((f"s{i}", _SOURCES[kind]))
    sources = set(nodes)
    for i in range(draw(st.integers(0, max_nodes))):
        kind = draw(st.sampled_from(sorted(_KINDS)))
        name = f"n{i}"
        inputs: dict[str, Any] = {}
        for port, takes in _KINDS[kind][0].items():
            fitting = [s for s, payload in streams if payload in takes]
            if fitting:
                chosen = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3, unique=True))
                inputs[port] = draw(_port(chosen, window=kind == "Encoder", source=any(c in sources for c in chosen)))
        if len(inputs) < len(_KINDS[kind][0]):
            continue
        if kind == "Loop" and draw(st.booleans()):
            inputs["back"] = {"from": name, "take": "latest", "delay": draw(_FINITE), "hold": draw(_DURATIONS)}
        nodes[name] = {"use": f"graph_parts:{kind}", "inputs": inputs}
        if kind == "Encoder":
            nodes[name]["with"] = {"checkpoint": draw(st.text("abc", max_size=3))}
        if draw(st.booleans()):
            nodes[name]["on"] = draw(st.sampled_from(["w0", "w1", "ears"]))
        outputs = _KINDS[kind][1]
        streams += [(f"{name}.{o}" if len(outputs) > 1 else name, payload) for o, payload in outputs.items()]
    value: dict[str, Any] = {"graph": "random", "nodes": nodes}
    if draw(st.booleans()):
        value["budget"] = draw(st.sampled_from(["50ms", "1s"]))
    if draw(st.booleans()):
        value["workers"] = {"w0": {"gpu": draw(st.sampled_from([0, 0.5, 1, 2])), "threads": draw(st.integers(1, 4))}}
    return value


@st.composite
def _port(draw: st.DrawFn, streams: list[str], *, window: bool, source: bool) -> Any:
    words: dict[str, Any] = {"from": streams if len(streams) > 1 or draw(st.booleans()) else streams[0]}
    if window:
        words["window"] = {"size": "1s", "hop": draw(st.sampled_from(["1s", "250ms", "1ns"]))}
        if draw(st.booleans()):
            words["wait"] = draw(_DURATIONS)
    elif draw(st.booleans()):
        words["take"] = "each"
    if draw(st.booleans()):
        words["queue"] = draw(_QUEUES)
    if draw(st.booleans()):
        words["max_bytes"] = draw(st.sampled_from(["1MiB", 1000]))
    if source and draw(st.booleans()):
        words["in_flight"] = draw(st.integers(0, 9))
    if draw(st.booleans()):
        words["urgent"] = draw(st.booleans())
    return words["from"] if len(words) == 1 and draw(st.booleans()) else words


_JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=6), st.just([]), st.just({}),
    st.sampled_from(["s0", "n0", "n1", "n0.out", "n2.stop", "latest", "recent", "20ms", "inf", "graph_parts:Reason", "graph_parts:Strict",
                     "os:path", "w0", [["x"]], {"from": "s0"}, {"size": "1s"}, {"gap": "1s"}, {"block": -1}]),
)  # fmt: skip
_WORDS = st.sampled_from(
    ["use", "with", "inputs", "on", "from", "take", "hold", "lag", "wait", "window", "session", "delay", "urgent", "queue", "in_flight",
     "graph", "budget", "workers", "nodes", "s0", "n0", "x", "value", "cpu", "gpu", "gpu_required", "labels", "checkpoint", "variants", ""]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A valid file after a few random changes: something taken out, replaced, added or moved."""
    value = copy.deepcopy(draw(graphs(max_nodes=5)))
    for _ in range(draw(st.integers(1, 4))):
        holders = _holders(value)
        holder = draw(st.sampled_from(holders))
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        change = draw(st.sampled_from(["drop", "replace", "add", "move"]))
        if isinstance(holder, dict) and (change == "add" or not keys):
            holder[draw(_WORDS)] = copy.deepcopy(draw(_JUNK))
        elif not keys:
            holder.append(draw(_JUNK))
        else:
            key = draw(st.sampled_from(keys))
            if change == "drop":
                del holder[key]
            elif change == "move" and isinstance(holder, dict):
                holder[draw(_WORDS)] = holder.pop(key)
            else:
                holder[key] = copy.deepcopy(draw(_JUNK))
    return value


def _holders(value: Any) -> list[Any]:
    found = [value]
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            found += _holders(inner)
    return found
