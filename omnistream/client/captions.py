"""Captions for a headset or display, over MQTT."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING

from omnistream.clock import Clock, SystemClock
from omnistream.errors import PayloadError
from omnistream.protocol.codec import CaptionFrame, decode
from omnistream.protocol.limiter import Reports

if TYPE_CHECKING:
    import aiomqtt

__all__ = ["Shown", "acaptions", "captions"]

log = logging.getLogger("omnistream")
#: What may wait for a reader that is busy; the oldest gives way, since a caption is for now.
MAX_WAITING = 64
#: A broker or network that is gone for less than this loses nothing (the session is kept so long).
KEEP_S = 30
#: Captions that are known again: those of minutes, and a worker is back in seconds.
MAX_KNOWN = 1024


class Shown:
    """What was shown: each revision is news once, none is after a newer one, and nothing is news twice that has one origin.

    A caption that is made again after a crash has its origin again, but perhaps not its id: that is its node's choice, and may
    have been made from a time that came out otherwise.
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._origins: OrderedDict[str, None] = OrderedDict()

    def is_news(self, caption: CaptionFrame) -> bool:
        if caption.rev <= self._newest.get(caption.id, -1) or caption.origin in self._origins:
            return False
        self._newest[caption.id] = caption.rev
        self._newest.move_to_end(caption.id)
        if caption.origin:
            self._origins[caption.origin] = None
        for known in (self._newest, self._origins):
            if len(known) > MAX_KNOWN:
                known.popitem(last=False)
        return True


async def acaptions(url: str, topic: str, *, clock: Clock | None = None) -> AsyncGenerator[CaptionFrame, None]:
    """Captions as they come: each once, and no older revision after a newer. Ends only when closed.

    Raises DeviceError where there is no broker at first; later losses are waited out. What is no caption is skipped.
    """
    from omnistream.protocol.mqtt_address import Broker
    from omnistream.protocol.mqtt_link import MqttLink  # aiomqtt is loaded only by who needs it

    clock = clock or SystemClock()
    reports = Reports(lambda reason, text: log.warning("%s: %s: %s", topic, reason, text))
    waiting: asyncio.Queue[CaptionFrame] = asyncio.Queue()
    shown = Shown()

    def heard(message: aiomqtt.Message) -> None:
        try:
            caption = decode(bytes(message.payload), CaptionFrame)
        except PayloadError as error:
            reports.add("garbage", str(error), clock.now())
            return
        if not shown.is_news(caption):
            return
        if waiting.qsize() >= MAX_WAITING:
            waiting.get_nowait()
        waiting.put_nowait(caption)

    link = MqttLink(
        Broker.parse(url),
        name="captions",
        client_id=f"omnistream-captions-{uuid.uuid4().hex[:12]}",
        clock=clock,
        report=lambda reason, text: log.warning("%s: %s", reason, text),
        subscribe=(topic,),
        on_message=heard,
        keep_s=KEEP_S,
    )
    try:
        await link.open(required=True)
        while True:
            yield await waiting.get()
    finally:
        await link.close()


def captions(url: str, topic: str, *, clock: Clock | None = None) -> Generator[CaptionFrame, None, None]:
    """As `acaptions`, for a thread that has no event loop of its own.

    for caption in captions("mqtt://127.0.0.1", "ar/captions"):
        show(caption.text)
    """
    with asyncio.Runner() as runner:
        found = acaptions(url, topic, clock=clock)
        try:
            while True:
                yield runner.run(_next(found))
        finally:
            runner.run(_close(found))


async def _next(found: AsyncGenerator[CaptionFrame, None]) -> CaptionFrame:
    return await anext(found)


async def _close(found: AsyncGenerator[CaptionFrame, None]) -> None:
    await found.aclose()
