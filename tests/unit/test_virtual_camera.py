"""The virtual webcam, with a backend that records what it is sent."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from rvm.colour.rgb import planes_from_display, to_srgb8
from rvm.errors import DeviceError, UsageError
from rvm.frame import PIXEL_FORMATS, ColourTags, Composite
from rvm.sinks import open_live_sink
from rvm.sinks.virtual_camera import VirtualCameraSink, fit, install_advice
from tests.composites import Shot, composite, info_of, shot


class Recorder:
    """A pyvirtualcam backend; `last` is the one opened most recently."""

    last: ClassVar[Recorder]

    def __init__(self, **asked: Any) -> None:
        self.asked = asked
        self.sent: list[npt.NDArray[np.uint8]] = []
        self.closed = False
        self.broken = False
        Recorder.last = self

    def close(self) -> None:
        assert not self.closed
        self.closed = True

    def send(self, frame: npt.NDArray[np.uint8]) -> None:
        if self.broken:
            raise RuntimeError("device\nwent away")
        assert frame.ndim == 1
        assert frame.flags.c_contiguous
        self.sent.append(frame.copy())

    def device(self) -> str:
        return self.asked["device"] or "/dev/video10"

    def native_fourcc(self) -> None:
        return None


@pytest.fixture(autouse=True)
def _backend(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyvirtualcam

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    pyvirtualcam.register_backend("recorder", Recorder)


def shown(spec: Shot, **info: Any) -> tuple[npt.NDArray[np.uint8], ...]:
    """I420 planes of what the webcam gets for one frame."""
    sink = VirtualCameraSink(info=info_of(spec, **info))
    sink.write(composite(spec, 0))
    sink.close()
    width, height = sink._size
    data, luma = Recorder.last.sent[0], width * height
    chroma = (height // 2, width // 2)
    return (
        data[:luma].reshape(height, width),
        data[luma : luma * 5 // 4].reshape(chroma),
        data[luma * 5 // 4 :].reshape(chroma),
    )


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_8_bit_420_goes_in_as_it_is(matrix: Any) -> None:
    spec = shot(colour=ColourTags(matrix))
    for got, plane in zip(shown(spec), composite(spec, 0).picture.planes, strict=True):
        assert (got == plane).all()


def test_it_opens_with_the_source_s_size_and_rate() -> None:
    sink = VirtualCameraSink(
        info=info_of(shot(), frame_rate=Fraction(30000, 1001)), device="/dev/v"
    )
    asked = Recorder.last.asked
    assert (asked["width"], asked["height"], asked["device"]) == (96, 64, "/dev/v")
    assert asked["fps"] == pytest.approx(29.97003)
    assert sink.notes == ("virtual webcam /dev/v at 96x64",)
    sink.close()
    assert Recorder.last.closed


@pytest.mark.parametrize(
    ("name", "tags", "meaning"),
    [
        ("yuv420p", ColourTags("bt601", "full"), ColourTags("bt601")),
        ("yuv422p", ColourTags("bt709"), ColourTags("bt709")),
        ("yuv444p10", ColourTags("bt709"), ColourTags("bt709")),
        ("rgb24", None, ColourTags("bt601")),  # small: viewers take BT.601
        ("yuv420p10", ColourTags("bt2020", "limited", "bt2020", "hlg"), ColourTags("bt709")),
        ("yuv420p10", ColourTags("bt2020", "limited", "bt2020", "bt709"), ColourTags("bt709")),
    ],
)
def test_everything_else_becomes_limited_range_video(
    name: str, tags: ColourTags | None, meaning: ColourTags
) -> None:
    spec = shot(format=name, colour=tags)
    frame = composite(spec, 0).picture
    exact = planes_from_display(to_srgb8(frame), PIXEL_FORMATS["yuv420p"], meaning)
    for got, plane in zip(shown(spec), exact, strict=True):
        assert np.abs(got.astype(int) - plane).mean() < 1.5


@pytest.mark.parametrize("size", [(97, 64), (96, 65), (97, 65)])
def test_odd_sizes_are_rounded_down(size: tuple[int, int]) -> None:
    spec = shot(width=size[0], height=size[1])
    luma, blue, _ = shown(spec)
    assert luma.shape == (64, 96)
    assert (luma == composite(spec, 0).picture.planes[0][:64, :96]).all()
    assert (blue == composite(spec, 0).picture.planes[1][:32, :48]).all()


def test_another_size_later_on_is_fitted_with_black_bars() -> None:
    sink = VirtualCameraSink(info=info_of(shot(width=160, height=90)))
    tall = composite(shot(width=90, height=160), 0)
    sink.write(tall)
    luma = Recorder.last.sent[0][: 160 * 90].reshape(90, 160)
    left, _, width, _ = fit(90, 160, 160, 90)
    assert (luma[:, :left] == 16).all()
    assert (luma[:, left + width :] == 16).all()
    assert luma[:, left : left + width].min() > 16
    blue = Recorder.last.sent[0][160 * 90 :][: 80 * 45].reshape(45, 80)
    assert (blue[:, : left // 2] == 128).all()
    sink.close()


@pytest.mark.parametrize(
    ("size", "into", "expected"),
    [
        ((1920, 1080), (1280, 720), (0, 0, 1280, 720)),
        ((1080, 1920), (1280, 720), (438, 0, 404, 720)),
        ((100, 100), (640, 480), (80, 0, 480, 480)),
        ((4000, 10), (640, 480), (0, 238, 640, 2)),
    ],
)
def test_fit(
    size: tuple[int, int], into: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert fit(*size, *into) == expected


def test_a_webcam_that_goes_away_is_one_line() -> None:
    sink = VirtualCameraSink(info=info_of(shot()))
    Recorder.last.broken = True
    with pytest.raises(DeviceError, match=r"virtual webcam /dev/video10 failed: device; went away"):
        sink.write(composite(shot(), 0))
    sink.abort()
    assert Recorder.last.closed


def test_no_backend_at_all_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyvirtualcam

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    with pytest.raises(DeviceError, match="no virtual webcam to write to"):
        VirtualCameraSink(info=info_of(shot()))
    assert "modprobe v4l2loopback exclusive_caps=1 card_label=rvm" in install_advice("linux")
    assert "OBS" in install_advice("darwin")
    assert "winget install OBSProject.OBSStudio" in install_advice("win32")


def test_live_sink_names(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_live_sink("virtualcam:/dev/video42", info=info_of(shot()))
    assert sink.live
    assert Recorder.last.asked["device"] == "/dev/video42"
    sink.close()
    with pytest.raises(UsageError, match="cannot be transparent"):
        open_live_sink("virtualcam", info=info_of(shot()), transparent=True)


def test_tensors_are_shown_too() -> None:
    class DevicePlane:
        def __init__(self, samples: npt.NDArray[Any]) -> None:
            self.samples, self.shape = samples, samples.shape

        def detach(self) -> DevicePlane:
            return self

        def cpu(self) -> DevicePlane:
            return self

        def numpy(self) -> npt.NDArray[Any]:
            return self.samples

    for name in ("yuv420p", "yuv444p"):
        item = composite(shot(format=name), 0)
        picture = item.picture.with_picture(tuple(DevicePlane(p) for p in item.picture.planes))
        sink = VirtualCameraSink(info=info_of(shot()))
        sink.write(Composite(picture, item.matte, picture))
        assert Recorder.last.sent[0][: 96 * 64].mean() > 20
        sink.close()
