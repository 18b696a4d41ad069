"""Let the reference network label pictures and clips once, and cache what it says as plain arrays.

    RVM_TRAIN_DATA=DIR python tools/label_teacher.py stills --teacher rvm.onnx --cache CACHE
    RVM_TRAIN_DATA=DIR python tools/label_teacher.py clips  --teacher rvm.onnx --cache CACHE
    python tools/label_teacher.py people --data EXTRA --judge selfie.onnx --teacher .. --cache ..

``DIR`` holds ``train/ccp/images`` and ``clips/``, ``EXTRA`` folders ``people/*.jpg`` and
``checked/*.jpg``. Of the former a second network judges, and where the two see different people the
picture is left out; of the latter somebody has looked at the teacher's matte. The cache is never
part of the project:

    CACHE/stills/{rgb,alpha,fgr}.npy      uint8 [N,576,384,3], [N,576,384], [N,576,384,3]
    CACHE/stills/names.json               the N file stems, in row order
    CACHE/clips/<name>.{rgb,alpha,fgr}.npy  uint8 [T,h,w,3], [T,h,w], [T,h,w,3]; long side 448
    CACHE/people/<name>.{rgb,alpha,fgr}.npy uint8 [h,w,3], [h,w], [h,w,3]; long side 576
    CACHE/checked/<name>..                  the same of those that were looked at

Rows of a still that is not labelled yet have alpha 255 in ``done.npy`` == 0; a run that was cut
off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from rvm.evaluation.candidates import Candidate, selfie
from rvm.training.material import intersection_over_union

log = logging.getLogger("label_teacher")

STILL_SIZE = (576, 384)
CLIP_LONG_SIDE = 448
STILL_RATIO = 0.75
STILL_PASSES = 2
PEOPLE_LONG_SIDE = 576
PEOPLE_MIN_IOU = 0.85
PERSON_PREFIXES = (
    "asl", "talk", "webcam", "phone", "half", "sit", "walk", "torso", "hands", "full", "two",
    "speaker", "overhead",
)  # fmt: skip

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class Teacher:
    """The reference network behind ``label(rgb)``; carries its own recurrent state."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._state: list[Float32] = []
        self.reset()

    def reset(self) -> None:
        """Forget every frame seen so far."""
        self._state = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def label(self, rgb: UInt8, ratio: float) -> tuple[UInt8, UInt8]:
        """One RGB frame [H,W,3] -> alpha [H,W] and foreground colour [H,W,3], all uint8."""
        planar = rgb.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        src: Float32 = np.asarray(planar / 255, np.float32)
        feeds = {f"r{i + 1}i": state for i, state in enumerate(self._state)}
        feeds |= {"src": src, "downsample_ratio": np.array([ratio], np.float32)}
        fgr, pha, *self._state = self._session.run(None, feeds)
        alpha = np.rint(pha[0, 0] * 255).astype(np.uint8)
        return alpha, np.rint(fgr[0].transpose(1, 2, 0) * 255).astype(np.uint8)


def open_stack(path: Path, shape: tuple[int, ...]) -> UInt8:
    """A writable uint8 .npy on disk, created with zeros when it is not there."""
    if path.exists():
        return np.lib.format.open_memmap(path, mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def label_stills(teacher: Teacher, data: Path, cache: Path, limit: int) -> None:
    """Label train/ccp/images in name order; the first 1,004 are those with masks."""
    images = sorted((data / "train/ccp/images").glob("*.jpg"))
    has_mask = {p.stem for p in (data / "train/ccp/masks").glob("*.png")}
    images.sort(key=lambda p: (p.stem not in has_mask, p.stem))
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "names.json").write_text(json.dumps([p.stem for p in images]))
    height, width = STILL_SIZE
    count = len(images)
    rgb = open_stack(cache / "rgb.npy", (count, height, width, 3))
    alpha = open_stack(cache / "alpha.npy", (count, height, width))
    fgr = open_stack(cache / "fgr.npy", (count, height, width, 3))
    done = open_stack(cache / "done.npy", (count,))
    for row, path in enumerate(images[:limit] if limit else images):
        if done[row]:
            continue
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise OSError(f"cannot read {path}")
        resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        rgb[row] = resized[:, :, ::-1]
        teacher.reset()
        for _ in range(STILL_PASSES):
            alpha[row], fgr[row] = teacher.label(rgb[row], STILL_RATIO)
        done[row] = 1
        if row % 50 == 0:
            log.info("stills %d/%d", row, count)


def frames(path: Path, long_side: int, limit: int) -> Iterator[UInt8]:
    """The first ``limit`` RGB frames of a clip, scaled so that the long side fits."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= limit:
                return
            picture = frame.to_ndarray(format="rgb24")
            scale = min(1.0, long_side / max(picture.shape[:2]))
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            yield np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def label_clips(teacher: Teacher, data: Path, cache: Path, limit: int) -> None:
    """Label every clip that shows people, frame after frame with the state carried."""
    cache.mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "clips").iterdir()):
        target = cache / f"{path.stem}.fgr.npy"
        if path.stem.split("_")[0] not in PERSON_PREFIXES or target.exists():
            continue
        teacher.reset()
        pictures = list(frames(path, CLIP_LONG_SIDE, limit))
        labels = [teacher.label(picture, 384 / CLIP_LONG_SIDE) for picture in pictures]
        np.save(cache / f"{path.stem}.rgb.npy", np.stack(pictures))
        np.save(cache / f"{path.stem}.alpha.npy", np.stack([alpha for alpha, _ in labels]))
        np.save(target, np.stack([fgr for _, fgr in labels]))
        log.info("%s: %d frames", path.stem, len(pictures))


def label_people(teacher: Teacher, judge: Candidate, data: Path, cache: Path) -> None:
    """Label every picture that was checked, or that teacher and judge agree on."""
    kept = 0
    for path in sorted([*data.glob("people/*.jpg"), *data.glob("checked/*.jpg")]):
        folder = cache / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{path.stem}.fgr.npy"
        if target.exists():
            continue
        rgb = read_rgb(path, PEOPLE_LONG_SIDE)
        teacher.reset()
        for _ in range(STILL_PASSES):
            alpha, fgr = teacher.label(rgb, STILL_RATIO)
        if folder.name != "checked" and not agree(judge, rgb, alpha):
            log.info("%s: left out", path.name)
            continue
        np.save(folder / f"{path.stem}.rgb.npy", rgb)
        np.save(folder / f"{path.stem}.alpha.npy", alpha)
        np.save(target, fgr)
        kept += 1
    log.info("people: %d kept", kept)


def agree(judge: Candidate, rgb: UInt8, alpha: UInt8) -> bool:
    """Whether the judge sees the same people in a picture [h,w,3] as the matte [h,w] has."""
    seen = judge.matte(rgb) > 0.5
    return intersection_over_union(alpha > 127, seen) >= PEOPLE_MIN_IOU


def read_rgb(path: Path, long_side: int) -> UInt8:
    """A picture as RGB, scaled down so that the long side fits."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"cannot read {path}")
    scale = min(1.0, long_side / max(picture.shape[:2]))
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized[:, :, ::-1], np.uint8)


def main() -> None:
    """Parse the command line and label one kind of material."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", choices=["stills", "clips", "people"])
    parser.add_argument("--data", type=Path, default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--judge", type=Path, help="people: MediaPipe's selfie network")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, default=0, help="stills, or frames of each clip")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    teacher = Teacher(args.teacher, args.threads)
    if args.kind == "stills":
        label_stills(teacher, Path(args.data), args.cache / "stills", args.limit)
    elif args.kind == "people":
        if args.judge is None:
            parser.error("name the judging network with --judge")
        judge = selfie(args.judge, args.threads)
        label_people(teacher, judge, Path(args.data), args.cache)
    else:
        label_clips(teacher, Path(args.data), args.cache / "clips", args.limit or 180)


if __name__ == "__main__":
    main()
