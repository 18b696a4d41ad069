"""How the cores are shared out, so that nothing fights for them.

* The engine: every core this process may use, up to 8, without spinning between frames (see
  `rvm.device.choose_threads`); more do not speed up one small picture.
* OpenCV: as many, before and after the engine and in compositing.
* Compiled kernels: the calling thread; a picture takes them about a millisecond.
* Grabbing, compositing and writing have a thread each (see `rvm.pipeline`); decoder and encoder
  choose their own.
"""

from __future__ import annotations

from rvm.device import choose_threads


def share_cores() -> None:
    """Hold OpenCV to its share. It would else wake every core of a large machine for each call."""
    import cv2

    cv2.setNumThreads(min(cv2.getNumThreads(), choose_threads(None)))
