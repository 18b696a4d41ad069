"""The patch discriminator: what it learns, and what it hands on."""

from __future__ import annotations

import copy

import pytest
import torch

from rvm.training.critic import Critic

CPU = torch.device("cpu")


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright square on dark ground, and the alpha that cuts it out: [N,3,32,48], [N,1,32,48]."""
    alpha = torch.zeros(count, 1, 32, 48)
    for n in range(count):
        alpha[n, :, 6 : 22 + n % 5, 10 + n % 7 : 34] = 1
    return (0.2 + 0.6 * alpha).expand(-1, 3, -1, -1).contiguous(), alpha


def test_it_comes_to_tell_soft_rims_from_true_outlines() -> None:
    torch.manual_seed(0)
    critic = Critic(CPU)
    rgb, true = pictures(8)
    soft = torch.nn.functional.avg_pool2d(true, 9, 1, 4)
    losses = [float(critic.learn(rgb, soft, true)) for _ in range(150)]
    assert losses[-1] < 0.6 * losses[0]
    # And what it wants of the soft rim is nearer to the truth: the pull goes against the softness.
    seen = soft.clone().requires_grad_()
    critic.pull(rgb, seen).backward()  # type: ignore[no-untyped-call]
    assert seen.grad is not None
    assert float((-seen.grad * (true - soft)).sum()) > 0


def test_its_pull_is_as_strong_as_its_weight_says_and_leaves_it_as_it_is() -> None:
    torch.manual_seed(0)
    critic = Critic(CPU)
    rgb, true = pictures(3)
    before = [p.detach().clone() for p in critic.network.parameters()]
    made = (true * 0.7).requires_grad_()
    critic.pull(rgb, made).backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    assert float(made.grad.abs().sum()) == pytest.approx(1, rel=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(before, critic.network.parameters(), strict=True))
    assert all(p.grad is None for p in critic.network.parameters())


def test_it_goes_on_from_what_it_saved() -> None:
    torch.manual_seed(0)
    critic, other = Critic(CPU), Critic(CPU)
    rgb, true = pictures(4)
    for _ in range(3):
        critic.learn(rgb, true * 0.5, true)
    other.load_state_dict(copy.deepcopy(critic.state_dict()))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        losses = [float(critic.learn(rgb, true * 0.5, true)) for _ in range(3)]
        torch.manual_seed(1)
        assert [float(other.learn(rgb, true * 0.5, true)) for _ in range(3)] == losses
