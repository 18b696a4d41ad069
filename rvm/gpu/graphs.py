"""A recurrent network as a CUDA graph: one launch a frame instead of some hundred.

A graph is captured for a layout (shapes and types) and works on fixed buffers. `GraphRunner` hides
that: what it is given is copied into the buffers, and the states it returns are new tensors, so a
step stays a function of picture and state however long a caller keeps a state. One copy is spared:
the graph itself carries its memory over to its next replay, so a stream that goes on where it was
copies no state in.

A layout that comes for the first time runs without a graph, because capturing costs as much as
many frames and a folder of pictures may hold as many sizes; the second time it is captured. The
few latest graphs are kept, so a governor may move between resolutions freely.

In the steady state nothing waits for the device, and memory comes from torch's own cache.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from rvm.gpu import capturing
from rvm.gpu.memory import is_out_of_memory

logger = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...]
Shape = tuple[int, ...]
#: Graphs that are kept: the sizes that the governor and the people in the picture move between.
KEPT_GRAPHS = 8
#: Layouts that are remembered as having come once.
_REMEMBERED = 32
#: Runs before a capture: libraries choose algorithms and make workspaces, which no graph may do.
_WARM_UPS = 3
#: Captures in a row that may fail: another thread's work can spoil one, but hardly three.
_MOST_FAILURES = 3
#: A capture that fails leaves older versions of torch in a state in which the next one asserts
#: (pytorch pull request 180395).
_RECOVERS = torch.__version__ >= TorchVersion("2.12")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a graph is captured for.

    Attributes:
        picture: shape of the network's input.
        picture_dtype: its type.
        states: shapes of the recurrent tensors, all [N, C, h, w].
        state_dtype: their type.
        variant: anything else that changes what the network computes.
    """

    picture: Shape
    picture_dtype: torch.dtype
    states: tuple[Shape, ...]
    state_dtype: torch.dtype
    variant: Hashable = None


class Network(Protocol):
    """What is captured: only work on the device, always the same for a layout."""

    def __call__(self, layout: Layout, picture: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
        """Outputs and new states, none of them in the memory of what was given."""


class Recording(Protocol):
    """One captured piece of work."""

    def replay(self) -> None:
        """Do it again, on the caller's current stream."""

    def release(self) -> None:
        """Free it."""


class Capturer(Protocol):
    """Makes recordings; CUDA's is `CudaCapturer`, tests bring one that needs no GPU."""

    def follow(self) -> None:
        """Order what the caller's stream does from now on after everything replayed before."""

    def capture(
        self, work: Callable[[], tuple[Tensors, Tensors]]
    ) -> tuple[Recording, tuple[Tensors, Tensors]]:
        """Run the work some times and record it; returns what each replay will write into.

        Raises:
            RuntimeError: it cannot be captured.
        """


@dataclass(frozen=True, slots=True)
class Step:
    """What came of a frame.

    Attributes:
        picture: what the network saw.
        outputs: what it returned. Both are valid until the next `GraphRunner.run` only.
        states: new states, which stay.
    """

    picture: Tensor
    outputs: Tensors
    states: Tensors


class GraphRunner:
    """Runs a network, as a graph where it can.

    Args:
        network: what to run.
        device: where.
        capturer: makes graphs; None runs everything piece by piece, as on a CPU.
        kept: graphs that are kept at most.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device,
        capturer: Capturer | None = None,
        kept: int = KEPT_GRAPHS,
    ) -> None:
        self._network = network
        self._device = device
        self._capturer = capturer
        self._kept = kept
        self._graphs: OrderedDict[Layout, _Graph] = OrderedDict()
        self._came_once: OrderedDict[Layout, None] = OrderedDict()
        self._failures = 0

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Layouts that there are graphs for, the one used last at the end."""
        return tuple(self._graphs)

    def run(
        self, layout: Layout, fill: Callable[[Tensor | None], Tensor], states: Tensors | None
    ) -> Step:
        """One step.

        Args:
            layout: of this picture and its states.
            fill: makes the network's picture, in the tensor it is given or else in one of its own.
            states: what `Step.states` was before, or None to start with zeros. Only read.
        """
        if self._capturer is not None:
            self._capturer.follow()
        graph = self._graph_for(layout)
        if graph is not None:
            return graph.run(fill, states)
        picture = fill(None)
        states = states or zero_states(layout, self._device)
        return Step(picture, *self._network(layout, picture, states))

    @property
    def captures(self) -> bool:
        """Whether graphs are made."""
        return self._capturer is not None

    def clear(self) -> None:
        """Free all graphs; they are captured again when they are needed."""
        while self._graphs:
            self._graphs.popitem()[1].release()

    def close(self) -> None:
        """Free everything, the network too. Idempotent."""
        self.clear()
        self._network = _closed

    def _graph_for(self, layout: Layout) -> _Graph | None:
        if self._capturer is None:
            return None
        graph = self._graphs.get(layout)
        if graph is not None:
            self._graphs.move_to_end(layout)
            return graph
        if layout not in self._came_once:
            self._came_once[layout] = None
            if len(self._came_once) > _REMEMBERED:
                self._came_once.popitem(last=False)
            return None
        return self._capture(layout, self._capturer)

    def _capture(self, layout: Layout, capturer: Capturer) -> _Graph | None:
        while len(self._graphs) >= self._kept:
            self._graphs.popitem(last=False)[1].release()
        try:
            graph = _Graph(layout, self._network, self._device, capturer)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            self._note_failure(layout, error)
            return None
        self._failures = 0
        self._graphs[layout] = graph
        return graph

    def _note_failure(self, layout: Layout, error: RuntimeError) -> None:
        """Try again at the layout's second next frame, or, after some failures, never."""
        reason = str(error).strip().partition("\n")[0]
        self._failures += 1
        if self._failures < _MOST_FAILURES and _RECOVERS:
            logger.info("no CUDA graph was made this time: %s", reason)
            self._came_once.pop(layout, None)
            return
        logger.warning("no CUDA graph could be made, frames take longer without: %s", reason)
        self._capturer = None
        self.clear()


class _Graph:
    """A recording with the buffers it works on."""

    def __init__(
        self, layout: Layout, network: Network, device: torch.device, capturer: Capturer
    ) -> None:
        self._picture = torch.zeros(layout.picture, dtype=layout.picture_dtype, device=device)
        self._memory = zero_states(layout, device)
        #: The states whose values `_memory` holds, as they were handed out.
        self._memory_of: Tensors | None = None

        def work() -> tuple[Tensors, Tensors]:
            outputs, new = network(layout, self._picture, self._memory)
            for memory, state in zip(self._memory, new, strict=True):
                memory.copy_(state)
            return outputs, new

        self._recording, (self._outputs, self._states) = capturer.capture(work)

    def run(self, fill: Callable[[Tensor | None], Tensor], states: Tensors | None) -> Step:
        self._remember(states)
        self._memory_of = None  # whatever fails below, the buffers may have changed
        fill(self._picture)
        self._recording.replay()
        new = tuple(state.clone() for state in self._states)
        self._memory_of = new
        return Step(self._picture, self._outputs, new)

    def release(self) -> None:
        self._recording.release()

    def _remember(self, states: Tensors | None) -> None:
        if states is None:
            for memory in self._memory:
                memory.zero_()
        elif states is not self._memory_of:
            for memory, state in zip(self._memory, states, strict=True):
                memory.copy_(state)


def _closed(layout: Layout, picture: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
    raise RuntimeError("the network was closed")


def zero_states(layout: Layout, device: torch.device) -> Tensors:
    """The memory before the first frame, channels last as convolutions on a GPU like it."""
    return tuple(
        torch.zeros(shape, dtype=layout.state_dtype, device=device).contiguous(
            memory_format=torch.channels_last
        )
        for shape in layout.states
    )


class CudaCapturer:
    """CUDA graphs on one device; the graphs of one capturer share their working memory.

    They may, because they are replayed one after the other and each one's results are copied or
    used up before the next replay.
    """

    #: Whether a capture failed from which this torch does not recover, in whichever capturer.
    _spoiled = False

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._last: torch.cuda.Stream | None = None
        self._pool = torch.cuda.graph_pool_handle()
        self._recordings: weakref.WeakSet[_CudaRecording] = weakref.WeakSet()

    def follow(self) -> None:
        """See `Capturer.follow`."""
        current = torch.cuda.current_stream(self._device)
        if self._last is not None and self._last != current:
            current.wait_stream(self._last)
        self._last = current

    def capture(
        self, work: Callable[[], tuple[Tensors, Tensors]]
    ) -> tuple[Recording, tuple[Tensors, Tensors]]:
        """See `Capturer.capture`."""
        if CudaCapturer._spoiled:
            raise RuntimeError("an earlier CUDA graph failed")
        with capturing.LOCK, torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            if self._stream is None:
                # Torch hands out 32 streams of each priority in turns. Only captures take these,
                # so no other thread's work gets into a graph, however many streams there were.
                self._stream = torch.cuda.Stream(self._device, priority=-1)  # type: ignore[no-untyped-call]
            if not self._recordings:  # torch takes no pool again whose graphs are all gone
                self._pool = torch.cuda.graph_pool_handle()
            try:
                self._warm_up(work, self._stream, current)
                graph = torch.cuda.CUDAGraph()
                try:
                    # "thread_local": other threads go on decoding and composing meanwhile.
                    with torch.cuda.graph(
                        graph,
                        pool=self._pool,
                        stream=self._stream,
                        capture_error_mode="thread_local",
                    ):
                        results = work()
                except RuntimeError:
                    self._end_allocating()
                    raise
            finally:
                torch.cuda.set_stream(current)  # a failed capture leaves its own one current
        recording = _CudaRecording(graph, self._device, self._recordings)
        self._recordings.add(recording)
        return recording, results

    def _end_allocating(self) -> None:
        """After a failure: end what torch ends itself only since `_RECOVERS`.

        Else its allocator took everything for a part of the capture, and handed out no memory a
        second time that two streams used: a few thousand 4K frames would fill any GPU.
        """
        end = getattr(torch._C, "_cuda_endAllocateToPool", None)
        end = end or getattr(torch._C, "_cuda_endAllocateCurrentStreamToPool", None)
        if end is None:
            return
        try:
            end(torch.cuda.current_device(), self._pool)
        except RuntimeError:
            return  # torch had ended it
        CudaCapturer._spoiled = True

    def _warm_up(
        self,
        work: Callable[[], tuple[Tensors, Tensors]],
        stream: torch.cuda.Stream,
        current: torch.cuda.Stream,
    ) -> None:
        stream.wait_stream(current)
        try:
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UPS):
                    work()
        finally:  # out of memory, what `work` reads is freed while some of it still runs
            current.wait_stream(stream)


class _CudaRecording:
    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        device: torch.device,
        alive: weakref.WeakSet[_CudaRecording],
    ) -> None:
        self._graph = graph
        self._device = device
        self._alive = alive

    def replay(self) -> None:
        self._graph.replay()

    def release(self) -> None:
        with capturing.LOCK:  # waiting for the device would break another thread's capture
            # A device that failed fails here again, while what it failed at is being reported.
            with contextlib.suppress(RuntimeError):
                torch.cuda.synchronize(self._device)  # the graph may still be running
                self._graph.reset()
            self._alive.discard(self)
