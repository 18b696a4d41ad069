"""Which execution providers ONNX Runtime is given, and their options."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import onnxruntime as ort

from rvm.device import Device, cuda_driver_version, cuda_gpu_name
from rvm.errors import DeviceError


def available_providers() -> tuple[str, ...]:
    """Execution providers that this build of ONNX Runtime was made with."""
    return tuple(ort.get_available_providers())


def providers_for(device: Device, tensorrt: bool, *, capture: bool = False) -> list[Any]:
    """Execution providers with their options, best first.

    Args:
        device: where to run.
        tensorrt: put TensorRT before CUDA.
        capture: capture CUDA graphs, for sessions whose shapes are fixed. Not with TensorRT: its
            provider knows no `gpu_graph_id` and would replay the one graph that it has, on the
            buffers of that one, whatever is bound.

    Raises:
        DeviceError: this build of ONNX Runtime lacks the provider.
    """
    built = available_providers()
    chosen: list[Any] = []
    if device.kind == "cuda":
        if "CUDAExecutionProvider" not in built:
            raise DeviceError("this ONNX Runtime has no CUDA; install onnxruntime-gpu")
        _preload_cuda()
        if tensorrt:
            if "TensorrtExecutionProvider" not in built:
                raise DeviceError("this ONNX Runtime has no TensorRT; use --engine onnxruntime")
            _load_tensorrt()
            chosen.append(("TensorrtExecutionProvider", _tensorrt_options(device)))
        chosen.append(("CUDAExecutionProvider", _cuda_options(device, capture and not tensorrt)))
    elif device.kind == "mps" and "CoreMLExecutionProvider" in built:
        chosen.append("CoreMLExecutionProvider")
    chosen.append("CPUExecutionProvider")
    return chosen


def _cuda_options(device: Device, capture: bool) -> dict[str, Any]:
    return {
        "device_id": device.index,
        # The exhaustive search for convolutions runs anew for every size, and the default
        # algorithm was measured up to 50 times slower (onnxruntime issue 10303).
        "cudnn_conv_algo_search": "HEURISTIC",
        # Memory is asked for in the size needed, not the next power of two: at 4K and 8K that
        # would be gigabytes which other programs on the GPU then lack.
        "arena_extend_strategy": "kSameAsRequested",
        # Ten bits of mantissa: too few for a guided filter's variances, as on torch.
        "use_tf32": "0",
        "enable_cuda_graph": "1" if capture else "0",
    }


def _tensorrt_options(device: Device) -> dict[str, Any]:
    cache = str(_tensorrt_cache(device))
    return {
        "device_id": device.index,
        # Half precision would take in the guided filter, and cost its small variances.
        "trt_fp16_enable": False,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": cache,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": cache,
        "trt_cuda_graph_enable": False,
    }


def _tensorrt_cache(device: Device) -> Path:
    """Where compiled engines are kept: a folder for each GPU, driver and ONNX Runtime.

    ONNX Runtime itself names an engine by graph, precision and compute capability; that leaves
    two GPUs of one generation, and another driver, to find each other's.
    """
    from rvm.matting.weights import download_dir

    words = f"{cuda_gpu_name(device.index)} {cuda_driver_version()} {ort.__version__}"
    cache = download_dir() / "tensorrt" / re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _preload_cuda() -> None:
    """Let ONNX Runtime find the CUDA libraries that pip installed."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(sys.stderr):  # where it says what it does not find
            preload()


def _load_tensorrt() -> None:
    """Load the libraries that pip installed, where ONNX Runtime does not look for them."""
    with contextlib.suppress(ImportError):  # they may lie where the system looks
        importlib.import_module("tensorrt")


def captures_rightly() -> bool:
    """Whether this build's CUDA graphs can be trusted.

    Before 1.31 a captured Split into unequal parts, which our models end with, read its sizes at
    every replay from memory that had been given to somebody else (onnxruntime pull request 32121).
    """
    major, minor = (int(part) for part in ort.__version__.split(".")[:2])
    return (major, minor) >= (1, 31)
