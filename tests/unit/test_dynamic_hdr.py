"""HDR10+ and Dolby Vision cannot be kept; that they were there is said, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

import rvm
from rvm.media.decode import VideoReader
from tests.synth_clips import write_clip

_SEI, _RPU = 39, 62  # NAL units of H.265: supplemental information, and Dolby Vision's own
_REGISTERED = 4  # SEI payload: user data registered by ITU-T T.35
_DENOMINATOR_BITS = 23


def fixed(*values_and_lengths: tuple[int, int]) -> str:
    return "".join(f"{value:0{length}b}" for value, length in values_and_lengths)


def golomb(*values: int) -> str:
    """Unsigned exp-Golomb codes."""
    return "".join(f"{'0' * ((value + 1).bit_length() - 1)}{value + 1:b}" for value in values)


def as_bytes(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def nal_unit(kind: int, payload: bytes) -> bytes:
    """With its length before it, as in MP4, and a 3 wherever a start code would appear."""
    unit = bytearray((kind << 1, 1))
    for byte in payload:
        if byte <= 3 and unit[-2:] == b"\0\0":
            unit.append(3)
        unit.append(byte)
    return len(unit).to_bytes(4, "big") + bytes(unit)


def hdr10_plus() -> bytes:
    """SMPTE ST 2094-40 for one window: maxima and average of the scene, no curve."""
    bits = fixed((0xB5, 8), (0x3C, 16), (1, 16), (4, 8), (1, 8))  # whose data it is
    bits += fixed((1, 2), (4000, 27), (0, 1))
    bits += fixed((1000, 17), (900, 17), (800, 17), (200, 17), (0, 4), (10, 10))
    data = as_bytes(bits + fixed((0, 3)))
    return nal_unit(_SEI, bytes((_REGISTERED, len(data))) + data + b"\x80")


def dolby_vision() -> bytes:
    """An RPU of profile 8 with the identity for each channel and no display metadata."""
    bits = fixed((25, 8), (2, 6), (18, 11), (1, 4), (0, 4), (1, 1), (0, 1), (0, 2))
    bits += golomb(_DENOMINATOR_BITS) + fixed((1, 2), (0, 1)) + golomb(2, 2, 4)
    bits += fixed((0, 1), (0, 3), (0, 1), (1, 1), (0, 2)) + golomb(0, 0, 0)
    bits += (golomb(0) + fixed((0, 10), (1023, 10))) * 3  # a single piece from end to end
    bits += golomb(0, 0)
    bits += 3 * (golomb(0, 0) + "0" + golomb(0) + fixed((0, _DENOMINATOR_BITS))
                 + golomb(1) + fixed((0, _DENOMINATOR_BITS)))  # fmt: skip
    return nal_unit(_RPU, as_bytes(bits) + bytes(4) + b"\x80")


def plain(data: bytes) -> bytes:
    return data


def with_hdr10_plus(data: bytes) -> bytes:
    return hdr10_plus() + data


def with_dolby_vision(data: bytes) -> bytes:
    return data + dolby_vision()


def with_both(data: bytes) -> bytes:
    return with_hdr10_plus(with_dolby_vision(data))


def hdr_clip(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A clip of HDR pictures, each packet of which went through `change`."""
    made = path.with_name(f"made-{path.name}")
    write_clip(
        made, codec="libx265", pix_fmt="yuv420p10le", width=128, height=128, frames=4,
        matrix=9, primaries=9, transfer=16, range=1,
    )  # fmt: skip
    with av.open(str(made)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            changed = av.Packet(change(bytes(packet)))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.duration, changed.is_keyframe = packet.duration, packet.is_keyframe
            changed.stream = stream
            target.mux(changed)
    return path


KINDS = [
    (plain, ()),
    (with_hdr10_plus, ("HDR10+",)),
    (with_dolby_vision, ("Dolby Vision",)),
    (with_both, ("HDR10+", "Dolby Vision")),
]


@pytest.mark.parametrize(("change", "names"), KINDS)
def test_what_is_lost_is_named_once(
    tmp_path: Path, change: Callable[[bytes], bytes], names: tuple[str, ...]
) -> None:
    clip = hdr_clip(tmp_path / "hdr.mp4", change)
    with VideoReader(clip) as reader:
        assert reader.info.dynamic_hdr == names
    report = rvm.convert(
        clip, tmp_path / "out.mp4", foreground=tmp_path / "person.mp4", model="fake", codec="x265",
        preset="ultrafast",
    )  # fmt: skip
    said = [note for note in report.notes if "metadata" in note]
    whole = f"{' and '.join(names)} metadata (scene by scene) left out: no codec here takes it"
    assert said == ([whole] if names else [])
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert reader.info.dynamic_hdr == ()


def test_a_matte_loses_nothing(tmp_path: Path) -> None:
    clip = hdr_clip(tmp_path / "hdr.mp4", with_both)
    report = rvm.convert(clip, matte=tmp_path / "matte.mkv", model="fake")
    assert [note for note in report.notes if "metadata" in note] == []
