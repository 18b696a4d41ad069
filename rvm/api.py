"""The Python API: `rvm.convert` for files, `rvm.live` for cameras, `rvm.Matter` frame by frame."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import LostFramesError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.compositing.words import BackgroundLike
    from rvm.live_control import LiveWishes
    from rvm.matting.base import EngineInfo
    from rvm.matting.matter import Matter
    from rvm.pipeline import Limits, StopSignal
    from rvm.sinks.base import Sink
    from rvm.sources.base import Source, SourceInfo
    from rvm.telemetry import Notice, Progress, Report

    #: Called once, before the first frame: where it comes from and what will matte it.
    OnStart = Callable[[SourceInfo, EngineInfo], None]
    OnProgress = Callable[[Progress], None]
    OnNotice = Callable[[Notice], None]

#: What lies behind a person when nothing else is asked for.
DEFAULT_CONVERT_BACKGROUND = "#00b140"
DEFAULT_LIVE_BACKGROUND = "blur"

_SILENT = "the recording has no sound: live takes pictures only; record the sound beside it"

_KERNELS = (
    "rvm.matting.fused_picture",
    "rvm.matting.fused_guide",
    "rvm.matting.fused_refine",
    "rvm.compositing.fused_blend",
    "rvm.compositing.fused_fill",
)
#: Where `convert` may decode videos.
DECODERS = ("auto", "cpu", "gpu")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """How a picture is matted and what is put behind it.

    Attributes:
        background: `#rrggbb`, a colour name, an image or video path, `blur`, `blur:STRENGTH`,
            `transparent`, or `none` (the picture stays as it is; for mattes).
        blur_strength: 0..1, for `blur`; None is the default strength.
        linear_light: blend in linear light instead of on the code values.
        model: name in the registry or path of a model file; None is the model that ships.
        device: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
        engine: `auto`, `onnxruntime`, `torch`, `openvino`.
        downsample_ratio: network size over picture size, 0..1; None chooses by size.
        scene_cut_reset: forget the past at a cut whose mean luma change (0..1) is above this;
            None leaves forgetting to the network.
    """

    background: str
    blur_strength: float | None = None
    linear_light: bool = False
    model: str | Path | None = None
    device: str = "auto"
    engine: str = "auto"
    downsample_ratio: float | None = None
    scene_cut_reset: float | None = None

    @property
    def transparent(self) -> bool:
        """Whether the composed picture has alpha."""
        from rvm.compositing import is_transparent

        return is_transparent(self.background)

    @property
    def gpu(self) -> int:
        """Number of the GPU that encodes, where an encoder does it on one."""
        number = self.device.strip().partition(":")[2]
        return int(number) if number.isdecimal() else 0  # what is no number is refused later on


def convert(
    input: str | Path,
    output: str | Path | None = None,
    *,
    background: BackgroundLike | None = None,
    matte: str | Path | None = None,
    foreground: str | Path | None = None,
    blur_strength: float | None = None,
    linear_light: bool = False,
    model: str | Path | None = None,
    device: str = "auto",
    engine: str = "auto",
    downsample_ratio: float | None = None,
    scene_cut_reset: float | None = None,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    fps: float | None = None,
    decoder: str = "auto",
    codec: str = "auto",
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str | None = None,
    audio: bool = True,
    overwrite: bool = False,
    max_loss: int = 0,
    dry_run: bool = False,
    on_start: OnStart | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    stop: StopSignal | None = None,
) -> Report:
    """Matte a video, picture or sequence of pictures from start to end; no frame is lost.

    Args:
        input: a local file, a folder of pictures, or a numbered sequence of them (`shot_%04d.png`).
        output: the composited video or picture, by its suffix; a sequence of pictures where it is
            numbered (`out/%06d.png`) or a folder (`out/`: pictures that were read keep their
            names, a video's are 000000.png and so on). None if only `matte` or `foreground` is
            wanted.
        background: see `Look.background`, or (red, green, blue), 0..255 each; None is green where
            there is an `output`.
        matte: write the alpha here (.mkv is lossless 8-bit gray).
        foreground: write the person's own colours here, on black.
        blur_strength, linear_light, model, device, engine, downsample_ratio, scene_cut_reset:
            see `Look`.
        start_seconds, duration_seconds: the part of the input to convert.
        fps: frames a second of pictures; None is 30. A video keeps its own times.
        decoder: where videos are decoded: `auto` (on the GPU if matting runs there with torch),
            `cpu`, or `gpu` (an error where matting does not run there).
        codec, crf, bitrate, preset: how `output` is encoded; `bitrate` in bits a second.
        audio: copy sound and subtitles untouched.
        overwrite: replace outputs that exist.
        max_loss: damaged frames that are tolerated.
        dry_run: open and check everything, call `on_start`, and write nothing; the report then
            has no frames, and the outputs that would be written.
        on_start, on_progress: called from this thread; must return soon.
        on_notice: told what the run does by itself.
        stop: ends the run early when asked.

    Returns:
        What was done and measured.

    Raises:
        UsageError: nothing to write, or an option that makes no sense.
        InputError: the input cannot be read.
        ModelError: the model is missing or is not what it claims.
        OutputError: the output exists, cannot be written, or is a file that the run reads.
        LostFramesError: it finished, but the input was damaged; the output holds the rest.
    """
    from rvm.pipeline import Limits
    from rvm.sinks import open_sinks
    from rvm.sources import open_source

    outputs = tuple(Path(path) for path in (output, matte, foreground) if path is not None)
    if not outputs:
        raise UsageError("nothing to write: give an output, a matte or a foreground file")
    look = Look(
        background=_words(background, DEFAULT_CONVERT_BACKGROUND if output else "none"),
        blur_strength=blur_strength, linear_light=linear_light, model=model, device=device,
        engine=engine, downsample_ratio=downsample_ratio, scene_cut_reset=scene_cut_reset,
    )  # fmt: skip

    def sink_for(info: SourceInfo) -> Sink:
        return open_sinks(
            output, matte, foreground, info=_with_background(info, look), codec=codec, crf=crf,
            bitrate=bitrate, preset=preset, audio=audio, overwrite=overwrite,
            transparent=look.transparent, gpu=look.gpu,
        )  # fmt: skip

    def source_on(device: str) -> Source:
        return open_source(
            input, start_seconds=start_seconds, duration_seconds=duration_seconds, fps=fps,
            device=device,
        )  # fmt: skip

    run = partial(
        run_stages,
        partial(source_on, _decoding_device(decoder, look)),
        sink_for,
        look,
        Limits(max_loss=max_loss),
        stop,
        on_start,
        on_progress,
        on_notice=on_notice,
        in_software=partial(source_on, "cpu"),
        decode_background=decoder != "cpu",
        dry_run=dry_run,
    )
    return _named(run, str(input), outputs)


def live(
    camera: int | str | Path = 0,
    *,
    to: str | Path = "virtualcam",
    background: BackgroundLike | None = None,
    blur_strength: float | None = None,
    linear_light: bool = False,
    model: str | Path | None = None,
    device: str = "auto",
    engine: str = "auto",
    downsample_ratio: float | None = None,
    scene_cut_reset: float | None = None,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    seconds: float | None = None,
    loop: bool = True,
    governor: bool = True,
    target_ms: float | None = None,
    max_cpu: float | None = None,
    on_demand: bool = False,
    codec: str = "auto",
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    on_start: OnStart | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    stop: StopSignal | None = None,
) -> Report:
    """Matte what a camera shows, at its own pace: the newest frame wins, drops are counted.

    Args:
        camera: index of a camera, a video file (played at its own pace), or a stream's URL.
        to: `virtualcam`, `virtualcam:DEVICE`, `null`, or a file to record into, which gets no
            sound.
        background: see `Look.background`, or (red, green, blue), 0..255 each; None is `blur`.
        width, height, fps: asked of the camera; it may decide otherwise. A file keeps its own.
        seconds: stop after so long; None runs until `stop` or the end.
        loop: play a file again and again.
        governor: keep up by giving up quality in steps before frames, and spare the network
            while nothing moves.
        target_ms: milliseconds that matting and compositing of a frame may take; None is 16, or
            four fifths of the time between two frames where that is longer.
        max_cpu: percent of this machine's cores to use at most; None is no limit.
        on_demand: switch the camera off while nobody reads the virtual webcam (Linux).
        blur_strength, linear_light, model, device, engine, downsample_ratio, scene_cut_reset:
            see `Look`.
        codec, crf, bitrate, preset: for recording into a video file; elsewhere they mean nothing.
        overwrite: for recording into a file or pictures.
        dry_run: as for `convert`. Cameras and virtual webcams stay closed; on Linux they are
            looked up. A network camera is not asked.
        on_start, on_progress: called from this thread; must return soon.
        on_notice: told, from any thread, what the run does by itself (quality, camera off or on).
        stop: ends the run when asked.

    Returns:
        What was done and measured; frames_in == frames_out + dropped.

    Raises:
        DeviceError: no such camera, or no virtual webcam driver.
        RvmError: as for `convert`.
    """
    from rvm.live_control import LiveWishes
    from rvm.pipeline import Limits
    from rvm.sinks import is_encoded, open_live_sink
    from rvm.sources import open_source, without_secrets
    from rvm.telemetry import Notice

    look = Look(
        background=_words(background, DEFAULT_LIVE_BACKGROUND), blur_strength=blur_strength,
        linear_light=linear_light, model=model, device=device, engine=engine,
        downsample_ratio=downsample_ratio, scene_cut_reset=scene_cut_reset,
    )  # fmt: skip

    def sink_for(info: SourceInfo) -> Sink:
        return open_live_sink(
            to, info=_with_background(info, look), codec=codec, crf=crf, bitrate=bitrate,
            preset=preset, overwrite=overwrite, transparent=look.transparent, gpu=look.gpu,
            open_devices=not dry_run,
        )  # fmt: skip

    def open_camera() -> Source:
        return open_source(
            camera, live=True, width=width, height=height, fps=fps, loop=loop,
            open_devices=not dry_run,
        )  # fmt: skip

    def started(source: SourceInfo, engine: EngineInfo) -> None:
        if on_start is not None:
            on_start(source, engine)
        if on_notice is not None and is_encoded(to):
            on_notice(Notice("silent", _SILENT))

    recorded = () if str(to).split(":")[0] in ("virtualcam", "null") else (Path(to),)
    run = partial(
        run_stages,
        open_camera,
        sink_for,
        look,
        Limits(seconds=seconds),
        stop,
        started,
        on_progress,
        LiveWishes(governor, target_ms, max_cpu, on_demand),
        on_notice,
        dry_run=dry_run,
    )
    return _named(run, without_secrets(str(camera)), recorded)


def run_stages(
    open_source: Callable[[], Source],
    open_sink: Callable[[SourceInfo], Sink],
    look: Look,
    limits: Limits,
    stop: StopSignal | None,
    on_start: OnStart | None,
    on_progress: OnProgress | None,
    wishes: LiveWishes | None = None,
    on_notice: OnNotice | None = None,
    *,
    in_software: Callable[[], Source] | None = None,
    decode_background: bool = True,
    dry_run: bool = False,
) -> Report:
    """Open the four stages, cheapest checks first, and run them; `wishes` are for live runs.

    Args:
        in_software: opens the source again where it decodes on a device on which the matting then
            turns out not to run.
        decode_background: a background video may be decoded on the device.
        dry_run: close them again instead; what was opened for writing is then gone.
    """
    from rvm.ahead import Ahead
    from rvm.compositing import make_compositor
    from rvm.device import cpu_count
    from rvm.idle import on_demand
    from rvm.live_control import LiveControl
    from rvm.matting.thrift import ThriftyMatter
    from rvm.pipeline import Pipeline

    notify = on_notice if on_notice and not dry_run else lambda notice: None
    with ExitStack() as undo:
        ahead = None
        if wishes is not None:  # a camera takes its time: load the model meanwhile
            ahead = Ahead(lambda: _open_matter(look, wishes, notify, warm=not dry_run))
            undo.callback(ahead.discard)
        source = open_source()
        undo.callback(source.close)
        sink = open_sink(source.info)
        undo.callback(sink.abort)
        if wishes is not None and wishes.on_demand and not dry_run:
            source = on_demand(source, open_source, sink, notify)
            undo.callback(source.close)
        matter = ahead.take() if ahead is not None else _open_matter(look, wishes, notify)
        undo.callback(matter.close)
        device = matter.info.device if matter.info.engine == "torch" else "cpu"
        if in_software is not None and source.device not in ("cpu", device):
            source.close()
            source = in_software()
            undo.callback(source.close)
        if not dry_run:
            matter.prepare(source.info.width, source.info.height, source.info.colour)
        compositor = make_compositor(
            look.background, blur_strength=look.blur_strength, linear_light=look.linear_light,
            device=device, decode_on_device=decode_background,
        )  # fmt: skip
        undo.callback(compositor.close)
        if wishes is not None and not dry_run and device == "cpu":
            _translate_blending(matter, look)
        if on_start is not None:
            on_start(source.info, matter.info)
        if dry_run:
            return _nothing_done(source, matter, sink)
        undo.pop_all()  # from here on the pipeline ends them
    control = None
    if wishes is not None and isinstance(matter, ThriftyMatter):
        control = LiveControl(matter, wishes, source.info.frame_rate, cpu_count(), notify)
    return Pipeline(
        source, matter, compositor, sink,
        limits=limits, stop=stop, on_progress=on_progress, control=control,
    ).run()  # fmt: skip


def _words(background: BackgroundLike | None, usual: str) -> str:
    from rvm.compositing.words import background_words

    return usual if background is None else background_words(background)


def _with_background(info: SourceInfo, look: Look) -> SourceInfo:
    """What sinks are told: the background is read too, so nothing may be written over it."""
    from rvm.compositing import background_file

    background = background_file(look.background)
    return dataclasses.replace(info, files=(*info.files, *([background] if background else [])))


def _named(run: Callable[[], Report], input: str, outputs: tuple[Path, ...]) -> Report:
    """The report of `run` with its input and outputs, also where it goes up with an error."""
    try:
        return dataclasses.replace(run(), input=input, outputs=outputs)
    except LostFramesError as error:
        if error.report is not None:
            error.report = dataclasses.replace(error.report, input=input, outputs=outputs)
        raise


def _nothing_done(source: Source, matter: Matter, sink: Sink) -> Report:
    """The report of a run that was only checked."""
    from rvm.telemetry import Report

    return Report(
        frames_in=0, frames_out=0, dropped=0, damaged=0, seconds=0.0, fps=0.0, stages={},
        decoder=source.device, notes=(*source.info.notes, *sink.notes),
        **dataclasses.asdict(matter.info),
    )  # fmt: skip


def _decoding_device(decoder: str, look: Look) -> str:
    """Where `decoder` (auto, cpu, gpu) means to decode: "cpu" or a CUDA device."""
    from rvm.matting import frame_device

    if decoder not in DECODERS:
        raise UsageError(f"unknown decoder {decoder!r}; use {', '.join(DECODERS)}")
    if decoder == "cpu":
        return "cpu"
    device = frame_device(look.model, engine=look.engine, device=look.device)
    if decoder == "gpu" and device == "cpu":
        raise UsageError(
            "--decoder gpu needs matting on an NVIDIA GPU by the torch engine; see rvm doctor"
        )
    return device


def _translate_blending(matter: Matter, look: Look) -> None:
    """Once on a machine, for live runs: else a camera's first seconds would wait for it and go."""
    from rvm.compositing import make_compositor
    from rvm.jit import is_translated

    if all(map(is_translated, _KERNELS)):
        return
    shown = matter.warm_up()
    if shown is None:
        return
    background = "blur" if look.background.startswith("blur") else "black"
    compositor = make_compositor(background, linear_light=look.linear_light)
    frame, matte = shown
    somebody = matte.alpha.copy()  # nobody is in a grey picture, and then less is blended
    somebody[frame.height // 2 :, frame.width // 3 : frame.width // 2] = 255
    matte = dataclasses.replace(matte, alpha=somebody)
    for _ in range(2):  # what stays the same is looked for in the second one
        compositor.compose(frame, matte)
    compositor.close()


def _open_matter(
    look: Look, wishes: LiveWishes | None, notify: OnNotice, *, warm: bool = False
) -> Matter:
    """Offline every frame goes through the network; live not those that look the same."""
    from rvm.jit import is_translated
    from rvm.matting.matter import Matter
    from rvm.matting.thrift import ThriftyMatter
    from rvm.telemetry import Notice

    open_it = Matter if wishes is None else partial(ThriftyMatter, spare_still=wishes.governor)
    matter = open_it(
        model=look.model, device=look.device, engine=look.engine,
        downsample_ratio=look.downsample_ratio, scene_cut_reset=look.scene_cut_reset,
    )  # fmt: skip
    if matter.info.engine != "torch" and not all(map(is_translated, _KERNELS)):
        text = "preparing fast kernels for this machine; it takes some seconds, and only once"
        notify(Notice("preparing", text))
    if warm:
        matter.warm_up()
    return matter
