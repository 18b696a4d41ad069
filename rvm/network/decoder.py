"""The recurrent decoder: from 1/16 to full resolution, with a memory at each of four scales.

Source: paper (WACV 2022), section 3.2. At every scale the coarser result is enlarged, joined with
the encoder's features and with the shrunken picture itself, convolved, and passed through a ConvGRU
on half of its channels; the last block, at full resolution, has no memory.

Sizes: each level is half the one above, rounded up; an enlarged tensor may thus be one row or
column too long, and is cropped to the finer level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm.network.clips import fold_time, per_frame, unfold_time
from rvm.network.encoder import Features
from rvm.network.recurrent import ConvGRU, recur_second_half
from rvm.network.state import RecurrentState, Shape

RGB = 3


def enlarge_to(x: Tensor, like: Tensor) -> Tensor:
    """Double ``x`` bilinearly and crop it to the size of ``like``: ``[N, C, 2H or 2H-1, ...]``."""
    doubled = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return doubled[:, :, : like.shape[2], : like.shape[3]]


class CoarseBlock(nn.Module):
    """1/16: nothing but the memory on half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """x ``[B, (T,) C, H, W]``, h ``[B, C/2, H, W]`` or None -> (y like x, new h)."""
        return recur_second_half(self.gru, x, h)


class UpsamplingBlock(nn.Module):
    """1/8, 1/4, 1/2: enlarge, join with features and picture, convolve, remember."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        joined = in_channels + skip_channels + RGB
        self.conv = nn.Sequential(
            nn.Conv2d(joined, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )
        self.gru = ConvGRU(out_channels // 2)

    def forward(
        self, x: Tensor, skip: Tensor, picture: Tensor, h: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """One scale up.

        Args:
            x: coarser result ``[B, (T,) in, ceil(H/2), ceil(W/2)]``.
            skip: encoder features ``[B, (T,) skip, H, W]``.
            picture: the frames at this scale ``[B, (T,) 3, H, W]``.
            h: memory ``[B, out/2, H, W]`` or None.

        Returns:
            ``(y [B, (T,) out, H, W], new memory)``.
        """
        small = fold_time(picture)
        joined = torch.cat([enlarge_to(fold_time(x), small), fold_time(skip), small], dim=1)
        return recur_second_half(self.gru, unfold_time(self.conv(joined), like=picture), h)


class OutputBlock(nn.Module):
    """Full resolution: enlarge, join with the picture, convolve twice."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels + RGB, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor, picture: Tensor) -> Tensor:
        """Last scale up.

        Args:
            x: ``[B, (T,) in, ceil(H/2), ceil(W/2)]``.
            picture: ``[B, (T,) 3, H, W]``.

        Returns:
            ``[B, (T,) out, H, W]``, each value at least 0.
        """
        full = fold_time(picture)
        joined = torch.cat([enlarge_to(fold_time(x), full), full], dim=1)
        return unfold_time(self.conv(joined), like=picture)


class RecurrentDecoder(nn.Module):
    """Coarse features in, full-resolution hidden features and the new state out.

    Args:
        feature_channels: channels of the encoder at 1/2, 1/4, 1/8 and of the LR-ASPP at 1/16.
        decoder_channels: channels after the blocks at 1/8, 1/4, 1/2 and 1; the first three even.
    """

    def __init__(self, feature_channels: Sequence[int], decoder_channels: Sequence[int]) -> None:
        super().__init__()
        f1, f2, f3, f4 = feature_channels
        d3, d2, d1, d0 = decoder_channels
        self.decode4 = CoarseBlock(f4)
        self.decode3 = UpsamplingBlock(f4, f3, d3)
        self.decode2 = UpsamplingBlock(d3, f2, d2)
        self.decode1 = UpsamplingBlock(d2, f1, d1)
        self.decode0 = OutputBlock(d1, d0)
        self.shrink = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.out_channels = d0
        self.state_channels = (d1 // 2, d2 // 2, d3 // 2, f4 // 2)

    def state_shapes(self, batch: int, height: int, width: int) -> tuple[Shape, ...]:
        """Shapes of the memories for pictures of ``height x width``, finest first."""
        shapes = []
        for channels in self.state_channels:
            height, width = (height + 1) // 2, (width + 1) // 2
            shapes.append((batch, channels, height, width))
        return tuple(shapes)

    def forward(
        self, picture: Tensor, features: Features, state: RecurrentState
    ) -> tuple[Tensor, RecurrentState]:
        """Decode a frame or a clip.

        Args:
            picture: the (downsampled) frames ``[B, (T,) 3, H, W]``, RGB 0..1.
            features: at 1/2, 1/4, 1/8, 1/16 of it, ``[B, (T,) C, h, w]`` each.
            state: memory of the frame before.

        Returns:
            ``(hidden [B, (T,) out_channels, H, W], state after the last frame)``.
        """
        f1, f2, f3, f4 = features
        half = per_frame(self.shrink, picture)
        quarter = per_frame(self.shrink, half)
        eighth = per_frame(self.shrink, quarter)
        r1, r2, r3, r4 = state.for_levels(len(self.state_channels))
        x, r4 = self.decode4(f4, r4)
        x, r3 = self.decode3(x, f3, eighth, r3)
        x, r2 = self.decode2(x, f2, quarter, r2)
        x, r1 = self.decode1(x, f1, half, r1)
        hidden = self.decode0(x, picture)
        return hidden, RecurrentState((r1, r2, r3, r4))
