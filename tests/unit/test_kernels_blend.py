"""The compiled blend against its twin in plain torch, and the twin against the CPU's.

Kernels run here in Triton's interpreter, in a process of their own: it is switched on for good
when Triton is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from rvm.gpu.kernels_blend import Enlarged, Residual, blend, blend_twin  # noqa: E402

SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}
SIZES = ((64, 16), (51, 21), (262, 9), (57, 11))
BACKS = ("planes", "colour", "enlarged")


def sizes_of(width: int, height: int, shift: tuple[int, int]) -> list[tuple[int, int]]:
    chroma = (-(-height >> shift[1]), -(-width >> shift[0]))
    return [(height, width), chroma, chroma]


def noise(shape: tuple[int, ...], depth: int, seed: int) -> Any:
    random = torch.Generator().manual_seed(seed)
    dtype = torch.uint8 if depth == 8 else torch.uint16
    codes = torch.randint(0, 1 << depth, shape, generator=random, dtype=torch.int32)
    return codes.to(dtype)


def alpha_of(width: int, height: int) -> Any:
    """Every value, a third of it 0 and a third 255."""
    random = torch.Generator().manual_seed(3)
    wave = torch.randint(-255, 511, (height, width), generator=random)
    return wave.clamp(0, 255).to(torch.uint8)


def behind(kind: str, front: tuple[Any, ...], depth: int) -> Any:
    if kind == "planes":
        return tuple(noise(tuple(p.shape), depth, 10 + i) for i, p in enumerate(front))
    if kind == "colour":
        return (1, 16, (1 << depth) - 1)
    rows, columns = front[0].shape[:2]
    small = noise((1, 3, -(-rows // 8), -(-columns // 8)), depth, 20)
    return Enlarged(small.to(torch.float32), 3)


def residual_of(rgb: bool, top: int) -> Residual:
    random = torch.Generator().manual_seed(4)
    small = torch.randn((5, 9, 3), generator=random) * 0.1
    yuv = ((0.21, 0.72, 0.07), (-0.11, -0.39, 0.5), (0.5, -0.45, -0.05))
    plain = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    return Residual(small, tuple(tuple(w * top for w in row) for row in (plain if rgb else yuv)))  # type: ignore[misc]


def cases() -> list[tuple[str, tuple[Any, ...], Any, dict[str, Any]]]:
    """Name, front planes, background and options of everything that `blend` does."""
    found = []
    layouts = [(depth, name) for depth in (8, 10, 12) for name in SHIFTS]
    for number, (depth, name) in enumerate(layouts):
        width, height = SIZES[number % len(SIZES)]
        shapes = sizes_of(width, height, SHIFTS[name])
        front = tuple(noise(shape, depth, i) for i, shape in enumerate(shapes))
        found.append((f"{name} {depth} {width}", front, depth, SHIFTS[name]))
    for depth, (width, height) in ((8, SIZES[0]), (16, SIZES[1])):
        front = (noise((height, width, 3), depth, 0),)
        found.append((f"rgb {depth} {width}", front, depth, (0, 0)))
    return [
        (
            f"{name} {kind} {'residual' if coloured else ''}",
            front,
            behind(kind, front, depth),
            {
                "max_value": (1 << depth) - 1,
                "chroma_shift": shift,
                "residual": residual_of(len(front) == 1, (1 << depth) - 1) if coloured else None,
            },
        )
        for name, front, depth, shift in found
        for kind in BACKS
        for coloured in (False, True)
    ]


def compare(device: str) -> int:
    """Largest difference is 0, or 1 at a few samples where the model's colour is added."""
    count = 0
    for name, front, back, options in cases():
        alpha = alpha_of(front[0].shape[1], front[0].shape[0])
        wanted = blend_twin(front, alpha, back, **options)
        front, alpha, back = moved(front, device), alpha.to(device), moved(back, device)
        got = blend(
            front, alpha, back, **{**options, "residual": moved(options["residual"], device)}
        )
        for mine, theirs in zip(got, wanted, strict=True):
            assert mine.dtype == theirs.dtype, name
            far = (mine.cpu().to(torch.int32) - theirs.to(torch.int32)).abs()
            assert int(far.max()) <= (options["residual"] is not None), name
            assert float((far > 0).float().mean()) < 0.002, name
        count += 1
    return count


def compare_layouts(device: str) -> None:
    """Chroma that is interleaved, as NVDEC gives it, and rows that are padded."""
    for depth in (8, 10):
        front = tuple(noise(s, depth, i) for i, s in enumerate(sizes_of(64, 48, (1, 1))))
        alpha = alpha_of(80, 48).to(device)[:, :64]
        back = behind("planes", front, depth)
        options: dict[str, Any] = {"max_value": (1 << depth) - 1, "chroma_shift": (1, 1)}
        wanted = blend_twin(front, alpha.cpu(), back, **options)
        luma, *chroma = moved(front, device)
        pairs = torch.stack(chroma, -1)
        got = blend((luma, pairs[..., 0], pairs[..., 1]), alpha, moved(back, device), **options)
        for mine, theirs in zip(got, wanted, strict=True):
            assert torch.equal(mine.cpu(), theirs)


def moved(thing: Any, device: str) -> Any:
    if isinstance(thing, torch.Tensor):
        return thing.to(device)
    if isinstance(thing, Enlarged):
        return Enlarged(thing.code.to(device), thing.shift)
    if isinstance(thing, Residual):
        return Residual(thing.small.to(device), thing.linear)
    if isinstance(thing, tuple):
        return tuple(moved(part, device) for part in thing)
    return thing


def type_of(name: str, samples: str) -> str:
    """Type of a kernel's argument in Triton's words, by its name."""
    if name.startswith(("front", "back", "out")) and not name.endswith(("row", "step")):
        return f"*{samples}"
    if name in ("alpha", "small", "residual"):
        return "*u8" if name == "alpha" else "*fp32"
    is_float = "scale" in name or name.endswith(("_red", "_green", "_blue"))
    return "fp32" if is_float else "i32"


def compile_for(capability: int) -> None:
    """Compile the kernels to machine code, for a GPU that need not be here."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from rvm.gpu import triton_blend

    for kernel in (triton_blend.blend_yuv, triton_blend.blend_rgb):
        for samples, back in (("u8", 0), ("u8", 2), ("u16", 1)):
            fixed = {"TOP": 255, "BACK": back, "RESIDUAL": True, "R": 4, "C": 256}
            if kernel is triton_blend.blend_yuv:
                fixed |= {"SHIFT_X": 1, "SHIFT_Y": 1, "ODD": False}
            types = {
                name: "constexpr" if name in fixed else type_of(name, samples)
                for name in kernel.arg_names
            }
            target = GPUTarget("cuda", capability, 32)
            assert triton.compile(ASTSource(kernel, types, fixed), target=target).asm["cubin"]


def in_process_of_its_own(code: str, **environment: str) -> None:
    code = f"from tests.unit import test_kernels_blend as t; {code}"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False, text=True,
        capture_output=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]


def test_the_kernels_equal_their_twins() -> None:
    pytest.importorskip("triton")
    code = "t.compare_layouts('cpu'); assert t.compare('cpu') == len(t.cases())"
    in_process_of_its_own(code, TRITON_INTERPRET="1")


@pytest.mark.skipif(sys.platform != "linux", reason="Triton's compiler comes with Linux only")
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_without_a_gpu(capability: int, tmp_path: Path) -> None:
    pytest.importorskip("triton")
    cache = str(tmp_path)
    in_process_of_its_own(f"t.compile_for({capability})", TRITON_CACHE_DIR=cache)


@pytest.mark.gpu
def test_the_kernels_equal_their_twins_on_a_gpu() -> None:
    assert compare("cuda") == len(cases())
    compare_layouts("cuda")


def test_the_twin_writes_any_layout() -> None:
    compare_layouts("cpu")


def test_a_colour_is_a_plane_of_it() -> None:
    front = tuple(noise(s, 8, i) for i, s in enumerate(sizes_of(50, 30, (1, 1))))
    alpha = alpha_of(50, 30)
    colour = (81, 90, 240)
    planes = tuple(torch.full_like(p, c) for p, c in zip(front, colour, strict=True))
    options: Any = {"max_value": 255, "chroma_shift": (1, 1)}
    for mine, theirs in zip(
        blend(front, alpha, colour, **options), blend(front, alpha, planes, **options), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_alpha_of_0_and_255_change_nothing() -> None:
    front = tuple(noise(s, 10, i) for i, s in enumerate(sizes_of(51, 37, (1, 1))))
    back = behind("planes", front, 10)
    for value, wanted in ((0, back), (255, front)):
        alpha = torch.full((37, 51), value, dtype=torch.uint8)
        options: Any = {"residual": residual_of(False, 1023), "chroma_shift": (1, 1)}
        got = blend(front, alpha, back, max_value=1023, **options)
        assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
