"""The two encoders: torchvision's MobileNetV3-Large and ResNet50, read at four scales.

Both replace their last stride by a dilation of 2 (paper, section 3.1), so the coarsest features are
at 1/16 rather than 1/32. An encoder takes frames ``[N, 3, H, W]``, RGB 0..1, and returns features
at 1/2, 1/4, 1/8 and 1/16 (each size halved and rounded up).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet50

Features = tuple[Tensor, Tensor, Tensor, Tensor]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class MobileNetV3Encoder(nn.Module):
    """MobileNetV3-Large, normalising its input by ImageNet's mean and deviation.

    Channels of the four features: 16, 24, 40, 960.
    """

    channels = (16, 24, 40, 960)
    # The last torchvision block of each resolution; the features are read behind them.
    _taps = (1, 3, 6, 16)

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v3_large(weights=None, dilated=True).features
        # Not persistent: published checkpoints do not carry these two.
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Features:
        """``[N, 3, H, W]``, RGB 0..1 -> features at 1/2, 1/4, 1/8, 1/16."""
        x = (x - self.mean) / self.std
        taps = []
        for index, block in enumerate(self.features):
            x = block(x)
            if index in self._taps:
                taps.append(x)
        f1, f2, f3, f4 = taps
        return f1, f2, f3, f4


class ResNet50Encoder(nn.Module):
    """ResNet50, on plain 0..1 input: published weights of this variant were trained without
    ImageNet's normalisation.

    Channels of the four features: 64, 256, 512, 2048.
    """

    channels = (64, 256, 512, 2048)

    def __init__(self) -> None:
        super().__init__()
        trunk = resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
        self.conv1, self.bn1, self.relu = trunk.conv1, trunk.bn1, trunk.relu
        self.maxpool = trunk.maxpool
        self.layer1, self.layer2 = trunk.layer1, trunk.layer2
        self.layer3, self.layer4 = trunk.layer3, trunk.layer4

    def forward(self, x: Tensor) -> Features:
        """``[N, 3, H, W]``, RGB 0..1 -> features at 1/2, 1/4, 1/8, 1/16."""
        f1 = self.relu(self.bn1(self.conv1(x)))
        f2 = self.layer1(self.maxpool(f1))
        f3 = self.layer2(f2)
        f4 = self.layer4(self.layer3(f3))
        return f1, f2, f3, f4
