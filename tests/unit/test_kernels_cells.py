"""Means and maxima over cells: the kernel against torch, and torch against the CPU's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rvm import gpu  # noqa: E402
from rvm.colour import chroma  # noqa: E402
from rvm.gpu import kernels_cells  # noqa: E402
from rvm.gpu.kernels_cells import cell_maxima, cell_means  # noqa: E402

SIZES = ((75, 131), (32, 64), (1, 9))


def plane_of(rows: int, columns: int, depth: int) -> Any:
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(rows).integers(0, 1 << depth, (rows, columns)).astype(dtype)


def compare(device: str) -> None:
    for rows, columns in SIZES:
        for halvings, depth in ((0, 8), (3, 12), (6, 8)):
            plane = plane_of(rows, columns, depth)
            means, cell = plane, 1 << halvings
            for _ in range(halvings):
                means = chroma.downsample(means, (1, 1))
            padded = np.pad(plane, ((0, -rows % cell), (0, -columns % cell)), mode="edge")
            shape = (padded.shape[0] // cell, cell, padded.shape[1] // cell, cell)
            here = torch.from_numpy(plane).to(device)
            got = cell_means(here, halvings)
            assert got.dtype == torch.float32
            np.testing.assert_array_equal(got[0, 0].cpu().numpy(), means)
            most = cell_maxima(here, halvings)[0, 0].cpu().numpy()
            np.testing.assert_array_equal(most, padded.reshape(shape).max(axis=(1, 3)))


def compare_strided(device: str) -> None:
    """One channel of packed RGB."""
    packed = torch.from_numpy(np.dstack([plane_of(40, 50, 8)] * 3).copy()).to(device)
    packed[..., 1] = 255 - packed[..., 1]
    alone = cell_means(packed[..., 1].contiguous(), 2)
    assert torch.equal(cell_means(packed[..., 1], 2), alone)


def test_equal_to_the_cpu() -> None:
    compare("cpu")
    compare_strided("cpu")


def run(code: str, **environment: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"from tests.unit import test_kernels_cells as t; {code}"],
        cwd=Path(__file__).parents[2], check=False, text=True, capture_output=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]


def test_the_kernel_equals_the_cpu() -> None:
    pytest.importorskip("triton")
    run("t.compare('cpu'); t.compare_strided('cpu')", TRITON_INTERPRET="1")


@pytest.mark.gpu
def test_the_kernel_equals_the_cpu_on_a_gpu() -> None:
    compare("cuda")
    compare_strided("cuda")


@pytest.fixture
def fresh_answer() -> Iterator[None]:
    """Whether Triton works is found out anew, before and after."""
    gpu._works.cache_clear()
    yield
    gpu._works.cache_clear()


@pytest.mark.usefixtures("fresh_answer")
def test_triton_that_does_not_work_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(device: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nSet CC.")

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(gpu, "_installed", lambda: True)
    monkeypatch.setattr(kernels_cells, "try_out", no_compiler)
    assert not gpu.has_triton(torch.device("cuda", 0))
    assert not gpu.has_triton(torch.device("cuda", 0))
    (said,) = caplog.messages
    assert said.endswith("frames take longer: Failed to find C compiler.")
    assert not gpu.has_triton(torch.device("cpu"))


@pytest.mark.usefixtures("fresh_answer")
def test_triton_that_works_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(gpu, "_installed", lambda: True)
    monkeypatch.setattr(kernels_cells, "try_out", tried.append)
    assert gpu.has_triton(torch.device("cuda", 1))
    assert gpu.has_triton(torch.device("cuda", 1))
    assert tried == [torch.device("cuda", 1)]


def compile_for(capability: int) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from rvm.gpu import triton_cells

    kernel = triton_cells.cells
    for maximum, halvings in ((False, 5), (True, 5)):
        fixed = {"HALVINGS": halvings, "MAXIMUM": maximum, "COUNT": 4096 >> 2 * halvings}
        types = {"plane": "*u8", "out": "*fp32"} | dict.fromkeys(fixed, "constexpr")
        types = {name: types.get(name, "i32") for name in kernel.arg_names}
        target = GPUTarget("cuda", capability, 32)
        assert triton.compile(ASTSource(kernel, types, fixed), target=target).asm["cubin"]


@pytest.mark.skipif(sys.platform != "linux", reason="Triton's compiler comes with Linux only")
def test_the_kernel_compiles_without_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    run("t.compile_for(80); t.compile_for(90)", TRITON_CACHE_DIR=str(tmp_path))
