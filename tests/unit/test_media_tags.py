"""FFmpeg's colour numbers and back, and what an untagged picture is taken for."""

from __future__ import annotations

import pytest

from rvm.errors import InputError
from rvm.frame import SRGB, ColourTags
from rvm.media.tags import ColourNumbers, is_rgb, to_numbers, to_tags


def tags(*numbers: int, size: tuple[int, int] = (1920, 1080), name: str = "yuv420p") -> ColourTags:
    return to_tags(ColourNumbers(*numbers), *size, name)


def test_nothing_said_is_guessed_from_the_size() -> None:
    assert tags() == ColourTags("bt709", "limited", "bt709", "bt709", guessed=True)
    assert tags(size=(640, 480)).matrix == "bt601"


def test_a_tag_that_is_there_is_believed_at_any_size() -> None:
    assert tags(1, 1, 1, 1, size=(320, 240)) == ColourTags("bt709", "limited", "bt709", "bt709")
    assert tags(6, 1, 6, 6, size=(1920, 1080)).matrix == "bt601"


@pytest.mark.parametrize(("number", "transfer"), [(14, "bt709"), (15, "bt709"), (16, "pq")])
def test_bt2020_transfers(number: int, transfer: str) -> None:
    got = tags(9, 1, 9, number)
    assert (got.matrix, got.primaries, got.transfer) == ("bt2020", "bt2020", transfer)


def test_hdr_without_a_matrix_is_bt2020() -> None:
    assert tags(2, 1, 2, 18).matrix == "bt2020"
    assert tags(2, 1, 9, 16).matrix == "bt2020"
    assert not tags(2, 1, 9, 16).guessed


def test_matrix_alone_brings_its_primaries() -> None:
    assert tags(9).primaries == "bt2020"
    assert tags(1, size=(720, 576)).primaries == "bt709"


@pytest.mark.parametrize("name", ["yuvj420p", "gray", "gray10le", "ya8"])
def test_full_range_by_name(name: str) -> None:
    assert tags(name=name).range == "full"
    assert tags(2, 1, name=name).range == "limited"


def test_yuva_is_not_taken_for_gray() -> None:
    assert tags(name="yuva420p").range == "limited"


def test_rgb_is_full_range_and_srgb() -> None:
    assert tags(name="bgra") == SRGB
    assert tags(0, 1, 1, 1, name="gbrp") == ColourTags("rgb", "full", "bt709", "bt709")


@pytest.mark.parametrize("matrix", [8, 14, 15, 16, 17])
def test_a_matrix_that_is_none_of_ours_is_refused(matrix: int) -> None:
    with pytest.raises(InputError, match="not supported"):
        tags(matrix)


@pytest.mark.parametrize(
    "colour",
    [
        ColourTags("bt709", "limited", "bt709", "bt709"),
        ColourTags("bt601", "full", "bt601-525", "bt709"),
        ColourTags("bt601", "limited", "bt601-625", "bt709"),
        ColourTags("bt2020", "limited", "bt2020", "pq"),
        ColourTags("bt2020", "full", "bt2020", "hlg"),
        ColourTags("bt709", "limited", "display-p3", "srgb"),
        ColourTags("bt709", "limited", "bt709", "linear"),
    ],
)
def test_there_and_back(colour: ColourTags) -> None:
    assert to_tags(to_numbers(colour), 640, 480, "yuv420p") == colour


@pytest.mark.parametrize(
    "numbers",
    [(1, 1, 1, 1), (6, 1, 6, 6), (6, 1, 6, 1), (5, 1, 5, 6), (9, 1, 9, 14), (9, 1, 9, 16)],
)
def test_the_usual_numbers_of_a_standard_come_back_as_they_were(numbers: tuple[int, ...]) -> None:
    assert to_numbers(tags(*numbers)) == ColourNumbers(*numbers)


def test_rgb_there_and_back() -> None:
    assert to_numbers(SRGB) == ColourNumbers(0, 2, 1, 13)
    assert to_tags(to_numbers(SRGB), 640, 480, "rgb24") == SRGB


@pytest.mark.parametrize(
    ("name", "rgb"),
    [("rgb24", True), ("gbrp10le", True), ("0bgr", True), ("pal8", True), ("yuv420p", False),
     ("gray", False), ("xv30le", False), ("xyz12le", True)],
)  # fmt: skip
def test_rgb_names(name: str, rgb: bool) -> None:
    assert is_rgb(name) is rgb
