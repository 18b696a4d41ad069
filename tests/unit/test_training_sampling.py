"""Sampling from pictures of any size: whole people, heads, extra places."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from rvm.training.material import Clip, Material, Still
from rvm.training.sampling import Mixture, Sampler

SIZE = (96, 64)


def still(rows: int, columns: int, box: tuple[int, int, int, int], value: int) -> Still:
    alpha = np.zeros((rows, columns), np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 255
    picture = np.full((rows, columns, 3), value, np.uint8)
    return Still(picture, alpha, picture, box)


def material(people: list[Still], places: bool) -> Material:
    clip = still(90, 160, (40, 10, 120, 90), 150)
    frames = [np.stack([x] * 8) for x in (clip.rgb, clip.alpha, clip.fgr)]
    gray = np.full((120, 160, 3), 40, np.uint8)
    found = SimpleNamespace(
        masked=[still(288, 192, (70, 20, 120, 270), 200)],
        unmasked=[],
        people=people,
        clips=[Clip("talk_x", *frames)],
        backgrounds=[gray],
        places=[gray + 60] if places else [],
    )
    return cast("Material", found)


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("kind", ["still", "still_composite", "clip", "clip_composite", "empty"])
def test_every_kind_has_the_size_asked_for_and_repeats(kind: str, places: bool) -> None:
    portrait = still(200, 180, (20, 30, 160, 200), 220)
    sampler = Sampler(material([portrait], places), Mixture())
    for seed in range(12):
        once = getattr(sampler, kind)(np.random.default_rng(seed), 3, SIZE)
        again = getattr(sampler, kind)(np.random.default_rng(seed), 3, SIZE)
        assert once.rgb.shape == once.fgr.shape == (3, SIZE[1], SIZE[0], 3)
        assert once.alpha.shape == (3, SIZE[1], SIZE[0])
        assert np.array_equal(once.rgb, again.rgb)
        assert bool(once.alpha.any()) == (kind != "empty")


def test_a_person_cut_off_by_the_picture_reaches_the_bottom_of_the_frame() -> None:
    portrait = still(200, 180, (20, 30, 160, 200), 220)
    sampler = Sampler(material([portrait], False), Mixture())
    for seed in range(40):
        rng = np.random.default_rng(seed)
        anchor, start = sampler._frame_person(rng, portrait, SIZE, natural=False)
        bottom = start.matrix(anchor) @ np.array([90.0, 200.0, 1.0])
        assert bottom[1] >= SIZE[1] - 4


def test_a_stage_may_draw_from_a_mixture_of_its_own() -> None:
    sampler = Sampler(material([], False), Mixture(1, 0, 0, 0, 0))
    rng = np.random.default_rng(0)
    assert sampler.draw(rng, 1, SIZE).alpha.any()
    assert not sampler.draw(rng, 1, SIZE, Mixture(0, 0, 0, 0, 1)).alpha.any()
