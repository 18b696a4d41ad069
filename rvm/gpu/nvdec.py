"""Decoding on an NVIDIA GPU: pictures that never pass through main memory.

FFmpeg decodes into surfaces (NV12, P010) of its own in the GPU's memory; PyAV lends them as DLPack
tensors, and they are copied from there into the planar layout of a `Frame`.

Two things about order. FFmpeg works in the context that is current when a file is opened, so
torch's is made current first: FFmpeg would refuse to share it under its own flags. And FFmpeg
queues its work on the context's default stream; copying on that same stream comes after the
picture was written, and before its surface is written again.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from rvm.errors import DeviceError, InputError, RvmError
from rvm.frame import PIXEL_FORMATS
from rvm.gpu import capturing, streams
from rvm.media.decode import VideoReader
from rvm.media.open import MEDIA_FAILURES, open_input, reason

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer

    from rvm.frame import PixelFormat
    from rvm.media.planes import Orientation

#: FFmpeg's surface layouts and what becomes of them.
_FORMATS = {"nv12": PIXEL_FORMATS["yuv420p"], "p010le": PIXEL_FORMATS["yuv420p10"]}
#: P010 has its ten bits on top of a 16-bit sample.
_P010_SHIFT, _P010_MASK = 6, 0x3FF


class NvdecDecoder:
    """Decodes on one GPU; see `rvm.media.hardware.HardwareDecoder`.

    Args:
        device: as torch writes it: "cuda:0".
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._device = torch.device(device)

    def open(self, path: str | os.PathLike[str]) -> InputContainer:
        """See `HardwareDecoder.open`.

        Raises:
            InputError: the GPU or its decoder cannot be used.
        """
        try:
            with capturing.LOCK, self._current():
                return open_input(path, hwaccel=self._hwaccel())
        except InputError as error:  # software opened it before: the file is not at fault
            why = reason(error.__cause__ or error)
            raise InputError(f"{self.device} cannot be used ({why})") from error

    def format_of(self, picture: av.VideoFrame) -> PixelFormat | None:
        """See `HardwareDecoder.format_of`."""
        surface = self._surface(picture)
        return None if surface is None else _FORMATS.get(surface)

    def planes(self, picture: av.VideoFrame, orientation: Orientation) -> tuple[Tensor, ...]:
        """See `HardwareDecoder.planes`.

        Raises:
            DeviceError: the GPU's memory is full.
        """
        try:
            with streams.on_default_stream(self._device):
                planes = self._planes(picture, orientation)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} has no memory left for decoded pictures; use --decoder cpu"
            ) from error
        return streams.used_here(planes)

    def _planes(self, picture: av.VideoFrame, orientation: Orientation) -> tuple[Tensor, ...]:
        luma, chroma = (_borrowed(plane) for plane in self._lent(picture))
        return de_interleaved(luma, chroma, orientation)

    def _surface(self, picture: av.VideoFrame) -> str | None:
        """FFmpeg's name of the layout on the device; None for a picture in main memory."""
        if picture.format.name != "cuda" or picture.sw_format is None:
            return None
        return picture.sw_format.name

    def _lent(self, picture: av.VideoFrame) -> tuple[Any, ...]:
        """The planes that lend their memory by DLPack."""
        return picture.planes

    def _hwaccel(self) -> HWAccel | None:
        from av.codec.hwaccel import HWAccel

        return HWAccel(
            "cuda",
            device=str(self._device.index or 0),
            allow_software_fallback=True,
            options={"primary_ctx": "0", "current_ctx": "1"},
            is_hw_owned=True,
        )

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        """Torch's context of the device, made if need be, is this thread's current one."""
        try:
            with torch.cuda.device(self._device):
                torch.zeros(1, device=self._device)
                yield
        except (RuntimeError, AssertionError) as error:  # no driver; torch without CUDA
            raise InputError(f"{self.device} cannot be used ({reason(error)})") from error


def probe(device: str) -> str:
    """Decode a few small pictures: "" if a device gives what software gives, else why not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mkv"
        try:
            _write_probe(path)
            with VideoReader(path, decoder=NvdecDecoder(device)) as reader:
                return reader.info.notes[-1] if reader.device == "cpu" else ""
        except (RvmError, *MEDIA_FAILURES) as error:
            return reason(error)


def _write_probe(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for index in range(3):
            ramp = np.add.outer(np.arange(192), np.arange(320) + 8 * index).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(ramp, format="gray").reformat(format="yuv420p")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def de_interleaved(luma: Tensor, chroma: Tensor, orientation: Orientation) -> tuple[Tensor, ...]:
    """A surface as upright planes of its own, contiguous, with the value in the low bits.

    Args:
        luma: (H, W) uint8 (NV12) or uint16 (P010).
        chroma: (H/2, W/2, 2), Cb and Cr in turn.
        orientation: what makes the stored picture upright.

    Returns:
        Y (H, W), Cb and Cr (H/2, W/2), or with the axes swapped; same dtype and device.
    """
    samples = (luma, chroma[..., 0], chroma[..., 1])
    return tuple(_upright(_low_bits(plane), orientation) for plane in samples)


def _low_bits(plane: Tensor) -> Tensor:
    if plane.dtype != torch.uint16:
        return plane
    # torch shifts no uint16; the sign that int16 drags along is cut off by the mask
    return (plane.view(torch.int16) >> _P010_SHIFT) & _P010_MASK


def _upright(plane: Tensor, orientation: Orientation) -> Tensor:
    """A copy, turned; the same turn as `rvm.media.planes.turn`."""
    if orientation.mirrored:
        plane = plane.flip(1)
    if orientation.turn:
        plane = torch.rot90(plane, orientation.turn // 90, (0, 1))
    plane = plane.clone(memory_format=torch.contiguous_format)
    return plane.view(torch.uint16) if plane.dtype == torch.int16 else plane


def _borrowed(plane: Any) -> Tensor:
    """The tensor over a plane's memory. Through the capsule: PyAV orders no streams by itself."""
    tensor: Tensor = from_dlpack(plane.__dlpack__())
    return tensor
