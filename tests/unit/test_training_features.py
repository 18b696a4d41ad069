"""The teacher's features as targets, by hand and with the reference network itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rvm.network.compact import CompactConfig
from rvm.training.features import FeatureMatcher, FeatureTeacher, one_frame_each
from rvm.training.loop import Trainer, train
from rvm.training.recipe import Recipe, Stage
from tests.shared_data import shared_path
from tests.unit.test_training import Discs

TINY = CompactConfig((8, 8, 8, 8, 8), (1, 1, 1, 1), (8, 8, 8, 8, 8))


def teacher() -> FeatureTeacher:
    return FeatureTeacher(shared_path("reference/rvm_mobilenetv3_reference.safetensors"))


def recipe(steps: int) -> Recipe:
    stage = Stage("tiny", steps, 2, 2, ((32, 32),), 3e-3, 1e-3)
    return Recipe((stage,), warmup_steps=2, network=TINY)


def test_the_loss_is_one_minus_the_cosine() -> None:
    matcher = FeatureMatcher((2,), (2,))
    with torch.no_grad():
        weight, bias = matcher.projections[0].parameters()
        weight.copy_(torch.eye(2)[:, :, None, None])
        bias.zero_()
    ours = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
    for target, expected in (([9.0, 0.0], 0.0), ([0.0, 1.0], 1.0), ([-1.0, 0.0], 2.0)):
        theirs = torch.tensor(target).view(1, 2, 1, 1)
        assert matcher((ours,), (theirs,)).item() == pytest.approx(expected)


def test_one_frame_of_each_sequence() -> None:
    x = torch.arange(6.0).view(6, 1)  # two sequences of three frames
    assert one_frame_each(x, 3, 1).flatten().tolist() == [1, 4]


def test_the_teacher_looks_at_a_sixteenth_and_a_thirty_second() -> None:
    found = teacher()
    context, trunk = found(torch.rand(2, 3, 64, 96))
    assert (context.shape, trunk.shape) == ((2, 128, 4, 6), (2, 960, 2, 3))
    assert found.channels == (128, 960)
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_training_follows_the_features_and_resumes_with_the_projections(tmp_path: Path) -> None:
    trainer = Trainer(recipe(12), Discs(), teacher=teacher())
    history = [trainer.train_step()["features"] for _ in range(12)]
    assert history[-1] < 0.9 * history[0]
    trainer.save(tmp_path / "last.pt")
    again = Trainer(recipe(12), Discs(), teacher=teacher())
    train(again, tmp_path)
    for kept, loaded in zip(trainer.matcher.parameters(), again.matcher.parameters(), strict=True):
        assert torch.equal(kept, loaded)


def test_nothing_of_the_teacher_is_in_the_weights() -> None:
    with_teacher = Trainer(recipe(1), Discs(), teacher=teacher()).average.state_dict()
    alone = Trainer(recipe(1), Discs()).average.state_dict()
    assert with_teacher.keys() == alone.keys()
