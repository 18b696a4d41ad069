"""Lite reduced atrous spatial pyramid pooling: the coarsest features, gated by the whole picture.

Source: Howard et al., "Searching for MobileNetV3" (ICCV 2019), section 5.3. Their 49x49 pooling is
replaced by a global one, so that the gate does not depend on the picture's size.
"""

from __future__ import annotations

from torch import Tensor, nn


class LRASPP(nn.Module):
    """``[N, in, H, W] -> [N, out, H, W]``: a pointwise projection times one gate per channel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.aspp1 = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )
        self.aspp2 = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Project and gate one batch of frames."""
        gated: Tensor = self.aspp1(x) * self.aspp2(x)
        return gated
