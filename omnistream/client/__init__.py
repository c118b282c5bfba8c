"""What a robot, headset or operator imports: no Ray, no torch, and nothing of the runtime.

with Robot("tcp://127.0.0.1:5555") as robot:
    for action in robot:
        drive(action.kind, action.values)
"""

from __future__ import annotations

from omnistream.client.captions import acaptions, captions
from omnistream.client.commander import Commander, Receipt
from omnistream.client.guard import ActionGuard, Verdict
from omnistream.client.offset import ClockOffset
from omnistream.client.robot import Robot
from omnistream.protocol.codec import ActionFrame, CaptionFrame

__all__ = [
    "ActionFrame",
    "ActionGuard",
    "CaptionFrame",
    "ClockOffset",
    "Commander",
    "Receipt",
    "Robot",
    "Verdict",
    "acaptions",
    "captions",
]
