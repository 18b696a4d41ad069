"""Where composed frames go: files, images, a virtual webcam, nowhere.

`SINKS` names every implementation; `open_sinks` and `open_live_sink` turn what a user typed into
one open sink.
"""

from __future__ import annotations

import functools
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rvm.sinks.base import Sink
    from rvm.sinks.encoded import Encoding
    from rvm.sinks.hints import SourceHints

#: Name -> module and class. Imported on first use: importing this package stays cheap.
SINKS: Mapping[str, str] = {
    "video_file": "rvm.sinks.video_file:VideoFileSink",
    "matte_file": "rvm.sinks.matte_file:MatteFileSink",
    "foreground_file": "rvm.sinks.foreground_file:ForegroundFileSink",
    "images": "rvm.sinks.images:ImagesSink",
    "virtual_camera": "rvm.sinks.virtual_camera:VirtualCameraSink",
    "null": "rvm.sinks.null:NullSink",
    "tee": "rvm.sinks.tee:TeeSink",
}


def sink_class(name: str) -> type[Sink]:
    """The class behind a name in `SINKS`."""
    module, _, attribute = SINKS[name].partition(":")
    found: type[Sink] = getattr(import_module(module), attribute)
    return found


def open_sinks(
    output: str | Path | None,
    matte: str | Path | None = None,
    foreground: str | Path | None = None,
    *,
    info: SourceHints,
    codec: str = "auto",
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str | None = None,
    audio: bool = True,
    overwrite: bool = False,
    transparent: bool = False,
    threads: int = 0,
    gpu: int = 0,
) -> Sink:
    """Open everything an offline run writes, as one sink.

    Args:
        output: the composed picture: a video file, `folder/` (of pictures), `shot_%04d.png`, one
            picture file, or `null`; None for none.
        matte: the matte, likewise; `.mkv` is lossless.
        foreground: the person's colours, likewise.
        info: of the source; its `original` lends sound and tags.
        codec, crf, bitrate, preset, threads, gpu: see `rvm.sinks.encoded.Encoding`. With several
            outputs, a chosen codec and quality mean the composed picture.
        audio: copy sound and subtitles into `output`.
        overwrite: replace what is there.
        transparent: the composed picture has alpha, and the output must hold it.

    Raises:
        UsageError: nothing to write, the same name twice, or options that do not go together.
        OutputError: a place cannot be written; nothing has been opened then.
    """
    from rvm.sinks.encoded import Encoding
    from rvm.sinks.tee import open_all

    _check_distinct(output, matte, foreground)
    chosen = Encoding(codec, crf, bitrate, preset, threads, gpu)
    other = chosen if output is None else Encoding(threads=threads)
    openers: list[Callable[[], Sink]] = []
    if output is not None:
        openers.append(
            functools.partial(
                _open_picture,
                output,
                info=info,
                encoding=chosen,
                audio=audio,
                overwrite=overwrite,
                transparent=transparent,
            )
        )
    for name, spec in (("matte_file", matte), ("foreground_file", foreground)):
        if spec is not None:
            make: Callable[..., Sink] = sink_class(name)
            openers.append(
                functools.partial(make, spec, info=info, encoding=other, overwrite=overwrite)
            )
    return open_all(openers)


def open_live_sink(
    to: str | Path = "virtualcam",
    *,
    info: SourceHints,
    codec: str = "auto",
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    transparent: bool = False,
    threads: int = 0,
    gpu: int = 0,
    open_devices: bool = True,
) -> Sink:
    """Open what a live run shows its pictures on.

    Args:
        to: `virtualcam`, `virtualcam:DEVICE`, `null`, or a video file or folder to record into
            (without the source's sound: live frames are dropped, sound is not).
        info, codec, crf, bitrate, preset, overwrite, transparent, threads, gpu: as for
            `open_sinks`.
        open_devices: False looks a webcam up where the system lists them, and takes none.

    Raises:
        DeviceError: no virtual webcam; the message says how to install one.
        UsageError, OutputError: as for `open_sinks`.
    """
    text = os.fspath(to)
    kind, _, device = text.partition(":")
    if kind == "virtualcam":
        if transparent:
            raise UsageError(
                "a virtual webcam cannot be transparent; choose a background such as #00b140"
            )
        from rvm.sinks.virtual_camera import VirtualCameraSink, look_up_webcam

        if not open_devices:
            look_up_webcam(device or None)
            return sink_class("null")()
        return VirtualCameraSink(info=info, device=device or None)
    return open_sinks(
        to, info=info, codec=codec, crf=crf, bitrate=bitrate, preset=preset, audio=False,
        overwrite=overwrite, transparent=transparent, threads=threads, gpu=gpu,
    )  # fmt: skip


def is_encoded(to: str | Path) -> bool:
    """Whether an output is a video file: the only kind that codec, crf, bitrate and preset mean."""
    from rvm.sinks.images import is_images

    text = os.fspath(to)
    return text != "null" and text.partition(":")[0] != "virtualcam" and not is_images(text)


def _open_picture(
    output: str | Path,
    *,
    info: SourceHints,
    encoding: Encoding,
    audio: bool,
    overwrite: bool,
    transparent: bool,
) -> Sink:
    from rvm.sinks.images import ImagesSink, is_images
    from rvm.sinks.null import NullSink
    from rvm.sinks.video_file import VideoFileSink

    if os.fspath(output) == "null":
        return NullSink()
    if is_images(output):
        return ImagesSink(output, info=info, alpha=transparent, overwrite=overwrite)
    return VideoFileSink(
        Path(output), info=info, encoding=encoding, alpha=transparent, keep_audio=audio,
        overwrite=overwrite,
    )  # fmt: skip


def _check_distinct(*specs: str | Path | None) -> None:
    named = [Path(spec).absolute() for spec in specs if spec is not None]
    if not named:
        raise UsageError("nothing to write: give -o OUTPUT, --matte FILE or --foreground FILE")
    if len(set(named)) < len(named):
        raise UsageError("two outputs have the same name; give each its own")
