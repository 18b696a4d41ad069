"""What a training step computes: forward, refinement and loss, compiled and in bf16 where asked.

On two cores of a Zen 4 processor a step of the compact network took a third of the time so: bf16
makes the convolutions faster (AVX512-BF16, AMX), and the compiler joins what lies between them and
would else go through memory a dozen times. Every size of batch is compiled by itself, which takes
a minute or two, so a recipe should name few.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rvm.network.compact import CompactMatting, CompactOutput, refine
from rvm.training.losses import LossWeights, matting_loss


@dataclass(frozen=True)
class Batch:
    """Float 0..1 on the device: rgb, fgr [B*T,3,H,W] and alpha [B*T,1,H,W]."""

    rgb: Tensor
    alpha: Tensor
    fgr: Tensor


Loss = tuple[Tensor, dict[str, Tensor], tuple[Tensor, ...], Tensor]
"""The sum, its parts, the features that a teacher may judge, and the refined alpha [B*T,1,H,W]."""


class Compute:
    """Forward passes of one network.

    Args:
        model: whose mode (training or not) the caller sets.
        weights: of the parts of the loss.
        precision: "fp32", or "bf16": autocast, weights stay single precision.
        compiled: through ``torch.compile``.
    """

    def __init__(
        self, model: CompactMatting, weights: LossWeights, precision: str, compiled: bool
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"got precision {precision!r}, expected fp32 or bf16")
        self._model, self._weights = model, weights
        self._half = precision == "bf16"
        self._loss: Callable[..., Any] = self._loss_of_batch
        self._forward: Callable[..., Any] = self._state_after
        if compiled:
            self._loss = torch.compile(self._loss_of_batch, dynamic=False)
            self._forward = torch.compile(self._state_after, dynamic=False)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Autocast where this computes in bf16."""
        if not self._half:
            return contextlib.nullcontext()
        device = next(self._model.parameters()).device.type
        return torch.autocast(device, torch.bfloat16)

    def loss(self, small: Tensor, batch: Batch, state: tuple[Tensor, ...], frames: int) -> Loss:
        """The loss of a batch whose network input is ``small`` [B*T,3,h,w]."""
        result: Loss = self._loss(small, batch.rgb, batch.alpha, batch.fgr, state, frames)
        return result

    def memory(self, small: Tensor, state: tuple[Tensor, ...], frames: int) -> tuple[Tensor, ...]:
        """The state after these frames, float32 and without gradient."""
        with torch.no_grad():
            after: tuple[Tensor, ...] = self._forward(small, state, frames)
            return tuple(s.float() for s in after)

    def _loss_of_batch(
        self,
        small: Tensor,
        rgb: Tensor,
        alpha: Tensor,
        fgr: Tensor,
        state: tuple[Tensor, ...],
        frames: int,
    ) -> Loss:
        with self.precision():
            output = self._model(small, state, frames)
        output = single(output)
        refined = refine(output, rgb)
        total, parts = matting_loss(output, refined, alpha, fgr, frames, self._weights)
        return total, parts, output.features, refined[1]

    def _state_after(
        self, small: Tensor, state: tuple[Tensor, ...], frames: int
    ) -> tuple[Tensor, ...]:
        with self.precision():
            after: tuple[Tensor, ...] = self._model(small, state, frames).state
        return after


def single(output: CompactOutput) -> CompactOutput:
    """Everything in single precision."""

    return CompactOutput(
        output.pha.float(),
        output.alpha_scale.float(),
        output.alpha_offset.float(),
        output.fgr_residual.float(),
        tuple(x.float() for x in output.state),
        tuple(x.float() for x in output.hints),
        tuple(x.float() for x in output.features),
    )
