"""A disk that is soon full, or can only be read."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["disk"]


@contextmanager
def disk(there: Path, size: str, *options: str) -> Generator[Path]:
    """A file system in memory at `there`. Where none can be mounted the test is skipped."""
    there.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "none", str(there)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield there
    finally:
        subprocess.run(["umount", "-l", str(there)], check=True)  # whatever a test that failed still has open there
