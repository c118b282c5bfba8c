"""Options whose value may be left out: ``--metrics`` alone, or ``--metrics HOST:PORT``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["METRICS_AT", "OptionalValues"]

METRICS_AT = "127.0.0.1:9464"


class OptionalValues(TyperCommand):
    """A command that puts in what `--metrics` stands for where no address follows it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        if "--metrics" in given:
            at = given.index("--metrics") + 1
            if at == len(given) or not _is_address(given[at]):
                given.insert(at, METRICS_AT)
        return super().parse_args(ctx, given)


def _is_address(word: str) -> bool:
    """Whether a word is meant for an address, right or wrong: not a graph's file, nor another option."""
    return ":" in word and not word.startswith("-") and not word.endswith((".yaml", ".yml"))
