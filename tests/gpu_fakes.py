"""A stand-in for NVDEC: FFmpeg decodes in software, and the pictures pass as surfaces.

They are turned into NV12 and P010 in main memory and lent by DLPack, so that everything between
the decoder and the frame runs as on a GPU, streams apart.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from torch.utils.dlpack import from_dlpack

from rvm.gpu.nvdec import NvdecDecoder

if TYPE_CHECKING:
    import os

    import av
    from av.container import InputContainer

_SURFACES = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


class FakeNvdec(NvdecDecoder):
    """Surfaces are CPU tensors.

    Args:
        gives: pictures that come as surfaces before the rest come in main memory; None: all.
        shift: columns by which its pictures are off, as with a crop that a driver ignores.
        error: raised at opening.
    """

    def __init__(
        self, gives: int | None = None, *, shift: int = 0, error: Exception | None = None
    ) -> None:
        super().__init__("cpu")
        self.device = "fake:0"  # what it calls itself; the tensors are on the CPU
        self.opened = 0
        self._gives = gives
        self._shift = shift
        self._error = error
        self._lent_pictures = 0

    def open(self, path: str | os.PathLike[str]) -> InputContainer:
        if self._error is not None:
            raise self._error
        self.opened += 1
        return super().open(path)

    def _current(self) -> Any:
        return contextlib.nullcontext()

    def _hwaccel(self) -> None:
        return None

    def _surface(self, picture: av.VideoFrame) -> str | None:
        if self._gives is not None and self._lent_pictures >= self._gives:
            return None
        return _SURFACES.get(picture.format.name)

    def _lent(self, picture: av.VideoFrame) -> tuple[Any, ...]:
        self._lent_pictures += 1
        name = _SURFACES[picture.format.name]
        surface = picture.reformat(
            format=name, src_color_range="JPEG", dst_color_range="JPEG",
            src_colorspace="ITU709", dst_colorspace="ITU709", threads=1,
        )  # fmt: skip
        planes: tuple[Any, ...] = surface.planes
        return (_Shifted(planes[0], self._shift), planes[1]) if self._shift else planes


class _Shifted:
    """A luma plane that begins some columns further right."""

    def __init__(self, plane: Any, columns: int) -> None:
        self._plane, self._columns = plane, columns

    def __dlpack__(self) -> Any:
        return from_dlpack(self._plane.__dlpack__()).roll(-self._columns, 1).__dlpack__()
