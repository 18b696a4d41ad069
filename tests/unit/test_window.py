"""Far people are looked at through a window, and nobody who comes in beside it is overlooked."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rvm.device import Device
from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, YUV420P, Frame, Matte
from rvm.matting.focus import FocusRule, Gaze, loses_people
from rvm.matting.onnxruntime_engine import open_onnxruntime
from rvm.matting.refine import Scratch
from rvm.matting.surroundings import Surroundings, sight_of
from rvm.matting.window import Window, moved, people_box, spread, whole, window_around
from tests import synth_models

HD = (1920, 1080)


def alpha_of(*boxes: Window, size: tuple[int, int] = HD) -> npt.NDArray[np.uint8]:
    alpha = np.zeros(size[::-1], np.uint8)
    for box in boxes:
        alpha[box.inside] = 255
    return alpha


class TestWindow:
    def test_the_box_holds_everybody(self) -> None:
        alpha = alpha_of(Window(400, 300, 100, 400), Window(1500, 200, 60, 100))
        box = people_box(alpha)
        assert box is not None
        assert box.holds(Window(400, 200, 1160, 500))
        assert Window(380, 189, 1200, 522).holds(box)  # a sample of 20 x 11 pixels more at most
        assert people_box(alpha // 2) is None  # 127 is not yet a person

    @pytest.mark.parametrize(
        ("box", "expected"),
        [
            # 400 high with a fifth of that around: 180 x 560, in 9:16 315 x 560.
            (Window(900, 300, 20, 400), Window(752, 220, 315, 560)),
            # As wide as high: square, 140 a side and no smaller than 128.
            (Window(900, 300, 100, 100), Window(880, 280, 140, 140)),
            (Window(900, 300, 40, 40), Window(856, 256, 128, 128)),
            # 500 x 200 with 100 around: 700 x 400, in 16:9 711 x 400.
            (Window(900, 300, 500, 200), Window(794, 200, 711, 400)),
            # In the corner there is no room to the left and above.
            (Window(0, 0, 200, 200), Window(0, 0, 240, 240)),
        ],
    )
    def test_it_has_room_and_one_of_three_shapes(self, box: Window, expected: Window) -> None:
        found = window_around(box, HD)
        assert (found.left, found.top) == (expected.left, expected.top)
        assert (found.width, found.height) == pytest.approx(
            (expected.width, expected.height), abs=1
        )
        assert found.holds(box)
        assert whole(HD).holds(found)

    @pytest.mark.parametrize("size", [(64, 64), (1080, 1920), (641, 363), (16, 16)])
    def test_it_never_leaves_the_frame(self, size: tuple[int, int]) -> None:
        rng = np.random.default_rng(4)
        for _ in range(50):
            width, height = (int(rng.integers(1, side + 1)) for side in size)
            left, top = (
                int(rng.integers(0, size[0] - width + 1)),
                int(rng.integers(0, size[1] - height + 1)),
            )
            found = window_around(Window(left, top, width, height), size)
            assert whole(size).holds(found)
            assert found.holds(Window(left, top, width, height))
            assert found.left % 2 == found.top % 2 == 0

    def test_it_stays_while_there_is_room_in_it(self) -> None:
        now = window_around(Window(900, 300, 100, 400), HD)
        assert window_around(Window(920, 310, 100, 400), HD, now) is now
        assert window_around(Window(1100, 310, 100, 400), HD, now) != now  # walked out of it
        assert window_around(Window(940, 400, 60, 200), HD, now) != now  # lost in it

    @pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "yuv444p12", "rgb24"])
    def test_cutting_takes_the_same_pixels_of_every_plane(self, name: str) -> None:
        layout = PIXEL_FORMATS[name]
        rng = np.random.default_rng(1)
        shapes = layout.plane_shapes(101, 75)
        planes = tuple(rng.integers(0, 200, shape).astype(layout.dtype) for shape in shapes)
        window = Window(20, 10, 81, 65)  # to the odd right and lower edges
        part = window.cut(Frame(planes, layout, 101, 75, pts=7))
        assert (part.size, part.pts) == ((81, 65), 7)
        assert np.array_equal(part.planes[0], planes[0][10:75, 20:101])
        if layout.family == "yuv":
            x, y = layout.chroma_shift
            assert np.array_equal(part.planes[1], planes[1][10 >> y :, 20 >> x :])
        assert all(np.shares_memory(a, b) for a, b in zip(part.planes, planes, strict=True))

    def test_memory_moves_with_the_window(self) -> None:
        tensor = np.arange(2 * 6 * 8, dtype=np.float32).reshape(1, 2, 6, 8)
        before, now = Window(0, 0, 80, 60), Window(20, 10, 40, 30)
        part = moved(tensor, before, now, (4, 3))
        assert np.array_equal(part, tensor[:, :, 1:4, 2:6])
        base = np.full((1, 2, 6, 8), -1, np.float32)
        back = moved(part, now, before, (8, 6), base)
        assert np.array_equal(back[:, :, 1:4, 2:6], part)
        back[:, :, 1:4, 2:6] = -1
        assert (back == -1).all()
        alone = moved(part, now, before, (8, 6))
        assert alone[0, 0, 0, 0] == 0
        assert alone.sum() == part.sum()
        assert np.array_equal(moved(tensor, before, before, (8, 6)), tensor)
        two = moved(np.concatenate([tensor, -tensor]), before, now, (4, 3))
        assert np.array_equal(two, np.concatenate([part, -part]))

    @pytest.mark.parametrize("size", [(16, 12), (12, 9), (6, 4)])
    def test_memory_of_another_size_repeats_its_edges(self, size: tuple[int, int]) -> None:
        tensor = np.random.default_rng(2).normal(size=(1, 1, 6, 8)).astype(np.float32) + 5
        frame = whole((80, 60))
        found = moved(tensor, frame, frame, size)[0, 0]
        assert found == pytest.approx(cv2.resize(tensor[0, 0], size), abs=0.05)

    def test_a_matte_is_spread_over_the_frame(self) -> None:
        window = Window(4, 2, 8, 4)
        colour = np.ones((2, 4, 3), np.float32)
        part = Matte(np.full((4, 8), 200, np.uint8), colour)
        scratch = Scratch()
        dirty = scratch.alpha(8, 16)
        dirty[:] = 99
        del dirty
        full = spread(part, window, (16, 8), scratch)
        assert np.array_equal(full.alpha, alpha_of(window, size=(16, 8)) // 255 * 200)
        wide = np.asarray(full.foreground_residual)
        assert wide.shape == (4, 8, 3)
        assert np.array_equal(wide[1:3, 2:6], colour)
        assert wide.sum() == colour.sum()
        known = np.full((8, 16), 7, np.uint8)
        mixed = spread(part, window, (16, 8), scratch, known)
        assert mixed.alpha[0, 0] == 7
        assert (mixed.alpha[window.inside] == 200).all()
        assert (known == 7).all()


class TestRule:
    def test_far_people_are_seen_through_a_window_once_they_are_known(self) -> None:
        rule, gaze = FocusRule(352), Gaze()
        alpha = alpha_of(Window(900, 300, 100, 400))
        seen = []
        for _ in range(12):
            gaze = rule.after(gaze, alpha, windows=True)
            seen.append((gaze.focus, gaze.window is not None))
        assert seen == [("far", False)] * 8 + [("far", True)] * 4
        assert rule.scale(gaze) == 1
        assert rule.after(gaze, alpha).window is None  # an engine without windows
        near = rule.after(gaze, alpha_of(Window(400, 0, 1200, 1080)), windows=True)
        assert (near.focus, near.window, near.far_frames) == ("usual", None, 0)
        assert rule.after(gaze, alpha_of(), windows=True) == Gaze("far", 1)

    def test_no_window_where_it_would_show_no_more(self) -> None:
        known = Gaze("far", far_frames=20)
        apart = alpha_of(Window(0, 300, 100, 400), Window(1800, 300, 100, 400))
        assert FocusRule(352).after(known, apart, windows=True).window is None
        small = alpha_of(Window(100, 50, 20, 60), size=(256, 144))  # two pixels each as it is
        assert FocusRule(352).after(known, small, windows=True).window is None

    def test_a_window_may_enlarge_people_that_small_frames_show_pixel_by_pixel(self) -> None:
        known = Gaze("far", far_frames=20)
        small = alpha_of(Window(200, 100, 40, 120), size=(512, 288))
        assert FocusRule(352).after(known, small, windows=True).window is not None

    def test_people_lost_in_a_window_are_noticed(self) -> None:
        known = alpha_of(Window(40, 0, 40, 100), size=(100, 100))
        assert loses_people(alpha_of(Window(40, 0, 40, 80), size=(100, 100)), known)
        assert not loses_people(alpha_of(Window(40, 0, 40, 96), size=(100, 100)), known)
        assert not loses_people(known, alpha_of(size=(100, 100)))


class TestSurroundings:
    WINDOW = Window(320, 100, 240, 400)
    SIZE = (1280, 720)

    def picture(self, *boxes: Window, level: int = 60, noise: float = 0) -> Frame:
        luma = np.full((720, 1280), level, np.float32)
        for box in boxes:
            luma[box.inside] = 160
        luma += np.random.default_rng(len(boxes)).normal(0, noise, luma.shape) if noise else 0
        chroma = np.full((360, 640), 128, np.uint8)
        return Frame((luma.clip(0, 255).astype(np.uint8), chroma, chroma), YUV420P, *self.SIZE)

    def looks(self, frames: list[Frame]) -> list[int]:
        first = sight_of(frames[0])
        around, found = Surroundings(first, first), []
        for number, frame in enumerate(frames[1:], 1):
            now = sight_of(frame)
            assert not around.is_cut(now)
            looked = around.need_a_look(now, self.WINDOW, self.SIZE)
            found += [number] * looked
            around = around.after(now, looked=looked)
        return found

    def test_everything_is_looked_at_now_and_again(self) -> None:
        assert self.looks([self.picture(noise=4)] * 40) == [12, 24, 36]

    def test_whoever_comes_in_is_seen_at_once_but_not_who_stays_in_the_window(self) -> None:
        empty = self.picture()
        inside = self.picture(Window(400, 200, 100, 200))
        outside = self.picture(Window(1180, 300, 100, 300))
        assert self.looks([empty] * 5 + [inside] * 4) == []
        assert self.looks([empty] * 5 + [outside] * 4) == [5]
        assert self.looks([empty, outside, outside, outside, outside]) == [3]

    def test_a_cut_is_noticed(self) -> None:
        sight = sight_of(self.picture())
        assert Surroundings(sight, sight).is_cut(sight_of(self.picture(level=120)))

    @pytest.mark.parametrize("name", ["yuv420p10", "rgb24", "rgb48"])
    def test_a_sight_is_in_eight_bits_whatever_the_format(self, name: str) -> None:
        layout = PIXEL_FORMATS[name]
        planes = tuple(
            np.full(shape, layout.max_value // 2, layout.dtype)
            for shape in layout.plane_shapes(1280, 720)
        )
        sight = sight_of(Frame(planes, layout, 1280, 720))
        assert sight.shape == (36, 64)
        assert abs(int(sight.mean()) - 127) <= 1


def bright(*boxes: Window) -> Frame:
    """What the tiny model takes for people, on black."""
    plane = np.zeros((720, 1280, 3), np.uint8)
    for box in boxes:
        plane[box.inside] = 255
    return Frame((plane,), RGB24, 1280, 720, colour=SRGB)


class TestEngine:
    PERSON = Window(600, 200, 80, 240)

    def steps(self, frames: list[Frame]) -> tuple[list[Any], list[Any]]:
        engine = open_onnxruntime(synth_models.compact_model(), name="tiny", device=Device("cpu"))
        state, mattes, states = None, [], []
        for frame in frames:
            matte, state = engine.step(frame, state)
            mattes.append(matte.alpha.copy())
            states.append(state)
        engine.close()
        return mattes, states

    def test_the_matte_is_that_of_the_frame(self) -> None:
        mattes, states = self.steps([bright(self.PERSON)] * 14)
        assert [state.window is not None for state in states] == [False] * 9 + [True] * 5
        window = states[-1].window
        assert window.holds(self.PERSON)
        assert states[-1].seen[0] < states[-1].seen[1]  # upright as she is
        true = bright(self.PERSON).planes[0][..., 0]
        for alpha in (mattes[8], mattes[13]):
            assert alpha.shape == (720, 1280)
            assert np.abs(alpha.astype(int) - true).mean() < 2
        assert (mattes[13][:, : window.left] == 0).all()

    def test_whoever_comes_in_is_in_the_matte_within_three_frames(self) -> None:
        other = Window(100, 300, 90, 240)
        mattes, states = self.steps([bright(self.PERSON)] * 12 + [bright(self.PERSON, other)] * 4)
        assert states[11].window is not None
        found = [int(matte[420, 140]) for matte in mattes]
        assert found[11] == 0
        assert min(found[14:]) > 128

    def test_after_a_cut_all_of_the_frame_is_seen_at_once(self) -> None:
        elsewhere = bright(whole((1280, 720)))
        mattes, states = self.steps([bright(self.PERSON)] * 12 + [elsewhere])
        assert states[11].window is not None
        assert states[12].window is None
        assert int(mattes[12][10, 10]) > 100
