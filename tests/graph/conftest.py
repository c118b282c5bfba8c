"""The parts of graph_parts.py by their import path, and the design's example made of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # graph_parts is named in `use:`, as a user's own module would be


@pytest.fixture
def example() -> str:
    """The graph of DESIGN section 2, its parts replaced by those of this folder."""
    from helpers_graph import EXAMPLE

    return EXAMPLE
