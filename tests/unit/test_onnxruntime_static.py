"""ONNX graphs with fixed shapes on buffers that stay: the same mattes, and nothing made anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm.device import Device
from rvm.errors import DeviceError, ModelError
from rvm.frame import YUV420P, Frame
from rvm.gpu import capturing
from rvm.matting import onnxruntime_engine, onnxruntime_providers
from rvm.matting.graph import GraphEngine
from rvm.matting.onnxruntime_engine import OnnxRuntimeRunner
from rvm.matting.onnxruntime_providers import providers_for
from rvm.matting.weights import find_model, read_verified
from tests import synth_models

CPU = Device("cpu")


def frames(count: int, width: int = 160, height: int = 96) -> list[Frame]:
    """A bright box that wanders over a gradient."""
    made = []
    for index in range(count):
        luma = np.tile(np.linspace(30, 120, width), (height, 1))
        luma[20:80, 20 + 5 * index : 80 + 5 * index] = 200
        planes = [luma.astype(np.uint8)]
        planes += [np.full((height // 2, width // 2), 110 + 20 * i, np.uint8) for i in (0, 1)]
        made.append(Frame(tuple(planes), YUV420P, width, height, pts=index))
    return made


def engine_of(runner: OnnxRuntimeRunner, entry: Any = None) -> GraphEngine:
    return GraphEngine(runner, name="test", engine="onnxruntime", entry=entry)


def compact(focus: bool = False, **options: Any) -> tuple[GraphEngine, OnnxRuntimeRunner]:
    """The model that ships, on small frames; with `focus` its picture follows the people."""
    data, entry = read_verified(find_model(None))
    assert entry is not None
    runner = OnnxRuntimeRunner(data, "compact", options.pop("device", CPU), 1, **options)
    engine = engine_of(runner, replace(entry, long_side=128))
    if not focus:
        engine._focus = None
    return engine, runner


@pytest.fixture
def static() -> Iterator[tuple[GraphEngine, OnnxRuntimeRunner]]:
    """With fixed shapes, on the CPU, where a run takes the option for graphs and ignores it."""
    engine, runner = compact(static=True)
    runner._capture = True
    yield engine, runner
    engine.close()


def mattes(engine: GraphEngine, pictures: list[Frame]) -> list[Any]:
    state, found = None, []
    for picture in pictures:
        matte, state = engine.step(picture, state)
        found.append((matte.alpha.copy(), np.asarray(matte.foreground_residual).copy()))
    return found


def graph_of(runner: OnnxRuntimeRunner) -> Any:
    (graph,) = runner._graphs.values()
    return graph


def test_the_same_as_with_free_shapes(static: Any) -> None:
    engine, _ = static
    free, _ = compact()
    for got, wanted in zip(mattes(engine, frames(5)), mattes(free, frames(5)), strict=True):
        assert np.abs(got[0].astype(int) - wanted[0]).max() <= 1
        np.testing.assert_allclose(got[1], wanted[1], atol=1e-4)


def test_a_stream_takes_turns_with_two_sets_of_buffers(static: Any) -> None:
    engine, runner = static
    mattes(engine, frames(6))
    graph = graph_of(runner)
    assert len(graph._sets) == 2
    assert set(graph._bindings) == {(0, 1), (1, 0)}
    before = {name: value.data_ptr() for name, value in graph._inputs.items()}
    mattes(engine, frames(3))
    assert graph_of(runner) is graph
    assert {name: value.data_ptr() for name, value in graph._inputs.items()} == before
    assert len(graph._sets) == 2


def test_each_pair_of_sets_has_a_graph_of_its_own(static: Any) -> None:
    engine, runner = static
    mattes(engine, frames(4))
    numbers = {
        options.get_run_config_entry("gpu_graph_id")
        for _, options in graph_of(runner)._bindings.values()
    }
    assert len(numbers) == 2
    assert not numbers & {"0", "-1"}


def test_a_state_that_is_kept_is_never_written_over(static: Any) -> None:
    engine, runner = static
    pictures = frames(9)
    kept, state = [], None
    for picture in pictures:
        _, state = engine.step(picture, state)
        kept.append((state, [tensor.numpy().copy() for tensor in state.tensors]))
    assert len(graph_of(runner)._sets) == 4  # the others have buffers of their own
    for each, values in kept:
        for tensor, value in zip(each.tensors, values, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), value)
    first, _ = engine.step(pictures[1], kept[0][0])
    wanted = mattes(compact()[0], pictures[:2])[1][0]
    assert np.abs(first.alpha.astype(int) - wanted).max() <= 1
    for number in (3, 7):  # a set of a captured graph, and one without
        again, _ = engine.step(pictures[number + 1], kept[number][0])
        assert again.alpha.any()


def test_a_state_of_another_size_of_the_network_still_fits(static: Any) -> None:
    engine, runner = static
    _, state = engine.step(frames(1)[0], None)
    engine.rescale(engine.scales[-1])
    for picture in frames(3):
        matte, state = engine.step(picture, state)
        assert matte.alpha.shape == (96, 160)
    assert len(runner._graphs) == 2


@pytest.mark.parametrize("fixed", [True, False])
def test_a_state_says_its_shapes(fixed: bool) -> None:
    engine, _ = compact(static=fixed)
    _, state = engine.step(frames(1)[0], None)
    assert repr(state).startswith("RecurrentState(160x96: 1x")
    engine.close()


def test_a_few_sizes_are_kept(static: Any) -> None:
    engine, runner = static
    for width in (160, 224, 288, 352, 160):
        engine.step(frames(1, width)[0], None)
    assert len(runner._graphs) == 3


@pytest.mark.parametrize("where", ["open", "run", "memory"])
def test_what_cannot_be_captured_runs_without(
    static: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runner = static
    really_open, refused = onnxruntime_engine._open, []

    class Refuses:
        """A session that runs nothing."""

        def __init__(self, session: Any) -> None:
            self.io_binding = session.io_binding

        def run_with_iobinding(self, *_: Any) -> None:
            if where == "memory":  # an allocation that is not allowed while capturing says so
                raise ValueError("BFCArena::AllocateRawInternal Failed to allocate memory")
            raise ValueError("this cannot be captured")

    def opened(data: bytes, name: str, providers: Any, threads: int, sizes: Any = None) -> Any:
        session = really_open(data, name, providers, threads, sizes)
        if sizes is None or not runner._capture:
            return session
        refused.append(where)
        if where == "open":
            raise ModelError("not all nodes can be captured")
        return Refuses(session)

    monkeypatch.setattr(onnxruntime_engine, "_open", opened)
    got = mattes(engine, frames(3))
    assert refused == [where]
    assert not runner._capture
    assert np.abs(got[2][0].astype(int) - mattes(compact()[0], frames(3))[2][0]).max() <= 1


def test_no_encoder_opens_while_a_graph_is_captured(
    static: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runner = static
    really, held = runner._execute, []

    def execute(*arguments: Any) -> None:
        held.append(capturing.LOCK.locked())
        really(*arguments)

    monkeypatch.setattr(runner, "_execute", execute)
    mattes(engine, frames(12))
    # Two sets of buffers in turn, from a third one; each pair's first runs may capture.
    assert all(held[:8])
    assert not any(held[-2:])


def test_graphs_are_captured_by_builds_that_replay_them_rightly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for version, right in (("1.30.2", False), ("1.31.0", True), ("2.0.0", True)):
        monkeypatch.setattr("onnxruntime.__version__", version)
        assert onnxruntime_providers.captures_rightly() is right


def test_tensorrt_that_does_not_load_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_engine, "providers_for", lambda *_: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="could not load TensorRT 10"):
        OnnxRuntimeRunner(synth_models.compact_model(), "tiny", Device("cuda"), 1, tensorrt=True)


def test_dimensions_without_a_name_stay_free() -> None:
    runner = OnnxRuntimeRunner(synth_models.compact_model(), "tiny", CPU, 1, static=True)
    engine = engine_of(runner)
    assert mattes(engine, frames(2))[1][0].shape == (96, 160)
    assert not runner.compiles_by_shape


def test_a_ratio_as_input_keeps_shapes_free() -> None:
    runner = OnnxRuntimeRunner(synth_models.rvm_model(), "tiny", CPU, 1, static=True)
    assert not runner.compiles_by_shape


@pytest.mark.parametrize("focus", [False, True])
def test_too_little_memory_makes_the_picture_smaller_once(
    focus: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine, _ = compact(focus=focus, static=True)  # nobody is there: it would look closely
    really = engine._runner.run
    sizes: list[int] = []

    def run(feeds: Any, *rest: Any) -> Any:
        sizes.append(feeds["src_small"].shape[-1])
        if sizes[-1] > 100:
            cause = RuntimeError("Failed to allocate memory for requested buffer of size 9")
            raise DeviceError("CUDAExecutionProvider failed: memory") from cause
        return really(feeds, *rest)

    monkeypatch.setattr(engine._runner, "run", run)
    assert len(mattes(engine, frames(3))) == 3
    assert sizes[0] > 100
    assert len([size for size in sizes if size <= 100]) == 3
    assert len([r for r in caplog.records if "out of memory" in r.message]) == len(sizes) - 3


def test_options_of_the_providers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RVM_MODEL_DIR", str(tmp_path))
    built = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime_providers, "available_providers", lambda: built)
    monkeypatch.setattr(onnxruntime_providers, "_preload_cuda", lambda: None)
    monkeypatch.setattr(
        onnxruntime_providers, "cuda_gpu_name", lambda index: f"NVIDIA Test {index}"
    )
    monkeypatch.setattr(onnxruntime_providers, "cuda_driver_version", lambda: "12.8")
    second = Device("cuda", 1)
    (cuda, options), last = providers_for(second, False, capture=True)
    assert (cuda, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options["device_id"] == 1
    assert options["enable_cuda_graph"] == "1"
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["use_tf32"] == "0"
    assert providers_for(second, False)[0][1]["enable_cuda_graph"] == "0"
    (tensorrt, options), (cuda, under), _ = providers_for(second, True, capture=True)
    assert tensorrt == "TensorrtExecutionProvider"
    assert options["device_id"] == under["device_id"] == 1
    assert not options["trt_fp16_enable"]
    # One graph for all bindings would be replayed on the wrong set of states.
    assert not options["trt_cuda_graph_enable"]
    assert under["enable_cuda_graph"] == "0"
    cache = Path(options["trt_engine_cache_path"])
    assert cache.is_dir()
    assert options["trt_timing_cache_path"] == str(cache)
    assert cache.parent == tmp_path / "tensorrt"
    assert cache.name.startswith("nvidia-test-1-12.8-")
    other = providers_for(Device("cuda", 0), True)[0][1]["trt_engine_cache_path"]
    assert other != str(cache)


def test_a_build_without_the_provider_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_providers, "_preload_cuda", lambda: None)
    monkeypatch.setattr(
        onnxruntime_providers, "available_providers", lambda: ("CUDAExecutionProvider",)
    )
    with pytest.raises(DeviceError, match="no TensorRT"):
        providers_for(Device("cuda"), True)


@pytest.mark.gpu
@pytest.mark.parametrize("capture", [False, True])
def test_equal_on_a_gpu(capture: bool) -> None:
    if "CUDAExecutionProvider" not in onnxruntime_providers.available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    engine, runner = compact(device=Device("cuda"), capture=capture)
    assert engine.info.provider == "CUDAExecutionProvider"
    for got, wanted in zip(mattes(engine, frames(8)), mattes(compact()[0], frames(8)), strict=True):
        assert np.abs(got[0].astype(int) - wanted[0]).max() <= 5
    assert runner.compiles_by_shape
    assert runner._capture is (capture and onnxruntime_providers.captures_rightly())
    engine.close()


@pytest.mark.gpu
def test_tensorrt_equals_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt")
    monkeypatch.setenv("RVM_MODEL_DIR", str(tmp_path))
    engine, _ = compact(device=Device("cuda"), tensorrt=True)
    assert engine.info.provider == "TensorrtExecutionProvider"
    for got, wanted in zip(mattes(engine, frames(4)), mattes(compact()[0], frames(4)), strict=True):
        assert np.abs(got[0].astype(int) - wanted[0]).mean() <= 0.5
    assert any((tmp_path / "tensorrt").rglob("*.engine"))
    engine.close()
