"""Train the compact network by a recipe.

    RVM_TRAIN_DATA=DIR python tools/train.py configs/train-compact.toml --cache CACHE --run RUN

RUN receives last.pt, log.jsonl and, with ``--plot``, curves.png. SIGTERM to a worker stops all of
them cleanly; the same command again resumes. Workers, one a core, average their weights over
loopback; on a GPU use one worker. Run ``tools/label_teacher.py`` first.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from rvm.network.compact_export import load_weights
from rvm.training.features import FeatureTeacher
from rvm.training.loop import Trainer, train
from rvm.training.material import Material
from rvm.training.recipe import load_recipe
from rvm.training.sampling import Sampler


def work(rank: int, args: argparse.Namespace) -> None:
    """One worker: everything but the parsing."""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s [{rank}] %(message)s")
    torch.set_num_threads(args.threads)
    if args.workers > 1:
        meeting = f"file://{(args.run / 'meeting').resolve()}"
        dist.init_process_group("gloo", meeting, rank=rank, world_size=args.workers)
    recipe = load_recipe(args.recipe)
    material = Material(Path(args.data), args.cache, extra=args.extra)
    teacher = None if args.teacher is None else FeatureTeacher(args.teacher)
    sampler = Sampler(material, recipe.mixture, recipe.rarities)
    trainer = Trainer(recipe, sampler, args.device, rank, teacher)
    if args.init is not None:  # a checkpoint in RUN still takes precedence
        trainer.start_from(load_weights(args.init))
    deadline = time.monotonic() + args.minutes * 60
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    train(trainer, args.run, until=lambda: stop.is_set() or time.monotonic() > deadline)
    if args.workers > 1:
        dist.destroy_process_group()


def plot(run: Path) -> None:
    """Draw the log's curves to curves.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    names = ["refined", "coarse", "laplacian", "temporal", "foreground", "hints"]
    figure, axes = pyplot.subplots(2, 3, figsize=(12, 6), layout="constrained")
    frames = [line["frames"] / 1000 for line in lines]
    for axis, name in zip(axes.flat, names, strict=True):
        axis.plot(frames, [line[name] for line in lines], linewidth=0.8)
        axis.set(title=name, xlabel="frames seen, thousands", yscale="log")
    figure.savefig(run / "curves.png", dpi=90)


def main() -> None:
    """Parse the command line, start the workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--extra", type=Path, help="folder with backgrounds/*.jpg, rendered/*.png")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="start from these weights, .safetensors or .onnx")
    parser.add_argument("--teacher", type=Path, help="reference weights whose features teach too")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop cleanly after this long")
    parser.add_argument("--plot", action="store_true", help="only draw the curves so far")
    args = parser.parse_args()
    if args.plot:
        plot(args.run)
        return
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    args.run.mkdir(parents=True, exist_ok=True)
    (args.run / "meeting").unlink(missing_ok=True)
    Material(Path(args.data), args.cache)  # prepares the stills once, before the workers start
    if args.workers > 1:
        mp.spawn(work, (args,), nprocs=args.workers)  # type: ignore[attr-defined,no-untyped-call]
    else:
        work(0, args)


if __name__ == "__main__":
    main()
