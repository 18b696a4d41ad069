"""Sampling from pictures of any size: whole people, heads, extra places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from rvm.training import augmentation as aug
from rvm.training import framing, sampling
from rvm.training.framing import HEADLESS
from rvm.training.material import Clip, Material, Still, load_cutouts
from rvm.training.mixing import match_room
from rvm.training.rarities import NOTHING_RARE, Rarities, happens
from rvm.training.sampling import RENDERED_SHARE, Mixture, Sampler

SIZE = (96, 64)


def still(rows: int, columns: int, box: tuple[int, int, int, int], value: int) -> Still:
    alpha = np.zeros((rows, columns), np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 255
    picture = np.full((rows, columns, 3), value, np.uint8)
    return Still(picture, alpha, picture, box)


def material(
    people: list[Still],
    places: bool,
    rendered: list[Still] | None = None,
    checked: list[Still] | None = None,
) -> Material:
    clip = still(90, 160, (40, 10, 120, 90), 150)
    frames = [np.stack([x] * 8) for x in (clip.rgb, clip.alpha, clip.fgr)]
    gray = np.full((120, 160, 3), 40, np.uint8)
    found = SimpleNamespace(
        masked=[still(288, 192, (70, 20, 120, 270), 200)],
        unmasked=[],
        people=people,
        checked=checked or [],
        rendered=rendered or [],
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
        anchor, start = sampler._framed(rng, portrait, SIZE, natural=False)
        bottom = start.matrix(anchor) @ np.array([90.0, 200.0, 1.0])
        assert bottom[1] >= SIZE[1] - 4


def test_a_stage_may_draw_from_a_mixture_of_its_own() -> None:
    sampler = Sampler(material([], False), Mixture(1, 0, 0, 0, 0))
    rng = np.random.default_rng(0)
    assert sampler.draw(rng, 1, SIZE).alpha.any()
    assert not sampler.draw(rng, 1, SIZE, Mixture(0, 0, 0, 0, 1)).alpha.any()


def write_cutout(path: Path) -> None:
    """A red figure whose alpha rises over one column, blue where nobody is."""
    rgba = np.zeros((60, 40, 4), np.uint8)
    rgba[:, :, 2] = 255
    rgba[5:55, 10:30] = (255, 0, 0, 255)
    rgba[5:55, 9] = (255, 0, 0, 100)
    assert cv2.imwrite(str(path), rgba[:, :, [2, 1, 0, 3]])


def test_a_cutout_keeps_its_alpha_and_its_colour_as_written(tmp_path: Path) -> None:
    write_cutout(tmp_path / "somebody-0.png")
    (found,) = load_cutouts(tmp_path)
    assert found.box == (10, 5, 30, 55)
    assert found.alpha[20, 8:11].tolist() == [0, 100, 255]
    assert found.fgr[20, 9].tolist() == [255, 0, 0]
    assert found.fgr[20, 5].tolist() == [0, 0, 255]
    assert load_cutouts(tmp_path / "nowhere") == []


def test_a_cutout_without_alpha_is_an_error(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "flat.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(OSError, match="flat"):
        load_cutouts(tmp_path)


def test_rendered_people_are_a_share_of_the_composites_and_never_a_picture_by_themselves() -> None:
    rendered = still(60, 40, (5, 3, 35, 57), 220)
    with_them = Sampler(material([], False, [rendered]), Mixture())
    without = Sampler(material([], False), Mixture())
    rng = np.random.default_rng(0)
    drawn = sum(with_them._anybody(rng) is rendered for _ in range(2000)) / 2000
    assert drawn == pytest.approx(RENDERED_SHARE, abs=0.03)
    for kind in ("still", "clip", "clip_composite", "empty"):
        for seed in range(8):
            once = getattr(with_them, kind)(np.random.default_rng(seed), 2, SIZE)
            other = getattr(without, kind)(np.random.default_rng(seed), 2, SIZE)
            assert np.array_equal(once.rgb, other.rgb)


def test_without_rendered_people_a_composite_draws_no_more_random_numbers() -> None:
    sampler = Sampler(material([], False), Mixture())
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    sampler._anybody(rng)
    sampler._any_still(same, 0.6)
    assert rng.bit_generator.state == same.bit_generator.state


def test_an_exposure_adds_up_light_and_not_the_colours_of_nobody() -> None:
    alpha = np.array([[[0, 255, 255, 0]], [[0, 0, 255, 0]]], np.uint8)
    red, blue = (200, 0, 0), (0, 0, 100)
    fgr = np.array([[[blue, red, red, blue]], [[blue, blue, blue, blue]]], np.uint8)
    mean, colour = aug.smeared(alpha, fgr)
    assert mean.tolist() == [[0, 128, 255, 0]]
    assert colour.tolist() == [[[0, 0, 100], [200, 0, 0], [100, 0, 50], [0, 0, 100]]]


def test_moments_of_an_exposure_lie_on_a_line_around_the_frames_place() -> None:
    path = [aug.Placement(50 + 3 * t, 20, 1, 1, 0) for t in range(3)]
    for seed in range(20):
        frames = aug.exposure(np.random.default_rng(seed), path, 10, moments=5)
        for place, moments in zip(path, frames, strict=True):
            x, y = (np.array([getattr(m, axis) for m in moments]) for axis in "xy")
            assert np.allclose([x.mean(), y.mean()], [place.x, place.y])
            assert np.allclose(np.diff(x), x[1] - x[0])
            assert np.allclose(np.diff(y), y[1] - y[0])
            assert 0 < np.hypot(x[-1] - x[0], y[-1] - y[0]) <= 10


def test_somebody_who_moves_fast_has_a_soft_outline() -> None:
    soft = []
    for share in (0.0, 1.0):
        sampler = Sampler(material([], False), Mixture(), Rarities(share, 0, 0, 0))
        drawn = [
            sampler._cutout(np.random.default_rng(s), sampler.material.masked[0], 2, (352, 192))
            for s in range(8)
        ]
        soft.append(sum(int(((a > 0) & (a < 255)).sum()) for a, _ in drawn))
        assert all(a.shape == (2, 192, 352) and f.shape == (2, 192, 352, 3) for a, f in drawn)
    assert soft[1] > 2 * soft[0]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_those_who_were_looked_at_are_drawn_in_the_share_asked_for(share: float) -> None:
    known, hard = still(288, 192, (40, 20, 150, 270), 200), still(288, 192, (40, 20, 150, 270), 90)
    found = material([known], True, checked=[hard])
    sampler = Sampler(found, Mixture(), replace(NOTHING_RARE, checked=share))
    drawn = [sampler._any_still(np.random.default_rng(seed), 0.6) is hard for seed in range(60)]
    assert np.mean(drawn) == pytest.approx(share, abs=0.2)


def test_clothes_are_changed_in_the_share_of_cutouts_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    green = np.array([0, 250, 0], np.uint8)
    monkeypatch.setattr(sampling, "dress_anew", lambda _rng, rgb, *_: np.full_like(rgb, green))
    somebody = still(288, 192, (40, 20, 150, 270), 200)
    for share in (0.0, 0.5, 1.0):
        rarities = replace(NOTHING_RARE, dressed=share)
        sampler = Sampler(material([], True), Mixture(), rarities)
        drawn = [sampler._cutout(np.random.default_rng(s), somebody, 1, SIZE) for s in range(40)]
        dressed = [bool((fgr == green).all()) for _, fgr in drawn]
        assert np.mean(dressed) == pytest.approx(share, abs=0.2)
        assert all(alpha.any() for alpha, _ in drawn)
        assert (somebody.fgr == 200).all()


def test_what_is_measured_on_stays_the_same_when_something_rare_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured_on = Sampler(material([], False), Mixture(), NOTHING_RARE).still_composite
    drawn = [measured_on(np.random.default_rng(seed), 2, SIZE) for seed in range(8)]
    with monkeypatch.context() as patched:  # a sampler that knows of nothing rare
        for module in (sampling, framing):
            patched.setattr(module, "happens", lambda *_: False)
        ignorant = Sampler(material([], False), Mixture(), Rarities(1, 1, 1, 1)).still_composite
        for seed, sequence in enumerate(drawn):
            again = ignorant(np.random.default_rng(seed), 2, SIZE)
            assert np.array_equal(again.rgb, sequence.rgb)
    rng = np.random.default_rng(5)
    before = rng.bit_generator.state
    assert not happens(rng, 0)
    assert rng.bit_generator.state == before
    assert happens(rng, 1)


def test_a_head_above_the_frame_leaves_the_body_in_it() -> None:
    standing = still(400, 120, (40, 20, 80, 390), 200)
    sampler = Sampler(material([], False), Mixture(), Rarities(0, 0, 0, headless=1))
    for seed in range(40):
        place = sampler._framed(np.random.default_rng(seed), standing, SIZE, natural=False)[1]
        cut = -place.y / (370 * np.sqrt(place.scale_x * place.scale_y))
        assert HEADLESS[0] <= cut <= HEADLESS[1]


def test_a_real_picture_goes_on_to_the_lower_edge_where_it_is_moved_up_for_that() -> None:
    standing = still(400, 120, (40, 20, 80, 390), 200)
    sampler = Sampler(material([], False), Mixture(), Rarities(0, 0, 0, headless=1))
    cut = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        _, place = sampler._framed(rng, standing, SIZE, natural=True)
        cut += place.y < 0
        scale = np.sqrt(place.scale_x * place.scale_y)  # without the stretch
        assert place.y + 380 * scale >= SIZE[1] - 0.01
    assert cut >= 20


@pytest.mark.parametrize("far", [0.0, 0.4, 1.0])
def test_whoever_stands_is_seen_from_afar_as_often_as_asked_for(far: float) -> None:
    somebody = still(400, 180, (60, 30, 120, 370), 220)
    sampler = Sampler(material([somebody], False), Mixture(), Rarities(headless=0, far=far))
    small = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        _, start = sampler._framed(rng, somebody, SIZE, natural=False)
        # From afar all 340 rows of them fill 0.6 of the frame at most; else hardly ever.
        small += 340 * np.sqrt(start.scale_x * start.scale_y) < 0.6 * SIZE[1]
    assert small / 200 == pytest.approx(far, abs=0.08)


@pytest.mark.parametrize(
    ("box", "whole"), [((10, 30, 170, 170), True), ((10, 30, 170, 200), False)]
)
def test_whoever_stretches_their_arms_out_is_seen_from_afar_where_nothing_cuts_them_off(
    box: tuple[int, int, int, int], whole: bool
) -> None:
    somebody = still(200, 180, box, 220)
    sampler = Sampler(material([somebody], False), Mixture(), Rarities(0, 0, bent=1, headless=0))
    heights = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, start = sampler._framed(rng, somebody, SIZE, natural=False)
        heights.append((box[3] - box[1]) * start.scale_y / SIZE[1])
    assert (min(heights) < 0.4) == (max(heights) < 0.75) == whole


def test_a_place_takes_the_colour_of_what_somebody_wears() -> None:
    alpha = np.zeros((2, 40, 60), np.uint8)
    alpha[:, 10:, 20:40] = 255
    fgr = np.full((2, 40, 60, 3), (30, 120, 40), np.uint8)
    fgr[alpha == 0] = (255, 0, 255)  # of nobody; it must not count
    back = np.full((2, 40, 60, 3), (150, 100, 100), np.uint8)
    for seed in range(10):
        room = match_room(np.random.default_rng(seed), back, alpha, fgr)
        assert room.shape == back.shape
        mean = room.reshape(-1, 3).mean(0)
        # Between six tenths and all of the way from the wall's colour to the cloth's.
        assert 30 <= mean[0] <= 150 - 0.6 * 120 + 1
        assert 100 + 0.6 * 20 - 1 <= mean[1] <= 121
        assert 39 <= mean[2] <= 100 - 0.6 * 60 + 1
    nobody = np.zeros_like(alpha)
    assert match_room(np.random.default_rng(0), back, nobody, fgr) is back
