"""Bytes that must cross a GPU's memory for one frame, by stage, from the sizes of the planes.

8-bit 4:2:0. What the network itself moves at its own small size is left out; small tables too.
What is computed here is the least that a stage's passes need, not a measurement.
"""

from __future__ import annotations

STAGES = ("matte", "colour", "picture", "blur")


def matte_bytes(width: int, height: int, *, full_size_rgb: bool) -> int:
    """To sample the network's picture from the planes, and to make the full-size alpha.

    Args:
        width, height: of the frame.
        full_size_rgb: the model refines on float RGB of the whole frame (the reference networks):
            written once, read by the network's downsampling and again by the refiner.
    """
    pixels = width * height
    planes = _planes(width, height)
    if full_size_rgb:
        return planes + 3 * 12 * pixels + pixels
    return planes + 2 * pixels


def composite_bytes(width: int, height: int, stage: str) -> int:
    """To blend before a colour, a picture, or the blurred frame: read frame and alpha, write.

    Args:
        stage: one of `STAGES`; the matte alone composes nothing.
    """
    if stage == "matte":
        return 0
    planes, alpha = _planes(width, height), width * height
    more = {"colour": 0, "picture": planes, "blur": planes + alpha}[stage]
    return 2 * planes + alpha + more


def _planes(width: int, height: int) -> int:
    return width * height + 2 * (-(-width // 2)) * (-(-height // 2))
