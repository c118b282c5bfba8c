"""An engine's hands: what makes workers and calls their methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from omnistream.flow.edge import Account

__all__ = ["Crew"]


class Crew(Protocol):
    """An engine's workers, by name."""

    async def begin(self) -> None:
        """Make every worker and open its nodes. Raises the first error."""
        ...

    async def call(self, worker: str, method: str, *args: Any) -> Any: ...

    def addresses(self) -> dict[str, tuple[int, str]]:
        """name -> (incarnation, address) of the workers that live."""
        ...

    async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
        """Make a new life of a worker that died, and open its nodes."""
        ...

    def notes(self) -> list[str]:
        """What a summary should say of how the run was carried."""
        ...

    def on_death(self, callback: Callable[[str, str], None]) -> None:
        """`callback` is called with a worker's name and what is known of why it died."""
        ...

    def on_asked(self, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """`answer` answers whoever asks for this run from elsewhere on its cluster, if it is on one."""
        ...

    async def end(self) -> None:
        """Leave nothing behind."""
        ...
