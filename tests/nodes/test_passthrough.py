"""The least node there is."""

from __future__ import annotations

import pytest

from omnistream.message import PAYLOADS, Event, Text, VideoFrame
from omnistream.node import ports_of
from omnistream_nodes.passthrough import PassThrough


def test_it_takes_and_gives_any_payload() -> None:
    ports = ports_of(PassThrough)
    assert ports.inputs["message"].types == ports.outputs["out"] == frozenset(PAYLOADS.values())


@pytest.mark.parametrize("payload", [Text("stop"), Event("tick"), VideoFrame(None)])  # type: ignore[arg-type]
async def test_what_comes_out_is_the_very_object(payload: object) -> None:
    assert await PassThrough().step(payload) is payload  # type: ignore[arg-type]
