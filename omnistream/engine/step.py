"""How a node's step is run: at once, as a task, or in a thread.

Most steps never wait. Such a coroutine is run to its end by one `send`, on the spot: a hop inside a worker is a call.
A step that has an `await` in it becomes a task, and a `blocking` one is run in its node's own thread.
"""

from __future__ import annotations

import asyncio
import dis
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from omnistream.errors import PayloadError
from omnistream.message import PAYLOADS
from omnistream.node import Emit, Ports

__all__ = ["Step", "never_waits", "outputs_of"]

_WAITING = {"GET_AWAITABLE", "GET_ANEXT", "GET_AITER", "BEFORE_ASYNC_WITH"}


def never_waits(function: Callable[..., Any]) -> bool:
    """Whether an async function has no await in it, so that it cannot be suspended."""
    return not any(i.opname in _WAITING for i in dis.get_instructions(inspect.unwrap(function)))


def _finish(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a step that has no await was suspended")


def _each(generator: AsyncIterator[Any]) -> Iterator[Any]:
    """The items of an async generator that never waits."""
    while True:
        try:
            yield _finish(generator.__anext__())
        except StopAsyncIteration:
            return


class Step:
    """One node's `step` or one sink's `write`.

    `inline` says that `call` may be used; otherwise `wait` is awaited, with a callback for each output.
    """

    def __init__(self, function: Callable[..., Any], *, generator: bool, blocking: bool) -> None:
        self.function = function
        self.generator = generator
        self.inline = never_waits(function) and not blocking and not generator
        self._direct = never_waits(function)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="step") if blocking else None

    def call(self, args: dict[str, Any]) -> Any:
        """The result of an inline step."""
        coroutine = self.function(**args)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        coroutine.close()
        raise RuntimeError("a step that has no await was suspended")

    async def wait(self, args: dict[str, Any], put: Callable[[Any], Awaitable[None]]) -> None:
        """Run the step, handing each output to `put` on the event loop."""
        if self._pool is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._pool, self._in_thread, args, put, loop)
        elif self.generator:
            async for item in self.function(**args):
                await put(item)
        else:
            await put(await self.function(**args))

    def _in_thread(self, args: dict[str, Any], put: Callable[[Any], Awaitable[None]], loop: asyncio.AbstractEventLoop) -> None:
        def hand_over(item: Any) -> None:
            handing = _handed(put, item)
            try:
                given = asyncio.run_coroutine_threadsafe(handing, loop)
            except RuntimeError:  # the loop has been closed: nobody takes anything any more
                handing.close()
                raise
            given.result()

        async def other_loop() -> None:
            if self.generator:
                async for item in self.function(**args):
                    hand_over(item)
            else:
                hand_over(await self.function(**args))

        if not self._direct:
            asyncio.run(other_loop())
        elif self.generator:
            for item in _each(self.function(**args)):
                hand_over(item)
        else:
            hand_over(_finish(self.function(**args)))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def outputs_of(ports: Ports, result: Any) -> list[tuple[str, Any, int | None]]:
    """(output, payload, start_ns) of what a step returned or yielded. Raises PayloadError for what is no payload."""
    record = ports.record
    if record is not None and type(result) is record:
        found = [(name, payload) for name in ports.outputs if (payload := getattr(result, name)) is not None]
    else:
        found = [("out", result)]
    outs: list[tuple[str, Any, int | None]] = []
    for out, payload in found:
        start = None
        if type(payload) is Emit:
            payload, start = payload.payload, payload.start_ns
        kind = type(payload)
        if PAYLOADS.get(kind.__name__) is not kind:
            raise PayloadError(f"{kind.__name__} is not a payload; emit one of {', '.join(PAYLOADS)}")
        outs.append((out, payload, start))
    return outs


async def _handed(put: Callable[[Any], Awaitable[None]], item: Any) -> None:
    await put(item)
