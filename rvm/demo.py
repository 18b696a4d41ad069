"""A small film that shows what this package does, made without any input.

The portrait of the astronaut Eileen Collins (NASA, public domain) ships inside scikit-image. It is
moved like a hand-held shot, matted, and put before an evening street that is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rvm.errors import OutputError, OutputExistsError, UsageError
from rvm.frame import RGB24, SRGB, ByteImage, Frame
from rvm.sinks.base import Sink
from rvm.sources.base import Source, SourceInfo

if TYPE_CHECKING:
    from rvm.api import OnNotice, OnProgress, OnStart
    from rvm.frame import Composite
    from rvm.pipeline import StopSignal
    from rvm.telemetry import Report

FRAME_RATE = 30
#: Side of the square film in pixels.
SIZE = 640
_GAP = 12  # pixels between the three pictures of the still
_LIGHTS = 70


def portrait() -> ByteImage:
    """The astronaut: (512, 512, 3) uint8 sRGB.

    Raises:
        UsageError: the extra `[demo]` is not installed.
    """
    try:
        from skimage.data import astronaut
    except ImportError:
        raise UsageError(
            "the demo's portrait comes with scikit-image: pip install 'rvm-matting[demo]'"
        ) from None
    picture: ByteImage = np.ascontiguousarray(astronaut()[:, :, :3])  # type: ignore[no-untyped-call]
    return picture


class HandHeldShot(Source):
    """A still picture seen through a camera that somebody holds.

    Position, angle and distance follow sums of slow sines with no common period, all sub-pixel.

    Args:
        picture: (rows, columns, 3) uint8 sRGB.
        seconds: length of the shot.
        size: side of the square frames.
    """

    def __init__(self, picture: ByteImage, seconds: float, size: int = SIZE) -> None:
        self._picture = picture
        self._closed = False
        count = max(1, round(seconds * FRAME_RATE))
        self.info = SourceInfo(
            name="hand-held portrait",
            width=size,
            height=size,
            format=RGB24,
            colour=SRGB,
            time_base=Fraction(1, FRAME_RATE),
            frame_rate=Fraction(FRAME_RATE),
            frame_count=count,
            duration_seconds=count / FRAME_RATE,
        )

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.info.frame_count or 0):
            if self._closed:
                return
            yield self.frame(index)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def frame(self, index: int) -> Frame:
        """Frame number `index`."""
        import cv2

        size = self.info.width
        view = cv2.warpAffine(
            self._picture,
            self._camera(index / FRAME_RATE),
            (size, size),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return Frame(
            planes=(view,),
            format=RGB24,
            width=size,
            height=size,
            pts=index,
            time_base=self.info.time_base,
            index=index,
            colour=SRGB,
            duration=1,
        )

    def _camera(self, seconds: float) -> Any:
        """The 2x3 matrix from a frame's pixels to the picture's."""
        rows, columns = self._picture.shape[:2]
        angle = math.radians(1.4 * math.sin(1.3 * seconds) + 0.5 * math.sin(3.1 * seconds + 1))
        zoom = 1.38 + 0.03 * math.sin(0.9 * seconds + 0.5)
        x = columns * (0.45 + 0.022 * math.sin(1.1 * seconds + 2) + 0.006 * math.sin(4.3 * seconds))
        y = rows * (0.38 + 0.010 * math.sin(1.7 * seconds) + 0.004 * math.sin(3.7 * seconds + 0.3))
        step = min(rows, columns) / (self.info.width * zoom)
        across, down = step * math.cos(angle), step * math.sin(angle)
        middle = self.info.width / 2
        return np.array(
            [
                [across, -down, x - middle * (across - down)],
                [down, across, y - middle * (down + across)],
            ]
        )


def evening_street(width: int, height: int, seed: int = 7) -> ByteImage:
    """Lights out of focus under an evening sky: (height, width, 3) uint8 sRGB.

    Light adds up in linear light, which is what makes overlapping discs look like glass.
    """
    import cv2

    random = np.random.default_rng(seed)
    light = _sky(width, height)
    for _ in range(_LIGHTS):
        near = random.random() ** 2
        radius = (0.018 + 0.05 * near) * height
        x, y = random.random() * width, height * (0.30 + 0.62 * random.beta(2, 2))
        colour = _LAMPS[random.integers(len(_LAMPS))] * (0.2 + 1.1 * random.random() ** 2)
        _add_disc(light, x, y, radius, colour / (1 + 3 * near))
    light = cv2.GaussianBlur(light, (0, 0), 0.0025 * height)
    light += random.normal(0, 0.0008, light.shape).astype(np.float32)  # no banding in the sky
    signal = np.clip(light, 0, 1) ** (1 / 2.2)
    return np.asarray(np.rint(signal * 255), np.uint8)


_LAMPS = np.array(
    [(1.0, 0.62, 0.25), (1.0, 0.8, 0.5), (1.0, 0.35, 0.22), (0.45, 0.75, 1.0), (0.9, 0.5, 0.8)],
    np.float32,
)
_SKY = ((0.0, (0.008, 0.014, 0.045)), (0.40, (0.035, 0.032, 0.10)), (0.62, (0.20, 0.085, 0.09)),
        (0.74, (0.10, 0.045, 0.05)), (1.0, (0.008, 0.008, 0.016)))  # fmt: skip


def _sky(width: int, height: int) -> Any:
    """Linear light (height, width, 3) float32: dusk above, the dark street below."""
    down = np.linspace(0, 1, height)
    stops = [stop for stop, _ in _SKY]
    bands = [np.interp(down, stops, [colour[band] for _, colour in _SKY]) for band in range(3)]
    column = np.stack(bands, axis=1).astype(np.float32)[:, None, :]
    return np.ascontiguousarray(np.broadcast_to(column, (height, width, 3)))


def _add_disc(light: Any, x: float, y: float, radius: float, colour: Any) -> None:
    """Add a disc with a soft edge and a slightly brighter rim, as a lens draws a far lamp."""
    height, width = light.shape[:2]
    top, left = max(0, int(y - radius - 2)), max(0, int(x - radius - 2))
    rows = np.arange(top, min(height, int(y + radius + 3)), dtype=np.float32)[:, None]
    columns = np.arange(left, min(width, int(x + radius + 3)), dtype=np.float32)[None, :]
    distance = np.hypot(columns - x, rows - y) / radius
    inside = np.clip((1 - distance) * radius / 1.5 + 0.5, 0, 1)
    disc = inside * (0.75 + 0.5 * np.clip(distance, 0, 1) ** 6)
    patch = light[top : top + len(rows), left : left + columns.shape[1]]
    patch += disc[:, :, None] * colour


class _KeepOne(Sink):
    """Passes everything on, and draws the still from one of the frames."""

    def __init__(self, sink: Sink, index: int) -> None:
        self._sink = sink
        self._index = index
        self.still: ByteImage | None = None

    def write(self, composite: Composite) -> None:
        if composite.source.index == self._index or self.still is None:
            self.still = before_matte_after(composite)
        self._sink.write(composite)
        self.frames_written = self._sink.frames_written
        self.notes = self._sink.notes

    def close(self) -> None:
        self._sink.close()

    def abort(self) -> None:
        self._sink.abort()


def before_matte_after(composite: Composite) -> ByteImage:
    """Source, matte and result side by side on white: (height, 3 * width + gaps, 3) uint8 sRGB."""
    from rvm.colour.rgb import to_srgb8
    from rvm.media.encode import as_array

    matte = as_array(composite.matte.alpha)
    before, after = (_on_cpu(frame) for frame in (composite.source, composite.picture))
    gap = np.full((composite.source.height, _GAP, 3), 255, np.uint8)
    gray = np.repeat(matte[:, :, None], 3, axis=2)
    return np.concatenate([to_srgb8(before), gap, gray, gap, to_srgb8(after)], axis=1)


def _on_cpu(frame: Frame) -> Frame:
    from rvm.media.encode import as_array

    return frame.with_picture(tuple(as_array(plane) for plane in frame.planes))


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `make_demo` takes besides the folder; see `rvm.convert` for the meanings."""

    model: str | Path | None = None
    device: str = "auto"
    engine: str = "auto"
    background: str | None = None
    seconds: float = 4.0
    overwrite: bool = False


def make_demo(
    folder: str | Path,
    options: DemoOptions | None = None,
    *,
    on_start: OnStart | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    stop: StopSignal | None = None,
) -> Report:
    """Write `rvm-demo.mp4` and `rvm-demo.png` (before, matte, after) into a folder.

    Raises:
        UsageError: the extra `[demo]` is not installed.
        OutputExistsError: one of the two is there, and overwriting was not asked for.
        RvmError: as for `rvm.convert`.
    """
    options = options or DemoOptions()
    folder = Path(folder)
    film, still = folder / "rvm-demo.mp4", folder / "rvm-demo.png"
    shot = HandHeldShot(portrait(), options.seconds)
    _prepare(folder, film, still, overwrite=options.overwrite)
    return _run(shot, film, still, options, on_start, on_progress, on_notice, stop)


def _prepare(folder: Path, *files: Path, overwrite: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    for path in files:
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path} exists; add -y to replace it")


def _run(
    shot: HandHeldShot,
    film: Path,
    still: Path,
    options: DemoOptions,
    on_start: OnStart | None,
    on_progress: OnProgress | None,
    on_notice: OnNotice | None,
    stop: StopSignal | None,
) -> Report:
    import dataclasses
    import tempfile

    from rvm.api import Look, run_stages
    from rvm.pipeline import Limits
    from rvm.sinks import open_sinks

    keepers: list[_KeepOne] = []

    def open_sink(info: SourceInfo) -> Sink:
        sink = open_sinks(film, None, None, info=info, overwrite=options.overwrite)
        keepers.append(_KeepOne(sink, index=(info.frame_count or 0) // 2))
        return keepers[0]

    with tempfile.TemporaryDirectory() as scratch:
        background = options.background
        if background is None:
            background = str(Path(scratch) / "street.png")
            _write_png(Path(background), evening_street(SIZE, SIZE))
        look = Look(
            background=background, model=options.model, device=options.device,
            engine=options.engine,
        )  # fmt: skip
        report = run_stages(
            lambda: shot, open_sink, look, Limits(), stop, on_start, on_progress,
            on_notice=on_notice,
        )  # fmt: skip
    if keepers[0].still is None:
        return report
    _write_png(still, keepers[0].still)
    return dataclasses.replace(report, outputs=(film, still))


def _write_png(path: Path, picture: ByteImage) -> None:
    """Write a picture under a temporary name, then rename it."""
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))
    if not done:
        raise OutputError(f"{path}: the picture could not be encoded")
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(data.tobytes())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
