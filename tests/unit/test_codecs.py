"""The table of codecs: choices, refusals, and that each entry really opens."""

from __future__ import annotations

import pytest

from rvm.errors import UsageError
from rvm.frame import PIXEL_FORMATS
from rvm.sinks import codecs
from rvm.sinks.codecs import CODECS, choose_codec, choose_format, probe

HD = (1280, 720)
SOFTWARE = [name for name in CODECS if name not in codecs.SOFTWARE]


@pytest.mark.parametrize(
    ("extension", "alpha", "depth", "expected"),
    [
        ("mp4", False, 8, "x264"),
        ("mp4", False, 10, "x265"),
        ("mov", False, 8, "x264"),
        ("mov", True, 8, "prores"),
        ("webm", False, 8, "vp9"),
        ("webm", True, 8, "vp9"),
        ("mkv", False, 8, "x264"),
        ("mkv", True, 10, "ffv1"),
    ],
)
def test_auto_goes_by_extension_transparency_and_depth(
    extension: str, alpha: bool, depth: int, expected: str
) -> None:
    codec, note = choose_codec("auto", extension, alpha=alpha, depth=depth, size=HD)
    assert (codec.name, note) == (expected, "")


@pytest.mark.parametrize(
    ("name", "extension", "alpha", "said"),
    [
        ("auto", "mp4", True, r"\.mov \(ProRes 4444\), \.webm \(VP9\)"),
        ("x264", "mov", True, "x264 cannot hold transparency"),
        ("x264", "webm", False, r"x264 does not go into \.webm; use \.mp4"),
        ("ffv1", "mp4", False, r"use \.mkv"),
        ("divx", "mp4", False, "unknown codec 'divx'; choose from auto, x264"),
        (
            "auto",
            "avi",
            False,
            r"\.avi is not a video file or picture I can write; use one of \.mp4",
        ),
        ("auto", "", False, "not a video file or picture I can write"),
        ("auto", "", False, r"^a name without a suffix is.*or end it in a slash for a folder"),
    ],
)
def test_what_does_not_go_together_is_refused(
    name: str, extension: str, alpha: bool, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        choose_codec(name, extension, alpha=alpha, depth=8, size=HD)


def test_pictures_too_small_for_a_codec() -> None:
    assert choose_codec("auto", "mp4", alpha=False, depth=10, size=(48, 96))[0].name == "x264"
    with pytest.raises(UsageError, match="x265 needs pictures of at least 64x64, not 48x96"):
        choose_codec("x265", "mp4", alpha=False, depth=8, size=(48, 96))


def test_usual_names_are_understood() -> None:
    for alias, name in (("h264", "x264"), ("hevc", "x265"), ("libsvtav1", "av1")):
        assert choose_codec(alias, "mp4", alpha=False, depth=8, size=HD)[0].name == name


@pytest.mark.parametrize("name", SOFTWARE)
def test_every_software_encoder_opens(name: str) -> None:
    assert probe(name) == ""


def test_a_missing_hardware_encoder_is_replaced_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "probe", lambda *_: "no driver")
    codec, note = choose_codec("hevc_nvenc", "mp4", alpha=False, depth=8, size=HD)
    assert codec.name == "x265"
    assert note == (
        f"hevc_nvenc does not open on this machine for {HD[0]}x{HD[1]} with 8 bits (no driver); "
        "x265 is used"
    )


def test_a_working_hardware_encoder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "probe", lambda *_: "")
    assert choose_codec("h264_nvenc", "mp4", alpha=False, depth=8, size=HD)[0].name == "h264_nvenc"


def test_a_hardware_encoder_is_asked_for_the_very_pictures_on_the_very_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def no_8k(name: str, size: tuple[int, int], depth: int, gpu: int) -> str:
        asked.append((name, size, depth, gpu))
        return "too wide" if size[0] > 4096 else ""

    monkeypatch.setattr(codecs, "probe", no_8k)
    small = choose_codec("h264_nvenc", "mp4", alpha=False, depth=8, size=(4096, 2160), gpu=1)
    large = choose_codec("h264_nvenc", "mp4", alpha=False, depth=10, size=(7680, 4320))
    assert (small[0].name, large[0].name) == ("h264_nvenc", "x264")
    assert asked == [
        ("h264_nvenc", (4096, 2160), 8, 1), ("h264_nvenc", (7680, 4320), 10, 0),
    ]  # fmt: skip


def test_an_encoder_is_tried_at_the_size_that_it_gets() -> None:
    assert probe("x264", (321, 193), 10) == ""  # rounded up to even sides, as the file will be


def test_the_best_quality_of_nvenc_is_no_switch_to_automatic() -> None:
    with pytest.raises(UsageError, match=r"--crf 0 is outside 1\.\.51"):
        CODECS["h264_nvenc"].encoder_options(crf=0)


def test_quality_options() -> None:
    x264 = CODECS["x264"]
    assert x264.encoder_options()["crf"] == "18"
    assert x264.encoder_options(crf=23.5, preset="slow") == {"crf": "23.5", "preset": "slow"}
    assert "crf" not in x264.encoder_options(bitrate=4_000_000)
    assert CODECS["prores"].encoder_options()["profile"] == "hq"
    assert CODECS["prores"].encoder_options(full=True)["profile"] == "4444"


@pytest.mark.parametrize(
    ("codec", "asked", "said"),
    [
        ("x264", {"crf": 52}, r"--crf 52 is outside 0\.\.51 of x264"),
        ("x264", {"crf": 20, "bitrate": 10**6}, "either --crf or --bitrate"),
        ("x264", {"preset": "warp"}, "no preset 'warp'; choose from ultrafast"),
        ("x264", {"bitrate": 4}, "bits a second"),
        ("ffv1", {"crf": 20}, "ffv1 has no --crf"),
        ("ffv1", {"bitrate": 10**6}, "ffv1 has no --bitrate"),
        ("ffv1", {"preset": "slow"}, "ffv1 has no presets"),
        ("prores", {"preset": "hq", "full": True}, "choose from 4444, 4444xq"),
    ],
)
def test_values_a_codec_does_not_know_are_refused(
    codec: str, asked: dict[str, int], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        CODECS[codec].encoder_options(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("codec", "source", "expected"),
    [
        ("x264", "yuv420p", "yuv420p"),
        ("x264", "yuv422p10", "yuv422p10le"),
        ("x264", "yuv422p12", "yuv422p10le"),
        ("x264", "rgb24", "yuv420p"),
        ("x264", "rgb48", "yuv420p10le"),
        ("x265", "yuv444p12", "yuv444p12le"),
        ("av1", "yuv422p10", "yuv420p10le"),
        ("prores", "yuv420p", "yuv422p10le"),
        ("prores", "yuv444p", "yuv444p10le"),
        ("ffv1", "rgb24", "bgr0"),
        ("ffv1", "rgb48", "gbrp16le"),
        ("ffv1", "yuv420p12", "yuv420p12le"),
        ("hevc_nvenc", "yuv420p10", "p010le"),
    ],
)
def test_the_nearest_format_is_stored(codec: str, source: str, expected: str) -> None:
    assert choose_format(CODECS[codec], PIXEL_FORMATS[source], alpha=False)[0] == expected


@pytest.mark.parametrize(
    ("codec", "source", "expected"),
    [
        ("ffv1", "yuv420p", "yuva420p"),
        ("ffv1", "yuv420p12", "yuva420p16le"),
        ("ffv1", "rgb24", "bgra"),
        ("ffv1", "rgb48", "gbrap16le"),
        ("prores", "yuv420p", "yuva444p10le"),
        ("vp9", "yuv422p10", "yuva420p"),
    ],
)
def test_the_nearest_format_with_alpha_is_stored(codec: str, source: str, expected: str) -> None:
    assert choose_format(CODECS[codec], PIXEL_FORMATS[source], alpha=True)[0] == expected
