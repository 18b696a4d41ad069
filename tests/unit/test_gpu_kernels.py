"""The kernels of the torch engine: compiled = twin = what the CPU path does.

Run as a program with TRITON_INTERPRET=1 this file checks the compiled kernels in numpy; the test
starts that, because Triton looks at the variable once, when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from rvm.colour import ranges, rgb, torch_rgb  # noqa: E402
from rvm.frame import PIXEL_FORMATS, SRGB, ByteImage, ColourTags, Frame  # noqa: E402
from rvm.gpu import kernels_refine, kernels_sample  # noqa: E402
from rvm.matting import refine  # noqa: E402
from rvm.matting.torch_picture import luma_guide, network_picture  # noqa: E402

#: Frame and picture sizes: by blocks of 1, 2, 4 and 8, at its own size, enlarged, odd on the way,
#: and one side that shrinks far more than the other.
SIZES = [
    ((96, 32), (70, 20)),
    ((96, 32), (40, 12)),
    ((192, 64), (40, 12)),
    ((384, 112), (37, 13)),
    ((66, 26), (66, 26)),
    ((40, 14), (90, 30)),
    ((97, 33), (32, 12)),
    ((128, 16), (32, 12)),
]
#: Fewer rows for the interpreter, which takes its time; then what other formats are tried at.
FLAT_SIZES = [
    ((96, 12), (70, 8)),
    ((96, 16), (40, 8)),
    ((160, 32), (40, 8)),
    ((320, 64), (37, 8)),
    ((66, 6), (66, 6)),
    ((40, 6), (90, 8)),
]
FLAT_FEW = [((64, 12), (24, 6)), ((34, 6), (34, 6))]
FORMATS: list[tuple[str, ColourTags]] = [
    ("yuv420p", ColourTags()),
    ("yuv420p", ColourTags("bt601", "full")),
    ("yuv422p10", ColourTags("bt2020")),
    ("yuv444p12", ColourTags()),
    ("rgb24", SRGB),
    ("rgb48", SRGB),
]


def frame_of(name: str, colour: ColourTags, width: int, height: int, seed: int = 0) -> Frame:
    """Soft blobs with noise, in rows that are padded."""
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(seed)
    planes = []
    for rows, columns, *rest in layout.plane_shapes(width, height):
        blobs = random.uniform(0.1, 0.9, (4, 5, *rest)).astype(np.float32)
        smooth = cv2.resize(blobs, (columns, rows), interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(smooth + random.normal(0, 0.02, smooth.shape), 0, 1) * layout.max_value
        padded = np.zeros((rows, columns + 5, *rest), layout.dtype)
        padded[:, :columns] = noisy.astype(layout.dtype)
        planes.append(padded[:, :columns])
    return Frame(tuple(planes), layout, width, height, colour=colour)


def on_cpu(frame: Frame) -> Frame:
    return torch_rgb.upload(frame, torch.device("cpu"))


def interleaved(frame: Frame) -> tuple[Tensor, ...]:
    """The planes with U and V as views of one, as NV12 has them."""
    luma, *chroma = on_cpu(frame).planes
    pairs = torch.stack(tuple(chroma), -1)
    return luma, pairs[..., 0], pairs[..., 1]


def coefficients_of(channels: int, rows: int, columns: int) -> Tensor:
    torch.manual_seed(channels)
    planes: Tensor = torch.randn(1, channels, rows, columns) * 0.6 + 0.3
    return planes


def cpu_alpha(frame: Frame, planes: Tensor) -> ByteImage:
    scale, offset = (np.ascontiguousarray(plane.numpy()) for plane in planes[0])
    return refine.guided_alpha(refine.luma_guide(frame), scale, offset)


def code_matrix(frame: Frame) -> Any:
    """4x4: RGB as the network sees it, and a row that leaves 0..1."""
    extra = np.array([[0.01, -0.02, 0.005, -0.4]])
    return np.vstack([ranges.code_to_rgb(frame.format, frame.colour), extra])


@pytest.mark.parametrize(("name", "colour"), FORMATS)
@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_the_picture_is_the_one_of_the_cpu_path(
    name: str, colour: ColourTags, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    frame = frame_of(name, colour, *size)
    ours = network_picture(on_cpu(frame), *wanted)
    torch.testing.assert_close(ours, torch_rgb.network_rgb(on_cpu(frame), *wanted))
    theirs = rgb.network_rgb(frame, *wanted)
    assert np.abs(ours[0].permute(1, 2, 0).numpy() - theirs).mean() < 1 / 255


@pytest.mark.parametrize("colour", [ColourTags("bt601"), ColourTags("bt2020", transfer="linear")])
def test_luma_comes_along_unclamped(colour: ColourTags) -> None:
    frame = frame_of("yuv420p", colour, 96, 64)
    picture = network_picture(on_cpu(frame), 40, 24, with_luma=True)
    expected = refine.luma_guide(frame).small(40, 24)
    assert np.abs(picture[0, 3].numpy() - expected).max() < 1.5 / 255


@pytest.mark.parametrize(("name", "colour"), [*FORMATS, ("yuv420p10", ColourTags(transfer="pq"))])
def test_alpha_from_luma_is_that_of_the_cpu_path(name: str, colour: ColourTags) -> None:
    frame = frame_of(name, colour, 130, 70)
    planes = coefficients_of(2, 24, 40)
    ours = kernels_refine.luma_alpha(*luma_guide(on_cpu(frame)), planes)
    theirs = cpu_alpha(frame, planes)
    # The CPU path rounds the luma of RGB to a code, whose weight here is up to three.
    allowed = 3 if frame.format.family == "rgb" else 1
    assert np.abs(ours.numpy().astype(int) - theirs).max() <= allowed


def test_what_is_not_a_number_becomes_transparent() -> None:
    plane = torch.full((8, 8), 200, dtype=torch.uint8)
    planes = torch.full((1, 2, 4, 4), torch.nan)
    assert kernels_refine.luma_alpha(plane, (1 / 255,), 0.0, planes).max() == 0


def test_usual_sizes_go_through_the_kernel() -> None:
    for size, small in [
        ((1280, 720), (384, 224)),
        ((1920, 1080), (384, 224)),
        ((1080, 1920), (224, 384)),
        ((3840, 2160), (384, 224)),
        ((7680, 4320), (384, 224)),
        ((3840, 2160), (3840, 2160)),
    ]:
        for shape in PIXEL_FORMATS["yuv420p"].plane_shapes(*size):
            plane = torch.empty(1, dtype=torch.uint8).expand(shape)
            assert kernels_sample._block(plane, *small) is not None


def check_sample() -> int:
    """Compiled `sample` against its twin, over formats, sizes, strides and types."""
    checked = 0
    for number, (name, colour) in enumerate(FORMATS):
        for size, wanted in FLAT_FEW if number else FLAT_SIZES:
            frame = frame_of(name, colour, *size)
            matrix = code_matrix(frame)
            planes = on_cpu(frame).planes
            expected = kernels_sample.sample_twin(planes, matrix, *wanted)
            variants = [planes] + ([interleaved(frame)] if len(planes) > 1 else [])
            for variant in variants:
                got = kernels_sample.sample(variant, matrix, *wanted)
                torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
                checked += 1
            half = torch.empty(1, 3, wanted[1], wanted[0], dtype=torch.float16)
            half = half.contiguous(memory_format=torch.channels_last)
            assert kernels_sample.sample(planes, matrix[:3], *wanted, half) is half
            torch.testing.assert_close(half.float(), expected[:, :3], atol=1e-3, rtol=1e-3)
    return checked


def check_refine() -> int:
    """Compiled refiners against their twins and the CPU path; alpha within one code."""
    checked = 0
    for name, colour in FORMATS:
        frame = frame_of(name, colour, 130, 8)
        guide = luma_guide(on_cpu(frame))
        planes = coefficients_of(2, 3, 40)
        got = kernels_refine.luma_alpha(*guide, planes).int()
        expected = kernels_refine.luma_alpha_twin(*guide, planes).int()
        assert (got - expected).abs().max() <= 1
        assert (got != expected).float().mean() < 0.01
        theirs = cpu_alpha(frame, planes)
        assert np.abs(got.numpy() - theirs).max() <= (3 if frame.format.family == "rgb" else 1)
        checked += 1
    for (width, height), (columns, rows) in [((130, 9), (40, 4)), ((64, 8), (8, 1))]:
        for dtype in (torch.float32, torch.float16):
            picture = torch.rand(1, 3, height, width, dtype=torch.float32)
            planes = coefficients_of(8, rows, columns)
            got_alpha, got_weighted = kernels_refine.guided_alpha(picture, planes, dtype)
            alpha, weighted = kernels_refine.guided_alpha_twin(picture, planes, dtype)
            assert (got_alpha.int() - alpha.int()).abs().max() <= 1
            assert got_weighted.dtype == dtype
            torch.testing.assert_close(got_weighted, weighted, atol=1e-3, rtol=1e-3)
            weighted[:, :, : height // 2] = 0  # nothing counts there
            got = kernels_refine.area_residual(weighted, (rows, columns))
            expected = kernels_refine.area_residual_twin(weighted, (rows, columns))
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
            assert got.is_contiguous()
            checked += 1
    nan = kernels_refine.luma_alpha(picture[0, 0], (1.0,), 0.0, torch.full((1, 2, 4, 4), torch.nan))
    assert nan.max() == 0
    return checked


@pytest.mark.slow
@pytest.mark.timeout(900)  # numpy, a program at a time; half a minute on an idle core
def test_compiled_kernels_equal_their_twins() -> None:
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.test_gpu_kernels"],
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["28", "10"]


@pytest.mark.parametrize("capability", [75, 90])
def test_kernels_compile_for_real_gpus(capability: int) -> None:
    """Turing and Hopper machine code, which Triton's own assembler makes without a GPU."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget

    from rvm.gpu import triton_refine, triton_sample

    pointers = {
        "plane": "*u8", "alpha": "*u8", "picture": "*fp32", "small": "*fp32", "weighted": "*fp16",
        "out": "*fp32", "plane_0": "*u16", "plane_1": "*u16", "plane_2": "*u16",
    }  # fmt: skip
    blocks = {"BLOCK_0": 8, "SAME_0": False, "BLOCK_1": 4, "SAME_1": False}
    full = {"BLOCK_0": 1, "SAME_0": True, "BLOCK_1": 1, "SAME_1": False}
    for kernel, constants in [
        (triton_sample.sample_planes, {**blocks, "FOURTH": True, "STRIP": 32}),
        (triton_sample.sample_planes, {**full, "FOURTH": False, "STRIP": 256}),
        (triton_refine.luma_alpha, {"CHANNELS": 1, "STRIP": 1024}),
        (triton_refine.guided_alpha, {"STRIP": 1024}),
        (triton_refine.area_residual, {"SPAN": 16, "STRIP": 16}),
    ]:
        types = {}
        for name in kernel.arg_names:
            number = "fp32" if name.startswith(("scale", "m", "from", "plus")) else "i32"
            types[name] = "constexpr" if name in constants else pointers.get(name, number)
        source = triton.compiler.ASTSource(kernel, types, constants)
        made = triton.compile(
            source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4}
        )
        assert made.asm["cubin"]


@pytest.mark.gpu
def test_compiled_kernels_on_the_gpu() -> None:
    device = torch.device("cuda")
    for name, colour in FORMATS:
        for size, wanted in SIZES:
            frame = torch_rgb.upload(frame_of(name, colour, *size), device)
            matrix = code_matrix(frame)
            expected = kernels_sample.sample_twin(frame.planes, matrix, *wanted)
            got = kernels_sample.sample(frame.planes, matrix, *wanted)
            torch.testing.assert_close(got[:, :3], expected[:, :3], atol=1e-5, rtol=1e-4)
            # Luma is not clamped: of rgb48 it is a sum of thousands, in another order.
            torch.testing.assert_close(got[:, 3:], expected[:, 3:], atol=1e-3, rtol=1e-4)
        guide = luma_guide(frame)
        planes = coefficients_of(2, 24, 40).to(device)
        alpha = kernels_refine.luma_alpha(*guide, planes).int()
        assert (alpha - kernels_refine.luma_alpha_twin(*guide, planes).int()).abs().max() <= 1
    picture, planes = torch.rand(1, 3, 70, 130, device=device), coefficients_of(8, 24, 40).cuda()
    alpha, weighted = kernels_refine.guided_alpha(picture, planes, torch.float16)
    exact, expected = kernels_refine.guided_alpha_twin(picture, planes, torch.float16)
    assert (alpha.int() - exact.int()).abs().max() <= 1
    torch.testing.assert_close(weighted, expected, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(
        kernels_refine.area_residual(expected, (24, 40)),
        kernels_refine.area_residual_twin(expected, (24, 40)),
        atol=1e-4,
        rtol=1e-3,
    )


if __name__ == "__main__":
    sys.stdout.write(f"{check_sample()} {check_refine()}\n")
