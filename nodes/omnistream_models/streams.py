"""Many streams through one network at once, on a CPU or a GPU: batches, bfloat16, and CUDA graphs.

On a GPU a step of some hundred small kernels takes longer to be asked for than to be done; recorded once as a CUDA graph it is
asked for at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

__all__ = ["Recorded", "Streaming", "Streams"]

_WARM_UP = 3
S = TypeVar("S", bound=tuple[Tensor, ...])


class Streaming(Protocol[S]):
    """A network with an explicit state, a tuple of tensors (batch, ...)."""

    def init_state(self, batch: int) -> S: ...

    def step(self, chunk: Tensor, state: S) -> tuple[Any, S]: ...

    def reset(self, state: S, mask: Tensor) -> S: ...


class Recorded:
    """`function(*given)`, whose tensors keep their sizes and places: on a GPU recorded at once and replayed at each call.

    What a call returns is overwritten by the next one.
    """

    def __init__(self, function: Callable[..., Any], given: Sequence[Tensor]) -> None:
        self._function = function
        self._given = [g.clone() for g in given]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._returns: Any = None
        if given[0].is_cuda:
            self._record()

    def _record(self) -> None:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside), torch.inference_mode():
            for _ in range(_WARM_UP):
                self._function(*self._given)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._returns = self._function(*self._given)

    def __call__(self, *given: Tensor) -> Any:
        if self._graph is None:
            with torch.inference_mode():
                return self._function(*given)
        for place, value in zip(self._given, given, strict=True):
            place.copy_(value, non_blocking=True)
        self._graph.replay()
        return self._returns


class Streams(Generic[S]):
    """`count` streams of `network`, which has its device and type already; `chunk`: the shape of one stream's next piece."""

    def __init__(self, network: Streaming[S], count: int, chunk: Sequence[int]) -> None:
        self._network = network
        with torch.inference_mode():
            begun = network.init_state(count)
        self._kind: Any = type(begun)
        self._state = tuple(part.clone() for part in begun)
        like = self._state[0]
        self._run = Recorded(self._step, [torch.zeros(count, *chunk, device=like.device, dtype=like.dtype)])
        self.reset(torch.ones(count, dtype=torch.bool, device=like.device))

    def step(self, chunks: Tensor) -> Any:
        """The next piece of each stream, (count, ...), on any device -> what the network makes of them, until the next call."""
        like = self._state[0]
        return self._run(chunks.to(like.device, like.dtype, non_blocking=True))

    def reset(self, mask: Tensor) -> None:
        """Forget the streams for which `mask`, (count,) bool, is true."""
        with torch.inference_mode():
            self._keep(self._network.reset(self._kind(*self._state), mask.to(self._state[0].device)))

    def _step(self, chunks: Tensor) -> Any:
        heard, state = self._network.step(chunks, self._kind(*self._state))
        self._keep(state)
        return heard

    def _keep(self, state: S) -> None:
        for place, value in zip(self._state, state, strict=True):
            place.copy_(value)
