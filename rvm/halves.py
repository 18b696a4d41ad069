"""Two halves of one frame's work at once, on two cores.

The stages of the pipeline run side by side already, so this makes no frame cheaper; it makes the
frame that is under way come out sooner, which is what a person in a call notices. Only for work
that lets go of Python's lock: compiled kernels and OpenCV.

Where nobody waits for a single frame, as when a file is converted, and the stages fill the cores
by themselves (`rvm.threads.divides_frames`), cutting a frame in two only makes threads wake each
other: `undivided`.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rvm.device import cpu_count

Part = TypeVar("Part")

#: Waking the other thread takes about a tenth of a millisecond; fewer samples are done sooner.
WORTH_SPLITTING = 250_000
#: Matting and compositing may each have a half to give away at the same time.
_MOST_HELPERS = 2


class _OwnThread(threading.local):
    """What holds for one thread."""

    undivided = False


_thread = _OwnThread()


@contextlib.contextmanager
def undivided(wanted: bool = True) -> Iterator[None]:
    """While the block runs, work of this thread is done by this thread, if that is `wanted`."""
    before, _thread.undivided = _thread.undivided, wanted
    try:
        yield
    finally:
        _thread.undivided = before


def both(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Run both and return when both are done: `first` here, `second` beside it if there is room.

    An error of either is raised, that of `first` before that of `second`.
    """
    helpers = None if _thread.undivided else _helpers()
    if helpers is None:
        first()
        second()
        return
    other = helpers.submit(second)
    try:
        first()
    finally:
        error = other.exception()
    if error is not None:
        raise error


def in_parts(work: Callable[[Part], object], parts: Sequence[Part]) -> None:
    """`work` of one part, or of two at once."""
    if len(parts) == 1:
        work(parts[0])
        return
    first, second = parts
    both(lambda: work(first), lambda: work(second))


def row_parts(rows: int, samples: int) -> tuple[slice, ...]:
    """The rows of a picture in two parts, or in one where its `samples` are few."""
    if not is_worth_splitting(samples):
        return (slice(0, rows),)
    return slice(0, rows // 2), slice(rows // 2, rows)


def plane_parts(planes: int, samples: int) -> tuple[tuple[int, ...], ...]:
    """The numbers of a picture's planes: the first, which has most of the work, beside the others;
    all in one part where there is but one, or where its `samples` are few."""
    if planes == 1 or not is_worth_splitting(samples):
        return (tuple(range(planes)),)
    return (0,), tuple(range(1, planes))


def is_worth_splitting(samples: int) -> bool:
    """Whether a picture of so many samples is done sooner by two threads than by one."""
    return samples >= WORTH_SPLITTING and not _thread.undivided


@functools.cache
def _helpers() -> ThreadPoolExecutor | None:
    spare = cpu_count() - 1
    if spare < 1:
        return None
    return ThreadPoolExecutor(min(spare, _MOST_HELPERS), thread_name_prefix="rvm-half")
