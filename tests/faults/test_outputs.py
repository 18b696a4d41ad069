"""What goes wrong while writing: killed, disk full, names taken. Nothing is overwritten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rvm.errors import DeviceError, OutputError, OutputExistsError, UsageError
from rvm.sinks import open_live_sink, open_sinks
from rvm.sinks.partial import PartialFile, check_target
from tests.composites import composite, composites, decoded, info_of, shot
from tests.synth_clips import write_clip

ROOT = Path(__file__).parents[2]

WRITE = """
import dataclasses, os, resource, signal, sys
from pathlib import Path
from rvm.errors import RvmError
from rvm.sinks import open_sinks
from tests.composites import composite, info_of, shot
target, frames, sound, codec = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
limit, die = int(sys.argv[5]), sys.argv[6] == "die"
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
spec = shot(count=frames, width=160, height=96)
info = info_of(spec, original=Path(sound) if sound else None)
try:
    sink = open_sinks(target, info=info, codec=codec)
    try:
        for index in range(frames):
            sink.write(composite(spec, index))
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
    except RvmError:
        sink.abort()
        raise
    sink.close()
except RvmError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def write_in_a_child(
    target: Path, *, frames: int = 100, sound: Path | None = None, codec: str = "auto",
    limit: int = 0, die: bool = False,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    arguments = [target, frames, sound or "", codec, limit, "die" if die else ""]
    return subprocess.run(
        [sys.executable, "-c", WRITE, *map(str, arguments)], cwd=ROOT, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "codec", "with_sound", "kept"),
    [
        ("out.mp4", "auto", True, 50),
        ("out.mp4", "x265", False, 40),
        ("out.mp4", "av1", False, 8),
        ("out.mov", "prores", True, 85),
        ("out.mkv", "auto", True, 50),
        ("out.webm", "auto", False, 50),
    ],
)
def test_a_killed_process_leaves_a_playable_file(
    name: str, codec: str, with_sound: bool, kept: int, tmp_path: Path
) -> None:
    sound = None
    if with_sound:
        sound = tmp_path / "sound.mp4"
        write_clip(sound, frames=120, audio=True)
    done = write_in_a_child(tmp_path / name, sound=sound, codec=codec, die=True)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / name).exists()
    partial = tmp_path / f"out.part{Path(name).suffix}"
    pictures = decoded(partial)
    # What the encoder still held (its look-ahead) and at most a second are lost.
    assert kept <= len(pictures) <= 100


@pytest.mark.parametrize(
    ("name", "codec", "limit", "frames"),
    [
        ("out.mp4", "auto", 1, 2),  # the header already
        ("out.mp4", "auto", 3_000, 100),  # the end already
        ("out.mov", "prores", 100_000, 100),
        ("out.mkv", "auto", 3_000, 100),
        ("out.webm", "auto", 600, 2),
    ],
)
def test_a_full_disk_is_one_line_with_code_6(
    name: str, codec: str, limit: int, frames: int, tmp_path: Path
) -> None:
    done = write_in_a_child(tmp_path / name, codec=codec, limit=limit, frames=frames)
    assert done.returncode == 6, done.stderr
    assert done.stdout.count("\n") == 1
    assert f"{name}: the file grew beyond the allowed size" in done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / name).exists()


def test_a_full_disk_leaves_what_was_written_playable(tmp_path: Path) -> None:
    done = write_in_a_child(tmp_path / "out.mkv", codec="ffv1", limit=100_000)
    assert done.returncode == 6
    assert f"what was written so far is {tmp_path / 'out.part.mkv'}" in done.stdout
    assert len(decoded(tmp_path / "out.part.mkv")) > 5


def test_a_full_disk_in_an_image_sequence(tmp_path: Path) -> None:
    done = write_in_a_child(tmp_path / "%04d.png", limit=700, frames=3)
    assert done.returncode == 6, done.stderr
    assert "grew beyond" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_a_device_is_no_output(device: str) -> None:
    with pytest.raises(OutputError, match="not an ordinary file"):
        check_target(Path(device), overwrite=True)


def test_an_existing_output_is_never_touched_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(OutputExistsError) as caught:
        open_sinks(tmp_path / "out.mp4", info=info_of(shot()))
    assert caught.value.exit_code == 6
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


def test_an_output_that_appears_while_writing_is_not_replaced(tmp_path: Path) -> None:
    sink = open_sinks(tmp_path / "out.mp4", info=info_of(shot()))
    for item in composites(shot()):
        sink.write(item)
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"appeared meanwhile.*out\.part\.mp4"):
        sink.close()
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert len(decoded(tmp_path / "out.part.mp4")) == 6


def test_a_file_system_without_hard_links_never_replaces_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    first = PartialFile(tmp_path / "a.mp4", overwrite=False)
    first.temporary.write_bytes(b"new")
    first.commit()
    assert (tmp_path / "a.mp4").read_bytes() == b"new"
    second = PartialFile(tmp_path / "a.mp4", overwrite=False)
    second.temporary.write_bytes(b"newer")
    with pytest.raises(OutputExistsError):
        second.commit()
    assert (tmp_path / "a.mp4").read_bytes() == b"new"


def test_a_failing_sync_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    sink = open_sinks(tmp_path / "out.mp4", info=info_of(shot()))
    sink.write(composite(shot(), 0))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"the disk reported an error; see .*out\.part\.mp4"):
        sink.close()


def test_two_runs_at_once_do_not_share_a_partial_file(tmp_path: Path) -> None:
    one = open_sinks(tmp_path / "out.mp4", info=info_of(shot()))
    two = open_sinks(tmp_path / "out.mp4", info=info_of(shot()))
    for item in composites(shot()):
        one.write(item)
        two.write(item)
    one.close()
    with pytest.raises(OutputExistsError):
        two.close()
    assert len(decoded(tmp_path / "out.mp4")) == 6
    assert len(decoded(tmp_path / "out.part2.mp4")) == 6


@pytest.mark.parametrize("through", ["itself", "a symlink", "a hard link"])
def test_the_input_is_never_the_output(through: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    write_clip(source, frames=2)
    target = source
    if through == "a symlink":
        target = tmp_path / "link.mp4"
        target.symlink_to(source)
    elif through == "a hard link":
        target = tmp_path / "hard.mp4"
        target.hardlink_to(source)
    before = source.read_bytes()
    with pytest.raises(OutputError, match="this run reads that file"):
        open_sinks(target, info=info_of(shot(), original=source), overwrite=True)
    assert source.read_bytes() == before


def test_an_unwritable_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # a superuser may write anywhere
    with pytest.raises(OutputError, match="no permission to write into"):
        open_sinks(tmp_path / "out.mp4", info=info_of(shot()))


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="name is too long"):
        open_sinks(tmp_path / f"{'x' * 300}.mp4", info=info_of(shot()))


def test_a_folder_named_like_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.mkv").mkdir()
    with pytest.raises(OutputError, match="this is a folder"):
        check_target(tmp_path / "m.mkv", overwrite=True)


def test_a_half_opened_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.avi is not a video file"):
        open_sinks(tmp_path / "a.mp4", tmp_path / "m.avi", info=info_of(shot()))
    assert list(tmp_path.iterdir()) == []


def test_no_webcam_driver_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyvirtualcam.camera

    class Absent:
        def __init__(self, **_: object) -> None:
            raise RuntimeError("No v4l2 loopback\ndevice found")

    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"v4l2loopback": Absent})
    with pytest.raises(DeviceError) as caught:
        open_live_sink("virtualcam", info=info_of(shot()))
    message = str(caught.value)
    assert caught.value.exit_code == 5
    assert "\n" not in message
    if sys.platform == "linux":
        assert "sudo modprobe v4l2loopback exclusive_caps=1 card_label=rvm" in message
