"""Frame-by-frame matting with a memory: the object that most programs want."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from rvm.closing import Closing
from rvm.errors import ModelError, UsageError
from rvm.frame import RGB24, SRGB, YUV420P, ByteImage, ColourTags, Composite, Frame, Matte
from rvm.matting import load_engine
from rvm.matting.scene_cut import SceneCut

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.matting.base import Engine, EngineInfo, State


#: Of a camera: (width, height).
_USUAL_SIZE = (1280, 720)
_UNTAGGED = ColourTags()


class Matter(Closing):
    """Mattes the frames of one stream, in order.

        with rvm.Matter() as matter:
            for picture in pictures:              # (H, W, 3) uint8, sRGB
                alpha = matter.step(picture).alpha  # (H, W) uint8

    It holds what the network remembers between frames, and forgets it when the frame size changes
    and, if asked to, at a scene cut. Not thread-safe; use one a stream.

    Args:
        model: registry name, path of a model file, or None for the default model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        engine: "auto" or a name in `rvm.matting.ENGINES`; or an `Engine` that is already open,
            which `close` then leaves open.
        downsample_ratio: size of the network's picture over the frame's, over 0 and up to 1;
            None chooses by the frame's size.
        threads: CPU threads of the engine; None takes every core, up to 8.
        precision: "auto", "fp32", "fp16" or "bf16" (torch engine only; others as the model is).
        scene_cut_reset: mean luma change 0..1 from which a frame starts a new shot (0.12 is a
            good value), or None to leave cuts to the network.

    Raises:
        UsageError: a wrong argument.
        ModelError: the model is unknown, missing, damaged or not what it claims.
        DeviceError: the device asked for is not there.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "auto",
        engine: str | Engine = "auto",
        *,
        downsample_ratio: float | None = None,
        threads: int | None = None,
        precision: str = "auto",
        scene_cut_reset: float | None = None,
    ) -> None:
        if scene_cut_reset is not None and not 0 < scene_cut_reset <= 1:
            raise UsageError(f"scene_cut_reset must be over 0 and at most 1, got {scene_cut_reset}")
        self._owned = isinstance(engine, str)
        self._engine: Engine = (
            load_engine(
                model,
                engine=engine,
                device=device,
                downsample_ratio=downsample_ratio,
                threads=threads,
                precision=precision,
            )
            if isinstance(engine, str)
            else engine
        )
        self._cuts = SceneCut(scene_cut_reset) if scene_cut_reset is not None else None
        self._state: State | None = None
        self._size: tuple[int, int] | None = None
        self._resets = 0

    @property
    def info(self) -> EngineInfo:
        """What runs where, and why."""
        return self._engine.info

    @property
    def resets(self) -> int:
        """Times the memory was dropped by itself: size changes and scene cuts."""
        return self._resets

    def upload(self, frame: Frame) -> Frame:
        """The frame where the engine works; the same object on the CPU. `step` does it too."""
        return self._engine.upload(frame)

    def download(self, composite: Composite) -> Composite:
        """What was composed of an uploaded frame, in main memory; the same object on the CPU."""
        return self._engine.download(composite)

    def step(self, picture: Frame | ByteImage) -> Matte:
        """Matte the next frame.

        Args:
            picture: a `Frame`, or (H, W, 3) uint8 RGB (sRGB).

        Returns:
            The matte, alpha (H, W) uint8. It lies where the engine works for a `Frame`, and is a
            numpy array for an array.

        Raises:
            UsageError: the array is not (H, W, 3) uint8.
            ModelError: the model broke its contract, or cannot take this size.
            DeviceError: the device failed.
        """
        if isinstance(picture, Frame):
            return self._step(picture)
        matte = self._step(_as_frame(picture))
        return Matte(_to_numpy(matte.alpha), _to_numpy(matte.foreground_residual))

    def reset(self) -> None:
        """Forget everything: the next frame begins a stream. Not counted in `resets`."""
        self._state = None
        self._size = None
        if self._cuts is not None:
            self._cuts.forget()

    def prepare(self, width: int, height: int, colour: ColourTags = _UNTAGGED) -> None:
        """Let the engine make what belongs to frames of this size and colour before the first one.

        A model that does not take the grey picture used for it is prepared by its first frame, as
        always.
        """
        with contextlib.suppress(ModelError, UsageError):
            self._engine.prepare(_grey(width, height, colour))

    def warm_up(self) -> tuple[Frame, Matte] | None:
        """Let the engine make what it makes at the first frame; nothing is remembered or counted.

        The picture is of a usual camera's shape, which is all that compiled graphs depend on. A
        model that does not take it is warmed up by its first frame, as always.

        Returns:
            The picture and its matte, to warm up what comes after; None where it was not taken.
        """
        with contextlib.suppress(ModelError, UsageError):
            frame = self._engine.upload(_grey(*_USUAL_SIZE))
            return frame, self._engine.step(frame, None)[0]
        return None

    def close(self) -> None:
        """Free the engine, unless it was given open. Idempotent."""
        self._state = None
        if self._owned:
            self._engine.close()

    def _step(self, frame: Frame) -> Matte:
        frame = self._engine.upload(frame)
        if self._begins_anew(frame):
            self._resets += 1
            self._state = None
        self._size = frame.size
        if self._state is None:
            for _ in range(self._engine.first_looks - 1):
                _, self._state = self._engine.step(frame, self._state)
        matte, self._state = self._engine.step(frame, self._state)
        return matte

    def _begins_anew(self, frame: Frame) -> bool:
        resized = self._size is not None and self._size != frame.size
        if resized and self._cuts is not None:
            self._cuts.forget()
        cut = self._cuts is not None and self._cuts.is_cut(frame)
        return resized or cut


def _as_frame(picture: ByteImage) -> Frame:
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise UsageError(f"got {array.dtype} {array.shape}, expected uint8 (height, width, 3) RGB")
    height, width, _ = array.shape
    plane = array if array.strides[1:] == (3, 1) else np.ascontiguousarray(array)
    return Frame((plane,), RGB24, width, height, None, Fraction(1, 1000), 0, SRGB)


def _grey(width: int, height: int, colour: ColourTags = _UNTAGGED) -> Frame:
    planes = tuple(np.full(s, 128, np.uint8) for s in YUV420P.plane_shapes(width, height))
    return Frame(planes, YUV420P, width, height, colour=colour)


def _to_numpy(plane: Any) -> Any:
    if plane is None or isinstance(plane, np.ndarray):
        return plane
    return plane.cpu().numpy()
