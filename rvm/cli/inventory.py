"""What this machine has: cameras, virtual webcams, GPUs, engines, encoders, versions."""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib import metadata
from typing import Any

#: Distributions whose versions matter in a bug report; the second half is optional.
REQUIRED = ("numpy", "av", "opencv-python", "pyvirtualcam", "cyclopts", "rich", "platformdirs")
OPTIONAL = ("torch", "openvino", "scikit-image")
#: Either of these gives the module onnxruntime.
ONNX_RUNTIMES = ("onnxruntime-gpu", "onnxruntime", "onnxruntime-openvino")


def versions() -> dict[str, str | None]:
    """Installed version of every library that matters, None where it is not installed."""
    return {name: _version(name) for name in (*REQUIRED, *ONNX_RUNTIMES, *OPTIONAL)}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cameras() -> list[dict[str, Any]]:
    """Cameras to film with: number, name, path."""
    from rvm.sources.camera import list_cameras

    virtual = {camera["path"] for camera in virtual_cameras()}
    return [asdict(camera) for camera in list_cameras() if camera.path not in virtual]


def virtual_cameras() -> list[dict[str, str]]:
    """Virtual webcams to show pictures on, where the system lists them (Linux)."""
    from rvm.sinks.virtual_camera import list_webcams

    return list_webcams()


def virtual_camera_problem() -> str | None:
    """Why `rvm live` cannot show pictures on a virtual webcam, with what to do; None if it can.

    On Linux the devices are looked up; elsewhere one is opened and closed for a moment.
    """
    from rvm.errors import DeviceError
    from rvm.sinks.virtual_camera import install_advice, look_up_webcam

    try:
        look_up_webcam()
    except DeviceError as error:
        return str(error)
    if sys.platform.startswith("linux"):
        return None
    try:
        import pyvirtualcam

        pyvirtualcam.Camera(640, 480, 30).close()
    except (ImportError, RuntimeError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        return f"no virtual webcam ({reason}); {install_advice()}"
    return None


def accelerators() -> dict[str, Any]:
    """GPUs, and which of them the installed libraries can use."""
    from rvm.device import choose_device, cuda_gpu_count, has_mps

    chosen = choose_device("auto")
    return {
        "cuda_gpus": cuda_gpu_count(),
        "apple_gpu": has_mps(),
        "auto": chosen.name,
        "reason": chosen.reason,
        "providers": execution_providers(),
    }


def execution_providers() -> list[str]:
    """What ONNX Runtime was built with, best first; empty without ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError:
        return []
    return [str(name) for name in onnxruntime.get_available_providers()]


def engines() -> list[str]:
    """Engines whose libraries are installed."""
    from rvm.matting import available_engines

    return list(available_engines())


def encoders() -> dict[str, str]:
    """Codec name -> empty if it opens on this machine, else why not."""
    from rvm.sinks.codecs import CODECS, probe

    return {name: probe(name) for name in CODECS}
