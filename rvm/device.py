"""Where to compute: `auto|cpu|cuda[:n]|mps` becomes a device, a precision, and the reason.

Looking for a GPU must not cost a second of start-up, so nothing heavy is imported here: CUDA is
looked for by asking the NVIDIA driver library itself, MPS by asking the platform. Whether an
engine can really use what was found is for the engine to say when it opens.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast

from rvm.errors import DeviceError, UsageError

Precision = Literal["fp32", "fp16", "bf16"]

PRECISIONS: tuple[str, ...] = ("auto", "fp32", "fp16", "bf16")
#: More threads than this do not speed up one small picture.
MAX_THREADS = 8
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Device:
    """One place to compute.

    Attributes:
        kind: "cpu", "cuda" or "mps".
        index: number of the GPU, 0 elsewhere.
        reason: a clause for the user saying why it was chosen.
    """

    kind: Literal["cpu", "cuda", "mps"]
    index: int = 0
    reason: str = "it was asked for"

    @property
    def name(self) -> str:
        """As torch writes it: "cpu", "cuda:0", "mps"."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


def choose_device(wanted: str = "auto") -> Device:
    """Turn the user's word into a device that this machine has.

    Args:
        wanted: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UsageError: any other word.
        DeviceError: the device asked for is not there.
    """
    match = re.fullmatch(r"(auto|cpu|mps|cuda)(?::(\d+))?", wanted.strip().lower())
    if match is None or (match[2] and match[1] != "cuda"):
        raise UsageError(f"unknown device {wanted!r}; use auto, cpu, cuda, cuda:N or mps")
    if match[1] == "auto":
        return _automatic()
    if match[1] == "cuda":
        return _cuda(int(match[2] or 0))
    if match[1] == "mps" and not has_mps():
        raise DeviceError("there is no Apple GPU here; use --device cpu")
    return Device(cast("Literal['cpu', 'mps']", match[1]), 0, f"{match[1]} was asked for")


def choose_precision(wanted: str, device: Device) -> Precision:
    """The arithmetic of the torch engine: half precision on CUDA, else single, unless told.

    Raises:
        UsageError: `wanted` is none of `PRECISIONS`.
    """
    if wanted not in PRECISIONS:
        raise UsageError(f"unknown precision {wanted!r}; use {', '.join(PRECISIONS)}")
    if wanted != "auto":
        return cast("Precision", wanted)
    return "fp16" if device.kind == "cuda" else "fp32"


@functools.cache
def cuda_gpu_count() -> int:
    """How many GPUs the NVIDIA driver shows to this process; 0 without a driver."""
    driver = _cuda_driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cuda_gpu_name(index: int = 0) -> str:
    """What the driver calls a GPU, for instance "NVIDIA H200"; "" without one."""
    driver, gpu, name = _cuda_driver(), ctypes.c_int(0), ctypes.create_string_buffer(256)
    if driver is None or driver.cuDeviceGet(ctypes.byref(gpu), index) != 0:
        return ""
    if driver.cuDeviceGetName(name, len(name), gpu) != 0:
        return ""
    return name.value.decode(errors="replace")


def cuda_driver_version() -> str:
    """The CUDA version the NVIDIA driver supports, for instance "12.8"; "" without a driver."""
    driver, version = _cuda_driver(), ctypes.c_int(0)
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


@functools.cache
def _cuda_driver() -> ctypes.CDLL | None:
    """The NVIDIA driver's library, ready for use; None where there is none that works."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        return driver if driver.cuInit(0) == 0 else None
    except (OSError, AttributeError):
        return None


def has_mps() -> bool:
    """True on a Mac with Apple's own GPU."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def is_installed(module: str) -> bool:
    """True if `module` could be imported; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def cpu_count() -> int:
    """Cores this process may use: the affinity mask, capped by the control group's quota."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = _control_group_cores(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, min(cores, quota or cores))


#: How processors call their instructions that add up products of 8-bit numbers: VNNI (one
#: instruction) and AVX2 (two) on x86, the dot products of Arm.
_BYTE_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "avx2", "asimddp"})


@functools.cache
def multiplies_bytes() -> bool:
    """Whether 8-bit convolutions are faster on this processor than those in single precision.

    With VNNI or Arm's dot products they are about four times as fast; with AVX2 alone, on a Zen 3,
    the 8-bit compact model took 0.76 of the other's time for a 1080p frame.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64" or _numpy_sees("AVX2")
    with contextlib.suppress(OSError):
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", CPU_INFO.read_text(), re.M)
        words = set(found[1].split()) if found else set()
        return not words.isdisjoint(_BYTE_PRODUCTS)
    return _numpy_sees("AVX2", "ASIMDDP")


def _numpy_sees(*features: str) -> bool:
    """Where there is no such file, as on Windows: what numpy found out for its own kernels."""
    try:
        kernels = importlib.import_module("numpy._core._multiarray_umath")
    except ImportError:
        return False
    found = getattr(kernels, "__cpu_features__", {})
    return any(found.get(feature, False) for feature in features)


def choose_threads(wanted: int | None, *, light: bool = False) -> int:
    """Threads for an engine: what was asked, else every core up to `MAX_THREADS`.

    A light network gets half of the cores: its layers take a tenth of a millisecond each, and
    waking another thread for one costs as much as it saves, while the stages beside it need a core.

    Args:
        wanted: what the user asked for.
        light: the network sees a small picture only.

    Raises:
        UsageError: fewer than one was asked for.
    """
    if wanted is None:
        cores = cpu_count()
        return min(max(1, cores // 2) if light else cores, MAX_THREADS)
    if wanted < 1:
        raise UsageError(f"threads must be at least 1, got {wanted}")
    return wanted


def _automatic() -> Device:
    if cuda_gpu_count():
        return Device("cuda", 0, "a CUDA GPU was found")
    if has_mps():
        return Device("mps", 0, "an Apple GPU was found")
    return Device("cpu", 0, "no CUDA GPU was found")


def _cuda(index: int) -> Device:
    count = cuda_gpu_count()
    if count == 0:
        raise DeviceError("no CUDA GPU was found; use --device cpu, or check nvidia-smi")
    if index >= count:
        raise DeviceError(f"there is no GPU cuda:{index}; this machine has cuda:0 to {count - 1}")
    return Device("cuda", index, f"cuda:{index} was asked for")


def _control_group_cores(quota_file: Path) -> int | None:
    try:
        quota, period = quota_file.read_text().split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):
        return None  # no control group, or "max": no limit
