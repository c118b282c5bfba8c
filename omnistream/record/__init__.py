"""Recordings: MCAP files of what a run's sources received, with the graph and the ledger inside."""

from __future__ import annotations

from omnistream.record.codec import RecordedMessage
from omnistream.record.reader import Recording
from omnistream.record.writer import RecordingWriter

__all__ = ["RecordedMessage", "Recording", "RecordingWriter"]
