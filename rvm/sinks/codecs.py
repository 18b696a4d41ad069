"""The codecs: which containers and pixel formats they take, and how their quality is set.

One table; nothing else in the package knows an encoder's option names.
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rvm.errors import UsageError
from rvm.frame import PIXEL_FORMATS
from rvm.sinks.hdr10_option import Hdr10Option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rvm.frame import PixelFormat

logger = logging.getLogger(__name__)

_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
)  # fmt: skip
_NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
_PRORES_PROFILES = ("proxy", "lt", "standard", "hq", "4444", "4444xq")


@dataclass(frozen=True, slots=True)
class Codec:
    """One encoder.

    Attributes:
        name: what the user types.
        encoder: FFmpeg's encoder.
        containers: file extensions that can hold it.
        formats: names in `PIXEL_FORMATS` that it stores exactly.
        alpha_formats: FFmpeg formats with alpha that it stores; empty if it has none.
        presets: values of `preset`, fastest first; empty if it has no such thing.
        preset: the default one.
        full_presets: presets for 4:4:4 and alpha, which then take no other (ProRes 4444); the
            first is the default there.
        preset_option: the encoder's name for it.
        crf: (lowest, default, highest) constant quality, lower is better; None: no such mode.
        crf_option: the encoder's name for it.
        even: True if 4:2:0 and 4:2:2 sizes must be even.
        limited_only: True if it cannot say "full range".
        reorders: True if packets come in another order than pictures are shown (B frames).
        says_aspect: True if its own bitstream names the shape of a pixel. (Matroska files are
            written without it; MP4 and MOV have a place for it.)
        least: smallest width and height. (x265 overwrites memory that is not its own with
            pictures 34 to 48 wide, so it gets none below 64.)
        options: always set.
        tag: code of the sample entry in MP4 and MOV, where players insist on one.
        format_names: FFmpeg's names where the encoder takes another form of a layout.
        copies: it has copied a picture when it returns, sample by sample of what is there, so that
            it may be given planes that are used otherwise afterwards.
        on_gpu: it encodes on an NVIDIA GPU, and takes 4:2:0 pictures that lie there.
        hdr10: how it is told HDR10's metadata; None if it cannot be.
    """

    name: str
    encoder: str
    containers: tuple[str, ...]
    formats: tuple[str, ...]
    alpha_formats: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    preset: str = ""
    full_presets: tuple[str, ...] = ()
    preset_option: str = "preset"
    crf: tuple[float, float, float] | None = None
    crf_option: str = "crf"
    even: bool = False
    limited_only: bool = False
    reorders: bool = False
    says_aspect: bool = False
    least: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""
    format_names: Mapping[str, str] = field(default_factory=dict)
    copies: bool = False
    on_gpu: bool = False
    hdr10: Hdr10Option | None = None

    def native_format(self, name: str) -> str:
        """FFmpeg's name of an entry of `formats`, as this encoder takes it."""
        deep = PIXEL_FORMATS[name].depth > 8
        return self.format_names.get(name) or (f"{name}le" if deep else name)

    def encoder_options(
        self,
        crf: float | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        *,
        full: bool = False,
    ) -> dict[str, str]:
        """The encoder's options for what the user asked for, else the defaults.

        Args:
            crf, bitrate, preset: see `rvm.sinks.encoded.Encoding`.
            full: the picture is stored as 4:4:4 or with alpha.

        Raises:
            UsageError: a value this codec does not know, or both `crf` and `bitrate`.
        """
        options = dict(self.options)
        if self.presets:
            options[self.preset_option] = self._checked_preset(preset, full=full)
        elif preset is not None:
            raise UsageError(f"{self.name} has no presets; leave --preset out")
        if bitrate is not None:
            self._check_bitrate(crf, bitrate)
        elif self.crf is not None:
            options[self.crf_option] = f"{self._checked_crf(crf):g}"
        elif crf is not None:
            raise UsageError(f"{self.name} has no --crf; leave it out")
        return options

    def _checked_preset(self, preset: str | None, *, full: bool) -> str:
        if preset is None:
            return self.full_presets[0] if full and self.full_presets else self.preset
        allowed = self.full_presets if full and self.full_presets else self.presets
        if preset not in allowed:
            known = ", ".join(allowed)
            raise UsageError(f"{self.name} has no preset {preset!r}; choose from {known}")
        return preset

    def formats_for(self, preset: str | None) -> tuple[str, ...]:
        """The formats that go with a preset the user chose, or all."""
        if not self.full_presets or preset is None:
            return self.formats
        full = preset in self.full_presets
        return tuple(name for name in self.formats if name.startswith("yuv444") == full)

    def _checked_crf(self, crf: float | None) -> float:
        low, default, high = self.crf or (0, 0, 0)
        if crf is not None and not low <= crf <= high:
            raise UsageError(f"--crf {crf:g} is outside {low:g}..{high:g} of {self.name}")
        return default if crf is None else crf

    def _check_bitrate(self, crf: float | None, bitrate: int) -> None:
        if crf is not None:
            raise UsageError("give either --crf or --bitrate, not both")
        if self.crf is None:
            raise UsageError(f"{self.name} has no --bitrate; leave it out")
        if bitrate < 1000:
            raise UsageError(f"--bitrate {bitrate} is in bits a second; 4M is a usual value")


_MP4 = ("mp4", "m4v", "mov", "mkv")
_ALL_YUV = tuple(name for name in PIXEL_FORMATS if name.startswith("yuv"))
_TO_10 = tuple(name for name in _ALL_YUV if not name.endswith("12"))
_TO_8 = tuple(name for name in _TO_10 if not name.endswith("10"))  # as PyAV's libvpx is built
_420_TO_10 = ("yuv420p", "yuv420p10")
_NVENC = {"rc": "vbr"}  # with `cq` from 1: there 0 leaves the quality to the driver
_NVENC_DEEP = {"yuv420p10": "p010le"}

#: Every codec by the name the user types.
CODECS: Mapping[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec(
            "x264", "libx264", _MP4, _TO_10, presets=_X26X_PRESETS, preset="faster",
            crf=(0, 18, 51), even=True, reorders=True, says_aspect=True, copies=True,
            hdr10=Hdr10Option("x264-params", "mastering-display", "cll"),
        ),
        Codec(
            "x265", "libx265", _MP4, _ALL_YUV, presets=_X26X_PRESETS, preset="fast",
            crf=(0, 20, 51), even=True, reorders=True, says_aspect=True, least=64, tag="hvc1",
            options={"x265-params": "log-level=error"},
            hdr10=Hdr10Option("x265-params", "master-display", "max-cll"),
        ),
        Codec(
            "vp9", "libvpx-vp9", ("webm", "mkv", "mp4"), _TO_8, ("yuva420p",),
            presets=tuple(str(number) for number in range(8, -1, -1)), preset="4",
            preset_option="cpu-used", crf=(0, 24, 63),
            options={"deadline": "good", "row-mt": "1", "auto-alt-ref": "0"},
        ),
        Codec(
            "av1", "libsvtav1", ("mp4", "mkv", "webm"), _420_TO_10,
            presets=tuple(str(number) for number in range(13, -1, -1)), preset="8",
            crf=(1, 26, 63), even=True, least=16,
            hdr10=Hdr10Option("svtav1-params", "mastering-display", "content-light", False),
        ),
        Codec(
            "prores", "prores_ks", ("mov", "mkv"), ("yuv422p10", "yuv444p10"), ("yuva444p10le",),
            presets=_PRORES_PROFILES, preset="hq", preset_option="profile", limited_only=True,
            full_presets=_PRORES_PROFILES[4:],
            options={"vendor": "apl0", "alpha_bits": "16"},
        ),
        Codec(
            "ffv1", "ffv1", ("mkv",), (*_ALL_YUV, "rgb24", "rgb48"),
            ("yuva420p", "yuva422p", "yuva444p", "yuva420p10le", "yuva422p10le", "yuva444p10le",
             "yuva422p12le", "yuva444p12le", "yuva420p16le", "bgra", "gbrap16le"),
            options={"level": "3", "slicecrc": "1", "g": "1"},
            format_names={"rgb24": "bgr0", "rgb48": "gbrp16le"},
        ),
        Codec(
            "h264_nvenc", "h264_nvenc", _MP4, ("yuv420p", "yuv444p"), presets=_NVENC_PRESETS,
            preset="p5", crf=(1, 20, 51), crf_option="cq", even=True, reorders=True,
            says_aspect=True, options=_NVENC, on_gpu=True,
        ),
        Codec(
            "hevc_nvenc", "hevc_nvenc", _MP4, ("yuv420p", "yuv420p10", "yuv444p"),
            presets=_NVENC_PRESETS, preset="p5", crf=(1, 22, 51), crf_option="cq", even=True,
            reorders=True, says_aspect=True, options=_NVENC, tag="hvc1",
            format_names=_NVENC_DEEP, on_gpu=True,
        ),
        Codec(
            "av1_nvenc", "av1_nvenc", ("mp4", "mkv", "webm"), _420_TO_10, presets=_NVENC_PRESETS,
            preset="p5", crf=(1, 26, 63), crf_option="cq", even=True, options=_NVENC,
            format_names=_NVENC_DEEP, on_gpu=True,
        ),
    )
}  # fmt: skip

#: Other names people type.
ALIASES: Mapping[str, str] = {
    "h264": "x264", "avc": "x264", "libx264": "x264", "h265": "x265", "hevc": "x265",
    "libx265": "x265", "libvpx-vp9": "vp9", "libsvtav1": "av1", "svtav1": "av1",
    "prores_ks": "prores",
}  # fmt: skip

#: What stands in for a hardware encoder that does not open.
SOFTWARE = {"h264_nvenc": "x264", "hevc_nvenc": "x265", "av1_nvenc": "av1"}

#: Extension -> FFmpeg's muxer.
CONTAINERS: Mapping[str, str] = {
    "mp4": "mp4", "m4v": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm",
}  # fmt: skip

_AUTO = {"mp4": "x264", "m4v": "x264", "mov": "x264", "mkv": "x264", "webm": "vp9"}
_AUTO_DEEP = {"mp4": "x265", "m4v": "x265", "mov": "x265", "mkv": "x265", "webm": "vp9"}
_AUTO_ALPHA = {"mov": "prores", "webm": "vp9", "mkv": "ffv1"}
#: Extensions of files that hold transparency.
ALPHA_CONTAINERS = tuple(_AUTO_ALPHA)
#: What to do where a file cannot hold transparency.
NO_ALPHA_HELP = "use .mov (ProRes 4444), .webm (VP9), .mkv (FFV1), or .png and .webp for pictures"


def choose_codec(
    name: str, extension: str, *, alpha: bool, depth: int, size: tuple[int, int], gpu: int = 0
) -> tuple[Codec, str]:
    """The codec for a file, and a note where it is not the one that was asked for.

    Args:
        name: a key of `CODECS` or `ALIASES`, or "auto": by extension, transparency and depth.
        extension: of the file, lower case, without the dot.
        alpha: whether the picture is transparent.
        depth: bits a sample.
        size: width and height in pixels.
        gpu: number of the GPU that a hardware encoder is to be on.

    Raises:
        UsageError: unknown codec or extension, or they do not go together.
    """
    if extension not in CONTAINERS:
        raise UsageError(_unknown_file(extension, alpha=alpha))
    if name == "auto":
        chosen = CODECS[_auto_name(extension, alpha=alpha, depth=depth)]
        return (chosen if min(size) >= chosen.least else CODECS["x264"]), ""
    codec = CODECS.get(ALIASES.get(name, name))
    if codec is None:
        raise UsageError(f"unknown codec {name!r}; choose from auto, {', '.join(CODECS)}")
    if extension not in codec.containers:
        fitting = ", ".join(f".{name}" for name in codec.containers)
        raise UsageError(f"{codec.name} does not go into .{extension}; use {fitting}")
    if alpha and not codec.alpha_formats:
        raise UsageError(f"{codec.name} cannot hold transparency; {NO_ALPHA_HELP}")
    if min(size) < codec.least:
        raise UsageError(
            f"{codec.name} needs pictures of at least {codec.least}x{codec.least}, "
            f"not {size[0]}x{size[1]}; try another --codec"
        )
    return _or_software(codec, size, depth, gpu)


def _unknown_file(extension: str, *, alpha: bool) -> str:
    from rvm.media.stills import STILL_EXTENSIONS

    named = f".{extension}" if extension else "a name without a suffix"
    videos = ", ".join(f".{name}" for name in CONTAINERS)
    pictures = ", ".join(f".{name}" for name in STILL_EXTENSIONS)
    known = NO_ALPHA_HELP if alpha else f"use one of {videos}, or of {pictures} for pictures"
    help = "" if extension else ", or end it in a slash for a folder"
    return f"{named} is not a video file or picture I can write; {known}{help}"


def _auto_name(extension: str, *, alpha: bool, depth: int) -> str:
    if not alpha:
        return (_AUTO_DEEP if depth > 8 else _AUTO)[extension]
    if extension not in _AUTO_ALPHA:
        raise UsageError(f".{extension} cannot hold transparency; {NO_ALPHA_HELP}")
    return _AUTO_ALPHA[extension]


def _or_software(codec: Codec, size: tuple[int, int], depth: int, gpu: int) -> tuple[Codec, str]:
    if codec.name not in SOFTWARE:
        return codec, ""
    problem = probe(codec.name, size, depth, gpu)
    if not problem:
        return codec, ""
    other = CODECS[SOFTWARE[codec.name]]
    pictures = f"for {size[0]}x{size[1]} with {depth} bits"
    return other, (
        f"{codec.name} does not open on this machine {pictures} ({problem}); {other.name} is used"
    )


@functools.cache
def probe(name: str, size: tuple[int, int] = (256, 256), depth: int = 8, gpu: int = 0) -> str:
    """Open an encoder for pictures of (width, height): "" if it works, else why not.

    GPUs have limits of size and depth that differ from model to model, and of encoders at a time.
    """
    import av

    quiet_encoders()
    codec = CODECS[name]
    try:
        context = av.CodecContext.create(codec.encoder, "w")
        context.width, context.height = (side + side % 2 for side in size)  # type: ignore[attr-defined]
        nearest = min(codec.formats, key=lambda each: abs(PIXEL_FORMATS[each].depth - depth))
        context.pix_fmt = codec.native_format(nearest)  # type: ignore[attr-defined]
        context.framerate = 25  # type: ignore[attr-defined]
        context.options = codec.encoder_options() | ({"gpu": str(gpu)} if codec.on_gpu else {})
        context.open()
    except (av.FFmpegError, ValueError, OSError) as error:
        logger.debug("%s does not open: %r", name, error)
        return (getattr(error, "strerror", None) or str(error)).lower()
    return ""


def quiet_encoders() -> None:
    """SVT-AV1 writes a banner to stderr unless told otherwise before it first opens."""
    os.environ.setdefault("SVT_LOG", "1")


def choose_format(
    codec: Codec, pixels: PixelFormat, *, alpha: bool, preset: str | None = None
) -> tuple[str, PixelFormat]:
    """The encoder's format nearest to a frame's, never worse than needed.

    Returns:
        FFmpeg's name, and the `PixelFormat` whose layout and depth it has.
    """
    if alpha:
        return _choose_alpha_format(codec, pixels)
    candidates = [PIXEL_FORMATS[name] for name in codec.formats_for(preset)]
    best = min(candidates, key=lambda candidate: _loss(pixels, candidate))
    return codec.native_format(best.name), best


def _choose_alpha_format(codec: Codec, pixels: PixelFormat) -> tuple[str, PixelFormat]:
    from rvm.media.encode import native_name

    by_layout = {"bgra": "rgb24", "gbrap16le": "rgb48", "yuva420p16le": "yuv420p12"}
    known = {
        name: PIXEL_FORMATS[by_layout.get(name, name.replace("yuva", "yuv").removesuffix("le"))]
        for name in codec.alpha_formats
    }
    exact = native_name(pixels, alpha=True)
    if exact in known:
        return exact, pixels
    name = min(known, key=lambda name: _loss(pixels, known[name]))
    return name, known[name]


def _loss(source: PixelFormat, target: PixelFormat) -> tuple[bool, int, int, int, int]:
    """How much is lost from source to target, then how much is wasted; compares as a tuple."""
    shifts = list(zip(source.chroma_shift, target.chroma_shift, strict=True))
    lost_chroma = sum(max(there - here, 0) for here, there in shifts)
    spare_chroma = sum(max(here - there, 0) for here, there in shifts)
    if source.family == "rgb" and target.family == "yuv":
        lost_chroma = abs(2 - sum(target.chroma_shift))  # a person's video: 4:2:0 plays anywhere
    depth = min(source.depth, 10) if target.family != source.family else source.depth
    lost_depth = max(depth - target.depth, 0)
    spare_depth = max(target.depth - depth, 0)
    return target.family != source.family, lost_depth, lost_chroma, spare_chroma, spare_depth
