"""Out of memory means one step down, said once; never a crash."""

from __future__ import annotations

import gc
import weakref

import pytest

from rvm.errors import DeviceError
from rvm.gpu.memory import MEMORY_SCALES, StepDown, is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class Machine:
    """Has room for scales up to `room`."""

    def __init__(self, room: float) -> None:
        self.room = room
        self.tried: list[float] = []
        self.freed = 0
        self.told: list[str] = []

    def attempt(self, scale: float) -> str:
        self.tried.append(scale)
        if scale > self.room:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return f"done at {scale}"

    def free(self) -> None:
        self.freed += 1

    def steps(self) -> StepDown:
        return StepDown("cuda:1", tell=self.told.append)


def test_with_room_nothing_happens() -> None:
    machine = Machine(1.0)
    steps = machine.steps()
    assert steps.run(machine.attempt, machine.free) == "done at 1.0"
    assert steps.run(machine.attempt, machine.free, 0.85) == "done at 0.85"
    assert (machine.freed, machine.told) == (0, [])


def test_one_step_down_is_said_once_and_stays() -> None:
    machine = Machine(0.7)
    steps = machine.steps()
    for _ in range(5):
        assert steps.run(machine.attempt, machine.free) == "done at 0.7"
    assert machine.tried == [1.0, 0.7, 0.7, 0.7, 0.7, 0.7]
    assert machine.freed == 1
    assert machine.told == [
        "cuda:1 is out of memory; the network's picture is from now on 70% of its size"
    ]
    assert steps.run(machine.attempt, machine.free, 0.5) == "done at 0.5"


def test_a_step_goes_below_what_was_tried_not_below_the_limit() -> None:
    machine = Machine(0.5)
    steps = machine.steps()
    assert steps.run(machine.attempt, machine.free, 0.7) == "done at 0.5"
    assert machine.tried == [0.7, 0.5]


def test_below_the_last_step_is_one_plain_line() -> None:
    machine = Machine(0.0)
    with pytest.raises(DeviceError, match=r"cuda:1 is out of memory even at 25%.*--device cpu"):
        machine.steps().run(machine.attempt, machine.free)
    assert tuple(machine.tried) == MEMORY_SCALES
    assert machine.freed == len(MEMORY_SCALES)


def test_other_errors_pass() -> None:
    def attempt(scale: float) -> None:
        raise RuntimeError("misaligned address")

    machine = Machine(1.0)
    with pytest.raises(RuntimeError, match="misaligned"):
        machine.steps().run(attempt, machine.free)
    assert machine.freed == 0


def test_what_a_failed_attempt_made_is_gone_when_memory_is_freed() -> None:
    class Buffer:
        pass

    alive: list[weakref.ref[Buffer]] = []

    def attempt(scale: float) -> float:
        if scale == 1.0:
            buffer = Buffer()
            alive.append(weakref.ref(buffer))
            raise OutOfMemoryError
        return scale

    def free() -> None:
        gc.collect()
        assert alive[0]() is None

    assert StepDown("cuda:0", tell=lambda line: None).run(attempt, free) == 0.7


def test_how_libraries_say_it() -> None:
    assert is_out_of_memory(OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert is_out_of_memory(RuntimeError("Failed to allocate memory for requested buffer"))
    assert not is_out_of_memory(RuntimeError("an illegal memory access was encountered"))
    assert not is_out_of_memory(ValueError("out of memory"))
    wrapped = RuntimeError("capture failed")
    wrapped.__context__ = OutOfMemoryError()
    assert is_out_of_memory(wrapped)


def test_torch_names_its_error_so() -> None:
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


def test_a_gpu_without_memory_for_frames_is_one_plain_line() -> None:
    torch = pytest.importorskip("torch")
    from rvm.gpu.streams import CudaLane

    lane = CudaLane(torch.device("cuda:1"))
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(DeviceError, match="cuda:1 has no memory left for frames") as caught:
        lane.__exit__(type(error), error, None)
    assert caught.value.__cause__ is error
    for other in (ValueError("something else"), DeviceError("out of memory, said already")):
        lane.__exit__(type(other), other, None)
    lane.__exit__(None, None, None)
