"""HDR metadata that changes from scene to scene: found and named, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.media.side_data import side_data_of

if TYPE_CHECKING:
    import av

#: FFmpeg's side data of a decoded picture -> what people call it.
_NAMES = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
}


def dynamic_hdr_of(picture: av.VideoFrame) -> tuple[str, ...]:
    """The kinds that a decoded picture carries: `HDR10+`, `Dolby Vision`, `HDR Vivid`.

    (Dolby Vision's record in the container is not shown by PyAV; the picture's own data is.)
    """
    carried = side_data_of(picture)
    return tuple(dict.fromkeys(name for kind, name in _NAMES.items() if kind in carried))
