"""Optimisers by name: AdamW, and Muon with AdamW for what is no matrix.

Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) takes the
momentum of a matrix and replaces it by the nearest orthogonal one, so that every direction of the
layer moves, not only the few that dominate the gradient. The factor 0.2 sqrt(max(rows, columns))
gives its step the size that AdamW's would have (Liu et al., "Muon is scalable for LLM training",
2025, section 2.2), so both share one learning rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd quintic that drives every singular value towards 1 (Jordan et al.)."""

SMALLEST = 8
"""Fewer rows or columns than this, as in layers that yield one plane, are left to AdamW."""


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """About U V^T of the matrix's singular value decomposition; singular values 0.7 to 1.2."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.AdamW):
    """AdamW whose groups with ``muon`` = True take orthogonalised steps instead.

    One class, so that a checkpoint holds one optimiser's state. ``momentum`` is Muon's, Nesterov's
    way.
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.95) -> None:
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group.setdefault("muon", False)
            group["momentum"] = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every group; AdamW's own step sees the others only."""
        everything = self.param_groups
        self.param_groups = [g for g in everything if not g["muon"]]
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = everything
        for group in everything:
            if group["muon"]:
                for parameter in group["params"]:
                    self._step_matrix(parameter, group)
        return loss

    def _step_matrix(self, parameter: Tensor, group: dict[str, Any]) -> None:
        if parameter.grad is None:
            return
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)  # AdamW asks for it when a run is resumed
            state["momentum"] = torch.zeros_like(parameter)
        state["step"] += 1
        held, share = state["momentum"], group["momentum"]
        held.lerp_(parameter.grad, 1 - share)
        ahead = parameter.grad.lerp(held, share)
        matrix = orthogonal(ahead.flatten(1))
        size = 0.2 * max(matrix.shape) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(matrix.view_as(parameter), alpha=-group["lr"] * size)


def is_matrix(parameter: nn.Parameter) -> bool:
    """Whether Muon should move it: rows and columns enough once its kernel is laid flat."""
    return parameter.ndim > 1 and min(parameter.flatten(1).shape) >= SMALLEST


def make_optimizer(
    network: list[nn.Parameter], beside: list[nn.Parameter], name: str, weight_decay: float
) -> torch.optim.Optimizer:
    """``name`` is "adamw" or "muon"; decay for weights, none for biases and norms.

    ``beside`` are parameters that only training needs, in groups of their own (``beside`` = True).
    Muon leaves them alone: the projections to a teacher's features were learnt much slower with it.
    """
    if name not in ("adamw", "muon"):
        raise ValueError(f"got optimizer {name!r}, expected adamw or muon")
    turned = {id(p) for p in network if name == "muon" and is_matrix(p)}
    plain = [p for p in network if id(p) not in turned]
    groups = [*by_decay(plain, weight_decay), *by_decay(beside, weight_decay, beside=True)]
    if not turned:
        return torch.optim.AdamW(groups)
    matrices = [p for p in network if id(p) in turned]
    return Muon([*groups, {"params": matrices, "weight_decay": weight_decay, "muon": True}])


def by_decay(
    parameters: list[nn.Parameter], weight_decay: float, **marks: bool
) -> list[dict[str, Any]]:
    """Groups of vectors, without decay, and of everything else; empty ones are left out."""
    vectors = [p for p in parameters if p.ndim <= 1]
    others = [p for p in parameters if p.ndim > 1]
    groups = [(vectors, 0.0), (others, weight_decay)]
    return [{"params": p, "weight_decay": decay, **marks} for p, decay in groups if p]
