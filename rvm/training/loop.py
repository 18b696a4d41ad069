"""The training loop: one process a core, everything needed to go on saved.

Workers train on their own and average their weights every few steps, not their gradients at every
one: on shared cores nobody then waits for the slowest (local SGD, Stich, ICLR 2019).

Each worker draws its own sequences from a generator seeded by (seed, rank, step), so a run that
was cut off and resumed sees the same pictures and takes the same steps as one that was not.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from rvm.network.compact import CompactConfig, CompactMatting, grow
from rvm.training.compute import Batch, Compute
from rvm.training.critic import Critic
from rvm.training.features import FeatureMatcher, FeatureTeacher, one_frame_each
from rvm.training.optimizers import make_optimizer
from rvm.training.recipe import Recipe, Stage
from rvm.training.sampling import Mixture, Sequence

log = logging.getLogger(__name__)

FRESH_SHARE = 0.4
CUT_SHARE = 0.2
PAST_PASSES = (1, 1, 1, 2, 3)
"""How often a sequence starts without memory or with that of another one, and how many passes over
its frames make the memory otherwise."""

SYNC_EVERY = 10
"""Steps between two averagings of the workers' weights."""


class SequenceSource(Protocol):
    """Where sequences come from; :class:`rvm.training.sampling.Sampler` or a test's fake."""

    def draw(
        self,
        rng: np.random.Generator,
        frames: int,
        size: tuple[int, int],
        mixture: Mixture | None = None,
    ) -> Sequence:
        """One sequence of ``frames`` frames, ``size`` (width, height), of this mixture."""
        ...


def draw_batch(
    source: SequenceSource, recipe: Recipe, rank: int, step: int, device: torch.device
) -> Batch:
    """The batch of one step; depends on nothing but its arguments."""
    stage, _ = recipe.stage_at(step)
    shared = np.random.default_rng([recipe.seed, 7, step])
    width, height = stage.sizes[int(shared.integers(len(stage.sizes)))]
    rng = np.random.default_rng([recipe.seed, rank, step])
    size = (width * stage.detail, height * stage.detail)
    drawn = [source.draw(rng, stage.frames, size, stage.mixture) for _ in range(stage.batch)]

    def tensor(planes: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(planes).to(device).permute(0, 3, 1, 2).contiguous().float() / 255

    return Batch(
        tensor(np.concatenate([s.rgb for s in drawn])),
        tensor(np.concatenate([s.alpha for s in drawn])[..., None]),
        tensor(np.concatenate([s.fgr for s in drawn])),
    )


class Trainer:
    """Network, its moving average and optimiser, at one step of one recipe."""

    def __init__(
        self,
        recipe: Recipe,
        source: SequenceSource,
        device: str = "cpu",
        rank: int = 0,
        teacher: FeatureTeacher | None = None,
    ) -> None:
        self.recipe, self.source, self.rank = recipe, source, rank
        self.device = torch.device(device)
        torch.manual_seed(recipe.seed)
        self.model = CompactMatting(recipe.network).to(self.device)
        self.model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.learning = nn.ModuleList([self.model])
        self.teacher: nn.Module | None = None
        if teacher is not None:
            student = recipe.network.decoder
            self.matcher = FeatureMatcher(student[-2:], teacher.channels).to(self.device)
            self.learning.append(self.matcher)
            self.teacher = teacher.to(self.device)
        self.critic = Critic(self.device) if recipe.losses.adversarial else None
        named = self.model.named_parameters()
        network = [p for name, p in named if not name.startswith("hints.")]
        heads = [*self.model.hints.parameters(), *self.learning[1:].parameters()]
        self.optimizer = make_optimizer(network, heads, recipe.optimizer, recipe.weight_decay)
        self._compute = Compute(self.model, recipe.losses, recipe.precision, recipe.compiled)
        self.step = 0
        self.frames_seen = 0

    def start_from(self, network: CompactMatting) -> None:
        """Take over the weights of a network of the same widths; hints stay as they are.

        Blocks that it does not have begin as next to nothing (:func:`grow`), and those that it has
        beyond this one's depths are left out.
        """
        known = {k: v for k, v in network.state_dict().items() if not k.startswith("hints.")}
        for module in (self.model, self.average):
            grow(module, network.config)
            module.load_state_dict(known, strict=False)

    def train_step(self) -> dict[str, float]:
        """Draw one batch and take one step; returns the parts of the loss."""
        stage, _ = self.recipe.stage_at(self.step)
        rate, heads_rate = self.recipe.learning_rate(self.step), self.recipe.heads_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = heads_rate if group.get("beside") else rate
        batch = draw_batch(self.source, self.recipe, self.rank, self.step, self.device)
        self._set_training()
        loss, tensors = self._loss(batch, stage)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.learning.parameters(), self.recipe.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            log.warning("step %d: gradient is not finite; skipped", self.step)
        self.step += 1
        self.frames_seen += stage.batch * stage.frames
        if self.step % SYNC_EVERY == 0:
            average_weights(self.learning)
            if self.critic is not None:
                average_weights(self.critic.network)
        self._update_average()
        parts = {name: float(part) for name, part in tensors.items()}
        return {"loss": float(loss.detach()), "grad_norm": float(norm), **parts}

    def _loss(self, batch: Batch, stage: Stage) -> tuple[Tensor, dict[str, Tensor]]:
        small = batch.rgb
        if stage.detail > 1:
            small = F.interpolate(batch.rgb, scale_factor=1 / stage.detail, mode="area")
        small = small.contiguous(memory_format=torch.channels_last)
        state = self._first_state(small, stage.frames)
        total, parts, features, alpha = self._compute.loss(small, batch, state, stage.frames)
        if self.teacher is not None:
            taught = self._feature_loss(self.teacher, small, features, stage.frames)
            total = total + self.recipe.losses.features * taught
            parts["features"] = taught.detach()
        if self.critic is not None:
            pull, parts["critic"] = self._judged(self.critic, batch, alpha, stage.frames)
            total = total + self.recipe.losses.adversarial * pull
        return total, parts

    def _judged(
        self, critic: Critic, batch: Batch, alpha: Tensor, frames: int
    ) -> tuple[Tensor, Tensor]:
        """What the discriminator wants of one frame of each sequence, and how it fares itself."""
        which = self.step % frames
        planes = (batch.rgb, alpha, batch.alpha)
        rgb, made, true = (one_frame_each(x, frames, which) for x in planes)
        return critic.pull(rgb, made), critic.learn(rgb, made, true)

    def _feature_loss(
        self, teacher: nn.Module, small: Tensor, ours: tuple[Tensor, ...], frames: int
    ) -> Tensor:
        """One frame of each sequence against the teacher's features; neighbours hardly differ."""
        which = self.step % frames
        with torch.no_grad(), self._compute.precision():
            theirs = teacher(one_frame_each(small, frames, which))
        chosen = tuple(one_frame_each(x, frames, which).float() for x in ours)
        loss: Tensor = self.matcher(chosen, tuple(x.float() for x in theirs))
        return loss

    def _first_state(self, small: Tensor, frames: int) -> tuple[Tensor, ...]:
        """Where a sequence starts: from nothing, or from what the network itself remembers.

        The memory comes from passes back and forth over the same frames, without gradient, so that
        long videos are met in training at the price of a short one; sometimes it is that of
        another sequence of the batch, as after a cut.
        """
        sequences, (height, width) = small.shape[0] // frames, small.shape[-2:]
        shapes = self.model.state_shapes(sequences, height, width)
        state = tuple(torch.zeros(shape, device=self.device) for shape in shapes)
        rng = np.random.default_rng([self.recipe.seed, self.rank, self.step, 11])
        if frames == 1 or rng.random() < FRESH_SHARE:
            return state
        past = small.reshape(-1, frames, *small.shape[1:])
        if rng.random() < CUT_SHARE:
            past = past.roll(1, 0)
        self.model.eval()
        for left in range(int(rng.choice(PAST_PASSES)), 0, -1):
            order = (past.flip(1) if left % 2 else past).flatten(0, 1)
            order = order.contiguous(memory_format=torch.channels_last)
            state = self._compute.memory(order, state, frames)
        self._set_training()
        return state

    def _set_training(self) -> None:
        """Training mode, but for the norms where the recipe freezes their statistics.

        A batch is a few sequences of nearly equal frames, and its statistics depend on what was
        drawn beside a picture: for a network that is nearly there, noise. Frozen, it learns as what
        it will be used as, and networks from one start may be averaged as they are.
        """
        self.model.train()
        if self.recipe.norms == "frozen":
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _update_average(self) -> None:
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.state_dict().values(), self.model.state_dict().values())  # noqa: B905
            for mean, now in pairs:
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)

    def save(self, path: Path) -> None:
        """Write everything :meth:`load` needs, atomically."""
        content = {
            "model": self.model.state_dict(),
            "learning": self.learning.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "frames_seen": self.frames_seen,
            "recipe": asdict(self.recipe),
        }
        if self.critic is not None:
            content["critic"] = self.critic.state_dict()
        part = path.with_suffix(".part")
        torch.save(content, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; the recipe stays the one given at construction."""
        content = torch.load(path, map_location=self.device, weights_only=True)
        self.learning.load_state_dict(content["learning"])
        self.average.load_state_dict(content["average"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.critic is not None and "critic" in content:
            self.critic.load_state_dict(content["critic"])
        self.step = content["step"]
        self.frames_seen = content["frames_seen"]


def averaged_network(content: dict[str, Any]) -> CompactMatting:
    """The moving average in what :meth:`Trainer.save` wrote, ready to be used."""
    sizes = content["recipe"]["network"]
    network = CompactMatting(CompactConfig(**{k: tuple(v) for k, v in sizes.items()}))
    network.load_state_dict(content["average"])
    return network.eval()


def average_weights(model: nn.Module) -> None:
    """Mean of weights and running statistics over the workers; nothing to do for a single one."""
    if not dist.is_initialized():
        return
    with torch.no_grad():
        tensors = [t for t in model.state_dict().values() if t.is_floating_point()]
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for tensor, piece in zip(tensors, torch.split(flat, [t.numel() for t in tensors])):  # noqa: B905
            tensor.copy_(piece.view_as(tensor))


def train(
    trainer: Trainer,
    folder: Path,
    until: Callable[[], bool] = lambda: False,
    save_every_s: float = 180.0,
    log_every: int = 20,
) -> None:
    """Run to the end of the recipe or until ``until()``; worker 0 writes log and checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "last.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        log.info("resumed at step %d", trainer.step)
    saved = started = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    while trainer.step < trainer.recipe.steps and not stop_now(trainer.step, until):
        for name, value in trainer.train_step().items():
            sums[name] = sums.get(name, 0.0) + value
        counted += 1
        if trainer.step % log_every == 0:
            if trainer.rank == 0:
                means = {name: value / counted for name, value in sums.items()}
                append_log(folder / "log.jsonl", trainer, means, time.monotonic() - started)
            sums, counted = {}, 0
        if trainer.rank == 0 and time.monotonic() - saved > save_every_s:
            trainer.save(checkpoint)
            saved = time.monotonic()
    if trainer.rank == 0:
        trainer.save(checkpoint)


def stop_now(step: int, until: Callable[[], bool]) -> bool:
    """Whether any worker wants to stop; several agree only where they meet anyway."""
    if not dist.is_initialized():
        return until()
    if step % SYNC_EVERY:
        return False
    flag = torch.tensor([float(until())])
    dist.all_reduce(flag)
    return bool(flag.item() > 0)


def append_log(path: Path, trainer: Trainer, parts: dict[str, float], seconds: float) -> None:
    """One JSON line: step, stage, frames, rate, seconds and the mean of each part of the loss."""
    stage, _ = trainer.recipe.stage_at(trainer.step - 1)
    line = {
        "step": trainer.step,
        "stage": stage.name,
        "frames": trainer.frames_seen,
        "lr": trainer.recipe.learning_rate(trainer.step - 1),
        "seconds": round(seconds, 1),
        **{name: round(value, 6) for name, value in parts.items()},
    }
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
