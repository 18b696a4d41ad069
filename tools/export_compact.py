"""Export a trained compact network to models/: two ONNX forms, safetensors and manifest entries.

    python tools/export_compact.py RUN/last.pt --out models --name compact

The moving average of the weights is what is exported. Each ONNX file is run beside the network in
ONNX Runtime before it takes its place; the manifest entries are printed, or, with ``--manifest``,
put into models/manifest.toml in place of older ones of the same names, else at its end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from rvm.network.compact import LUMA, SIZE_MULTIPLE, CompactConfig, CompactMatting
from rvm.network.compact_export import (
    CORE_OUTPUTS,
    FULL_OUTPUTS,
    STATE_INPUTS,
    CoreForm,
    FullForm,
    export_core,
    export_full,
    save_weights,
)

SMALL = (160, 288)
LONG_SIDE = 288
TOLERANCE = 1e-3
LICENCE = "GPL-3.0"
FRAMES = 4


def load_average(path: Path) -> CompactMatting:
    """The averaged network of a training checkpoint."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    widths = content["recipe"]["network"]
    network = CompactMatting(CompactConfig(**{k: tuple(v) for k, v in widths.items()}))
    network.load_state_dict(content["average"])
    return network.eval()


def largest_difference(
    form: CoreForm | FullForm, path: Path, size: tuple[int, int], outputs: tuple[str, ...]
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
        if outputs == CORE_OUTPUTS:  # alone, the coefficients are large where luma is flat
            luma = np.tensordot(LUMA, src.numpy(), (0, 1))
            results = [results[0] * luma + results[1], *results[3:]]
            theirs = [theirs[0] * luma + theirs[1], *theirs[3:]]
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(results, theirs)))  # noqa: B905
        state = list(expected[-4:])
    return worst


def entry(name: str, path: Path, contract: str, description: str, default: bool) -> str:
    """One manifest table."""
    content = path.read_bytes()
    kind = path.suffix.removeprefix(".")
    lines = [
        f"[models.{json.dumps(name) if '.' in name else name}]",
        f'description = "{description}"',
        f'file = "{path.name}"',
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
        f"bytes = {len(content)}",
        f'licence = "{LICENCE}"',
        f'contract = "{contract}"',
        f'format = "{kind}"',
        'precision = "fp32"',
        f"long_side = {LONG_SIDE}",
        f"size_multiple = {SIZE_MULTIPLE}",
    ]
    return "\n".join(lines + (["default = true"] if default else [])) + "\n"


def put_entry(manifest: str, name: str, text: str) -> str:
    """The manifest with one table replaced, or put before the first one."""
    key = re.escape(f"[models.{json.dumps(name) if '.' in name else name}]")
    pattern = re.compile(rf"^{key}\n(?:(?!\[|#|\n).*\n?)*", re.MULTILINE)
    if pattern.search(manifest):
        return pattern.sub(lambda _: text, manifest)
    return manifest.rstrip("\n") + "\n\n" + text


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("models"))
    parser.add_argument("--name", default="compact")
    parser.add_argument("--manifest", type=Path)
    args = parser.parse_args()
    network = load_average(args.checkpoint)
    names = [f"{args.name}.onnx", f"{args.name}-full.onnx", f"{args.name}.safetensors"]
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        core, full, weights = (Path(folder) / name for name in names)
        export_core(network, core)
        export_full(network, full, SMALL)
        save_weights(network, weights)
        for form, path, size, outputs in (
            (CoreForm(network), core, SMALL, CORE_OUTPUTS),
            (FullForm(network, SMALL), full, (360, 640), FULL_OUTPUTS),
        ):
            difference = largest_difference(form, path, size, outputs)
            report[path.name] = {"bytes": path.stat().st_size, "max_difference": difference}
            if not difference <= TOLERANCE:
                raise SystemExit(f"{path.name} differs from the network by {difference:.2g}")
        for path in (core, full, weights):
            path.replace(args.out / path.name)
    entries = {
        args.name: entry(
            args.name,
            args.out / names[0],
            "rvm-compact-core",
            "Our compact recurrent network, small frames in, guided-filter coefficients out",
            True,
        ),
        f"{args.name}_full": entry(
            f"{args.name}_full",
            args.out / names[1],
            "rvm",
            "The same with resize and refinement in the graph, for other programs",
            False,
        ),
        f"{args.name}_torch": entry(
            f"{args.name}_torch",
            args.out / names[2],
            "rvm-compact-core",
            "The same weights for torch",
            False,
        ),
    }
    if args.manifest:
        text = args.manifest.read_text(encoding="utf-8")
        for name, table in entries.items():
            text = put_entry(text, name, table)
        args.manifest.write_text(text, encoding="utf-8")
    print(json.dumps(report, indent=1))
    print("\n".join(entries.values()))


if __name__ == "__main__":
    main()
