"""The package as a caller sees it: its names, and how arguments are taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import rvm
from rvm import jit
from rvm.compositing.cpu_compositor import CpuCompositor
from rvm.errors import UsageError
from rvm.frame import Composite, Frame, Matte
from tests.synth_clips import write_clip


def test_dir_lists_what_is_imported_on_first_use_and_imports_nothing() -> None:
    code = (
        "import rvm, sys; print(sorted(set(rvm.__all__) - set(dir(rvm))));"
        "print(sorted({'av', 'cv2', 'numpy', 'rvm.api'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["[]", "[]"]


def test_a_colour_may_be_three_numbers(tmp_path: Path) -> None:
    write_clip(tmp_path / "one.mkv", frames=1)
    output = tmp_path / "out.png"
    report = rvm.convert(tmp_path / "one.mkv", output, background=(0, 255, 0), model="fake")
    assert report.input == str(tmp_path / "one.mkv")
    blue, green, red = np.asarray(cv2.imread(str(output))).reshape(-1, 3)[0]
    assert green > 240
    assert max(red, blue) < 15


def test_a_background_that_is_none_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    for wrong in ("", (0, 0), 3):
        with pytest.raises(UsageError, match="background"):
            rvm.convert(tmp_path / "gone.mp4", "x.mp4", background=wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="background"):
            rvm.live(97, to="null", background=wrong)  # type: ignore[arg-type]


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    started: list[str] = []
    report = rvm.convert(
        clip, tmp_path / "out.mp4", model="fake", dry_run=True,
        on_start=lambda source, engine: started.append(source.name),
    )  # fmt: skip
    assert started == [str(clip)]
    assert (report.frames_in, report.outputs) == (0, (tmp_path / "out.mp4",))
    assert report.to_json()["model"] == "fake"
    assert list(tmp_path.iterdir()) == [clip]


def test_nothing_is_left_behind_where_the_caller_fails_at_the_start(tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise KeyError("the caller's own")

    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    with pytest.raises(KeyError):
        rvm.convert(clip, tmp_path / "out.mp4", model="fake", on_start=fail)
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize(
    ("translated", "background"), [(False, "blur"), (False, "red"), (True, "blur")]
)
def test_what_a_machine_translates_once_is_translated_before_a_live_run_takes_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, translated: bool, background: str
) -> None:
    write_clip(tmp_path / "in.mp4", frames=5)
    monkeypatch.setattr(jit, "is_translated", lambda module: translated)
    composed: list[tuple[tuple[int, int], bool]] = []
    compose = CpuCompositor.compose

    def noted(self: CpuCompositor, frame: Frame, matte: Matte) -> Composite:
        composed.append((frame.size, bool(matte.alpha.any())))
        return compose(self, frame, matte)

    monkeypatch.setattr(CpuCompositor, "compose", noted)
    started: list[int] = []
    rvm.live(
        str(tmp_path / "in.mp4"), to="null", background=background,
        seconds=0.3, on_start=lambda *_: started.append(len(composed)),
    )  # fmt: skip
    assert started == [0 if translated else 2]
    assert all(somebody for _, somebody in composed[: started[0]])
    assert len(composed) > started[0]
