"""``omnistream train``: the trainers that installed packages bring, one command each.

A trainer is a function with typer's annotations, named by an entry point of the group ``omnistream.trainers``. Only the one
that is asked for is imported.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from omnistream.cli.sentence import sentences
from omnistream.errors import OmniStreamError

__all__ = ["GROUP", "Trainers"]

GROUP = "omnistream.trainers"


class Trainers(TyperGroup):
    """A group whose commands are the entry points."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_points())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's signature
        point = _points().get(cmd_name)
        if point is None:
            return None
        app = typer.Typer(add_completion=False)
        app.command(cmd_name)(sentences(_load(point)))
        return typer.main.get_command(app)


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> Any:
    """The trainer, or a command that says in a sentence why it cannot be had: a broken one must not hide the others."""
    try:
        return point.load()
    except Exception as error:  # noqa: BLE001 - a package of anybody's
        reason = f"the trainer '{point.name}' ({point.value}) cannot be loaded: {error}"

    def broken() -> None:
        raise OmniStreamError(reason)

    return broken
