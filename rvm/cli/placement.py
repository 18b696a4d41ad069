"""Which part of a conversion runs where on this machine, why, and what would change that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rvm.errors import RvmError

_TORCH = "pip install 'rvm-matting[torch]', which keeps frames on the GPU"
_TORCH_FOR_CUDA = "install a torch made for CUDA (https://pytorch.org), which keeps frames there"
_NVDEC = (
    "install NVIDIA's driver with its video libraries (NVDEC); a container sees them with "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a run.

    Attributes:
        name: "decode", "matting", "compositing" or "encode".
        where: "cpu", "cuda:0", "mps".
        reason: a clause saying why there.
        advice: what to do to have it on the GPU that is there; empty if it is, or there is none.
    """

    name: str
    where: str
    reason: str
    advice: str = ""


def parts() -> Iterator[Part]:
    """The parts in the order of travel, for `rvm convert` with nothing chosen."""
    from rvm.matting import foresee, frame_device

    try:
        engine, place, model = foresee()
    except RvmError as error:
        yield Part("matting", "cpu", f"it cannot run: {error}")
        return
    frames_at = frame_device(None, engine="auto", device="auto")
    advice = _advice(engine) if place.kind == "cuda" and frames_at == "cpu" else ""
    yield _decode(frames_at, engine, place.name, advice)
    yield Part("matting", place.name, f"{model} by {engine}; {place.reason}")
    if frames_at == "cpu":
        on_device = engine == "torch"  # Apple's GPU
        where = place.name if on_device else "cpu"
        yield Part("compositing", where, _hands_out(engine, place.name), advice)
    else:
        yield Part("compositing", frames_at, "frames and mattes are there")
    yield _encode(place.kind == "cuda")


def _decode(frames_at: str, engine: str, place: str, advice: str) -> Part:
    if frames_at == "cpu":
        return Part("decode", "cpu", _hands_out(engine, place), advice)
    from rvm.gpu.nvdec import probe

    problem = probe(frames_at)
    if problem:
        return Part("decode", "cpu", problem, _NVDEC)
    return Part(
        "decode",
        frames_at,
        "H.264, HEVC, VP8 and VP9 in 4:2:0 with 8 or 10 bits; others on the CPU",
    )


def _encode(has_gpu: bool) -> Part:
    from rvm.sinks.codecs import CODECS, probe

    if not has_gpu:
        return Part("encode", "cpu", "no CUDA GPU was found")
    names = [name for name, codec in CODECS.items() if codec.on_gpu]
    problems = {name: probe(name) for name in names}
    works = [name for name in names if not problems[name]]
    if works:
        return Part("encode", "cpu", f"unless --codec is one of {', '.join(works)}")
    return Part(
        "encode", "cpu", f"no NVENC encoder opens ({problems[names[0]]})",
        "update NVIDIA's driver, if this GPU has an encoder",
    )  # fmt: skip


def _hands_out(engine: str, place: str) -> str:
    """Why frames are where they are when they are not kept on a CUDA device."""
    if place == "cpu":
        return "matting runs there"
    if engine == "torch":
        return "frames go to the GPU from main memory"
    return f"{engine} takes frames from main memory"


def _advice(engine: str) -> str:
    from rvm.device import is_installed
    from rvm.matting import load

    if not is_installed("torch"):
        return _TORCH
    if not load.torch_sees_cuda():
        return _TORCH_FOR_CUDA
    if engine != "torch":
        return "choose --model compact_torch, which keeps frames on the GPU"
    return ""
