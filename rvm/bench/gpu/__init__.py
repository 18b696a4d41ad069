"""Measures a GPU, or with the same code a CPU; every number comes from the run itself.

* `device`: our matte, and matte + composite, with frames that lie on the device: default model and
  the reference networks, by size, precision, with CUDA graphs and without.
* `official`: the reference networks driven as their authors publish it (`loops.OfficialLoop`), in
  turns with ours, both from main memory to main memory, and both on the device alone.
* `difference`: alpha against the same model in single precision on the CPU.
* `onnxruntime`: the default model on ONNX Runtime's CUDA and TensorRT, for machines without torch.
* `file`: an H.264 file to a sink that counts, through `rvm.convert`.

`device_ms` lies between two CUDA events around a step while steps are queued; `wall_ms` is one
step waited for; `queued_ms` the mean of queued steps by the wall. `least_ms` is `traffic`'s bytes
over the copy bandwidth that the run measured. What no longer fits into the time is left out and
named (`left_out`), the aims of the project first.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rvm.bench.gpu import cases
from rvm.bench.gpu.cases import Case, Settings
from rvm.bench.gpu.facts import facts
from rvm.bench.gpu.timing import copy_gigabytes_per_second
from rvm.bench.gpu.verdict import Row, verdicts

__all__ = ["FULL", "QUICK", "GpuBench", "Settings"]

FULL = Settings(
    sizes={"4k": (3840, 2160), "hd": (1920, 1080), "8k": (7680, 4320)},
    precisions=("fp16", "bf16", "fp32"), rounds=3, count=60, seconds=1.0, copy_mb=512,
    file_frames=300, compared_frames=3,
)  # fmt: skip
#: To see that everything works, where figures mean nothing.
QUICK = Settings(
    sizes={"tiny": (128, 72)}, precisions=("fp32",), rounds=1, count=2, seconds=0.5, copy_mb=4,
    file_frames=4, compared_frames=2, quick=True,
)  # fmt: skip


@dataclass
class GpuBench:
    """One run.

    Args:
        device: "cuda", "cuda:N" or "cpu".
        settings: how much of everything.
        weights: name of a reference network -> its weights; random ones where there are none.
        minutes: nothing new is begun after so long.
        tell: gets a line before each case.
        keep: gets what `run` would return so far after each case: a run may be killed.
    """

    device: str
    settings: Settings
    weights: dict[str, Path] = field(default_factory=dict)
    minutes: float = 8.0
    tell: Callable[[str], None] = lambda _: None
    keep: Callable[[dict[str, Any]], object] = lambda _: None

    def run(self) -> dict[str, Any]:
        """Measure everything; what came of it, in JSON types."""
        began = time.monotonic()
        where = torch.device(self.device)
        machine = facts(where)
        machine["copy_gb_s"] = copy_gigabytes_per_second(where, self.settings.copy_mb)
        rows: list[Row] = []
        left_out: list[str] = []

        def found() -> dict[str, Any]:
            return {
                "machine": machine, "seconds": round(time.monotonic() - began, 1),
                "verdicts": verdicts(rows), "rows": rows, "left_out": left_out,
            }  # fmt: skip

        with tempfile.TemporaryDirectory(prefix="rvm-bench-gpu-") as scratch:
            for case in self._cases(Path(scratch), machine["copy_gb_s"]):
                if time.monotonic() - began > self.minutes * 60:
                    left_out.append(case.name)
                    continue
                self.tell(case.name)
                rows += self._measured(case, where)
                self.keep(found())
        return found()

    def _cases(self, scratch: Path, gigabytes_per_second: float) -> Iterator[Case]:
        bench = cases.Bench(self.device, self.settings, self.weights, scratch, gigabytes_per_second)
        return bench.all()

    def _measured(self, case: Case, where: torch.device) -> list[Row]:
        """A case's rows; one that says why where it failed, since the others are worth having."""
        try:  # after some errors of CUDA every call fails, the emptying of caches too
            if where.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(where)
            rows = case.run()
            peak = torch.cuda.max_memory_allocated(where) if where.type == "cuda" else None
        except Exception as error:
            return [{**case.about, "error": f"{type(error).__name__}: {error}".split("\n")[0]}]
        finally:
            gc.collect()
        more = {} if peak is None else {"peak_mb": round(peak / 1e6)}
        return [{**case.about, **row, **more} for row in rows]
