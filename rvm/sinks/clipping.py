"""Subtitles and chapters, cut to the part of the original that an output holds.

A cue or a chapter lasts, so one that begins before the part or ends after it is in it all the same.
Times here are those of the output; the part begins at zero there.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av.packet import Packet
    from av.stream import Stream

#: A cue is looked for so far before the part: hardly one is on screen for longer.
LONGEST_CUE_SECONDS = 30


def cue_seconds(packet: Packet[Any]) -> Fraction:
    """How long a cue is on screen; 0 for what is no subtitle, and for one that does not say."""
    if packet.stream.type != "subtitle" or not packet.duration:
        return Fraction(0)
    return packet.duration * packet.time_base


def clip_cue(packet: Packet[Any], end_seconds: Fraction | None) -> None:
    """Let a cue begin no sooner than the part, and end with it.

    Args:
        packet: any packet, at its time in the output; only cues that say how long they last change.
        end_seconds: of the part, in the output; None: as long as the original.
    """
    if packet.pts is None or not cue_seconds(packet):
        return
    begin, end = packet.pts, packet.pts + (packet.duration or 0)
    if end_seconds is not None:
        end = min(end, math.floor(end_seconds / packet.time_base))
    packet.pts = packet.dts = max(begin, 0)
    packet.duration = max(end - packet.pts, 1)


def empty_cue(target: Stream, time_base: Fraction, seconds: Fraction) -> Packet[Any]:
    """A cue of MP4's without words, a tick long.

    Its muxer ends a track of subtitles with one that, in fragments, lasts as long as the cue before
    it, and so does the file: what comes before must be short.
    """
    packet: Packet[Any] = av.Packet(b"\0\0")
    packet.stream, packet.time_base = target, time_base
    packet.pts = packet.dts = math.ceil(seconds / time_base)
    packet.duration = 1
    return packet


def clipped_chapters(
    chapters: Iterable[Any], origin: Fraction, end_seconds: Fraction | None
) -> list[Any]:
    """The chapters of a part, those outside left out.

    Args:
        chapters: of the original, as PyAV has them.
        origin: this time of the original is zero in the output.
        end_seconds: of the part, in the output; None: as long as the original.
    """
    kept = []
    for chapter in chapters:
        time_base = chapter["time_base"] or Fraction(1, av.time_base)
        shift = round(origin / time_base)
        start, end = max(chapter["start"] - shift, 0), chapter["end"] - shift
        if end_seconds is not None:
            end = min(end, round(end_seconds / time_base))
        if end > start:
            kept.append({**chapter, "start": start, "end": end})
    return kept
