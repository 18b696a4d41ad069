"""The logic around CUDA graphs, with a capturer that needs no GPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from rvm.gpu.graphs import (  # noqa: E402
    CudaCapturer,
    GraphRunner,
    Layout,
    Step,
    Tensors,
    zero_states,
)
from tests.fake_capturer import FakeCapturer  # noqa: E402

CPU = torch.device("cpu")


def running_mean(layout: Layout, picture: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
    """A network whose results are easily worked out: each state is the mean of it and the input."""
    new = tuple((state + picture.mean()) / 2 for state in states)
    return (picture * 2, new[0].sum(dim=1, keepdim=True)), new


def layout_of(side: int, dtype: Any = torch.float32) -> Layout:
    return Layout((1, 3, side, side), dtype, ((1, 2, side, side), (1, 4, 1, 1)), dtype)


def filled(value: float, layout: Layout) -> Callable[[Tensor | None], Tensor]:
    def fill(out: Tensor | None) -> Tensor:
        made = torch.full(layout.picture, value, dtype=layout.picture_dtype)
        return made if out is None else out.copy_(made)

    return fill


def values_of(step: Step) -> list[Tensor]:
    """A copy of all that a step gave."""
    return [tensor.clone() for tensor in (step.picture, *step.outputs, *step.states)]


def runners() -> tuple[GraphRunner, GraphRunner, FakeCapturer]:
    capturer = FakeCapturer()
    return GraphRunner(running_mean, CPU), GraphRunner(running_mean, CPU, capturer), capturer


def test_a_graph_gives_what_the_network_gives_over_a_stream_with_resets() -> None:
    plain, graphed, capturer = runners()
    layout = layout_of(4)
    states: list[Tensors | None] = [None, None]
    for index in range(9):
        if index in (4, 6):
            states = [None, None]
        results = []
        for number, runner in enumerate((plain, graphed)):
            step = runner.run(layout, filled(index / 3, layout), states[number])
            states[number] = step.states
            results.append(values_of(step))
        torch.testing.assert_close(*results, rtol=0, atol=0)
    assert len(capturer.recordings) == 1
    assert capturer.recordings[0].replays == 8  # the first frame went without
    assert capturer.followed == 9


def test_a_layout_is_captured_when_it_comes_again() -> None:
    _, runner, capturer = runners()
    for side in (4, 5, 6):
        runner.run(layout_of(side), filled(1, layout_of(side)), None)
    assert capturer.attempts == 0
    runner.run(layout_of(5), filled(1, layout_of(5)), None)
    assert capturer.attempts == 1
    assert runner.layouts == (layout_of(5),)


def test_kept_states_stay_what_they_were_and_can_be_gone_on_from() -> None:
    _, runner, _ = runners()
    layout = layout_of(4)
    kept: list[tuple[Tensors, list[Tensor]]] = []
    states = None
    for index in range(5):
        step = runner.run(layout, filled(index, layout), states)
        states = step.states
        kept.append((states, [state.clone() for state in states]))
    for index, (old, _) in enumerate(kept[:-1]):
        again = runner.run(layout, filled(index + 1, layout), old)
        torch.testing.assert_close(again.states, tuple(kept[index + 1][1]), rtol=0, atol=0)
    for old, copy in kept:
        torch.testing.assert_close(list(old), copy, rtol=0, atol=0)


def test_no_state_lies_in_the_memory_of_a_graph() -> None:
    _, runner, capturer = runners()
    layout = layout_of(4)
    runner.run(layout, filled(0, layout), None)
    step = runner.run(layout, filled(1, layout), None)
    inside = {tensor.data_ptr() for part in capturer.recordings[0].results for tensor in part}
    graph = runner._graphs[layout]
    inside |= {tensor.data_ptr() for tensor in graph._memory}
    assert not inside & {state.data_ptr() for state in step.states}
    assert step.outputs[0].data_ptr() in inside  # these are borrowed, as documented


def test_only_a_state_that_is_not_the_last_one_is_copied_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, runner, _ = runners()
    layout = layout_of(4)
    states = runner.run(layout, filled(0, layout), None).states
    old = runner.run(layout, filled(1, layout), states).states
    graph = runner._graphs[layout]
    copies = []
    remember = graph._remember

    def counting(states: Tensors | None) -> None:
        before = [memory._version for memory in graph._memory]
        remember(states)
        copies.append(before != [memory._version for memory in graph._memory])

    monkeypatch.setattr(graph, "_remember", counting)
    new = runner.run(layout, filled(2, layout), old).states
    runner.run(layout, filled(3, layout), new)
    runner.run(layout, filled(4, layout), old)
    runner.run(layout, filled(5, layout), None)
    assert copies == [False, False, True, True]


def test_a_step_that_failed_leaves_no_wrong_memory() -> None:
    plain, runner, _ = runners()
    layout = layout_of(4)
    states = runner.run(layout, filled(0, layout), None).states
    states = runner.run(layout, filled(1, layout), states).states

    def failing(out: Tensor | None) -> Tensor:
        raise ValueError("no picture")

    for last in (states, None):
        with pytest.raises(ValueError, match="no picture"):
            runner.run(layout, failing, last)
        step = runner.run(layout, filled(2, layout), states)
        expected = plain.run(layout, filled(2, layout), states)
        torch.testing.assert_close(step.states, expected.states, rtol=0, atol=0)


def test_the_graph_unused_for_longest_gives_way() -> None:
    capturer = FakeCapturer()
    runner = GraphRunner(running_mean, CPU, capturer, kept=2)
    for side in (4, 4, 5, 5, 4, 6, 6):
        runner.run(layout_of(side), filled(1, layout_of(side)), None)
    assert runner.layouts == (layout_of(4), layout_of(6))
    assert [recording.released for recording in capturer.recordings] == [False, True, False]
    runner.run(layout_of(5), filled(1, layout_of(5)), None)  # known already: captured at once
    assert runner.layouts == (layout_of(6), layout_of(5))
    runner.clear()
    assert not runner.layouts
    assert all(recording.released for recording in capturer.recordings)


def test_without_graphs_it_goes_on_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    capturer = FakeCapturer(RuntimeError("operation not permitted\nlong details"))
    runner = GraphRunner(running_mean, CPU, capturer)
    states = None
    with caplog.at_level(logging.INFO):
        for side in (4, 4, 4, 4, 5, 5, 5, 5, 5):
            states = runner.run(layout_of(side), filled(1, layout_of(side)), None).states
    assert capturer.attempts == 3
    assert [record.getMessage() for record in caplog.records] == [
        *["no CUDA graph was made this time: operation not permitted"] * 2,
        "no CUDA graph could be made, frames take longer without: operation not permitted",
    ]
    assert states is not None
    assert states[0].mean() == 0.5


def test_a_capture_that_failed_is_tried_again() -> None:
    capturer = FakeCapturer(RuntimeError("operation failed due to a previous error"))
    runner = GraphRunner(running_mean, CPU, capturer)
    layout = layout_of(4)
    states = None
    for _ in range(2):
        states = runner.run(layout, filled(1, layout), states).states
    capturer.error = None
    for _ in range(3):
        states = runner.run(layout, filled(1, layout), states).states
    assert capturer.attempts == 2
    assert runner.layouts == (layout,)
    assert capturer.recordings[0].replays == 2
    assert states is not None
    assert states[0].mean() == 1 - 0.5**5


def test_a_torch_that_does_not_recover_from_a_failed_capture_makes_no_second_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rvm.gpu.graphs._RECOVERS", False)
    capturer = FakeCapturer(RuntimeError("operation failed due to a previous error"))
    runner = GraphRunner(running_mean, CPU, capturer)
    states = None
    for _ in range(6):
        states = runner.run(layout_of(4), filled(1, layout_of(4)), states).states
    assert capturer.attempts == 1
    assert states is not None
    assert states[0].mean() == 1 - 0.5**6


def test_no_memory_for_a_graph_is_for_the_caller_to_solve() -> None:
    capturer = FakeCapturer(torch.OutOfMemoryError("CUDA out of memory"))
    runner = GraphRunner(running_mean, CPU, capturer)
    runner.run(layout_of(4), filled(1, layout_of(4)), None)
    with pytest.raises(torch.OutOfMemoryError):
        runner.run(layout_of(4), filled(1, layout_of(4)), None)
    capturer.error = None
    runner.run(layout_of(4), filled(1, layout_of(4)), None)
    assert runner.layouts == (layout_of(4),)


def test_fresh_states_have_their_type_and_lie_channels_last() -> None:
    states = zero_states(layout_of(4, torch.float16), CPU)
    assert [tuple(state.shape) for state in states] == [(1, 2, 4, 4), (1, 4, 1, 1)]
    for state in states:
        assert state.dtype == torch.float16
        assert state.is_contiguous(memory_format=torch.channels_last)
        assert not state.any()


class FakeCuda:
    """Notes what a `CudaCapturer` asks of `torch.cuda`, where there is no GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.priorities: list[int] = []
        self.waits: list[tuple[Any, Any]] = []
        self.pools: list[Any] = []
        handles = iter(range(9))
        nothing = lambda *_, **__: contextlib.nullcontext()  # noqa: E731
        for name in ("device", "stream", "set_stream", "synchronize"):
            monkeypatch.setattr(torch.cuda, name, nothing)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: next(handles))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(reset=nothing))
        monkeypatch.setattr(torch.cuda, "graph", self._graph)
        monkeypatch.setattr(torch.cuda, "Stream", self._stream)
        self.current = self._named("current")
        monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: self.current)

    def _graph(self, _: Any, *, pool: Any, **__: Any) -> Any:
        self.pools.append(pool)
        return contextlib.nullcontext()

    def _stream(self, _: Any, priority: int = 0) -> Any:
        self.priorities.append(priority)
        return self._named("own")

    def _named(self, name: str) -> Any:
        stream = SimpleNamespace(name=name)
        stream.wait_stream = lambda other: self.waits.append((name, other.name))
        return stream


def test_captures_have_streams_that_no_thread_computes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    capturer = CudaCapturer(CPU)
    for _ in range(2):
        capturer.capture(lambda: ((), ()))
    assert cuda.priorities == [-1]


def test_a_pool_is_shared_while_one_of_its_graphs_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    capturer = CudaCapturer(CPU)
    first, second = (capturer.capture(lambda: ((), ()))[0] for _ in range(2))
    first.release()
    third, _ = capturer.capture(lambda: ((), ()))
    for recording in (second, third):
        recording.release()
    capturer.capture(lambda: ((), ()))
    assert cuda.pools[0] == cuda.pools[1] == cuda.pools[2] != cuda.pools[3]


def test_freeing_a_graph_of_a_failed_device_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeCuda(monkeypatch)
    recording, _ = CudaCapturer(CPU).capture(lambda: ((), ()))

    def fail(_: Any) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "synchronize", fail)
    recording.release()


def test_a_failed_warm_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)

    def work() -> tuple[Tensors, Tensors]:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        CudaCapturer(CPU).capture(work)
    assert cuda.waits == [("own", "current"), ("current", "own")]


@pytest.mark.parametrize("torch_ends_it", [False, True])
def test_a_failed_capture_does_not_keep_the_allocator(
    monkeypatch: pytest.MonkeyPatch, torch_ends_it: bool
) -> None:
    cuda = FakeCuda(monkeypatch)
    ended: list[Any] = []

    def end(device: int, pool: Any) -> None:
        if torch_ends_it:
            raise RuntimeError("not currently recording to mempool_id")
        ended.append((device, pool))

    monkeypatch.setattr(CudaCapturer, "_spoiled", False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)
    runs: list[None] = []

    def work() -> tuple[Tensors, Tensors]:
        runs.append(None)
        if len(runs) > 3:  # the warm-ups are over
            raise RuntimeError("operation failed due to a previous error during capture")
        return (), ()

    with pytest.raises(RuntimeError, match="previous error"):
        CudaCapturer(CPU).capture(work)
    if torch_ends_it:
        CudaCapturer(CPU).capture(lambda: ((), ()))
        return
    assert ended == [(0, cuda.pools[-1])]
    with pytest.raises(RuntimeError, match="earlier"):  # in whichever capturer
        CudaCapturer(CPU).capture(lambda: ((), ()))


@pytest.mark.gpu
def test_a_cuda_graph_gives_what_the_network_gives() -> None:
    device = torch.device("cuda", torch.cuda.device_count() - 1)
    plain = GraphRunner(running_mean, device)
    graphed = GraphRunner(running_mean, device, CudaCapturer(device))

    def fill_on(value: float, layout: Layout) -> Callable[[Tensor | None], Tensor]:
        def fill(out: Tensor | None) -> Tensor:
            made = torch.full(layout.picture, value, device=device)
            return made if out is None else out.copy_(made)

        return fill

    with torch.inference_mode(), torch.cuda.device(device):
        for side in (4, 5, 4):
            layout = layout_of(side)
            states: list[Tensors | None] = [None, None]
            for index in range(6):
                results = []
                for number, runner in enumerate((plain, graphed)):
                    step = runner.run(layout, fill_on(index, layout), states[number])
                    states[number] = step.states
                    results.append(values_of(step))
                torch.testing.assert_close(*results)
        assert len(graphed.layouts) == 2
        graphed.clear()


@pytest.mark.gpu
def test_a_graph_follows_the_callers_streams() -> None:
    device = torch.device("cuda")
    runner = GraphRunner(running_mean, device, CudaCapturer(device))
    layout = layout_of(64)
    expected = GraphRunner(running_mean, CPU)
    states = theirs = None
    with torch.inference_mode():
        for index in range(20):
            with torch.cuda.stream(torch.cuda.Stream()):
                made = torch.full(layout.picture, float(index), device=device)
                step = runner.run(layout, lambda out, m=made: m if out is None else out.copy_(m),  # type: ignore[misc]
                                  states)  # fmt: skip
                states = step.states
            theirs = expected.run(layout, filled(index, layout), theirs).states
        torch.cuda.synchronize()
    assert states is not None
    assert theirs is not None
    torch.testing.assert_close([state.cpu() for state in states], list(theirs))
