"""Every model of a comparison behind one call: RGB frame in, full-size alpha out.

Peers are driven as their users drive them: RGB, plain bilinear resize to the network's input
(aspect not kept), the matte scaled back up, no refinement.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from rvm.matting.contracts.compact import compact_size
from rvm.matting.guide import guided_coefficients
from rvm.matting.matter import Matter
from rvm.matting.weights import find_model

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
SINET_MEAN = np.array([102.890434, 111.25247, 126.91212], np.float32)
SINET_STD = np.array([62.93292, 62.82138, 66.355705], np.float32) * 255


class Candidate(Protocol):
    """A model under comparison."""

    def reset(self) -> None:
        """Forget every frame seen."""

    def matte(self, rgb: UInt8) -> Float32:
        """The next frame [H,W,3] -> alpha [H,W], 0..1."""


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A CPU session with exactly ``threads`` threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def planar(rgb: UInt8) -> Float32:
    """[H,W,3] uint8 -> [1,3,H,W] float 0..1."""
    scaled = rgb.transpose(2, 0, 1)[None].astype(np.float32, order="C") / np.float32(255)
    return np.asarray(scaled, np.float32)


class Reference:
    """The reference contract: src, r1i..r4i, downsample_ratio; ``long_side`` sets the ratio."""

    def __init__(self, path: Path, long_side: int = 512, threads: int = 2) -> None:
        self._session = open_session(path, threads)
        self._long_side = long_side
        self.reset()

    def reset(self) -> None:
        """Forget every frame seen."""
        self._state: list[Float32] = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def matte(self, rgb: UInt8) -> Float32:
        """[H,W,3] -> [H,W]."""
        ratio = min(self._long_side / max(rgb.shape[:2]), 1.0)
        feeds = {f"r{i + 1}i": s for i, s in enumerate(self._state)}
        feeds |= {"src": planar(rgb), "downsample_ratio": np.array([ratio], np.float32)}
        _, pha, *self._state = self._session.run(None, feeds)
        return np.asarray(pha[0, 0], np.float32)


class Compact:
    """A compact network with or without its guided filter, refined as its module docstring says."""

    def __init__(self, path: Path, long_side: int = 512, threads: int = 2) -> None:
        self._session = open_session(path, threads)
        self._long_side = long_side
        filtered = "alpha_scale" in {o.name for o in self._session.get_outputs()}
        self._names = ("alpha_scale", "alpha_offset") if filtered else ("matte_planes",)
        self.reset()

    def reset(self) -> None:
        """Forget every frame seen."""
        self._state: list[Float32] = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def matte(self, rgb: UInt8) -> Float32:
        """[H,W,3] -> [H,W]."""
        height, width = rgb.shape[:2]
        small = cv2.resize(
            rgb,
            compact_size(width, height, None, self._long_side),
            interpolation=cv2.INTER_AREA,
        )
        feeds = {f"r{i + 1}i": s for i, s in enumerate(self._state)}
        feeds["src_small"] = planar(np.asarray(small, np.uint8))
        names = [*self._names, "r1o", "r2o", "r3o", "r4o"]
        found = self._session.run(names, feeds)
        self._state = found[len(self._names) :]
        if len(self._names) == 1:
            planes = guided_coefficients(feeds["src_small"][0], found[0][0])
        else:
            planes = found[0][0, 0], found[1][0, 0]
        luma = rgb.astype(np.float32) @ LUMA / 255
        up = [
            cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in planes
        ]
        return np.asarray(np.clip(up[0] * luma + up[1], 0, 1), np.float32)


class Mask:
    """A peer that knows no time: prepare, run, pick the person, scale up."""

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        prepare: Callable[[Float32], Float32],
        pick: Callable[[Float32], Float32],
        threads: int = 2,
    ) -> None:
        self._session = open_session(path, threads)
        self._size, self._prepare, self._pick = size, prepare, pick

    def reset(self) -> None:
        """Nothing to forget."""

    def matte(self, rgb: UInt8) -> Float32:
        """[H,W,3] -> [H,W]."""
        small = cv2.resize(rgb, self._size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        name = self._session.get_inputs()[0].name
        mask = self._pick(self._session.run(None, {name: self._prepare(small)})[0])
        size = (rgb.shape[1], rgb.shape[0])
        return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.float32)


class Shipped:
    """A model of the registry as users meet it: through `rvm.Matter`, in ONNX Runtime or torch."""

    def __init__(self, name: str, threads: int = 2) -> None:
        engine = "onnxruntime" if find_model(name).format == "onnx" else "torch"
        self._matter = Matter(name, "cpu", engine, threads=threads)

    def reset(self) -> None:
        """Forget every frame seen."""
        self._matter.reset()

    def matte(self, rgb: UInt8) -> Float32:
        """[H,W,3] -> [H,W]."""
        alpha = np.asarray(self._matter.step(rgb).alpha, np.float32)
        return np.asarray(alpha / np.float32(255), np.float32)


def _unit(x: Float32) -> Float32:
    return np.asarray(x[None] / 255, np.float32)


def selfie(path: Path, threads: int = 2) -> Mask:
    """MediaPipe Selfie Segmentation, 256x256."""
    return Mask(path, (256, 256), _unit, lambda y: y[0, :, :, 0], threads)


def meet(path: Path, threads: int = 2) -> Mask:
    """MediaPipe Meet segmentation, 256x144; softmax of its two logits."""

    def pick(y: Float32) -> Float32:
        return np.asarray(1 / (1 + np.exp(y[0, :, :, 0] - y[0, :, :, 1])), np.float32)

    return Mask(path, (256, 144), _unit, pick, threads)


def sinet(path: Path, threads: int = 2) -> Mask:
    """SINet, 320x320, fed BGR, which its constants are for (better than RGB by 0.05 IoU)."""

    def prepare(x: Float32) -> Float32:
        normal = (x[:, :, ::-1] - SINET_MEAN) / SINET_STD
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)

    return Mask(path, (320, 320), prepare, lambda y: y[0, 1], threads)


class Folder:
    """Mattes that some other program made: <folder>/<clip>/<frame number>.png, 8-bit gray."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: list[Path] = []
        self._next = 0

    def reset(self) -> None:
        """Nothing to forget; :meth:`open` begins a clip."""

    def open(self, clip: str) -> None:
        """Begin a clip."""
        self._files = sorted((self._root / clip).glob("*.png"))
        self._next = 0

    def matte(self, rgb: UInt8) -> Float32:
        """The next file, whatever the frame shows; it must have the frame's size."""
        if self._next >= len(self._files):
            raise ValueError(f"{self._root}: got {len(self._files)} mattes, expected more")
        path = self._files[self._next]
        self._next += 1
        matte = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if matte is None or matte.shape != rgb.shape[:2]:
            raise ValueError(f"{path}: got no gray picture of {rgb.shape[1]}x{rgb.shape[0]}")
        return np.asarray(matte / 255, np.float32)


def open_model(path: Path, long_side: int = 512, threads: int = 2) -> Candidate:
    """Find out from a file's inputs (or from its being a folder) how to drive it.

    What is no path is a name in the registry, whose model knows its own size.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        return Shipped(str(path), threads)
    inputs = {i.name: list(i.shape) for i in open_session(path, 1).get_inputs()}
    if "src_small" in inputs:
        return Compact(path, long_side, threads)
    if "downsample_ratio" in inputs:
        return Reference(path, long_side, threads)
    peers = {(256, 256, 3): selfie, (144, 256, 3): meet, (3, 320, 320): sinet}
    first = next(iter(inputs.values()))
    maker = peers.get(tuple(first[1:])) if len(first) == 4 else None
    if maker is None:
        raise ValueError(f"{path}: got inputs {inputs}, expected a known contract")
    return maker(path, threads)
