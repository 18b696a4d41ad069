"""The torch engine with graphs, other precisions and too little memory; no GPU needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rvm.errors import DeviceError  # noqa: E402
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame  # noqa: E402
from rvm.gpu.graphs import CudaCapturer, Layout, Tensors  # noqa: E402
from rvm.matting import load_engine  # noqa: E402
from rvm.matting.base import EngineInfo  # noqa: E402
from rvm.matting.focus import Focus, FocusRule, Gaze  # noqa: E402
from rvm.matting.matter import Matter  # noqa: E402
from rvm.matting.torch_compact import CompactModel  # noqa: E402
from rvm.matting.torch_engine import TorchEngine, TorchModel  # noqa: E402
from rvm.matting.torch_reference import RvmModel  # noqa: E402
from rvm.network import build_mobilenetv3, build_resnet50  # noqa: E402
from rvm.network.compact import CompactMatting  # noqa: E402
from rvm.sources.synthetic import SyntheticSource  # noqa: E402
from tests.fake_capturer import FakeCapturer  # noqa: E402
from tests.gpu_waiting import no_waiting  # noqa: E402

CPU = torch.device("cpu")
MODELS = ("compact", "mobilenetv3")
FRAMES: list[tuple[str, ColourTags]] = [
    ("yuv420p", ColourTags()),
    ("yuv420p", ColourTags("bt601")),
    ("yuv420p10", ColourTags("bt2020", transfer="pq", primaries="bt2020")),
    ("rgb24", SRGB),
]
#: Alpha against single precision on a CPU, 0..1.
MOST, MEAN = 0.02, 0.001


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model_of(kind: str, dtype: Any = torch.float32, device: Any = CPU) -> TorchModel:
    """A network of random weights whose alpha is no constant."""
    torch.manual_seed(0)
    if kind == "compact":
        compact = CompactMatting()
        torch.nn.init.normal_(compact.head.out.weight, std=0.5)
        return CompactModel(compact, None, None, dtype, device)
    network = build_resnet50() if kind == "resnet50" else build_mobilenetv3()
    return RvmModel(network, 0.5, dtype, device)


def engine_of(
    model: TorchModel, capturer: Any = None, device: Any = CPU, name: str = "fp32"
) -> TorchEngine:
    info = EngineInfo("test", "torch", str(device), "torch", name, "a test asked")
    return TorchEngine(model, info, device, capturer)


def frame_of(
    seed: int, name: str = "yuv420p", colour: ColourTags | None = None,
    size: tuple[int, int] = (96, 64),
) -> Frame:  # fmt: skip
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(seed)
    planes = tuple(
        random.integers(0, layout.max_value + 1, shape).astype(layout.dtype)
        for shape in layout.plane_shapes(*size)
    )
    return Frame(planes, layout, *size, colour=colour or ColourTags())


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("name", "colour"), FRAMES)
def test_graphs_change_nothing(kind: str, name: str, colour: ColourTags) -> None:
    capturer = FakeCapturer()
    model = model_of(kind)
    engines = [engine_of(model), engine_of(model, capturer)]
    states: list[Any] = [None, None]
    earlier: list[tuple[Any, Any]] = []
    for seed in range(4):
        mattes = []
        for number, engine in enumerate(engines):
            matte, states[number] = engine.step(frame_of(seed, name, colour), states[number])
            mattes.append(matte)
        np.testing.assert_array_equal(mattes[0].alpha, mattes[1].alpha)
        assert mattes[0].foreground_residual is not None
        earlier.append((mattes[1], mattes[0]))
    assert len(capturer.recordings) == 1
    assert capturer.recordings[0].replays == 3
    engines[1].close()  # whatever a matte still had of a graph is no number now
    for graphed, plain in earlier:
        np.testing.assert_array_equal(graphed.alpha, plain.alpha)
        np.testing.assert_array_equal(graphed.foreground_residual, plain.foreground_residual)


def test_a_network_that_is_channels_last_shares_no_memory_with_its_mattes() -> None:
    model = model_of("compact")
    model._network.to(memory_format=torch.channels_last)  # type: ignore[attr-defined]
    capturer = FakeCapturer()
    engine = engine_of(model, capturer)
    state, residuals = None, []
    for seed in range(3):
        matte, state = engine.step(frame_of(seed), state)
        residuals.append((matte.foreground_residual, np.array(matte.foreground_residual)))
    engine.close()
    for now, then in residuals:
        assert now is not None
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("kind", MODELS)
def test_with_graphs_a_step_is_a_pure_function(kind: str) -> None:
    engine = engine_of(model_of(kind), FakeCapturer())
    frames = [frame_of(seed) for seed in range(3)]
    engine.step(frames[0], None)
    _, first = engine.step(frames[0], None)
    second, state = engine.step(frames[1], first)
    kept = second.alpha.copy()
    engine.step(frames[2], state)
    engine.step(frames[2], None)
    again, _ = engine.step(frames[1], first)
    np.testing.assert_array_equal(again.alpha, kept)
    np.testing.assert_array_equal(second.alpha, kept)


def test_moving_between_resolutions_captures_each_once() -> None:
    capturer = FakeCapturer()
    engine = engine_of(model_of("compact"), capturer)
    frame = frame_of(0, size=(640, 384))
    state = None
    for _ in range(3):
        for scale in (*engine.scales, *reversed(engine.scales)):
            engine.rescale(scale)
            matte, state = engine.step(frame, state)
            assert matte.alpha.shape == (384, 640)
    assert capturer.attempts == len(engine.scales) == 3
    assert not any(recording.released for recording in capturer.recordings)


def limited(model: TorchModel, most: int) -> list[int]:
    """Let the network fail where its finest state is larger than `most` pixels; returns areas."""
    network: Callable[..., Any] = model.network
    areas: list[int] = []

    def little_memory(layout: Layout, picture: Any, states: Tensors) -> Any:
        _, _, rows, columns = layout.states[0]
        areas.append(rows * columns)
        if rows * columns > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB")
        return network(layout, picture, states)

    model.network = little_memory  # type: ignore[method-assign]
    return areas


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("graphs", [False, True])
def test_out_of_memory_the_stream_goes_on_smaller(
    kind: str, graphs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of(kind)
    model.focus = None  # what its random mattes cover must not change the size here
    size = (640, 384) if kind == "compact" else (96, 64)
    layouts = [model.layout(frame_of(0, size=size), scale) for scale in (1.0, 0.7)]
    large, small = (layout.states[0][2] * layout.states[0][3] for layout in layouts)
    areas = limited(model, large)
    engine = engine_of(model, FakeCapturer() if graphs else None)
    state = None
    for seed in range(3):
        _, state = engine.step(frame_of(seed, size=size), state)
    assert set(areas) == {large}
    model.network = type(model).network.__get__(model)  # type: ignore[method-assign]
    areas = limited(model, small)
    engine._runner._network = model.network
    engine._runner.clear()
    for seed in range(3):
        matte, state = engine.step(frame_of(seed, size=size), state)
        assert matte.alpha.shape == size[::-1]
    assert areas.count(large) == 1
    assert state is not None
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["cpu is out of memory; the network's picture is from now on 70% of its size"]


def test_where_memory_is_short_nobody_is_looked_at_closely() -> None:
    model = model_of("compact")
    model.focus = FocusRule(256)  # a closer look is one at twice the size
    engine = engine_of(model)
    frame = frame_of(0, size=(640, 384))
    layouts = [model.layout(frame, scale) for scale in (1.0, 0.7)]
    large, small = (layout.states[0][2] * layout.states[0][3] for layout in layouts)
    areas = limited(model, small)
    engine._runner._network = model.network
    state = None
    for _ in range(3):
        _, state = engine.step(frame, state)
        object.__setattr__(state, "gaze", Gaze("far"))
    assert areas == [large, small, small, small]


def test_every_size_is_captured_before_the_first_frame_where_that_was_asked_for() -> None:
    model = model_of("compact")
    model.focus = FocusRule(352)
    capturer = FakeCapturer()
    engine = engine_of(model, capturer)
    assert FocusRule(352).scales == (1.0, 416 / 352, 512 / 352)
    engine.prepare(frame_of(0, size=(1280, 720)))
    assert capturer.attempts == 3
    state = None
    sizes: tuple[Focus, ...] = ("usual", "far", "middle", "far", "usual")
    for seed, focus in enumerate(sizes):
        _, state = engine.step(frame_of(seed, size=(1280, 720)), state)
        object.__setattr__(state, "gaze", Gaze(focus))
        object.__setattr__(state, "glances", ())
    assert capturer.attempts == 3
    plain = engine_of(model_of("compact"))
    plain.prepare(frame_of(0, size=(640, 384)))  # nothing to make, and no harm


@pytest.mark.parametrize(("name", "colour"), FRAMES)
def test_what_is_captured_beforehand_fits_the_colour_that_comes(
    name: str, colour: ColourTags
) -> None:
    capturer = FakeCapturer()
    matter = Matter(engine=engine_of(model_of("compact"), capturer))
    matter.prepare(96, 64, colour)
    assert capturer.attempts == 1
    for seed in range(3):
        matter.step(frame_of(seed, name, colour))
    assert capturer.attempts == 1


def test_the_size_follows_the_people_a_frame_late_but_at_once_in_the_beginning() -> None:
    """So that no frame waits for the matte of the one before, which a GPU may still work on."""
    model = model_of("compact")
    rule = FocusRule(256)
    model.focus = rule
    engine = engine_of(model, FakeCapturer())
    shares = [0.1, 0.1, 0.3, 0.1, 0.243, 0.3, 0.3, 0.3]
    covered = iter(shares)

    def matte(frame: Frame, layout: Layout, step: Any) -> tuple[Any, None]:
        alpha = torch.zeros(frame.height, frame.width, dtype=torch.uint8)
        alpha[:, : round(next(covered) * frame.width)] = 255
        return alpha, None

    model.matte = matte  # type: ignore[method-assign]
    state, seen = None, []
    for seed in range(len(shares)):
        _, state = engine.step(frame_of(seed, size=(640, 384)), state)
        seen.append(state.gaze.focus)
    # What each frame was looked at as: the first four follow the matte before, then one late.
    assert seen == ["usual", "far", "far", "usual", "usual", "far", "middle", "usual"]


def test_with_no_memory_at_all_it_ends_in_one_plain_line() -> None:
    model = model_of("mobilenetv3")
    limited(model, 0)
    engine = engine_of(model)
    with pytest.raises(DeviceError, match="cpu is out of memory even at 25%") as caught:
        engine.step(frame_of(0), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MODELS)
def test_half_precision_finds_its_coefficients_in_single(kind: str) -> None:
    model = model_of(kind, torch.float16)
    frame = frame_of(0, size=(64, 64))
    layout = model.layout(frame, 1.0)
    states = tuple(torch.zeros(shape, dtype=torch.float16) for shape in layout.states)
    with torch.inference_mode():
        outputs, new = model.network(layout, torch.full(layout.picture, 0.7), states)
    assert outputs[0].dtype == torch.float32
    assert torch.isfinite(outputs[0]).all()
    assert {state.dtype for state in new} == {torch.float16}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_model_that_ships_keeps_its_matte_in_other_precisions(precision: str) -> None:
    engines = [
        load_engine("compact_torch", engine="torch", device="cpu", threads=1, precision=wanted)
        for wanted in ("fp32", precision)
    ]
    assert engines[1].info.precision == precision
    source = SyntheticSource(6, width=640, height=360, person=True)
    states: list[Any] = [None, None]
    for frame in source:
        mattes = []
        for number, engine in enumerate(engines):
            matte, states[number] = engine.step(frame, states[number])
            mattes.append(np.asarray(matte.alpha, np.float32) / 255)
        difference = np.abs(mattes[0] - mattes[1])
        allowed = 1 if precision == "fp16" else 4  # eight digits fewer, and asked for
        assert difference.max() <= allowed * MOST
        assert difference.mean() <= allowed * MEAN


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [*MODELS, "resnet50"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_on_a_gpu_the_matte_is_that_of_the_cpu(kind: str, precision: str) -> None:
    """On the last GPU there is, so that with two of them `cuda:1` is what is tested."""
    device = torch.device("cuda", torch.cuda.device_count() - 1)
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    models = [model_of(kind, dtype, device), model_of(kind)]
    for model in models:
        model.focus = None  # random mattes close to where it changes would tell the two apart
    ours = engine_of(models[0], CudaCapturer(device), device, precision)
    theirs = engine_of(models[1])
    states: list[Any] = [None, None]
    for frame in SyntheticSource(6, width=640, height=360, person=True):
        matte, states[0] = ours.step(ours.upload(frame), states[0])
        assert matte.alpha.device == device
        expected, states[1] = theirs.step(frame, states[1])
        difference = np.abs(matte.alpha.cpu().numpy() / 255 - expected.alpha / 255.0)
        # Random weights magnify what half precision rounds.
        assert difference.mean() <= (MEAN if precision == "fp32" else 10 * MEAN)
    assert len(ours._runner.layouts) == 1
    ours.close()


@pytest.mark.gpu
def test_on_a_gpu_the_model_that_ships_keeps_its_matte() -> None:
    theirs = load_engine("compact_torch", engine="torch", device="cpu")
    ours = load_engine("compact_torch", engine="torch", device="cuda")
    assert ours.info.precision == "fp16"
    states: list[Any] = [None, None]
    for frame in SyntheticSource(10, width=1920, height=1080, person=True):
        matte, states[0] = ours.step(ours.upload(frame), states[0])
        expected, states[1] = theirs.step(frame, states[1])
        difference = np.abs(matte.alpha.cpu().numpy() / 255 - expected.alpha / 255.0)
        assert difference.max() <= MOST
        assert difference.mean() <= MEAN


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [*MODELS, "resnet50"])
def test_on_a_gpu_the_steady_state_neither_waits_nor_allocates(kind: str) -> None:
    device = torch.device("cuda", torch.cuda.device_count() - 1)
    model = model_of(kind, torch.float16, device)
    if kind == "compact":  # glances are read, but near and usual are one size
        model.focus = FocusRule(288, far_share=0.0)
    engine = engine_of(model, CudaCapturer(device), device, "fp16")
    frame = engine.upload(frame_of(0, size=(1280, 720)))
    state = None
    for _ in range(5):
        _, state = engine.step(frame, state)
    torch.cuda.synchronize(device)
    allocations = torch.cuda.memory_stats(device)["num_device_alloc"]
    with no_waiting():
        for _ in range(20):
            _, state = engine.step(frame, state)
    assert torch.cuda.memory_stats(device)["num_device_alloc"] == allocations
    engine.close()
