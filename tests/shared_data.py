"""Where the shared test data lies: reference models and real clips, too large for the repository.

The folder is ``$RVM_SHARED``, else ``../shared`` beside the checkout. Without it, tests that need
it are skipped on a developer's machine and fail where ``CI`` is set, so that a build server cannot
pass by having lost its data.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).resolve().parent.parent


def shared_root() -> Path:
    """The folder, whether it exists or not."""
    return Path(os.environ.get("RVM_SHARED") or _CHECKOUT.parent / "shared")


def shared_path(name: str) -> Path:
    """The shared file or folder ``name``, such as ``"reference/rvm_parity.npz"``.

    Call it inside a test or fixture: it skips the test, or fails it in CI, when there is no such
    file.
    """
    path = shared_root() / name
    if not path.exists():
        message = f"shared test data {name} not found in {shared_root()} (set RVM_SHARED)"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return path
