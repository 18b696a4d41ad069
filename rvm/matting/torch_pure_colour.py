"""`rvm.matting.pure_colour` for tensors on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.matting.pure_colour import ANYTHING, WINDOW


def colour_residual(picture: Tensor, alpha: Tensor) -> Tensor:
    """What to add to mixed pixels, [1, 3, h, w] float32.

    Args:
        picture: [1, 3, 2h, 2w] R'G'B' 0..1, what the network saw.
        alpha: [1, 1, h, w] 0..1.
    """
    alpha = alpha.float()
    rest = 1 - alpha
    is_person, is_place = alpha * alpha, rest * rest
    small = F.avg_pool2d(picture.float(), 2)
    planes = torch.cat([small * is_person, is_person, small * is_place, is_place], 1)
    own, person, other, place = torch.split(_mean(planes), [3, 1, 3, 1], 1)
    near = (own + other) * (ANYTHING / (person + place))
    return ((own + near) / (person + ANYTHING) - (other + near) / (place + ANYTHING)) * rest


def _mean(planes: Tensor) -> Tensor:
    reach = WINDOW // 2
    return F.avg_pool2d(F.pad(planes, (reach,) * 4, mode="replicate"), WINDOW, stride=1)
