"""Every setting of a run: its meaning, default and range, written down once.

A setting is one field of a frozen dataclass with its `Rule`. The command line builds its options
from these fields, and `rvm.config_sources` checks files and the environment against them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from rvm.api import DECODERS, DEFAULT_CONVERT_BACKGROUND, DEFAULT_LIVE_BACKGROUND
from rvm.clock_time import CLOCK_FORMS, parse_seconds
from rvm.errors import UsageError
from rvm.sinks.codecs import CODECS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting means and which values it takes.

    Attributes:
        help: one clause for `--help`.
        group: heading under which `--help` lists it.
        flag: option name where it is not the field's name with dashes.
        unset: what happens where the value is None, as a default to show.
        low, high: allowed range, ends included.
        above: exclusive lower bound.
        choices: the allowed words.
        names: words that are known, where others may be allowed too.
        pattern: a regular expression the whole text must match.
        expected: what to call a text that matches `pattern`.
        takes_number: a bare number in a file is as good as its text (camera = 0).
        takes_clock: seconds, which may also be written as MM:SS or HH:MM:SS.
        may_be_path: the text may be a path; in a file it then begins where that file lies.
        command_line_only: neither a file nor the environment may set it.
        trusted_only: a file that merely lies in the working folder may not set it.
    """

    help: str
    group: str = "Run"
    flag: str | None = None
    unset: str | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    pattern: str | None = None
    expected: str = ""
    takes_number: bool = False
    takes_clock: bool = False
    may_be_path: bool = False
    command_line_only: bool = False
    trusted_only: bool = False

    @property
    def range(self) -> str:
        """The range in words: `0 to 63`, `above 0`, `0 or more`; empty if there is none."""
        low = self.above if self.low is None else self.low
        above = "above " if self.low is None else ""
        if low is not None and self.high is not None:
            return f"{above}{low:g} to {self.high:g}"
        if low is not None:
            return f"{above}{low:g}" if above else f"{low:g} or more"
        return f"up to {self.high:g}" if self.high is not None else ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words to list in `--help`."""
        return self.choices or self.names

    def fits(self, value: Any) -> bool:
        """Whether a value of the right type is allowed."""
        if self.choices and value not in self.choices:
            return False
        if self.pattern and not re.fullmatch(self.pattern, value):
            return False
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return (
            (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
        )

    @property
    def expectation(self) -> str:
        """What a value must be, for an error message."""
        words = " or ".join(self.choices)
        return words or self.expected or self.range or "a finite number"


def _setting(default: Any, help: str, **rule: Any) -> Any:
    return dataclasses.field(default=default, metadata={"rule": Rule(help, **rule)})


_BACKGROUNDS = "#rrggbb, a colour name, an image, a video, blur, blur:STRENGTH, transparent or none"


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Which model runs where."""

    model: str | None = _setting(
        None,
        "model name (see rvm models list) or file",
        group="Matting",
        unset="the model that ships",
        trusted_only=True,
        may_be_path=True,
    )
    device: str = _setting(
        "auto",
        "auto, cpu, cuda, cuda:N or mps",
        group="Matting",
        pattern=r"auto|cpu|mps|cuda(:\d+)?",
        expected="auto, cpu, cuda, cuda:N or mps",
    )
    engine: str = _setting(
        "auto",
        "what runs the model: auto, or a name that rvm devices lists",
        group="Matting",
    )
    downsample_ratio: float | None = _setting(
        None,
        "scale at which the network looks for the person",
        group="Matting",
        unset="by the frame's size",
        above=0.0,
        high=1.0,
    )
    scene_cut_reset: float | None = _setting(
        None,
        "forget the past where the mean brightness of two frames differs by more",
        group="Matting",
        unset="never",
        above=0.0,
        high=1.0,
    )


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """How the picture is put together."""

    background: str | None = _setting(None, _BACKGROUNDS, group="Picture", may_be_path=True)
    blur_strength: float | None = _setting(
        None,
        "how strongly --background blur blurs",
        group="Picture",
        unset="a wide, soft blur",
        low=0.0,
        high=1.0,
    )
    linear_light: bool = _setting(
        False, "blend in linear light instead of in code values", group="Picture"
    )


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """How an output file is written."""

    codec: str = _setting(
        "auto",
        "video codec of OUTPUT (auto: by its file name)",
        group="Output",
        names=("auto", *CODECS),
    )
    crf: float | None = _setting(
        None,
        "constant quality, lower is better",
        group="Output",
        unset="the codec's",
        low=0,
        high=63,
    )
    bitrate: str | None = _setting(
        None,
        "bits a second instead of constant quality: 800k, 8M",
        group="Output",
        unset="constant quality",
        pattern=r"\d+(\.\d+)?[kKmM]?",
        expected="a number of bits a second like 800k or 8M",
        takes_number=True,
    )
    preset: str | None = _setting(
        None, "encoder preset, for instance fast or slow", group="Output", unset="the codec's"
    )
    overwrite: bool = _setting(
        False,
        "replace outputs that exist; of numbered pictures, the whole earlier sequence",
        group="Output",
        command_line_only=True,
    )


@dataclass(frozen=True, kw_only=True)
class ConvertSettings(EncodeSettings, EngineSettings, PictureSettings):
    """Settings of `rvm convert`."""

    background: str | None = _setting(
        None,
        _BACKGROUNDS,
        group="Picture",
        unset=DEFAULT_CONVERT_BACKGROUND,
        may_be_path=True,
    )
    start_seconds: float = _setting(
        0.0, f"begin so far in: {CLOCK_FORMS}", flag="start", low=0.0, takes_clock=True
    )
    duration_seconds: float | None = _setting(
        None,
        f"convert so much: {CLOCK_FORMS}",
        flag="duration",
        unset="to the end",
        above=0.0,
        takes_clock=True,
    )
    fps: float | None = _setting(
        None,
        "frames a second of pictures; a video keeps its own times",
        unset="30",
        above=0.0,
        high=1000.0,
    )
    decoder: str = _setting(
        "auto",
        "where videos are decoded (auto: where the matting runs)",
        choices=DECODERS,
    )
    audio: bool = _setting(True, "copy sound and subtitles, untouched", group="Output")
    max_loss: int = _setting(0, "damaged frames that are tolerated before exit code 7", low=0)


@dataclass(frozen=True, kw_only=True)
class LiveSettings(EncodeSettings, EngineSettings, PictureSettings):
    """Settings of `rvm live`."""

    camera: str = _setting(
        "0",
        "camera number, address of a stream, or a clip to play",
        takes_number=True,
        may_be_path=True,
    )
    background: str | None = _setting(
        None, _BACKGROUNDS, group="Picture", unset=DEFAULT_LIVE_BACKGROUND, may_be_path=True
    )
    to: str = _setting(
        "virtualcam",
        "virtualcam, virtualcam:DEVICE, null, or a file to record to, which gets no sound",
        group="Output",
        may_be_path=True,
    )
    width: int | None = _setting(
        None, "width asked of the camera", unset="the camera's", low=2, high=16384
    )
    height: int | None = _setting(
        None, "height asked of the camera", unset="the camera's", low=2, high=16384
    )
    fps: float | None = _setting(
        None, "frames a second asked of the camera", unset="the camera's", above=0.0, high=1000.0
    )
    seconds: float | None = _setting(
        None,
        f"stop after so much: {CLOCK_FORMS}",
        unset="until Ctrl-C",
        above=0.0,
        takes_clock=True,
    )
    loop: bool = _setting(True, "begin a clip again when it ends")
    governor: bool = _setting(
        True,
        "keep up by giving up quality in steps rather than frames, and do less while nothing moves",
        group="Load",
    )
    target_ms: float | None = _setting(
        None,
        "milliseconds that matting and compositing of a frame may take",
        group="Load",
        unset="16, or 4/5 of the time between two frames where that is longer",
        above=0.0,
        high=1000.0,
    )
    max_cpu: float | None = _setting(
        None,
        "percent of all cores to use at most: quality goes down first, then the frame rate",
        group="Load",
        unset="no limit",
        above=0.0,
        high=100.0,
    )
    on_demand: bool = _setting(
        False,
        "switch the camera off while nobody looks at the virtual webcam (Linux)",
        group="Load",
    )


#: Command -> its settings; also the tables a configuration file may have.
COMMANDS: Mapping[str, type[DataclassInstance]] = {
    "convert": ConvertSettings,
    "live": LiveSettings,
}


@functools.cache
def rules(settings: type[DataclassInstance]) -> dict[str, Rule]:
    """The rule of every setting of a class, by field name."""
    return {field.name: field.metadata["rule"] for field in dataclasses.fields(settings)}


@functools.cache
def value_types(settings: type[DataclassInstance]) -> dict[str, type]:
    """The type of every setting of a class, by field name; None apart."""
    hints = typing.get_type_hints(settings)
    return {
        name: next(
            part for part in typing.get_args(hints[name]) or (hints[name],) if part is not NoneType
        )
        for name in rules(settings)
    }


def flag(settings: type[DataclassInstance], name: str) -> str:
    """The long option of a setting: `downsample_ratio` -> `--downsample-ratio`."""
    return "--" + (rules(settings)[name].flag or name).replace("_", "-")


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def check(settings: type[DataclassInstance], name: str, value: Any, where: str) -> Any:
    """The value in the setting's own type.

    Args:
        settings, name: which setting.
        value: what was given.
        where: names the place in a message: `--crf`, `RVM_CRF` or `file.toml: crf`.

    Raises:
        UsageError: the wrong type, or not an allowed value.
    """
    return check_value(value_types(settings)[name], rules(settings)[name], value, where)


def check_value(kind: type, rule: Rule, value: Any, where: str) -> Any:
    """`check` of what follows a rule without being a setting.

    Args:
        kind: the type it must have.
        rule: which values it takes.
        value, where: as for `check`.

    Raises:
        UsageError: the wrong type, or not an allowed value.
    """
    if rule.takes_clock and isinstance(value, str):
        value = _seconds(value, where)
    if type(value) is int and (kind is float or rule.takes_number):
        value = kind(value)
    if type(value) is not kind:
        raise UsageError(f"{where}: got {value!r}, expected {_NAMES[kind]}")
    if not rule.fits(value):
        raise UsageError(f"{where}: got {value!r}, expected {rule.expectation}")
    return value


def _seconds(text: str, where: str) -> float:
    seconds = parse_seconds(text)
    if seconds is None:
        raise UsageError(f"{where}: got {text!r}, expected {CLOCK_FORMS}")
    return seconds


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the known word that is closest, or an empty text."""
    close = difflib.get_close_matches(word.replace("-", "_"), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def bits_per_second(bitrate: str | None) -> int | None:
    """`8M` -> 8000000; None stays None. The text must have passed `check`."""
    if bitrate is None:
        return None
    factor = {"k": 1_000, "m": 1_000_000}.get(bitrate[-1].lower(), 1)
    return round(float(bitrate.rstrip("kKmM")) * factor)
