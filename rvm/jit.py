"""Compiled kernels, where numba is there to compile them.

A kernel module is written as plain loops and marked with `compiled`. Numba translates it at the
first use on a machine, which takes some seconds once, and keeps the result beside the module or in
the user's cache folder. Wherever a kernel is used the same result, at most one code value apart,
also comes from OpenCV: `kernels` answers None where numba is missing, too old for this NumPy, or
finds no place for its cache.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rvm.spared import hidden, spared

Function = TypeVar("Function", bound=Callable[..., Any])

logger = logging.getLogger(__name__)

#: No other thread waits for a kernel, and its numbers are finite: callers see to that.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "nnan", "ninf"},
}


def compiled(function: Function) -> Function:
    """Mark a function of a kernel module; it is translated when it is first called."""
    with hidden(spared()):
        import numba

    translate: Any = numba.njit(**_OPTIONS)
    kernel: Function = translate(function)
    return kernel


@functools.cache
def kernels(module: str) -> Any | None:
    """A kernel module, or None where it cannot be compiled; asked for by its full name."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # numba raises its own and plain ones, by version
        logger.info("%s is left out, OpenCV does its work: %s", module, error)
        return None


def is_translated(module: str) -> bool:
    """Whether the kernels of a module were translated on this machine since they last changed.

    True also where there is nothing to translate them.
    """
    found = kernels(module)
    if found is None:
        return True
    source = Path(found.__file__)
    own = (f for f in vars(found).values() if getattr(f, "__module__", "") == module)
    folder = next(f.stats.cache_path for f in own if hasattr(f, "stats"))
    indexes = Path(folder).glob(f"{source.stem}.*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in indexes)


def whole_rows(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(rows, columns or more), read-only: a plane with the padding of its rows, contiguous.

    Compilers vectorise loops over contiguous arrays only. The padding of the last row may lie
    beyond the memory: nobody may read past the plane's own columns.
    """
    stride, itemsize = plane.strides[0], plane.itemsize
    if plane.strides[1] != itemsize or stride < plane.shape[1] * itemsize or stride % itemsize:
        plane = np.ascontiguousarray(plane)  # mirrored, or every other sample
        stride = plane.strides[0]
    shape = (plane.shape[0], stride // itemsize)
    return np.lib.stride_tricks.as_strided(plane, shape, (stride, itemsize), writeable=False)


@functools.lru_cache(maxsize=32)
def bilinear_axis(small: int, size: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Where the samples of a longer axis lie on a shorter one, with half-pixel centres.

    The shorter axis has one sample more at each end, a copy of its neighbour.

    Returns:
        for each of `size` samples the index of the sample before it (of the `small` + 2), and the
        weight 0..1 of the one after.
    """
    position = (np.arange(size) + 0.5) * (small / size) + 0.5
    before = np.floor(position)
    return before.astype(np.uint32), (position - before).astype(np.float32)


@functools.lru_cache(maxsize=32)
def cell_starts(small: int, size: int) -> npt.NDArray[np.int64]:
    """The first of `size` samples at or after each of the `small` + 2 (see `bilinear_axis`)."""
    return np.searchsorted(bilinear_axis(small, size)[0], np.arange(small + 2)).astype(np.int64)
