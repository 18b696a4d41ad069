"""Compiled kernels give what OpenCV gives: alpha and blends, in every format and odd sizes."""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvm import jit
from rvm.compositing import blur, cpu_compositor, make_compositor
from rvm.compositing.base import Background
from rvm.frame import PIXEL_FORMATS, ColourTags, Frame, Matte
from rvm.matting import guide, picture, refine
from rvm.matting.guide import guided_coefficients
from rvm.matting.picture import write_picture
from rvm.matting.refine import guided_alpha, luma_guide

pytest.importorskip("numba")

YUV = [name for name, pixels in PIXEL_FORMATS.items() if pixels.family == "yuv"]
Floats = npt.NDArray[np.float32]


class Given(Background):
    def __init__(self, picture: Frame) -> None:
        self.picture = picture

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        return self.picture


def no_kernels(name: str) -> None:
    return None


def both(monkeypatch_target: Any, run: Any) -> tuple[Any, Any]:
    """What `run` gives with kernels and without."""
    with pytest.MonkeyPatch.context() as patch:
        fused = run()
        patch.setattr(monkeypatch_target, "kernels", no_kernels)
        return fused, run()


def noise(name: str, width: int, height: int, seed: int, padding: int = 0) -> Frame:
    pixels, rng = PIXEL_FORMATS[name], np.random.default_rng(seed)
    planes = tuple(
        rng.integers(0, pixels.max_value + 1, (rows, columns + padding)).astype(pixels.dtype)[
            :, :columns
        ]
        for rows, columns in pixels.plane_shapes(width, height)
    )
    return Frame(planes, pixels, width, height, colour=ColourTags())


def blocky(shape: tuple[int, int], seed: int) -> Floats:
    """Smooth-edged areas of 0 and 1, as the alpha of a person."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    coarse = rng.integers(0, 2, (-(-rows // 6), -(-columns // 6))).astype(np.float32)
    return np.kron(coarse, np.ones((6, 6), np.float32))[:rows, :columns]


@given(
    name=st.sampled_from(YUV),
    size=st.tuples(st.integers(1, 150), st.integers(1, 40)),
    seed=st.integers(0, 99),
    coloured=st.booleans(),
    padding=st.sampled_from([0, 3, 32]),
)
@settings(max_examples=150, deadline=None)
def test_blends_are_those_of_opencv(
    name: str, size: tuple[int, int], seed: int, coloured: bool, padding: int
) -> None:
    width, height = size
    frame, behind = noise(name, *size, seed, padding), noise(name, *size, seed + 1)
    rng = np.random.default_rng(seed)
    alpha = (blocky((height, width), seed) * 255).astype(np.uint8)
    alpha = np.where(rng.random(alpha.shape) < 0.05, rng.integers(0, 256, alpha.shape), alpha)
    residual = rng.normal(0, 0.2, (5, 9, 3)).astype(np.float32) if coloured else None
    matte = Matte(alpha.astype(np.uint8), residual)
    compositor = make_compositor(Given(behind))
    fused, plain = both(cpu_compositor, lambda: compositor.compose(frame, matte).picture.planes)
    for ours, theirs in zip(fused, plain, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.abs(ours.astype(int) - theirs).max() <= (1 if coloured else 0)


@given(
    name=st.sampled_from(YUV),
    size=st.tuples(st.integers(1, 200), st.integers(1, 90)),
    small=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    seed=st.integers(0, 99),
    full=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_alpha_is_that_of_opencv(
    name: str, size: tuple[int, int], small: tuple[int, int], seed: int, full: bool
) -> None:
    frame = noise(name, *size, seed, padding=5)
    frame = Frame(
        frame.planes, frame.format, *size, colour=ColourTags(range="full" if full else "limited")
    )
    rng = np.random.default_rng(seed)
    offset = blocky(small, seed) * np.float32(1.2) - np.float32(0.1)
    near_edge = np.abs(np.diff(offset, axis=1, append=offset[:, -1:])) > 0
    scale = np.where(near_edge, rng.normal(0, 1, small), 0).astype(np.float32)
    fused, plain = both(refine, lambda: guided_alpha(luma_guide(frame), scale, offset))
    assert np.abs(fused.astype(int) - plain).max() <= 1


def test_solid_areas_are_exact_and_follow_every_code() -> None:
    frame = noise("yuv420p", 64, 48, seed=3)
    nothing, everything = np.zeros((6, 8), np.float32), np.ones((6, 8), np.float32)
    assert (guided_alpha(luma_guide(frame), nothing, nothing) == 0).all()
    assert (guided_alpha(luma_guide(frame), nothing, everything) == 255).all()
    # One sample in which bright codes count: it must reach into all its neighbours, no further.
    scale = nothing.copy()
    scale[2, 3] = 1
    alpha = guided_alpha(luma_guide(frame), scale, nothing)
    assert (alpha > 0).any()
    seen = np.argwhere(alpha > 0)
    assert seen.min(axis=0).tolist() >= [12, 20]
    assert seen.max(axis=0).tolist() <= [27, 35]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coefficients_that_are_no_numbers_are_nothing(bad: float) -> None:
    frame = noise("yuv420p", 33, 17, seed=1)
    broken = np.full((4, 5), bad, np.float32)
    assert (guided_alpha(luma_guide(frame), broken, broken) == 0).all()


def test_rows_keep_their_padding_without_a_copy() -> None:
    wide = np.arange(24, dtype=np.uint16).reshape(3, 8)
    view = wide[:, :5]
    rows = jit.whole_rows(view)
    assert rows.shape == (3, 8)
    assert rows.flags.c_contiguous
    assert not rows.flags.writeable
    assert np.shares_memory(rows, wide)
    np.testing.assert_array_equal(jit.whole_rows(wide[::-1])[:, :8], wide[::-1])
    np.testing.assert_array_equal(jit.whole_rows(wide[:, ::2])[:, :4], wide[:, ::2])


@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 99),
    known=st.sampled_from([0.02, 0.3, 0.9]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_filled_is_the_same(rows: int, columns: int, seed: int, known: float) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.random((rows, columns)) < known).astype(np.float32)
    weight *= rng.choice(np.array([1, 1, 0.4], np.float32), weight.shape)
    channels = list(rng.uniform(0, 255, (3, rows, columns)).astype(np.float32))
    fused, plain = both(blur, lambda: blur.fill(channels, weight))
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=0.01)


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), shift=st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_cells_weigh_the_same(rows: int, columns: int, shift: int) -> None:
    alpha = np.random.default_rng(rows).integers(0, 256, (rows, columns), dtype=np.uint8)
    alpha[alpha < 200] = 0
    fused, plain = both(blur, lambda: blur.background_weight(alpha, shift))
    np.testing.assert_array_equal(fused, plain)


def test_an_axis_has_half_pixel_centres() -> None:
    before, after_weight = jit.bilinear_axis(2, 4)
    # Centres of four samples lie at -0.25, 0.25, 0.75, 1.25 of the two; the edge makes them + 1.
    assert before.tolist() == [0, 1, 1, 2]
    assert after_weight.tolist() == [0.75, 0.25, 0.75, 0.25]
    assert jit.cell_starts(2, 4).tolist() == [0, 1, 3, 4]


def test_without_numba_opencv_does_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "rvm.matting.fused_refine", raising=False)
    jit.kernels.cache_clear()
    with caplog.at_level(logging.INFO, "rvm.jit"):
        assert jit.kernels("rvm.matting.fused_refine") is None
        frame = noise("yuv420p", 16, 16, seed=0)
        nothing, everything = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
        assert (guided_alpha(luma_guide(frame), nothing, everything) == 255).all()
    assert "OpenCV does its work" in caplog.text
    jit.kernels.cache_clear()


def test_a_machine_that_never_ran_them_is_told(tmp_path: Path) -> None:
    """The first run on a machine translates for seconds, and says so; the second does not."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    program = (
        "from rvm.jit import is_translated, kernels; name = 'rvm.matting.fused_refine'\n"
        "before = is_translated(name)\n"
        "import numpy as np\n"
        "kernels(name)._sample_kinds(*[np.zeros((2, 2), np.float32)] * 2, np.float32(255))\n"
        "print(before, is_translated(name))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


@given(
    cells=st.tuples(st.integers(1, 40), st.integers(1, 60)),
    seed=st.integers(0, 99),
    spread=st.sampled_from([0.1, 0.6, 5.0]),
)
@settings(max_examples=60, deadline=None)
def test_the_guide_is_that_of_opencv(cells: tuple[int, int], seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = cells
    seen = rng.random((3, 2 * rows, 2 * columns)).astype(np.float32)
    planes = rng.normal(0, spread, (5, rows, columns)).astype(np.float32)
    fused, plain = both(guide, lambda: guided_coefficients(seen, planes))
    for ours, theirs in zip(fused, plain, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("name", YUV)
def test_the_picture_is_that_of_opencv(name: str, matrix: Any, range_: Any) -> None:
    frame = dataclasses.replace(noise(name, 151, 90, 1, 3), colour=ColourTags(matrix, range_))

    def seen() -> Floats:
        small = np.full((3, 32, 64), np.nan, np.float32)
        write_picture(frame, small)
        return small

    fused, plain = both(picture, seen)
    np.testing.assert_allclose(fused, plain, atol=2e-6)
