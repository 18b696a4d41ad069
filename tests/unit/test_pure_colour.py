"""The person's own colour at mixed pixels."""

from __future__ import annotations

import numpy as np
import pytest

from rvm.matting.pure_colour import colour_residual

PERSON = np.array([0.9, 0.2, 0.1], np.float32)
PLACE = np.array([0.1, 0.4, 0.8], np.float32)


def picture_of(alpha: np.ndarray) -> np.ndarray:
    """(3, 2h, 2w): a person of one colour before a place of one colour, blended by (h, w) alpha."""
    small = alpha[..., None] * PERSON + (1 - alpha[..., None]) * PLACE
    return np.ascontiguousarray(small.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1), np.float32)


def edge(*mixed: float) -> np.ndarray:
    """Twelve columns: the person left, then what is mixed, then the place."""
    columns = [1.0] * 5 + list(mixed) + [0.0] * (7 - len(mixed))
    return np.tile(np.array(columns, np.float32), (8, 1))


def test_by_hand() -> None:
    residual = colour_residual(picture_of(edge(0.5)), edge(0.5))
    assert residual.shape == (8, 12, 3)
    assert residual.dtype == np.float32
    # Alpha of the window is 1, 1, 0.5, 0, 0; its squares 1, 1, 0.25, 0, 0.
    # mean(w I) = 0.425 F + 0.025 B, mean(w) = 0.45, and 0.02 of both means, 0.5 F + 0.5 B:
    # F' = (0.435 F + 0.035 B) / 0.47; B' is its mirror image.
    share = 0.5 * (0.435 - 0.035) / 0.47
    np.testing.assert_allclose(residual[:, 5], np.tile(share * (PERSON - PLACE), (8, 1)), atol=1e-5)
    np.testing.assert_allclose(residual[:, 0], 0, atol=1e-6)  # the person: nothing to be added


def test_most_of_the_old_background_goes_from_a_soft_edge() -> None:
    alpha = edge(0.8, 0.6, 0.4, 0.2)
    picture = picture_of(alpha)
    small = picture[:, ::2, ::2].transpose(1, 2, 0)
    cleaned = small + colour_residual(picture, alpha)
    mixed = (alpha > 0) & (alpha < 1)
    before, after = (np.abs(colours - PERSON)[mixed].mean() for colours in (small, cleaned))
    assert after < 0.62 * before


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_there_is_nothing_to_tell_without_a_person_or_without_a_place(alpha: float) -> None:
    rng = np.random.default_rng(0)
    picture = rng.random((3, 16, 24), np.float32)
    residual = colour_residual(picture, np.full((8, 12), alpha, np.float32))
    np.testing.assert_allclose(residual, 0, atol=1e-5)


def test_torch_gives_the_same() -> None:
    torch = pytest.importorskip("torch")
    from rvm.matting.torch_pure_colour import colour_residual as torch_residual

    rng = np.random.default_rng(1)
    picture = rng.random((3, 64, 96), np.float32)
    alpha = np.clip(rng.normal(0.5, 0.6, (32, 48)), 0, 1).astype(np.float32)
    theirs = torch_residual(torch.from_numpy(picture)[None], torch.from_numpy(alpha)[None, None])
    assert theirs.shape == (1, 3, 32, 48)
    ours = colour_residual(picture, alpha)
    np.testing.assert_allclose(theirs[0].permute(1, 2, 0).numpy(), ours, atol=1e-5)
