"""The order of work between threads: on a CPU nothing, on a GPU an event at each handing-over."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from rvm.frame import RGB24, Composite, Frame, Matte
from rvm.gpu import streams, transfer
from rvm.gpu.lanes import Handed, Lane, gpu_of, open_lane


def frame(plane: Any) -> Frame:
    return Frame((plane,), RGB24, 2, 2)


def test_on_the_cpu_a_lane_is_nothing() -> None:
    with open_lane("cpu") as lane, open_lane("mps", decodes=True) as other:
        assert type(lane) is type(other) is Lane
        item = (1, "x")
        handed = lane.give(item)
        assert handed.ready is None
        assert other.take(handed) is item
        assert other.wait(handed) is item


def test_where_a_plane_lies() -> None:
    assert gpu_of(np.zeros(1)) is None
    assert gpu_of(torch.zeros(1)) is None
    assert gpu_of(object()) is None


def test_every_tensor_of_what_is_handed_over_is_found() -> None:
    a, b, c, d = (torch.zeros(2, 2, 3), torch.zeros(2, 2), torch.ones(1, 1, 3), torch.ones(2, 2, 3))
    composite = Composite(frame(a), Matte(b, c), frame(d))
    found = list(streams.tensors_in((composite, 7, None, "x")))
    assert [id(tensor) for tensor in found] == [id(t) for t in (a, b, c, d)]
    assert list(streams.tensors_in(frame(np.zeros((2, 2, 3), np.uint8)))) == []


class _OnGpu(torch.Tensor):
    """A CPU tensor that says it is on a GPU and notes which streams use it."""

    said: list[str]

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def record_stream(self, stream: Any) -> None:
        self.said.append(f"used by {stream.name}")


class _Stream:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def wait_stream(self, other: _Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: _Event) -> None:
        self.log.append(f"{self.name} waits for {event.name}")


class _Event:
    def __init__(self, log: list[str]) -> None:
        self.log, self.name = log, ""

    def record(self, stream: _Stream) -> None:
        self.name = f"event on {stream.name}"
        self.log.append(self.name)

    def synchronize(self) -> None:
        self.log.append(f"thread waits for {self.name}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`torch.cuda` with streams that write down what is asked of them."""
    said: list[str] = []
    names = iter(["one", "two"])

    @contextlib.contextmanager
    def nothing(_: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(torch.cuda, "device", nothing)
    monkeypatch.setattr(torch.cuda, "stream", nothing)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: _Stream(said, "default"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: _Stream(said, "current"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: _Stream(said, next(names)))
    monkeypatch.setattr(torch.cuda, "Event", lambda blocking: _Event(said))
    return said


def on_gpu(log: list[str]) -> Frame:
    plane = torch.zeros(2, 2, 3, dtype=torch.uint8).as_subclass(_OnGpu)
    plane.said = log
    return frame(plane)


def test_a_handing_over_orders_the_streams_and_keeps_the_memory(log: list[str]) -> None:
    with (
        open_lane("cuda:0", decodes=True) as grab,
        open_lane("cuda:0") as matting,
        open_lane("cuda:0") as writing,
    ):
        item = on_gpu(log)
        assert matting.take(grab.give(item)) is item
        log.append("—")
        assert writing.wait(matting.give(item)) is item
    assert log == [
        "event on default", "one waits for event on default", "used by one", "—",
        "event on one", "two waits for event on one", "used by two",
        "thread waits for event on one",
    ]  # fmt: skip


def test_what_another_thread_decoded_is_waited_for(log: list[str]) -> None:
    item = on_gpu(log)
    assert streams.from_default_stream(item) is item
    assert log == ["current waits for default", "used by current"]
    plain = frame(np.zeros((2, 2, 3), np.uint8))
    assert streams.from_default_stream(plain) is plain
    assert len(log) == 2


def test_what_is_in_main_memory_needs_no_event(log: list[str]) -> None:
    with open_lane("cuda:0") as one, open_lane("cuda:0") as two:
        item = frame(np.zeros((2, 2, 3), np.uint8))
        handed = one.give(item)
        assert handed == Handed(item)
        assert two.wait(handed) is item
    assert log == []


def test_copies_on_the_cpu_are_plain() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for source in (array, array[::-1], np.broadcast_to(np.uint8(7), (3, 4))):
        tensor = transfer.to_device(source, torch.device("cpu"))
        np.testing.assert_array_equal(tensor.numpy(), source)
        np.testing.assert_array_equal(transfer.HostCopy([tensor]).wait()[0].numpy(), source)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_planes_go_up_and_come_down(dtype: type) -> None:
    device = torch.device("cuda:0")
    for seed in range(20):
        values = np.random.default_rng(seed).integers(0, 200, (1080, 1920))
        array: npt.NDArray[Any] = values.astype(dtype)
        strided = array[::2, ::3]
        tensors = [transfer.to_device(array, device), transfer.to_device(strided, device)]
        one, two = transfer.HostCopy(tensors).wait()
        np.testing.assert_array_equal(one.numpy(), array)
        np.testing.assert_array_equal(two.numpy(), strided)


@pytest.mark.gpu
def test_a_hundred_frames_pass_through_three_threads_unharmed() -> None:
    """Each thread adds one on its own stream; without the events some would be lost."""
    planes = [torch.full((1080, 1920), number, dtype=torch.uint8) for number in range(100)]
    results: list[torch.Tensor] = []
    queues: list[list[Any]] = [[], []]
    ready = [threading.Semaphore(0), threading.Semaphore(0)]

    def first() -> None:
        with open_lane("cuda:0", decodes=True) as lane:
            for plane in planes:
                queues[0].append(lane.give((plane.cuda() + 1,)))
                ready[0].release()

    def second() -> None:
        with open_lane("cuda:0") as lane:
            for _ in planes:
                ready[0].acquire()
                (plane,) = lane.take(queues[0].pop(0))
                queues[1].append(lane.give((plane + 1,)))
                ready[1].release()

    def third() -> None:
        with open_lane("cuda:0") as lane:
            for _ in planes:
                ready[1].acquire()
                (plane,) = lane.wait(queues[1].pop(0))
                results.append(plane.cpu())

    threads = [threading.Thread(target=work) for work in (first, second, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for plane, result in zip(planes, results, strict=True):
        assert torch.equal(result, plane + 2)
