"""Frames on a GPU as pictures that NVENC encodes where they lie.

NVENC takes NV12 and P010, and finds the chroma right behind the luma: both lie in one block here.
FFmpeg passes the block's address on, so torch's context must be the one FFmpeg works in; and since
NVENC looks at the block when it likes, the block must be complete before it is handed over. That is
waited for in the thread that encodes, which has nothing else to do.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import av
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.frame import Frame

#: Bytes to which rows are padded, as CUDA's own allocator of pictures does.
_ROW_BYTES = 256
#: P010 has its ten bits on top of a 16-bit sample.
_P010_SHIFT = 6
#: Formats of a `Frame` -> FFmpeg's name of the surface.
SURFACES = {"yuv420p": "nv12", "yuv420p10": "p010le"}


class NvencFeeder:
    """Makes an encoder's pictures.

    Args:
        frame: the first one; all must have its format and lie on its device.
        size: (width, height) of the pictures, even, not below the frame's; the edge repeats.

    Attributes:
        pix_fmt: the encoder's pixel format.
    """

    def __init__(self, frame: Frame, size: tuple[int, int]) -> None:
        self._device: torch.device = frame.planes[0].device
        self._size = size
        self._surface = SURFACES[frame.format.name]
        self._blocks = Blocks()
        self._context: dict[str, Any] = {}
        self.pix_fmt = self._surface
        if self._device.type == "cuda":
            self.pix_fmt = "cuda"
            self._context["cuda_context"] = av.video.frame.CudaContext(
                device_id=self._device.index, primary_ctx=False, current_ctx=True
            )

    @torch.inference_mode()
    def picture(self, frame: Frame) -> av.VideoFrame:
        """A picture that owns its samples; times and tags are not set."""
        with self._current():
            planes = surface(frame.planes, self._size, self._blocks.take)
            self._wait()
            return av.VideoFrame.from_dlpack(planes, format=self._surface, **self._context)

    def _current(self) -> Any:
        on_gpu = self._device.type == "cuda"
        return torch.cuda.device(self._device) if on_gpu else contextlib.nullcontext()

    def _wait(self) -> None:
        if self._device.type == "cuda":
            event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            event.synchronize()


class Blocks:
    """Memory for pictures, used again as soon as the encoder has let go of it.

    NVENC remembers the address of each block it was given. Torch might return a block that is
    freed to the driver, which could then have another one at that address; so these are kept.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Tensor, int]] = []

    def take(self, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """A block that nobody else holds; all must have the same shape."""
        for block, holders in self._blocks:
            if _holders(block) == holders:
                return block
        block = torch.empty(shape, dtype=dtype, device=device)
        self._blocks.append((block, _holders(block)))
        return block


def surface(
    planes: tuple[Tensor, ...],
    size: tuple[int, int],
    make: Callable[[tuple[int, int], torch.dtype, torch.device], Tensor],
) -> tuple[Tensor, Tensor]:
    """Planar 4:2:0 as a surface, in one block with padded rows.

    Args:
        planes: Y (H, W), Cb and Cr (H/2, W/2 rounded up): uint8, or uint16 with 10 bits.
        size: (width, height), even; the last row and column repeat up to there.
        make: makes the block, of a shape and dtype on a device.

    Returns:
        Luma (height, width) and chroma (height/2, width/2, 2), of the planes' dtype (10 bits lie
        on top of 16), both views of the block.
    """
    width, height = size
    first = planes[0]
    pitch = -(-width * first.element_size() // _ROW_BYTES) * _ROW_BYTES // first.element_size()
    block = make((height + height // 2, pitch), _signed(first), first.device)
    luma = block[:height, :width]
    chroma = block[height:, :width].unflatten(1, (width // 2, 2))  # type: ignore[no-untyped-call]
    for target, plane in zip((luma, chroma[..., 0], chroma[..., 1]), planes, strict=True):
        _fill(target, plane)
    return luma.view(first.dtype), chroma.view(first.dtype)


def _fill(target: Tensor, plane: Tensor) -> None:
    """Copy into the top left and repeat the last column and row."""
    rows, columns = plane.shape
    samples = plane if plane.dtype == torch.uint8 else plane.view(torch.int16) << _P010_SHIFT
    target[:rows, :columns] = samples
    target[:rows, columns:] = target[:rows, columns - 1 : columns]
    target[rows:] = target[rows - 1 : rows]


def _holders(block: Tensor) -> int:
    """How many tensors, here and in PyAV, use a block's memory, by torch's own count."""
    return torch._C._storage_Use_Count(block.untyped_storage()._cdata)


def _signed(plane: Tensor) -> torch.dtype:
    """What torch computes with in place of uint16."""
    return torch.uint8 if plane.dtype == torch.uint8 else torch.int16
