"""`rvm doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from rvm import __version__
from rvm.cli import inventory, placement
from rvm.cli.options import Talk
from rvm.errors import DeviceError, ModelError

_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        state: "ok"; "warning": a part will not work, the rest will; "failed": nothing will.
        message: what was found, and what to do.
        exit_code: of the error that a run would end with; 0 unless failed.
    """

    what: str
    state: Literal["ok", "warning", "failed"]
    message: str
    exit_code: int = 0


def doctor_command(*, talk: Talk = Talk()) -> int:  # noqa: B008 (frozen)
    """Check versions, engines, encoders, the model, the virtual webcam and the cache.

    Then it says which part of a conversion (decoding, matting, compositing, encoding) runs where,
    and what would bring it to a GPU that is there.

    Exit code 0 means that rvm convert will work; a warning is about a part that is missing, such
    as the virtual webcam. Otherwise the exit code is that of the first thing that failed.
    """
    with talk.console() as console:
        parts = list(placement.parts())
        findings = [*examine(), *map(_placed, parts)]
        if talk.json:
            console.json(
                {
                    "rvm": __version__,
                    "findings": [asdict(finding) for finding in findings],
                    "versions": inventory.versions(),
                    "compute": inventory.accelerators(),
                    "placement": [asdict(part) for part in parts],
                }
            )
        else:
            for finding in findings:
                console.data(f"{finding.state:<8} {finding.what}: {finding.message}")
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def examine() -> Iterator[Finding]:
    """Look at everything, cheapest first."""
    yield _python()
    yield _libraries()
    yield _engines()
    yield _gpu()
    yield _model()
    yield _encoders()
    yield _webcam()
    yield _cache()


def _python() -> Finding:
    text = f"rvm {__version__}, Python {platform.python_version()}, {platform.platform()}"
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("python", "failed", f"{text}; Python 3.11 or later is needed", 1)
    return Finding("python", "ok", text)


def _libraries() -> Finding:
    found = inventory.versions()
    missing = [name for name in inventory.REQUIRED if found[name] is None]
    if missing:
        # OpenCV comes under several names; what counts is whether it can be imported.
        from rvm.device import is_installed

        missing = [
            name for name in missing if not (name == "opencv-python" and is_installed("cv2"))
        ]
    if missing:
        names = " ".join(missing)
        return Finding("libraries", "failed", f"missing: {names}; pip install {names}", 1)
    text = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    return Finding("libraries", "ok", text)


def _engines() -> Finding:
    names = inventory.engines()
    if not names:
        return Finding("engines", "failed", "none; pip install onnxruntime", DeviceError.exit_code)
    providers = ", ".join(inventory.execution_providers())
    return Finding(
        "engines", "ok", f"{', '.join(names)}; ONNX Runtime has {providers or 'nothing'}"
    )


def _gpu() -> Finding:
    from rvm.matting.load import torch_sees_cuda

    compute = inventory.accelerators()
    text = f"auto takes {compute['auto']}: {compute['reason']}"
    on_gpu = "CUDAExecutionProvider" in compute["providers"]
    if compute["cuda_gpus"] and not on_gpu and not torch_sees_cuda():
        return Finding(
            "compute",
            "warning",
            f"{text}, but ONNX Runtime is without CUDA; pip install onnxruntime-gpu",
        )
    return Finding("compute", "ok", text)


def _model() -> Finding:
    from rvm.matting.weights import find_model, read_verified

    try:
        located = find_model(None)
        data, _ = read_verified(located)
    except ModelError as error:
        return Finding("model", "failed", str(error), error.exit_code)
    return Finding(
        "model", "ok", f"{located.name}, {len(data) / 1e6:.1f} MB, sha256 is right: {located.path}"
    )


def _encoders() -> Finding:
    found = inventory.encoders()
    works = [name for name, problem in found.items() if not problem]
    if "x264" not in works:
        return Finding(
            "encoders", "warning", f"x264 does not open ({found.get('x264')}); give --codec"
        )
    hardware = [name for name in works if name.endswith("nvenc")]
    return Finding("encoders", "ok", f"{', '.join(works)}; {len(hardware)} in hardware")


def _webcam() -> Finding:
    problem = inventory.virtual_camera_problem()
    if problem is None:
        return Finding("webcam", "ok", "a virtual webcam is there")
    return Finding("webcam", "warning", f"{problem} (only rvm live --to virtualcam needs it)")


def _placed(part: placement.Part) -> Finding:
    """Where a part runs; a warning where a GPU that is there does not do it."""
    text = f"on {part.where}: {part.reason}"
    if part.advice:
        return Finding(part.name, "warning", f"{text}; {part.advice}")
    return Finding(part.name, "ok", text)


def _cache() -> Finding:
    from rvm.matting.weights import download_dir

    folder = download_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            "cache",
            "warning",
            f"{folder} cannot be written ({error.strerror}); set RVM_MODEL_DIR to pull models",
        )
    offline = ", RVM_OFFLINE is set" if os.environ.get("RVM_OFFLINE") else ""
    return Finding("cache", "ok", f"models are pulled to {folder}{offline}")
