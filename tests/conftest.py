"""How any test runs, and the end of a test run.

No example of a property fails for being slow: how fast this machine is just then says nothing of what is tested, and what is
to be fast is measured where it is. A test that hangs ends by its timeout.

One process holds Ray, PyAV, LiteRT and onnxruntime here, as no process of a graph does. As the interpreter takes itself
down, after the last test and its report, their native threads have aborted it ("corrupted double-linked list"); so the
process ends with the tests' own exit status, without that.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # for film
sys.path.append(str(Path(__file__).parents[1] / "launch"))  # for what tests share with benches and soaks

from processes import free_port

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_status: list[int] = []


@pytest.fixture
def unused_tcp_port() -> int:
    """A port where nobody answers, in the place of pytest-asyncio's: the kernel may give that to somebody else meanwhile.

    Of two processes that test side by side, the other's ZeroMQ socket has answered there.
    """
    return free_port()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs a GPU is left out unless it is asked for by its marker: no machine that tests all else need have one."""
    if "gpu" not in (config.getoption("markexpr") or ""):
        left_out = [i for i in items if i.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [i for i in items if i not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Ray has put a handler of its own in the place of pytest's, whose words end in what is captured and is lost with it."""
    faulthandler.enable(item.config.stash[fault_handler_stderr_fd_key])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    _status.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if _status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status[-1])
