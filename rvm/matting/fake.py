"""A model that needs no weights: for tests of everything around the network.

`rvm convert --model fake` shows a pipeline working without any file. Faults on request:
`fake:delay_ms=40,fail_at=100,shape=luma`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from rvm.errors import ModelError, UsageError
from rvm.frame import Matte
from rvm.matting.base import Engine, EngineInfo
from rvm.matting.state import RecurrentState, tensors_for

if TYPE_CHECKING:
    from rvm.frame import ByteImage, Frame
    from rvm.matting.base import State

Shape = Literal["ellipse", "luma"]
_SOFT_EDGE = 0.1


class FakeEngine(Engine):
    """Deterministic mattes, with a memory that counts its frames.

    Args:
        shape: "ellipse" is a soft ellipse in the middle, the same for each frame; "luma" is the
            first plane itself (8-bit: alpha = Y), so that matte and picture can be matched.
        delay_ms: time each step takes at least.
        fail_at: the step (counted from a fresh state, from 0) that raises `ModelError`.
    """

    def __init__(
        self, shape: Shape = "ellipse", delay_ms: float = 0.0, fail_at: int | None = None
    ) -> None:
        if shape not in ("ellipse", "luma") or delay_ms < 0:
            raise UsageError("fake takes shape=ellipse|luma, delay_ms >= 0 and fail_at=N")
        self.info = EngineInfo("fake", "fake", "cpu", "numpy", "fp32", "it was asked for")
        self._shape = shape
        self._delay_seconds = delay_ms / 1000
        self._fail_at = fail_at
        self._ellipse: ByteImage | None = None

    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        """See `Engine.step`."""
        memory = tensors_for(self, frame, state)
        count = int(memory[0][0]) if memory else 0
        if count == self._fail_at:
            raise ModelError(f"the fake model failed at step {count}, as it was told to")
        if self._delay_seconds:
            time.sleep(self._delay_seconds)
        alpha = self._luma(frame) if self._shape == "luma" else self._soft_ellipse(frame)
        return Matte(alpha), RecurrentState(self, frame.size, (np.array([count + 1]),))

    @staticmethod
    def _luma(frame: Frame) -> ByteImage:
        plane = np.asarray(frame.planes[0])
        if plane.ndim == 3:
            plane = plane[:, :, 1]
        return (plane >> (frame.format.depth - 8)).astype(np.uint8)

    def _soft_ellipse(self, frame: Frame) -> ByteImage:
        if self._ellipse is None or self._ellipse.shape != (frame.height, frame.width):
            y = (np.arange(frame.height, dtype=np.float32)[:, None] + 0.5) / frame.height - 0.5
            x = (np.arange(frame.width, dtype=np.float32)[None, :] + 0.5) / frame.width - 0.5
            radius = np.hypot(x / 0.3, y / 0.42)
            alpha = np.clip((1 - radius) / _SOFT_EDGE + 0.5, 0, 1)
            self._ellipse = np.rint(alpha * 255).astype(np.uint8)
        return self._ellipse


def parse_fake(spec: str) -> FakeEngine:
    """Build from "fake" or "fake:delay_ms=40,fail_at=100,shape=luma".

    Raises:
        UsageError: an unknown or ill-formed setting.
    """
    settings = dict.fromkeys(("shape", "delay_ms", "fail_at"), "")
    for part in filter(None, spec.partition(":")[2].split(",")):
        key, _, value = part.partition("=")
        if key not in settings or not value:
            raise UsageError(f"unknown fake setting {part!r}; known: {', '.join(settings)}")
        settings[key] = value
    try:
        return FakeEngine(
            shape=settings["shape"] or "ellipse",  # type: ignore[arg-type]
            delay_ms=float(settings["delay_ms"] or 0),
            fail_at=int(settings["fail_at"]) if settings["fail_at"] else None,
        )
    except ValueError as error:
        raise UsageError(f"fake: {error}") from None
