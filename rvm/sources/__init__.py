"""Where frames come from: files, cameras, images and synthetic pictures.

`open_source` turns what a user wrote into a `Source`. Each kind is one file here and one line in
`SOURCES`, and is imported when first used.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm.errors import UnsafeInputError, UsageError

if TYPE_CHECKING:
    import os
    from fractions import Fraction

    from rvm.sources.base import Source

#: Kind of source -> "module:class".
SOURCES = {
    "file": "rvm.sources.file:FileSource",
    "stream": "rvm.sources.stream:StreamSource",
    "camera": "rvm.sources.camera:CameraSource",
    "images": "rvm.sources.images:ImagesSource",
    "synthetic": "rvm.sources.synthetic:SyntheticSource",
    "paced": "rvm.sources.paced:PacedSource",
}

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_CAMERA = re.compile(r"^(\d+|/dev/video\d+)$")


def open_source(
    spec: str | int | os.PathLike[str],
    *,
    live: bool = False,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    width: int | None = None,
    height: int | None = None,
    fps: float | Fraction | None = None,
    loop: bool = False,
    device: str = "cpu",
    open_devices: bool = True,
) -> Source:
    """Open whatever `spec` names.

    Args:
        spec: a video file, an image, a folder of images, a numbered name (`shot_%04d.png`),
            `synthetic:` (see `parse_synthetic`), and if live also a camera (its number or
            /dev/videoN) or a network camera (`rtsp://`, `http://`).
        live: frames come at their own pace; a file is played as if it were a camera.
        start_seconds, duration_seconds: the part of a video file or of several images to read;
            for a single image, how long to show it.
        width, height: what to ask a camera for.
        fps: frames a second: asked of a camera, given to images. A video keeps its own times,
            which a note says where frames must not be lost.
        loop: start over at the end (files and images).
        device: where to decode a video file: "cpu", or a CUDA device; see `FileSource`.
        open_devices: False leaves cameras off: one is looked up where the system lists them, and
            something without frames stands for it.

    Raises:
        InputError: it cannot be read.
        UnsafeInputError: an address where only a file may be named.
        DeviceError: no such camera.
        UsageError: a camera where frames must not be lost, or options that make no sense.
    """
    text, kind = str(spec), kind_of(spec)
    if kind in ("camera", "stream"):
        if not live:
            raise _not_here(text, kind == "camera")
        wishes = {"width": width, "height": height, "fps": fps}
        if not open_devices:
            return _unopened(text, kind, wishes)
        if kind == "stream":
            return _open("stream", text)
        return _open("camera", _device(text), **wishes)
    if kind == "synthetic":
        source = _open("synthetic", **parse_synthetic(text))
    elif kind == "images":
        rate = 30 if fps is None else fps
        source = _open(
            "images", text, fps=rate, start_seconds=start_seconds,
            duration_seconds=duration_seconds, loop=loop,
        )  # fmt: skip
        fps = None
    else:
        source = _open(
            "file", text, start_seconds=start_seconds, duration_seconds=duration_seconds, loop=loop,
            device=device,
        )  # fmt: skip
    if live:
        return _open("paced", source)
    if fps is not None:
        note = f"{text} keeps its own times: a number of frames a second is for pictures"
        source.info = replace(source.info, notes=(*source.info.notes, note))
    return source


def kind_of(spec: str | int | os.PathLike[str]) -> str:
    """The kind in `SOURCES` that `spec` means: camera, stream, synthetic, images or file."""
    text = str(spec)
    if isinstance(spec, int) or not Path(text).is_file():
        if _CAMERA.match(text):
            return "camera"
        if _URL.match(text):
            return "stream"
    if text.startswith("synthetic:"):
        return "synthetic"
    if Path(text).is_dir() or Path(text).suffix.lower() in _image_suffixes():
        return "images"
    return "file"


def parse_synthetic(spec: str) -> dict[str, Any]:
    """Arguments of `SyntheticSource` from `synthetic:count=100,size=320x240,fps=30,person`.

    Known: count (`count=` alone never ends), size, fps, format, person.

    Raises:
        UsageError: an unknown or malformed part.
    """
    arguments: dict[str, Any] = {}
    for part in filter(None, spec.removeprefix("synthetic:").split(",")):
        name, _, value = part.partition("=")
        try:
            if name == "count":
                arguments["count"] = int(value) if value else None
            elif name == "size":
                arguments["width"], arguments["height"] = (int(n) for n in value.split("x"))
            elif name == "fps":
                arguments["fps"] = float(value)
            elif name == "format":
                arguments["format"] = value
            elif name == "person":
                arguments["person"] = True
            else:
                raise ValueError(name)
        except ValueError as error:
            raise UsageError(
                f"synthetic source: {part!r} is not understood; "
                "known are count=N, size=WxH, fps=N, format=NAME, person"
            ) from error
    return arguments


def _open(kind: str, *arguments: Any, **options: Any) -> Source:
    module, _, attribute = SOURCES[kind].partition(":")
    source: Source = getattr(import_module(module), attribute)(*arguments, **options)
    return source


def _device(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _unopened(text: str, kind: str, wishes: dict[str, Any]) -> Source:
    from rvm.sources.unopened import UnopenedSource

    if kind == "stream":
        return UnopenedSource(without_secrets(text), **wishes)
    from rvm.sources.camera import look_up_camera

    look_up_camera(_device(text))
    return UnopenedSource(f"camera {text}", **wishes)


def without_secrets(text: str) -> str:
    """An address without a user name and password, for messages; other texts as they are."""
    return re.sub(r"(://)[^/@]*@", r"\1***@", text)


def _image_suffixes() -> frozenset[str]:
    from rvm.media.picture_files import PICTURE_SUFFIXES

    return PICTURE_SUFFIXES


def _not_here(text: str, camera: bool) -> UsageError | UnsafeInputError:
    if camera:
        return UsageError(f"{text}: a camera never ends; use `rvm live --camera {text}`")
    return UnsafeInputError(
        f"{without_secrets(text)}: an address, not a file; give the path of a local file"
    )
