"""Driving models for a comparison, and what is drawn of the results."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rvm.evaluation import sheets
from rvm.evaluation.candidates import Compact, Folder, open_model
from rvm.evaluation.sets import Example
from rvm.matting.contracts.compact import compact_size
from rvm.network.compact import CompactConfig, CompactMatting, refine, zero_state
from rvm.network.compact_export import export_core


@pytest.mark.parametrize(
    ("frame", "long_side", "small"),
    [
        ((1920, 1080), 512, (512, 288)),
        ((1920, 1080), 256, (256, 128)),
        ((1080, 1920), 256, (128, 256)),
        ((16, 16), 256, (32, 32)),
        ((8192, 128), 256, (1536, 32)),
    ],
)
def test_small_sizes_are_multiples_of_32(
    frame: tuple[int, int], long_side: int, small: tuple[int, int]
) -> None:
    assert compact_size(*frame, None, long_side) == small


def test_the_compact_candidate_refines_as_the_network_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CompactMatting(CompactConfig((8,) * 5, (1,) * 4, (8,) * 5)).eval()
    export_core(network, tmp_path / "core.onnx")
    model = open_model(tmp_path / "core.onnx", long_side=64, threads=1)
    assert isinstance(model, Compact)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    src = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        expected = refine(network(src, zero_state()), src)[1][0, 0].numpy()
    assert np.abs(model.matte(rgb) - expected).max() < 2e-3
    second = model.matte(rgb)
    model.reset()
    assert np.abs(model.matte(rgb) - expected).max() < 2e-3
    assert not np.array_equal(second, expected)


def test_a_folder_of_mattes_is_read_in_order_and_checked(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for index, value in enumerate((0, 255)):
        cv2.imwrite(str(tmp_path / "clip" / f"{index:03d}.png"), np.full((4, 6), value, np.uint8))
    model = open_model(tmp_path)
    assert isinstance(model, Folder)
    model.open("clip")
    frame = np.zeros((4, 6, 3), np.uint8)
    assert [float(model.matte(frame).mean()) for _ in range(2)] == [0.0, 1.0]
    with pytest.raises(ValueError, match="expected more"):
        model.matte(frame)
    model.open("clip")
    with pytest.raises(ValueError, match="no gray picture of 9x4"):
        model.matte(np.zeros((4, 9, 3), np.uint8))


def test_sheets_show_frame_target_and_each_model() -> None:
    rgb = np.full((2, 20, 30, 3), 100, np.uint8)
    alpha = np.zeros((2, 20, 30), np.uint8)

    def opaque(example: Example) -> list[np.ndarray]:
        return [np.ones(example.alpha.shape[1:], np.float32)] * len(example.rgb)

    example = Example("a", rgb, alpha)
    sheet = sheets.comparison({"opaque": opaque}, [example], height=20)
    assert sheet.shape == (20 + sheets.GAP, 4 * 30, 3)
    assert sheet[5, 5].tolist() == [100, 100, 100]
    assert sheet[5, 35].tolist() == sheets.GREEN.tolist()
    assert sheet[5, 65].tolist() == [100, 100, 100]
    assert sheet[5, 95].tolist() == [255, 255, 255]
    worst = sheets.failures(opaque, [example, Example("b", rgb, alpha + 255)], count=1, height=20)
    assert worst.shape == (20 + sheets.GAP, 60, 3)
    assert worst[5, 5].tolist() == [0, 0, 0]
