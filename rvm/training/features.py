"""Features of a teacher's encoder as targets, beside its mattes.

A matte says where a person is; the features say what else the picture shows, at every place and in
hundreds of channels. From a few thousand pictures a small network learns sooner from both (hints of
an inner layer: Romero et al., "FitNets", ICLR 2015). Nothing of this travels with the weights: the
two projections from the student's width to the teacher's are used in training only.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm.network.checkpoint import load_network
from rvm.network.compact import SIZE_MULTIPLE


class FeatureTeacher(nn.Module):
    """The reference's encoder: pooled context at 1/16 and trunk features at 1/32."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        network = load_network(path)
        self.backbone, self.aspp = network.backbone, network.aspp
        self.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # half the time of the usual layout on a CPU
        with torch.no_grad():
            context, trunk = self(torch.zeros(1, 3, SIZE_MULTIPLE, SIZE_MULTIPLE))
        self.channels = (context.shape[1], trunk.shape[1])

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """[N,3,h,w] RGB 0..1 -> [N,c,h/16,w/16] and [N,C,h/32,w/32]; sides multiples of 32."""
        trunk = self.backbone(rgb.contiguous(memory_format=torch.channels_last))[-1]
        return self.aspp(trunk), F.avg_pool2d(trunk, 2)


class FeatureMatcher(nn.Module):
    """Projects the student's features to the teacher's width and compares directions."""

    def __init__(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
        super().__init__()
        pairs = zip(student, teacher, strict=True)
        self.projections = nn.ModuleList(nn.Conv2d(ours, theirs, 1) for ours, theirs in pairs)

    def forward(self, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> Tensor:
        """Mean over places and layers of 1 - cos(projected, target); 0..2.

        Directions rather than values: the layers' channels differ in size by hundreds, and no
        statistics of the teacher have to be kept.
        """
        losses = [
            1 - F.cosine_similarity(project(x), target, dim=1, eps=1e-6).mean()
            for project, x, target in zip(self.projections, ours, theirs, strict=True)
        ]
        return torch.stack(losses).mean()


def one_frame_each(x: Tensor, frames: int, which: int) -> Tensor:
    """Frame ``which`` of every sequence: [B*T,...], T = ``frames`` -> [B,...]."""
    return x.reshape(-1, frames, *x.shape[1:])[:, which]
