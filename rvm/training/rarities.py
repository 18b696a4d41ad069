"""What is rare, and how often training shows it all the same."""

from __future__ import annotations

from dataclasses import dataclass

from rvm.training.augmentation import Rng


@dataclass(frozen=True)
class Rarities:
    """How often what is rare happens, 0..1; at 0 no random number is drawn for it."""

    smeared: float = 0.12
    """A cut-out person is blurred by motion."""
    alike: float = 0.12
    """The place behind somebody has the colour of their hair or clothes
    (:func:`rvm.training.mixing.match_room`)."""
    bent: float = 0.2
    """Somebody whole who does not stand with closed arms, but bends, sits or stretches them out, is
    seen from afar, as others are by :attr:`far`."""
    headless: float = 0.08
    """The upper edge of the frame cuts somebody's head off, as when they get up from their desk."""
    far: float = 0.2
    """Somebody cut out who stands is seen whole and from afar."""
    dressed: float = 0.0
    """Somebody cut out wears other clothes (:mod:`rvm.training.clothing`)."""
    checked: float = 0.0
    """A still is one whose matte somebody had to look at (``tools/label_teacher.py``), as two
    networks disagreed about it: people close together, at work, among things."""


USUAL = Rarities()
NOTHING_RARE = Rarities(0, 0, 0, 0)
"""For what is measured on: it stays the same when something rare is added."""


def happens(rng: Rng, share: float) -> bool:
    """True that often; at 0 no random number is drawn."""
    return share > 0 and rng.random() < share
