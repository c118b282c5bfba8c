"""docs/graph.md, docs/nodes.md and schema.json, written from the types: ``python -m omnistream.graph.reference``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnistream.errors import GraphError
from omnistream.flow.policy import OTHERWISE, POLICIES
from omnistream.graph.describe import Described, describe
from omnistream.graph.registry import installed
from omnistream.graph.schema import SCHEMA_FILE, graph_schema, schema_text
from omnistream.graph.spec import (
    BlackBoxSpec,
    GraphSpec,
    InputSpec,
    NodeSpec,
    RecordSpec,
    RotateSpec,
    SessionSpec,
    WindowSpec,
    WorkerSpec,
)
from omnistream.graph.units import DURATION_PATTERN, SIZE_PATTERN

__all__ = ["BEGIN", "END", "graph_reference", "main", "nodes_reference", "with_reference"]

BEGIN = "<!-- generated from omnistream/graph/spec.py by `python -m omnistream.graph.reference`; edit the types -->"
END = "<!-- end of the generated part -->"
_MODELS = {
    GraphSpec: "The file", NodeSpec: "A node", InputSpec: "An input",
    WindowSpec: "`window`", SessionSpec: "`session`", WorkerSpec: "A worker",
    RecordSpec: "`record`", RotateSpec: "`rotate`", BlackBoxSpec: "`black_box`",
}  # fmt: skip


def graph_reference() -> str:
    """Every word of a graph file, its values and meaning, as markdown tables."""
    schema = graph_schema()
    models: dict[str, Any] = {"GraphSpec": schema} | schema["$defs"]
    out: list[str] = []
    for model, heading in _MODELS.items():
        found = models[model.__name__]
        out += [f"### {heading}", "", inspect.getdoc(model) or "", "", "| word | value | meaning |", "| --- | --- | --- |"]
        for word, field in found["properties"].items():
            needed = " **required**" if word in found.get("required", ()) else ""
            text = " ".join(field["description"].split())
            default = field.get("default")
            if default not in (None, {}, "") and "Default" not in text:
                text += f" Default: `{json.dumps(default)}`."
            out.append(f"| `{word}` | {_value(field)}{needed} | {text} |")
        out.append("")
        if model is InputSpec:
            out += [*_policies(), ""]
    return "\n".join(out)


def _policies() -> list[str]:
    """The policies of an edge, as a table."""
    out = ["### `queue`", "", "What becomes of messages that a node has no time for; they wait at the sender.", ""]
    out += ["| policy | meaning | default for |", "| --- | --- | --- |"]
    for word, policy in POLICIES.items():
        kinds = [
            ", ".join(f"`{t.__name__}`" for t, m in policy.default_for.items() if m == n)
            + (f" ({n})" if policy.takes_n else "")
            for n in dict.fromkeys(policy.default_for.values())
        ]
        if word == OTHERWISE[0]:
            kinds.append(f"all else, and streams that mix it with others ({OTHERWISE[1]})")
        shown = f"`{{{word}: N}}`" if policy.takes_n else f"`{word}`"
        out.append(f"| {shown} | {policy.meaning} | {'; '.join(kinds)} |")
    return out


def _value(field: Mapping[str, Any]) -> str:
    """What may be written for a word, in a few words."""
    for key in ("anyOf", "oneOf"):
        if key in field:
            kinds = [_value(f) for f in field[key] if f.get("type") != "null" and f.get("const") != 0]
            return " or ".join(dict.fromkeys(kinds))
    if field.get("pattern") == DURATION_PATTERN:
        return "duration"
    if field.get("pattern") == SIZE_PATTERN:
        return "size"
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        named = {"WindowSpec": "`{size, hop}`", "SessionSpec": "`{gap, end}`", "InputSpec": "an input"} | {
            "RecordSpec": "`{path, ...}`", "RotateSpec": "`{size, every}`", "BlackBoxSpec": "`{last, ...}`",
        }  # fmt: skip
        return named.get(name, f"a {name.removesuffix('Spec').lower()}")
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{v}`" for v in field["enum"])
    if field.get("type") == "array":
        return "list of text"
    if field.get("type") == "object":
        if "properties" in field:  # a queue's word and its number
            return f"`{{{', '.join(f'{word}: N' for word in field['properties'])}}}`"
        inner = field.get("additionalProperties")
        if not isinstance(inner, dict) and "patternProperties" in field:
            inner = next(iter(field["patternProperties"].values()))
        return f"map of name to {_value(inner)}" if isinstance(inner, dict) and inner else "map"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}.get(
        str(field.get("type")), "any value"
    )


def with_reference(page: str) -> str:
    """A page with the part between its marks made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{graph_reference()}\n{END}{after}"


def nodes_reference() -> str:
    """A page about every installed node and driver: contract, ports and options."""
    sources: list[str] = []
    sections: dict[str, list[str]] = {"source": [], "node": [], "sink": []}
    for name in installed():
        try:
            found = describe(name)
        except GraphError as error:
            sources.append(f"- `{name}` cannot be loaded: {error}")
            continue
        sections[found.role] += _section(found)
    out = [
        "# Nodes and drivers",
        "",
        "Generated by `python -m omnistream.graph.reference`; `omnistream nodes NAME` shows the same.",
        "",
    ]
    headings = {"source": "Sources", "node": "Nodes", "sink": "Sinks"}
    for role, lines in sections.items():
        if lines:
            out += [f"## {headings[role]}", "", *lines]
    return "\n".join([*out, *sources]).rstrip() + "\n"


def _section(found: Described) -> list[str]:
    out = [f"### {found.name}", "", found.doc, ""]
    if found.example:
        out += ["```yaml", found.example.rstrip(), "```", ""]
    ports = [f"- in `{n}`: {t}" for n, t in found.inputs.items()] + [f"- out `{n}`: {t}" for n, t in found.outputs.items()]
    if found.inexact:
        ports.append(f"- inexact between machines: {', '.join(f'`{n}` ({t:g})' for n, t in found.inexact.items())}")
    if found.variants:
        ports.append(f"- variants, from the best to the cheapest: {', '.join(f'`{v}`' for v in found.variants)}")
    out += [*ports, ""]
    if found.options:
        out += ["| option | type | default | |", "| --- | --- | --- | --- |"]
        for o in found.options:
            default = "**required**" if o.default is None else f"`{o.default}`"
            out.append(f"| `{o.name}` | {o.type.replace('|', 'or')} | {default.replace('|', chr(92) + '|')} | {o.doc} |")
        out.append("")
    return out


def main() -> None:
    """Write the files anew, in the source tree."""
    docs = Path(__file__).parents[2] / "docs"
    if not docs.is_dir():
        sys.exit(f"{docs} is not there: run this in a checkout of OmniStream")
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    page = docs / "graph.md"
    page.write_text(with_reference(page.read_text(encoding="utf-8")), encoding="utf-8")
    (docs / "nodes.md").write_text(nodes_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
