"""Choosing an engine and a device, and saying why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rvm import device
from rvm.device import Device, choose_device, choose_precision, choose_threads
from rvm.errors import DeviceError, ModelError, UsageError
from rvm.frame import PIXEL_FORMATS, Frame
from rvm.matting import available_engines, load, load_engine
from rvm.matting.fake import FakeEngine
from rvm.matting.weights import find_model
from tests import synth_models


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cuda_gpu_count", lambda: 0)
    monkeypatch.setattr(device, "has_mps", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cuda_gpu_count", lambda: 2)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(synth_models.rvm_model())
    return path


class TestDevice:
    @pytest.mark.usefixtures("no_gpu")
    def test_without_a_gpu(self) -> None:
        assert choose_device("auto") == Device("cpu", 0, "no CUDA GPU was found")
        assert choose_device("CPU").name == "cpu"
        with pytest.raises(DeviceError, match="no CUDA GPU"):
            choose_device("cuda")
        with pytest.raises(DeviceError, match="Apple"):
            choose_device("mps")

    @pytest.mark.usefixtures("two_gpus")
    def test_with_two_gpus(self) -> None:
        assert choose_device("auto").name == "cuda:0"
        assert choose_device("cuda:1").name == "cuda:1"
        with pytest.raises(DeviceError, match="cuda:0 to 1"):
            choose_device("cuda:2")

    def test_an_apple_gpu_comes_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device, "cuda_gpu_count", lambda: 0)
        monkeypatch.setattr(device, "has_mps", lambda: True)
        assert choose_device("auto").name == "mps"

    @pytest.mark.parametrize("word", ["", "gpu", "cpu:1", "mps:0", "cuda:", "cuda:-1", "cuda:x"])
    def test_other_words_are_refused(self, word: str) -> None:
        with pytest.raises(UsageError, match="unknown device"):
            choose_device(word)

    def test_precision(self) -> None:
        assert choose_precision("auto", Device("cpu")) == "fp32"
        assert choose_precision("auto", Device("cuda")) == "fp16"
        assert choose_precision("bf16", Device("cpu")) == "bf16"
        with pytest.raises(UsageError, match="fp64"):
            choose_precision("fp64", Device("cpu"))

    def test_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device, "cpu_count", lambda: 64)
        assert choose_threads(None) == device.MAX_THREADS
        assert choose_threads(None, light=True) == device.MAX_THREADS
        assert choose_threads(3) == choose_threads(3, light=True) == 3
        with pytest.raises(UsageError):
            choose_threads(0)
        monkeypatch.setattr(device, "cpu_count", lambda: 2)
        assert (choose_threads(None), choose_threads(None, light=True)) == (2, 1)

    def test_byte_products_are_read_from_the_flags(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        for line, expected in (
            ("flags\t\t: fpu avx2 avx512_vnni", True),
            ("flags\t\t: fpu avx2 avx_vnni fma", True),
            ("flags\t\t: fpu avx avx2 fma", True),
            ("flags\t\t: fpu sse4_2 avx", False),
            ("Features\t: fp asimd asimddp", True),
            ("Features\t: fp asimd", False),
        ):
            (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
            monkeypatch.setattr(device, "CPU_INFO", tmp_path / "cpuinfo")
            device.multiplies_bytes.cache_clear()
            assert device.multiplies_bytes() is expected
        device.multiplies_bytes.cache_clear()

    def test_a_control_group_counts(self, tmp_path: Path) -> None:
        quota = tmp_path / "cpu.max"
        for text, cores in (("150000 100000", 2), ("50000 100000", 1), ("max 100000", None)):
            quota.write_text(text + "\n")
            assert device._control_group_cores(quota) == cores
        assert device._control_group_cores(tmp_path / "absent") is None
        assert device.cpu_count() >= 1

    def test_looking_for_a_gpu_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from rvm.device import choose_device; choose_device('auto');"
            "print([m for m in ('torch', 'onnxruntime', 'cv2', 'numpy') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestChoice:
    @pytest.mark.usefixtures("no_gpu")
    def test_onnx_runs_on_onnx_runtime_and_says_why(self, tiny: Path) -> None:
        info = load_engine(tiny).info
        assert (info.engine, info.device, info.provider) == (
            "onnxruntime", "cpu", "CPUExecutionProvider",
        )  # fmt: skip
        assert info.reason == "it runs ONNX models; no CUDA GPU was found"

    def test_asking_is_a_reason(self, tiny: Path) -> None:
        info = load_engine(tiny, engine="onnxruntime", device="cpu").info
        assert info.reason == "it was asked for; cpu was asked for"

    def test_an_unknown_engine_gets_the_nearest(self, tiny: Path) -> None:
        with pytest.raises(UsageError, match="did you mean onnxruntime"):
            load_engine(tiny, engine="onxruntime")

    def test_an_engine_that_cannot_open_the_file(self, tiny: Path) -> None:
        with pytest.raises(ModelError, match="opens safetensors, pth"):
            load_engine(tiny, engine="torch", device="cpu")

    def test_an_engine_that_is_not_installed(
        self, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(load, "is_installed", lambda module: False)
        assert available_engines() == ()
        with pytest.raises(UsageError, match=r"rvm-matting\[openvino\]"):
            load_engine(tiny, engine="openvino", device="cpu")

    @pytest.mark.usefixtures("two_gpus")
    def test_a_gpu_that_cannot_be_used_falls_back_when_automatic(
        self, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rvm.matting import onnxruntime_providers

        monkeypatch.setattr(
            onnxruntime_providers, "available_providers", lambda: ("CPUExecutionProvider",)
        )
        engine = load_engine(tiny, engine="onnxruntime")
        assert engine.info.device == "cpu"
        assert "cuda:0 could not be used" in engine.info.reason
        with pytest.raises(DeviceError, match="no CUDA"):
            load_engine(tiny, engine="onnxruntime", device="cuda")

    @pytest.mark.usefixtures("two_gpus")
    @pytest.mark.parametrize(("sees", "engine"), [(True, "torch"), (False, "onnxruntime")])
    @pytest.mark.parametrize("wanted", [None, "compact_quality"])
    def test_on_a_gpu_our_models_take_their_torch_twins(
        self, monkeypatch: pytest.MonkeyPatch, wanted: str | None, sees: bool, engine: str
    ) -> None:
        monkeypatch.setattr(load, "torch_sees_cuda", lambda: sees)
        expected = "compact_torch" if sees else wanted or "compact"
        name, place, twin = load.foresee(wanted, device="cuda:1")
        assert twin == expected
        assert (name, place.name) == (engine, "cuda:1")
        model, _, reason = load._pick(find_model(wanted), place)
        assert model.name == expected
        assert model.entry is not None
        assert model.entry.far_share == (0.4 if wanted or sees else None)
        assert ("stay on the GPU" in reason) == sees

    @pytest.mark.usefixtures("no_gpu")
    @pytest.mark.parametrize(("fast", "name"), [(True, "compact_int8"), (False, "compact")])
    def test_the_default_model_takes_its_8_bit_twin_where_that_is_faster(
        self, monkeypatch: pytest.MonkeyPatch, fast: bool, name: str
    ) -> None:
        monkeypatch.setattr(load, "multiplies_bytes", lambda: fast)
        info = load_engine().info
        assert (info.model, info.engine) == (name, "onnxruntime")
        assert ("8-bit" in info.reason) == fast
        assert load.foresee().model == name
        assert load_engine("compact", engine="onnxruntime").info.model == "compact"

    @pytest.mark.parametrize("ratio", [0.0, -1.0, 1.5])
    def test_a_wrong_ratio_is_refused(self, tiny: Path, ratio: float) -> None:
        with pytest.raises(UsageError, match="downsample_ratio"):
            load_engine(tiny, device="cpu", downsample_ratio=ratio)

    def test_a_ratio_for_a_model_that_has_its_own_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "fixed.onnx"
        path.write_bytes(synth_models.rvm_model(ratio_input=False))
        with pytest.raises(UsageError, match="built in"):
            load_engine(path, device="cpu", downsample_ratio=0.5)

    def test_a_graph_of_no_known_contract_is_refused(self, tmp_path: Path) -> None:
        import onnx

        model = onnx.load_from_string(synth_models.rvm_model())
        model.graph.input[0].name = "picture"
        path = tmp_path / "other.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="no matting model that rvm knows: inputs picture"):
            load_engine(path, device="cpu")

    def test_tensorrt_wants_a_fixed_ratio(self, tiny: Path) -> None:
        from rvm.matting.onnxruntime_engine import open_onnxruntime

        with pytest.raises(ModelError, match=r"tools/export\.py"):
            open_onnxruntime(tiny.read_bytes(), name="t", device=Device("cuda"), tensorrt=True)

    @pytest.mark.parametrize("suffix", ["safetensors", "pth"])
    def test_damaged_torch_weights_are_refused_in_one_line(
        self, tmp_path: Path, suffix: str
    ) -> None:
        pytest.importorskip("torch")
        path = tmp_path / f"bad.{suffix}"
        path.write_bytes(b"\x80\x04 rubbish that is neither")
        with pytest.raises(ModelError, match=r"cannot be loaded") as caught:
            load_engine(path, device="cpu")
        assert "\n" not in str(caught.value)

    def test_a_pickle_that_runs_code_is_refused(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")
        path = tmp_path / "evil.pth"
        marker = tmp_path / "ran"
        torch.save({"a": _Touch(str(marker))}, path)
        with pytest.raises(ModelError, match="cannot be loaded"):
            load_engine(path, device="cpu")
        assert not marker.exists()


class _Touch:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self.path, "w"))


class TestFake:
    def test_settings(self) -> None:
        engine = load_engine("fake:shape=luma,fail_at=1")
        plane = np.arange(12, dtype=np.uint8).reshape(3, 4)
        grey = np.zeros((2, 2), np.uint8)
        frame = Frame((plane, grey, grey), PIXEL_FORMATS["yuv420p"], 4, 3)
        matte, state = engine.step(frame, None)
        np.testing.assert_array_equal(matte.alpha, plane)
        with pytest.raises(ModelError, match="step 1"):
            engine.step(frame, state)

    def test_the_ellipse_is_opaque_inside_and_soft_at_its_edge(self) -> None:
        grey = np.zeros((45, 80), np.uint8)
        frame = Frame(
            (np.zeros((90, 160), np.uint8), grey, grey), PIXEL_FORMATS["yuv420p"], 160, 90
        )
        alpha = FakeEngine().step(frame, None)[0].alpha
        assert alpha[45, 80] == 255
        assert alpha[0, 0] == 0
        assert ((alpha > 0) & (alpha < 255)).any()

    @pytest.mark.parametrize("spec", ["fake:nonsense=1", "fake:delay_ms=x", "fake:shape=square"])
    def test_wrong_settings(self, spec: str) -> None:
        with pytest.raises(UsageError, match="fake"):
            load_engine(spec)
