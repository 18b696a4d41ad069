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

    from rvm.frame import Composite, Frame

#: Luma is alpha, 0..255. Full range, so that no value is lost to the range.
_MATTE_TAGS = ColourTags("bt709", "full", "bt709", "bt709")


#: Pixels by which colours go on beyond the person, at least.
_CELL = 16


class FrameWriter(Protocol):
    """Something that frames are written into: an encoded file, a folder of images, one image."""

    notes: list[str]

    def takes_from_device(self, frame: Frame) -> bool:
        """Whether `write` wants this frame's tensors where they are, on a GPU."""

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

    def takes_from_device(self, composite: Composite) -> bool:
        """If the writer does; layers that are made of something else do not need the picture."""
        shows_picture = self._layer is picture_layer
        return not shows_picture or self._writer.takes_from_device(composite.picture)

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
    """The person's own colours, not multiplied by alpha; black where nobody is near.

    Where alpha is mixed it is the model's colour if the model gives one. The colours go on for a
    few pixels beyond the person, so that encoding or scaling draws no dark rim into the edge:
    together with the matte this can be put over any background.
    """
    if composite.picture.alpha is not None:
        return composite.picture.with_picture(composite.picture.planes)
    source = composite.source
    alpha = as_array(composite.matte.alpha)
    far = ~_near(alpha)
    mixed = alpha < 255
    planes = [as_array(plane) for plane in source.planes]
    changes = _colour_changes(composite)
    out = []
    for plane, change, black in zip(planes, changes, _black(source), strict=True):
        own = plane if change is None else np.where(
            _at_plane(mixed, plane), _clipped(plane + change, plane, source), plane
        )  # fmt: skip
        out.append(np.where(_at_plane(far, plane), plane.dtype.type(black), own))
    return source.with_picture(tuple(out))


def _colour_changes(composite: Composite) -> list[npt.NDArray[Any] | None]:
    """What to add to each plane, in code values, to get the person's pure colour, if known.

    A difference of R'G'B' needs only the linear part of the map to code values, and that commutes
    with resizing. HDR keeps its own colours: the model saw it tone-mapped.
    """
    residual, source = composite.matte.foreground_residual, composite.source
    if residual is None or not source.colour.is_display_referred:
        return [None] * len(source.planes)
    import cv2

    from rvm.colour.ranges import rgb_to_code

    linear = rgb_to_code(source.format, source.colour)[:, :3].astype(np.float32)
    code = np.asarray(as_array(residual), np.float32) @ linear.T
    parts = [code] if source.format.family == "rgb" else list(np.moveaxis(code, 2, 0))
    return [
        cv2.resize(np.ascontiguousarray(part), plane.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        for part, plane in zip(parts, source.planes, strict=True)
    ]


def _clipped(samples: npt.NDArray[Any], plane: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    return np.asarray(np.clip(np.rint(samples), 0, frame.format.max_value), plane.dtype)


def _near(alpha: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """True within a cell (`_CELL` pixels) of the cells that hold any of the person."""
    import cv2

    rows, columns = alpha.shape
    padded = np.pad(alpha, ((0, -rows % _CELL), (0, -columns % _CELL)))
    cells = padded.reshape(padded.shape[0] // _CELL, _CELL, -1, _CELL).max(axis=(1, 3))
    grown = cv2.dilate((cells > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    wide = np.repeat(np.repeat(grown, _CELL, axis=0), _CELL, axis=1)
    return np.asarray(wide[:rows, :columns], np.bool_)


def _black(frame: Frame) -> tuple[int, ...]:
    """The code values of black, one for each plane."""
    if frame.format.family == "rgb":
        return (0,)
    middle = 1 << (frame.format.depth - 1)
    return (0 if frame.colour.range == "full" else middle >> 3, middle, middle)


def _at_plane(mask: npt.NDArray[np.bool_], plane: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """A mask at a plane's size: the pixel at the top left under each sample decides."""
    step_y, step_x = -(-mask.shape[0] // plane.shape[0]), -(-mask.shape[1] // plane.shape[1])
    small = np.asarray(mask[::step_y, ::step_x], np.bool_)
    return small[..., None] if plane.ndim == 3 else small
