"""Loading weights: unchanged by name, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rvm.network import (
    CheckpointError,
    MattingNetwork,
    architecture_of,
    build_mobilenetv3,
    load_network,
    load_weights,
    read_checkpoint,
)


class Intruder:
    """Something that unpickling would have to construct."""


@pytest.fixture(scope="module")
def network() -> MattingNetwork:
    torch.manual_seed(0)
    return build_mobilenetv3().eval()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_round_trip(network: MattingNetwork, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_file(network.state_dict(), path)
    loaded = load_network(path)
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_the_fast_refiner_leaves_refiner_weights_aside(
    network: MattingNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    names = load_network(path, "fast").state_dict().keys()
    assert names == {name for name in network.state_dict() if not name.startswith("refiner.")}


def test_names_and_shapes_that_differ_are_told_and_nothing_is_copied(
    network: MattingNetwork,
) -> None:
    tensors = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    tensors["extra"] = tensors.pop("project_mat.conv.bias")
    tensors["project_mat.conv.weight"] = torch.zeros(1, 2, 3)
    with pytest.raises(CheckpointError) as caught:
        load_weights(network, tensors)
    message = str(caught.value)
    assert "1 missing: project_mat.conv.bias" in message
    assert "1 not of this network: extra" in message
    assert "(got [1, 2, 3], expected [4, 16, 1, 1])" in message
    assert "\n" not in message
    assert network.state_dict()["project_seg.conv.weight"].any()


def test_long_lists_are_cut(network: MattingNetwork) -> None:
    with pytest.raises(CheckpointError, match=r"380 missing: .*, \.\.\.$"):
        load_weights(network, {})


def test_the_architecture_is_told_by_the_names() -> None:
    assert architecture_of({"backbone.conv1.weight": torch.zeros(1)}) == "resnet50"
    with pytest.raises(CheckpointError, match=r"no known architecture \(names like a, b\)"):
        architecture_of({"b": torch.zeros(1), "a": torch.zeros(1)})


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    files = {
        "absent.pth": None,
        "empty.pth": b"",
        "text.pth": b"hello, world",
        "empty.safetensors": b"",
        "torn.safetensors": b"\xff" * 64,
    }
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"a": 1}, tmp_path / "number.pth")
    torch.save({"a": Intruder()}, tmp_path / "object.pth")
    for name, content in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    for name in (*files, "list.pth", "number.pth", "object.pth"):
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
