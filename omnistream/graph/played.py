"""Whether what a person names is a recording to play, and which part of it: ``clip.mcap``, ``bag/``, ``clip.mcap#mic``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_recording", "split_part"]


def split_part(where: str) -> tuple[str, str]:
    """The path, and what follows its last "#" if the whole names nothing that is there: a stream or an episode."""
    path, mark, part = where.rpartition("#")
    if not mark or not path or Path(where).expanduser().exists():
        return where, ""
    while "#" in path and not Path(path).expanduser().exists():
        path, _, more = path.rpartition("#")
        part = f"{more}#{part}"
    return path, part


def is_recording(where: str) -> bool:
    """Whether it is named or laid out as a recording: an MCAP file, a bag of rosbag2, a LeRobotDataset, or a part of anything.

    Whole video and sound files are not meant: a camera or microphone plays them itself.
    """
    name, part = split_part(where)
    path = Path(name).expanduser()
    if part and path.exists():
        return True
    if name.lower().endswith(".mcap"):
        return True
    if not path.is_dir():
        return False
    return (path / "meta" / "info.json").exists() or (path / "metadata.yaml").exists() or any(path.glob("*.mcap"))
