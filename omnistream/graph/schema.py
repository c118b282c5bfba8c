"""The JSON schema of graph files, for editors: completion and hover texts while one is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omnistream.graph.spec import GraphSpec

__all__ = ["SCHEMA_FILE", "graph_schema", "schema_text"]

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def graph_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a graph file as written."""
    schema = GraphSpec.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "OmniStream graph"}
    return head | {k: v for k, v in schema.items() if k != "title"}


def schema_text() -> str:
    """The schema as it lies in the package."""
    return json.dumps(graph_schema(), indent=2, ensure_ascii=False) + "\n"
