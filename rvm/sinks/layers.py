"""Which picture of a composite a file shows: the composed one, the matte, or the foreground."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rvm.frame import YUV420P, ColourTags
from rvm.media.encode import as_array
from rvm.sinks.base import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from rvm.frame import Composite, Frame, Plane

#: Luma is alpha, 0..255. Full range, so that no value is lost to the range.
_MATTE_TAGS = ColourTags("bt709", "full", "bt709", "bt709")


class FrameWriter(Protocol):
    """Something that frames are written into: an encoded file, a folder of images, one image."""

    notes: list[str]

    def write(self, frame: Frame) -> None:
        """Take one frame."""

    def close(self) -> None:
        """Finish; the final name appears."""

    def abort(self) -> None:
        """Give up; what exists keeps another name."""


class LayerSink(Sink):
    """One layer of each composite into one writer."""

    def __init__(self, layer: Callable[[Composite], Frame], writer: FrameWriter) -> None:
        self._layer = layer
        self._writer = writer
        self.notes = tuple(writer.notes)

    def write(self, composite: Composite) -> None:
        """Take one frame."""
        self._writer.write(self._layer(composite))
        self.frames_written += 1
        self._collect_notes()

    def close(self) -> None:
        """Finish the output and give it its final name."""
        try:
            self._writer.close()
        finally:
            self._collect_notes()

    def abort(self) -> None:
        """Give up; leave what exists under a name that is not the final one."""
        try:
            self._writer.abort()
        finally:
            self._collect_notes()

    def _collect_notes(self) -> None:
        if len(self.notes) != len(self._writer.notes):
            self.notes = tuple(self._writer.notes)


def picture_layer(composite: Composite) -> Frame:
    """The composed picture."""
    return composite.picture


def matte_layer(composite: Composite) -> Frame:
    """The matte as a picture: luma is alpha (0..255, full range), chroma is neutral."""
    alpha = as_array(composite.matte.alpha)
    height, width = alpha.shape
    _, *chroma = YUV420P.plane_shapes(width, height)
    neutral = (np.broadcast_to(np.uint8(128), shape) for shape in chroma)
    return dataclasses.replace(
        composite.source, planes=(alpha, *neutral), format=YUV420P, colour=_MATTE_TAGS,
        width=width, height=height, alpha=None,
    )  # fmt: skip


def foreground_layer(composite: Composite) -> Frame:
    """The person's own colours where there is any of the person, black elsewhere.

    Straight colours (not multiplied by alpha): together with the matte file they can be put over
    any background without a dark or coloured rim.
    """
    alpha = as_array(composite.matte.alpha)
    pure = composite.picture if composite.picture.alpha is not None else _pure_colours(composite)
    planes = tuple(as_array(plane) for plane in pure.planes)
    return pure.with_picture(_black_outside(pure, planes, alpha))


def _pure_colours(composite: Composite) -> Frame:
    """The source with the model's foreground colour where alpha is neither 0 nor 255."""
    source, residual = composite.source, composite.matte.foreground_residual
    source = source.with_picture(tuple(as_array(plane) for plane in source.planes))
    if residual is None:
        return source
    import cv2

    from rvm.colour.rgb import from_srgb8, to_display

    correction = cv2.resize(as_array(residual), source.size, interpolation=cv2.INTER_LINEAR)
    image = np.clip(to_display(source) + correction, 0, 1).astype(np.float32)
    inside = as_array(composite.matte.alpha) == 255
    mixed = [
        _chosen(_covers(inside, corrected.shape), own, corrected)
        for own, corrected in zip(source.planes, from_srgb8(image, source), strict=True)
    ]
    return source.with_picture(tuple(mixed))


def _black_outside(
    frame: Frame, planes: tuple[npt.NDArray[Any], ...], alpha: npt.NDArray[Any]
) -> tuple[Plane, ...]:
    outside = alpha == 0
    return tuple(
        _chosen(_covers(outside, plane.shape), np.full_like(plane, black), plane)
        for plane, black in zip(planes, _black(frame), strict=True)
    )


def _black(frame: Frame) -> tuple[int, ...]:
    """The code values of black, one for each plane."""
    if frame.format.family == "rgb":
        return (0,)
    middle = 1 << (frame.format.depth - 1)
    return (0 if frame.colour.range == "full" else middle >> 3, middle, middle)


def _covers(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """A mask at a plane's size: True where every pixel under a sample is True."""
    rows, columns = shape[:2]
    step_y, step_x = -(-mask.shape[0] // rows), -(-mask.shape[1] // columns)
    if (step_y, step_x) != (1, 1):
        pad = (rows * step_y - mask.shape[0], columns * step_x - mask.shape[1])
        wide = np.pad(mask, ((0, pad[0]), (0, pad[1])), mode="edge")
        blocks = wide.reshape(rows, step_y, columns, step_x)
        mask = np.logical_and.reduce(blocks, axis=(1, 3))
    return mask[..., None] if len(shape) == 3 else mask


def _chosen(
    mask: npt.NDArray[np.bool_], where: npt.NDArray[Any], elsewhere: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    return np.where(mask, where, elsewhere).astype(elsewhere.dtype, copy=False)
