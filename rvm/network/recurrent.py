"""The convolutional GRU, and the way the decoder uses it on half of its channels.

Source: Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance" (WACV 2022),
section 3.2. The paper's equation 2 writes ``h = z*h + (1-z)*o``; published weights follow the other
sign, ``h = (1-z)*h + z*o``, and so does this module. The two differ only in the meaning of z.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rvm.network.clips import is_clip


class ConvGRU(nn.Module):
    """A gated recurrent unit whose matrix products are convolutions.

    With x the input, h the memory and ``*`` the elementwise product::

        r, z = split(sigmoid(conv_ih([x, h])))      reset gate, update gate
        o    = tanh(conv_hh([x, r * h]))            candidate
        h'   = (1 - z) * h + z * o                  new memory, also the output

    Args:
        channels: channels of x and of h.
        kernel_size: odd edge of both convolutions; borders are padded with zeros.
    """

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.channels = channels
        padding = kernel_size // 2
        self.ih = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, kernel_size, padding=padding), nn.Sigmoid()
        )
        self.hh = nn.Sequential(
            nn.Conv2d(2 * channels, channels, kernel_size, padding=padding), nn.Tanh()
        )

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """Advance by one frame.

        Args:
            x: ``[B, C, H, W]``.
            h: memory, ``[B, C, H, W]``, in -1..1.

        Returns:
            The new memory ``[B, C, H, W]``, in -1..1.
        """
        r, z = self.ih(torch.cat([x, h], dim=1)).chunk(2, dim=1)
        candidate = self.hh(torch.cat([x, r * h], dim=1))
        new: Tensor = (1 - z) * h + z * candidate
        return new

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Advance by a frame, or by every frame of a clip in order.

        Args:
            x: ``[B, C, H, W]`` or ``[B, T, C, H, W]``.
            h: memory ``[B, C, H, W]`` after the frame before; None starts from zeros.

        Returns:
            ``(y, h)``: y shaped like x, h the memory after the last frame.
        """
        clip = is_clip(x)
        if h is None:
            h = torch.zeros_like(x[:, 0] if clip else x)
        if not clip:
            h = self.step(x, h)
            return h, h
        outputs = []
        for frame in x.unbind(dim=1):
            h = self.step(frame, h)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h


def recur_second_half(gru: ConvGRU, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run the second half of the channels through ``gru`` and pass the first half untouched.

    Remembering half of the channels costs a quarter of the arithmetic and leaves the other half
    to describe the present frame alone (paper, section 3.2).

    Args:
        gru: cell of C/2 channels.
        x: ``[B, C, H, W]`` or ``[B, T, C, H, W]``, C even.
        h: memory ``[B, C/2, H, W]``, or None to start from zeros.

    Returns:
        ``(y, h)``: y shaped like x, h the new memory.
    """
    present, remembered = x.chunk(2, dim=-3)
    remembered, h = gru(remembered, h)
    return torch.cat([present, remembered], dim=-3), h
