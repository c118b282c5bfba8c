"""Where a run on a cluster is asked for from other hosts: a named actor, at which questions lie until the run takes them."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["DESK_SPACE", "Desk"]

#: Ray's namespace of all desks.
DESK_SPACE = "omnistream"
_WAITING, _ANSWER_S = 64, 8.0


class Desk:
    """Called through Ray: `ask` by whoever asks, `asked` and `answer` by the run. It ends with the run's process."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue(_WAITING)
        self._answers: dict[int, asyncio.Future[dict[str, Any] | None]] = {}
        self._count = 0

    async def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The run's answer; None if it has none, or there are too many questions. Raises TimeoutError."""
        if self._asked.full():
            return None
        self._count += 1
        number = self._count
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait((number, request))
        try:
            return await asyncio.wait_for(answer, _ANSWER_S)
        finally:
            del self._answers[number]

    async def asked(self) -> tuple[int, dict[str, Any]]:
        """The next question, once there is one."""
        return await self._asked.get()

    async def answer(self, number: int, answer: dict[str, Any] | None) -> None:
        waiting = self._answers.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
