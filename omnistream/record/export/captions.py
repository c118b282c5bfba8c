"""What was said, asked and done in a recording, as WebVTT: captions for its film (W3C WebVTT 1, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND, Action, Caption, Command, Gesture, Payload, Text, Transcript
from omnistream.record.export.zero import check_length, zero_ns
from omnistream.record.playable import Playable
from omnistream.record.writer import TRUTH

__all__ = ["Cue", "cues_of", "export_vtt", "written"]

#: What has no length of its own is shown so long.
_SHOWN_NS = 2 * SECOND
_KINDS = (Transcript, Command, Text, Caption, Action, Gesture)


@dataclass(frozen=True, slots=True)
class Cue:
    """Text of a stream, from `start_ns` to `end_ns` of the recording's time."""

    start_ns: int
    end_ns: int
    voice: str
    text: str


def export_vtt(file: Playable, out: Path, only: tuple[str, ...] = ()) -> int:
    """Write the file; the number of cues. Raises RecordingError where there are no words in the recording."""
    cues = cues_of(file, only)
    if not cues:
        raise RecordingError(
            f"{file.path} holds no words, commands or actions; it has {', '.join(sorted(file.streams())) or 'nothing'}"
        )
    zero = min(zero_ns(file), cues[0].start_ns)
    check_length(file, zero, cues[-1].end_ns)
    with out.open("x", encoding="utf-8") as target:
        target.write(written(cues, zero))
    return len(cues)


def cues_of(file: Playable, only: tuple[str, ...] = ()) -> list[Cue]:
    """Of every stream of words and actions (and of what really happened, where it was written down), by time."""
    held = file.streams()
    for name in only:
        if name not in (*held, TRUTH) and f"{name}.out" not in held:
            raise RecordingError(f"{file.path} has no stream '{name}'; it has {', '.join(sorted(held)) or 'none'}")
    found: list[Cue] = []
    for topic, kinds in held.items():
        voice = topic.removesuffix(".out")
        if kinds & set(_KINDS) and (not only or topic in only or voice in only):
            found += _of_stream(voice, ((m.stamp_ns, m.payload) for m in file.messages(topic)))
    if not only or TRUTH in only:
        found += [_of_truth(entry) for entry in file.truth() if _is_truth(entry)]
    return sorted(found, key=lambda c: (c.start_ns, c.end_ns, c.voice))


def _is_truth(entry: dict[str, Any]) -> bool:
    times = (entry.get("start_ns"), entry.get("end_ns"))
    return isinstance(entry.get("text") or entry.get("name"), str) and all(type(t) is int and 0 <= t < 1 << 62 for t in times)


def _of_truth(entry: dict[str, Any]) -> Cue:
    return Cue(
        entry["start_ns"], max(entry["end_ns"], entry["start_ns"] + MS), TRUTH, str(entry.get("text") or entry.get("name"))
    )


def _of_stream(voice: str, messages: Iterable[tuple[int, Payload]]) -> list[Cue]:
    """The last revision of each utterance and caption; an action until it ends or the next one begins."""
    found: dict[Any, Cue] = {}
    acting: Any = None
    for number, (stamp, payload) in enumerate(messages):
        match payload:
            case Transcript(text=text, utterance=which, start_ns=start, end_ns=end):
                found["u", which, start if start else 0] = _cue(voice, text, stamp, start, end)
            case Command(text=text, intent=intent, rejected=rejected, start_ns=start, end_ns=end):
                said = f"{text} ({rejected})" if rejected else f"{text} [{intent}]"
                found[number] = _cue(voice, said, stamp, start, end)
            case Caption(id=which, text=text, start_ns=start, end_ns=end):
                found["c", which] = _cue(voice, text, stamp, start, end)
            case Text(text=text):
                found[number] = _cue(voice, text, stamp, 0, 0)
            case Gesture(name=name) if name != "none":
                found[number] = _cue(voice, f"[{name}]", stamp, 0, 0)
            case Action():
                text = _action(payload)
                last = found.get(acting)
                if last is not None and last.text == text and stamp <= last.end_ns:
                    found[acting] = Cue(last.start_ns, _ends(stamp, payload), voice, text)
                    continue
                if last is not None and last.end_ns > stamp:
                    found[acting] = Cue(last.start_ns, max(stamp, last.start_ns + MS), voice, last.text)
                acting = number
                found[number] = Cue(stamp, _ends(stamp, payload), voice, text)
            case _:
                pass
    return [c for c in found.values() if c.text.strip()]


def _cue(voice: str, text: str, stamp: int, start: int, end: int) -> Cue:
    """A span that is said is believed, if it ends at most a minute before the message."""
    if 0 < start < end and abs(stamp - end) < 60 * SECOND:
        return Cue(start, end, voice, text)
    return Cue(stamp, stamp + _SHOWN_NS, voice, text)


def _ends(stamp: int, action: Action) -> int:
    return max(stamp + MS, min(action.valid_until_ns, stamp + _SHOWN_NS))


def _action(action: Action) -> str:
    values = ", ".join(f"{k} {v:g}" for k, v in action.values.items())
    return " ".join(w for w in (action.kind, action.target, values, action.text) if w)


def written(cues: Iterable[Cue], zero: int) -> str:
    """The file: every cue in its stream's voice, its text in one block."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        text = " ".join(_escaped(cue.text).split())
        voice = "".join(c for c in _escaped(cue.voice) if c.isprintable())
        blocks.append(
            f"{_time(cue.start_ns - zero)} --> {_time(max(cue.end_ns, cue.start_ns + MS) - zero)}\n<v {voice}>{text}\n"
        )
    return "\n".join(blocks)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(ns: int) -> str:
    ms = max(0, ns) // MS
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"
