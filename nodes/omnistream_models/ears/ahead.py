"""Batches drawn while others are learned: by a process beside what learns, or by many where a GPU would wait for them."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from omnistream.errors import ModelError
from omnistream_models.child import serve_parent

__all__ = ["Ahead"]

T = TypeVar("T")

_MOST = 16
#: What a process of the pool draws with, alone: inherited when it was forked, so that no clip is copied.
_inherited: list[Callable[[int], Any]] = []


class Ahead(Generic[T]):
    """draw(first), draw(first + 1) and so on, in that order, drawn before they are asked for.

    Learning fills the CPU: one process draws beside it (a thread would take its turns from the learning). A GPU learns faster
    than that, so every core draws for it.
    """

    def __init__(self, draw: Callable[[int], T], first: int, *, gpu: bool) -> None:
        self._next = first
        if "fork" in multiprocessing.get_all_start_methods():
            drawing = min(_MOST, len(os.sched_getaffinity(0))) if gpu else 1
            self._depth = 2 * drawing
            forked = multiprocessing.get_context("fork")
            self._pool: Executor = ProcessPoolExecutor(drawing, forked, _inherit, (draw,))
            self._one: Callable[[int], T] = _drawn
        else:
            self._depth, self._pool, self._one = 1, ThreadPoolExecutor(1, "ahead"), draw
        self._waiting = deque[Future[T]]()
        self._ask()

    def take(self) -> T:
        """The next of them. What drawing it raised, this raises; ModelError where a process that draws was killed."""
        try:
            found = self._waiting.popleft().result()
            self._ask()
        except BrokenProcessPool:
            raise ModelError(
                "a process that draws what is to be learned was killed (is memory short?); run the same command again: "
                "it goes on from where it last wrote"
            ) from None
        return found

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _ask(self) -> None:
        while len(self._waiting) < self._depth:
            self._waiting.append(self._pool.submit(self._one, self._next))
            self._next += 1


def _inherit(draw: Callable[[int], Any]) -> None:
    serve_parent()
    _inherited.append(draw)


def _drawn(number: int) -> Any:
    return _inherited[-1](number)
