"""For pytest: the fixture `replay`, and the option ``--write-golden``.

In a conftest.py: ``pytest_plugins = ["omnistream.pytest_plugin"]``. It is no entry point, which would load it into every test
run of an environment, whatever is tested there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnistream import testing

__all__ = ["pytest_addoption", "replay"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("omnistream").addoption(
        "--write-golden", action="store_true", help="write the golden files of replays anew, in place of comparing with them"
    )


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Callable[..., testing.Replayed]:
    """`omnistream.testing.replay`; files lie beside the test, else where pytest was started."""
    folder = request.path.parent

    def beside(name: str | Path) -> Path:
        return folder / name if (folder / name).exists() else Path(name)

    def run(recording: str | Path, graph: str | Path, **options: Any) -> testing.Replayed:
        found = testing.replay(beside(recording), beside(graph), **options)
        return dataclasses.replace(found, _place=lambda name: folder / name, _write=request.config.getoption("--write-golden"))

    return run
