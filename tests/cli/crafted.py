"""A recording as somebody else could have made it: the messages of a real one, with other words around them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer


def crafted(
    source: Path,
    path: Path,
    *,
    sets: Sequence[str] | None = None,
    text: str | None = None,
    run: Mapping[str, str] | None = None,
) -> Path:
    """A copy with these overrides, this text of the graph, these words of the run."""
    with source.open("rb") as old, path.open("wb") as new:
        reader, writer = make_reader(old), Writer(new, compression=CompressionType.LZ4)
        writer.start("", "crafted")
        for metadata in reader.iter_metadata():
            words = dict(metadata.metadata)
            if metadata.name == "omnistream" and sets is not None:
                words["sets"] = json.dumps(list(sets))
            if metadata.name == "run":
                words |= run or {}
            writer.add_metadata(metadata.name, words)
        ids: dict[int, int] = {}
        for schema, channel, message in reader.iter_messages(log_time_order=False):
            if channel.id not in ids:
                number = writer.register_schema(schema.name, schema.encoding, schema.data) if schema is not None else 0
                ids[channel.id] = writer.register_channel(
                    channel.topic, channel.message_encoding, number, dict(channel.metadata)
                )
            writer.add_message(ids[channel.id], message.log_time, message.data, message.publish_time, message.sequence)
        for attachment in reader.iter_attachments():
            data = attachment.data
            if attachment.name == "graph.yaml" and text is not None:
                data = text.encode()
            writer.add_attachment(0, 0, attachment.name, attachment.media_type, data)
        writer.finish()
    return path
