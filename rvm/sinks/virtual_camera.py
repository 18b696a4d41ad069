"""The virtual webcam, through pyvirtualcam: v4l2loopback on Linux, OBS elsewhere."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rvm.errors import DeviceError
from rvm.frame import PIXEL_FORMATS, ColourTags, Frame
from rvm.media.encode import as_array, samples, tags_for, to_video_frame
from rvm.sinks.base import Sink

if TYPE_CHECKING:
    import numpy.typing as npt

    from rvm.frame import Composite
    from rvm.sinks.hints import SourceHints

logger = logging.getLogger(__name__)

_I420 = PIXEL_FORMATS["yuv420p"]
_DEFAULT_FPS = 30.0
_LISTED = Path("/sys/devices/virtual/video4linux")
_INSTALL = {
    "linux": (
        "install v4l2loopback (sudo apt install v4l2loopback-dkms) and load it with: "
        "sudo modprobe v4l2loopback exclusive_caps=1 card_label=rvm"
    ),
    "darwin": (
        "install OBS 30 or later (brew install --cask obs), start it once, choose "
        "Start Virtual Camera, then Stop Virtual Camera"
    ),
    "win32": (
        "install OBS 26 or later (winget install OBSProject.OBSStudio), start it once, choose "
        "Start Virtual Camera, then Stop Virtual Camera"
    ),
}


class VirtualCameraSink(Sink):
    """Shows pictures on a virtual webcam, as I420 in limited range.

    8-bit 4:2:0 planes go in as they are. The webcam keeps the size of the start; a picture of
    another size is fitted into it with black bars. Sizes are rounded down to even ones.
    """

    live: ClassVar[bool] = True

    def __init__(
        self, *, info: SourceHints, device: str | None = None, backend: str | None = None
    ) -> None:
        """Open the webcam.

        Args:
            info: of the source; its size and frame rate become the webcam's.
            device: for instance `/dev/video10`; None takes the first that is free.
            backend: a name registered with pyvirtualcam; None tries each.

        Raises:
            DeviceError: there is no driver, no such device, or it is in use.
        """
        self._size = (max(info.width & ~1, 2), max(info.height & ~1, 2))
        self._camera = _open_camera(
            self._size, float(info.frame_rate or _DEFAULT_FPS), device, backend
        )
        width, height = self._size
        self._buffer = np.empty(width * height * 3 // 2, np.uint8)
        self._planes = _i420_views(self._buffer, width, height)
        self._ended = False
        #: What the system calls the webcam; the name to choose in a meeting program.
        self.device = str(self._camera.device)
        self.notes = (f"virtual webcam {self.device} at {width}x{height}",)

    def write(self, composite: Composite) -> None:
        """Show one picture.

        Raises:
            DeviceError: the webcam went away.
        """
        self._fill(composite.picture)
        try:
            self._camera.send(self._buffer)
        except (RuntimeError, OSError, ValueError) as error:
            raise DeviceError(f"the virtual webcam {self.device} failed: {_line(error)}") from error
        self.frames_written += 1

    def close(self) -> None:
        """Give the webcam back. Idempotent."""
        if not self._ended:
            self._ended = True
            self._camera.close()

    def _fill(self, frame: Frame) -> None:
        tags = webcam_tags(frame)
        planes = frame.planes
        if frame.format != _I420 or (frame.colour.matrix, frame.colour.range) != (
            tags.matrix, tags.range,
        ):  # fmt: skip
            picture = to_video_frame(_in_sdr(frame), "yuv420p", tags=tags)
            planes = tuple(samples(picture, index, 8) for index in range(3))
        self._place(tuple(as_array(plane) for plane in planes), frame.width, frame.height)

    def _place(self, planes: tuple[npt.NDArray[Any], ...], width: int, height: int) -> None:
        own_width, own_height = self._size
        if own_width in (width, width - 1) and own_height in (height, height - 1):
            for target, plane in zip(self._planes, planes, strict=True):
                np.copyto(target, plane[: target.shape[0], : target.shape[1]])
            return
        left, top, fit_width, fit_height = fit(width, height, own_width, own_height)
        import cv2

        for target, plane, black in zip(self._planes, planes, (16, 128, 128), strict=True):
            step = own_height // target.shape[0]
            target[:] = black
            inside = (fit_width // step, fit_height // step)
            way = cv2.INTER_AREA if inside[0] < plane.shape[1] else cv2.INTER_LINEAR
            box = target[top // step :, left // step :][: inside[1], : inside[0]]
            box[:] = cv2.resize(np.ascontiguousarray(plane), inside, interpolation=way)


def webcam_tags(frame: Frame) -> ColourTags:
    """What a webcam's picture means: limited range, the frame's own matrix if it is usual."""
    tags = tags_for(_I420, frame, limited_only=True)
    if tags.matrix in ("bt601", "bt709") and not tags.is_hdr:
        return tags
    return ColourTags("bt709", "limited", "bt709", "bt709")


def fit(width: int, height: int, into_width: int, into_height: int) -> tuple[int, int, int, int]:
    """(left, top, width, height) of a picture fitted into a frame; all even."""
    scale = min(into_width / width, into_height / height)
    fit_width = min(max(round(width * scale / 2) * 2, 2), into_width)
    fit_height = min(max(round(height * scale / 2) * 2, 2), into_height)
    left, top = (into_width - fit_width) // 4 * 2, (into_height - fit_height) // 4 * 2
    return left, top, fit_width, fit_height


def _in_sdr(frame: Frame) -> Frame:
    """HDR and wide gamut brought to sRGB; everything else as it is."""
    if not frame.colour.is_hdr and frame.colour.matrix != "bt2020":
        return frame
    import dataclasses

    from rvm.colour.rgb import to_srgb8
    from rvm.frame import RGB24, SRGB

    frame = frame.with_picture(tuple(as_array(plane) for plane in frame.planes))
    return dataclasses.replace(frame, planes=(to_srgb8(frame),), format=RGB24, colour=SRGB)


def _i420_views(buffer: npt.NDArray[Any], width: int, height: int) -> tuple[npt.NDArray[Any], ...]:
    luma, chroma = width * height, width * height // 4
    parts = np.split(buffer, [luma, luma + chroma])
    shapes = _I420.plane_shapes(width, height)
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def _open_camera(size: tuple[int, int], fps: float, device: str | None, backend: str | None) -> Any:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise DeviceError(
            f"pyvirtualcam is missing or broken ({_line(error)}); pip install pyvirtualcam"
        ) from error
    try:
        return pyvirtualcam.Camera(
            *size, fps, fmt=pyvirtualcam.PixelFormat.I420, device=device, backend=backend
        )
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        which = f"virtual webcam {device}" if device else "virtual webcam"
        raise DeviceError(f"no {which} to write to ({_line(error)}); {install_advice()}") from error


def list_webcams(folder: Path | None = None) -> list[dict[str, str]]:
    """Virtual webcams to show pictures on, name and path, where the system lists them (Linux).

    Args:
        folder: of the kernel's list; None is the usual one.
    """
    folder = folder or _LISTED
    found = []
    for entry in sorted(folder.glob("video*")) if folder.is_dir() else []:
        name = entry / "name"
        label = name.read_text(encoding="utf-8").strip() if name.is_file() else entry.name
        found.append({"name": label, "path": f"/dev/{entry.name}"})
    return found


def look_up_webcam(device: str | None = None) -> None:
    """Look whether a virtual webcam is there, without opening it; only Linux lists them.

    Args:
        device: its path; None is any.

    Raises:
        DeviceError: the system lists none, or not this one.
    """
    if not sys.platform.startswith("linux"):
        return
    paths = [webcam["path"] for webcam in list_webcams()]
    if not paths:
        raise DeviceError(f"no virtual webcam; {install_advice()}")
    if device is not None and device not in paths:
        raise DeviceError(f"no virtual webcam {device}; there are: {', '.join(paths)}")


def install_advice(platform: str = sys.platform) -> str:
    """What to do, on this system, to get a virtual webcam."""
    return _INSTALL.get(platform, _INSTALL["linux"])


def _line(error: BaseException) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]
