"""Export the matting network to ONNX.

    python tools/export.py weights.safetensors -o model.onnx --dynamic
    python tools/export.py weights.safetensors -o hd.onnx --size 1920x1080 --downsample-ratio 0.25

The file is checked by onnx, run beside the network in ONNX Runtime, and only then put in its place.
One JSON object on stdout tells what was written; errors are one line on stderr.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from rvm.errors import ModelError, OutputError, OutputExistsError, RvmError, UsageError
from rvm.network import ARCHITECTURES, MattingNetwork, build_network, load_network
from rvm.network.export import OPSET, StaticShape, compare, export_dynamic, export_static

# What float32 arithmetic in another order may differ by, on values of about 1.
TOLERANCE = 1e-3
# Frames on which a dynamic file is tried: sizes and ratio differ from those it was traced with.
DYNAMIC_TRIALS = (StaticShape(137, 254, 0.4), StaticShape(64, 48, 1.0, batch=2))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Export the matting network to ONNX (float32).", allow_abbrev=False
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("checkpoint", nargs="?", type=Path, help=".safetensors or .pth file")
    source.add_argument(
        "--random-init", choices=sorted(ARCHITECTURES), help="random weights instead of a file"
    )
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--dynamic", action="store_true", help="any frame size; ratio is an input")
    form.add_argument("--size", type=_size, metavar="WxH", help="one frame size, ratio baked in")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write")
    parser.add_argument("--downsample-ratio", type=float, help="with --size; default 1")
    parser.add_argument("--batch", type=int, help="with --size; default 1")
    parser.add_argument("--refiner", choices=("deep", "fast"), default="deep")
    parser.add_argument("--opset", type=int, choices=range(17, 21), default=OPSET)
    parser.add_argument("-y", "--overwrite", action="store_true", help="replace the output")
    return parser.parse_args(argv)


def export(args: argparse.Namespace) -> dict[str, object]:
    """Export as asked; returns the report.

    Raises:
        RvmError: anything that is wrong with the options, the weights or the output.
    """
    _check(args)
    network = _network(args)
    shape = None
    if args.size:
        width, height = args.size
        shape = StaticShape(height, width, args.downsample_ratio or 1.0, args.batch or 1)
    try:
        with tempfile.TemporaryDirectory(dir=args.output.parent) as folder:
            part = Path(folder) / args.output.name
            difference = _write(network, part, shape, args.opset)
            # Replaced in one step: nobody ever sees half a file.
            part.replace(args.output)
    except OSError as error:
        raise OutputError(f"cannot write {args.output}: {error.strerror or error}") from error
    return {
        "output": str(args.output),
        "form": "static" if shape else "dynamic",
        "bytes": args.output.stat().st_size,
        "max_difference": difference,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = parse(argv)
    try:
        report = export(args)
    except RvmError as error:
        print(f"export: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report))
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or 0 in (size := (int(match[1]), int(match[2]))):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in pixels, got {text!r}")
    return size


def _check(args: argparse.Namespace) -> None:
    if args.dynamic and (args.downsample_ratio is not None or args.batch is not None):
        raise UsageError("--downsample-ratio and --batch go with --size; --dynamic takes any")
    if args.downsample_ratio is not None and not 0 < args.downsample_ratio <= 1:
        raise UsageError(f"--downsample-ratio must be over 0, up to 1; got {args.downsample_ratio}")
    if args.batch is not None and args.batch < 1:
        raise UsageError(f"--batch must be at least 1, got {args.batch}")
    if args.output.exists() and not args.overwrite:
        raise OutputExistsError(f"{args.output} exists; -y replaces it")


def _network(args: argparse.Namespace) -> MattingNetwork:
    if args.random_init:
        torch.manual_seed(0)
        return build_network(args.random_init, args.refiner).eval()
    return load_network(args.checkpoint, args.refiner)


def _write(network: MattingNetwork, path: Path, shape: StaticShape | None, opset: int) -> float:
    if shape:
        export_static(network, path, shape, opset)
    else:
        export_dynamic(network, path, opset)
    trials = (shape,) if shape else DYNAMIC_TRIALS
    difference = max(compare(network, path, trial, frames=2) for trial in trials)
    if not difference <= TOLERANCE:
        raise ModelError(f"the exported file differs from the network by {difference:.2g}")
    return difference


if __name__ == "__main__":
    raise SystemExit(main())
