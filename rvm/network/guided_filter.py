"""Refiners: carry a result found on a small picture over to the large one, along its edges.

Both assume that, inside a small window, the wanted value is a linear function of the picture,
``y = A * x + b``. They find A and b on the small picture, enlarge those, and apply them to the
large picture. The guide x has four channels, red, green, blue and their mean: one for each channel
of the result y (foreground residual in red, green, blue, and alpha).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GUIDE_CHANNELS = 4


class Refiner(nn.Module):
    """What a refiner does; subclasses say how they find the linear function."""

    def coefficients(self, x: Tensor, y: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Find ``(A, b)``, each ``[N, 4, h, w]``, of ``y = A * x + b`` on the small picture.

        Args:
            x: guide ``[N, 4, h, w]``.
            y: result ``[N, 4, h, w]``.
            hidden: decoder features ``[N, C, h, w]``.
        """
        raise NotImplementedError

    def forward(self, picture: Tensor, small: Tensor, result: Tensor, hidden: Tensor) -> Tensor:
        """Refine a batch of frames.

        Args:
            picture: ``[N, 3, H, W]``, RGB 0..1.
            small: the same picture, downsampled, ``[N, 3, h, w]``.
            result: foreground residual and alpha on the small picture, ``[N, 4, h, w]``.
            hidden: decoder features on the small picture, ``[N, C, h, w]``.

        Returns:
            Foreground residual and alpha for the large picture, ``[N, 4, H, W]``, not clamped.
        """
        slope, offset = self.coefficients(guide(small), result, hidden)
        fine = guide(picture)
        return _resize(slope, fine) * fine + _resize(offset, fine)


class DeepGuidedFilter(Refiner):
    """The guided filter whose slope is found by a small pointwise network.

    Source: Wu et al., "Fast End-to-End Trainable Guided Filter" (CVPR 2018), as used in the
    matting paper, section 3.3. Window means are a learnable depthwise 3x3 convolution, starting as
    the plain mean; outside the picture counts as zero.

    Args:
        hidden_channels: channels of the decoder's features, and of this network.
    """

    def __init__(self, hidden_channels: int = 16) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(
            GUIDE_CHANNELS, GUIDE_CHANNELS, 3, padding=1, groups=GUIDE_CHANNELS, bias=False
        )
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            nn.Conv2d(2 * GUIDE_CHANNELS + hidden_channels, hidden_channels, 1, bias=False),
            nn.BatchNorm2d(hidden_channels),
            nn.ReLU(),
            nn.Conv2d(hidden_channels, hidden_channels, 1, bias=False),
            nn.BatchNorm2d(hidden_channels),
            nn.ReLU(),
            nn.Conv2d(hidden_channels, GUIDE_CHANNELS, 1),
        )

    def coefficients(self, x: Tensor, y: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Refiner.coefficients`."""
        mean_x, mean_y = self.box_filter(x), self.box_filter(y)
        covariance = self.box_filter(x * y) - mean_x * mean_y
        variance = self.box_filter(x * x) - mean_x * mean_x
        slope = self.conv(torch.cat([covariance, variance, hidden], dim=1))
        return slope, mean_y - slope * mean_x


class FastGuidedFilter(Refiner):
    """The guided filter without weights: least squares within each window.

    Source: He and Sun, "Fast Guided Filter" (2015), equations 5 and 6, without the second averaging
    of A and b: their bilinear enlargement smooths them already. Windows are cut at the border, so
    a result that is a linear function of the picture stays exact up to the last pixel.

    Args:
        radius: windows are ``2 * radius + 1`` pixels wide.
        epsilon: added to the variance; in squared picture units (0..1), larger is smoother.
    """

    def __init__(self, radius: int = 1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.radius = radius
        self.epsilon = epsilon

    def coefficients(self, x: Tensor, y: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Refiner.coefficients`; ``hidden`` is not looked at."""
        mean_x, mean_y = self._mean(x), self._mean(y)
        covariance = self._mean(x * y) - mean_x * mean_y
        variance = self._mean(x * x) - mean_x * mean_x
        slope = covariance / (variance + self.epsilon)
        return slope, mean_y - slope * mean_x

    def _mean(self, x: Tensor) -> Tensor:
        width = 2 * self.radius + 1
        return F.avg_pool2d(x, width, stride=1, padding=self.radius, count_include_pad=False)


def guide(picture: Tensor) -> Tensor:
    """``[N, 3, H, W] -> [N, 4, H, W]``: red, green, blue and their mean."""
    return torch.cat([picture, picture.mean(dim=1, keepdim=True)], dim=1)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
