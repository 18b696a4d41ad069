"""Measures a GPU and writes benchmarks/results/<date>-<device>.json and the same as tables.

    python tools/bench_gpu.py                              # cuda, about eight minutes
    python tools/bench_gpu.py --mobilenetv3 RVM.safetensors --resnet50 RVM.safetensors
    python tools/bench_gpu.py --device cpu --quick --out /tmp/trial

Everything in one run: HD, 4K and 8K; fp16, bf16 and fp32; CUDA graphs on and off; the matte alone
and before a colour, a picture and a blur; the official-style loop in turns with ours; alpha against
the CPU; ONNX Runtime; a 4K file to a sink that counts. The reference networks need no weights to
be timed (random ones are as fast). See `rvm.bench.gpu` for what the figures mean.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

from rvm.bench.gpu import FULL, QUICK, GpuBench
from rvm.bench.gpu.cases import REFERENCES
from rvm.bench.gpu.verdict import markdown
from rvm.bench.results import write_result
from rvm.device import choose_device
from rvm.errors import RvmError

_RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def main(words: list[str] | None = None) -> int:
    """Measure, print, and write the file. 0 unless the device is not there."""
    arguments = _parse(words)
    weights = {name: getattr(arguments, name) for name in REFERENCES if getattr(arguments, name)}
    settings = QUICK if arguments.quick else FULL
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")

    def whole(found: dict[str, Any]) -> dict[str, Any]:
        return {"date": began, "command": _command(arguments), **found}

    def keep(found: dict[str, Any]) -> Path:
        return write_result(arguments.out, found["machine"]["device"], whole(found))

    try:
        device = choose_device(arguments.device).name
        found = GpuBench(device, settings, weights, arguments.minutes, _tell, keep).run()
    except RvmError as error:
        print(f"bench_gpu: {error}", file=sys.stderr)
        return 1
    print(markdown(whole(found)))
    print(f"\n{keep(found)}")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _command(arguments: argparse.Namespace) -> str:
    """What to type, without where the files lay."""
    words = ["python tools/bench_gpu.py", f"--device {arguments.device}"]
    words += ["--quick"] if arguments.quick else []
    words += [
        f"--{name} {getattr(arguments, name).name}"
        for name in REFERENCES
        if getattr(arguments, name)
    ]
    return " ".join([*words, f"--minutes {arguments.minutes:g}"])


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--quick", action="store_true", help="tiny; only to see that it works")
    for name in REFERENCES:
        parser.add_argument(f"--{name}", type=Path, help="weights, .safetensors or .pth")
    parser.add_argument("--minutes", type=float, default=8.0, help="begin nothing new after")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
