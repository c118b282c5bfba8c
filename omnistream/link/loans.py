"""Tensors lent to workers of the same host: the memory stays where it is, and a ticket goes before the message.

Neither a socket nor a GPU is touched here; how memory is shown to another process is the business of a `Sharing`. As with
slots, nobody is lent anything before he has shown that he can look (a secret, said back), what is lent is kept until its
borrower says that he has let it go, and a borrower who died has let go of all. The words, each with plain values:

"look" (ticket): can you open this?   "seen" (secret): I can, this is in it.   "free" (numbers): let go.
"lent" (edge, seq, ((field, number, ticket), ...)): these go with the message that follows.   "blind" (): I cannot any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from omnistream.errors import PayloadError
from omnistream.message import Message
from omnistream.tensor import ARRAY_FIELDS, hollow, is_tensor, with_arrays

__all__ = ["Loans", "Sharing"]

#: As much of what is lent may be on its way to the message that follows.
_AHEAD = 4096


class Sharing(Protocol):
    """A way to show memory to other processes of the host. Tickets are plain values, for msgpack."""

    def can_show(self, tensor: Any) -> bool: ...

    def show(self, tensor: Any) -> tuple[Any, tuple[Any, ...]]:
        """What must live as long as somebody may look at it, and the ticket by which he does."""
        ...

    def open(self, ticket: Any) -> Any:
        """The tensor of a ticket. Raises PayloadError for one that is malformed, or of memory that cannot be seen."""
        ...

    def abandon(self, ticket: Any) -> None:
        """The process that this ticket was for is dead."""
        ...

    def make_trial(self) -> tuple[Any, bytes]:
        """A tensor to be shown, and what is in it that nobody can guess."""
        ...

    def read(self, tensor: Any) -> bytes: ...


class Loans:
    """What one worker has lent, and what it has borrowed. `say(peer, word, values)` tells a peer, in order with messages."""

    def __init__(self, sharing: Sharing, say: Callable[[str, str, tuple[Any, ...]], None]) -> None:
        self._sharing, self._say = sharing, say
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._secrets: dict[str, bytes] = {}
        self._seeing: set[str] = set()
        self._lent: dict[str, dict[int, tuple[Any, tuple[Any, ...]]]] = {}
        self._ahead: dict[tuple[str, int, int], tuple[Any, ...]] = {}
        self._lives: dict[str, int] = {}
        self._gone: deque[tuple[str, int, int]] = deque()

    # -- lending -----------------------------------------------------------------------------------

    def meet(self, peer: str) -> None:
        """A peer, or a new life of it, to which tensors may go: let it try one."""
        tensor, self._secrets[peer] = self._sharing.make_trial()
        number, ticket = self._show(peer, tensor)
        self._say(peer, "look", (number, ticket))

    def _show(self, peer: str, tensor: Any) -> tuple[int, tuple[Any, ...]]:
        number = next(self._numbers)
        kept, ticket = self._sharing.show(tensor)
        self._lent.setdefault(peer, {})[number] = (kept, ticket)
        return number, ticket

    def lend(self, peer: str, edge: int, message: Message[Any]) -> Message[Any] | None:
        """The message as it is to follow its tickets; None if there is nothing to lend, or nobody who can look."""
        payload = message.payload
        names = [n for n in ARRAY_FIELDS.get(type(payload), ()) if self._is_for_lending(getattr(payload, n))]
        if not names or peer not in self._seeing:
            return None
        shell = hollow(payload)
        empty = {n: getattr(shell, n) for n in names}
        tickets = tuple((n, *self._show(peer, getattr(payload, n))) for n in names)
        self._say(peer, "lent", (edge, message.seq, tickets))
        return dataclasses.replace(message, payload=with_arrays(dataclasses.replace(payload, **empty)))

    def _is_for_lending(self, value: Any) -> bool:
        return is_tensor(value) and self._sharing.can_show(value)

    def count(self) -> int:
        """How many tensors are lent."""
        return sum(map(len, self._lent.values()))

    # -- words -------------------------------------------------------------------------------------

    def hear(self, peer: str, word: str, values: tuple[Any, ...]) -> None:
        """What a peer has to say. Raises PayloadError for what is no word."""
        try:
            if word == "look":
                number, ticket = values
                with contextlib.suppress(PayloadError):  # then it is sent arrays
                    self._say(peer, "seen", (self._sharing.read(self._sharing.open(ticket)),))
                self._say(peer, "free", (int(number),))
            elif word == "seen":
                if self._secrets.pop(peer, None) == values[0]:
                    self._seeing.add(peer)
            elif word == "lent":
                edge, seq, tickets = values
                if len(self._ahead) < _AHEAD:
                    self._ahead[peer, edge, seq] = tickets
            elif word == "free":
                for number in values:
                    self._lent.get(peer, {}).pop(int(number), None)
            elif word == "blind":
                self._seeing.discard(peer)
        except (ValueError, TypeError, IndexError) as error:
            raise PayloadError(f"{peer} says no such word as {word[:20]!r}: {error}") from None

    def forget(self, peer: str) -> None:
        """The peer is dead: it looks at nothing any more, and nobody waits to hear what was let go of its own."""
        self._seeing.discard(peer)
        self._secrets.pop(peer, None)
        self._lives[peer] = self._lives.get(peer, 0) + 1
        for key in [k for k in self._ahead if k[0] == peer]:
            del self._ahead[key]
        for _, ticket in self._lent.pop(peer, {}).values():
            self._sharing.abandon(ticket)

    # -- borrowing ---------------------------------------------------------------------------------

    def borrow(self, peer: str, edge: int, message: Message[Any]) -> Message[Any]:
        """The message with the tensors that went before it; itself, if none did.

        Raises PayloadError if one cannot be opened; the peer then sends arrays.
        """
        tickets = self._ahead.pop((peer, edge, message.seq), None)
        if tickets is None:
            return message
        payload, life = message.payload, self._lives.get(peer, 0)
        try:
            for name, _, ticket in tickets:
                payload = _filled(payload, name, self._sharing.open(ticket))
        except (PayloadError, ValueError, TypeError) as error:
            self._say(peer, "blind", ())
            self._say(peer, "free", tuple(number for _, number, _ in tickets))
            raise PayloadError(f"what {peer} has lent of {message.stream} {message.seq} cannot be opened: {error}") from None
        for name, number, _ in tickets:
            weakref.finalize(getattr(payload, name).untyped_storage(), self._let_go, peer, life, number).atexit = False
        return dataclasses.replace(message, payload=payload)

    def _let_go(self, peer: str, life: int, number: int) -> None:
        """From any thread, and from within anything: the last view of a storage has died."""
        self._gone.append((peer, life, number))
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        freed: dict[str, list[int]] = {}
        while self._gone:
            peer, life, number = self._gone.popleft()
            if life == self._lives.get(peer, 0):
                freed.setdefault(peer, []).append(number)
        for peer, numbers in freed.items():
            self._say(peer, "free", tuple(numbers))


def _filled(payload: Any, name: str, tensor: Any) -> Any:
    """The payload with a tensor in the place of an empty array of the same type and dimensions."""
    empty = getattr(payload, name) if name in ARRAY_FIELDS.get(type(payload), ()) else None
    if empty is not None and not empty.size:
        filled = dataclasses.replace(payload, **{name: tensor})
        like = getattr(hollow(filled), name)
        if (like.dtype, like.ndim) == (empty.dtype, empty.ndim):
            return filled
    raise PayloadError(f"{type(payload).__name__}.{name} is not what was lent")
