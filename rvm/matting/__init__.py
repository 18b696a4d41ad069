"""Engines: what turns a frame into a matte. `load_engine` opens one; `Matter` feeds it.

A new engine is one file in this folder and one line in `ENGINES`.
"""

from __future__ import annotations

from rvm.matting.load import ENGINES, available_engines, foresee, frame_device, load_engine

__all__ = ["ENGINES", "available_engines", "foresee", "frame_device", "load_engine"]
