"""The files that the command line names, looked at before a run begins: a mistake is told at once, not after an hour."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from omnistream.errors import GraphError
from omnistream.graph.played import split_part

if TYPE_CHECKING:
    from omnistream.graph.graph import Graph

__all__ = ["check_output", "duration", "find_streams"]


def duration(option: str, text: str | None) -> int | None:
    """Nanoseconds of a time such as 30s; None for none. Raises GraphError."""
    from omnistream.graph.units import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise GraphError(f"{option} {text}: {error}") from None


def check_output(option: str, path: str) -> None:
    """Raises GraphError where no file can be written at `path`; what is there stays as it is."""
    file = Path(path)
    if file.exists() and not file.is_file() and not file.is_dir():
        return  # a pipe or /dev/stdout
    there = file.exists()
    try:
        file.open("ab").close()
        if not there:
            file.unlink()
    except FileNotFoundError:
        raise GraphError(f"{option} {path}: its folder is not there; name a file in a folder that exists") from None
    except OSError as error:
        raise GraphError(f"{option} {path}: this cannot be written ({error.strerror}); name a file that is yours") from None


def find_streams(graph: Graph, record: str | None = None) -> Graph:
    """The graph with each `--source NODE=FILE.mcap` told which stream of its file stands in for the node.

    Raises RecordingError where a file is damaged or has no such stream, GraphError where `record` would overwrite it.
    """
    from omnistream.message import PAYLOADS
    from omnistream.record.playable import open_recording

    nodes = dict(graph.nodes)
    told: set[str] = set()
    for name in graph.replaced:
        info = nodes[name]
        path = info.options.get("path")
        if info.use != "recording" or not isinstance(path, str):
            continue
        if record is not None and Path(record).resolve() == Path(split_part(path)[0]).resolve():
            raise GraphError(f"--record {record}: the run plays this very file; record into another")
        with open_recording(path) as file:
            if file.notice and path not in told:
                typer.echo(file.notice, err=True)
            told.add(path)
            stream = file.stream_for(name, [PAYLOADS[t] for t in info.types["out"]])
            nodes[name] = dataclasses.replace(info, options={**info.options, "stream": stream})
    return dataclasses.replace(graph, nodes=nodes)
