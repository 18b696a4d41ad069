"""Export a trained compact network to models/: ONNX forms, safetensors and manifest entries.

    python tools/export_compact.py RUN/last.pt --name compact_quality
    python tools/export_compact.py models/compact.onnx    # the same weights once more
    python tools/export_compact.py models/compact.onnx --full FILE    # for other programs

The moving average of the weights is what is exported. Each ONNX file is run beside the network in
ONNX Runtime before it takes its place; the manifest entries are printed, or, with ``--manifest``,
put into models/manifest.toml in place of older ones of the same names, else at its end.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from rvm.network.compact import CompactMatting
from rvm.network.compact_export import (
    FULL_OUTPUTS,
    LEAN_OUTPUTS,
    STATE_INPUTS,
    FullForm,
    LeanForm,
    export_full,
    export_lean,
    load_weights,
    round_weights,
    save_weights,
)
from rvm.network.manifest_entry import entry, put_entries
from rvm.training.loop import averaged_network

LIGHT = "compact"
"""The default on a CPU. It has no file for torch, where the larger network stands for it, too, as a
GPU has time to spare (which has not been measured)."""

TORCH = "compact_torch"
"""What torch runs for all that ships: the weights of the larger network."""

DESCRIPTIONS = {
    LIGHT: "Our compact recurrent network, small frames in, what refines alpha out",
    "compact_quality": "Our larger network, more pixels for all who are not close, a second look",
}
SMALL = (192, 352)
TOLERANCE = 1e-3
FRAMES = 4


def load_average(path: Path) -> CompactMatting:
    """The averaged network of a training checkpoint, its weights rounded to what a file holds.

    Every form is made of the same rounded weights. A file of them is taken as well.
    """
    if path.suffix in (".safetensors", ".onnx"):
        return round_weights(load_weights(path))
    content = torch.load(path, map_location="cpu", weights_only=True)
    return round_weights(averaged_network(content)).eval()


def largest_difference(
    form: LeanForm | FullForm, path: Path, size: tuple[int, int], outputs: tuple[str, ...]
) -> float:
    """Torch against ONNX Runtime over a few frames with the state carried."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    state = [torch.zeros(1, 1, 1, 1)] * 4
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(1, 3, size[0] // 8, size[1] // 8, generator=generator)
    picture = torch.nn.functional.interpolate(base, size, mode="bilinear")
    worst = 0.0
    for frame in range(FRAMES):
        src = torch.roll(picture, frame, 3)
        feeds = {source: src.numpy()} | {
            n: s.numpy() for n, s in zip(STATE_INPUTS, state, strict=True)
        }
        results = session.run(list(outputs), feeds)
        with torch.inference_mode():
            expected = form(src, *state)
        theirs = [tensor.numpy() for tensor in expected]
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(results, theirs)))  # noqa: B905
        state = list(expected[-4:])
    return worst


def checked(
    form: LeanForm | FullForm, path: Path, size: tuple[int, int], outputs: tuple[str, ...]
) -> float:
    """The largest difference from the network; ends the program where it is too large."""
    difference = largest_difference(form, path, size, outputs)
    if not difference <= TOLERANCE:
        raise SystemExit(f"{path.name} differs from the network by {difference:.2g}")
    return difference


def write_full(network: CompactMatting, path: Path) -> None:
    """The form with resize and refinement in the graph, which does not ship."""
    export_full(network, path, SMALL)
    difference = checked(FullForm(network, SMALL), path, (360, 640), FULL_OUTPUTS)
    print(f"{path.name}: at most {difference:.2g} from the network")


def entries_of(name: str, folder: Path, long_side: int) -> dict[str, str]:
    """The manifest tables of what was written."""
    stem = name.replace("_", "-")
    twin = TORCH if name in DESCRIPTIONS else f"{name}_torch"
    tables = {
        name: entry(
            name, folder / f"{stem}.onnx", "rvm-compact-lean", long_side, default=name == LIGHT,
            torch_twin=twin, int8_twin=f"{name}_int8",
            description=DESCRIPTIONS.get(name, "A compact recurrent network of our own"),
        )
    }  # fmt: skip
    if name != LIGHT:
        tables[twin] = entry(
            twin, folder / f"{stem}.safetensors", "rvm-compact-core", long_side,
            description=f"The weights of {name} for torch",
        )  # fmt: skip
    return tables


def write_files(network: CompactMatting, folder: Path, name: str) -> float:
    """Write and check the files of a model; returns the ONNX file's largest difference."""
    stem = name.replace("_", "-")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        written = [Path(scratch) / f"{stem}.onnx"]
        export_lean(network, written[0])
        difference = checked(LeanForm(network), written[0], SMALL, LEAN_OUTPUTS)
        if name != LIGHT:
            written.append(Path(scratch) / f"{stem}.safetensors")
            save_weights(network, written[1])
        for path in written:
            path.replace(folder / path.name)
    return difference


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("models"))
    parser.add_argument("--name", default="compact")
    parser.add_argument("--long-side", type=int, default=352, help="of the network's picture")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--full", type=Path, help="write only this form of the network, here")
    args = parser.parse_args()
    network = load_average(args.checkpoint)
    if args.full is not None:
        write_full(network, args.full)
        return
    difference = write_files(network, args.out, args.name)
    entries = entries_of(args.name, args.out, args.long_side)
    if args.manifest:
        put_entries(args.manifest, entries)
    print(f"{args.name}: at most {difference:.2g} from the network")
    print("\n".join(entries.values()))


if __name__ == "__main__":
    main()
