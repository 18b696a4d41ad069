"""RGB for the network on a device: the same picture as on the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from rvm.colour import rgb, torch_rgb  # noqa: E402
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame  # noqa: E402
from tests.gpu_waiting import no_waiting  # noqa: E402

TAGS = [
    ("yuv420p", ColourTags()),
    ("yuv420p", ColourTags("bt601", "full")),
    ("yuv422p10", ColourTags("bt2020", "limited", "bt2020", "pq")),
    ("yuv420p10", ColourTags("bt2020", "limited", "bt2020", "hlg")),
    ("yuv444p12", ColourTags("bt709", "limited", "bt709", "linear")),
    ("rgb24", SRGB),
    ("rgb48", SRGB),
]


def smooth_frame(name: str, colour: ColourTags, width: int = 96, height: int = 64) -> Frame:
    """A picture of soft blobs, so that resampling methods hardly differ."""
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(0)
    planes: list[Any] = []
    for rows, columns, *rest in layout.plane_shapes(width, height):
        blobs = random.uniform(0.2, 0.8, (4, 5, *rest)).astype(np.float32)
        smooth = cv2.resize(blobs, (columns, rows), interpolation=cv2.INTER_CUBIC)
        planes.append((smooth * layout.max_value).astype(layout.dtype))
    return Frame(tuple(planes), layout, width, height, colour=colour)


@pytest.mark.parametrize(("name", "colour"), TAGS)
@pytest.mark.parametrize("size", [(96, 64), (48, 32), (40, 24), (128, 96)])
def test_it_is_the_picture_the_cpu_sees(
    name: str, colour: ColourTags, size: tuple[int, int]
) -> None:
    frame = smooth_frame(name, colour)
    uploaded = torch_rgb.upload(frame, torch.device("cpu"))
    ours = torch_rgb.network_rgb(uploaded, *size)[0].permute(1, 2, 0).numpy()
    theirs = rgb.network_rgb(frame, *size)
    assert ours.shape == (size[1], size[0], 3)
    difference = np.abs(ours - theirs)
    assert difference.mean() < 1 / 255
    # The CPU rounds resampled planes to code values; the steep end of PQ and HLG magnifies that.
    if not colour.is_hdr:
        assert difference.max() < 4 / 255
    if size == (96, 64) and frame.format.chroma_shift == (0, 0):
        assert difference.max() < 1e-4


class Crossings(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what has tensors of two devices, or copies from one to the other."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        result = function(*arguments, **(keywords or {}))
        leaves = tree_leaves((arguments, keywords, result))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)}
        self.count += len(devices) > 1
        return result


@pytest.mark.parametrize(("name", "colour"), TAGS)
def test_only_the_first_picture_copies_anything_to_the_gpu(name: str, colour: ColourTags) -> None:
    """With torch's tensors that are shapes only: they may claim to lie on a GPU."""
    frame = smooth_frame(name, colour)
    with FakeTensorMode(allow_non_fake_inputs=True):
        planes = tuple(
            torch.empty(plane.shape, dtype=torch.from_numpy(plane[:1]).dtype, device="cuda")
            for plane in frame.planes
        )
        torch_rgb.network_rgb(replace(frame, planes=planes), 41, 25)
        with Crossings() as crossings:
            torch_rgb.network_rgb(replace(frame, planes=planes), 41, 25)
    torch_rgb._table.cache_clear()
    torch_rgb._area_weights.cache_clear()
    assert crossings.count == 0


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "colour"), TAGS)
def test_on_a_gpu_only_the_first_picture_waits(name: str, colour: ColourTags) -> None:
    frame = torch_rgb.upload(smooth_frame(name, colour), torch.device("cuda"))
    first = torch_rgb.network_rgb(frame, 40, 24)
    with no_waiting():
        again = torch_rgb.network_rgb(frame, 40, 24)
    torch.testing.assert_close(again, first)


def test_uploading_twice_changes_nothing() -> None:
    frame = smooth_frame("yuv420p10", ColourTags())
    once = torch_rgb.upload(frame, torch.device("cpu"))
    assert once.planes[0].dtype == torch.uint16
    assert torch_rgb.upload(once, torch.device("cpu")) is once


def test_read_only_and_flipped_planes_are_taken() -> None:
    plane = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[::-1]
    plane.flags.writeable = False
    frame = Frame((plane,), PIXEL_FORMATS["rgb24"], 4, 4, colour=SRGB)
    uploaded = torch_rgb.upload(frame, torch.device("cpu"))
    np.testing.assert_array_equal(uploaded.planes[0].numpy(), plane)


@pytest.mark.parametrize(("name", "colour"), TAGS)
def test_nothing_is_out_of_range(name: str, colour: ColourTags) -> None:
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(0)
    for extreme in (0, layout.max_value, None):
        planes = tuple(
            random.integers(0, layout.max_value + 1, shape).astype(layout.dtype)
            if extreme is None
            else np.full(shape, extreme, layout.dtype)
            for shape in layout.plane_shapes(18, 10)
        )
        frame = torch_rgb.upload(Frame(planes, layout, 18, 10, colour=colour), torch.device("cpu"))
        picture = torch_rgb.network_rgb(frame, 9, 7)
        assert torch.isfinite(picture).all()
        assert picture.min() >= 0
        assert picture.max() <= 1
