"""`Matter`: the memory between frames, its resets, and arrays in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rvm.errors import ModelError, UsageError
from rvm.frame import PIXEL_FORMATS, Frame, Matte
from rvm.matting import load_engine
from rvm.matting.fake import FakeEngine
from rvm.matting.matter import Matter
from rvm.matting.scene_cut import SceneCut
from rvm.sources import open_source
from tests import synth_models
from tests.shared_data import shared_path

if TYPE_CHECKING:
    from rvm.matting.base import State


def flat(
    value: int, width: int = 32, height: int = 24
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(synth_models.rvm_model())
    return path


def test_the_state_is_carried_and_can_be_reset(tiny: Path) -> None:
    with Matter(tiny, engine="onnxruntime", device="cpu") as matter:
        alphas = [int(matter.step(flat(208)).alpha[0, 0]) for _ in range(3)]
        assert alphas == [104, 156, 182]
        matter.reset()
        assert matter.step(flat(208)).alpha[0, 0] == 104
        assert matter.resets == 0
        assert matter.info.model == "tiny.onnx"


def test_a_changed_size_resets(tiny: Path) -> None:
    with Matter(tiny, engine="onnxruntime", device="cpu") as matter:
        matter.step(flat(208))
        matter.step(flat(208))
        turned = matter.step(flat(208, 24, 32))
        assert turned.alpha.shape == (32, 24)
        assert turned.alpha[0, 0] == 104
        assert matter.resets == 1


def test_a_scene_cut_resets_when_asked_to(tiny: Path) -> None:
    for threshold, expected, resets in ((None, 130, 0), (0.15, 104, 1)):
        matter = Matter(tiny, engine="onnxruntime", device="cpu", scene_cut_reset=threshold)
        matter.step(flat(104))
        assert matter.step(flat(208)).alpha[0, 0] == expected
        assert matter.resets == resets


def test_arrays_come_back_as_arrays(tiny: Path) -> None:
    matter = Matter(tiny, engine="onnxruntime", device="cpu")
    mirrored = np.zeros((24, 32, 3), np.uint8)[:, ::-1]
    assert isinstance(matter.step(mirrored).alpha, np.ndarray)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((24, 32), np.uint8),
        np.zeros((24, 32, 4), np.uint8),
        np.zeros((24, 32, 3), np.float32),
        np.zeros((0, 32, 3), np.uint8),
    ],
)
def test_a_wrong_array_is_refused(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(UsageError, match="expected uint8"):
        Matter("fake").step(picture)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_wrong_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="scene_cut_reset"):
        Matter("fake", scene_cut_reset=threshold)


def test_an_engine_given_open_stays_open() -> None:
    engine = FakeEngine(fail_at=2)
    with Matter(engine=engine) as matter:
        matter.step(flat(0))
        matter.step(flat(0))
        with pytest.raises(ModelError, match="step 2"):
            matter.step(flat(0))
    engine.step(Frame((flat(0),), PIXEL_FORMATS["rgb24"], 32, 24), None)


class TestSceneCut:
    @staticmethod
    def frame(value: int, name: str = "yuv420p", size: tuple[int, int] = (640, 360)) -> Frame:
        layout = PIXEL_FORMATS[name]
        shapes = layout.plane_shapes(*size)
        planes = tuple(np.full(shape, value, layout.dtype) for shape in shapes)
        return Frame(planes, layout, *size)

    def test_a_jump_of_brightness_is_a_cut_once(self) -> None:
        cuts = SceneCut(0.15)
        values = [40, 42, 45, 120, 121, 40]
        assert [cuts.is_cut(self.frame(v)) for v in values] == [False] * 3 + [True, False, True]

    def test_depth_and_layout_do_not_matter(self) -> None:
        for name, low, high in (("yuv420p10", 160, 480), ("rgb24", 40, 120)):
            cuts = SceneCut(0.15)
            assert not cuts.is_cut(self.frame(low, name))
            assert cuts.is_cut(self.frame(high, name))

    def test_a_forgotten_shot_makes_no_cut(self) -> None:
        cuts = SceneCut(0.15)
        cuts.is_cut(self.frame(0))
        cuts.forget()
        assert not cuts.is_cut(self.frame(255))

    def test_another_size_is_not_compared(self) -> None:
        cuts = SceneCut(0.15)
        cuts.is_cut(self.frame(0))
        assert not cuts.is_cut(self.frame(255, size=(360, 640)))


class Looking(FakeEngine):
    """Wants two looks at a stream's first frame; remembers what it was shown."""

    first_looks = 2

    def __init__(self) -> None:
        super().__init__("luma")
        self.seen: list[int] = []

    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        self.seen.append(int(frame.planes[0][0, 0, 0]))
        return super().step(frame, state)


def test_the_first_frame_of_a_stream_is_looked_at_more_than_once() -> None:
    engine = Looking()
    matter = Matter(engine=engine, scene_cut_reset=0.15)
    for value in (10, 12, 14):
        matter.step(flat(value))
    matter.step(flat(200))  # a cut
    matter.step(flat(202))
    matter.reset()
    matter.step(flat(204))
    assert engine.seen == [10, 10, 12, 14, 200, 200, 202, 204, 204]
    assert matter.resets == 1


@pytest.mark.parametrize("clip", ["half_woman_dark_wall", "two_children_jumping"])
def test_the_default_model_sees_a_first_frame_as_one_it_knows(clip: str) -> None:
    """Nearer to what it sees once it is used to the picture than one step is."""
    with open_source(shared_path(f"data/clips/{clip}.mp4")) as source:
        frame = next(iter(source))
    engine = load_engine(None, device="cpu")
    once, _ = engine.step(frame, None)
    matter = Matter(engine=engine)
    first, *_, used = [matter.step(frame) for _ in range(10)]
    engine.close()
    assert _distance(first, used) < 0.5 * _distance(once, used)


def _distance(one: Matte, other: Matte) -> float:
    return float(np.abs(one.alpha.astype(np.int16) - other.alpha).mean())
