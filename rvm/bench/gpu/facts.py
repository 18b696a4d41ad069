"""What a GPU benchmark ran on."""

from __future__ import annotations

from typing import Any

import torch

from rvm.bench.machine import machine
from rvm.device import cuda_driver_version

_LIBRARIES = ("torch", "triton", "onnxruntime-gpu", "onnxruntime", "tensorrt", "av", "numpy")


def facts(device: torch.device) -> dict[str, Any]:
    """The machine, the device, and the versions of what works on it."""
    known = machine()
    versions = {name: _version(name) for name in _LIBRARIES}
    versions["CUDA"] = torch.version.cuda
    versions["driver's CUDA"] = cuda_driver_version() or None
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    versions["cuDNN"] = None if cudnn is None else str(cudnn)
    found = {**known, "device": known["processor"], "versions": versions}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "device": properties.name,
            "device_memory_gb": round(properties.total_memory / 1e9, 1),
            "compute_capability": f"{properties.major}.{properties.minor}",
        }
    return found


def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
