"""Small media files made with PyAV, for every test that needs a real container and codec.

Each picture carries its number as a barcode (`rvm.sources.synthetic`), drawn so that it reads
upright after the clip's rotation has been applied. Times, tags and shapes are known exactly.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from rvm.sources.synthetic import draw_number

LOSSLESS = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}}
FAST = {
    "libx264": {"preset": "ultrafast", "crf": "20"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"},
    "libsvtav1": {"preset": "12", "crf": "30"},
}


@dataclass(frozen=True)
class Clip:
    """What to write. `width` and `height` are the stored size, before rotation.

    `rotation` is counter-clockwise degrees to show upright, as FFmpeg's display rotation. Colour
    fields are FFmpeg's numbers (ITU-T H.273); None leaves the stream untagged.
    """

    suffix: str = ".mp4"
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    width: int = 160
    height: int = 96
    frames: int = 12
    rate: Fraction = Fraction(30)
    time_base: Fraction = Fraction(1, 30000)
    variable: bool = False
    gop: int = 6
    b_frames: int = 2
    rotation: int = 0
    hflip: bool = False
    sample_aspect: Fraction | None = None
    audio: bool = False
    matrix: int | None = None
    range: int | None = None
    primaries: int | None = None
    transfer: int | None = None
    lossless: bool = False
    options: tuple[tuple[str, str], ...] = ()

    @property
    def pts(self) -> list[int]:
        """The exact pts of every frame, in `time_base` ticks."""
        step = 1 / (self.rate * self.time_base)
        if not self.variable:
            return [int(index * step) for index in range(self.frames)]
        # Uneven on purpose: frames of 1, 2 and 0.5 nominal times, in turn.
        times, now = [], Fraction(0)
        for index in range(self.frames):
            times.append(int(now))
            now += step * (Fraction(1), Fraction(2), Fraction(1, 2))[index % 3]
        return times

    @property
    def options_all(self) -> dict[str, str]:
        """Encoder options: fast or lossless ones for the codec, then `options`."""
        base = LOSSLESS.get(self.codec, {}) if self.lossless else FAST.get(self.codec, {})
        bframes = {"bf": str(self.b_frames)} if self.codec in ("libx264", "libx265") else {}
        return {**base, **bframes, **dict(self.options)}


def clip(**changes: Any) -> Clip:
    """A `Clip` with some fields changed."""
    return dataclasses.replace(Clip(), **changes)


def write_clip(path: Path, spec: Clip | None = None, **changes: Any) -> Clip:
    """Write the clip to `path` and return what was written."""
    spec = dataclasses.replace(spec or Clip(), **changes)
    with av.open(str(path), "w") as container:
        stream = _add_video(container, spec)
        sound = container.add_stream("aac", rate=48000, layout="stereo") if spec.audio else None
        for index, pts in enumerate(spec.pts):
            frame = video_frame(spec, index)
            frame.pts, frame.time_base = pts, spec.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            _write_tone(container, sound, float(spec.frames / spec.rate))
    return spec


def video_frame(spec: Clip, index: int) -> av.VideoFrame:
    """Picture `index` as it is stored (that is, rotated away from upright)."""
    picture = av.VideoFrame.from_ndarray(stored_gray(spec, index), format="gray")
    frame = picture.reformat(format=spec.pix_fmt, dst_color_range=spec.range or 1)
    for name, value in (
        ("colorspace", spec.matrix),
        ("color_range", spec.range),
        ("color_primaries", spec.primaries),
        ("color_trc", spec.transfer),
    ):
        if value is not None:
            setattr(frame, name, value)
    return frame


def stored_gray(spec: Clip, index: int) -> npt.NDArray[np.uint8]:
    """Upright picture `index`, turned and flipped back to the way it lies in the file."""
    turned = spec.rotation % 180 != 0
    width, height = (spec.height, spec.width) if turned else (spec.width, spec.height)
    upright = upright_gray(width, height, index)
    # FFmpeg's flip comes after its rotation, so it is undone first.
    shown = upright[:, ::-1] if spec.hflip else upright
    return np.ascontiguousarray(np.rot90(shown, -(spec.rotation // 90)))


def upright_gray(width: int, height: int, index: int) -> npt.NDArray[np.uint8]:
    """(height, width) uint8: barcode on top, a gradient, a bright block at the lower left."""
    picture = np.empty((height, width), np.uint8)
    picture[:] = np.linspace(60, 180, width).astype(np.uint8)
    picture[height - height // 4 :, : width // 4] = 225
    draw_number(picture, index)
    return picture


def truncate(path: Path, keep: float) -> Path:
    """Cut the file to the first `keep` (0..1) of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def _add_video(container: av.container.OutputContainer, spec: Clip) -> Any:
    stream: Any = container.add_stream(spec.codec, rate=spec.rate, options=spec.options_all)
    stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, spec.pix_fmt
    stream.time_base = stream.codec_context.time_base = spec.time_base
    stream.codec_context.gop_size = spec.gop
    if spec.sample_aspect is not None:
        stream.codec_context.sample_aspect_ratio = spec.sample_aspect
    for name, value in (
        ("colorspace", spec.matrix),
        ("color_range", spec.range),
        ("color_primaries", spec.primaries),
        ("color_trc", spec.transfer),
    ):
        if value is not None:
            setattr(stream.codec_context, name, value)
    if spec.rotation or spec.hflip:
        stream.set_display_rotation(spec.rotation, hflip=spec.hflip)
    return stream


def _write_tone(container: av.container.OutputContainer, stream: Any, seconds: float) -> None:
    samples = np.arange(int(seconds * 48000))
    tone = (8000 * np.sin(samples * 2 * np.pi * 440 / 48000)).astype(np.int16)
    packed = np.repeat(tone, 2)[None]
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(packed[:, 2 * start : 2 * (start + 1024)]), "s16", "stereo"
        )
        frame.sample_rate, frame.pts = 48000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
