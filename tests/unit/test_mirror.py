"""A picture and its mirror image in one batch: one matte, whichever way round the picture is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rvm.device import Device
from rvm.frame import RGB24, SRGB, Frame, Matte
from rvm.matting.graph import GraphEngine
from rvm.matting.guide import coarse_alpha
from rvm.matting.mirror import (
    as_many,
    mean_of_maps,
    mean_of_planes,
    put_mirror_image,
    second_turned,
)
from rvm.matting.onnxruntime_engine import open_onnxruntime
from rvm.matting.openvino_engine import open_openvino
from rvm.matting.state import RecurrentState
from rvm.matting.weights import find_model, read_verified

MODEL = "compact_quality"
OPENERS = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}


class TestArrays:
    def test_the_second_picture_is_the_first_turned(self) -> None:
        pictures = np.zeros((2, 1, 1, 3))
        pictures[0] = [[1, 2, 3]]
        put_mirror_image(pictures)
        assert pictures[:, 0, 0].tolist() == [[1, 2, 3], [3, 2, 1]]
        assert second_turned(pictures)[:, 0, 0].tolist() == [[1, 2, 3], [1, 2, 3]]
        assert second_turned(pictures[:1]).shape == (1, 1, 1, 3)

    def test_one_stands_for_two_and_the_first_of_two_for_one(self) -> None:
        pair = np.arange(2.0).reshape(2, 1, 1, 1)
        assert as_many(pair, 1).ravel().tolist() == [0]
        assert as_many(pair, 2).ravel().tolist() == [0, 1]
        assert as_many(pair[1:], 2).ravel().tolist() == [1, 1]

    def test_maps_are_meant_where_they_lie(self) -> None:
        maps = np.array([[[[0, 1, 2]]], [[[2, 1, 4]]]], np.float32)
        assert mean_of_maps(maps).ravel().tolist() == [2, 1, 2]

    def test_planes_are_meant_pixel_by_pixel_and_clamped_before(self) -> None:
        rng = np.random.default_rng(4)
        planes = rng.normal(0, 1, (2, 5, 3, 4)).astype(np.float32)
        found = mean_of_planes(planes)
        expected = (coarse_alpha(planes[0]) + coarse_alpha(planes[1])[:, ::-1]) / 2
        np.testing.assert_allclose(coarse_alpha(found[0]), expected, atol=1e-6)
        np.testing.assert_allclose(
            found[0, 4], (planes[0, 4] + planes[1, 4, :, ::-1]) / 2, atol=1e-6
        )


def framed(rgb: np.ndarray[Any, Any]) -> Frame:
    height, width, _ = rgb.shape
    return Frame((np.ascontiguousarray(rgb),), RGB24, width, height, colour=SRGB)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray[Any, Any]:
    """A person in a frame of 640x352, a multiple of 32 each, so that both ways round are alike."""
    from rvm.demo import portrait

    picture = portrait()
    return np.ascontiguousarray(np.pad(picture[:352], ((0, 0), (0, 128), (0, 0)), mode="edge"))


def opened(engine: str = "onnxruntime", **changes: Any) -> GraphEngine:
    located = find_model(MODEL)
    data, entry = read_verified(located)
    assert entry is not None
    as_usual = {"far_share": 1e-6, "middle_share": 1e-6, "mirror_side": None}
    entry = replace(entry, **{**as_usual, **changes})
    open_engine: Any = OPENERS[engine]
    found: GraphEngine = open_engine(data, name=MODEL, device=Device("cpu"), entry=entry)
    return found


def mattes(engine: GraphEngine, frames: list[Frame]) -> Iterator[tuple[Matte, RecurrentState]]:
    state = None
    for frame in frames:
        matte, state = engine.step(frame, state)
        assert isinstance(state, RecurrentState)
        yield Matte(matte.alpha.copy(), matte.foreground_residual), state
    engine.close()


@pytest.mark.parametrize("engine", OPENERS)
def test_the_matte_is_the_mean_of_both_ways_round(
    portrait: np.ndarray[Any, Any], engine: str
) -> None:
    shown = [portrait, np.roll(portrait, 8, 1), np.roll(portrait, 16, 1)]
    straight = [framed(rgb) for rgb in shown]
    turned = [framed(rgb[:, ::-1]) for rgb in shown]
    found = [m for m, _ in mattes(opened(engine, mirror_side=512), straight)]
    one = [m for m, _ in mattes(opened(engine), straight)]
    other = [m for m, _ in mattes(opened(engine), turned)]
    for both, first, second in zip(found, one, other, strict=True):
        mean = (first.alpha.astype(float) + second.alpha[:, ::-1]) / 2
        assert np.abs(both.alpha - mean).mean() < 0.6  # the regulariser is meant, not the result
        assert np.abs(first.alpha - mean).mean() > 0.6
        assert both.alpha.mean() > 30


def test_the_matte_turns_with_the_picture(portrait: np.ndarray[Any, Any]) -> None:
    engine, other = opened(mirror_side=512), opened(mirror_side=512)
    straight = [m for m, _ in mattes(engine, [framed(portrait)] * 2)]
    turned = [m for m, _ in mattes(other, [framed(portrait[:, ::-1])] * 2)]
    for one, two in zip(straight, turned, strict=True):
        assert np.abs(one.alpha.astype(int) - two.alpha[:, ::-1]).max() <= 1


def test_pictures_too_large_for_it_are_looked_at_once(portrait: np.ndarray[Any, Any]) -> None:
    states = [s for _, s in mattes(opened(mirror_side=300), [framed(portrait)])]
    assert [tensor.shape[0] for tensor in states[0].tensors] == [1] * 4
    states = [s for _, s in mattes(opened(mirror_side=352), [framed(portrait)])]
    assert [tensor.shape[0] for tensor in states[0].tensors] == [2] * 4


def test_memory_goes_along_to_a_picture_that_is_looked_at_once_and_back(
    portrait: np.ndarray[Any, Any],
) -> None:
    """Far people are looked at on 512 pixels, too many for this entry's mirror image."""
    engine = opened(mirror_side=400, far_share=0.9, middle_share=0.9)
    state, counts, alphas = None, [], []
    for gaze_far in (False, True, True, False, False):
        focus = engine.contract.focus
        assert focus is not None
        engine._focus = replace(focus, far_share=0.9 if gaze_far else 1e-6, middle_share=1e-6)
        matte, state = engine.step(framed(portrait), state)
        assert isinstance(state, RecurrentState)
        counts.append(state.tensors[0].shape[0])
        alphas.append(matte.alpha.astype(int))
    engine.close()
    assert counts == [2, 2, 1, 1, 2]
    for before, after in pairwise(alphas[1:]):
        assert np.abs(before - after).mean() < 6  # a fresh start would lose the person for a frame


def test_who_is_in_a_hurry_looks_once(portrait: np.ndarray[Any, Any]) -> None:
    engine = opened(mirror_side=512)
    state, counts = None, []
    for scale in (1.0, 0.7, 1.0):
        engine.rescale(scale)
        matte, state = engine.step(framed(portrait), state)
        assert isinstance(state, RecurrentState)
        counts.append(state.memory.pictures)
        assert matte.alpha.mean() > 30
    engine.close()
    assert counts == [2, 1, 2]


def test_tiny_frames_whose_picture_cannot_shrink_change_over_as_well() -> None:
    engine = opened(mirror_side=512)
    state, seen = None, []
    for scale in (1.0, 0.85, 1.0):
        engine.rescale(scale)
        _, state = engine.step(framed(np.full((36, 64, 3), 90, np.uint8)), state)
        assert isinstance(state, RecurrentState)
        seen.append((state.seen, state.memory.pictures))
    engine.close()
    assert [pictures for _, pictures in seen] == [2, 1, 2]
    assert len({size for size, _ in seen}) == 1
