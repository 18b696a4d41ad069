"""Losses by hand, augmentation and sampling on made-up material, a tiny run that resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rvm.network.compact import CompactConfig
from rvm.training import augmentation, losses
from rvm.training.loop import Trainer, train
from rvm.training.material import correct_with_mask, intersection_over_union, person_box
from rvm.training.recipe import Recipe, Stage, recipe_from_dict
from rvm.training.sampling import Mixture, Sequence, blend, flip

TINY = CompactConfig((8, 8, 8, 8, 8), (1, 1, 1, 1), (8, 8, 8, 8, 8))


class Discs:
    """A bright disc on noise: enough to learn something from."""

    def draw(
        self,
        rng: np.random.Generator,
        frames: int,
        size: tuple[int, int],
        mixture: Mixture | None = None,
    ) -> Sequence:
        width, height = size
        y, x = np.mgrid[:height, :width]
        cx, cy = rng.uniform(0.3, 0.7, 2) * size
        alpha = (((x - cx) ** 2 + (y - cy) ** 2) < (0.2 * width) ** 2).astype(np.uint8) * 255
        stack = np.repeat(alpha[None], frames, 0)
        noise = rng.integers(0, 120, (frames, height, width, 3), dtype=np.uint8)
        fgr = np.full_like(noise, 230)
        return Sequence(blend(stack, fgr, noise), stack, fgr)


def tiny_recipe(steps: int) -> Recipe:
    stage = Stage("tiny", steps, 2, 2, ((32, 32), (64, 32)), 1e-3, 1e-4, detail=2)
    return Recipe((stage,), warmup_steps=2, network=TINY)


def test_weighted_l1_is_a_weighted_mean() -> None:
    predicted, true = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
    assert losses.weighted_l1(predicted, true, torch.tensor([3.0, 1.0])) == pytest.approx(0.75)


def test_edges_weigh_more_and_flat_parts_one() -> None:
    alpha = torch.zeros(1, 1, 1, 12)
    alpha[..., 6:] = 1
    weight = losses.edge_weight(alpha, 2.0)[0, 0, 0]
    assert weight.tolist() == [1, 1, 1, 1, 3, 3, 3, 3, 1, 1, 1, 1]


def test_a_pyramid_keeps_a_constant_and_its_laplacian_is_zero() -> None:
    flat = torch.full((1, 1, 16, 12), 0.3)
    assert losses.pyramid_down(flat).shape == (1, 1, 8, 6)
    assert torch.allclose(losses.pyramid_down(flat), torch.tensor(0.3))
    assert float(losses.laplacian_loss(flat, torch.zeros_like(flat))) == pytest.approx(0, abs=1e-6)


def test_pyramid_down_of_a_spike_is_the_binomial_centre() -> None:
    spike = torch.zeros(1, 1, 9, 9)
    spike[..., 4, 4] = 256
    assert losses.pyramid_down(spike)[0, 0, 2, 2] == pytest.approx(36)  # 6 * 6 of 256


def test_temporal_loss_sees_flicker_but_no_constant_error() -> None:
    true = torch.zeros(2, 1, 4, 4)
    flicker = torch.stack([torch.zeros(1, 4, 4), torch.full((1, 4, 4), 0.5)])
    assert losses.temporal_loss(flicker, true, 2) == pytest.approx(0.25)
    assert losses.temporal_loss(torch.full((2, 1, 4, 4), 0.5), true, 2) == 0
    assert losses.temporal_loss(flicker, true, 1) == 0


def test_hints_are_cross_entropy_against_the_averaged_alpha() -> None:
    alpha = torch.ones(1, 1, 4, 4)
    logits = (torch.zeros(1, 1, 2, 2),)
    assert losses.hint_loss(logits, alpha) == pytest.approx(np.log(2))


def test_a_mask_overrules_the_matte_only_away_from_its_outline() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[30:70, 30:70] = 255
    alpha = np.zeros((100, 100), np.uint8)
    alpha[5, 5] = 200  # far outside
    alpha[28, 50] = 90  # hair, just outside
    fixed = correct_with_mask(alpha, mask)
    assert fixed[5, 5] == 0
    assert fixed[28, 50] == 90
    assert fixed[50, 50] == 255
    assert intersection_over_union(fixed > 127, mask > 127) > 0.4


def test_a_person_is_one_large_part() -> None:
    alpha = np.zeros((100, 60), np.uint8)
    assert person_box(alpha) is None
    alpha[10:90, 20:40] = 255
    assert person_box(alpha) == (20, 10, 40, 90)
    alpha[10:90, 45:55] = 255
    assert person_box(alpha) is None


def test_blend_and_flip_by_hand() -> None:
    alpha = np.array([[[255, 0, 51]]], np.uint8)
    fgr = np.full((1, 1, 3, 3), 200, np.uint8)
    back = np.full((1, 1, 3, 3), 100, np.uint8)
    mixed = blend(alpha, fgr, back)
    assert mixed[0, 0, :, 0].tolist() == [200, 100, 120]
    assert flip(Sequence(mixed, alpha, fgr)).rgb[0, 0, :, 0].tolist() == [120, 100, 200]


def test_augmentations_keep_shape_and_repeat_with_the_seed() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
    for seed in range(25):
        once = augmentation.camera(np.random.default_rng(seed), frames)
        again = augmentation.camera(np.random.default_rng(seed), frames)
        assert once.shape == frames.shape
        assert once.dtype == np.uint8
        assert np.array_equal(once, again)


def test_warp_with_the_identity_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    place = augmentation.Placement(0, 0, 1, 1, 0)
    assert np.array_equal(augmentation.warp(picture, [place], (0, 0), (30, 20), 0)[0], picture)


def test_rates_are_linear_within_a_stage_after_warm_up() -> None:
    stages = (
        Stage("a", 10, 1, 1, ((32, 32),), 1.0, 0.0),
        Stage("b", 10, 1, 1, ((32, 32),), 0.5, 0.5),
    )
    recipe = Recipe(stages, warmup_steps=2)
    assert recipe.learning_rate(0) == pytest.approx(0.5)
    assert recipe.learning_rate(5) == pytest.approx(0.5)
    assert recipe.learning_rate(15) == pytest.approx(0.5)
    assert recipe.stage_at(99)[0].name == "b"
    with pytest.raises(ValueError, match="multiples of 32"):
        Stage("bad", 1, 1, 1, ((33, 32),), 1.0, 1.0)


def test_recipes_come_from_toml_tables_and_unknown_keys_are_refused() -> None:
    stage = {"name": "a", "steps": 1, "batch": 1, "frames": 1, "sizes": [[32, 64]],
             "lr_start": 1e-3, "lr_end": 1e-4}  # fmt: skip
    second = {**stage, "mixture": {"empty": 1.0}}
    recipe = recipe_from_dict({"stages": [stage, second], "seed": 4, "losses": {"edge": 1.0}})
    assert recipe.stages[0].mixture is None
    assert recipe.stages[1].mixture == Mixture(empty=1.0)
    assert (recipe.seed, recipe.losses.edge, recipe.stages[0].sizes) == (4, 1.0, ((32, 64),))
    with pytest.raises(TypeError):
        recipe_from_dict({"stages": [stage], "sead": 4})


def test_a_run_that_was_cut_off_resumes_to_the_same_weights(tmp_path: Path) -> None:
    through = Trainer(tiny_recipe(4), Discs())
    train(through, tmp_path / "through", log_every=2)

    first = Trainer(tiny_recipe(4), Discs())
    train(first, tmp_path / "cut", until=lambda: first.step == 2, log_every=2)
    assert first.step == 2
    second = Trainer(tiny_recipe(4), Discs())
    train(second, tmp_path / "cut", log_every=2)

    assert second.step == through.step == 4
    assert second.frames_seen == 16
    for name, tensor in through.average.state_dict().items():
        torch.testing.assert_close(second.average.state_dict()[name], tensor, msg=name)
    assert len((tmp_path / "cut" / "log.jsonl").read_text().splitlines()) == 2


def test_training_learns() -> None:
    trainer = Trainer(tiny_recipe(30), Discs())
    history = [trainer.train_step()["loss"] for _ in range(30)]
    assert np.mean(history[-5:]) < 0.8 * np.mean(history[:5])


def test_a_run_can_start_from_other_weights() -> None:
    donor = Trainer(tiny_recipe(2), Discs())
    donor.train_step()
    taker = Trainer(tiny_recipe(2), Discs())
    taker.start_from(donor.model)
    expected = donor.model.state_dict()
    for network in (taker.model, taker.average):
        for name in ("stem.0.weight", "head.out.bias"):
            assert torch.equal(network.state_dict()[name], expected[name])
