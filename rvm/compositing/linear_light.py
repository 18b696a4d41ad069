"""Blending light instead of code values.

Works on the cells that share a chroma sample (2x2 pixels in 4:2:0, one pixel in 4:4:4 and RGB)
and only on those where some alpha is mixed; everywhere else the samples stay the frame's or the
background's own. A mixed luma sample is written only where its own alpha is mixed, a chroma sample
only where the mean alpha of its cell is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rvm.colour import chroma, ranges, transfer
from rvm.compositing.blend import is_mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame

Samples = npt.NDArray[Any]
#: Cells converted at a time: bounds the memory of a matte that is mixed everywhere.
_CELLS = 1 << 16


def blend_cells(
    frame: Frame,
    behind: Frame,
    alphas: Sequence[npt.NDArray[np.uint8]],
    changes: Sequence[FloatImage | None],
    out: Sequence[Samples],
) -> None:
    """Overwrite the mixed samples of `out` with the blend in linear light.

    Args:
        frame, behind: foreground and background, same format, size and tags.
        alphas: alpha at the size of each plane.
        changes: what to add to each plane of `frame` where alpha is mixed, or None.
        out: planes in which all other samples are right already.
    """
    rows, columns = _mixed_cells(alphas, frame.format.chroma_shift)
    for start in range(0, rows.size, _CELLS):
        part = slice(start, start + _CELLS)
        _blend_some(rows[part], columns[part], frame, behind, alphas, changes, out)


def _mixed_cells(
    alphas: Sequence[npt.NDArray[np.uint8]], shift: tuple[int, int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(rows, columns) of the cells with a mixed pixel or, at a hard edge, a mixed mean."""
    mixed = is_mixed(alphas[0]).astype(np.uint8) * np.uint8(255)
    # one mixed pixel of a cell of four still leaves 64 of 255
    found = chroma.downsample(mixed, shift) > 0
    rows, columns = np.nonzero(found | is_mixed(alphas[-1]))
    return rows, columns


def _blend_some(
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    frame: Frame,
    behind: Frame,
    alphas: Sequence[npt.NDArray[np.uint8]],
    changes: Sequence[FloatImage | None],
    out: Sequence[Samples],
) -> None:
    at_y, at_x = _pixels_of(rows, columns, frame)
    alpha = alphas[0][at_y, at_x]
    front = _code(frame, rows, columns, at_y, at_x, changes)
    back = _code(behind, rows, columns, at_y, at_x, [None] * len(changes))
    code = _blend_code(front, back, alpha, frame)
    if frame.format.family == "rgb":
        _put(out[0], (at_y, at_x), code, alpha[..., None], frame)
        return
    _put(out[0], (at_y, at_x), code[..., 0], alpha, frame)
    for plane in (1, 2):
        mean = code[..., plane].mean(axis=1)
        _put(out[plane], (rows, columns), mean, alphas[plane][rows, columns], frame)


def _pixels_of(
    rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], frame: Frame
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Coordinates (cells, pixels in a cell); past an odd edge the last pixel counts again."""
    shift_x, shift_y = frame.format.chroma_shift
    offset_y, offset_x = np.divmod(np.arange(1 << (shift_x + shift_y)), 1 << shift_x)
    at_y = np.minimum((rows << shift_y)[:, None] + offset_y, frame.height - 1)
    at_x = np.minimum((columns << shift_x)[:, None] + offset_x, frame.width - 1)
    return at_y, at_x


def _code(
    frame: Frame,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    at_y: npt.NDArray[np.intp],
    at_x: npt.NDArray[np.intp],
    changes: Sequence[FloatImage | None],
) -> FloatImage:
    """Code values (cells, pixels, 3), with the model's colour added."""
    if frame.format.family == "rgb":
        picked = [_pick(frame.planes[0], changes[0], at_y, at_x)]
        return np.clip(picked[0], 0, frame.format.max_value)
    luma = _pick(frame.planes[0], changes[0], at_y, at_x)
    wide = [
        np.broadcast_to(_pick(frame.planes[i], changes[i], rows, columns)[:, None], luma.shape)
        for i in (1, 2)
    ]
    return np.clip(np.stack([luma, *wide], axis=-1), 0, frame.format.max_value)


def _pick(
    plane: Samples,
    change: FloatImage | None,
    at_y: npt.NDArray[np.intp],
    at_x: npt.NDArray[np.intp],
) -> FloatImage:
    picked = plane[at_y, at_x].astype(np.float32)
    return picked if change is None else picked + change[at_y, at_x]


def _blend_code(
    front: FloatImage, back: FloatImage, alpha: npt.NDArray[np.uint8], frame: Frame
) -> FloatImage:
    """Code to light, blend, light to code; all (cells, pixels, 3)."""
    to_rgb = ranges.code_to_rgb(frame.format, frame.colour).astype(np.float32)
    to_code = ranges.rgb_to_code(frame.format, frame.colour).astype(np.float32)
    curve = frame.colour.transfer
    weight = alpha.astype(np.float32)[..., None] / np.float32(255)
    light = [
        transfer.to_light(curve, part @ to_rgb[:, :3].T + to_rgb[:, 3]) for part in (front, back)
    ]
    mixed = transfer.from_light(curve, light[1] + weight * (light[0] - light[1]))
    return np.asarray(mixed @ to_code[:, :3].T + to_code[:, 3], np.float32)


def _put(
    plane: Samples,
    at: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    code: FloatImage,
    alpha: npt.NDArray[np.uint8],
    frame: Frame,
) -> None:
    rounded = np.clip(np.rint(code), 0, frame.format.max_value).astype(plane.dtype)
    plane[at] = np.where(is_mixed(alpha), rounded, plane[at])
