"""A step in a thread, and the loop that takes what it gives."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from omnistream.engine.step import Step


@pytest.mark.parametrize("generator", [True, False])
def test_what_a_thread_gives_to_a_loop_that_is_closed_is_an_error_and_no_warning(generator: bool) -> None:
    async def one() -> int:
        return 1

    async def several() -> AsyncIterator[int]:
        yield 1

    async def put(item: Any) -> None:
        raise AssertionError(f"nobody is there to take {item}")

    loop = asyncio.new_event_loop()
    loop.close()
    step = Step(several if generator else one, generator=generator, blocking=True)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="closed"):
            step._in_thread({}, put, loop)
        gc.collect()
    step.close()
    assert not found
