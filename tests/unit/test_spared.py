"""What numba would import for nothing is hidden from it, in the command only."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from rvm.spared import hidden


def test_a_hidden_package_cannot_be_imported_and_is_back_afterwards() -> None:
    name = "colorsys"
    sys.modules.pop(name, None)
    with hidden((name,)), pytest.raises(ImportError):
        __import__(name)
    assert __import__(name).rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_what_is_imported_already_stays() -> None:
    with hidden(("sys",)):
        assert __import__("sys") is sys


@pytest.mark.skipif(not find_spec("scipy") or not find_spec("numba"), reason="nothing to spare")
def test_the_command_imports_no_scipy_and_its_kernels_are_there() -> None:
    program = (
        "import sys; from rvm.cli import main; main(['--help'])\n"
        "from rvm.jit import kernels; assert kernels('rvm.matting.fused_refine')\n"
        "assert 'numba' in sys.modules and 'scipy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
