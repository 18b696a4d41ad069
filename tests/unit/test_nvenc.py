"""Pictures on a GPU reach the encoder sample for sample; here x264 stands in for NVENC."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rvm.frame import Composite, Frame
from rvm.gpu.nvenc import Blocks, NvencFeeder, surface
from rvm.sinks import codecs, encoded
from rvm.sinks.encoded import Encoding
from rvm.sinks.matte_file import MatteFileSink
from rvm.sinks.null import NullSink
from rvm.sinks.tee import TeeSink
from rvm.sinks.video_file import VideoFileSink
from tests.composites import Shot, composites, decoded, info_of, planes_of, shot, times_of

LOSSLESS = Encoding("h264_nvenc", crf=0, preset="ultrafast")


@pytest.fixture
def fake_nvenc(monkeypatch: pytest.MonkeyPatch) -> None:
    """`h264_nvenc` is x264, and a tensor counts as lying on a GPU."""
    stand_in = dataclasses.replace(codecs.CODECS["x264"], name="h264_nvenc", on_gpu=True)
    monkeypatch.setitem(codecs.CODECS, "h264_nvenc", stand_in)
    monkeypatch.setattr(codecs, "probe", lambda *_: "")
    monkeypatch.setattr(
        encoded, "gpu_of", lambda plane: "cuda:0" if isinstance(plane, torch.Tensor) else None
    )


def on_device(item: Composite, device: str = "cpu") -> Composite:
    planes = tuple(torch.from_numpy(np.array(plane)).to(device) for plane in item.picture.planes)
    return dataclasses.replace(item, picture=item.picture.with_picture(planes))


def encode(path: Path, spec: Shot, encoding: Encoding, *, tensors: bool) -> VideoFileSink:
    sink = VideoFileSink(path, info=info_of(spec), encoding=encoding)
    for item in composites(spec):
        sent = on_device(item) if tensors else item
        assert sink.takes_from_device(sent) == tensors
        sink.write(sent)
    sink.close()
    return sink


@pytest.mark.usefixtures("fake_nvenc")
@pytest.mark.parametrize("size", [(96, 64), (95, 63), (64, 33)], ids=str)
def test_what_is_encoded_from_the_device_is_what_is_encoded_from_memory(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    spec = shot(width=size[0], height=size[1])
    one = encode(tmp_path / "one.mp4", spec, LOSSLESS, tensors=True)
    two = encode(tmp_path / "two.mp4", spec, LOSSLESS, tensors=False)
    assert one.notes == two.notes
    assert one.frames_written == two.frames_written == spec.count
    assert times_of(tmp_path / "one.mp4") == times_of(tmp_path / "two.mp4")
    pictures = zip(decoded(tmp_path / "one.mp4"), decoded(tmp_path / "two.mp4"), strict=True)
    for picture, expected in pictures:
        for field in ("colorspace", "color_range", "color_primaries", "color_trc"):
            assert getattr(picture, field) == getattr(expected, field)
        for plane, other in zip(planes_of(picture), planes_of(expected), strict=True):
            np.testing.assert_array_equal(plane, other)


@pytest.mark.usefixtures("fake_nvenc")
@pytest.mark.parametrize("name", ["yuv422p", "rgb24"])
def test_what_would_have_to_be_converted_is_fetched(tmp_path: Path, name: str) -> None:
    spec = shot(format=name)
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(spec), encoding=LOSSLESS)
    for item in map(on_device, composites(spec)):
        assert not sink.takes_from_device(item)
        sink.write(item)  # works all the same
    sink.close()
    assert len(decoded(tmp_path / "a.mp4")) == spec.count


@pytest.mark.usefixtures("fake_nvenc")
def test_a_software_encoder_takes_nothing_from_the_device(tmp_path: Path) -> None:
    spec = shot()
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(spec), encoding=Encoding("x264"))
    assert not sink.takes_from_device(on_device(composites(spec)[0]))
    sink.abort()


@pytest.mark.usefixtures("fake_nvenc")
def test_several_sinks_take_it_from_the_device_if_all_do(tmp_path: Path) -> None:
    spec = shot()
    item = on_device(composites(spec)[0])
    nvenc = VideoFileSink(tmp_path / "a.mp4", info=info_of(spec), encoding=LOSSLESS)
    software = VideoFileSink(tmp_path / "b.mp4", info=info_of(spec))
    matte = MatteFileSink(tmp_path / "c.mkv", info=info_of(spec))
    assert TeeSink([nvenc, NullSink()]).takes_from_device(item)
    assert TeeSink([nvenc, matte]).takes_from_device(item)
    both = TeeSink([nvenc, software, matte])
    assert not both.takes_from_device(item)
    both.abort()


@pytest.mark.usefixtures("fake_nvenc")
def test_frames_in_memory_after_frames_on_the_device_are_encoded_too(tmp_path: Path) -> None:
    spec = shot()
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(spec), encoding=LOSSLESS)
    for number, item in enumerate(composites(spec)):
        sink.write(item if number % 2 else on_device(item))
    sink.close()
    for item, picture in zip(composites(spec), decoded(tmp_path / "a.mp4"), strict=True):
        for plane, expected in zip(planes_of(picture), item.picture.planes, strict=True):
            np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("depth", [8, 10])
def test_a_surface_is_one_block_with_chroma_behind_luma(depth: int) -> None:
    rng = np.random.default_rng(depth)
    dtype, top = (np.uint8, 256) if depth == 8 else (np.uint16, 1024)
    arrays = [rng.integers(0, top, shape, dtype) for shape in ((63, 95), (32, 48), (32, 48))]
    luma, chroma = surface(tuple(map(torch.from_numpy, arrays)), (96, 64), Blocks().take)
    size = luma.element_size()
    assert luma.stride(0) == chroma.stride(0)
    assert luma.stride(0) * size % 256 == 0
    assert chroma.data_ptr() - luma.data_ptr() == 64 * luma.stride(0) * size
    assert tuple(chroma.shape) == (32, 48, 2)
    shift = 0 if depth == 8 else 6
    np.testing.assert_array_equal(luma.numpy()[:63, :95] >> shift, arrays[0])
    np.testing.assert_array_equal(luma.numpy()[:63, 95] >> shift, arrays[0][:, -1])
    np.testing.assert_array_equal(luma.numpy()[63], luma.numpy()[62])
    for index in (0, 1):
        np.testing.assert_array_equal(chroma.numpy()[..., index] >> shift, arrays[index + 1])


def test_a_block_is_used_again_only_after_the_encoder_let_go_of_it() -> None:
    spec = shot()
    frame = on_device(composites(spec)[0]).picture
    feeder = NvencFeeder(frame, frame.size)
    held = [feeder.picture(frame) for _ in range(3)]
    addresses = {picture.planes[0].buffer_ptr for picture in held}
    assert len(addresses) == 3
    released = held.pop(1).planes[0].buffer_ptr
    again = feeder.picture(frame)
    assert again.planes[0].buffer_ptr == released
    assert feeder.picture(frame).planes[0].buffer_ptr not in {*addresses}


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10"])
def test_the_encoder_gets_the_block_itself(name: str) -> None:
    spec = shot(format=name)
    frame: Frame = on_device(composites(spec)[0]).picture
    feeder = NvencFeeder(frame, frame.size)
    picture = feeder.picture(frame)
    assert picture.format.name == feeder.pix_fmt
    planar = picture.reformat(
        format="yuv420p" if name == "yuv420p" else "yuv420p10le",
        src_color_range="JPEG", dst_color_range="JPEG",
        src_colorspace="ITU709", dst_colorspace="ITU709",
    )  # fmt: skip
    depth = 8 if name == "yuv420p" else 10
    for plane, expected in zip(planes_of(planar, depth), frame.planes, strict=True):
        np.testing.assert_array_equal(plane, expected.numpy())


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("codec", "format"),
    [("h264_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p10")],
)
def test_nvenc_encodes_what_lies_on_the_gpu(tmp_path: Path, codec: str, format: str) -> None:
    if codecs.probe(codec):
        pytest.skip(f"this GPU has no {codec}: {codecs.probe(codec)}")
    spec = shot(format=format, width=320, height=192, count=20)
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(spec), encoding=Encoding(codec, crf=1))
    for item in composites(spec):
        sent = on_device(item, "cuda:0")
        assert sink.takes_from_device(sent)
        sink.write(sent)
    sink.close()
    depth = 8 if format == "yuv420p" else 10
    pictures = decoded(tmp_path / "a.mp4")
    assert len(pictures) == spec.count
    for item, picture in zip(composites(spec), pictures, strict=True):
        for plane, expected in zip(planes_of(picture, depth), item.picture.planes, strict=True):
            error = np.abs(plane.astype(int) - expected.astype(int))
            assert error.mean() < 2 << (depth - 8)
