"""The reference weights in our network against the reference ONNX file and recorded results.

The ONNX always refines, so the network is told to as well. Both carry their own recurrent state
from frame to frame: an error in the state would grow over the clip.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
import pytest
import torch

from rvm.network import MattingNetwork, RecurrentState, load_network
from rvm.network.export import StaticShape, compare, export_dynamic
from tests.shared_data import shared_path

# Small tensors: a second thread costs more than it brings, all the more on a busy machine.
torch.set_num_threads(1)
TOLERANCE = 1e-3
CLIP_FRAMES = 36
Results = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def network() -> MattingNetwork:
    return load_network(shared_path("reference/rvm_mobilenetv3_reference.safetensors"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    with np.load(shared_path("reference/rvm_parity.npz")) as archive:
        return dict(archive)


def open_reference() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(shared_path("reference/rvm_mobilenetv3_reference.onnx")),
        options,
        providers=["CPUExecutionProvider"],
    )


def run_reference(frames: list[np.ndarray], ratio: float) -> Iterator[Results]:
    """Foreground and alpha of the ONNX file for uint8 RGB frames ``[H, W, 3]``."""
    session = open_reference()
    states = [np.zeros((1, 1, 1, 1), np.float32)] * 4
    for frame in frames:
        feeds = {f"r{i}i": state for i, state in enumerate(states, 1)}
        feeds["src"] = as_input(frame)
        feeds["downsample_ratio"] = np.array([ratio], np.float32)
        foreground, alpha, *states = session.run(None, feeds)
        yield foreground, alpha


def run_ours(
    network: MattingNetwork, frames: list[np.ndarray], ratio: float
) -> Iterator[tuple[np.ndarray, np.ndarray, RecurrentState]]:
    """Foreground, alpha and state of our network for the same."""
    state = RecurrentState.fresh()
    for frame in frames:
        with torch.inference_mode():
            out = network(torch.from_numpy(as_input(frame)), state, ratio, always_refine=True)
        state = out.state
        yield out.foreground.numpy(), out.alpha.numpy(), state


def as_input(frame: np.ndarray) -> np.ndarray:
    scaled = frame.astype(np.float32) / 255
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def read_clip(name: str, count: int) -> list[np.ndarray]:
    """The first frames at half their size (every other pixel), which is enough and quicker."""
    with av.open(str(shared_path(f"data/clips/{name}"))) as container:
        frames = itertools.islice(container.decode(video=0), count)
        return [frame.to_ndarray(format="rgb24")[::2, ::2] for frame in frames]


def largest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).max())


@pytest.mark.parametrize("name", ["a", "b"])
def test_recorded_results(
    network: MattingNetwork, vectors: dict[str, np.ndarray], name: str
) -> None:
    ratio = float(vectors[f"{name}_ratio"][0])
    alphas = vectors[f"{name}_pha"]
    foreground, state = np.empty(0), RecurrentState.fresh()
    for i, result in enumerate(run_ours(network, list(vectors[f"{name}_frames"]), ratio)):
        foreground, alpha, state = result
        assert largest(alpha[0, 0], alphas[i]) <= TOLERANCE, f"frame {i}"
        if name == "a":
            assert largest(foreground[0].transpose(1, 2, 0), vectors["a_fgr"][i]) <= TOLERANCE
    if name == "b":
        assert largest(foreground[0].transpose(1, 2, 0), vectors["b_fgr_last"]) <= TOLERANCE
    recorded = [tuple(int(n) for n in shape) for shape in vectors[f"{name}_state_shapes"]]
    assert list(state.shapes) == recorded
    moments = [(level.mean().item(), level.std().item()) for level in state.levels]
    np.testing.assert_allclose(moments, vectors[f"{name}_state_mean_std"], atol=1e-4)


@pytest.mark.parametrize("name", ["a", "b"])
def test_reference_file_on_the_recorded_frames(
    network: MattingNetwork, vectors: dict[str, np.ndarray], name: str
) -> None:
    ratio, frames = float(vectors[f"{name}_ratio"][0]), list(vectors[f"{name}_frames"])
    pairs = zip(run_ours(network, frames, ratio), run_reference(frames, ratio), strict=True)
    for (our_foreground, our_alpha, _), (foreground, alpha) in pairs:
        assert largest(our_alpha, alpha) <= TOLERANCE
        assert largest(our_foreground, foreground) <= TOLERANCE


# 240 * 0.43 and 320 * 0.43 are no whole numbers: floor and sampling grid have to agree too.
@pytest.mark.parametrize(("clip", "ratio"), [("asl_sister.mkv", 0.6), ("asl_night.mkv", 0.43)])
def test_reference_file_over_a_clip(network: MattingNetwork, clip: str, ratio: float) -> None:
    frames = read_clip(clip, CLIP_FRAMES)
    assert len(frames) == CLIP_FRAMES
    pairs = zip(run_ours(network, frames, ratio), run_reference(frames, ratio), strict=True)
    shown = 0.0
    for (our_foreground, our_alpha, _), (foreground, alpha) in pairs:
        assert largest(our_alpha, alpha) <= TOLERANCE
        assert largest(our_foreground, foreground) <= TOLERANCE
        shown = float(our_alpha.mean())
    assert 0.05 < shown < 0.95, "a person fills part of the picture"


def test_our_export_of_the_reference_weights(network: MattingNetwork, tmp_path: Path) -> None:
    path = tmp_path / "reference.onnx"
    export_dynamic(network, path)
    for trial in (StaticShape(144, 256, 1.0), StaticShape(180, 322, 0.4)):
        assert compare(network, path, trial, frames=4) <= TOLERANCE
