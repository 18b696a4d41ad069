"""The matte and the foreground as pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rvm.frame import PIXEL_FORMATS, ColourTags, Composite, Frame, Matte
from rvm.sinks.layers import foreground_layer, matte_layer, picture_layer
from tests.composites import composite, shot


def flat(name: str, codes: tuple[int, ...], size: tuple[int, int], tags: ColourTags) -> Frame:
    """A frame of one colour."""
    pixels = PIXEL_FORMATS[name]
    planes = []
    for number, shape in enumerate(pixels.plane_shapes(*size)):
        value = codes if len(shape) == 3 else codes[number]
        planes.append(np.broadcast_to(np.array(value, pixels.dtype), shape).copy())
    return Frame(tuple(planes), pixels, *size, colour=tags)


def test_the_picture_is_the_composed_one() -> None:
    item = composite(shot(transparent=True), 0)
    assert picture_layer(item) is item.picture


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "rgb24"])
@pytest.mark.parametrize("size", [(96, 64), (33, 17)])
def test_the_matte_has_alpha_for_luma_and_no_colour(name: str, size: tuple[int, int]) -> None:
    item = composite(shot(format=name, width=size[0], height=size[1]), 3)
    layer = matte_layer(item)
    assert layer.format.name == "yuv420p"
    assert layer.colour.range == "full"
    assert (layer.planes[0] == item.matte.alpha).all()
    assert all((plane == 128).all() for plane in layer.planes[1:])
    assert (layer.pts, layer.time_base, layer.index) == (item.source.pts, item.source.time_base, 3)


@pytest.mark.parametrize(
    ("name", "tags", "colour", "black"),
    [
        ("yuv420p", ColourTags("bt709"), (81, 90, 240), (16, 128, 128)),
        ("yuv420p", ColourTags("bt709", "full"), (81, 90, 240), (0, 128, 128)),
        ("yuv422p10", ColourTags("bt2020"), (400, 300, 700), (64, 512, 512)),
        ("rgb24", ColourTags("rgb", "full"), (200, 100, 50), (0, 0, 0)),
    ],
)
def test_the_foreground_is_straight_near_the_person_and_black_far_away(
    name: str, tags: ColourTags, colour: tuple[int, ...], black: tuple[int, ...]
) -> None:
    source = flat(name, colour, (128, 96), tags)
    alpha = np.zeros((96, 128), np.uint8)
    alpha[40:60, 4:20] = 90  # half a person is still shown in full colour
    layer = foreground_layer(Composite(source, Matte(alpha), source))
    for number, plane in enumerate(layer.planes):
        step = 128 // plane.shape[1]
        inside = plane[40 // step : 60 // step, 4 // step : 20 // step]
        far = plane[:, 80 // step :]
        assert (inside == (colour if plane.ndim == 3 else colour[number])).all()
        assert (far == (black if plane.ndim == 3 else black[number])).all()
    beside = layer.planes[0][50, 22]
    assert (beside == (colour if name == "rgb24" else colour[0])).all()


def test_the_model_s_colour_is_used_where_alpha_is_mixed() -> None:
    source = flat("yuv444p", (126, 128, 128), (64, 32), ColourTags("bt709"))
    alpha = np.full((32, 64), 255, np.uint8)
    alpha[:, 32:] = 128
    # One tenth brighter in R, G and B: 21.9 more luma in limited range, no chroma.
    residual = np.full((8, 16, 3), 0.1, np.float32)
    luma, blue, red = foreground_layer(Composite(source, Matte(alpha, residual), source)).planes
    assert (luma[:, :32] == 126).all()
    assert (luma[:, 32:] == 148).all()
    assert (blue == 128).all()
    assert (red == 128).all()


def test_hdr_keeps_its_own_colours() -> None:
    tags = ColourTags("bt2020", "limited", "bt2020", "pq")
    source = flat("yuv420p10", (500, 512, 512), (32, 32), tags)
    matte = Matte(np.full((32, 32), 128, np.uint8), np.full((8, 8, 3), 0.5, np.float32))
    layer = foreground_layer(Composite(source, matte, source))
    assert (layer.planes[0] == 500).all()


def test_a_transparent_picture_lends_its_colours() -> None:
    item = composite(shot(transparent=True), 0)
    other = dataclasses.replace(item.source, index=7)
    layer = foreground_layer(Composite(item.picture, item.matte, other))
    assert layer.alpha is None
    assert layer.planes is item.picture.planes


def test_odd_sizes() -> None:
    for name in ("yuv420p", "yuv422p", "yuv444p10", "rgb24"):
        item = composite(shot(format=name, width=33, height=17), 0)
        layer = foreground_layer(item)
        assert [plane.shape for plane in layer.planes] == [
            plane.shape for plane in item.source.planes
        ]
        assert all(plane.dtype == item.source.format.dtype for plane in layer.planes)
