"""The network's picture follows the people in it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm.errors import ModelError
from rvm.evaluation.candidates import open_model
from rvm.frame import RGB24, SRGB, Frame
from rvm.matting import load_engine
from rvm.matting.contracts.compact import compact_size
from rvm.matting.focus import Focus, FocusRule, Gaze, covered_share
from rvm.matting.graph import GraphEngine
from rvm.matting.weights import find_model
from tests import synth_models

RULE = FocusRule(352)
FINE = FocusRule(352, far_share=0.4, middle_share=0.5, distant_side=640)


def test_the_share_is_counted_on_a_grid() -> None:
    alpha = np.zeros((1080, 1920), np.uint8)
    alpha[:, 480:960] = 255
    assert covered_share(alpha) == pytest.approx(0.25, abs=0.01)
    alpha[:, 480:960] = 127
    assert covered_share(alpha) == 0
    assert covered_share(np.full((1, 1), 255, np.uint8)) == 1
    assert covered_share(np.full((17, 3000), 200, np.uint8)) == 1


@pytest.mark.parametrize(
    ("now", "share", "then"),
    [
        ("usual", 0.4, "usual"), ("usual", 0.9, "usual"), ("far", 0.7, "usual"),
        ("usual", 0.1, "far"), ("far", 0.22, "far"), ("usual", 0.22, "middle"),
        ("far", 0.245, "middle"), ("far", 0.26, "usual"), ("middle", 0.7, "usual"),
        ("middle", 0.27, "middle"), ("usual", 0.27, "usual"), ("middle", 0.29, "usual"),
        ("middle", 0.19, "far"),
    ],
)  # fmt: skip
def test_a_size_is_left_later_than_it_is_entered(now: Focus, share: float, then: Focus) -> None:
    assert RULE.after_share(Gaze(now, 5), share) == Gaze(then)


@pytest.mark.parametrize(("border", "first"), [(0.21, "middle"), (0.255, "usual")])
def test_whoever_walks_up_and_away_on_a_border_does_not_make_it_swing(
    border: float, first: Focus
) -> None:
    gazes = [Gaze(first)]
    for share in border + 0.02 * np.sin(np.linspace(0, 60, 200)):
        gazes.append(RULE.after_share(gazes[-1], float(share)))
    assert sum(a != b for a, b in itertools.pairwise(gazes)) == 1


def test_an_empty_room_is_looked_at_closely_now_and_again() -> None:
    gaze, closely = Gaze("usual"), []
    for number in range(30):
        gaze = RULE.after_share(gaze, 0.0)
        closely += [number] * (gaze.focus == "far")
    assert closely == [0, 12, 24]
    assert RULE.after_share(gaze, 0.4) == Gaze()
    assert RULE.after_share(Gaze("middle"), 0.001) == Gaze("far", 1)


def test_a_model_says_from_when_on_people_are_far_and_half_way_off() -> None:
    assert FINE.after_share(Gaze(), 0.38) == Gaze("far")
    assert FINE.after_share(Gaze("far"), 0.43) == Gaze("far")
    assert FINE.after_share(Gaze("far"), 0.445) == Gaze("middle")
    assert FINE.after_share(Gaze("middle"), 0.525) == Gaze("middle")
    assert FINE.after_share(Gaze("middle"), 0.535) == Gaze()
    assert FINE.after_share(Gaze(), 0.51) == Gaze()
    for name, distant_side in (("compact_quality", 0), ("compact_quality_int8", 640)):
        fine: Any = load_engine(name, engine="onnxruntime", device="cpu", threads=1)
        assert fine._focus == replace(FINE, distant_side=distant_side)


@pytest.mark.parametrize(
    ("now", "share", "then"),
    [
        ("far", 0.09, "distant"), ("far", 0.11, "far"), ("distant", 0.12, "distant"),
        ("distant", 0.13, "far"), ("distant", 0.6, "usual"), ("distant", 0.45, "middle"),
        ("usual", 0.003, "far"), ("middle", 0.05, "far"),
    ],
)  # fmt: skip
def test_whoever_is_farther_than_far_has_a_size_of_their_own(
    now: Focus, share: float, then: Focus
) -> None:
    assert FINE.after_share(Gaze(now), share) == Gaze(then)


def test_distant_people_have_no_window_that_shows_no_more_than_their_picture() -> None:
    known = Gaze("distant", far_frames=20)
    alpha = np.zeros((720, 1280), np.uint8)
    alpha[200:520, 500:820] = 255  # with room around, a window of 448x448
    assert FINE.after(known, alpha, windows=True).window is None
    alpha[360:] = 0  # of 512x288, 1.4 times as fine as 640 pixels of all of the frame
    window = FINE.after(known, alpha, windows=True).window
    assert window is not None
    assert FINE.scale(Gaze("distant", window=window)) == 1
    assert FINE.scale(Gaze("distant")) == 640 / 352


def test_sizes_are_those_that_people_are_met_at_whatever_the_models_own_is() -> None:
    assert sides(FocusRule(352)) == [352, 416, 512]
    assert sides(FocusRule(512)) == [512]
    assert sides(FocusRule(640)) == [640]
    assert sides(FocusRule(256)) == [256, 416, 512]
    assert sides(FINE) == [352, 416, 512, 640]


def sides(rule: FocusRule) -> list[int]:
    """Of the network's picture, from near to far."""
    return [round(rule.side * scale) for scale in rule.scales]


def test_a_small_frame_is_enlarged_for_the_network_but_not_without_end() -> None:
    assert compact_size(1280, 720, None, 352) == (352, 192)
    assert compact_size(448, 252, None, 512) == (512, 288)
    assert compact_size(320, 180, None, 640) == (480, 256)  # 1.5 times, to multiples of 32
    assert compact_size(320, 180, 1.0, 640) == (320, 192)  # what the user asks for stays


def picture_of(share: float) -> Frame:
    """Bright on the left, as much as `share` of the width: what the tiny model takes for people."""
    plane = np.zeros((360, 640, 3), np.uint8)
    plane[:, : round(640 * share)] = 255
    return Frame((plane,), RGB24, 640, 360, colour=SRGB)


@pytest.mark.parametrize("engine_name", ["onnxruntime", "openvino", "torch"])
def test_the_default_model_sees_far_people_larger_and_keeps_its_memory(engine_name: str) -> None:
    pytest.importorskip(engine_name)
    name = "compact_torch" if engine_name == "torch" else "compact"
    engine: Any = load_engine(name, engine=engine_name, device="cpu", threads=1)
    frame = picture_of(0.3)
    matte, state = engine.step(frame, None)
    share = covered_share(matte.alpha)
    if engine_name == "torch":  # reads it at the next step
        assert state.glances[0].value() == pytest.approx(share, abs=1e-6)
    else:
        assert state.gaze == RULE.after_share(Gaze(), share)
    sizes = []
    for focus in ("far", "middle", "usual", "distant"):
        object.__setattr__(state, "gaze", Gaze(focus))
        object.__setattr__(state, "glances", ())
        matte, state = engine.step(frame, state)
        assert matte.alpha.shape == (360, 640)
        sizes.append(tuple(state.tensors[0].shape)[2:])
    # A quarter of 512x288, 416x224 and 352x192, and in torch of 832x480.
    assert sizes == [
        (72, 128),
        (56, 104),
        (48, 88),
        (120, 208) if engine_name == "torch" else (48, 88),
    ]


def test_a_size_that_the_user_chose_stays(tmp_path: Path) -> None:
    engine: Any = load_engine("compact", engine="onnxruntime", device="cpu", downsample_ratio=0.5)
    assert engine._focus is None
    path = tmp_path / "tiny.onnx"
    path.write_bytes(synth_models.rvm_model())
    tiny: Any = load_engine(path, engine="onnxruntime", device="cpu")
    assert tiny._focus is None


def test_where_a_size_takes_a_compiler_it_stays() -> None:
    quick: Any = load_engine("compact", engine="onnxruntime", device="cpu", threads=1)
    quick._runner.resizes_quickly = False  # as with TensorRT, which compiles for seconds
    entry = find_model("compact").entry
    engine: Any = GraphEngine(quick._runner, name="compact", engine="tensorrt", entry=entry)
    frame = picture_of(0.3)
    _, state = engine.step(frame, None)
    object.__setattr__(state, "gaze", Gaze("far"))
    _, state = engine.step(frame, state)
    assert (state.seen, state.gaze) == ((352, 192), Gaze("far"))


def test_the_registry_is_measured_as_users_meet_it() -> None:
    model = open_model(Path("compact"), threads=1)
    model.reset()
    alpha = model.matte(np.full((90, 160, 3), 90, np.uint8))
    assert alpha.shape == (90, 160)
    assert alpha.dtype == np.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1
    with pytest.raises(ModelError, match="no_such_model"):
        open_model(Path("no_such_model"))
