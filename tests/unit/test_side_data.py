"""What pictures carry besides their samples, known to PyAV or not."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from rvm.media.decode import VideoReader

#: TIFF's tag of a picture's orientation, and its value for "turn it clockwise to show it".
_ORIENTATION, _CLOCKWISE = 0x112, 6


def write_mjpeg_with_exif(path: Path) -> None:
    """Three pictures, 64x48 as stored, from a camera that was held upright."""
    done, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
    assert done
    entry = struct.pack("<HHHII", 1, _ORIENTATION, 3, 1, _CLOCKWISE)
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + entry + bytes(4)
    whole = jpeg.tobytes()
    data = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(3):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = number
            container.mux(packet)


def test_a_kind_that_pyav_does_not_know_hides_no_other(tmp_path: Path) -> None:
    write_mjpeg_with_exif(tmp_path / "upright.mkv")
    with VideoReader(tmp_path / "upright.mkv") as reader:
        frames = list(reader)
    assert [(frame.width, frame.height) for frame in frames] == [(48, 64)] * 3
