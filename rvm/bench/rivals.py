"""What the same work costs the usual way: one loop, whole frames as RGB, numpy arithmetic.

Each rival is a function from an RGB frame to an RGB frame, made to be driven by `run_file`: PyAV
decodes to RGB, the rival works, PyAV encodes. The encoder's settings are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import numpy as np
import onnxruntime as ort

from rvm.sinks.codecs import choose_codec

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.frame import ByteImage

Rival = Callable[["ByteImage"], "ByteImage"]

#: As the reference's authors choose it: the network's long side is about 512.
_REFERENCE_LONG_SIDE = 512
_GREEN = (0, 177, 64)
_SELFIE_SIDE = 256


def reference(model: Path, size: tuple[int, int]) -> Rival:
    """Robust Video Matting in ONNX Runtime as its `inference.py` drives it.

    Float RGB of the full frame goes in, foreground and alpha of the full frame come out, and are
    composed with `fgr * pha + background * (1 - pha)`.
    """
    session = ort.InferenceSession(str(model), _quiet(), providers=["CPUExecutionProvider"])
    ratio = np.array([min(1.0, _REFERENCE_LONG_SIDE / max(size))], np.float32)
    state = {f"r{number}i": np.zeros((1, 1, 1, 1), np.float32) for number in range(1, 5)}
    extra = {"downsample_ratio": ratio} if len(session.get_inputs()) > 5 else {}
    background = np.array(_GREEN, np.float32).reshape(1, 3, 1, 1) / 255

    def step(rgb: ByteImage) -> ByteImage:
        source = rgb.transpose(2, 0, 1)[None].astype(np.float32) / 255
        wanted = ["fgr", "pha", "r1o", "r2o", "r3o", "r4o"]
        foreground, alpha, *new = session.run(wanted, {"src": source, **state, **extra})
        state.update(zip(state, new, strict=True))
        composed = foreground * alpha + background * (1 - alpha)
        return cast("ByteImage", (composed[0] * 255).astype(np.uint8).transpose(1, 2, 0))

    return step


def selfie(model: Path, size: tuple[int, int]) -> Rival:
    """A 256x256 mask network, its mask enlarged, blended in numpy: virtual backgrounds' way."""
    session = ort.InferenceSession(str(model), _quiet(), providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    background = np.array(_GREEN, np.float32)

    def step(rgb: ByteImage) -> ByteImage:
        small = cv2.resize(rgb, (_SELFIE_SIDE, _SELFIE_SIDE)).astype(np.float32) / 255
        mask = np.asarray(session.run(None, {port.name: small[None]})[0][0])
        mask = 1 / (1 + np.exp(mask[..., :1] - mask[..., 1:])) if mask.shape[-1] == 2 else mask
        wide = cv2.resize(mask.reshape(_SELFIE_SIDE, _SELFIE_SIDE), size)[..., None]
        return cast("ByteImage", (rgb * wide + background * (1 - wide)).astype(np.uint8))

    return step


def run_file(rival: Rival, clip: Path, output: Path, most: int, encoding: dict[str, Any]) -> int:
    """From file to file in one loop; returns the number of frames."""
    codec, _ = choose_codec(encoding["codec"], "mp4", alpha=False, depth=8, size=(64, 64))
    options = codec.encoder_options(None, None, encoding["preset"])
    count = 0
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or Fraction(30)
        encoder: Any = target.add_stream(codec.encoder, rate=rate, options=options)
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        for picture in source.decode(stream):
            if count >= most:
                break
            rgb = rival(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8))
            target.mux(encoder.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            count += 1
        target.mux(encoder.encode(None))
    return count


def _quiet() -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return options
