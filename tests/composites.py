"""Composites with known samples for sink tests, and what comes back when a file is read again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Composite, Frame, Matte
from rvm.media.encode import samples
from rvm.sources.base import SourceInfo


@dataclass(frozen=True)
class Shot:
    """What to make: `count` frames with smooth, different, colourful pictures."""

    format: str = "yuv420p"
    width: int = 96
    height: int = 64
    count: int = 6
    colour: ColourTags | None = None
    pts: tuple[int, ...] | None = None
    time_base: Fraction = Fraction(1, 12800)
    step: int = 512
    sample_aspect: Fraction = Fraction(1)
    transparent: bool = False

    @property
    def times(self) -> tuple[int, ...]:
        return self.pts or tuple(index * self.step for index in range(self.count))

    @property
    def tags(self) -> ColourTags:
        rgb = PIXEL_FORMATS[self.format].family == "rgb"
        return self.colour or (SRGB if rgb else ColourTags("bt709"))


def shot(**changes: Any) -> Shot:
    return dataclasses.replace(Shot(), **changes)


def info_of(spec: Shot, **changes: Any) -> SourceInfo:
    info = SourceInfo(
        name="clip", width=spec.width, height=spec.height, format=PIXEL_FORMATS[spec.format],
        colour=spec.tags, time_base=spec.time_base, frame_rate=Fraction(25),
        sample_aspect=spec.sample_aspect,
    )  # fmt: skip
    return dataclasses.replace(info, **changes)


def composite(spec: Shot, index: int) -> Composite:
    """Frame `index`: ramps that move with the index, inside the limited range."""
    pixels = PIXEL_FORMATS[spec.format]
    planes = []
    for number, shape in enumerate(pixels.plane_shapes(spec.width, spec.height)):
        rows, columns = shape[:2]
        ramp = np.linspace(20, 180, columns)[None, :] + np.linspace(0, 40, rows)[:, None]
        ramp = ramp + 3 * index + 7 * number
        if number:
            ramp = 128 + (ramp - 128) / 5  # colours that RGB has too
        ramp = ramp * (1 << (pixels.depth - 8))
        if len(shape) == 3:
            ramp = np.stack([ramp, ramp[:, ::-1], ramp[::-1]], axis=2)
        planes.append(ramp.astype(pixels.dtype))
    times = spec.times
    frame = Frame(
        tuple(planes), pixels, spec.width, spec.height, pts=times[index],
        time_base=spec.time_base, index=index, colour=spec.tags,
        sample_aspect=spec.sample_aspect,
        duration=times[index + 1] - times[index] if index + 1 < len(times) else spec.step,
    )  # fmt: skip
    alpha = matte_of(spec.width, spec.height, index)
    picture = frame.with_picture(frame.planes, alpha) if spec.transparent else frame
    return Composite(picture, Matte(alpha), frame)


def composites(spec: Shot) -> list[Composite]:
    return [composite(spec, index) for index in range(len(spec.times))]


def matte_of(width: int, height: int, index: int = 0) -> npt.NDArray[np.uint8]:
    """0 at the left, 255 at the right, every value between, moving with the index."""
    ramp = np.clip(np.linspace(-100, 355, width) + 5 * index, 0, 255)
    return np.ascontiguousarray(np.broadcast_to(ramp.astype(np.uint8), (height, width)))


def decoded(path: Path, decoder: str | None = None) -> list[av.VideoFrame]:
    """Every frame of the first video stream, by a decoder of choice."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            return list(container.decode(stream))
        context: Any = av.CodecContext.create(decoder, "r")
        context.extradata = stream.codec_context.extradata
        frames: list[av.VideoFrame] = []
        for packet in container.demux(stream):
            frames.extend(context.decode(packet if packet.size else None))
        return frames


def planes_of(picture: av.VideoFrame, depth: int = 8) -> list[npt.NDArray[Any]]:
    """Planar samples of a decoded frame, copied."""
    return [samples(picture, i, depth).copy() for i in range(len(picture.planes))]


def packets_of(path: Path, kind: str, index: int = 0) -> list[tuple[bytes, Fraction]]:
    """(payload, pts in seconds) of every packet of one stream."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        if index >= len(streams):
            return []
        return [
            (bytes(packet), (packet.pts or 0) * packet.time_base)
            for packet in container.demux(streams[index])
            if packet.size
        ]


def times_of(path: Path) -> list[Fraction]:
    return [(frame.pts or 0) * (frame.time_base or Fraction(0)) for frame in decoded(path)]
