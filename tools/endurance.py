"""Converts a clip over and over: do memory and speed stay the same after ten thousand frames?

    python tools/endurance.py --clip CLIP --frames 10000

The clip's packets are repeated without coding them anew, so the file is long and real; it is then
converted before a blurred background, encoded as in `tools/bench.py`. Prints, and writes to
benchmarks/results/<date>-<processor>-<cores>-cores-endurance.json, the peak memory so far and the
frames a second since the mark before, at 10, 100, 1000, ... frames.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from rvm.bench import machine
from rvm.bench.clips import ENCODING, SIZES, write_clip
from rvm.bench.results import machine_words, write_result
from rvm.compositing import make_compositor
from rvm.matting.matter import Matter
from rvm.pipeline import Pipeline
from rvm.sinks import open_sinks
from rvm.sources import open_source
from rvm.sources.base import Source
from rvm.telemetry import peak_rss_mb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvm.frame import Frame

_RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
_CLIP_FRAMES = 120


@dataclass(frozen=True, slots=True)
class Mark:
    """What was seen when so many frames had been decoded.

    Attributes:
        frames: decoded so far.
        peak_rss_mb: the largest resident size so far.
        fps: since the mark before.
    """

    frames: int
    peak_rss_mb: float
    fps: float


class Marked(Source):
    """A source that takes a mark at each power of ten, and at the last frame."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.info = source.info
        self.marks: list[Mark] = []

    def __iter__(self) -> Iterator[Frame]:
        before, then, frames, following = 0, time.monotonic(), 0, 10
        for frames, frame in enumerate(self._source, 1):
            yield frame
            if frames == following:
                now = time.monotonic()
                self._mark(frames, (frames - before) / (now - then))
                before, then, following = frames, now, following * 10
        if frames > before:
            self._mark(frames, (frames - before) / (time.monotonic() - then))

    def close(self) -> None:
        """Free the file."""
        self._source.close()

    def _mark(self, frames: int, fps: float) -> None:
        self.marks.append(Mark(frames, peak_rss_mb(), round(fps, 1)))


def repeat(clip: Path, target: Path, frames: int) -> None:
    """Write the clip's video packets over and over, until there are so many frames.

    Args:
        clip: a video that starts with a key frame; read once for each repetition.
        target: a new file of the same container.
    """
    with av.open(str(target), "w") as output:
        stream, start, written = None, 0, 0
        while written < frames:
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                length = 0
                for packet in source.demux(video):
                    if packet.dts is None or packet.pts is None or written == frames:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + start, packet.dts + start
                    packet.stream = stream
                    output.mux(packet)
                    written += 1
                start += length


def make_film(target: Path, size: str, frames: int, clip: Path | None) -> None:
    """A file of so many frames: the clip at this size, repeated."""
    short = target.with_name("short.mp4")
    write_clip(short, SIZES[size], min(frames, _CLIP_FRAMES), clip)
    repeat(short, target, frames)


def endure(film: Path, output: Path, frames: int, model: str | None) -> list[Mark]:
    """Convert a film of so many frames before its blurred background; what was seen on the way."""
    source = Marked(open_source(film))
    sink = open_sinks(
        output, None, None, info=source.info, overwrite=False, audio=False, **ENCODING
    )
    report = Pipeline(source, Matter(model), make_compositor("blur"), sink).run()
    if report.frames_out != frames:
        raise SystemExit(f"{report.frames_out} frames came out of {frames}")
    return source.marks


def main() -> None:
    """Measure, print and write."""
    arguments = _parse()
    before = machine()
    with tempfile.TemporaryDirectory(prefix="rvm-endurance-") as scratch:
        film = Path(scratch) / "film.mp4"
        # In a process of its own: what making the film took must not count.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            other.submit(make_film, film, arguments.size, arguments.frames, arguments.clip).result()
        marks = endure(film, film.with_name("out.mp4"), arguments.frames, arguments.model)
    for mark in marks:
        print(f"{mark.frames:>7} frames  {mark.peak_rss_mb:7.1f} MB  {mark.fps:6.1f} fps")
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "command": _command(arguments),
        "machine": before,
        "marks": [asdict(mark) for mark in marks],
    }
    print(write_result(arguments.out, f"{machine_words(before)} endurance", result))


def _command(arguments: argparse.Namespace) -> str:
    """What to type, without where the clip lay."""
    words = [f"--size {arguments.size} --frames {arguments.frames}"]
    words += [f"--clip {arguments.clip.name}"] if arguments.clip else []
    words += [f"--model {arguments.model}"] if arguments.model else []
    return " ".join(["python tools/endurance.py", *words])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="a real clip, enlarged once; else a drawn one")
    parser.add_argument("--size", choices=list(SIZES), default="1080p")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
