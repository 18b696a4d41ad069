"""What damage in the input cost, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rvm.telemetry import Report


def losses(report: Report) -> str:
    """Of how many frames something was lost, and what became of them."""
    parts = (
        (report.damaged - report.concealed, "skipped"),
        (report.concealed, "concealed by the decoder"),
        (report.frames_out, "written"),
    )
    told = ", ".join(f"{number} {what}" for number, what in parts if number)
    return f"{report.damaged} damaged {_frames(report.damaged)} ({told})"


def concealment_notes(concealed: int) -> tuple[str, ...]:
    """The line for the user about damaged frames that were used all the same, if there are any."""
    if not concealed:
        return ()
    return (
        f"damaged in the input and patched up by the decoder: {concealed} {_frames(concealed)}; "
        "the picture can stay smeared until the next keyframe",
    )


def _frames(number: int) -> str:
    return "frame" if number == 1 else "frames"
