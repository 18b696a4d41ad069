"""Whether cuDNN may round single precision to the 10 bits of TF32 before it multiplies.

torch lets it by default. Who asks for "fp32" wants its digits; the loop that we are compared with
keeps what torch does by itself.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def allow(allowed: bool) -> None:
    """For all convolutions and recurrent layers of this process."""
    parts = [getattr(torch.backends.cudnn, name, None) for name in ("conv", "rnn")]
    if all(hasattr(part, "fp32_precision") for part in parts):
        for part in parts:  # from torch 2.9 on, where the old switch warns
            part.fp32_precision = "tf32" if allowed else "ieee"  # type: ignore[union-attr]
    else:
        torch.backends.cudnn.allow_tf32 = allowed


@contextlib.contextmanager
def as_torch_does() -> Iterator[None]:
    """Allowed inside, and not allowed afterwards, as everywhere else here."""
    allow(True)
    try:
        yield
    finally:
        allow(False)
