"""The compact matting network: recurrent, made for CPUs, and the one that ships.

It never sees the full-size frame. A caller scales the frame to a small one (both sides multiples
of :data:`SIZE_MULTIPLE`, aspect need not be kept exactly) and gets back, besides a coarse alpha,
the two coefficient planes of a guided filter on luma. Full-size alpha is then one multiply-add a
pixel, straight from the Y plane:

    alpha      = clamp(up(alpha_scale) * Y + up(alpha_offset), 0, 1)
    foreground = clamp(frame + up(fgr_residual), 0, 1)

``up`` is bilinear with half-pixel centres, Y is full-range BT.709 luma 0..1 (:data:`LUMA`). The
foreground is for training and for other programs; our engines have better colours for mixed pixels
(:mod:`rvm.matting.pure_colour`).

Layout, for a small frame h x w (written from our own measurements, trained from random weights):

    stem    1/2   conv 3x3                                    -> skip of the head
    down2   1/4   conv 3x3, residual convs 3x3                -> r1, split ConvGRU
    down3   1/8   the same                                    -> r2
    down4   1/16  the same                                    -> r3
    down5   1/32  the same, and a global context gate         -> r4
    decoder: at each level 1x1(coarser) upsampled + 1x1(skip), depthwise block, in the larger
            network residual convs 3x3, split ConvGRU
    head    1/2   pixel shuffle to h x w for alpha; guided filter with a learnt regulariser

Behind every stage and in every level of the decoder there may be corrections (:class:`Correction`);
the networks that ship have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE_MULTIPLE = 32
LUMA = (0.2126, 0.7152, 0.0722)
LEAK = 0.05
"""Share of gradient and excess that the coarse alpha keeps outside 0..1, in training."""


@dataclass(frozen=True)
class CompactConfig:
    """Widths and depths of one variant; everything else is fixed.

    ``widths`` are the channels at 1/2, 1/4, 1/8, 1/16 and 1/32; ``decoder`` those of the decoder
    at the same scales (its first entry is the head); ``depths`` the residual convolutions at 1/4,
    1/8, 1/16 and 1/32, ``corrections`` what corrects behind them; ``detail`` are the residual
    convolutions and ``decoder_corrections`` the corrections of the decoder, at 1/2, 1/4, 1/8 and
    1/16. Half of each decoder width but the head's goes through the ConvGRU.
    """

    widths: tuple[int, int, int, int, int] = (16, 24, 48, 96, 160)
    depths: tuple[int, int, int, int] = (1, 2, 2, 2)
    decoder: tuple[int, int, int, int, int] = (16, 24, 32, 64, 96)
    detail: tuple[int, int, int, int] = (0, 0, 0, 0)
    corrections: tuple[int, int, int, int] = (0, 0, 0, 0)
    decoder_corrections: tuple[int, int, int, int] = (0, 0, 0, 0)


class CompactOutput(NamedTuple):
    """What one small frame yields; all float, spatial sizes relative to the small frame h x w."""

    pha: Tensor
    """[B,1,h,w] coarse alpha 0..1."""
    alpha_scale: Tensor
    """[B,1,h,w] factor on full-size luma."""
    alpha_offset: Tensor
    """[B,1,h,w] added to it."""
    fgr_residual: Tensor
    """[B,3,h/2,w/2] foreground colour minus frame colour, about -1..1."""
    state: tuple[Tensor, ...]
    """Four recurrent states, finest first."""
    hints: tuple[Tensor, ...] = ()
    """Alpha logits at 1/4, 1/8, 1/16 and 1/32; only while training, for deep supervision."""
    features: tuple[Tensor, ...] = ()
    """What the decoder knows at 1/16 and 1/32; only while training, to be taught by another net."""


def conv_bn(cin: int, cout: int, k: int = 1, s: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and batch norm, padded to keep (or exactly halve) the size."""
    conv = nn.Conv2d(cin, cout, k, s, k // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(cout))


def stage(cin: int, cout: int, depth: int) -> nn.Sequential:
    """Halves the size, then ``depth`` residual convolutions: [B,cin,h,w] -> [B,cout,h/2,w/2]."""
    return nn.Sequential(conv_bn(cin, cout, 3, 2), nn.ReLU(), *blocks(ResidualConv, cout, depth))


class Block(nn.Module):
    """What works on [B,c,h,w] with one convolution 3x3 and a way past it.

    Dense on purpose: at these widths one costs a CPU as much as an inverted residual of the same
    width, and half as much to train.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_bn(channels, channels, 3)

    def quieten(self) -> None:
        """Let next to nothing of the convolution through, but enough to learn from."""
        raise NotImplementedError

    def scale(self, share: float) -> None:
        """Let ``share`` of the convolution through that went through before."""
        with torch.no_grad():
            for parameter in self.conv[1].parameters():
                parameter.mul_(share)


class ResidualConv(Block):
    """x + relu(bn(conv3x3(x)))."""

    def quieten(self) -> None:
        """See :class:`Block`; batch norm lets a tenth through."""
        nn.init.constant_(self.conv[1].get_parameter("weight"), 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,c,h,w] -> [B,c,h,w]."""
        return x + F.relu(self.conv(x))


class Correction(Block):
    """relu(x + bn(conv3x3(x))), for x that is nowhere negative.

    Unlike a :class:`ResidualConv` it can take away. Of thirteen of those that had been added to a
    network that was nearly there, six had gone silent and the others were worth next to nothing:
    what they add is never negative, so at first it does harm, and the shortest way out of that is
    to add nothing.
    """

    def quieten(self) -> None:
        """See :class:`Block`; kernels of zeros, which the first gradient turns the right way."""
        nn.init.zeros_(self.conv[0].get_parameter("weight"))
        nn.init.constant_(self.conv[1].get_parameter("weight"), 0.3)

    def forward(self, x: Tensor) -> Tensor:
        """[B,c,h,w] -> [B,c,h,w]."""
        return F.relu(x + self.conv(x))


def blocks(kind: type[Block], channels: int, depth: int) -> nn.Sequential:
    """``depth`` of them in a row: [B,channels,h,w] -> the same."""
    return nn.Sequential(*(kind(channels) for _ in range(depth)))


class ContextGate(nn.Module):
    """Weights channels by what the whole picture shows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,c,h,w] -> [B,c,h,w]."""
        return x * torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class SplitConvGRU(nn.Module):
    """A separable ConvGRU over the second half of the channels; the first half passes by.

    h' = (1 - z) h + z tanh(W [x, r h]), with z, r = sigmoid(V [x, h]); V and W are depthwise 3x3
    followed by 1x1. A state that broadcasts, such as zeros [1,1,1,1], starts a sequence.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.width, self.passing = half, channels - half
        self.gates_dw = nn.Conv2d(2 * half, 2 * half, 3, padding=1, groups=2 * half)
        self.gates_pw = nn.Conv2d(2 * half, 2 * half, 1)
        self.cand_dw = nn.Conv2d(2 * half, 2 * half, 3, padding=1, groups=2 * half)
        self.cand_pw = nn.Conv2d(2 * half, half, 1)

    def forward(self, x: Tensor, state: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """[B*T,c,h,w] (time fastest, T = ``frames``) and [B,c/2,h,w] -> the same."""
        passed, x = torch.split(x, [self.passing, self.width], 1)
        if frames == 1:
            h = self.step(x, state.expand_as(x))
            return torch.cat([passed, h], 1), h
        steps = x.reshape(-1, frames, *x.shape[1:]).unbind(1)
        h = state.expand_as(steps[0])
        outputs = []
        for step in steps:
            h = self.step(step, h)
            outputs.append(h)
        return torch.cat([passed, torch.stack(outputs, 1).flatten(0, 1)], 1), h

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """One moment: input and state [B,c/2,h,w] -> the new state."""
        gates = torch.sigmoid(self.gates_pw(self.gates_dw(torch.cat([x, h], 1))))
        r, z = torch.split(gates, self.width, 1)
        candidate: Tensor = torch.tanh(self.cand_pw(self.cand_dw(torch.cat([x, r * h], 1))))
        return h + z * (candidate - h)


class DecoderLevel(nn.Module):
    """Joins the coarser level with the encoder's skip, then mixes and remembers."""

    def __init__(self, coarse: int, skip: int, channels: int, detail: int, fixes: int) -> None:
        super().__init__()
        self.from_coarse = nn.Conv2d(coarse, channels, 1, bias=False)
        self.from_skip = conv_bn(skip, channels)
        self.depthwise = conv_bn(channels, channels, 5, groups=channels)
        self.mix = conv_bn(channels, channels)
        self.detail = blocks(ResidualConv, channels, detail)
        self.corrections = blocks(Correction, channels, fixes)
        self.gru = SplitConvGRU(channels)

    def forward(
        self, coarse: Tensor, skip: Tensor, state: Tensor, frames: int
    ) -> tuple[Tensor, Tensor]:
        """[B*T,coarse,h/2,w/2], [B*T,skip,h,w], [B,c/2,h,w] -> [B*T,c,h,w], [B,c/2,h,w]."""
        x = F.relu(upsample(self.from_coarse(coarse), 2) + self.from_skip(skip))
        x = x + F.relu(self.mix(F.relu(self.depthwise(x))))
        joined, state = self.gru(self.corrections(self.detail(x)), state, frames)
        return joined, state


class Head(nn.Module):
    """From 1/2 resolution to alpha at the small frame's own, without a layer at that size."""

    def __init__(self, coarse: int, skip: int, channels: int, detail: int, fixes: int) -> None:
        super().__init__()
        self.from_coarse = nn.Conv2d(coarse, channels, 1, bias=False)
        self.from_skip = conv_bn(skip, channels)
        self.from_pixels = nn.Conv2d(3, channels, 2, 2, bias=False)
        self.spatial = conv_bn(channels, channels, 3, groups=channels)
        self.mix = conv_bn(channels, channels)
        self.detail = blocks(ResidualConv, channels, detail)
        self.corrections = blocks(Correction, channels, fixes)
        self.out = nn.Conv2d(channels, 8, 1)

    def forward(self, coarse: Tensor, skip: Tensor, pixels: Tensor) -> Tensor:
        """-> [B,8,h/2,w/2]: alpha of the four pixels of each cell, log epsilon, colour residual."""
        x = upsample(self.from_coarse(coarse), 2) + self.from_skip(skip) + self.from_pixels(pixels)
        x = F.relu(x)
        x = x + F.relu(self.mix(F.relu(self.spatial(x))))
        planes: Tensor = self.out(self.corrections(self.detail(x)))
        return planes


class CompactMatting(nn.Module):
    """The whole network on small frames; see the module docstring for its contract."""

    luma: Tensor

    def __init__(self, config: CompactConfig = CompactConfig()) -> None:
        super().__init__()
        self.config = config
        c, d, more, fixes = config.widths, config.decoder, config.detail, config.decoder_corrections
        self.stem = conv_bn(3, c[0], 3, 2)
        self.down2 = stage(c[0], c[1], config.depths[0])
        self.down3 = stage(c[1], c[2], config.depths[1])
        self.down4 = stage(c[2], c[3], config.depths[2])
        self.down5 = stage(c[3], c[4], config.depths[3])
        self.corrections = nn.ModuleList(
            blocks(Correction, width, depth)
            for width, depth in zip(c[1:], config.corrections, strict=True)
        )
        self.context = ContextGate(c[4])
        self.to_decoder = conv_bn(c[4], d[4])
        self.gru4 = SplitConvGRU(d[4])
        self.up3 = DecoderLevel(d[4], c[3], d[3], more[3], fixes[3])
        self.up2 = DecoderLevel(d[3], c[2], d[2], more[2], fixes[2])
        self.up1 = DecoderLevel(d[2], c[1], d[1], more[1], fixes[1])
        self.head = Head(d[1], c[0], d[0], more[0], fixes[0])
        self.hints = nn.ModuleList(nn.Conv2d(channels, 1, 1) for channels in d[1:])
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, src_small: Tensor, state: Sequence[Tensor], frames: int = 1) -> CompactOutput:
        """One frame, or ``frames`` = T in a row, of every sequence of the batch.

        ``src_small`` [B*T,3,h,w] RGB 0..1, the frames of a sequence next to each other; ``state``
        four tensors as returned before, or zeros [1,1,1,1] each to begin.

        Where the picture and :attr:`luma` are float32 and the weights are not, or a training step
        computes in half precision, the guided filter is float32 all the same: half precision has
        no digits left for a small variance.
        """
        planes, states, levels = self.planes(src_small, state, frames)
        if self.training:  # one plane after the other, which is what the rest is quickest with
            planes = planes.float().contiguous()
        alpha, log_eps, residual = torch.split(planes, [4, 1, 3], 1)
        logits, log_eps = F.pixel_shuffle(alpha, 2), upsample(log_eps, 2)
        pha = leaky_clamp(logits + 0.5) if self.training else (logits + 0.5).clamp(0, 1)
        luma = luma_of(src_small) if self.training else F.conv2d(src_small, self.luma)
        if pha.dtype != luma.dtype:
            pha, log_eps = pha.to(luma.dtype), log_eps.to(luma.dtype)
        scale, offset = guided_coefficients(luma, pha, log_eps)
        if not self.training:
            return CompactOutput(pha, scale, offset, residual, states)
        hints = tuple(hint(y) for hint, y in zip(self.hints, levels, strict=True))
        return CompactOutput(pha, scale, offset, residual, states, hints, levels[2:])

    def planes(
        self, src_small: Tensor, state: Sequence[Tensor], frames: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """All that has weights: what :class:`Head` says, the states, the decoder at every scale."""
        if not torch.onnx.is_in_onnx_export():
            self._check(src_small, state, frames)
        x = src_small * 2 - 1
        weights = self.head.out.weight
        if x.dtype != weights.dtype:
            x = x.to(weights.dtype)
        f1 = F.relu(self.stem(x))
        f2 = self.corrections[0](self.down2(f1))
        f3 = self.corrections[1](self.down3(f2))
        f4 = self.corrections[2](self.down4(f3))
        f5 = self.corrections[3](self.down5(f4))
        f5 = F.relu(self.to_decoder(self.context(f5)))
        y4, r4 = self.gru4(f5, state[3], frames)
        y3, r3 = self.up3(y4, f4, state[2], frames)
        y2, r2 = self.up2(y3, f3, state[1], frames)
        y1, r1 = self.up1(y2, f2, state[0], frames)
        return self.head(y1, f1, x), (r1, r2, r3, r4), (y1, y2, y3, y4)

    def state_shapes(self, batch: int, height: int, width: int) -> list[tuple[int, ...]]:
        """Shapes of the four states for small frames of height x width, finest first."""
        levels = enumerate(self.config.decoder[1:], start=2)
        return [(batch, c // 2, height >> level, width >> level) for level, c in levels]

    def _check(self, src_small: Tensor, state: Sequence[Tensor], frames: int) -> None:
        total, _, height, width = src_small.shape
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise ValueError(f"got a small frame of {width}x{height}, expected multiples of 32")
        shapes = self.state_shapes(total // frames, height, width)
        for index, (tensor, shape) in enumerate(zip(state, shapes, strict=True), start=1):
            if tuple(tensor.shape) not in (shape, (1, 1, 1, 1)):
                raise ValueError(f"got state r{index} {tuple(tensor.shape)}, expected {shape}")


def leaky_clamp(x: Tensor, slope: float = LEAK) -> Tensor:
    """Clamp to 0..1 that still passes a small gradient outside; training only."""
    inside = x.clamp(0, 1)
    return inside + slope * (x - inside)


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear, half-pixel centres: [B,c,h,w] -> [B,c,h*factor,w*factor]."""
    if factor == 2 and torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return doubled(x)
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, half-pixel centres: [B,c,h,w] -> [B,c,*size]; ``x`` itself where it has it."""
    height, width = x.shape[-2:]
    if (height, width) == tuple(size):
        return x
    if (2 * height, 2 * width) == tuple(size):
        return upsample(x, 2)
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


def doubled(x: Tensor) -> Tensor:
    """:func:`upsample` by two out of slices, whose gradient is slices again.

    What torch's compiler makes of ``interpolate`` gathers pixel by pixel, and scatters its gradient
    likewise. The kernels of a training step that hold that gradient took 135 ms so, and 94 out of
    slices (18 frames of 352x192, one core of a Zen 4).
    """
    for dim in (2, 3):
        last = x.shape[dim] - 1
        before = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, last)], dim)
        after = torch.cat([x.narrow(dim, 1, last), x.narrow(dim, last, 1)], dim)
        near = 0.75 * x
        x = torch.stack([near + 0.25 * before, near + 0.25 * after], dim + 1)
        x = x.flatten(dim, dim + 1)
    return x


def pad_edges(x: Tensor, n: int) -> Tensor:
    """``n`` more pixels on every side, each a copy of the nearest: [B,c,h,w] -> [B,c,h+2n,w+2n].

    Compiled, it is a concatenation: the gradient of ``replication_pad2d`` comes back with strides
    that torch 2.14's compiler does not expect, and stops it.
    """
    if not torch.compiler.is_compiling():
        return F.pad(x, (n, n, n, n), mode="replicate")
    x = torch.cat([*[x[:, :, :1]] * n, x, *[x[:, :, -1:]] * n], 2)
    return torch.cat([*[x[..., :1]] * n, x, *[x[..., -1:]] * n], 3)


def box3(x: Tensor) -> Tensor:
    """Mean over 3x3, edge pixels repeated: [B,c,h,w] -> [B,c,h,w].

    The same figures as ``avg_pool2d`` on a padded picture, and six times faster to train on a CPU.
    """
    x = pad_edges(x, 1)
    x = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
    return (x[:, :, :, :-2] + x[:, :, :, 1:-1] + x[:, :, :, 2:]) * (1 / 9)


def guided_coefficients(luma: Tensor, alpha: Tensor, log_eps: Tensor) -> tuple[Tensor, Tensor]:
    """Guided filter (3x3 window) of ``alpha`` on ``luma``, both [B,1,h,w].

    Returns scale and offset so that ``scale * luma + offset`` follows alpha, with the edges of
    luma. ``log_eps`` [B,1,h,w] moves the regulariser around exp(-6) of luma variance.
    """
    planes = [luma, alpha, luma * luma, luma * alpha]
    if torch.compiler.is_compiling():  # apart they are vectors of neighbours, stacked of strangers
        mean_y, mean_a, mean_yy, mean_ya = (box3(plane) for plane in planes)
    else:
        mean_y, mean_a, mean_yy, mean_ya = torch.split(box3(torch.cat(planes, 1)), 1, 1)
    variance = (mean_yy - mean_y * mean_y).clamp_min(0)
    covariance = mean_ya - mean_y * mean_a
    epsilon = torch.exp(log_eps.clamp(-4, 6) - 6)
    scale = covariance / (variance + epsilon)
    return scale, mean_a - scale * mean_y


def grow(network: CompactMatting, fewer: CompactConfig) -> None:
    """Quieten the blocks that a network of ``fewer`` does not have.

    The deeper network then begins close to where the other one stopped.
    """
    for block in blocks_beyond(network, fewer):
        block.quieten()


def blocks_beyond(network: CompactMatting, fewer: CompactConfig) -> Iterator[Block]:
    """The residual convolutions and corrections that a network of ``fewer`` does not have."""
    stages = (network.down2, network.down3, network.down4, network.down5)
    levels = (network.head, network.up1, network.up2, network.up3)
    ours = [*stages, *network.corrections]
    ours += [*(level.detail for level in levels), *(level.corrections for level in levels)]
    known = (*fewer.depths, *fewer.corrections, *fewer.detail, *fewer.decoder_corrections)
    for part, depth in zip(ours, known, strict=True):
        yield from [m for m in part.children() if isinstance(m, Block)][depth:]


def network_from(tensors: Mapping[str, Tensor], widths: Mapping[str, str]) -> CompactMatting:
    """The network that a file holds, ready for inference.

    Args:
        tensors: its weights by name; hints and batch norm's counters, which only training uses, may
            be missing.
        widths: the fields of :class:`CompactConfig`, as texts of numbers with spaces between.

    Raises:
        TypeError, ValueError, RuntimeError: they are not those of a compact network.
    """
    config: dict[str, Any] = {k: tuple(map(int, v.split())) for k, v in widths.items()}
    network = CompactMatting(CompactConfig(**config))
    missing, unexpected = network.load_state_dict(dict(tensors), strict=False)
    missing = [key for key in missing if not key.startswith("hints.") and "num_batches" not in key]
    if missing or unexpected:
        raise ValueError(f"tensors {[*missing, *unexpected][:3]}")
    return network.eval()


def zero_state() -> tuple[Tensor, ...]:
    """The state that starts a sequence, of any size."""
    return tuple(torch.zeros(1, 1, 1, 1) for _ in range(4))


def refine(output: CompactOutput, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Full-size foreground [B,3,H,W] and alpha [B,1,H,W], 0..1, for ``frame`` [B,3,H,W] 0..1."""
    size = frame.shape[-2:]
    scale, offset = resized(output.alpha_scale, size), resized(output.alpha_offset, size)
    residual = resized(output.fgr_residual, size)
    return (frame + residual).clamp(0, 1), (scale * luma_of(frame) + offset).clamp(0, 1)


def luma_of(frame: Tensor) -> Tensor:
    """Full-range BT.709 luma [B,1,H,W] of [B,3,H,W], in the precision of ``frame``."""
    red, green, blue = torch.split(frame, 1, 1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
