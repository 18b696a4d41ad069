"""A moving background that is decoded, and fitted to the frame, on the frame's device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rvm.colour import torch_rgb
from rvm.colour.recode import same_meaning
from rvm.compositing import fit
from rvm.compositing.video import Video, cover, fitted
from rvm.gpu import streams
from rvm.gpu.resize import resize
from rvm.media.decode import VideoReader

if TYPE_CHECKING:
    import os

    from rvm.frame import Frame
    from rvm.media.hardware import HardwareDecoder


class TorchVideo(Video):
    """`Video`, with pictures that never pass through main memory where they need no conversion.

    What must become another format or colour than its own to go behind the frame is fetched and
    converted as on a CPU, and so is a file that the device does not decode.

    Args:
        path: see `Video`.
        decoder: of the device on which the frames are.
    """

    def __init__(self, path: str | os.PathLike[str], decoder: HardwareDecoder) -> None:
        self._decoder = decoder
        super().__init__(path)

    @classmethod
    def of(cls, background: Video, decoder: HardwareDecoder) -> TorchVideo:
        """The twin of a video on the CPU, which is closed."""
        background.close()
        return cls(background.path, decoder)

    def _open(self) -> VideoReader:
        """Where the video was decoded so far, without a second look at which is right."""
        if self._reader is None:
            return VideoReader(self.path, decoder=self._decoder)
        if self._reader.device == "cpu":
            return VideoReader(self.path)
        return VideoReader(self.path, decoder=self._decoder, was_compared=True)

    @torch.inference_mode()
    def _fitted(self, picture: Frame, like: Frame) -> Frame:
        # The first pictures were decoded where the file was opened: in another thread.
        picture = streams.from_default_stream(picture)
        on_device = isinstance(picture.planes[0], torch.Tensor)
        same = picture.format == like.format and same_meaning(picture.colour, like.colour)
        if not on_device or not same:
            return fitted(torch_rgb.download(picture), like)
        planes = tuple(
            resize(_crop(plane, part), shape[1], shape[0])
            for plane, part, shape in cover(picture, like)
        )
        return like.with_picture(planes)


def _crop(plane: Any, part: fit.Rect) -> torch.Tensor:
    left, top, width, height = part
    cut: torch.Tensor = plane[top : top + height, left : left + width]
    return cut
