"""Losses by hand, augmentation and sampling on made-up material, a tiny run that resumes."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rvm.network.compact import CompactConfig, CompactMatting, leaky_clamp, zero_state
from rvm.training import augmentation, losses, optimizers
from rvm.training.compute import Batch, Compute
from rvm.training.loop import Trainer, draw_batch, train
from rvm.training.material import correct_with_mask, intersection_over_union, person_box
from rvm.training.mixing import blend
from rvm.training.rarities import Rarities
from rvm.training.recipe import Recipe, Stage, recipe_from_dict
from rvm.training.sampling import Mixture, Sequence, flip

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


def test_being_sure_and_wrong_teaches_with_the_whole_gradient() -> None:
    raw = torch.tensor([-2.0, -2.0, 3.0, 3.0, 0.4]).view(1, 1, 1, 5).requires_grad_()
    true = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0]).view(1, 1, 1, 5)
    loss = losses.mistaken_loss(leaky_clamp(raw), true)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx((2 + 2) / 5)  # 2 below 0, and 2 above 1
    assert raw.grad is not None
    assert raw.grad.flatten().tolist() == pytest.approx([-0.2, 0, 0.2, 0, 0])


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
    recipe = recipe_from_dict(
        {"stages": [stage, second], "seed": 4, "losses": {"edge": 1.0}, "rarities": {"far": 0.4}}
    )
    assert recipe.rarities == Rarities(far=0.4)
    assert recipe.stages[0].mixture is None
    assert recipe.stages[1].mixture == Mixture(empty=1.0)
    assert (recipe.seed, recipe.losses.edge, recipe.stages[0].sizes) == (4, 1.0, ((32, 64),))
    with pytest.raises(TypeError):
        recipe_from_dict({"stages": [stage], "sead": 4})
    with pytest.raises(TypeError):
        recipe_from_dict({"stages": [stage], "rarities": {"fare": 1}})


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_was_cut_off_resumes_to_the_same_weights(tmp_path: Path, optimizer: str) -> None:
    recipe = dataclasses.replace(tiny_recipe(4), optimizer=optimizer)
    through = Trainer(recipe, Discs())
    train(through, tmp_path / "through", log_every=2)

    first = Trainer(recipe, Discs())
    train(first, tmp_path / "cut", until=lambda: first.step == 2, log_every=2)
    assert first.step == 2
    second = Trainer(recipe, Discs())
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


def test_orthogonal_evens_out_singular_values() -> None:
    torch.manual_seed(0)
    for shape in ((8, 20), (20, 8)):
        matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -2, shape[1]))
        values = torch.linalg.svdvals(optimizers.orthogonal(matrix))
        assert values.max() < 1.3
        assert values.min() > 0.3
        # the same directions: U^T X V is close to a diagonal of positive numbers
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        turned = left.T @ optimizers.orthogonal(matrix) @ right.T
        assert torch.diagonal(turned).min() > 0.3
        assert (turned - torch.diag(torch.diagonal(turned))).abs().max() < 0.05


def test_muon_moves_matrices_by_as_much_as_adamw_would() -> None:
    conv, norm = torch.nn.Conv2d(8, 16, 3), torch.nn.BatchNorm2d(16)
    model, before = torch.nn.Sequential(conv, norm), conv.weight.detach().clone()
    optimizer = optimizers.make_optimizer(list(model.parameters()), [], "muon", weight_decay=0.0)
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    torch.manual_seed(0)
    (model(torch.rand(4, 8, 6, 6)) * torch.randn(4, 16, 4, 4)).mean().backward()
    optimizer.step()
    dense, scale = conv.weight, norm.weight
    step = dense.detach() - before
    # sqrt(mean square) of 0.2 sqrt(72) times an orthogonal 16x72 matrix: 0.2 lr
    assert float(step.square().mean().sqrt()) == pytest.approx(0.2e-2, rel=0.2)
    assert optimizer.state[scale].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert optimizer.state[dense].keys() == {"step", "momentum"}
    with pytest.raises(ValueError, match="adamw or muon"):
        optimizers.make_optimizer(list(model.parameters()), [], "sgd", 0.0)


def test_muon_leaves_single_planes_and_what_stands_beside_to_adamw() -> None:
    plane = torch.nn.Conv2d(8, 1, 3)
    dense, beside = torch.nn.Conv2d(8, 16, 3), torch.nn.Conv2d(16, 32, 1)
    network = [*plane.parameters(), *dense.parameters()]
    groups = optimizers.make_optimizer(network, [*beside.parameters()], "muon", 0.1).param_groups
    shapes = [sorted(p.ndim for p in group["params"]) for group in groups]
    assert shapes == [[1, 1], [4], [1], [4], [4]]
    assert [group["muon"] for group in groups] == [False] * 4 + [True]
    assert [group.get("beside", False) for group in groups] == [False, False, True, True, False]
    assert [group["weight_decay"] for group in groups] == [0.0, 0.1, 0.0, 0.1, 0.1]


def test_half_precision_and_the_compiler_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_compile = torch.compile  # the graph is captured, but nothing is built by a C++ compiler
    monkeypatch.setattr(
        torch, "compile", lambda f, dynamic: plain_compile(f, dynamic=dynamic, backend="aot_eager")
    )
    torch.manual_seed(0)
    network = CompactMatting(TINY)
    batch = Batch(torch.rand(4, 3, 32, 64), torch.rand(4, 1, 32, 64), torch.rand(4, 3, 32, 64))
    state = tuple(torch.zeros(shape) for shape in network.state_shapes(2, 32, 64))
    weights = losses.LossWeights()
    found = []
    for precision, compiled in (("fp32", False), ("bf16", False), ("fp32", True)):
        compute = Compute(copy.deepcopy(network).train(), weights, precision, compiled)
        total, parts, features, refined = compute.loss(batch.rgb, batch, state, 2)
        total.backward()  # type: ignore[no-untyped-call]
        memory = compute.memory(batch.rgb, state, 2)
        assert {t.dtype for t in (total, *features, *memory)} == {torch.float32}
        assert set(parts) >= {"coarse", "refined", "temporal"}
        weight = losses.edge_weight(batch.alpha, weights.edge)
        assert torch.allclose(losses.weighted_l1(refined, batch.alpha, weight), parts["refined"])
        found.append((float(total.detach()), memory[0]))
    assert found[1][0] == pytest.approx(found[0][0], rel=0.02)
    assert found[2][0] == pytest.approx(found[0][0], rel=1e-4)
    assert torch.allclose(found[2][1], found[0][1], atol=1e-4)
    with pytest.raises(ValueError, match="fp32 or bf16"):
        Compute(network, weights, "fp8", False)


def test_training_learns_with_muon_in_half_precision() -> None:
    stage = Stage("tiny", 30, 2, 2, ((64, 32),), 3e-3, 1e-3)
    recipe = Recipe(
        (stage,), warmup_steps=2, network=TINY, optimizer="muon", precision="bf16"
    )  # fmt: skip
    trainer = Trainer(recipe, Discs())
    history = [trainer.train_step()["loss"] for _ in range(30)]
    assert np.mean(history[-5:]) < 0.8 * np.mean(history[:5])


def test_a_discriminator_learns_beside_the_network_and_is_saved_with_it(tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe(6), losses=losses.LossWeights(adversarial=0.1))
    trainer = Trainer(recipe, Discs())
    history = [trainer.train_step() for _ in range(4)]
    assert all(0 < parts["critic"] < 4 for parts in history)
    assert trainer.critic is not None
    trainer.save(tmp_path / "last.pt")
    resumed = Trainer(recipe, Discs())
    resumed.load(tmp_path / "last.pt")
    assert resumed.critic is not None
    ours, theirs = trainer.critic.network.state_dict(), resumed.critic.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert Trainer(tiny_recipe(2), Discs()).critic is None


def test_heads_learn_by_themselves_first_while_the_network_stays() -> None:
    recipe = dataclasses.replace(tiny_recipe(8), heads_first=3, warmup_steps=2)
    assert [recipe.learning_rate(step) for step in range(3)] == [0, 0, 0]
    assert recipe.learning_rate(3) == pytest.approx(0.5 * (1e-3 - 9e-4 * 3 / 8))
    trainer = Trainer(recipe, Discs())
    weights = dict(trainer.model.named_parameters())
    before = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def moved() -> set[str]:
        return {name for name in weights if not torch.equal(weights[name], before[name])}

    for _ in range(3):
        trainer.train_step()
    assert moved() == {f"hints.{n}.{kind}" for n in range(4) for kind in ("weight", "bias")}
    trainer.train_step()
    assert {"stem.0.weight", "head.out.bias"} < moved()


def test_frozen_norms_keep_their_statistics_and_what_a_picture_costs_hangs_on_it_alone() -> None:
    recipe = dataclasses.replace(tiny_recipe(4), norms="frozen")
    trainer = Trainer(recipe, Discs())
    mean = "stem.1.running_mean"
    for _ in range(2):
        trainer.train_step()
    assert float(trainer.model.state_dict()[mean].abs().max()) == 0
    assert trainer.model.training
    batch = draw_batch(Discs(), recipe, 0, 0, torch.device("cpu"))
    small = batch.rgb[..., ::2, ::2].contiguous()
    with torch.no_grad():
        together = trainer.model(small, zero_state(), 2).pha
        alone = trainer.model(small[:2], zero_state(), 2).pha
    assert torch.allclose(together[:2], alone, atol=1e-5)
    moving = Trainer(tiny_recipe(4), Discs())
    moving.train_step()
    assert float(moving.model.state_dict()[mean].abs().max()) > 0
    with pytest.raises(ValueError, match="batch or frozen"):
        dataclasses.replace(recipe, norms="none")


def test_a_run_can_start_from_other_weights() -> None:
    donor = Trainer(tiny_recipe(2), Discs())
    donor.train_step()
    taker = Trainer(tiny_recipe(2), Discs())
    taker.start_from(donor.model)
    expected = donor.model.state_dict()
    for network in (taker.model, taker.average):
        for name in ("stem.0.weight", "head.out.bias"):
            assert torch.equal(network.state_dict()[name], expected[name])


def test_a_run_can_start_without_some_of_the_blocks() -> None:
    recipe = tiny_recipe(2)
    deeper = dataclasses.replace(recipe.network, depths=(2, 1, 3, 1), detail=(1, 0, 0, 1))
    donor = CompactMatting(deeper)
    taker = Trainer(recipe, Discs())
    taker.start_from(donor)
    assert taker.model.config == recipe.network
    for name, tensor in taker.model.state_dict().items():
        if not name.startswith("hints."):
            assert torch.equal(tensor, donor.state_dict()[name]), name
