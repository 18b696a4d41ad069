"""The whole network: a picture and a state in; foreground, alpha and a new state out.

Source: Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance" (WACV 2022,
arXiv 2108.11515), figure 2 and section 3::

    src --downsample--> small --encoder--> f1 f2 f3 f4 --LR-ASPP(f4)--> decoder (state) --> hidden
     |                                                                                        |
     +------------------------------> refiner <-- foreground residual, alpha <-- project_mat -+

Everything but the refiner works on the downsampled picture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from rvm.errors import UsageError
from rvm.network.clips import fold_time, is_clip, per_frame, unfold_time
from rvm.network.decoder import RGB, RecurrentDecoder
from rvm.network.guided_filter import Refiner
from rvm.network.state import RecurrentState, Shape


class NetworkOutput(NamedTuple):
    """What comes of a frame or a clip.

    Attributes:
        foreground: ``[B, (T,) 3, H, W]``, RGB 0..1; the subject's own colour, meaningful where
            alpha > 0.
        alpha: ``[B, (T,) 1, H, W]``, 0..1.
        state: memory after the last frame.
    """

    foreground: Tensor
    alpha: Tensor
    state: RecurrentState


class Projection(nn.Module):
    """A pointwise convolution ``[N, in, H, W] -> [N, out, H, W]``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Project one batch of frames."""
        projected: Tensor = self.conv(x)
        return projected


class MattingNetwork(nn.Module):
    """Assembled from parts; see :mod:`rvm.network.build` for ready assemblies.

    Args:
        backbone: frames ``[N, 3, h, w]`` -> features at 1/2, 1/4, 1/8, 1/16.
        aspp: the coarsest features -> the decoder's input.
        decoder: features and state -> hidden features at ``h x w`` and new state.
        refiner: carries the result to the full resolution.
    """

    def __init__(
        self, backbone: nn.Module, aspp: nn.Module, decoder: RecurrentDecoder, refiner: Refiner
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.aspp = aspp
        self.decoder = decoder
        self.project_mat = Projection(decoder.out_channels, RGB + 1)
        self.project_seg = Projection(decoder.out_channels, 1)
        self.refiner = refiner

    def forward(
        self,
        src: Tensor,
        state: RecurrentState | None = None,
        downsample_ratio: float = 1.0,
        *,
        always_refine: bool = False,
    ) -> NetworkOutput:
        """Matte a frame, or the frames of a clip in order.

        Args:
            src: ``[B, 3, H, W]`` or ``[B, T, 3, H, W]``, RGB 0..1.
            state: memory of the frame before; None or a fresh state starts anew.
            downsample_ratio: over 0, up to 1; the network looks at ``floor(H * ratio)`` by
                ``floor(W * ratio)`` pixels.
            always_refine: also refine at ratio 1, where it is normally left out as needless
                (published ONNX files always refine).

        Raises:
            ValueError: src is no frame or clip.
            UsageError: the ratio is out of range or leaves no pixel.
            StateSizeError: the state belongs to another size, ratio or batch.
        """
        small, state = self._prepare(src, state, downsample_ratio)
        return self.matte(src, small, state, refine=always_refine or downsample_ratio != 1)

    def segment(
        self, src: Tensor, state: RecurrentState | None = None, downsample_ratio: float = 1.0
    ) -> tuple[Tensor, RecurrentState]:
        """The training-only head: is this pixel a person?

        Arguments and errors as :meth:`forward`.

        Returns:
            ``(logits [B, (T,) 1, floor(H*ratio), floor(W*ratio)], state)``.
        """
        small, state = self._prepare(src, state, downsample_ratio)
        hidden, state = self._decode(small, state)
        return per_frame(self.project_seg, hidden), state

    def matte(
        self, src: Tensor, small: Tensor, state: RecurrentState, *, refine: bool
    ) -> NetworkOutput:
        """Matte frames that the caller has downsampled; nothing is checked.

        Args:
            src: ``[B, (T,) 3, H, W]``, RGB 0..1.
            small: the same, downsampled; must be src itself in size unless ``refine``.
            state: memory of the frame before.
            refine: run the refiner.
        """
        hidden, state = self._decode(small, state)
        result = self.project_mat(fold_time(hidden))
        picture = fold_time(src)
        if refine:
            result = self.refiner(picture, fold_time(small), result, fold_time(hidden))
        residual, alpha = result[:, :RGB], result[:, RGB:]
        foreground = (picture + residual).clamp(0, 1)
        return NetworkOutput(
            unfold_time(foreground, like=src), unfold_time(alpha.clamp(0, 1), like=src), state
        )

    def state_shapes(
        self, batch: int, height: int, width: int, downsample_ratio: float = 1.0
    ) -> tuple[Shape, ...]:
        """Shapes of the memories for frames of ``height x width``, finest first."""
        return self.decoder.state_shapes(batch, *downsampled_size(height, width, downsample_ratio))

    def _prepare(
        self, src: Tensor, state: RecurrentState | None, ratio: float
    ) -> tuple[Tensor, RecurrentState]:
        if (is_clip(src) and src.shape[1] == 0) or src.shape[-3] != RGB:
            raise ValueError(
                f"expected RGB frames [B, 3, H, W] or clips [B, T, 3, H, W], T > 0, "
                f"got shape {list(src.shape)}"
            )
        state = state or RecurrentState.fresh()
        batch, height, width = src.shape[0], src.shape[-2], src.shape[-1]
        state.require(self.state_shapes(batch, height, width, ratio))
        return downsample(src, ratio), state

    def _decode(self, small: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        f1, f2, f3, f4 = self.backbone(fold_time(small))
        features = tuple(unfold_time(f, like=small) for f in (f1, f2, f3, self.aspp(f4)))
        decoded: tuple[Tensor, RecurrentState] = self.decoder(small, features, state)
        return decoded


def downsampled_size(height: int, width: int, ratio: float) -> tuple[int, int]:
    """``(floor(height * ratio), floor(width * ratio))``.

    Raises:
        UsageError: the ratio is not in (0, 1], or no pixel would be left.
    """
    if not 0 < ratio <= 1:
        raise UsageError(f"downsample_ratio must be over 0 and at most 1, got {ratio}")
    size = math.floor(height * ratio), math.floor(width * ratio)
    if min(size) < 1:
        raise UsageError(f"downsample_ratio {ratio} leaves no pixel of {width}x{height}")
    return size


def downsample(src: Tensor, ratio: float) -> Tensor:
    """Shrink ``[B, (T,) 3, H, W]`` bilinearly to :func:`downsampled_size`; ratio 1 changes nothing.

    Pixels are sampled at steps of exactly ``1 / ratio``, not of ``in / out``: with sizes that do
    not divide evenly the two differ, and published weights were trained with the former.
    """
    if ratio == 1:
        return src
    return per_frame(
        lambda frames: F.interpolate(
            frames,
            scale_factor=ratio,
            mode="bilinear",
            align_corners=False,
            recompute_scale_factor=False,
        ),
        src,
    )
