"""Spans to an OpenTelemetry collector: OTLP over HTTP, as protobuf. A collector that is away costs the spans, not the run.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from collections import deque
from hashlib import blake2b
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from omnistream.errors import OmniStreamError
from omnistream.graph.graph import Plan
from omnistream.observe.spans import Span

__all__ = ["OtlpExport", "trace_id"]

_log = logging.getLogger("omnistream")
_WAITING, _AT_ONCE, _TIMEOUT_S = 20_000, 2_000, 5.0
#: SPAN_KIND_* of the protocol: what emits for others, waits in between, reads, or does something inside.
_KINDS = {"source": 4, "wait": 1, "step": 5, "sink": 5}


def trace_id(run: str, cause_ns: int) -> bytes:
    """Sixteen bytes: the same for a cause wherever its spans are made, another one in every run."""
    return blake2b(f"{run}\0{cause_ns}".encode(), digest_size=16).digest()


class OtlpExport:
    """`add` spans; `send` now and then, which returns at once; `close` at the end. What could not be sent is in `lost`."""

    def __init__(self, url: str, plan: Plan, run: str) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise OmniStreamError(f"--otlp {url}: write the address of a collector's HTTP port, such as http://127.0.0.1:4318")
        try:
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
        except ImportError:
            raise OmniStreamError("--otlp needs the package opentelemetry-proto: pip install 'omnistream[otlp]'") from None
        self._proto: Any = trace_service_pb2
        self.url = url.rstrip("/") + ("" if urlsplit(url).path.rstrip("/").endswith("/v1/traces") else "/v1/traces")
        self.sent = self.lost = 0
        self._graph, self._run = plan.graph.name, run
        self._workers = {node: w.name for w in plan.workers for node in w.nodes}
        self._spans: deque[Span] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._said = False

    def add(self, span: Span) -> None:
        if len(self._spans) >= _WAITING:
            self._spans.popleft()
            self.lost += 1
        self._spans.append(span)

    def send(self) -> None:
        """Hand on what there is, unless that is being done."""
        if self._spans and (self._sending is None or self._sending.done()):
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self, *, last: bool = False) -> None:
        while self._spans:
            spans = [self._spans.popleft() for _ in range(min(_AT_ONCE, len(self._spans)))]
            try:
                await asyncio.to_thread(self._post, self.request(spans))
                self.sent += len(spans)
            except (OSError, ValueError, HTTPException) as error:  # URLError is an OSError
                self.lost += len(spans)
                if last:  # nobody waits for it again and again
                    self.lost += len(self._spans)
                    self._spans.clear()
                if not self._said:
                    self._said = True
                    _log.warning("the collector at %s does not take spans (%s); the run goes on without", self.url, error)

    async def close(self) -> None:
        """The rest, for as long as a collector may take."""
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._send(last=True)

    def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/x-protobuf"}
        request = urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310  http or https, see above
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            answer.read(1 << 16)

    def request(self, spans: list[Span]) -> bytes:
        """An ExportTraceServiceRequest: a resource for each worker."""
        request = self._proto.ExportTraceServiceRequest()
        scopes: dict[str, Any] = {}
        for span in spans:
            worker = self._workers.get(span.node, "")
            if worker not in scopes:
                resource = request.resource_spans.add()
                _say(resource.resource, {"service.name": self._graph, "service.namespace": "omnistream"})
                _say(resource.resource, {"service.instance.id": worker})
                scopes[worker] = resource.scope_spans.add()
                scopes[worker].scope.name = "omnistream"
            self._fill(scopes[worker].spans.add(), span)
        return request.SerializeToString()

    def _fill(self, out: Any, span: Span) -> None:
        out.trace_id, out.span_id = trace_id(self._run, span.trace), span.id
        out.parent_span_id = span.parent or b""
        out.name, out.kind = span.name, _KINDS[span.kind]
        out.start_time_unix_nano, out.end_time_unix_nano = span.begin_ns, span.end_ns
        said: dict[str, str | int] = {"omnistream.node": span.node, "omnistream.age_ns": span.begin_ns - span.trace}
        if span.t:
            said["omnistream.t"] = span.t
        if span.fate:
            said["omnistream.fate"] = span.fate
        if span.key is not None:
            said |= {"omnistream.stream": span.key[0], "omnistream.epoch": span.key[1], "omnistream.seq": span.key[2]}
        _say(out, said)
        if span.fate not in ("", "consumed"):
            out.status.code, out.status.message = 2, span.fate
        for cause, other in span.links:
            link = out.links.add()
            link.trace_id, link.span_id = trace_id(self._run, cause), other


def _say(out: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        attribute = out.attributes.add()
        attribute.key = name
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = value
