"""Rules for every test: a logged error fails it, and CI may not skip what it can run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


class _ErrorCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _no_logged_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which anything was logged as an error, unless it is marked to expect it."""
    collector = _ErrorCollector()
    root = logging.getLogger()
    root.addHandler(collector)
    yield
    root.removeHandler(collector)
    if collector.messages and request.node.get_closest_marker("logs_errors") is None:
        pytest.fail("logged as error: " + "; ".join(collector.messages))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip GPU tests where there is none, unless RVM_REQUIRE_GPU=1 says there must be one."""
    if item.get_closest_marker("gpu") is None or _has_gpu():
        return
    if os.environ.get("RVM_REQUIRE_GPU") == "1":
        pytest.fail("RVM_REQUIRE_GPU=1, but torch sees no CUDA GPU")
    pytest.skip("no CUDA GPU")


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
