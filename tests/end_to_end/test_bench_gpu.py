"""The GPU benchmark as a user runs it, small and on the CPU; and its verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from rvm import device
from rvm.bench.gpu import FULL, QUICK
from rvm.bench.gpu.cases import Bench, Case
from rvm.bench.gpu.timing import quantiles
from rvm.bench.gpu.traffic import composite_bytes, matte_bytes
from rvm.bench.gpu.verdict import TARGETS, verdicts
from tools import bench_gpu


def test_everything_once_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "MAX_THREADS", 1)  # for tiny pictures more only wait for another
    assert bench_gpu.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 0
    (target,) = tmp_path.glob("*.json")
    result = json.loads(target.read_text(encoding="utf-8"))
    assert [row for row in result["rows"] if "error" in row] == []
    assert {row["group"] for row in result["rows"]} == {
        "device", "official", "difference", "onnxruntime", "file",
    }  # fmt: skip
    stages = [row["stage"] for row in result["rows"] if row["group"] == "device"]
    assert stages == ["matte", "colour", "picture", "blur"]
    for row in result["rows"]:
        if row["group"] == "difference":
            assert row["most"] == 0  # the same thing twice
        if row["group"] == "official" and row["stage"].startswith("ours"):
            assert row["times_official"] > 0
        if row["group"] == "file":
            assert row["frames"] == QUICK.file_frames
            assert row["decoder"] == "cpu"
    assert result["left_out"] == []
    assert {verdict["verdict"] for verdict in result["verdicts"]} == {"not measured"}
    assert "| not measured |" in capsys.readouterr().out


def test_no_time_left(tmp_path: Path) -> None:
    words = ["--device", "cpu", "--quick", "--minutes", "0", "--out", str(tmp_path)]
    assert bench_gpu.main(words) == 0
    (target,) = tmp_path.glob("*.json")
    result = json.loads(target.read_text(encoding="utf-8"))
    assert result["rows"] == []
    assert len(result["left_out"]) > 4


def test_what_was_measured_before_a_run_is_killed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(["first", "second"])

    def run() -> list[dict[str, Any]]:
        name = next(names, None)
        if name is None:
            raise KeyboardInterrupt
        return [{"stage": name}]

    case = Case({"group": "device"}, run)
    monkeypatch.setattr(Bench, "all", lambda _: iter([case] * 3))
    with pytest.raises(KeyboardInterrupt):
        bench_gpu.main(["--device", "cpu", "--quick", "--out", str(tmp_path)])
    (target,) = tmp_path.glob("*.json")
    rows = json.loads(target.read_text(encoding="utf-8"))["rows"]
    assert [row["stage"] for row in rows] == ["first", "second"]


def test_no_gpu_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(device, "cuda_gpu_count", lambda: 0)
    assert bench_gpu.main(["--out", str(tmp_path)]) == 1
    assert "no CUDA GPU was found" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def measured() -> list[dict[str, Any]]:
    """Rows as a GPU would give them; the figures are made up to fall on both sides."""
    own = {"group": "device", "model": "compact", "stage": "colour", "graphs": True}
    rows: list[dict[str, Any]] = [
        {**own, "size": size, "default_precision": True,
         "times": {"device_ms": {"p50": p50, "p99": p50 * 3}}}
        for size, p50 in (("4k", 1.5), ("8k", 5.0))
    ]  # fmt: skip
    rows.append({"group": "official", "model": "mobilenetv3", "size": "4k", "stage": "ours",
                 "default_precision": True, "times_official": 3.5})  # fmt: skip
    rows.append({"group": "file", "size": "4k", "decoder": "nvdec", "fps": 90.0})
    difference = {"group": "difference", "on": "cuda", "default_precision": True}
    rows.append({**difference, "most": 0.01, "mean": 0.0005})
    rows.append({**difference, "most": 0.9, "mean": 0.5, "weights": "random"})
    return rows


def test_verdicts_come_from_the_rows() -> None:
    words = [verdict["verdict"] for verdict in verdicts(measured())]
    assert words == [
        "reached",
        "not reached",
        "reached",
        "reached",
        "not reached",
        *["reached"] * 2,
    ]
    assert verdicts(measured())[5]["measured"] == 0.01
    slow = [{**row, "decoder": "cpu"} for row in measured()]
    assert verdicts(slow)[4]["verdict"] == "not measured"
    failed = [{**row, "error": "out of memory"} for row in measured() if row["group"] == "device"]
    assert [v["verdict"] for v in verdicts(failed)] == ["not measured"] * len(TARGETS)


def test_percentiles() -> None:
    assert quantiles([float(i) for i in range(101)]) == {"p50": 50, "p99": 99, "mean": 50}
    assert quantiles([3.0, 1.0]) == {"p50": 1, "p99": 3, "mean": 2}


def test_traffic_is_planes() -> None:
    pixels = 3840 * 2160
    assert composite_bytes(3840, 2160, "matte") == 0
    assert composite_bytes(3840, 2160, "colour") == pixels * 4  # read 1.5, alpha 1, write 1.5
    assert composite_bytes(3840, 2160, "picture") == pixels * 11 // 2
    assert matte_bytes(3840, 2160, full_size_rgb=False) == pixels * 7 // 2
    assert set(FULL.sizes) == {"hd", "4k", "8k"}


@pytest.mark.gpu
def test_quick_on_a_gpu(tmp_path: Path) -> None:
    assert bench_gpu.main(["--device", "cuda", "--quick", "--out", str(tmp_path)]) == 0
    (target,) = tmp_path.glob("*.json")
    rows = json.loads(target.read_text(encoding="utf-8"))["rows"]
    own = [row for row in rows if row["group"] == "device"]
    failed = {row["group"]: row["error"] for row in rows if "error" in row}
    assert not set(failed) & {"device", "official", "difference", "file"}, failed
    assert all(row["times"]["device_ms"]["p50"] > 0 for row in own)
