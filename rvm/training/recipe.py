"""A training recipe as frozen dataclasses, read from TOML; every default and its unit once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvm.network.compact import SIZE_MULTIPLE, CompactConfig
from rvm.training.losses import LossWeights
from rvm.training.rarities import USUAL, Rarities
from rvm.training.sampling import Mixture

HEADS_RATE = 5e-3
"""Learning rate of the heads while they learn by themselves."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one shape of batch and one slope of the learning rate."""

    name: str
    steps: int
    batch: int
    """Sequences a step on each worker."""
    frames: int
    """Frames a sequence, T."""
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of the small frame, drawn anew each step; multiples of 32."""
    lr_start: float
    lr_end: float
    detail: int = 1
    """The picture that is refined is this many times larger than the small frame."""
    mixture: Mixture | None = None
    """What is drawn; None is the recipe's own mixture."""

    def __post_init__(self) -> None:
        for width, height in self.sizes:
            if width % SIZE_MULTIPLE or height % SIZE_MULTIPLE:
                raise ValueError(
                    f"stage {self.name}: got size {width}x{height}, expected multiples of 32"
                )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a training run goes, but for where its files lie."""

    stages: tuple[Stage, ...]
    seed: int = 1
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    optimizer: str = "adamw"
    """"adamw" or "muon"; see :mod:`rvm.training.optimizers`."""
    heads_first: int = 0
    """Steps in the beginning in which only those heads learn that files of weights do not hold:
    hints and the projections to a teacher's features."""
    norms: str = "batch"
    """"batch": by the statistics of each batch; "frozen": by those that the network came with."""
    precision: str = "fp32"
    """"fp32" or "bf16" of the forward and backward pass; weights are always single precision."""
    compiled: bool = False
    """Through torch.compile; see :mod:`rvm.training.compute`."""
    network: CompactConfig = field(default_factory=CompactConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    mixture: Mixture = field(default_factory=Mixture)
    rarities: Rarities = USUAL

    def __post_init__(self) -> None:
        if self.norms not in ("batch", "frozen"):
            raise ValueError(f"got norms {self.norms!r}, expected batch or frozen")

    def stage_at(self, step: int) -> tuple[Stage, float]:
        """The stage of a step (from 0) and the share 0..1 of it that is done; the last for ever."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step / stage.steps
            step -= stage.steps
        return self.stages[-1], 1.0

    def learning_rate(self, step: int) -> float:
        """Of the network: linear within each stage, after a linear warm-up, after the heads."""
        stage, done = self.stage_at(step)
        rate = stage.lr_start + (stage.lr_end - stage.lr_start) * done
        return rate * min(1.0, max(0, step + 1 - self.heads_first) / self.warmup_steps)

    def heads_rate(self, step: int) -> float:
        """Of the heads, see :attr:`heads_first`."""
        return HEADS_RATE if step < self.heads_first else self.learning_rate(step)

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)


def load_recipe(path: Path) -> Recipe:
    """Read a TOML recipe; unknown keys raise TypeError."""
    return recipe_from_dict(tomllib.loads(path.read_text(encoding="utf-8")))


def recipe_from_dict(table: dict[str, Any]) -> Recipe:
    """A recipe from plain tables, as TOML gives them."""
    table = dict(table)
    stages = tuple(map(stage_from_dict, table.pop("stages")))
    parts: dict[str, Any] = {}
    kinds = {
        "network": CompactConfig, "losses": LossWeights, "mixture": Mixture, "rarities": Rarities,
    }  # fmt: skip
    for key, kind in kinds.items():
        values = table.pop(key, {})
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        parts[key] = kind(**fields)
    return Recipe(stages, **table, **parts)


def stage_from_dict(table: dict[str, Any]) -> Stage:
    """A stage from plain tables."""
    values = dict(table)
    values["sizes"] = tuple((w, h) for w, h in values["sizes"])
    if "mixture" in values:
        values["mixture"] = Mixture(**values["mixture"])
    return Stage(**values)
