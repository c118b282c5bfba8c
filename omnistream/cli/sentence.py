"""A user's mistake ends a command with its sentences and an exit code, never with a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from omnistream.errors import OmniStreamError

__all__ = ["sentences"]

P = ParamSpec("P")
R = TypeVar("R")


def sentences(command: Callable[P, R]) -> Callable[P, R]:
    """A command that prints an OmniStreamError to stderr and exits with its code: 2; 1 of a comparison, 3 of a budget."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except OmniStreamError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_code) from None

    return wrapped
