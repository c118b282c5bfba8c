"""Batches: what one worker has for another at the end of a turn, as parts of bytes. No socket is touched here.

The first part is a msgpack header: who sends, which life of whom it is for, the items, and, where shared memory is used,
the place of each array and what the two posts have to tell each other. Arrays that are in no slot follow as parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack
import numpy as np

from omnistream.errors import PayloadError
from omnistream.link.wire import decode_message, encode_message, loads

__all__ = ["Header", "decode_batch", "encode_batch", "read_header", "read_items"]

#: The types of every kind of item, after its kind.
_ITEMS: dict[str, tuple[Any, ...]] = {
    "m": (int, int, bool, tuple, int, int),
    "b": (int, int),
    "n": (int, int),
    "c": (int, int, dict),
    "a": (int, int, str),
    "p": (int, int, int),
    "h": (dict,),
}
#: What a greeting says of each edge: next seq, received, uncredited, fates, bound, whether it was told the end.
_SAID = (int, int, int, dict, int, bool)
#: What posts tell each other: views that were let go; "look at my secret"; "this is what I saw"; "I cannot read your slots".
_TOLD: dict[str, tuple[Any, ...]] = {"free": (tuple,), "look": (), "seen": (bytes,), "blind": ()}

#: A place in shared memory for an array of a message, by the message's key, or None.
Place = Callable[[np.ndarray, Any], "tuple[Any, ...] | None"]


class Header(NamedTuple):
    """The first part of a batch. `places` says of each array where it is: a slot's descriptor, or None for the next part."""

    sender: str
    incarnation: int
    receiver: int
    items: tuple[Any, ...]
    places: tuple[Any, ...] | None = None
    told: tuple[Any, ...] = ()


def encode_batch(
    sender: str, incarnation: int, receiver: int, items: Sequence[tuple[Any, ...]],
    place: Place | None = None, told: Sequence[tuple[Any, ...]] = (), refuse: Callable[[str], None] | None = None,
) -> list[Any]:  # fmt: skip
    """The parts of a batch of items, for one life of its receiver.

    Raises PayloadError for a message that cannot be packed, or tells `refuse` and leaves it out.
    """
    parts: list[Any] = [b""]
    places: list[Any] = []
    plain: list[Any] = []
    count = 0
    for item in items:
        if item[0] != "m":
            plain.append(item)
            continue
        message = item[4]
        try:
            header, arrays = encode_message(message)
        except PayloadError as error:
            if refuse is None:
                raise
            refuse(f"{message.stream} {message.seq} was not sent: {error}")
            continue
        plain.append((*item[:4], header, count, len(arrays)))
        for n, array in enumerate(arrays):
            spot = None
            if place is not None:
                spot = place(array, (message.stream, message.epoch, message.seq, n))
                places.append(spot)
            if spot is None:
                parts.append(_flat(array))
        count += len(arrays)
    some = len(parts) - 1 < len(places)
    if told or some:
        parts[0] = msgpack.packb((sender, incarnation, receiver, plain, places if some else None, told))
    else:
        parts[0] = msgpack.packb((sender, incarnation, receiver, plain))
    return parts


def _flat(array: np.ndarray) -> Any:
    if array.nbytes < 4096:
        return array.tobytes()
    flat: Any = np.ascontiguousarray(array).reshape(-1)
    return memoryview(flat).cast("B")


def read_header(parts: Sequence[Any]) -> Header:
    """Raises PayloadError for what is no batch."""
    if not parts:
        raise PayloadError("not a batch: it has no parts")
    found = loads(parts[0], text_keys=False)
    if not (isinstance(found, tuple) and len(found) in (4, 6)):
        raise PayloadError("a batch is sender, two incarnations, items, and perhaps places and words")
    header = Header(*found)
    if not (isinstance(header.sender, str) and isinstance(header.incarnation, int) and isinstance(header.receiver, int)):
        raise PayloadError("a batch begins with sender and incarnations")
    if not (isinstance(header.items, tuple) and isinstance(header.places, (tuple, type(None))) and _is_told(header.told)):
        raise PayloadError("the items, places or words of a batch are malformed")
    return header


def _is_told(told: Any) -> bool:
    if not isinstance(told, tuple):
        return False
    for word in told:
        if not (isinstance(word, tuple) and word and isinstance(word[0], str) and word[0] in _TOLD):
            return False
        kinds = _TOLD[word[0]]
        if len(word) != len(kinds) + 1 or not all(map(isinstance, word[1:], kinds)):
            return False
        if word[0] == "free" and not all(
            isinstance(w, tuple) and len(w) == 3 and all(isinstance(n, int) for n in w) for w in word[1]
        ):
            return False
    return True


def read_items(header: Header, parts: Sequence[Any], view: Callable[[Any], np.ndarray] | None = None) -> list[tuple[Any, ...]]:
    """The items of a batch; `view` gives the bytes that a descriptor names. Raises PayloadError for what is malformed."""
    buffers = _buffers(header.places, parts, view)
    items: list[tuple[Any, ...]] = []
    try:
        for item in header.items:
            kinds = _ITEMS[item[0]]
            if len(item) != len(kinds) + 1 or not all(map(isinstance, item[1:], kinds)) or not _is_sound(item):
                raise PayloadError(f"an item of kind {item[0]!r} is malformed")
            if item[0] == "m":
                first, count = item[5], item[6]
                if not 0 <= first <= first + count <= len(buffers):
                    raise PayloadError("a message names buffers that are not there")
                items.append((*item[:4], decode_message(item[4], buffers[first : first + count])))
            else:
                items.append(item)
    except PayloadError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise PayloadError(f"not a batch: {type(error).__name__}: {str(error)[:80]}") from None
    return items


def _buffers(places: Sequence[Any] | None, parts: Sequence[Any], view: Callable[[Any], np.ndarray] | None) -> Sequence[Any]:
    if places is None:
        return parts[1:]
    if places.count(None) != len(parts) - 1:
        raise PayloadError("a batch does not have as many parts as it says")
    if view is None:
        raise PayloadError("a batch names slots where no memory is shared")
    inline = iter(parts[1:])
    return [next(inline) if place is None else view(place) for place in places]


def decode_batch(parts: Sequence[Any]) -> tuple[str, int, int, list[tuple[Any, ...]]]:
    """Sender, its incarnation, the receiver's incarnation, the items of a batch without slots. Raises PayloadError."""
    header = read_header(parts)
    return header.sender, header.incarnation, header.receiver, read_items(header, parts)


def _is_sound(item: tuple[Any, ...]) -> bool:
    """Whether the maps in an item are what its kind promises."""
    if item[0] == "c":
        return _is_fates(item[3])
    said = item[1].items() if item[0] == "h" else ()
    return all(
        isinstance(number, int) and len(words) == 6 and all(map(isinstance, words, _SAID)) and _is_fates(words[3])
        for number, words in said
    )


def _is_fates(counts: dict[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, int) for k, v in counts.items())
