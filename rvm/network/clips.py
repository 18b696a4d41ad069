"""One frame or a clip: the two tensor ranks every part of the network accepts.

A frame is ``[B, C, H, W]``, a clip is ``[B, T, C, H, W]``. Only the recurrent cells walk along T;
everything else treats the frames of a clip as a longer batch, which is what makes training on
clips fast.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FRAME_RANK = 4
CLIP_RANK = 5


def is_clip(x: Tensor) -> bool:
    """True for ``[B, T, C, H, W]``, False for ``[B, C, H, W]``.

    Raises:
        ValueError: any other rank.
    """
    if x.ndim not in (FRAME_RANK, CLIP_RANK):
        raise ValueError(
            f"expected a frame [B, C, H, W] or a clip [B, T, C, H, W], got shape {list(x.shape)}"
        )
    return x.ndim == CLIP_RANK


def fold_time(x: Tensor) -> Tensor:
    """``[B, T, C, H, W] -> [B*T, C, H, W]``; a frame passes unchanged."""
    return x.flatten(0, 1) if is_clip(x) else x


def unfold_time(x: Tensor, like: Tensor) -> Tensor:
    """Undo :func:`fold_time`: give ``x`` the batch and time axes of ``like``."""
    return torch.unflatten(x, 0, like.shape[:2]) if is_clip(like) else x


def per_frame(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of frames ``[N, C, H, W] -> [N, C', H', W']`` to a frame or a clip."""
    return unfold_time(function(fold_time(x)), like=x)
