"""What the blur does on small pictures, in one call each; see `rvm.compositing.blur`.

Pull-push has a dozen levels of a few thousand samples: hundreds of calls for OpenCV, which take
longer than the arithmetic. Here are the same means over two by two samples and the same bilinear
enlarging, level by level; the last channel of a pyramid is the weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.jit import compiled

Floats = npt.NDArray[np.float32]


@compiled
def fill(
    channels: Floats, weight: Floats, trusted: np.float32, tiny: np.float32, out: Floats
) -> None:
    """Replace what is not background by the background around it.

    Args:
        channels: (3, rows, columns) code values.
        weight: (rows, columns), 1 where a sample is background, 0 where it is not.
        trusted: a coarse cell with that much background counts as full.
        tiny: the least that anything is divided by.
        out: the result, shaped as `channels`.
    """
    count, rows, columns = channels.shape
    fine = np.empty((count + 1, rows, columns), np.float32)
    for c in range(count):
        for y in range(rows):
            for x in range(columns):
                fine[c, y, x] = channels[c, y, x] * weight[y, x]
    fine[count] = weight
    levels = [fine]
    while levels[-1].shape[1] > 1 or levels[-1].shape[2] > 1:
        levels.append(_pull(levels[-1], trusted))
    last = levels[-1]
    below = np.empty((count, 1, 1), np.float32)
    for c in range(count):
        below[c, 0, 0] = last[c, 0, 0] / max(last[count, 0, 0], tiny)
    for number in range(len(levels) - 2, 0, -1):
        level = levels[number]
        filled = np.empty((count, level.shape[1], level.shape[2]), np.float32)
        _push(level, below, filled)
        below = filled
    if len(levels) > 1:
        _push(fine, below, out)
    else:
        out[:] = below


@compiled
def steady(
    values: Floats, before: npt.NDArray[Any], kept_within: np.float32, top: np.float32,
    out: npt.NDArray[Any],
) -> None:  # fmt: skip
    """Codes that stay as they were until a value has moved away; see `rvm.compositing.steady`.

    Args:
        values: (rows, columns).
        before: the codes so far, of the same shape.
        kept_within: how far from its code a value may be, in codes.
        top: the largest code.
        out: the new codes, of `before`'s type; may be `before` itself.
    """
    rows, columns = values.shape
    for y in range(rows):
        for x in range(columns):
            value = values[y, x]
            if abs(value - np.float32(before[y, x])) < kept_within:
                out[y, x] = before[y, x]
            else:
                out[y, x] = min(max(np.rint(value), np.float32(0)), top)


@compiled
def cell_maximum(alpha: npt.NDArray[np.uint8], cell: int, table: Floats, out: Floats) -> None:
    """`table` of the largest alpha of every cell.

    Args:
        alpha: (rows, columns).
        cell: side of a cell in pixels; the last ones may be cut off.
        table: 256 values.
        out: (rows / cell, columns / cell), both rounded up.
    """
    rows, columns = alpha.shape
    line = np.empty(out.shape[1] * cell, np.uint8)
    for y in range(out.shape[0]):
        line[:] = 0
        for row in range(y * cell, min((y + 1) * cell, rows)):
            for x in range(columns):
                line[x] = max(line[x], alpha[row, x])
        for x in range(out.shape[1]):
            largest = np.uint8(0)
            for k in range(cell):
                largest = max(largest, line[x * cell + k])
            out[y, x] = table[largest]


@compiled
def _pull(fine: Floats, trusted: np.float32) -> Floats:
    """Means over two by two samples (an odd last one counts twice), then normalised by trust."""
    channels, rows, columns = fine.shape
    coarse = np.empty((channels, (rows + 1) // 2, (columns + 1) // 2), np.float32)
    for c in range(channels):
        for y in range(coarse.shape[1]):
            above, below = fine[c, 2 * y], fine[c, min(2 * y + 1, rows - 1)]
            for x in range(coarse.shape[2]):
                left, right = 2 * x, min(2 * x + 1, columns - 1)
                total = above[left] + above[right] + below[left] + below[right]
                coarse[c, y, x] = total * np.float32(0.25)
    for y in range(coarse.shape[1]):
        for x in range(coarse.shape[2]):
            trust = np.float32(1) / max(coarse[channels - 1, y, x], trusted)
            for c in range(channels):
                coarse[c, y, x] *= trust
    return coarse


@compiled
def _push(level: Floats, below: Floats, filled: Floats) -> None:
    """What is known here, and for the rest what the enlarged coarser level says."""
    channels, rows, columns = filled.shape
    weight = level[channels]
    line = np.empty(below.shape[2], np.float32)
    for c in range(channels):
        for y in range(rows):
            _blend_rows(below[c], y, rows > 1, line)
            for x in range(columns):
                enlarged = line[0]
                if columns > 1:
                    near = x // 2
                    other = near + 1 if x % 2 else near - 1
                    other = min(max(other, 0), line.size - 1)
                    enlarged = np.float32(0.75) * line[near] + np.float32(0.25) * line[other]
                rest = np.float32(1) - weight[y, x]
                filled[c, y, x] = level[c, y, x] + rest * enlarged


@compiled
def _blend_rows(plane: Floats, y: int, is_enlarged: bool, line: Floats) -> None:
    """Row y of a plane that is twice as high; the plane's own row 0 where it is not enlarged."""
    near = y // 2 if is_enlarged else 0
    other = near + 1 if y % 2 else near - 1
    other = min(max(other, 0), plane.shape[0] - 1) if is_enlarged else 0
    for x in range(line.size):
        line[x] = np.float32(0.75) * plane[near, x] + np.float32(0.25) * plane[other, x]
