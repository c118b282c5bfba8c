from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from helpers_graph import EXAMPLE
from hypothesis import HealthCheck, given, settings
from random_graphs import graphs
from ruamel.yaml import YAML

from omnistream.errors import GraphError
from omnistream.graph.load import parse_graph
from omnistream.graph.schema import SCHEMA_FILE, graph_schema, schema_text

VALIDATOR = jsonschema.Draft202012Validator(graph_schema())


def test_the_file_is_in_step_with_the_types() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m omnistream.graph.reference"


def test_it_is_a_schema_and_every_word_has_a_text() -> None:
    schema = graph_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    models = {"GraphSpec": schema} | schema["$defs"]
    for name, model in models.items():
        assert model["additionalProperties"] is False, name
        for word, field in model["properties"].items():
            assert field.get("description"), f"{name}.{word}"


def test_the_example_of_the_design_is_valid() -> None:
    VALIDATOR.validate(YAML(typ="safe").load(EXAMPLE))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(graphs())
def test_what_loads_is_valid(value: dict[str, Any]) -> None:
    VALIDATOR.validate(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    "text",
    [
        "graph: g",
        "graph: g\nnodes: {}",
        "graph: a b\nnodes: {a: {use: x}}",
        "graph: g\nnodes: {a: {}}",
        "graph: g\nnodes: {a: {use: x, variants: 1}}",
        "graph: g\nbudget: 5\nnodes: {a: {use: x}}",
        "graph: g\nnodes: {a: {use: x, inputs: {p: {from: b, queue: block}}}}",
        "graph: g\nnodes: {a: {use: x, inputs: {p: {from: b, take: all}}}}",
        "graph: g\nnodes: {a: {use: x, inputs: {p: {from: b, wait: 20}}}}",
        "graph: g\nnodes: {a: {use: x, inputs: {p: {}}}}",
        "graph: g\nnodes: {a: {use: x, on: {pool: y}}}",
        "graph: g\nworkers: {w: {threads: 0}}\nnodes: {a: {use: x}}",
    ],
)
def test_an_editor_marks_what_the_loader_refuses(text: str) -> None:
    assert not VALIDATOR.is_valid(YAML(typ="safe").load(text))
    with pytest.raises(GraphError):
        parse_graph(text)
