"""The matting network in torch (needs the extra ``[torch]``): one part a file.

Start at :mod:`rvm.network.matting_network`, which draws how the parts hang together.
"""

from rvm.network.build import ARCHITECTURES, build_mobilenetv3, build_network, build_resnet50
from rvm.network.checkpoint import (
    CheckpointError,
    architecture_of,
    load_network,
    load_weights,
    read_checkpoint,
)
from rvm.network.matting_network import MattingNetwork, NetworkOutput, downsampled_size
from rvm.network.recurrent import ConvGRU
from rvm.network.state import RecurrentState, StateSizeError

__all__ = [
    "ARCHITECTURES",
    "CheckpointError",
    "ConvGRU",
    "MattingNetwork",
    "NetworkOutput",
    "RecurrentState",
    "StateSizeError",
    "architecture_of",
    "build_mobilenetv3",
    "build_network",
    "build_resnet50",
    "downsampled_size",
    "load_network",
    "load_weights",
    "read_checkpoint",
]
