"""What is timed: our engines and compositor, and the loop that the reference's authors publish."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rvm.colour.rgb import to_srgb8
from rvm.gpu import tf32
from rvm.matting import load_engine
from rvm.matting.torch_engine import TorchEngine, read_tensors
from rvm.network import RecurrentState, architecture_of, build_network, load_weights
from rvm.sources.synthetic import SyntheticSource

if TYPE_CHECKING:
    from rvm.compositing.base import Compositor
    from rvm.frame import Frame
    from rvm.matting.base import Engine
    from rvm.network import MattingNetwork

GREEN = "#00b140"
_GREEN_RGB = (0, 177, 64)
#: Different frames in memory, shown in turns.
_FRAMES = 4
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def drawn_frames(width: int, height: int, count: int = _FRAMES) -> list[Frame]:
    """A drawn person in motion, 8-bit 4:2:0, in main memory."""
    with SyntheticSource(count, width=width, height=height, person=True) as source:
        return list(source)


def random_weights(architecture: str, folder: Path) -> Path:
    """A reference network's weights as they are before training: as fast as trained ones."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = folder / f"{architecture}-random.safetensors"
    if not path.exists():
        save_file(build_network(architecture).state_dict(), str(path))
    return path


def open_engine(
    model: str | Path, device: str, precision: str, ratio: float | None, *, graphs: bool
) -> Engine:
    """A torch engine, with CUDA graphs or without."""
    engine = load_engine(
        model, engine="torch", device=device, precision=precision, downsample_ratio=ratio
    )
    if graphs or not isinstance(engine, TorchEngine) or engine._model is None:
        return engine
    return TorchEngine(engine._model, engine.info, engine._device)


class OwnLoop:
    """Our way with one frame after another.

    Args:
        engine: mattes.
        frames: where the engine works; or in main memory, if `copies`.
        compositor: composes, or None for the matte alone.
        copies: each frame is uploaded first and its picture downloaded last.
    """

    def __init__(
        self, engine: Engine, frames: list[Frame], compositor: Compositor | None, *, copies: bool
    ) -> None:
        self._engine, self._compositor, self._copies = engine, compositor, copies
        self._frames = itertools.cycle(frames)
        self._state: Any = None

    def __call__(self) -> None:
        """One frame."""
        frame = next(self._frames)
        if self._copies:
            frame = self._engine.upload(frame)
        matte, self._state = self._engine.step(frame, self._state)
        if self._compositor is not None:
            composite = self._compositor.compose(frame, matte)
            if self._copies:
                self._engine.download(composite)


class OfficialLoop:
    """The loop that the reference's README and `inference.py` describe, in our own words.

    A float RGB picture goes to the GPU, the network (run piece by piece) gives foreground and
    alpha at full size, `foreground * alpha + background * (1 - alpha)` is computed in torch, and
    comes back as bytes. Decoding to RGB and scaling to 0..1 on the CPU, which that script does
    too, is not counted.

    Args:
        weights: of the network.
        frames: in main memory.
        device: where to run.
        precision: "fp32", "fp16" or "bf16".
        ratio: its downsample ratio.
        copies: upload each picture, download each result; else pictures lie on the device.
    """

    def __init__(
        self, weights: Path, frames: list[Frame], device: torch.device, precision: str,
        ratio: float, *, copies: bool,
    ) -> None:  # fmt: skip
        self._dtype, self._device = DTYPES[precision], device
        self._ratio, self._copies = ratio, copies
        self._network = _network(weights).to(device, self._dtype).eval()
        pictures = [_as_float_rgb(frame) for frame in frames]
        if not copies:
            pictures = [self._sent(picture) for picture in pictures]
        elif device.type == "cuda":  # as that script's loader does, beside the loop
            pictures = [picture.pin_memory() for picture in pictures]
        self._pictures = itertools.cycle(pictures)
        green = torch.tensor(_GREEN_RGB, device=device, dtype=self._dtype)
        self._background = green.div(255).view(1, 3, 1, 1)
        self._memory: RecurrentState | None = None

    @torch.no_grad()
    def __call__(self) -> None:
        """One frame."""
        picture = next(self._pictures)
        source = self._sent(picture) if self._copies else picture
        with tf32.as_torch_does():
            out = self._network(source[None], self._memory, self._ratio)
        self._memory = out.state
        composed = out.foreground * out.alpha + self._background * (1 - out.alpha)
        if self._copies:
            composed[0].mul(255).byte().permute(1, 2, 0).cpu()

    def _sent(self, picture: Tensor) -> Tensor:
        return picture.to(self._device, self._dtype, non_blocking=True)


def _network(weights: Path) -> MattingNetwork:
    kind = "safetensors" if weights.suffix == ".safetensors" else "pth"
    tensors = read_tensors(weights.read_bytes(), weights.name, kind)
    network = build_network(architecture_of(tensors))
    load_weights(network, tensors)
    return network


def _as_float_rgb(frame: Frame) -> Tensor:
    """(3, H, W) float32 0..1."""
    rgb = np.ascontiguousarray(to_srgb8(frame).transpose(2, 0, 1))
    return torch.from_numpy(rgb).to(torch.float32).div_(255)
