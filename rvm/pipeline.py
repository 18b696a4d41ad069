"""How a frame travels: source -> matting -> compositing -> sink. Read this first.

    grab thread         caller's thread       compose thread           write thread
    source ──handoff──► upload ► matting ──►  compositing ► download ──queue──► sink

  (`upload` and `download` do something only where the engine works on a GPU.)

* On a GPU a file is decoded there where that can be, and an encoder or sink that takes pictures
  there gets them there; then no frame passes through main memory. Each thread is a `Lane` of its
  own: what one hands over is queued, not done, and the next one's work is queued behind it.
* The grab thread pulls frames from the source. Live, it hands over through a `LatestSlot`: the
  newest frame wins and each one that had to give way is counted. Offline, through a
  `BoundedQueue`: the source waits and nothing is lost.
* Matting carries the recurrent state from frame to frame, so it is strictly in order. Nothing
  after it looks back, so the next frame is matted while this one is composed and encoded: short
  `BoundedQueue`s lie between. A slow sink therefore slows matting, and the one place where frames
  drop stays the handoff, where they are counted.
* Live, `LiveControl` looks at each frame's time afterwards: it lowers quality before frames drop,
  and pauses where the user's share of the processor is used up. A camera that is on demand is a
  source like any other (`rvm.sources.on_demand`); while it is off no frames come.
* However a run ends, all threads are joined, and the sink is closed (what was done is kept under
  its final name) or aborted (it is kept under another name).

How many threads the libraries inside the stages use is decided in `rvm.threads`.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rvm.device import cpu_count
from rvm.errors import InputError, LostFramesError
from rvm.gpu.lanes import Handed, open_lane
from rvm.gpu.sharing import take_seat
from rvm.halves import undivided
from rvm.handoff import BoundedQueue, Handoff, LatestSlot
from rvm.losses import concealment_notes, losses
from rvm.quiet_gc import QuietGc
from rvm.telemetry import Progress, Report, Telemetry, peak_rss_mb
from rvm.threads import divides_frames, opencv_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.compositing.base import Compositor
    from rvm.frame import Composite, Frame, Matte
    from rvm.live_control import LiveControl
    from rvm.matting.matter import Matter
    from rvm.sinks.base import Sink
    from rvm.sources.base import Source, SourceInfo

#: The stages, in the order of travel; the names under which a report lists them.
STAGES = ("grab", "upload", "matting", "compositing", "download", "sink")

#: Between two stages, offline: some to even out slow frames, fewer where they are large.
_OFFLINE_FRAMES_WAITING = 4
_OFFLINE_PIXELS_WAITING = 13_000_000
_LIVE_FRAMES_WAITING = 1
_LIVE_MATTES_WAITING = 1
_OFFLINE_MATTES_WAITING = 2
_POLL_SECONDS = 0.1
_PROGRESS_SECONDS = 0.25


class StopSignal:
    """Asks a running pipeline to end; may be used from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._aborted = threading.Event()

    def request(self) -> None:
        """Take no more frames, write those under way, finalise."""
        self._requested.set()

    def abort(self) -> None:
        """Drop what is under way and leave the output under its partial name."""
        self._aborted.set()
        self._requested.set()

    @property
    def requested(self) -> bool:
        """True after `request` or `abort`."""
        return self._requested.is_set()

    @property
    def aborted(self) -> bool:
        """True after `abort`."""
        return self._aborted.is_set()


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends by itself.

    Attributes:
        seconds: stop taking frames after so much time from the first frame (None: never).
        max_loss: damaged frames an offline run may have before it ends with `LostFramesError`.
    """

    seconds: float | None = None
    max_loss: int = 0


class Pipeline:
    """One run from one source to one sink. Owns and ends all four stages."""

    def __init__(
        self,
        source: Source,
        matter: Matter,
        compositor: Compositor,
        sink: Sink,
        *,
        limits: Limits | None = None,
        stop: StopSignal | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        control: LiveControl | None = None,
    ) -> None:
        self._source = source
        self._matter = matter
        self._compositor = compositor
        self._sink = sink
        self._limits = limits or Limits()
        self._stop = stop or StopSignal()
        self._on_progress = on_progress
        self._control = control
        self._live = source.info.live
        self._whole_frames = not divides_frames(self._live)
        self._device = matter.info.device if matter.info.engine == "torch" else "cpu"
        self._seat = take_seat(self._device)
        waiting = self._seat.queue_size(source.info, _frames_waiting(source.info))
        self._grabbed: Handoff[Handed[Frame]] = (
            LatestSlot() if self._live else BoundedQueue(waiting)
        )
        self._matted: Handoff[Handed[tuple[Frame, Frame, Matte]]] = BoundedQueue(
            _LIVE_MATTES_WAITING if self._live else _OFFLINE_MATTES_WAITING
        )
        self._composed: Handoff[Handed[Composite]] = BoundedQueue(waiting)
        self._telemetry = Telemetry()
        self._quiet_gc = QuietGc(self._live)
        self._compose_error: BaseException | None = None
        self._write_error: BaseException | None = None
        self._compositing_ms = 0.0
        self._started = time.monotonic()
        self._cpu_started = time.process_time()
        self._first_grab: float | None = None
        self._first_out: float | None = None
        self._last_progress = self._started

    def run(self) -> Report:
        """Run to the end of the source, a limit or a stop; return what was measured.

        Raises:
            InputError: not one frame could be read.
            LostFramesError: the input ended early or lost more than `max_loss` frames; what
                came before is finalised in the output.
            RvmError: any other stage failed; the output is kept under its partial name.
        """
        threads = [
            threading.Thread(target=self._grab, name="rvm-grab", daemon=True),
            threading.Thread(target=self._compose_all, name="rvm-compose", daemon=True),
            threading.Thread(target=self._write, name="rvm-write", daemon=True),
        ]
        for thread in threads:
            thread.start()
        error: BaseException | None = None
        try:
            with self._quiet_gc, opencv_threads():
                self._matte_all()
        except BaseException as caught:
            error = caught
        finally:
            error = self._wind_up(threads, error)
        return self._conclude(error)

    # ── the four threads ─────────────────────────────────────────────────────────────────────

    def _grab(self) -> None:
        """source -> handoff."""
        error: BaseException | None = None
        try:
            with open_lane(self._device, decodes=True) as lane:
                frames = iter(self._source)
                while not self._is_over():
                    with self._telemetry.stage("grab"):
                        frame = next(frames, None)
                    if frame is None or not self._grabbed.put(lane.give(frame)):
                        break
                    self._first_grab = self._first_grab or time.monotonic()
        except BaseException as caught:
            error = caught
        self._grabbed.finish(error)

    def _matte_all(self) -> None:
        """handoff -> matting -> queue."""
        with open_lane(self._device) as lane, undivided(self._whole_frames):
            while (grabbed := self._next_frame()) is not None:
                frame = lane.take(grabbed)
                if frame.captured_at_seconds:
                    age_seconds = time.monotonic() - frame.captured_at_seconds
                    self._telemetry.add("age", age_seconds * 1e3)
                started = time.perf_counter()
                with self._telemetry.stage("upload"):
                    uploaded = self._matter.upload(frame)
                with self._telemetry.stage("matting"):
                    matte = self._matter.step(uploaded)
                matting_ms = (time.perf_counter() - started) * 1e3
                if not self._matted.put(lane.give((frame, uploaded, matte))):
                    return  # a later stage failed; its error is collected in _wind_up
                self._report_progress()
                self._quiet_gc.frame_done()
                if self._control is not None:
                    self._control.frame_done(matting_ms + self._compositing_ms)

    def _compose_all(self) -> None:
        """queue -> compositing -> queue."""
        try:
            with open_lane(self._device) as lane, undivided(self._whole_frames):
                while (matted := self._matted.get()) is not None:
                    started = time.perf_counter()
                    composite = self._compose(*lane.take(matted))
                    self._compositing_ms = (time.perf_counter() - started) * 1e3
                    if not self._composed.put(lane.give(composite)):
                        break
        except BaseException as caught:
            self._compose_error = caught
            if not _keeps_output(caught):
                self._composed.cancel()
        self._matted.cancel()
        self._composed.finish()

    def _compose(self, frame: Frame, uploaded: Frame, matte: Matte) -> Composite:
        with self._telemetry.stage("compositing"):
            composite = self._compositor.compose(uploaded, matte)
        with self._telemetry.stage("download"):
            if not self._sink.takes_from_device(composite):
                composite = self._matter.download(composite)
        return dataclasses.replace(composite, source=frame)

    def _write(self) -> None:
        """queue -> sink."""
        try:
            with open_lane(self._device) as lane:
                while (composed := self._composed.get()) is not None:
                    with self._telemetry.stage("sink"):
                        composite = lane.wait(composed)
                        self._sink.write(composite)
                    self._note_arrival(composite)
        except BaseException as caught:
            self._write_error = caught
            self._composed.cancel()

    # ── starting, stopping, ending ───────────────────────────────────────────────────────────

    def _next_frame(self) -> Handed[Frame] | None:
        while True:
            if self._stop.aborted or (self._live and self._is_over()):
                self._grabbed.cancel()  # a live frame that nobody took yet is not missed
            try:
                return self._grabbed.get(_POLL_SECONDS)
            except TimeoutError:
                if self._compose_error or self._write_error:
                    return None

    def _is_over(self) -> bool:
        if self._stop.requested:
            return True
        limit = self._limits.seconds
        if limit is None or self._first_grab is None:
            return False
        return time.monotonic() - self._first_grab >= limit

    def _wind_up(
        self, threads: list[threading.Thread], error: BaseException | None
    ) -> BaseException | None:
        """Join all threads, end the sink and everything else; return the error that counts."""
        if self._stop.aborted or not _keeps_output(error):
            self._matted.cancel()
            self._composed.cancel()
        self._matted.finish()
        self._grabbed.cancel()
        if self._live:
            self._source.close()  # a camera may block for long; closing wakes it
        for thread in threads:
            thread.join()
        self._source.close()
        error = self._write_error or self._compose_error or error
        error = self._end_sink(error) or error
        self._compositor.close()
        self._matter.close()
        self._seat.close()
        return error

    def _end_sink(self, error: BaseException | None) -> BaseException | None:
        """Keep what was done: under its final name unless the output itself is at fault."""
        nothing_done = self._sink.frames_written == 0
        try:
            if self._stop.aborted or not _keeps_output(error) or (error and nothing_done):
                self._sink.abort()
            else:
                self._sink.close()
        except BaseException as caught:
            return error or caught
        return None

    def _conclude(self, error: BaseException | None) -> Report:
        report = self._report()
        written, damaged = report.frames_out, report.damaged
        if isinstance(error, InputError) and written:
            kept = f"{error}; the {written} frames before that are kept"
            raise LostFramesError(kept, report) from error
        if error is not None:
            raise error
        if not self._live and damaged > self._limits.max_loss:
            raise LostFramesError(
                f"{self._source.info.name}: {losses(report)}; allow that with --max-loss {damaged}",
                report,
            )
        return report

    # ── telling ──────────────────────────────────────────────────────────────────────────────

    def _note_arrival(self, composite: Composite) -> None:
        now = time.monotonic()
        self._first_out = self._first_out or now
        captured = composite.source.captured_at_seconds
        if captured:
            self._telemetry.add("latency", (now - captured) * 1e3)

    def _report_progress(self) -> None:
        now = time.monotonic()
        if self._on_progress is None or now - self._last_progress < _PROGRESS_SECONDS:
            return
        self._last_progress = now
        done = self._sink.frames_written
        fps = done / max(now - (self._first_out or now), 1e-9) if done else 0.0
        total = self._source.info.frame_count
        left = (total - done) / fps if total and fps and total >= done else None
        stages = {name: values["p50"] for name, values in self._telemetry.stages(STAGES).items()}
        self._on_progress(Progress(done, total, fps, left, self._grabbed.dropped, stages))

    def _report(self) -> Report:
        seconds = time.monotonic() - self._started
        engine = self._matter.info
        written = self._sink.frames_written
        first = self._first_out
        return Report(
            frames_in=self._grabbed.accepted,
            frames_out=written,
            dropped=self._grabbed.dropped,
            damaged=self._source.damaged,
            seconds=round(seconds, 3),
            fps=round(written / seconds, 2) if seconds else 0.0,
            model=engine.model,
            engine=engine.engine,
            device=engine.device,
            provider=engine.provider,
            precision=engine.precision,
            reason=engine.reason,
            stages=self._telemetry.stages(STAGES),
            age_ms=self._telemetry.summary("age"),
            latency_ms=self._telemetry.summary("latency"),
            startup_seconds=None if first is None else round(first - self._started, 3),
            state_resets=self._matter.resets,
            reopened=self._source.reopened,
            concealed=self._source.concealed,
            quality_changes=self._control.changes if self._control else 0,
            quality_levels=self._control.levels() if self._control else None,
            mattes=self._control.mattes() if self._control else None,
            idle_seconds=round(self._source.idle_seconds, 2) or None,
            cpu_percent=self._cpu_percent(seconds),
            decoder=self._source.device,
            interrupted=self._stop.requested,
            peak_rss_mb=peak_rss_mb(),
            notes=(
                *self._source.info.notes,
                *concealment_notes(self._source.concealed),
                *self._sink.notes,
            ),
        )

    def _cpu_percent(self, seconds: float) -> float:
        used = time.process_time() - self._cpu_started
        return round(100 * used / max(seconds * cpu_count(), 1e-9), 1)


def _frames_waiting(info: SourceInfo) -> int:
    """How many frames may lie between two stages."""
    if info.live:
        return _LIVE_FRAMES_WAITING
    fitting = _OFFLINE_PIXELS_WAITING // (info.width * info.height)
    return max(1, min(_OFFLINE_FRAMES_WAITING, fitting))


def _keeps_output(error: BaseException | None) -> bool:
    """Whether what was written so far deserves its final name.

    An input that ends early and Ctrl-C do not spoil what came before; a failing model or disk
    does.
    """
    return error is None or isinstance(error, (InputError, KeyboardInterrupt))
