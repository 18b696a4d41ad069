"""What was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor, cores, versions and load, as far as the system says."""
    from importlib.metadata import version

    from rvm import jit
    from rvm.device import cpu_count, cuda_gpu_count

    libraries = ("numpy", "opencv-python", "onnxruntime-gpu", "onnxruntime", "av", "numba")
    return {
        "processor": processor(),
        "cores": cpu_count(),
        "cuda_gpus": cuda_gpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kernels": jit.kernels("rvm.matting.fused_refine") is not None,
        "libraries": {name: version(name) for name in libraries if _is_there(name)},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def processor() -> str:
    """The processor's own name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _is_there(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False
