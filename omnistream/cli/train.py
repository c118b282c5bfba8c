"""``omnistream train`` and ``omnistream quantize``: what installed packages bring for it, one command each.

A trainer is a function with typer's annotations, named by an entry point of the group ``omnistream.trainers``, and what makes
a model smaller one of ``omnistream.quantizers``. Only the one that is asked for is imported.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from omnistream.cli.sentence import sentences
from omnistream.errors import OmniStreamError

__all__ = ["Quantizers", "Trainers"]


class Trainers(TyperGroup):
    """A group whose commands are the entry points of `points`."""

    points: ClassVar[str] = "omnistream.trainers"
    noun: ClassVar[str] = "trainer"

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_points(self.points))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's signature
        point = _points(self.points).get(cmd_name)
        if point is None:
            return None
        app = typer.Typer(add_completion=False)
        app.command(cmd_name)(sentences(_load(point, self.noun)))
        return typer.main.get_command(app)


class Quantizers(Trainers):
    """As `Trainers`, of what makes models smaller."""

    points = "omnistream.quantizers"
    noun = "quantizer"


def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _load(point: EntryPoint, noun: str) -> Any:
    """The command, or one that says in a sentence why it cannot be had: a broken one must not hide the others."""
    try:
        return point.load()
    except Exception as error:  # noqa: BLE001 - a package of anybody's
        reason = f"the {noun} '{point.name}' ({point.value}) cannot be loaded: {error}"

    def broken() -> None:
        raise OmniStreamError(reason)

    return broken
