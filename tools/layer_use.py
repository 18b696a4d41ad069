"""What each block of a compact network is worth: the mattes with it silenced, one by one.

    RVM_TRAIN_DATA=DIR python tools/layer_use.py models/compact.onnx --cache CACHE --json use.json

Two residual convolutions of the network that shipped until the seventeenth run, and six of the
larger one's, turned out to do nothing at all. What a block costs it costs every frame, so a run
that adds some is looked at so afterwards. The first frames of the held-back composites and clips,
on pictures of one size.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rvm.evaluation import sets
from rvm.evaluation.candidates import Compact
from rvm.evaluation.metrics import average, clip_means
from rvm.network.compact import Block, CompactMatting
from rvm.network.compact_export import export_lean, load_weights
from rvm.training.material import Material

FRAMES = 4


def scores(network: CompactMatting, examples: list[sets.Example], side: int) -> dict[str, float]:
    """All metrics of the network as the CPU engine runs it, on pictures of one long side."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_lean(network, path)
        model = Compact(path, side)
    for example in examples:
        model.reset()
        found.append(clip_means(map(model.matte, example.rgb), example.alpha))
    return average(found)


def without_each(path: Path) -> Iterator[tuple[str, CompactMatting]]:
    """The network of a file as it is, and again and again with one block silenced."""
    whole = load_weights(path)
    yield "all", whole
    for name, _ in blocks_of(whole):
        network = copy.deepcopy(whole)
        dict(blocks_of(network))[name].scale(0)
        yield name, network


def blocks_of(network: CompactMatting) -> list[tuple[str, Block]]:
    """Every residual convolution and correction by its name."""
    return [(name, m) for name, m in network.named_modules() if isinstance(m, Block)]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path, help=".safetensors, or .onnx in floating point")
    parser.add_argument("--data", type=Path, default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--side", type=int, default=352, help="long side of the network's picture")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    held_back = Material(Path(args.data), args.cache, "validation")
    sequences = (*sets.composites(held_back), *sets.clips(held_back))
    examples = [example.first(FRAMES) for example in sequences]
    table = {}
    for name, network in without_each(args.weights):
        table[name] = scores(network, examples, args.side)
        row = "  ".join(f"{key} {table[name][key]:.3f}" for key in ("mad", "grad", "dtssd", "iou"))
        print(f"{name:26} {row}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
