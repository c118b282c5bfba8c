"""Batches: what one worker has for another at the end of a turn, as parts of bytes. No socket is touched here.

The first part is a msgpack header: who sends, which life of whom it is for, the items, and, where shared memory is used,
the place of each array and what the two posts have to tell each other. Arrays that are in no slot follow as parts.
An item is a tuple of its kind and what `Item` says of it. What is read is checked, by type, while it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct
from msgspec.structs import astuple

from omnistream.errors import PayloadError
from omnistream.link.packed import pack_fast, unpack_fast
from omnistream.link.wire import loads
from omnistream.message import Message

__all__ = ["MOST_ENDED", "Header", "Place", "decode_batch", "encode_batch", "read_header", "read_items", "words_of"]

Natural = Annotated[int, Meta(ge=0)]
#: So many messages one item acknowledges at the most.
MOST_ENDED = 1 << 16
#: An origin has one level for each node that a command has come through.
_DEEPEST = 400
#: What a greeting says of each edge: next seq, received, uncredited, fates, bound, whether it was told the end.
_Said = tuple[int, int, int, dict[str, int], int, bool]


class _Item(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """One item of a batch; its tag is the first element of the tuple that it is elsewhere."""


class _Message(_Item, tag="m"):
    edge: int
    bound: int
    wants_ack: bool
    stream: str
    epoch: int
    seq: int
    origin: list[Any]
    stamp_ns: int
    cause_ns: int
    deadline_ns: int
    lineage: dict[str, int]
    start_ns: int | None
    kind: str
    body: Raw
    first: Natural
    count: Natural


class _Unread(_Item, tag="u"):
    """In the place of a message that cannot be read there: its receiver accounts for it, and goes on with what follows."""

    edge: int
    bound: int
    wants_ack: bool
    seq: int


class _Bound(_Item, tag="b"):
    edge: int
    bound: int


class _Need(_Item, tag="n"):
    edge: int
    t: int


class _Credit(_Item, tag="c"):
    edge: int
    count: int
    fates: dict[str, int]


class _Acknowledged(_Item, tag="a"):
    """`count` messages from `first` on have ended so."""

    edge: int
    first: int
    count: Annotated[int, Meta(ge=1, le=MOST_ENDED)]
    fate: str


class _Progress(_Item, tag="p"):
    edge: int
    passed: int
    next_seq: int


class _Hello(_Item, tag="h"):
    said: dict[int, _Said]


class _Loan(_Item, tag="x"):
    """A word of `loans.py`."""

    word: str
    values: Raw


class _Word(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """What posts tell each other of shared memory."""


class _Free(_Word, tag="free"):
    """Views that were let go: segment, slot and filling."""

    views: list[tuple[int, int, int]]


class _Look(_Word, tag="look"):
    """Look at my secret."""


class _Seen(_Word, tag="seen"):
    """This is what I saw."""

    secret: bytes


class _Blind(_Word, tag="blind"):
    """I cannot read your slots."""


#: Where an array is in shared memory: segment, slot, filling, length, and its checksum where they are on.
_Spot = tuple[Natural, Natural, Natural, Natural, int | None]
#: Finds a place in shared memory for an array of a message, by the message's key, or None.
Place = Callable[[np.ndarray, Any], "tuple[Any, ...] | None"]
#: The bytes that a descriptor of a life of a peer names. Raises PayloadError.
View = Callable[[tuple[str, int], Any], np.ndarray]


class Header(Struct, array_like=True, forbid_unknown_fields=True):
    """The first part of a batch. `places` says of each array where it is: a slot's descriptor, or None for the next part."""

    sender: str
    incarnation: int
    receiver: int
    items: list[_Message | _Unread | _Bound | _Need | _Credit | _Acknowledged | _Progress | _Hello | _Loan]
    places: list[_Spot | None] | None = None
    told: list[_Free | _Look | _Seen | _Blind] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Header).decode


def encode_batch(
    sender: str, incarnation: int, receiver: int, items: Sequence[tuple[Any, ...]],
    place: Place | None = None, told: Sequence[tuple[Any, ...]] = (), refuse: Callable[[str], None] | None = None,
) -> list[Any]:  # fmt: skip
    """The parts of a batch of items, for one life of its receiver.

    Raises PayloadError for a message that cannot be packed, or tells `refuse` and says in its place that it is not there.
    """
    parts: list[Any] = [b""]
    places: list[Any] = []
    plain: list[Any] = []
    count = 0
    for item in items:
        if item[0] != "m":
            plain.append(item)
            continue
        m: Message[Any] = item[4]
        try:
            kind, body, arrays = m.packed or pack_fast(m.payload)
        except PayloadError as error:
            if refuse is None:
                raise
            refuse(f"{m.stream} {m.seq} was not sent: {error}")
            plain.append(("u", item[1], item[2], item[3], m.seq))
            continue
        plain.append(
            (
                "m", item[1], item[2], item[3], m.stream, m.epoch, m.seq, m.origin, m.stamp_ns, m.cause_ns, m.deadline_ns,
                m.lineage, m.start_ns, kind, Raw(body), count, len(arrays),
            )
        )  # fmt: skip
        for n, array in enumerate(arrays):
            spot = None
            if place is not None:
                spot = place(array, (m.stream, m.epoch, m.seq, n))
                places.append(spot)
            if spot is None:
                parts.append(_flat(array))
        count += len(arrays)
    some = len(parts) - 1 < len(places)
    parts[0] = _encode((sender, incarnation, receiver, plain, places if some else None, told))
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
    try:
        return _decode(parts[0])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PayloadError(f"not a batch: {str(error)[:120]}") from None


def read_items(
    header: Header, parts: Sequence[Any], view: View | None = None, unread: Callable[[str, PayloadError], None] | None = None
) -> list[tuple[Any, ...]]:
    """The items of a batch; `view` gives the bytes that a descriptor names.

    Raises PayloadError for what is malformed. Where it is only a message's payload, `unread` is told by whom and why, and a
    "u" is in the message's place.
    """
    buffers = _buffers(header, parts, view)
    items: list[tuple[Any, ...]] = []
    for item in header.items:
        if type(item) is _Message:
            if item.first + item.count > len(buffers):
                raise PayloadError("a message names buffers that are not there")
            try:
                message = _message(item, buffers[item.first : item.first + item.count])
            except PayloadError as error:
                if unread is None:
                    raise
                unread(header.sender, error)
                items.append(("u", item.edge, item.bound, item.wants_ack, item.seq))
                continue
            items.append(("m", item.edge, item.bound, item.wants_ack, message))
        elif type(item) is _Loan:
            items.append(("x", item.word, _values(item.values)))
        else:
            items.append((item.__struct_config__.tag, *astuple(item)))
    return items


def _message(item: _Message, buffers: Sequence[Any]) -> Message[Any]:
    for buffer in buffers:
        if isinstance(buffer, PayloadError):
            raise buffer
    return Message(
        item.stream, item.epoch, item.seq, _origin(item.origin), item.stamp_ns, item.cause_ns, item.deadline_ns,
        item.lineage, unpack_fast(item.kind, item.body, buffers), item.start_ns,
    )  # fmt: skip


def _values(data: Any) -> tuple[Any, ...]:
    values = loads(bytes(data))
    if not isinstance(values, tuple):
        raise PayloadError("a word of a loan has a list of values")
    return values


def _origin(found: list[Any], room: int = _DEEPEST) -> tuple[Any, ...]:
    """Nested tuples of text and whole numbers."""
    if not room:
        raise PayloadError("an origin is nested too deep")
    for i, part in enumerate(found):
        if type(part) is list:
            found[i] = _origin(part, room - 1)
        elif type(part) is not str and type(part) is not int:
            raise PayloadError("an origin is made of text and whole numbers")
    return tuple(found)


def _buffers(header: Header, parts: Sequence[Any], view: View | None) -> Sequence[Any]:
    places = header.places
    if places is None:
        return parts[1:]
    if places.count(None) != len(parts) - 1:
        raise PayloadError("a batch does not have as many parts as it says")
    if view is None:
        raise PayloadError("a batch names slots where no memory is shared")
    inline = iter(parts[1:])
    life = (header.sender, header.incarnation)
    return [next(inline) if place is None else _seen(view, life, place) for place in places]


def _seen(view: View, life: tuple[str, int], place: Any) -> np.ndarray | PayloadError:
    """What a descriptor names, or why it cannot be seen, which concerns its message alone."""
    try:
        return view(life, place)
    except PayloadError as error:
        return error


def words_of(header: Header) -> list[tuple[Any, ...]]:
    """What the sender's post has to tell, as tuples."""
    return [(w.__struct_config__.tag, *astuple(w)) for w in header.told]


def decode_batch(parts: Sequence[Any]) -> tuple[str, int, int, list[tuple[Any, ...]]]:
    """Sender, its incarnation, the receiver's incarnation, the items of a batch without slots. Raises PayloadError."""
    header = read_header(parts)
    return header.sender, header.incarnation, header.receiver, read_items(header, parts)
