"""Convert every clip of a folder and check what must survive: frames, sound, time, colour.

    tools/check_clips.py CLIPS -o WORK --model MODEL [--background blur] [--only GLOB]

For each clip: `rvm convert CLIP -o WORK/NAME.out.EXT --matte WORK/NAME.matte.mkv`, then both files
are read again and compared with the clip. Prints a Markdown table and ends with 1 if any check
failed. Clips named `bad_*` must be refused with one plain line.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

#: Mean difference, in code values of 8 bit, that encoding may leave on the untouched subject.
COLOUR_LIMIT = 2.0
#: Fewer pixels than this in a whole clip say nothing: the mean is the noise of a codec's block.
LEAST_PIXELS = 1000


@dataclasses.dataclass
class Result:
    """One row of the table."""

    clip: str
    exit_code: int
    said: str = ""
    frames: str = ""
    duration: str = ""
    audio: str = ""
    colour: str = ""
    tags: str = ""
    failures: list[str] = dataclasses.field(default_factory=list)

    def check(self, name: str, good: bool, shown: str) -> str:
        """Remember a failure; return what the table shows."""
        if not good:
            self.failures.append(name)
        return shown if good else f"**{shown}**"


def main() -> int:
    """Run every clip; 0 if all is well."""
    options = parse()
    options.output.mkdir(parents=True, exist_ok=True)
    results = []
    for clip in sorted(options.clips.glob(options.only)):
        if clip.suffix.lower() not in (".mp4", ".mkv", ".mov", ".webm"):
            continue
        result = check_clip(clip, options)
        results.append(result)
        print(row(result), flush=True)
    failed = [result.clip for result in results if result.failures]
    print(f"\n{len(results)} clips, {len(failed)} failed {failed or ''}")
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clips", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--background", default="blur")
    parser.add_argument("--only", default="*")
    return parser.parse_args()


def row(result: Result) -> str:
    """One line of the table."""
    verdict = "ok" if not result.failures else "FAILED: " + ", ".join(result.failures)
    cells = (
        result.clip, result.exit_code, result.frames, result.duration, result.audio,
        result.colour, result.tags, result.said or verdict,
    )  # fmt: skip
    return "|" + "|".join(str(cell) for cell in cells) + "|"


def check_clip(clip: Path, options: argparse.Namespace) -> Result:
    """Convert one clip and compare."""
    suffix = ".mkv" if clip.suffix == ".mkv" else ".mp4"
    out = options.output / f"{clip.stem}.out{suffix}"
    matte = options.output / f"{clip.stem}.matte.mkv"
    command = [
        sys.executable, "-m", "rvm", "convert", str(clip), "-o", str(out), "--matte", str(matte),
        "--background", options.background, "--model", options.model, "--json", "-y", "-q",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    result = Result(clip.name, run.returncode)
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    if clip.name.startswith("bad_"):
        result.said = " / ".join(lines)
        result.check("refused", run.returncode in (3, 7), "")
        result.check("one line", len(lines) == 1 and "Traceback" not in run.stderr, "")
        return result
    if run.returncode != 0:
        result.said = " / ".join(lines)
        result.check("refused with its reason", clip.name.startswith(("odd_", "fmt_")), "")
        result.check("one line", len(lines) == 1, "")
        return result
    report = json.loads(run.stdout)
    compare(result, clip, out, matte, report)
    return result


def compare(result: Result, clip: Path, out: Path, matte: Path, report: dict[str, int]) -> None:
    """Fill a result from the three files."""
    before, after = times(clip), times(out)
    same = report["frames_in"] == report["frames_out"] == len(before) == len(after)
    result.frames = result.check("frames", same, f"{len(before)}/{len(after)}")
    shift = max((abs(a - b) for a, b in zip(before, after, strict=False)), default=0.0)
    frame_seconds = (before[-1] - before[0]) / max(1, len(before) - 1) if before else 0.0
    tick = 0.0011 if out.suffix == ".mkv" else 1e-4
    shown = f"{before[-1] - before[0]:.3f} s, pts within {shift * 1e3:.2f} ms"
    result.duration = result.check("time", shift <= tick, shown) if frame_seconds else "-"
    result.audio = compare_audio(result, clip, out)
    worst = subject_difference(clip, out, matte)
    shown = "no untouched area" if worst is None else f"{worst:.2f}"
    result.colour = result.check("colour", worst is None or worst <= COLOUR_LIMIT, shown)
    mine, theirs = tags(clip), tags(out)
    kept = all(a in (b, *_UNTAGGED) for a, b in zip(mine, theirs, strict=True))
    result.tags = result.check("tags", kept, "kept" if kept else f"{mine}->{theirs}")


def times(path: Path) -> list[float]:
    """Presentation times of every frame, in seconds from the first audio or video packet."""
    with av.open(str(path)) as container:
        stream = first_video(container)
        base = stream.time_base or Fraction(1)
        stamps = [
            float(frame.pts * base) for frame in container.decode(stream) if frame.pts is not None
        ]
    return [stamp - stamps[0] for stamp in sorted(stamps)]


def first_video(container: av.container.InputContainer) -> av.VideoStream:
    """The first real video stream (cover art is not one)."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return container.streams.video[0]


def audio_packets(path: Path) -> tuple[list[str], int, float | None]:
    """Digest of each audio stream's payloads, their count, and first audio minus first video."""
    digests: dict[int, hashlib._Hash] = {}
    count = 0
    first: dict[str, float] = {}
    with av.open(str(path)) as container:
        wanted = [stream for stream in container.streams if stream.type in ("audio", "video")]
        for packet in container.demux(wanted):
            if packet.size == 0 or packet.pts is None:
                continue
            kind = packet.stream.type
            at = float(packet.pts * packet.time_base)
            first[kind] = min(first.get(kind, at), at)
            if kind == "audio":
                count += 1
                digests.setdefault(packet.stream.index, hashlib.sha256()).update(bytes(packet))
    offset = first["audio"] - first["video"] if len(first) == 2 else None
    return [digests[index].hexdigest() for index in sorted(digests)], count, offset


def compare_audio(result: Result, clip: Path, out: Path) -> str:
    """Audio packets: equal payloads, equal offset to the picture."""
    before, after = audio_packets(clip), audio_packets(out)
    if before[1] == 0:
        return "none"
    result.check("audio packets", before[:2] == after[:2], "")
    drift = abs((before[2] or 0) - (after[2] or 0)) * 1e3
    result.check("audio offset", drift <= 1.0, "")
    return f"{before[1]}/{after[1]} equal, offset {drift:.2f} ms"


def subject_difference(clip: Path, out: Path, matte: Path) -> float | None:
    """Largest mean colour shift of a channel over all pixels the matte calls wholly foreground."""
    total, pixels = np.zeros(3), 0
    # An untagged clip means what its output says: a player guesses the same from its size.
    untagged = tags(out)[0]
    befores, afters = pictures(clip, untagged), pictures(out)
    for before, after, alpha in zip(befores, afters, pictures(matte), strict=False):
        if before.shape[:2] != alpha.shape[:2]:  # rotated: the clip's own picture lies on its side
            before = np.rot90(before, -1 if alpha.shape[0] > alpha.shape[1] else 1)
            before = before if before.shape == after.shape else after
        inside = cv2.erode((alpha[..., 1] >= 254).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        after = after[: alpha.shape[0], : alpha.shape[1]]
        total += (after[inside].astype(float) - before[inside]).sum(0)
        pixels += int(inside.sum())
    return None if pixels < LEAST_PIXELS else float(np.abs(total / pixels).max())


def pictures(path: Path, matrix: int = 2) -> Iterator[np.ndarray]:
    """Frames as RGB 8 bit, by the library's own conversion; `matrix` is for untagged ones."""
    with av.open(str(path)) as container:
        for frame in container.decode(first_video(container)):
            known = frame.colorspace if int(frame.colorspace) != 2 else matrix
            yield frame.to_ndarray(format="rgb24", src_colorspace=known)


#: "Unspecified" and "reserved" of ITU-T H.273: an output is tagged even where its clip is not.
_UNTAGGED = (2, 0)
#: H.273 numbers of one and the same BT.601 matrix.
_BT601 = {5: 6}


def tags(path: Path) -> tuple[int, ...]:
    """(matrix, range, primaries, transfer) as the container's decoder says, in H.273 numbers."""
    with av.open(str(path)) as container:
        for frame in container.decode(first_video(container)):
            return (
                _BT601.get(int(frame.colorspace), int(frame.colorspace)), int(frame.color_range),
                int(frame.color_primaries), int(frame.color_trc),
            )  # fmt: skip
    return ()


if __name__ == "__main__":
    raise SystemExit(main())
