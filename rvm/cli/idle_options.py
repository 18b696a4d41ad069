"""Options that were given, but have nothing to act on: a note each.

Only what was given for this run counts: what a file says in advance need not fit every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rvm.api import DEFAULT_CONVERT_BACKGROUND, DEFAULT_LIVE_BACKGROUND
from rvm.config import LiveSettings

if TYPE_CHECKING:
    from rvm.cli.console import Console
    from rvm.config_sources import Resolved


def note_idle_options(resolved: Resolved[Any], console: Console, to: Iterable[str]) -> None:
    """Say which options have no effect, and why.

    Args:
        resolved: the settings, and where each comes from.
        console: takes the notes.
        to: where the pictures go that the encoder's options are for.
    """
    for line in (*_blur_strength(resolved), *_size_and_rate(resolved), *_encoding(resolved, to)):
        console.note(line)


def _given(resolved: Resolved[Any], *names: str) -> list[str]:
    """Of these settings, the options or variables that set them."""
    origins = [resolved.origins[name] for name in names]
    return [origin for origin in origins if origin.startswith(("--", "RVM_"))]


def _blur_strength(resolved: Resolved[Any]) -> Iterator[str]:
    live = isinstance(resolved.settings, LiveSettings)
    usual = DEFAULT_LIVE_BACKGROUND if live else DEFAULT_CONVERT_BACKGROUND
    background = resolved.settings.background or usual
    if background.strip().lower() in ("blur", "blur:"):
        return
    for origin in _given(resolved, "blur_strength"):
        yield f"{origin} has no effect: the background is {background}, not blur"


def _size_and_rate(resolved: Resolved[Any]) -> Iterator[str]:
    settings = resolved.settings
    if not isinstance(settings, LiveSettings):
        return
    given = _given(resolved, "width", "height", "fps")
    if not given:
        return
    from rvm.sources import kind_of, without_secrets

    kind = kind_of(settings.camera)
    if kind == "images":  # shown at the rate that is asked for
        given = _given(resolved, "width", "height")
    if given and kind != "camera":
        name = without_secrets(settings.camera)
        yield f"{_no_effect(given)}: only a camera can be asked; {name} is none"


def _encoding(resolved: Resolved[Any], to: Iterable[str]) -> Iterator[str]:
    given = _given(resolved, "codec", "crf", "bitrate", "preset")
    if not given:
        return
    from rvm.sinks import is_encoded

    if not any(is_encoded(place) for place in to):
        yield f"{_no_effect(given)}: only a video file is encoded, and none is written"


def _no_effect(given: Sequence[str]) -> str:
    """`--width and --fps have no effect`."""
    *others, last = given
    names = f"{', '.join(others)} and {last}" if others else last
    return f"{names} {'have' if others else 'has'} no effect"
