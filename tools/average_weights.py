"""Let a run go on from the mean of what it reached and what it began with.

    RVM_TRAIN_DATA=DIR python tools/average_weights.py RUN/last.pt --older WEIGHTS \\
        --cache CACHE --extra EXTRA [--beside OTHER-RUN/last.pt 0.3]

Network and moving average of the checkpoint become the mean (`rvm.training.soup`); optimiser, hints
and step stay, so that `tools/train.py` goes on with the next stage of its recipe. Batch norm's
statistics are taken anew, unless the recipe froze them. What was there before is kept beside it as
<name>-before.pt.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rvm.network.compact import CompactMatting
from rvm.network.compact_export import load_weights
from rvm.training.loop import averaged_network
from rvm.training.material import Material
from rvm.training.sampling import Mixture, Sampler
from rvm.training.soup import mixed_all, settle_norms

BATCHES, BATCH = 24, 4
SIZE = (352, 192)
SEED = 77


def pictures(sampler: Sampler) -> Iterator[Tensor]:
    """Batches of single frames, always the same."""
    for number in range(BATCHES):
        rng = np.random.default_rng([SEED, number])
        drawn = [sampler.draw(rng, 1, SIZE).rgb for _ in range(BATCH)]
        yield torch.from_numpy(np.concatenate(drawn)).permute(0, 3, 1, 2).float() / 255


def network_of(path: Path) -> CompactMatting:
    """What a checkpoint's moving average, or a file of weights, holds."""
    if path.suffix == ".pt":
        return averaged_network(torch.load(path, map_location="cpu", weights_only=True))
    return load_weights(path)


def main() -> None:
    """Parse the command line, average, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument(
        "--older", type=Path, required=True, help=".safetensors or .onnx it began with"
    )
    parser.add_argument("--share", type=float, default=0.5, help="of the newer weights")
    parser.add_argument(
        "--beside",
        nargs=2,
        action="append",
        default=[],
        metavar=("WEIGHTS", "SHARE"),
        help="another run from the same start, as .pt, or other weights of the family",
    )
    parser.add_argument("--data", default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--extra", type=Path)
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    content = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    runs = [(averaged_network(content), args.share)]
    runs += [(network_of(Path(path)), float(share)) for path, share in args.beside]
    network = mixed_all(load_weights(args.older), runs)
    if content["recipe"].get("norms") != "frozen":  # frozen ones are all the same
        material = Material(Path(args.data), args.cache, extra=args.extra)
        settle_norms(network, pictures(Sampler(material, Mixture())))
    for name, tensor in network.state_dict().items():
        for part, prefix in (("model", ""), ("average", ""), ("learning", "0.")):
            content[part][prefix + name] = tensor
    shutil.copy2(args.checkpoint, args.checkpoint.with_stem(args.checkpoint.stem + "-before"))
    part_file = args.checkpoint.with_suffix(".part")
    torch.save(content, part_file)
    part_file.replace(args.checkpoint)


if __name__ == "__main__":
    main()
