"""A disk that is soon full."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk import disk

from omnistream.link.segment import LINK_NAME

sys.path.insert(0, str(Path(__file__).parent))  # for recorder_world


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    with disk(tmp_path / "disk", "64k") as there:
        yield there


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """A run's directory on a disk of 512 KiB."""
    with disk(tmp_path / "temporary", "512k") as there:
        yield there


@pytest.fixture(params=["1m", "4m"])
def little_memory(run_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The shared memory of the run."""
    with disk(run_dir.parent / "memory", request.param) as there:
        (run_dir / LINK_NAME).symlink_to(there)
        yield there


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"
