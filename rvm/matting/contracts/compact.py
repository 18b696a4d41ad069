"""Contracts "rvm-compact-core" and "rvm-compact-lean": small RGB in, what refines alpha out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

from rvm.errors import UsageError
from rvm.frame import Matte
from rvm.matting.contracts.base import Array, Contract, Ports
from rvm.matting.focus import FAR_SHARE, FINEST, MIDDLE_SHARE, FocusRule
from rvm.matting.guide import guided_coefficients, mean_of_cells
from rvm.matting.mirror import mean_of_maps, mean_of_planes, put_mirror_image
from rvm.matting.picture import write_picture
from rvm.matting.pure_colour import colour_residual
from rvm.matting.refine import Scratch, finite, guided_alpha, luma_guide, match_luma
from rvm.matting.reuse import Coefficients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame
    from rvm.matting.weights import ModelEntry

#: 352x192, 288x160 and 256x128 for the default model: below that, hands and hair go.
SCALES = (1.0, 0.85, 0.7)
#: How much more than a 16:9 picture's pixels one of that long side may have, as sides are rounded.
_ROUNDED = 1.15
#: Without memory the network overlooks people whom it knows a frame later. Over the held-back
#: composites the first frame's MAD was 10.9 after one look, 6.5 after two, 6.3 after three
#: (with the weights of the eighth run).
FIRST_LOOKS = 3


class CompactContract(Contract):
    """Our own compact network without its full-size part.

    `src_small` [1,3,h,w] RGB 0..1 and `r1i`..`r4i` -> `alpha_scale`, `alpha_offset` [1,1,h,w] (see
    `rvm.matting.refine`), `pha` [1,1,h,w] coarse alpha, `r1o`..`r4o`. The colour that files give
    besides is not asked for: `rvm.matting.pure_colour` knows it better.
    """

    name = "rvm-compact-core"
    is_light = True
    first_looks = FIRST_LOOKS
    state_inputs = ("r1i", "r2i", "r3i", "r4i")
    state_outputs = ("r1o", "r2o", "r3o", "r4o")
    outputs: tuple[str, ...] = ("alpha_scale", "alpha_offset", "pha")
    default_multiple: ClassVar[int] = 32
    default_long_side: ClassVar[int] = 512

    def __init__(
        self,
        ports: Ports,
        outputs: Sequence[str],
        ratio: float | None = None,
        entry: ModelEntry | None = None,
    ) -> None:
        super().__init__(ports, outputs, ratio, entry)
        self._scratch = Scratch()
        _, _, height, width = ports["src_small"].shape
        self._fixed = (width, height) if width and height else None
        if ratio is not None and self._fixed:
            raise UsageError("this model's input size is built in; leave downsample_ratio out")
        self.scales = (1.0,) if self._fixed else SCALES
        if not self._fixed and ratio is None:
            self.focus = self.focus_rule(entry)

    @classmethod
    def fits(cls, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """See `Contract.fits`."""
        return {"src_small", *cls.state_inputs} <= set(inputs) and {
            *cls.outputs,
            *cls.state_outputs,
        } <= set(outputs)

    @classmethod
    def size_for(
        cls, frame: Frame, ratio: float | None, entry: ModelEntry | None, scale: float = 1.0
    ) -> tuple[int, int]:
        """(width, height) of the network's picture for a frame, where the model leaves it free."""
        multiple = (entry and entry.size_multiple) or cls.default_multiple
        ratio = ratio and ratio * scale
        return compact_size(*frame.size, ratio, cls.usual_side(entry) * scale, multiple)

    @classmethod
    def usual_side(cls, entry: ModelEntry | None) -> int:
        """Long side of the network's picture for a 16:9 frame."""
        return (entry and entry.long_side) or cls.default_long_side

    @classmethod
    def focus_rule(cls, entry: ModelEntry | None, distant_side: int = 0) -> FocusRule:
        """How the picture follows the people where neither user nor graph fixes its size.

        Args:
            entry: what the manifest says of the model.
            distant_side: see `FocusRule`, at least.
        """
        far_share = (entry and entry.far_share) or FAR_SHARE
        middle_share = (entry and entry.middle_share) or MIDDLE_SHARE
        distant_side = max(distant_side, (entry and entry.distant_side) or 0)
        return FocusRule(cls.usual_side(entry), far_share, middle_share, distant_side)

    def seen_size(self, frame: Frame) -> tuple[int, int]:
        """See `Contract.seen_size`."""
        return self._fixed or self.size_for(frame, self.ratio, self.entry, self.scale)

    def feeds(self, frame: Frame) -> dict[str, Array]:
        """See `Contract.feeds`."""
        width, height = self.seen_size(frame)
        count = self.looks_at((width, height))
        small = np.empty((count, 3, height, width), self.ports["src_small"].dtype)
        write_picture(frame, small[0])
        if count > 1:
            put_mirror_image(small)
        return {"src_small": small}

    def looks_at(self, seen: tuple[int, int] | None) -> int:
        """See `Contract.looks_at`: two up to the manifest's `mirror_side`, while there is time."""
        side = self.entry.mirror_side if self.entry else None
        if seen is None or side is None or self._fixed or self.hurried:
            return 1
        return 2 if seen[0] * seen[1] <= _ROUNDED * side * side * 9 / 16 else 1

    def matte(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Matte:
        """See `Contract.matte`."""
        return self.interpret(frame, feeds, outputs)[0]

    def coefficients(
        self, picture: Array, outputs: Mapping[str, Array]
    ) -> tuple[FloatImage, FloatImage]:
        """Factor and offset [h,w] on the luma of `picture` [3,h,w], float32 of their own memory."""
        scale, offset = outputs["alpha_scale"][0, 0], outputs["alpha_offset"][0, 0]
        return np.array(scale, np.float32), np.array(offset, np.float32)

    def merged(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for a picture and for its mirror image as those of one picture."""
        return {name: mean_of_maps(outputs[name]) for name in self.outputs}

    def half_size_alpha(self, outputs: Mapping[str, Array]) -> FloatImage:
        """Coarse alpha 0..1 [h/2,w/2], finite."""
        alpha = np.clip(finite(np.asarray(outputs["pha"][0, 0], np.float32)), 0, 1)
        height, width = alpha.shape
        half = cv2.resize(alpha, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        return np.asarray(half, np.float32)

    def interpret(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> tuple[Matte, Coefficients]:
        """See `Contract.interpret`."""
        picture = feeds["src_small"][0]
        if len(feeds["src_small"]) > 1:
            outputs = self.merged(outputs)
        scale, offset = self.coefficients(picture, outputs)
        guide = luma_guide(frame)
        offset = match_luma(guide, frame, picture, scale, offset)
        residual = colour_residual(picture, self.half_size_alpha(outputs))
        alpha = guided_alpha(guide, scale, offset, self._scratch)
        return Matte(alpha, residual), Coefficients(scale, offset, residual)


class LeanContract(CompactContract):
    """The same with the guided filter left to `rvm.matting.guide`.

    `matte_planes` [1,5,h/2,w/2] stand in for the coefficients; see `rvm.network.compact_export`.
    """

    name = "rvm-compact-lean"
    outputs = ("matte_planes",)

    def coefficients(
        self, picture: Array, outputs: Mapping[str, Array]
    ) -> tuple[FloatImage, FloatImage]:
        """See `CompactContract.coefficients`."""
        return guided_coefficients(picture, finite(outputs["matte_planes"][0]))

    def merged(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `CompactContract.merged`."""
        return {name: mean_of_planes(outputs[name]) for name in self.outputs}

    def half_size_alpha(self, outputs: Mapping[str, Array]) -> FloatImage:
        """See `CompactContract.half_size_alpha`."""
        return mean_of_cells(finite(outputs["matte_planes"][0]))


def compact_size(
    width: int,
    height: int,
    ratio: float | None,
    long_side: float = CompactContract.default_long_side,
    multiple: int = CompactContract.default_multiple,
) -> tuple[int, int]:
    """(width, height) of a compact network's picture, both multiples of `multiple`.

    Without a ratio: as many pixels as a 16:9 picture of that long side has, in the frame's own
    aspect, so that every aspect costs the same; and not much more than the frame itself.
    """
    if ratio is None:
        ratio = min(FINEST, long_side * (9 / 16 / (width * height)) ** 0.5)

    def to_multiple(side: int) -> int:
        return max(multiple, round(side * ratio / multiple) * multiple)

    return to_multiple(width), to_multiple(height)
