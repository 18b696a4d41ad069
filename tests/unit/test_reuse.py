"""Mattes without the network: what counts as still, where things went, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest

from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, YUV420P, ByteImage, Frame, Matte
from rvm.matting.base import Engine, EngineInfo, State
from rvm.matting.fake import FakeEngine
from rvm.matting.motion import MotionEstimator, follow, is_other, is_still, thumbnail
from rvm.matting.refine import Scratch
from rvm.matting.reuse import Coefficients, fitted
from rvm.matting.state import RecurrentState
from rvm.matting.thrift import MOST_STILL_FRAMES, STALE_SECONDS, ThriftyMatter
from tests import synth_models

WIDTH, HEIGHT = 320, 192


def texture(seed: int = 1) -> ByteImage:
    """(HEIGHT, WIDTH) soft random blobs of 40..200, which motion can hold on to."""
    coarse = np.random.default_rng(seed).uniform(40, 200, (HEIGHT // 12, WIDTH // 12))
    import cv2

    return (
        np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
        .clip(16, 235)
        .astype(np.uint8)
    )


def frame_of(luma: ByteImage, at_seconds: float = 0.0) -> Frame:
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    height, width = luma.shape
    return Frame((luma, chroma, chroma), YUV420P, width, height, captured_at_seconds=at_seconds)


def scene(x: int, y: int = 60) -> tuple[Frame, ByteImage]:
    """A textured square at (x, y) before a flat wall, and its exact matte."""
    luma = np.full((HEIGHT, WIDTH), 90, np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    luma[y : y + 80, x : x + 80] = np.maximum(texture()[:80, :80], 150)
    alpha[y : y + 80, x : x + 80] = 255
    return frame_of(luma), alpha


def noisy(luma: ByteImage, sigma: float, seed: int) -> ByteImage:
    noise = np.random.default_rng(seed).normal(0, sigma, luma.shape)
    return (luma + noise).round().clip(0, 255).astype(np.uint8)


# ── still or not ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_a_thumbnail_is_luma_of_256_samples(name: str) -> None:
    format = PIXEL_FORMATS[name]
    planes = tuple(
        np.full(shape, 100 << (format.depth - 8), format.dtype)
        for shape in format.plane_shapes(1920, 1080)
    )
    small = thumbnail(Frame(planes, format, 1920, 1080))
    assert small.shape == (144, 256)
    assert small.dtype == np.uint8
    assert int(small.min()) == int(small.max()) == 100


def test_a_thumbnail_of_a_small_picture_is_not_larger_than_it() -> None:
    assert thumbnail(frame_of(np.zeros((2, 4), np.uint8))).shape == (2, 4)


@pytest.mark.parametrize("sigma", [0, 2, 6])
def test_noise_is_still(sigma: float) -> None:
    picture = texture()
    one, other = (thumbnail(frame_of(noisy(picture, sigma, seed))) for seed in (1, 2))
    assert is_still(one, other)


@pytest.mark.parametrize("sigma", [0, 6])
def test_a_hand_is_not_still(sigma: float) -> None:
    picture = texture()
    moved = picture.copy()
    moved[100:130, 40:70] = 128 + moved[100:130, 40:70] // 4  # 1.5 % of the picture
    one = thumbnail(frame_of(noisy(picture, sigma, 1)))
    other = thumbnail(frame_of(noisy(moved, sigma, 2)))
    assert not is_still(one, other)


def test_a_camera_that_moves_is_not_still() -> None:
    one = thumbnail(frame_of(texture()))
    other = thumbnail(frame_of(np.roll(texture(), 6, axis=1)))
    assert not is_still(one, other)
    assert not is_other(one, other)
    assert not is_still(one, one[:-1])


def test_another_shot_is_other() -> None:
    one, other = thumbnail(frame_of(texture())), thumbnail(frame_of(255 - texture()))
    assert is_other(one, other)
    assert is_other(one, one[:, :-1])


# ── motion ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("x", "y"), [(5, 0), (-4, 3), (0, -6)])
def test_the_sources_point_back_to_where_things_were(x: int, y: int) -> None:
    before = np.ascontiguousarray(texture()[:144, :256])
    now = np.roll(before, (y, x), axis=(0, 1))
    sources = MotionEstimator().sources(before, now)
    middle = sources[30:-30, 30:-30].reshape(-1, 2)
    assert np.median(middle, axis=0) == pytest.approx([-x, -y], abs=0.3)
    (moved,) = follow((before.astype(np.float32),), sources)
    error = np.abs(moved - now)[30:-30, 30:-30].mean()
    assert error < 0.2 * np.abs(before.astype(float) - now)[30:-30, 30:-30].mean()


def test_nothing_moves_in_a_flat_or_tiny_picture() -> None:
    estimator = MotionEstimator()
    for shape in ((144, 256), (4, 4)):
        flat = np.full(shape, 90, np.uint8)
        assert not estimator.sources(flat, flat).any()


def test_following_scales_with_the_planes() -> None:
    sources = np.zeros((10, 20, 2), np.float32)
    sources[:, :, 0] = -1  # one of 20 columns: two of 40
    plane = np.tile(np.arange(40, dtype=np.float32), (20, 1))
    coloured = np.dstack([plane, -plane, plane])
    moved, moved_colour = follow((plane, coloured), sources)
    assert moved[5].tolist() == [0, 0, *range(38)]
    assert moved_colour.shape == (20, 40, 3)
    assert moved_colour[5, :, 1].tolist() == (-moved[5]).tolist()


# ── coefficients ─────────────────────────────────────────────────────────────────────────────


def test_fitted_coefficients_give_the_matte_back() -> None:
    frame, alpha = scene(100)
    again = fitted(frame, Matte(alpha)).on(frame, Scratch()).alpha
    assert np.abs(again.astype(int) - alpha).mean() < 1.5


def test_moved_coefficients_give_the_matte_of_the_next_frame() -> None:
    (before, alpha), (now, expected) = scene(100), scene(106)
    sources = MotionEstimator().sources(thumbnail(before), thumbnail(now))
    moved = fitted(before, Matte(alpha)).moved(sources).on(now, Scratch()).alpha
    error = np.abs(moved.astype(int) - expected).mean()
    held = np.abs(alpha.astype(int) - expected).mean()
    assert error < 0.5 * held


def test_a_residual_moves_along() -> None:
    residual = np.zeros((8, 16, 3), np.float32)
    residual[:, 4] = 1
    plane = np.zeros((16, 32), np.float32)
    sources = np.zeros((16, 32, 2), np.float32)
    sources[:, :, 0] = -4
    moved = Coefficients(plane, plane, residual).moved(sources)
    assert moved.residual is not None
    assert moved.residual[:, 6].min() == 1
    assert Coefficients(plane, plane).moved(sources).residual is None


# ── the matter that spares the network ───────────────────────────────────────────────────────


class Counting(Engine):
    """The luma engine, counting."""

    info = EngineInfo("counting", "fake", "cpu", "numpy", "fp32", "a test")
    scales = (1.0, 0.5)

    def __init__(self) -> None:
        self.inner = FakeEngine(shape="luma")
        self.steps = 0
        self.fresh = 0
        self.rescaled: list[float] = []

    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        self.steps += 1
        self.fresh += state is None
        return self.inner.step(frame, state)

    def rescale(self, scale: float) -> None:
        super().rescale(scale)
        self.rescaled.append(scale)


def test_a_still_picture_goes_through_the_network_now_and_then_only() -> None:
    engine = Counting()
    engine.inner = FakeEngine()
    matter = ThriftyMatter(engine=engine)
    picture = texture()
    mattes = [matter.step(frame_of(noisy(picture, 2, index))) for index in range(64)]
    # The first two show that the matte has settled; then every 16th.
    assert engine.steps == 5
    assert matter.steps == {"network": 5, "moved": 0, "still": 59}
    assert mattes[1 + MOST_STILL_FRAMES] is mattes[1]
    assert mattes[2 + MOST_STILL_FRAMES] is not mattes[1]


def test_a_network_that_still_finds_its_way_is_let_run() -> None:
    class Fading(Counting):
        def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
            self.steps += 1
            return Matte(np.full((HEIGHT, WIDTH), max(100 - 10 * self.steps, 0), np.uint8)), None

    engine = Fading()
    matter = ThriftyMatter(engine=engine)
    for _ in range(11):
        matter.step(frame_of(texture()))
    assert matter.steps["still"] == 0
    matter.step(frame_of(texture()))
    assert matter.last_step == "still"


def test_a_moving_picture_always_does_unless_told_otherwise() -> None:
    engine = Counting()
    matter = ThriftyMatter(engine=engine)
    for index in range(8):
        matter.step(scene(20 + 6 * index)[0])
    assert engine.steps == 8
    matter.set_level(0.5, 3)
    assert engine.rescaled == [0.5]
    for index in range(9):
        matter.step(scene(20 + 6 * index)[0])
    assert engine.steps == 11
    assert matter.steps["moved"] == 6


def test_a_moved_matte_has_the_edges_of_the_new_frame() -> None:
    class Square(Counting):
        def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
            self.steps += 1
            return Matte(np.where(frame.planes[0] > 120, 255, 0).astype(np.uint8)), None

    matter = ThriftyMatter(engine=Square())
    matter.set_level(1.0, 2)
    matter.step(scene(100)[0])
    now, expected = scene(105)
    matte = matter.step(now)
    assert matter.last_step == "moved"
    held = np.abs(scene(100)[1].astype(int) - expected).mean()
    assert np.abs(matte.alpha.astype(int) - expected).mean() < 0.5 * held


def test_a_cut_a_new_size_and_a_reset_go_through_the_network() -> None:
    engine = Counting()
    matter = ThriftyMatter(engine=engine)
    matter.set_level(1.0, 3)
    for luma in (texture(), 255 - texture(), texture()[:96, :160]):
        matter.step(frame_of(np.ascontiguousarray(luma)))
    assert engine.steps == 3
    for _ in range(2):
        matter.step(frame_of(np.ascontiguousarray(texture()[:96, :160])))
    assert engine.steps == 3
    matter.reset()
    matter.step(frame_of(np.ascontiguousarray(texture()[:96, :160])))
    assert engine.steps == 4


def test_after_a_long_gap_memory_is_dropped() -> None:
    engine = Counting()
    matter = ThriftyMatter(engine=engine)
    times = [50.0, 50.03, 50.03 + STALE_SECONDS + 0.1]
    for at_seconds in times:
        matter.step(frame_of(texture(), at_seconds))
    assert engine.fresh == 2
    assert matter.resets == 1


def test_nothing_is_spared_where_that_was_not_asked() -> None:
    engine = Counting()
    matter = ThriftyMatter(engine=engine, spare_still=False)
    for _ in range(5):
        matter.step(frame_of(texture()))
    assert engine.steps == 5


def test_rgb_arrays_are_spared_too() -> None:
    engine = Counting()
    matter = ThriftyMatter(engine=engine)
    picture = np.dstack([texture()] * 3)
    for _ in range(5):
        assert matter.step(picture).alpha.shape == (HEIGHT, WIDTH)
    assert engine.steps == 2


# ── the network's size ───────────────────────────────────────────────────────────────────────


def test_a_network_of_free_size_can_be_rescaled_and_keeps_its_memory() -> None:
    from rvm.device import Device
    from rvm.matting.onnxruntime_engine import open_onnxruntime

    engine = open_onnxruntime(synth_models.compact_model(), name="tiny", device=Device("cpu"))
    assert engine.scales == (1.0, 0.85, 0.7)
    frame = Frame((np.full((360, 640, 3), 100, np.uint8),), RGB24, 640, 360, colour=SRGB)
    _, state = engine.step(frame, None)
    assert isinstance(state, RecurrentState)
    assert state.seen == (512, 288)
    engine.rescale(0.7)
    matte, after = engine.step(frame, state)
    assert isinstance(after, RecurrentState)
    assert after.seen == (352, 192)
    # Running mean of 100/255: 1/2 then 3/4 of it, so the memory came along; alpha adds half of Y.
    assert int(matte.alpha[0, 0]) == pytest.approx(100 * (0.5 + 0.75 / 2), abs=1)
    assert engine.coefficients(after) is not None
    assert engine.coefficients(None) is None
    with pytest.raises(ValueError, match="expected one of"):
        engine.rescale(0.3)
    engine.close()
