"""The model registry: the manifest, finding models, and refusing what is not what it claims."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from rvm.errors import ModelError, ModelHashError
from rvm.matting import weights
from rvm.matting.weights import LocatedModel, ModelEntry, find_model, load_manifest, read_verified

DATA = b"not a model, but its bytes are known" * 100


def entry_for(data: bytes, **changes: object) -> ModelEntry:
    entry = ModelEntry(
        name="tiny",
        description="a test",
        licence="MIT",
        contract="rvm",
        format="onnx",
        precision="fp32",
        url="https://example.invalid/tiny.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
    )
    return dataclasses.replace(entry, **changes)  # type: ignore[arg-type]


def manifest(folder: Path, text: str) -> Path:
    path = folder / "manifest.toml"
    path.write_text(text)
    return path


ONE = """
[models.one]
description = "d"
licence = "MIT"
contract = "rvm"
format = "onnx"
precision = "fp32"
"""
PINNED = f'sha256 = "{"0" * 64}"\nbytes = 3\n'


class TestManifest:
    def test_the_projects_own_is_sound(self) -> None:
        entries = load_manifest()
        official = entries["rvm_mobilenetv3_fp32"]
        assert official.bytes == 14_975_696
        assert (official.sha256 or "").startswith("88d4531297118f59")
        for entry in entries.values():
            assert entry.description
            assert entry.licence
            assert not entry.loadable or entry.contract
            assert entry.url is None or entry.url.startswith("https://")
        assert sum(entry.default for entry in entries.values()) <= 1

    def test_every_shipped_file_is_there_and_right(self) -> None:
        for entry in load_manifest().values():
            if entry.file is not None:
                weights.verify(entry)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[models.one]\nwrong", "cannot be read"),
            (ONE, "either file or url"),
            (ONE + 'file = "a"\nurl = "https://a/b"\n', "either file or url"),
            (ONE + 'file = "../escape.onnx"\n' + PINNED, "plain name"),
            (ONE + 'file = "a.onnx"\n', "with a sha256"),
            (ONE + 'url = "https://a/b"\nsha256 = "12"\nbytes = 1\n', "64 hex digits"),
            (ONE + 'url = "https://a/b"\nnonsense = 1\n', "nonsense"),
            (ONE.replace('licence = "MIT"\n', "") + 'url = "https://a/b"\n', "licence"),
        ],
    )
    def test_an_impossible_manifest_is_refused(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        with pytest.raises(ModelError, match=message):
            load_manifest(manifest(tmp_path, text))

    def test_one_default_only(self, tmp_path: Path) -> None:
        one = ONE + 'url = "https://a/b"\ndefault = true\n'
        with pytest.raises(ModelError, match="more than one"):
            load_manifest(manifest(tmp_path, one + one.replace("models.one", "models.two")))

    def test_a_missing_manifest_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="reinstall"):
            load_manifest(tmp_path / "manifest.toml")


class TestFindModel:
    @pytest.fixture(autouse=True)
    def _model_dir(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RVM_MODEL_DIR", str(tmp_path / "cache"))

    def test_an_unknown_name_gets_the_nearest_one(self) -> None:
        with pytest.raises(ModelError, match="did you mean rvm_mobilenetv3_fp32"):
            find_model("rvm_mobilenet3_fp32")

    def test_a_name_that_is_not_here_yet_says_how_to_pull_it(self) -> None:
        with pytest.raises(ModelError, match="rvm models pull rvm_mobilenetv3_fp32"):
            find_model("rvm_mobilenetv3_fp32")

    def test_an_unpinned_name_says_to_pass_a_path(self) -> None:
        with pytest.raises(ModelError, match="--model PATH"):
            find_model("rvm_resnet50_fp32")

    def test_a_format_nobody_opens_says_so(self) -> None:
        with pytest.raises(ModelError, match="torchscript"):
            find_model("rvm_resnet50_fp32.torchscript")

    def test_a_missing_path_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no such model file"):
            find_model(tmp_path / "absent.onnx")
        with pytest.raises(ModelError, match="folder"):
            find_model(tmp_path)

    def test_a_path_of_a_foreign_kind_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "model.pb"
        path.write_bytes(b"x")
        with pytest.raises(ModelError, match=r"\.safetensors"):
            _ = find_model(path).format

    def test_without_a_default_it_says_what_to_pass(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest(tmp_path, ONE + 'url = "https://a/b.onnx"\n')
        monkeypatch.setattr(weights, "models_dir", lambda: tmp_path)
        with pytest.raises(ModelError, match="--model PATH"):
            find_model(None)

    def test_the_default_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.onnx").write_bytes(b"abc")
        manifest(tmp_path, ONE + 'file = "a.onnx"\ndefault = true\n' + PINNED)
        monkeypatch.setattr(weights, "models_dir", lambda: tmp_path)
        assert find_model(None).path == tmp_path / "a.onnx"
        with pytest.raises(ModelHashError):
            read_verified(find_model(None))

    def test_a_missing_shipped_file_says_reinstall(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest(tmp_path, ONE + 'file = "a.onnx"\ndefault = true\n' + PINNED)
        monkeypatch.setattr(weights, "models_dir", lambda: tmp_path)
        with pytest.raises(ModelError, match="reinstall"):
            find_model(None)


class TestReadVerified:
    def test_the_right_bytes_come_back(self, tmp_path: Path) -> None:
        path = tmp_path / "m.onnx"
        path.write_bytes(DATA)
        entry = entry_for(DATA)
        assert read_verified(LocatedModel("tiny", path, entry)) == (DATA, entry)

    def test_a_thousand_flipped_bits_are_all_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "m.onnx"
        located = LocatedModel("tiny", path, entry_for(DATA))
        random = np.random.default_rng(0)
        for _ in range(1000):
            damaged = bytearray(DATA)
            damaged[random.integers(len(DATA))] ^= 1 << int(random.integers(8))
            path.write_bytes(damaged)
            with pytest.raises(ModelHashError, match="sha256"):
                read_verified(located)

    @pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"x"])
    def test_another_length_is_refused_without_reading(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "m.onnx"
        path.write_bytes(data)
        with pytest.raises(ModelHashError, match="bytes, expected"):
            read_verified(LocatedModel("tiny", path, entry_for(DATA)))

    def test_a_file_that_is_too_large_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "m.onnx"
        path.write_bytes(DATA)
        monkeypatch.setattr(weights, "MAX_MODEL_BYTES", len(DATA) - 1)
        with pytest.raises(ModelError, match="larger"):
            read_verified(LocatedModel("m.onnx", path))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_device_is_refused(self) -> None:
        with pytest.raises(ModelError, match="regular file"):
            read_verified(LocatedModel("null", Path(os.devnull)))

    def test_a_users_file_with_a_known_hash_takes_that_entry(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "renamed.onnx"
        path.write_bytes(DATA)
        entry = entry_for(DATA)
        monkeypatch.setattr(weights, "load_manifest", lambda: {"tiny": entry})
        assert read_verified(LocatedModel("renamed.onnx", path)) == (DATA, entry)
        path.write_bytes(DATA + b"x")
        assert read_verified(LocatedModel("renamed.onnx", path)) == (DATA + b"x", None)
