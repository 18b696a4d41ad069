"""YUV samples to the network's planar RGB in one pass; see `rvm.matting.picture`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.jit import compiled


@compiled
def planar_rgb(
    planes: tuple[Any, Any, Any], matrix: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    """out = clamp(matrix @ (Y, U, V, 1), 0, 1).

    Args:
        planes: code values, each (rows, columns).
        matrix: (3, 4).
        out: (3, rows, columns), the result.
    """
    luma, blue, red = planes
    for channel in range(3):
        of_luma, of_blue = matrix[channel, 0], matrix[channel, 1]
        of_red, constant = matrix[channel, 2], matrix[channel, 3]
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                value = of_luma * np.float32(luma[y, x]) + of_blue * np.float32(blue[y, x])
                value += of_red * np.float32(red[y, x]) + constant
                out[channel, y, x] = min(max(value, np.float32(0)), np.float32(1))
