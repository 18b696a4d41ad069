"""Everything that is measured, one case after another, the aims of the project first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rvm.bench.clips import write_clip
from rvm.bench.gpu.loops import (
    GREEN,
    OfficialLoop,
    OwnLoop,
    drawn_frames,
    open_engine,
    random_weights,
)
from rvm.bench.gpu.timing import Samples, timed
from rvm.bench.gpu.traffic import STAGES, composite_bytes, matte_bytes
from rvm.bench.gpu.verdict import Row
from rvm.compositing import make_compositor
from rvm.device import Device, choose_device, choose_precision
from rvm.frame import Frame
from rvm.matting.contracts import auto_ratio
from rvm.sources import open_source

#: The default model's weights for torch, by the registry's name.
_DEFAULT = "compact_torch"
#: Of the reference networks at 4K; elsewhere what their authors advise, as `auto`.
_RATIO_4K = 0.125
REFERENCES = ("mobilenetv3", "resnet50")


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of everything.

    Attributes:
        sizes: name -> (width, height).
        precisions: "fp32", "fp16", "bf16".
        rounds, count, seconds: see `timing.timed`.
        copy_mb: size of the copies that bandwidth is measured with.
        file_frames: length of the file.
        compared_frames: frames whose alpha is compared.
        quick: only a little of each kind.
    """

    sizes: Mapping[str, tuple[int, int]]
    precisions: tuple[str, ...]
    rounds: int
    count: int
    seconds: float
    copy_mb: int
    file_frames: int
    compared_frames: int
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure.

    Attributes:
        about: what it is; part of each of its rows.
        run: measures; returns what to add for each row.
    """

    about: Row
    run: Callable[[], list[Row]]

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(str(value) for value in self.about.values())


@dataclass
class Bench:
    """Makes the cases of a run.

    Args:
        device, settings, weights: as for `GpuBench`.
        scratch: a folder for files.
        gigabytes_per_second: the device's copy bandwidth.
    """

    device: str
    settings: Settings
    weights: Mapping[str, Path]
    scratch: Path
    gigabytes_per_second: float
    _frames: dict[str, list[Frame]] = field(default_factory=dict)

    def all(self) -> Iterator[Case]:
        """The most important ones first."""
        sizes, first = list(self.settings.sizes), self._default_precision
        precisions = [p for p in self.settings.precisions if p != first]
        graphs = (True, False) if self._on_gpu else (False,)
        for size in sizes:
            for captured in graphs:
                yield self._own("compact", size, first, captured)
        yield self._official("mobilenetv3", sizes[0], first)
        for size in sizes:
            yield self._difference("compact", size, first)
        yield self._file(sizes[0])
        for captured in graphs:
            yield self._onnxruntime(sizes[0], captured)
        if self._on_gpu:
            yield self._onnxruntime(sizes[0], False, tensorrt=True)
        if first != "fp32":
            yield self._official("mobilenetv3", sizes[0], "fp32")
        if self.settings.quick:
            return
        for model in REFERENCES:
            for size in sizes:
                for captured in graphs:
                    yield self._own(model, size, first, captured)
            yield self._difference(model, "hd", first)
        yield self._official("resnet50", sizes[0], first)
        for precision in precisions:
            for size in sizes:
                for captured in graphs:
                    yield self._own("compact", size, precision, captured)
            yield self._difference("compact", sizes[0], precision)
        for precision in precisions:
            for model in REFERENCES:
                yield self._own(model, sizes[0], precision, True)

    # ── the kinds ────────────────────────────────────────────────────────────────────────────

    def _own(self, model: str, size: str, precision: str, graphs: bool) -> Case:
        about = self._about("device", model, size, precision) | {"graphs": graphs}
        return Case(about, lambda: self._run_own(model, size, precision, graphs))

    def _run_own(self, model: str, size: str, precision: str, graphs: bool) -> list[Row]:
        width, height = self.settings.sizes[size]
        engine = open_engine(
            self._path(model), self.device, precision, self._ratio(model, size), graphs=graphs
        )
        frames = [engine.upload(frame) for frame in self._drawn(size)]
        stages: Sequence[str] = STAGES if model == "compact" else STAGES[:2]
        if self._on_gpu and not graphs:  # a blur is always a graph there
            stages = tuple(stage for stage in stages if stage != "blur")
        compositors = {stage: self._compositor(stage, size) for stage in stages}
        loops = {
            stage: OwnLoop(engine, frames, compositor, copies=False)
            for stage, compositor in compositors.items()
        }
        samples = self._timed(loops)
        for compositor in compositors.values():
            if compositor is not None:
                compositor.close()
        engine.close()
        rows = []
        for stage, times in samples.items():
            moved = composite_bytes(width, height, stage)
            moved += matte_bytes(width, height, full_size_rgb=model != "compact")
            least_ms = round(moved / self.gigabytes_per_second / 1e6, 4)
            rows.append(
                {"stage": stage, "times": times.summary(), "traffic_mb": round(moved / 1e6, 2),
                 "least_ms": least_ms}
            )  # fmt: skip
        return rows

    def _official(self, model: str, size: str, precision: str) -> Case:
        about = self._about("official", model, size, precision)
        return Case(about, lambda: self._run_official(model, size, precision))

    def _run_official(self, model: str, size: str, precision: str) -> list[Row]:
        weights, ratio = Path(self._path(model)), self._ratio(model, size)
        where, frames = torch.device(self.device), self._drawn(size)
        engine = open_engine(weights, self.device, precision, ratio, graphs=True)
        compositor = self._compositor("colour", size)
        official_ratio = ratio or auto_ratio(*self.settings.sizes[size])
        uploaded = [engine.upload(frame) for frame in frames]
        loops: dict[str, Callable[[], None]] = {}
        for copies, place in ((True, "with copies"), (False, "on the device")):
            own_frames = frames if copies else uploaded
            loops[f"ours {place}"] = OwnLoop(engine, own_frames, compositor, copies=copies)
            loops[f"official {place}"] = OfficialLoop(
                weights, frames, where, precision, official_ratio, copies=copies
            )
        samples = self._timed(loops)
        engine.close()
        rows: list[Row] = [
            {"stage": name, "times": times.summary()} for name, times in samples.items()
        ]
        for row, place in ((rows[0], "with copies"), (rows[2], "on the device")):
            ours, official = samples[f"ours {place}"], samples[f"official {place}"]
            row["times_official"] = round(_median(official.wall) / _median(ours.wall), 2)
        return [{**row, "ratio": official_ratio} for row in rows]

    def _difference(self, model: str, size: str, precision: str) -> Case:
        about = self._about("difference", model, size, precision)
        return Case(about, lambda: self._run_difference(model, size, precision))

    def _run_difference(self, model: str, size: str, precision: str) -> list[Row]:
        path, ratio = self._path(model), self._ratio(model, size)
        frames = drawn_frames(*self.settings.sizes[size], self.settings.compared_frames)
        ours = open_engine(path, self.device, precision, ratio, graphs=True)
        theirs = open_engine(path, "cpu", "fp32", ratio, graphs=False)
        states: list[Any] = [None, None]
        most, means = 0.0, []
        for frame in frames:
            alphas = []
            for index, engine in enumerate((ours, theirs)):
                matte, states[index] = engine.step(engine.upload(frame), states[index])
                alphas.append(torch.as_tensor(matte.alpha).cpu().to(torch.float32) / 255)
            difference = (alphas[0] - alphas[1]).abs()
            most = max(most, float(difference.max()))
            means.append(float(difference.mean()))
        ours.close()
        theirs.close()
        return [
            {"frames": len(frames), "on": self._kind, "most": round(most, 5),
             "mean": round(float(np.mean(means)), 6)}
        ]  # fmt: skip

    def _onnxruntime(self, size: str, graphs: bool, *, tensorrt: bool = False) -> Case:
        about = self._about("onnxruntime", "compact", size, "fp16" if tensorrt else "fp32")
        about |= {"graphs": graphs, "provider": "tensorrt" if tensorrt else self._kind}
        return Case(about, lambda: self._run_onnxruntime(size, graphs, tensorrt))

    def _run_onnxruntime(self, size: str, graphs: bool, tensorrt: bool) -> list[Row]:
        from rvm.matting.graph import GraphEngine
        from rvm.matting.onnxruntime_engine import OnnxRuntimeRunner
        from rvm.matting.weights import find_model, read_verified

        data, entry = read_verified(find_model(None))
        runner = OnnxRuntimeRunner(
            data, "compact", self._device, 8, tensorrt, static=True, capture=graphs
        )
        engine = GraphEngine(runner, name="compact", engine="onnxruntime", entry=entry)
        samples = self._timed({"matte": OwnLoop(engine, self._drawn(size), None, copies=True)})
        engine.close()
        # Frame and alpha are in main memory: the wall is what counts.
        return [{"stage": "matte", "ran_on": runner.provider, "times": samples["matte"].summary()}]

    def _file(self, size: str) -> Case:
        return Case({"group": "file", "size": size}, lambda: self._run_file(size))

    def _run_file(self, size: str) -> list[Row]:
        from rvm import convert

        clip = self.scratch / f"{size}.mp4"
        write_clip(clip, self.settings.sizes[size], self.settings.file_frames, None)
        look: dict[str, Any] = {"model": _DEFAULT, "engine": "torch", "device": self.device}
        convert(clip, "null", background=GREEN, duration_seconds=0.5, **look)  # to warm up
        started = time.perf_counter()
        report = convert(clip, "null", background=GREEN, **look)
        seconds = time.perf_counter() - started
        busy = report.seconds - (report.startup_seconds or 0.0)
        return [
            {"frames": report.frames_out, "fps": round((report.frames_out - 1) / busy, 1),
             "fps_with_start": round(report.frames_out / seconds, 1),
             "decoder": self._decoder_of(clip, report.notes), "notes": list(report.notes),
             "stages": report.stages}
        ]  # fmt: skip

    def _decoder_of(self, clip: Path, notes: Sequence[str]) -> str:
        """What decoded a file: sources say where their frames lie, a run's notes why not there."""
        if any("decoded on the CPU" in note for note in notes):
            return "cpu"
        with open_source(clip, device=self._device.name) as source:
            next(iter(source))
            return "nvdec" if source.device.startswith("cuda") else "cpu"

    # ── what they share ──────────────────────────────────────────────────────────────────────

    def _timed(self, loops: Mapping[str, Callable[[], None]]) -> dict[str, Samples]:
        settings = self.settings
        return timed(
            loops, torch.device(self.device), rounds=settings.rounds, count=settings.count,
            seconds=settings.seconds,
        )  # fmt: skip

    def _about(self, group: str, model: str, size: str, precision: str) -> Row:
        about = {
            "group": group, "model": model, "size": size, "precision": precision,
            "default_precision": precision == self._default_precision,
        }  # fmt: skip
        if model in REFERENCES:
            about["weights"] = "given" if model in self.weights else "random"
        return about

    def _compositor(self, stage: str, size: str) -> Any:
        if stage == "matte":
            return None
        background = {"colour": GREEN, "blur": "blur"}.get(stage) or str(self._picture(size))
        return make_compositor(background, device=self._device.name)

    def _picture(self, size: str) -> Path:
        """A picture file of that size."""
        import cv2

        path = self.scratch / f"{size}.png"
        if not path.exists():
            width, height = self.settings.sizes[size]
            ramp = np.linspace(0, 255, width, dtype=np.uint8)
            cv2.imwrite(str(path), np.dstack([np.tile(ramp, (height, 1))] * 3))
        return path

    def _drawn(self, size: str) -> list[Frame]:
        if size not in self._frames:
            self._frames[size] = drawn_frames(*self.settings.sizes[size])
        return self._frames[size]

    def _path(self, model: str) -> str | Path:
        if model == "compact":
            return _DEFAULT
        return self.weights.get(model) or random_weights(model, self.scratch)

    def _ratio(self, model: str, size: str) -> float | None:
        return _RATIO_4K if model in REFERENCES and size == "4k" else None

    @property
    def _device(self) -> Device:
        return choose_device(self.device)

    @property
    def _kind(self) -> str:
        return self._device.kind

    @property
    def _on_gpu(self) -> bool:
        return self._kind == "cuda"

    @property
    def _default_precision(self) -> str:
        return choose_precision("auto", self._device)


def _median(milliseconds: list[float]) -> float:
    return float(np.median(milliseconds))
