"""Leave blocks of a compact network out, and set its last layer anew.

    RVM_TRAIN_DATA=DIR python tools/prune.py models/compact-quality.onnx --depths 2 2 4 4 \\
        --detail 0 2 2 1 --cache CACHE --extra EXTRA --out pruned.safetensors

What may go `tools/layer_use.py` tells. The blocks left out are the last ones at each scale; of a
kind that is not named none stays.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rvm.network.compact_export import load_weights, save_weights
from rvm.training.material import Material
from rvm.training.pruning import fit_output, pruned
from rvm.training.sampling import Mixture, Sampler

SIZES = ((352, 192), (448, 256), (512, 288))
CLIPS, FRAMES = 150, 2
SEED = 91
KINDS = ("depths", "detail", "corrections", "decoder_corrections")


def clips(sampler: Sampler) -> Iterator[Tensor]:
    """Short sequences, always the same."""
    for number in range(CLIPS):
        rng = np.random.default_rng([SEED, number])
        drawn = sampler.draw(rng, FRAMES, SIZES[number % len(SIZES)])
        yield torch.from_numpy(drawn.rgb).permute(0, 3, 1, 2).float() / 255


def main() -> None:
    """Parse the command line, prune, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path, help=".safetensors, or .onnx in floating point")
    for name in KINDS:
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, nargs=4, default=[0] * 4, metavar="N"
        )
    parser.add_argument("--data", type=Path, default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--extra", type=Path)
    parser.add_argument("--out", type=Path, required=True, help=".safetensors")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    whole = load_weights(args.weights)
    kept = {kind: tuple(getattr(args, kind)) for kind in KINDS}
    network = pruned(whole, replace(whole.config, **kept))
    material = Material(Path(args.data), args.cache, extra=args.extra)
    fit_output(network, whole, clips(Sampler(material, Mixture())))
    save_weights(network, args.out)


if __name__ == "__main__":
    main()
