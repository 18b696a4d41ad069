"""The contract of `rvm.matting.base.Engine`, over every engine and every kind of model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest

from rvm.errors import ModelError
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame
from rvm.matting import ENGINES, load_engine, onnxruntime_engine
from rvm.matting.base import Engine
from tests import synth_models

ONNX_MODELS: dict[str, Callable[[], bytes]] = {
    "rvm": synth_models.rvm_model,
    "compact": synth_models.compact_model,
    "mask": synth_models.mask_model,
}
CASES = [
    "fake",
    *(f"{engine}-{model}" for engine in ("onnxruntime", "openvino") for model in ONNX_MODELS),
    "torch-rvm",
    "torch-compact",
]
FORMATS = ["yuv420p", "yuv422p10", "yuv444p12", "rgb24", "rgb48"]


def frame_of(
    width: int, height: int, name: str = "yuv420p", seed: int | None = 0, value: float = 0.5
) -> Frame:
    """A read-only frame of noise, or of one value where `seed` is None; its rows are padded."""
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(seed)
    planes = []
    for rows, columns, *rest in layout.plane_shapes(width, height):
        padded: npt.NDArray[Any] = np.full(
            (rows, columns + 7, *rest), int(value * layout.max_value)
        )
        if seed is not None:
            padded = random.integers(0, layout.max_value + 1, padded.shape)
        plane = padded.astype(layout.dtype)[:, :columns]
        plane.flags.writeable = False
        planes.append(plane)
    colour = SRGB if layout.family == "rgb" else ColourTags()
    return Frame(tuple(planes), layout, width, height, 0, Fraction(1, 30), colour=colour)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes each tiny or random model once."""
    folder = tmp_path_factory.mktemp("models")

    def write(case: str) -> Path:
        engine, _, model = case.partition("-")
        path = folder / f"{model}.{'safetensors' if engine == 'torch' else 'onnx'}"
        if not path.exists():
            if engine == "torch":
                _save_random_network(model, path)
            else:
                path.write_bytes(ONNX_MODELS[model]())
        return path

    return write


def _save_random_network(model: str, path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    if model == "rvm":
        from rvm.network import build_mobilenetv3

        save_file(build_mobilenetv3().state_dict(), str(path))
    else:
        from rvm.network.compact import CompactMatting

        network = CompactMatting()
        widths = {k: " ".join(map(str, v)) for k, v in asdict(network.config).items()}
        save_file(network.state_dict(), str(path), widths)


def open_case(case: str, weights: Callable[[str], Path]) -> Engine:
    if case == "fake":
        return load_engine("fake")
    name = case.partition("-")[0]
    pytest.importorskip(name)
    return load_engine(weights(case), engine=name, device="cpu", threads=1)


@pytest.fixture(scope="module", params=CASES)
def engine(request: pytest.FixtureRequest, weights: Callable[[str], Path]) -> Iterator[Engine]:
    """One engine for all tests of a case: engines remember nothing."""
    opened = open_case(str(request.param), weights)
    yield opened
    opened.close()


def test_every_registered_engine_is_here() -> None:
    # TensorRT is ONNX Runtime with one more provider and needs its GPU.
    assert {case.partition("-")[0] for case in CASES} == {*ENGINES, "fake"} - {"tensorrt"}


@pytest.mark.parametrize("name", FORMATS)
def test_the_matte_has_the_size_of_the_frame(engine: Engine, name: str) -> None:
    frame = engine.upload(frame_of(66, 50, name))
    matte, _ = engine.step(frame, None)
    assert matte.alpha.shape == (50, 66)
    assert matte.alpha.dtype == np.uint8
    if matte.foreground_residual is not None:
        assert matte.foreground_residual.shape[2] == 3
        assert matte.foreground_residual.dtype == np.float32
        assert np.isfinite(matte.foreground_residual).all()


@pytest.mark.parametrize(("width", "height"), [(16, 16), (61, 33), (35, 130), (300, 17)])
def test_odd_small_and_long_sizes(engine: Engine, width: int, height: int) -> None:
    matte, state = engine.step(engine.upload(frame_of(width, height)), None)
    assert matte.alpha.shape == (height, width)
    matte, _ = engine.step(engine.upload(frame_of(width, height, seed=1)), state)
    assert matte.alpha.shape == (height, width)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_frames(engine: Engine, value: float) -> None:
    state = None
    for _ in range(3):
        matte, state = engine.step(frame_of(64, 48, seed=None, value=value), state)
        assert matte.alpha.shape == (48, 64)


def test_step_is_a_pure_function_of_frame_and_state(engine: Engine) -> None:
    frames = [frame_of(64, 48, seed=seed) for seed in range(3)]
    _, first = engine.step(frames[0], None)
    second, state = engine.step(frames[1], first)
    kept = second.alpha.copy()
    engine.step(frames[2], state)
    engine.step(frames[2], None)
    again, _ = engine.step(frames[1], first)
    np.testing.assert_array_equal(again.alpha, kept)
    np.testing.assert_array_equal(second.alpha, kept)  # later steps left the old matte alone


def test_a_state_of_another_size_is_refused(engine: Engine) -> None:
    _, state = engine.step(frame_of(64, 48), None)
    with pytest.raises(ModelError, match="64x48 frames, got 48x64"):
        engine.step(frame_of(48, 64), state)


def test_a_state_of_another_engine_is_refused(engine: Engine) -> None:
    other = load_engine("fake")
    _, state = other.step(frame_of(64, 48), None)
    with pytest.raises(ModelError, match="not this engine's"):
        engine.step(frame_of(64, 48), state)


def test_it_says_what_runs_where_and_why(engine: Engine) -> None:
    info = engine.info
    assert all((info.model, info.engine, info.provider, info.reason))
    assert info.device == "cpu"
    assert info.precision == "fp32"


def test_a_frame_on_the_cpu_stays_where_it_is(engine: Engine) -> None:
    frame = frame_of(64, 48)
    assert engine.upload(frame) is frame


@pytest.mark.parametrize("case", CASES)
def test_close_twice_and_then_refuse(case: str, weights: Callable[[str], Path]) -> None:
    engine = open_case(case, weights)
    engine.close()
    engine.close()
    if case != "fake":
        with pytest.raises(ModelError, match="closed"):
            engine.step(frame_of(64, 48), None)


GRAPH_ENGINES = ["onnxruntime", "openvino"]


def open_graph(engine: str, data: bytes, folder: Path, **options: Any) -> Engine:
    pytest.importorskip(engine)
    path = folder / "tiny.onnx"
    path.write_bytes(data)
    return load_engine(path, engine=engine, device="cpu", **options)


@pytest.mark.parametrize("engine_name", GRAPH_ENGINES)
class TestGraphEngines:
    """Mattes worked out by hand, see `synth_models`."""

    def test_alpha_is_rounded_and_the_state_is_carried(
        self, engine_name: str, tmp_path: Path
    ) -> None:
        engine = open_graph(engine_name, synth_models.rvm_model(), tmp_path)
        grey = frame_of(32, 24, "rgb24", seed=None, value=208 / 255)
        state, alphas = None, []
        for _ in range(4):
            matte, state = engine.step(grey, state)
            alphas.append(int(matte.alpha[11, 7]))
            assert matte.foreground_residual is not None
            assert abs(matte.foreground_residual).max() < 1e-6
        assert alphas == [104, 156, 182, 195]  # 208 * (1/2, 3/4, 7/8, 15/16)

    def test_the_compact_contract_takes_luma_from_the_frame(
        self, engine_name: str, tmp_path: Path
    ) -> None:
        engine = open_graph(engine_name, synth_models.compact_model(), tmp_path)
        plane = np.full((48, 64), 16 + 110, np.uint8)  # limited range: Y = 110/219
        chroma = np.full((24, 32), 128, np.uint8)
        frame = Frame((plane, chroma, chroma), PIXEL_FORMATS["yuv420p"], 64, 48)
        matte, state = engine.step(frame, None)
        assert matte.alpha.min() == matte.alpha.max() == 96  # (1/2 + 1/4) * 110/219 * 255 = 96.06
        matte, _ = engine.step(frame, state)
        assert matte.alpha.min() == matte.alpha.max() == 112  # (1/2 + 3/8) * ... = 112.07
        assert matte.foreground_residual is not None
        assert matte.foreground_residual.shape == (32, 48, 3)  # half of 96x64, the frame enlarged
        # One colour everywhere: person and place have the same. What the file gives is not asked.
        np.testing.assert_allclose(matte.foreground_residual, 0, atol=1e-6)

    def test_values_that_are_no_numbers_do_not_last(
        self, engine_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        data = synth_models.rvm_model(alpha_factor=float("nan"))
        engine = open_graph(engine_name, data, tmp_path)
        matte, _ = engine.step(frame_of(32, 24), None)
        assert matte.alpha.max() == 0
        assert matte.foreground_residual is not None
        assert np.isfinite(matte.foreground_residual).all()

    def test_a_model_of_fixed_size_takes_that_size_only(
        self, engine_name: str, tmp_path: Path
    ) -> None:
        data = synth_models.rvm_model(ratio_input=False, size=(32, 24))
        engine = open_graph(engine_name, data, tmp_path)
        matte, _ = engine.step(frame_of(32, 24), None)
        assert matte.alpha.shape == (24, 32)
        with pytest.raises(ModelError, match="fixed to 32x24 frames, got 64x48"):
            engine.step(frame_of(64, 48), None)

    def test_a_changed_size_is_taken_with_a_fresh_state(
        self, engine_name: str, tmp_path: Path
    ) -> None:
        engine = open_graph(engine_name, synth_models.compact_model(), tmp_path)
        for width, height in [(64, 48), (130, 70), (64, 48)]:
            matte, _ = engine.step(frame_of(width, height), None)
            assert matte.alpha.shape == (height, width)

    def test_preparing_leaves_no_trace_in_the_mattes(
        self, engine_name: str, tmp_path: Path
    ) -> None:
        engine = open_graph(engine_name, synth_models.compact_model(), tmp_path)
        frame = frame_of(64, 48)
        fresh, _ = engine.step(frame, None)
        engine.prepare(frame_of(130, 70))
        engine.prepare(frame)
        again, _ = engine.step(frame, None)
        np.testing.assert_array_equal(fresh.alpha, again.alpha)

    def test_a_small_peer_is_scaled_to_the_frame(self, engine_name: str, tmp_path: Path) -> None:
        engine = open_graph(engine_name, synth_models.mask_model(), tmp_path)
        matte, state = engine.step(frame_of(100, 80, "rgb24", seed=None, value=0.8), None)
        assert matte.alpha.min() == matte.alpha.max() == 204
        assert matte.foreground_residual is None
        engine.step(frame_of(100, 80), state)


def test_onnx_runtime_says_nothing_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(synth_models.rvm_model())
    code = f"from rvm.matting import load_engine; load_engine({str(path)!r}, engine='onnxruntime')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""


def test_openvino_has_compiled_for_the_size_before_the_first_frame(tmp_path: Path) -> None:
    engine: Any = open_graph("openvino", synth_models.compact_model(), tmp_path)
    engine.prepare(frame_of(64, 48))
    core = Mock(wraps=engine._runner._core)
    engine._runner._core = core
    engine.step(frame_of(64, 48), None)
    core.compile_model.assert_not_called()
    engine.step(frame_of(130, 70), None)
    core.compile_model.assert_called_once()


def test_onnx_runtime_has_a_session_for_the_size_before_the_first_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = load_engine(engine="onnxruntime", device="cpu")
    opened = Mock(wraps=onnxruntime_engine._open)
    monkeypatch.setattr(onnxruntime_engine, "_open", opened)
    engine.prepare(frame_of(640, 480))
    opened.assert_called_once()
    engine.step(frame_of(640, 480), None)
    opened.assert_called_once()
    engine.step(frame_of(360, 640), None)
    assert opened.call_count == 2


def test_openvino_reports_nothing_home() -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys; from rvm.matting.openvino_engine import import_openvino; import_openvino();"
        "print('openvino_telemetry' in sys.modules, 'openvino' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
    assert done.stderr == ""


def test_a_smaller_network_picture_goes_on_with_the_memory(engine: Engine) -> None:
    frame = frame_of(192, 128)
    _, state = engine.step(frame, None)
    try:
        for scale in (*engine.scales, *reversed(engine.scales)):
            engine.rescale(scale)
            matte, state = engine.step(frame, state)
            assert matte.alpha.shape == (128, 192)
            assert state is not None
            found = engine.coefficients(state)
            assert found is None or found.scale.shape == found.offset.shape
    finally:
        engine.rescale(1.0)
    with pytest.raises(ValueError, match="expected one of"):
        engine.rescale(0.123)
