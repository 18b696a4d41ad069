"""How an encoder is told HDR10's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rvm.media.hdr10 import Chromaticity, Hdr10, MasteringDisplay

#: H.265 counts chromaticity and luminance (cd/m²) in whole steps of these.
_CHROMATICITY_STEP = Fraction(1, 50_000)
_LUMINANCE_STEP = Fraction(1, 10_000)


@dataclass(frozen=True, slots=True)
class Hdr10Option:
    """The names in one encoder's options.

    Attributes:
        name: FFmpeg's option that takes the encoder's own parameters, `key=value:key=value`.
        display, light: the keys.
        in_steps: values are in H.265's whole steps, else in plain numbers.
    """

    name: str
    display: str
    light: str
    in_steps: bool = True

    def added_to(self, options: dict[str, str], hdr10: Hdr10) -> dict[str, str]:
        """An encoder's options with the metadata among them."""
        parameters = [options[self.name]] if self.name in options else []
        if hdr10.display is not None:
            parameters.append(f"{self.display}={self._written(hdr10.display)}")
        if hdr10.light is not None:
            parameters.append(f"{self.light}={hdr10.light[0]},{hdr10.light[1]}")
        return {**options, self.name: ":".join(parameters)}

    def _written(self, display: MasteringDisplay) -> str:
        green, blue, red, white = map(
            self._point, (display.green, display.blue, display.red, display.white)
        )
        brightest = self._number(display.brightest, _LUMINANCE_STEP)
        darkest = self._number(display.darkest, _LUMINANCE_STEP)
        return f"G({green})B({blue})R({red})WP({white})L({brightest},{darkest})"

    def _point(self, point: Chromaticity) -> str:
        return ",".join(self._number(value, _CHROMATICITY_STEP) for value in point)

    def _number(self, value: Fraction, step: Fraction) -> str:
        return str(round(value / step)) if self.in_steps else f"{float(value):.8g}"
