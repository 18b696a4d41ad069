"""Compositing: a frame and its matte before a background.

`make_compositor` is the way in; `parse_background` turns what a user wrote into a `Background`.
A new background is one file here and one line in `BACKGROUNDS`.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import InputError, UsageError
from rvm.path_like import looks_like_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.compositing.base import Background, Compositor

__all__ = [
    "BACKGROUNDS",
    "background_file",
    "is_transparent",
    "make_compositor",
    "parse_background",
]


#: Name -> "module:class". What follows `name:` in a spec is the class's only argument, as text.
#: A class is imported when it is first asked for.
BACKGROUNDS: dict[str, str] = {
    "solid": "rvm.compositing.solid:SolidColour",
    "image": "rvm.compositing.image:Image",
    "video": "rvm.compositing.video:Video",
    "blur": "rvm.compositing.blur:Blur",
    "transparent": "rvm.compositing.transparent:Transparent",
    "none": "rvm.compositing.none:Unchanged",
}


def parse_background(spec: str, *, blur_strength: float | None = None) -> Background:
    """The background that a user's words mean.

    Args:
        spec: `#rgb`, `#rrggbb` or a CSS colour name; the path of a picture, video or GIF; `blur`
            or `blur:STRENGTH` (0..1); `transparent`; `none`; or `name:argument` of the registry,
            for instance `image:red` for a file called red.
        blur_strength: strength for a plain `blur`; None is the default.

    Raises:
        UsageError: nothing is called that; the message names the nearest thing.
        InputError: the file is missing or cannot be read.
    """
    name, colon, argument = spec.strip().partition(":")
    name = name.lower()
    if name == "blur" and not argument and blur_strength is not None:
        argument = str(blur_strength)
    if name in BACKGROUNDS and (colon or not _needs_argument(name)):
        return _build(name, argument)
    return _by_content(spec.strip())


def is_transparent(spec: str) -> bool:
    """Whether a user's words mean no background at all."""
    return spec.strip().lower() == "transparent"


def background_file(spec: str) -> Path | None:
    """The file of that name, if there is one: what a user's words may have been read from."""
    for name in (spec.strip(), spec.strip().partition(":")[2]):
        with contextlib.suppress(OSError, ValueError):  # not a name at all
            if Path(name).is_file():
                return Path(name)
    return None


def make_compositor(
    background: str | Background,
    *,
    blur_strength: float | None = None,
    linear_light: bool = False,
    device: str = "cpu",
    decode_on_device: bool = True,
) -> Compositor:
    """A compositor that works where the frames are.

    Args:
        background: see `parse_background`; or a background, which the compositor then owns.
        blur_strength: 0..1, for `blur`; None is the default.
        linear_light: blend light instead of code values.
        device: "cpu", or a torch device for frames whose planes are tensors on it.
        decode_on_device: a video as the background is decoded on a CUDA device too.

    Raises:
        UsageError, InputError: as `parse_background`.
    """
    if isinstance(background, str):
        background = parse_background(background, blur_strength=blur_strength)
    if device == "cpu":
        from rvm.compositing.cpu_compositor import CpuCompositor

        return CpuCompositor(background, linear_light=linear_light)
    from rvm.compositing.torch_compositor import TorchCompositor

    if decode_on_device and device.startswith("cuda"):
        background = _decoded_on(device, background)
    return TorchCompositor(background, linear_light=linear_light, device=device)


def _decoded_on(device: str, background: Background) -> Background:
    from rvm.compositing.video import Video

    if type(background) is not Video:
        return background
    from rvm.compositing.torch_video import TorchVideo
    from rvm.gpu.nvdec import NvdecDecoder

    return TorchVideo.of(background, NvdecDecoder(device))


def _build(name: str, argument: str = "") -> Background:
    background = _class(name)
    if argument and not inspect.signature(background).parameters:
        raise UsageError(f"background {name} takes no {argument!r}; write just {name}")
    if not argument and _needs_argument(name):
        raise UsageError(f"background {name}: needs something after the colon")
    return background(argument) if argument else background()


def _class(name: str) -> Callable[..., Background]:
    module, _, attribute = BACKGROUNDS[name].partition(":")
    found: Callable[..., Background] = getattr(importlib.import_module(module), attribute)
    return found


def _needs_argument(name: str) -> bool:
    parameters = inspect.signature(_class(name)).parameters.values()
    return any(parameter.default is parameter.empty for parameter in parameters)


def _by_content(spec: str) -> Background:
    from rvm.compositing.solid import parse_colour

    if parse_colour(spec) is not None:
        return _build("solid", spec)
    path = Path(spec)
    if spec and path.exists():
        return _build("image", spec) if _is_still(path) else _moving(spec)
    if looks_like_path(spec):
        raise InputError(f"{spec}: no such background file; check the path")
    raise UsageError(f"unknown background {spec!r}; {_suggestion(spec)}")


def _moving(spec: str) -> Background:
    """A video, whatever its name says; what is none and is called a picture is no picture."""
    from rvm.media.picture_files import CALLED_PICTURES

    try:
        return _build("video", spec)
    except InputError:
        if Path(spec).suffix.lower() in CALLED_PICTURES:
            raise InputError(f"{spec}: not a picture that can be read; try PNG or JPEG") from None
        raise


def _is_still(path: Path) -> bool:
    """True for pictures that do not move; GIF counts as a video."""
    import cv2

    if not path.is_file():
        raise InputError(f"{path}: is not a file; give a picture or a video as the background")
    return path.suffix.lower() != ".gif" and bool(cv2.haveImageReader(str(path)))


def _suggestion(spec: str) -> str:
    from rvm.compositing.css_colours import CSS_COLOURS

    names = [*(name for name in BACKGROUNDS if not _needs_argument(name)), *CSS_COLOURS]
    near = difflib.get_close_matches(spec.lower().partition(":")[0], names, 1)
    if near:
        return f"did you mean {near[0]}?"
    return "give #rrggbb, a colour name, a picture, a video, blur, transparent or none"
