"""One step of a network over a frame: at all of it, or through a window (`rvm.matting.focus`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rvm.matting.focus import USUAL, Gaze, loses_people
from rvm.matting.mirror import as_many, second_turned
from rvm.matting.refine import Scratch
from rvm.matting.state import Memory, RecurrentState
from rvm.matting.surroundings import Surroundings, sight_of
from rvm.matting.window import Window, moved, spread, whole

if TYPE_CHECKING:
    from rvm.frame import ByteImage, Frame, Matte
    from rvm.matting.contracts import Array, Contract
    from rvm.matting.focus import FocusRule
    from rvm.matting.graph import GraphRunner
    from rvm.matting.reuse import Coefficients


class Look:
    """Runs a graph on what is to be seen of a frame; remembers no frame itself.

    Args:
        owner: the engine, for the states made.
        contract: what the graph wants.
        runner: the graph.
    """

    def __init__(self, owner: object, contract: Contract, runner: GraphRunner) -> None:
        self._owner = owner
        self._contract = contract
        self._runner = runner
        self._scratch = Scratch()

    def step(
        self, frame: Frame, before: RecurrentState | None, scale: float, focus: FocusRule | None
    ) -> tuple[Matte, RecurrentState | None]:
        """The matte of a frame, and the state after it; None where that is no numbers.

        Args:
            frame: the frame.
            before: the state of the frame before.
            scale: side of the network's picture over its best one.
            focus: how the picture follows the people; None leaves it as it is.
        """
        window = before.gaze.window if before else None
        if focus is None or before is None or window is None or before.surroundings is None:
            return self._at_all(frame, before, scale, focus)
        sight = sight_of(frame)
        if before.surroundings.is_cut(sight):
            anew = replace(before.gaze, window=None, far_frames=0)
            return self._at_all(frame, replace(before, gaze=anew), scale, focus)
        return self._through(window, frame, before, scale, focus, sight, before.surroundings)

    def _at_all(
        self, frame: Frame, before: RecurrentState | None, scale: float, focus: FocusRule | None
    ) -> tuple[Matte, RecurrentState | None]:
        """A step that looks at all of the frame."""
        gaze = before.gaze if before else USUAL
        matte, coefficients, memory = self._run(
            frame, whole(frame.size), scale * (focus.scale(gaze) if focus else 1.0),
            before.memory if before else None, before.around if before else None,
        )  # fmt: skip
        if memory is None:
            return matte, None
        surroundings = None
        if focus is not None:
            gaze = focus.after(gaze, matte.alpha, windows=True)
            if gaze.window is not None:
                sight = sight_of(frame)
                surroundings = Surroundings(sight, sight)
        return matte, RecurrentState(
            self._owner, frame.size, memory.tensors, memory.seen, coefficients, gaze,
            surroundings=surroundings,
        )  # fmt: skip

    def _through(
        self, window: Window, frame: Frame, before: RecurrentState, scale: float,
        focus: FocusRule, sight: ByteImage, surroundings: Surroundings,
    ) -> tuple[Matte, RecurrentState | None]:  # fmt: skip
        """A step that looks through a window, and beside that at all of the frame where it must."""
        around, everything = before.around or before.memory, None
        if surroundings.need_a_look(sight, window, frame.size):
            everything, _, memory = self._run(frame, whole(frame.size), scale, around)
            around = memory or around
        part, _, memory = self._run(window.cut(frame), window, scale, before.memory, around)
        if memory is None:
            return spread(part, window, frame.size, self._scratch), None
        after = RecurrentState(
            self._owner, frame.size, memory.tensors, memory.seen, window=window, around=around,
            surroundings=surroundings.after(sight, looked=everything is not None),
        )  # fmt: skip
        if everything is not None and loses_people(part.alpha, everything.alpha[window.inside]):
            return everything, replace(after, gaze=Gaze("far"))
        known = None if everything is None else everything.alpha
        matte = spread(part, window, frame.size, self._scratch, known)
        return matte, replace(after, gaze=focus.after(before.gaze, matte.alpha, windows=True))

    def _run(
        self, picture: Frame, window: Window, scale: float, memory: Memory | None,
        around: Memory | None = None,
    ) -> tuple[Matte, Coefficients | None, Memory | None]:  # fmt: skip
        """Execute the graph.

        Args:
            picture: what lies in the window.
            window: a part of the frame, or all of it.
            scale: see `Contract.scale`.
            memory: of the frame before, of this window or another one.
            around: of all of an earlier frame, for what `memory` is not about.

        Returns:
            the picture's matte, what it was made from, and the new memory, or None where that is
            no numbers.
        """
        contract = self._contract
        contract.scale = scale
        seen = contract.seen_size(picture)
        tensors = self._tensors(memory, around, window, seen)
        feeds = contract.feeds(picture)
        outputs, new = self._runner.run(
            feeds,
            dict(zip(contract.state_inputs, tensors, strict=True)),
            contract.outputs,
            contract.state_outputs,
        )
        matte, coefficients = contract.interpret(picture, feeds, outputs)
        finite = all(map(self._runner.is_finite, new))
        return matte, coefficients, Memory(window, new, seen) if finite else None

    def _tensors(
        self, memory: Memory | None, around: Memory | None, window: Window,
        seen: tuple[int, int] | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        """The recurrent tensors for a window of which the network's picture is that large.

        What they remember is about places, so they are resampled. Measured over fifteen changes of
        size in five clips, the matte then jumped less than after starting afresh every time,
        mostly by half.
        """
        if memory is None:
            return tuple(map(self._contract.fresh_state, self._contract.state_inputs))
        if seen is None or memory.seen is None:
            return memory.tensors
        count = self._contract.looks_at(seen)
        if (memory.window, memory.seen, memory.pictures) == (window, seen, count):
            return memory.tensors
        known = around is not None and around is not memory and around.window != memory.window
        fitted = []
        for number, tensor in enumerate(memory.tensors):
            array = self._upright(tensor, count)
            size = tuple(
                max(1, round(side * new / old))
                for side, new, old in zip(array.shape[:1:-1], seen, memory.seen, strict=True)
            )
            base = None
            if around is not None and known:
                base = self._upright(around.tensors[number], count)
                base = moved(base, around.window, window, size)
            fitted.append(second_turned(moved(array, memory.window, window, size, base)))
        return tuple(fitted)

    def _upright(self, tensor: Any, count: int) -> Array:
        """One recurrent tensor [count,c,h,w] as it lies on the frame, mirror image or not."""
        return as_many(second_turned(self._runner.to_numpy(tensor)), count)
