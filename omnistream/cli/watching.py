"""What a run shows to other programs while it goes on: metrics for Prometheus, traces for Perfetto and OpenTelemetry."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console

from omnistream.cli.files import check_output
from omnistream.cli.optional import METRICS_AT
from omnistream.errors import OmniStreamError
from omnistream.graph.units import parse_endpoint, parse_share

if TYPE_CHECKING:
    from omnistream.engine.conductor import Conductor

__all__ = ["MetricsOption", "OtlpOption", "TraceOption", "TraceSampleOption", "Watching"]

MetricsOption = Annotated[
    str | None, typer.Option("--metrics", metavar="[HOST:PORT]", help=f"Serve metrics for Prometheus; alone, at {METRICS_AT}.")
]
TraceOption = Annotated[
    str | None,
    typer.Option("--trace", metavar="FILE.json[.gz]", help="Write traces for ui.perfetto.dev: where each cause went."),
]
OtlpOption = Annotated[str | None, typer.Option("--otlp", metavar="URL", help="Send traces to an OpenTelemetry collector.")]
TraceSampleOption = Annotated[
    str | None, typer.Option("--trace-sample", metavar="SHARE", help="Of so many causes. Default: 100%; with --otlp 1%.")
]


@dataclass(frozen=True)
class Watching:
    """Where metrics are served, which file and collector get traces, "" for none; and of which share of causes."""

    metrics: str = ""
    trace: str = ""
    otlp: str = ""
    share: float = 0.0

    @classmethod
    def of(cls, metrics: str | None, trace: str | None, otlp: str | None, sample: str | None, graph: str) -> Self:
        """As the command line says, or the graph, of `metrics`. Raises OmniStreamError where it cannot be."""
        if metrics:
            with _sentence(f"--metrics {metrics}"):
                parse_endpoint(metrics)
        if trace is not None:
            if not trace.endswith((".json", ".json.gz")):
                raise OmniStreamError(f"--trace {trace}: write the name of a file that ends in .json or .json.gz")
            check_output("--trace", trace)
        if sample is not None and trace is None and otlp is None:
            raise OmniStreamError("--trace-sample says of how many causes traces are made; add --trace FILE or --otlp URL")
        with _sentence("--trace-sample"):
            share = parse_share(sample or ("1%" if otlp else "100%"))
        return cls(metrics or graph, trace or "", otlp or "", share if trace or otlp else 0.0)

    @contextlib.asynccontextmanager
    async def of_run(self, run: Conductor, console: Console) -> AsyncGenerator[Callable[[], None]]:
        """Shows the run while it is entered; what it gives is called after each look at it."""
        async with contextlib.AsyncExitStack() as stack:
            if self.metrics:
                await stack.enter_async_context(_page(run, self.metrics, console))
            look = await stack.enter_async_context(_traces(run, self, console)) if self.share else lambda: None
            yield look


@contextlib.contextmanager
def _sentence(option: str) -> Generator[None]:
    try:
        yield
    except ValueError as error:
        raise OmniStreamError(f"{option}: {error}") from None


@contextlib.asynccontextmanager
async def _page(run: Conductor, at: str, console: Console) -> AsyncGenerator[None]:
    from omnistream.observe.exposition import CONTENT_TYPE, exposed
    from omnistream.observe.metrics import metrics_of
    from omnistream.observe.page import Page

    host, port = parse_endpoint(at)
    page = Page(lambda: exposed(metrics_of(run)), CONTENT_TYPE)
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


@contextlib.asynccontextmanager
async def _traces(run: Conductor, how: Watching, console: Console) -> AsyncGenerator[Callable[[], None]]:
    from omnistream.observe.otlp import OtlpExport
    from omnistream.observe.perfetto import TraceFile
    from omnistream.observe.spans import Spans
    from omnistream.observe.traces import Traces

    export = OtlpExport(how.otlp, run.plan, f"{run.plan.graph.name} {run.start_ns}") if how.otlp else None
    file = TraceFile(how.trace, run.plan) if how.trace else None
    traces = Traces(run.clock, Spans(run.plan, how.share), file, export)
    accounts = run.accounts

    def look() -> None:
        traces.look(accounts.noted, accounts.outcome.edges, accounts.outcome.started_ns)

    try:
        yield look
    finally:
        look()
        lives = accounts.outcome.lives
        for line in await traces.finish(sum(lives.spans_lost(w) for w in lives.process)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
