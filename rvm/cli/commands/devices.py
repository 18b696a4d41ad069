"""`rvm devices`: what there is to film with, to compute on and to write to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rvm.cli import inventory
from rvm.cli.options import Talk


def devices_command(*, talk: Talk = Talk()) -> int:  # noqa: B008 (frozen)
    """List cameras, virtual webcams, GPUs, engines and encoders. No camera is switched on."""
    with talk.console() as console:
        found: dict[str, Any] = {
            "cameras": inventory.cameras(),
            "virtual_cameras": inventory.virtual_cameras(),
            "virtual_camera_problem": inventory.virtual_camera_problem(),
            "compute": inventory.accelerators(),
            "engines": inventory.engines(),
            "encoders": inventory.encoders(),
        }
        if talk.json:
            console.json(found)
        else:
            console.data("\n".join(_lines(found)))
    return 0


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "Cameras (rvm live --camera NUMBER)"
    for camera in found["cameras"]:
        yield f"  {camera['number']}  {camera['name']}  {camera['path'] or ''}".rstrip()
    if not found["cameras"]:
        yield "  none was found; rvm live --camera CLIP plays a file instead"
    yield "Virtual webcams (rvm live --to virtualcam:DEVICE)"
    for camera in found["virtual_cameras"]:
        yield f"  {camera['path']}  {camera['name']}"
    if found["virtual_camera_problem"]:
        yield f"  {found['virtual_camera_problem']}"
    compute = found["compute"]
    yield "Compute (--device)"
    yield f"  auto takes {compute['auto']}: {compute['reason']}"
    yield f"  CUDA GPUs: {compute['cuda_gpus']}"
    yield f"  engines: {', '.join(found['engines']) or 'none'}"
    yield f"  ONNX Runtime providers: {', '.join(compute['providers']) or 'none'}"
    yield "Encoders (--codec)"
    works = [name for name, problem in found["encoders"].items() if not problem]
    yield f"  {', '.join(works) or 'none'}"
    for name, problem in found["encoders"].items():
        if problem:
            yield f"  not here: {name} ({problem})"
