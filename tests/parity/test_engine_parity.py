"""The engines with the reference weights: against recorded mattes, and against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, ColourTags, Frame
from rvm.matting import load_engine
from rvm.matting.matter import Matter
from tests.shared_data import shared_path

ONNX = "reference/rvm_mobilenetv3_reference.onnx"
TORCH = "reference/rvm_mobilenetv3_reference.safetensors"
# float16 rounding of the recorded alpha (2.4e-4) plus half a code value.
RECORDED_TOLERANCE = 0.5 + 255 * 2.4e-4 + 0.01


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
@pytest.mark.parametrize("part", ["a", "b"])
def test_recorded_mattes(engine: str, part: str) -> None:
    pytest.importorskip(engine)
    model = shared_path(TORCH if engine == "torch" else ONNX)
    recorded = np.load(shared_path("reference/rvm_parity.npz"))
    ratio = float(recorded[f"{part}_ratio"][0])
    with Matter(model, "cpu", engine, downsample_ratio=ratio, threads=1) as matter:
        pairs = zip(recorded[f"{part}_frames"], recorded[f"{part}_pha"], strict=True)
        for picture, alpha in pairs:
            difference = matter.step(picture).alpha - alpha.astype(np.float32) * 255
            assert np.abs(difference).max() < RECORDED_TOLERANCE


def moving_pictures(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """A recorded picture of a person, drifting, dimming and brightening."""
    picture = np.load(shared_path("reference/rvm_parity.npz"))["a_frames"][0]
    for index in range(count):
        light = 0.8 + 0.2 * np.cos(index / 5)
        yield (np.roll(picture, index * 2, axis=1) * light).astype(np.uint8)


def test_torch_and_onnx_runtime_stay_together_over_40_frames() -> None:
    pytest.importorskip("torch")
    options = {"device": "cpu", "downsample_ratio": 0.5, "threads": 1}
    ours = load_engine(shared_path(TORCH), engine="torch", **options)  # type: ignore[arg-type]
    theirs = load_engine(shared_path(ONNX), engine="onnxruntime", **options)  # type: ignore[arg-type]
    states = [None, None]
    for index, picture in enumerate(moving_pictures(40)):
        height, width, _ = picture.shape
        frame = Frame((picture,), RGB24, width, height, index=index, colour=SRGB)
        mattes = []
        for number, engine in enumerate((ours, theirs)):
            matte, states[number] = engine.step(frame, states[number])
            mattes.append(matte)
        assert np.abs(mattes[0].alpha.astype(int) - mattes[1].alpha).max() <= 1
    for one, other in zip(states[0].tensors, states[1].tensors, strict=True):  # type: ignore[attr-defined]
        assert np.abs(one.numpy() - other.numpy()).max() <= 1e-3


@pytest.mark.parametrize(
    "name", ["selfie_segmentation.onnx", "mediapipe.onnx", "SINet_Softmax_simple.onnx"]
)
def test_small_peers_see_the_person(name: str) -> None:
    recorded = np.load(shared_path("reference/rvm_parity.npz"))
    with Matter(shared_path(f"reference/{name}"), "cpu", "onnxruntime", threads=1) as matter:
        mask = matter.step(recorded["b_frames"][0]).alpha > 127
    person = recorded["b_pha"][0] > 0.5
    overlap = (mask & person).sum() / (mask | person).sum()
    assert overlap > (0.5 if name.startswith("SINet") else 0.9)


@pytest.mark.parametrize(
    ("name", "colour"),
    [("yuv420p", ColourTags()), ("yuv420p10", ColourTags("bt601", "full")), ("rgb24", SRGB)],
)
def test_the_compact_network_is_the_same_on_every_engine(
    tmp_path: Path, name: str, colour: ColourTags
) -> None:
    torch = pytest.importorskip("torch")
    from rvm.network.compact import CompactMatting
    from rvm.network.compact_export import (
        export_core,
        export_lean,
        round_weights,
        save_weights,
    )

    torch.manual_seed(0)
    network = CompactMatting().eval()
    torch.nn.init.normal_(network.head.out.weight, std=0.5)  # so that alpha is no constant
    round_weights(network)
    export_core(network, tmp_path / "core.onnx")
    export_lean(network, tmp_path / "lean.onnx")
    save_weights(network, tmp_path / "compact.safetensors")
    engines = [
        load_engine(tmp_path / file, engine=engine, device="cpu", threads=1, downsample_ratio=1.0)
        for file, engine in (
            ("core.onnx", "onnxruntime"),
            ("core.onnx", "openvino"),
            ("lean.onnx", "onnxruntime"),
            ("lean.onnx", "openvino"),
            ("compact.safetensors", "torch"),
        )
    ]
    states: list[Any] = [None] * len(engines)
    for seed in range(3):
        frame = smooth_frame(name, colour, seed)
        mattes = []
        for number, engine in enumerate(engines):
            matte, states[number] = engine.step(frame, states[number])
            mattes.append(matte)
        assert mattes[0].alpha.std() > 5
        for engine, matte in zip(engines[1:], mattes[1:], strict=True):
            # The CPU path rounds enlarged chroma to code values, the torch path does not; and
            # random weights magnify what goes in.
            same_input = engine.info.engine != "torch" or name == "rgb24"
            difference = matte.alpha.astype(int) - mattes[0].alpha
            assert np.abs(difference).max() <= (1 if same_input else 4)
            ours, theirs = (np.asarray(m.foreground_residual) for m in (matte, mattes[0]))
            np.testing.assert_allclose(ours, theirs, atol=1e-3 if same_input else 0.02)


def smooth_frame(name: str, colour: ColourTags, seed: int) -> Frame:
    """Soft blobs of exactly the network's size, which no engine has to resample."""
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(seed)
    planes = []
    for rows, columns, *rest in layout.plane_shapes(128, 96):
        blobs = random.uniform(0.2, 0.8, (6, 8, *rest)).astype(np.float32)
        smooth = cv2.resize(blobs, (columns, rows))
        planes.append((smooth * layout.max_value).astype(layout.dtype))
    return Frame(tuple(planes), layout, 128, 96, colour=colour)
