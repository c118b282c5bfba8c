"""What a run shows to other programs while it goes on: metrics for Prometheus."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from omnistream.cli.optional import METRICS_AT
from omnistream.errors import OmniStreamError
from omnistream.graph.units import parse_endpoint

if TYPE_CHECKING:
    from omnistream.engine.conductor import Conductor

__all__ = ["MetricsOption", "metrics_at", "metrics_page"]

MetricsOption = Annotated[
    str | None, typer.Option("--metrics", metavar="[HOST:PORT]", help=f"Serve metrics for Prometheus; alone, at {METRICS_AT}.")
]


def metrics_at(given: str | None, graph: str) -> str:
    """Where metrics are served: as the command line says, or the graph; "" for nowhere. Raises OmniStreamError."""
    try:
        parse_endpoint(given or graph or METRICS_AT)
    except ValueError as error:
        raise OmniStreamError(f"--metrics {given}: {error}") from None
    return given or graph


@contextlib.asynccontextmanager
async def metrics_page(conductor: Conductor, at: str, console: Console) -> AsyncGenerator[None]:
    """Serves them while it is entered, and says where. Raises OmniStreamError where it cannot."""
    if not at:
        yield
        return
    from omnistream.observe.exposition import CONTENT_TYPE, exposed
    from omnistream.observe.metrics import metrics_of
    from omnistream.observe.page import Page

    host, port = parse_endpoint(at)
    page = Page(lambda: exposed(metrics_of(conductor)), CONTENT_TYPE)
    await page.open(host, port)
    shown = f"[{host}]" if ":" in host else host
    console.print(f"metrics at http://{shown}:{page.port}/metrics", highlight=False, markup=False)
    if not _is_loopback(host):
        console.print("[yellow]notice:[/] whoever reaches that address may read them", highlight=False)
    try:
        yield
    finally:
        await page.close()


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
