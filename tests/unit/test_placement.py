"""`rvm doctor` says which part runs where, and what would bring it to the GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rvm import device, matting
from rvm.cli import placement
from rvm.device import Device
from rvm.errors import ModelError
from rvm.gpu import nvdec
from rvm.matting import load
from rvm.sinks import codecs

Engine = tuple[str, Device]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, placement.Part]]:
    """What is told about a machine with these things."""

    def told(
        engine: str,
        place: Device,
        *,
        torch: bool = True,
        cuda: bool = True,
        nvdec_problem: str = "",
        nvenc: str = "",
    ) -> dict[str, placement.Part]:
        on_gpu = engine == "torch" and place.kind == "cuda"
        monkeypatch.setattr(matting, "foresee", lambda: (engine, place, "compact"))
        monkeypatch.setattr(
            matting, "frame_device", lambda *_, **__: place.name if on_gpu else "cpu"
        )
        monkeypatch.setattr(device, "is_installed", lambda module: torch)
        monkeypatch.setattr(load, "torch_sees_cuda", lambda: cuda)
        monkeypatch.setattr(nvdec, "probe", lambda name: nvdec_problem)
        monkeypatch.setattr(codecs, "probe", lambda name: nvenc)
        found = {part.name: part for part in placement.parts()}
        assert list(found) == ["decode", "matting", "compositing", "encode"]
        return found

    return told


GPU = Device("cuda", 1, "cuda:1 was asked for")
Told = Callable[..., dict[str, placement.Part]]


def test_without_a_gpu_all_is_on_the_cpu_and_nothing_is_missing(machine: Told) -> None:
    parts = machine("onnxruntime", Device("cpu", 0, "no CUDA GPU was found"))
    assert {part.where for part in parts.values()} == {"cpu"}
    assert not any(part.advice for part in parts.values())
    assert parts["encode"].reason == "no CUDA GPU was found"


def test_with_torch_on_a_gpu_all_can_be_there(machine: Told) -> None:
    parts = machine("torch", GPU)
    assert [parts[name].where for name in ("decode", "matting", "compositing")] == ["cuda:1"] * 3
    assert "h264_nvenc" in parts["encode"].reason
    assert not any(part.advice for part in parts.values())


def test_what_keeps_frames_from_the_gpu_is_said(machine: Told) -> None:
    parts = machine("onnxruntime", GPU)
    assert parts["matting"].where == "cuda:1"
    for name in ("decode", "compositing"):
        assert parts[name].where == "cpu"
        assert parts[name].reason == "onnxruntime takes frames from main memory"
        assert "--model compact_torch" in parts[name].advice
    assert "pip install" in machine("onnxruntime", GPU, torch=False)["decode"].advice
    assert "made for CUDA" in machine("onnxruntime", GPU, cuda=False)["decode"].advice


def test_a_gpu_without_video_units_says_so(machine: Told) -> None:
    parts = machine("torch", GPU, nvdec_problem="its decoder does not take this", nvenc="no device")
    assert (parts["decode"].where, parts["compositing"].where) == ("cpu", "cuda:1")
    assert "NVDEC" in parts["decode"].advice
    assert "no device" in parts["encode"].reason
    assert "driver" in parts["encode"].advice


def test_a_machine_without_a_model_still_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Engine:
        raise ModelError("no model")

    monkeypatch.setattr(matting, "foresee", none)
    (part,) = placement.parts()
    assert part.reason == "it cannot run: no model"


def test_the_probe_of_the_decoder_tells_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.gpu_fakes import FakeNvdec

    monkeypatch.setattr(nvdec, "NvdecDecoder", lambda name: FakeNvdec())
    assert nvdec.probe("cuda:0") == ""
    monkeypatch.setattr(nvdec, "NvdecDecoder", lambda name: FakeNvdec(gives=0))
    assert "does not take" in nvdec.probe("cuda:0")


@pytest.mark.gpu
def test_this_machine_decodes_on_its_gpu() -> None:
    assert nvdec.probe("cuda:0") == ""
