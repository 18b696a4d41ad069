"""Plain functions that assemble the networks, and the table of them by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rvm.errors import UsageError
from rvm.network.decoder import RecurrentDecoder
from rvm.network.encoder import MobileNetV3Encoder, ResNet50Encoder
from rvm.network.guided_filter import DeepGuidedFilter, FastGuidedFilter, Refiner
from rvm.network.lraspp import LRASPP
from rvm.network.matting_network import MattingNetwork

RefinerName = Literal["deep", "fast"]


def build_mobilenetv3(refiner: RefinerName = "deep") -> MattingNetwork:
    """The small reference network: 3,748,633 parameters, MobileNetV3-Large.

    Args:
        refiner: "deep" (learnt guided filter) or "fast" (guided filter without weights).

    Returns:
        The network with random weights, in training mode.
    """
    backbone = MobileNetV3Encoder()
    return _assemble(backbone, backbone.channels, 128, (80, 40, 32, 16), refiner)


def build_resnet50(refiner: RefinerName = "deep") -> MattingNetwork:
    """The large reference network: 26.9 million parameters, ResNet50.

    Arguments and result as :func:`build_mobilenetv3`.
    """
    backbone = ResNet50Encoder()
    return _assemble(backbone, backbone.channels, 256, (128, 64, 32, 16), refiner)


ARCHITECTURES: dict[str, Callable[[RefinerName], MattingNetwork]] = {
    "mobilenetv3": build_mobilenetv3,
    "resnet50": build_resnet50,
}


def build_network(architecture: str, refiner: RefinerName = "deep") -> MattingNetwork:
    """Build a network by its name in :data:`ARCHITECTURES`, with random weights.

    Raises:
        UsageError: unknown architecture or refiner.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(
            f"unknown architecture {architecture!r}; known: {', '.join(sorted(ARCHITECTURES))}"
        )
    return ARCHITECTURES[architecture](refiner)


def _assemble(
    backbone: MobileNetV3Encoder | ResNet50Encoder,
    channels: tuple[int, int, int, int],
    aspp_channels: int,
    decoder_channels: tuple[int, int, int, int],
    refiner: RefinerName,
) -> MattingNetwork:
    decoder = RecurrentDecoder((*channels[:3], aspp_channels), decoder_channels)
    return MattingNetwork(
        backbone, LRASPP(channels[3], aspp_channels), decoder, _refiner(refiner, decoder)
    )


def _refiner(name: RefinerName, decoder: RecurrentDecoder) -> Refiner:
    if name == "deep":
        return DeepGuidedFilter(decoder.out_channels)
    if name == "fast":
        return FastGuidedFilter()
    raise UsageError(f"unknown refiner {name!r}; known: deep, fast")
