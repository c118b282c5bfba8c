"""Array fields of payloads that hold torch tensors: passed by reference inside a worker, made arrays where they leave it.

A node that says `takes_tensors` is given tensors, whatever its upstream sent; all others are given numpy arrays. So what a
node gets does not depend on where the plan has put it. torch is never imported here before a tensor, or a node that wants
them, is there.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import numpy as np

from omnistream.errors import PayloadError
from omnistream.message import PAYLOADS, Message

__all__ = ["ARRAY_FIELDS", "Carriage", "has_tensor", "hollow", "is_tensor", "to_array", "with_arrays", "with_tensors"]

P = TypeVar("P")

#: The fields of each payload that hold an array.
ARRAY_FIELDS: dict[type, tuple[str, ...]] = {
    kind: names
    for kind in PAYLOADS.values()
    if (names := tuple(f.name for f in dataclasses.fields(kind) if "ndarray" in str(f.type)))
}


def is_tensor(value: Any) -> bool:
    """False wherever torch is not loaded: there are no tensors then."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(value, tensor)


def to_array(tensor: Any) -> np.ndarray:
    """Its values, read-only: a view of a CPU tensor's memory; from a GPU, a copy through pinned memory.

    Raises PayloadError for what numpy has no array for: bfloat16, sparse and quantized tensors.
    """
    try:
        array = (_from_gpu(tensor) if tensor.is_cuda else tensor).numpy(force=True)
    except (TypeError, RuntimeError):
        raise PayloadError(_refusal(tensor)) from None
    view = array.view()
    view.flags.writeable = False
    return view


def _refusal(tensor: Any) -> str:
    layout, dtype = (str(word).removeprefix("torch.") for word in (tensor.layout, tensor.dtype))
    if layout != "strided":
        return f"cannot hold a {layout} tensor; use .to_dense()"
    return f"cannot hold a tensor of {dtype}, for which numpy has no array; use .float()"


def _from_gpu(tensor: Any) -> Any:
    """Pinned memory is what the GPU writes to by itself; torch keeps and reuses it."""
    torch: Any = sys.modules["torch"]
    if tensor.layout != torch.strided:
        return tensor  # which numpy refuses
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor.detach(), non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host


def to_tensor(array: np.ndarray) -> Any:
    """A tensor of the array's own memory, not to be written to."""
    return _torch().from_numpy(array if _strided_for_torch(array) else array.copy())


def _strided_for_torch(array: np.ndarray) -> bool:
    """torch knows no memory that is read backwards."""
    return all(step >= 0 and step % array.itemsize == 0 for step in array.strides)


@cache
def _torch() -> Any:
    import torch

    with warnings.catch_warnings():  # once in a process it warns of arrays that are not to be written to; nodes know
        warnings.simplefilter("ignore")
        torch.from_numpy(np.frombuffer(b"1", np.uint8))
    return torch


def has_tensor(payload: Any) -> bool:
    for name in ARRAY_FIELDS.get(type(payload), ()):
        value = getattr(payload, name)
        if not isinstance(value, np.ndarray) and is_tensor(value):
            return True
    return False


def _replaced(payload: P, change: Callable[[str, Any], Any]) -> P:
    """The payload with its array fields changed; itself where `change` gives back what is there."""
    changed: dict[str, Any] = {}
    for name in ARRAY_FIELDS.get(type(payload), ()):
        value = getattr(payload, name)
        new = change(name, value)
        if new is not value:
            changed[name] = new
    return dataclasses.replace(payload, **changed) if changed else payload  # type: ignore[type-var]


def with_arrays(payload: P) -> P:
    """The payload with an array for each tensor; itself if there is none. Raises PayloadError, which names the field."""
    if not has_tensor(payload):
        return payload

    def change(name: str, value: Any) -> Any:
        if not is_tensor(value):
            return value
        try:
            return to_array(value)
        except PayloadError as error:
            raise PayloadError(f"{type(payload).__name__}.{name} {error}") from None

    return _replaced(payload, change)


def with_tensors(payload: P) -> P:
    """The payload with a tensor for each array."""
    return _replaced(payload, lambda _, value: to_tensor(value) if isinstance(value, np.ndarray) else value)


def hollow(payload: P) -> P:
    """The payload with an empty array of the same type and dimensions for each tensor: all that is to be checked of it.

    Raises PayloadError, which names the field.
    """
    if not has_tensor(payload):
        return payload

    def change(name: str, value: Any) -> Any:
        if not is_tensor(value):
            return value
        try:
            torch = _torch()
            if value.layout != torch.strided:
                raise TypeError
            return torch.empty((0,) * value.ndim, dtype=value.dtype).numpy()
        except (TypeError, RuntimeError):
            raise PayloadError(f"{type(payload).__name__}.{name} {_refusal(value)}") from None

    return _replaced(payload, change)


class Carriage:
    """How one stream's messages come to its receivers: `arrays` to most, `tensors` to those who take them.

    What is converted is so once for all of them.
    """

    __slots__ = ("_from", "_to")

    def __init__(self) -> None:
        self._from: Message[Any] | None = None
        self._to: Message[Any] | None = None

    @classmethod
    def of(cls, kinds: Iterable[str] | None) -> Carriage | None:
        """For a stream of these payloads; None if no field of theirs holds an array."""
        found = PAYLOADS if kinds is None else kinds
        return cls() if any(PAYLOADS[k] in ARRAY_FIELDS for k in found) else None

    def arrays(self, message: Message[Any]) -> Message[Any]:
        if not has_tensor(message.payload):
            return message
        if message is not self._from or self._to is None:
            self._from, self._to = message, dataclasses.replace(message, payload=with_arrays(message.payload))
        return self._to

    def tensors(self, message: Message[Any]) -> Message[Any]:
        payload = with_tensors(message.payload)
        return message if payload is message.payload else dataclasses.replace(message, payload=payload)
