"""People dressed anew: another colour or pattern where clothes are, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rvm.training.clothing import dress_anew

BOX = (20, 10, 80, 190)
SKIN, HAIR, SHIRT = (220, 170, 150), (20, 20, 24), (60, 80, 170)
SHIRT_ROWS = slice(90, 190)


def person() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Dark hair, a face, a red scarf and a blue shirt with folds, on grey; colours and alpha."""
    rgb = np.full((200, 100, 3), 128, np.uint8)
    rgb[10:40, 20:80] = HAIR
    rgb[40:90, 20:80] = SKIN
    rgb[SHIRT_ROWS, 20:80] = SHIRT
    rgb[SHIRT_ROWS, 20:80:4] = (54, 73, 158)
    rgb[82:90, 20:80] = (200, 20, 20)
    alpha = np.zeros((200, 100), np.uint8)
    alpha[10:190, 20:80] = 255
    return rgb, alpha


def pattern() -> np.ndarray[Any, Any]:
    return np.random.default_rng(8).integers(0, 256, (120, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_the_shirt_changes_and_the_head_stays(seed: int) -> None:
    rgb, alpha = person()
    dressed = dress_anew(np.random.default_rng(seed), rgb, alpha, BOX, pattern())
    changed = np.abs(dressed.astype(int) - rgb).max(-1)
    assert dressed.shape == rgb.shape
    assert changed[100:185, 25:75].mean() > 8
    assert changed[10:80, 25:75].max() <= 4  # the way to Lab and back


def test_other_seeds_other_clothes_the_same_seed_the_same() -> None:
    rgb, alpha = person()
    looks = [
        dress_anew(np.random.default_rng(seed), rgb, alpha, BOX, pattern()) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(looks[0], looks[1])
    assert np.abs(looks[0].astype(int) - looks[2]).mean() > 2


def test_folds_stay_in_plain_cloth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm.training.clothing.PATTERN_SHARE", 0)
    rgb, alpha = person()
    for seed in range(4):
        dressed = dress_anew(np.random.default_rng(seed), rgb, alpha, BOX, pattern())
        light = dressed[120:180].astype(int).sum(-1)
        assert light[:, 24:76:4].mean() < light[:, 26:78:4].mean() - 4


def test_who_is_hardly_there_is_left_alone() -> None:
    rgb, alpha = person()
    alpha[:] = 0
    assert dress_anew(np.random.default_rng(1), rgb, alpha, BOX, pattern()) is rgb
