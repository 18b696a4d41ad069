"""Seats at a GPU: counted across processes, never left taken, and queues sized by their number."""

from __future__ import annotations

import contextlib
import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from rvm.frame import PIXEL_FORMATS, ColourTags
from rvm.gpu.sharing import GpuSeat, Seat, bytes_in_flight, fitting, take_seat
from rvm.sources.base import SourceInfo

MIB = 1 << 20
_SIT = (
    "import sys, time; from pathlib import Path; from rvm.gpu.sharing import GpuSeat\n"
    "seat = GpuSeat(Path(sys.argv[1]), lambda: (1, 1))\n"
    "print('seated', flush=True); time.sleep(60)"
)


def info(width: int, height: int, name: str = "yuv420p") -> SourceInfo:
    return SourceInfo("x", width, height, PIXEL_FORMATS[name], ColourTags(), Fraction(1, 30))


@contextlib.contextmanager
def another_process_sits(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _SIT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "seated"
            yield process
        finally:
            process.kill()


def seat(folder: Path) -> GpuSeat:
    return GpuSeat(folder, lambda: (1000 * MIB, 2000 * MIB))


def test_a_seat_counts_those_who_sit_and_not_those_who_left(tmp_path: Path) -> None:
    first, second = seat(tmp_path), seat(tmp_path)
    assert (first.runs(), second.runs()) == (2, 2)
    first.close()
    first.close()
    assert second.runs() == 1
    third = seat(tmp_path)
    assert (second.runs(), third.runs()) == (2, 2)


def test_a_killed_process_leaves_its_seat(tmp_path: Path) -> None:
    mine = seat(tmp_path)
    with another_process_sits(tmp_path) as process:
        assert mine.runs() == 2
        process.kill()
        process.wait(timeout=10)
        assert mine.runs() == 1
        assert seat(tmp_path).runs() == 2


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to stop a process here")
def test_a_stopped_process_holds_nobody_up(tmp_path: Path) -> None:
    with another_process_sits(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        mine = seat(tmp_path)
        assert mine.runs() == 2
        assert mine.queue_size(info(64, 64), 4) == 4


def test_a_folder_that_cannot_be_written_means_being_alone(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    lonely = seat(blocked / "seats")
    assert lonely.runs() == 1
    assert lonely.queue_size(info(64, 64), 4) == 4
    lonely.close()


@pytest.mark.skipif(sys.platform == "win32", reason="locks files by another call")
def test_a_folder_that_knows_no_locks_means_being_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def no_locks(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    lonely = seat(tmp_path)
    assert lonely.runs() == 1
    lonely.close()


def test_on_the_cpu_nothing_is_counted() -> None:
    here = take_seat("cpu")
    assert type(here) is Seat
    assert here.queue_size(info(7680, 4320), 4) == 4
    here.close()


def test_queues_shrink_with_memory_and_with_company() -> None:
    uhd = info(3840, 2160)
    one = bytes_in_flight(uhd)
    assert one == 4 * (3840 * 2160 * 3 // 2) + 3840 * 2160
    plenty = 1000 * one
    assert fitting(uhd, 4, 1, plenty, plenty) == 4
    assert fitting(uhd, 4, 1, 20 * one, plenty) == 2
    assert fitting(uhd, 4, 1, one, plenty) == 1
    assert fitting(uhd, 4, 2, plenty, 40 * one) == 2
    assert fitting(uhd, 4, 32, plenty, 40 * one) == 1


def test_deep_and_packed_pictures_weigh_what_they_weigh() -> None:
    assert bytes_in_flight(info(64, 32, "yuv420p10")) == 4 * 2 * 64 * 48 + 64 * 32
    assert bytes_in_flight(info(64, 32, "rgb24")) == 4 * 3 * 64 * 32 + 64 * 32


@pytest.mark.gpu
def test_a_real_gpu_has_seats() -> None:
    first, second = take_seat("cuda:0"), take_seat("cuda:0")
    assert second.runs() >= 2
    assert second.queue_size(info(1920, 1080), 4) >= 1
    first.close()
    second.close()
