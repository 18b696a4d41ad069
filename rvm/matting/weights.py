"""Which models there are, where their files lie, and the one way to read one: hash first.

`models/manifest.toml` names every model. A file that the manifest pins is read once, hashed, and
only then looked at; what is parsed are the very bytes that were hashed. Files of the project lie
beside the manifest (`rvm/_models` in a wheel, `models/` in a checkout); downloaded ones lie in
`RVM_MODEL_DIR`, or the user's cache folder.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import logging
import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rvm.errors import ModelError, ModelHashError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

#: No model of this kind is larger; a bigger file is refused before it is read.
MAX_MODEL_BYTES = 1 << 30
#: Formats that an engine can open, by the file's suffix.
FORMATS: Mapping[str, str] = {
    ".onnx": "onnx",
    ".safetensors": "safetensors",
    ".pth": "pth",
    ".pt": "pth",
}
_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the manifest.

    Attributes:
        name: what `--model` takes.
        description: one line.
        licence: SPDX identifier, or words.
        contract: input contract (`rvm.matting.contracts`), or "" for files no engine opens.
        format: "onnx", "safetensors", "pth"; any other is listed but cannot be loaded.
        precision: "fp32", "fp16" or "int8".
        file: file name beside the manifest, or None for one that is downloaded.
        url: where it can be downloaded, or None for one that ships.
        sha256: pinned hash, lower-case hex; None means the file cannot be pulled, only passed
            by its path.
        bytes: pinned size, or None.
        default: True for the model that runs when none is named.
        long_side: long side of the network's input that the model does best with, or None.
        size_multiple: both sides of that input are multiples of this, or None.
        far_share: share of the frame below which people are far (`rvm.matting.focus`), or None.
        middle_share: the same for people half way off.
        distant_side: long side of the network's input for people who are farther still, or None.
        mirror_side: long side of the largest input that is looked at mirrored, too, or None.
        torch_twin: name of torch weights that stand for it on a GPU, or None.
        int8_twin: name of the model with 8-bit convolutions that stands for it where they are
            fast, or None.
    """

    name: str
    description: str
    licence: str
    contract: str
    format: str
    precision: str
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    default: bool = False
    long_side: int | None = None
    size_multiple: int | None = None
    far_share: float | None = None
    middle_share: float | None = None
    distant_side: int | None = None
    mirror_side: int | None = None
    torch_twin: str | None = None
    int8_twin: str | None = None

    @property
    def loadable(self) -> bool:
        """True if an engine can open this format."""
        return self.format in FORMATS.values()

    @property
    def pinned(self) -> bool:
        """True if the hash is known, and so the file can be pulled and verified."""
        return self.sha256 is not None

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie once pulled."""
        if self.file is not None:
            return models_dir() / self.file
        return download_dir() / Path(urlsplit(self.url or "").path).name

    @property
    def status(self) -> str:
        """One of "ships", "downloaded", "can be pulled", "by path only", "not loadable"."""
        if not self.loadable:
            return "not loadable"
        if self.path.is_file():
            return "ships" if self.file else "downloaded"
        return "can be pulled" if self.pinned and self.url else "by path only"


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model file that is about to be read.

    Attributes:
        name: registry name, or the file's name.
        path: the file.
        entry: its manifest entry, if it has one.
    """

    name: str
    path: Path
    entry: ModelEntry | None = None

    @property
    def format(self) -> str:
        """Format by manifest or suffix.

        Raises:
            ModelError: the suffix is of no format that an engine opens.
        """
        known = self.entry.format if self.entry else FORMATS.get(self.path.suffix.lower())
        if known is None or known not in FORMATS.values():
            raise ModelError(
                f"{self.path.name}: no engine opens this format; use {', '.join(FORMATS)}"
            )
        return known


def models_dir() -> Path:
    """The folder of the manifest and of the models that ship."""
    packaged = Path(__file__).parents[1] / "_models"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "models"


def download_dir() -> Path:
    """The folder of pulled models: `RVM_MODEL_DIR`, else `models` in the user's cache folder."""
    chosen = os.environ.get("RVM_MODEL_DIR")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("rvm") / "models"


def load_manifest(path: Path | None = None) -> dict[str, ModelEntry]:
    """Read the manifest: name -> entry, in the file's order.

    Args:
        path: another manifest than the project's own.

    Raises:
        ModelError: it is missing or says something impossible.
    """
    return _read_manifest(path or models_dir() / "manifest.toml")


@functools.cache
def _read_manifest(path: Path) -> dict[str, ModelEntry]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"the model manifest {path} is missing; reinstall rvm") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"the model manifest {path} cannot be read: {error}") from None
    entries = {name: _entry(path, name, fields) for name, fields in table.get("models", {}).items()}
    if sum(entry.default for entry in entries.values()) > 1:
        raise ModelError(f"{path}: more than one model is marked as default")
    return entries


def _entry(path: Path, name: str, fields: dict[str, Any]) -> ModelEntry:
    try:
        entry = ModelEntry(name=name, **fields)
    except TypeError as error:
        raise ModelError(f"{path}: model {name}: {error}") from None
    if (entry.file is None) == (entry.url is None):
        raise ModelError(f"{path}: model {name}: needs either file or url")
    if entry.file is not None and (Path(entry.file).name != entry.file or not entry.pinned):
        raise ModelError(f"{path}: model {name}: file must be a plain name with a sha256")
    if entry.sha256 is not None and (len(entry.sha256) != 64 or entry.bytes is None):
        raise ModelError(f"{path}: model {name}: sha256 must be 64 hex digits and come with bytes")
    return entry


def find_model(model: str | Path | None) -> LocatedModel:
    """Find the file behind `--model`: a registry name, a path, or None for the default.

    Raises:
        ModelError: no such name or file, or one that is not on this machine yet; the message
            says how to get it.
    """
    manifest = load_manifest()
    if model is None:
        return _locate_default(manifest)
    if str(model) in manifest:
        return _locate_entry(manifest[str(model)])
    path = Path(model).expanduser()
    if path.is_file():
        return LocatedModel(path.name, path)
    if path.is_dir():
        raise ModelError(f"{path} is a folder, not a model file")
    if path.suffix.lower() in FORMATS or len(path.parts) > 1:
        raise ModelError(f"no such model file: {path}")
    raise ModelError(_unknown(str(model), manifest))


def _locate_default(manifest: Mapping[str, ModelEntry]) -> LocatedModel:
    for entry in manifest.values():
        if entry.default:
            return _locate_entry(entry)
    raise ModelError(
        "no default model is installed; pass --model PATH, or pull one with: rvm models pull NAME "
        "(rvm models list shows the names)"
    )


def _locate_entry(entry: ModelEntry) -> LocatedModel:
    if not entry.loadable:
        raise ModelError(f"model {entry.name} is a {entry.format} file, which no engine opens")
    if entry.path.is_file():
        return LocatedModel(entry.name, entry.path, entry)
    if entry.file is not None:
        raise ModelError(f"the shipped model file {entry.path} is missing; reinstall rvm")
    if not entry.pinned:
        raise ModelError(by_path_only(entry))
    raise ModelError(
        f"model {entry.name} is not on this machine; run: rvm models pull {entry.name}"
    )


def by_path_only(entry: ModelEntry) -> str:
    """The message for a model whose hash nobody published."""
    return (
        f"model {entry.name} has no known sha256, so rvm does not download it; "
        f"get {entry.url} yourself and pass --model PATH"
    )


def _unknown(name: str, manifest: Mapping[str, ModelEntry]) -> str:
    names = [entry.name for entry in manifest.values() if entry.loadable]
    near = difflib.get_close_matches(name, names, _SUGGESTIONS, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown model {name!r}; {hint}Known: {', '.join(names)}, or a path to a file"


def read_verified(model: LocatedModel) -> tuple[bytes, ModelEntry | None]:
    """Read a model file once, and check it before anybody parses it.

    Returns:
        The bytes, and the manifest entry they belong to: the one they were asked for under, or,
        for a path, the one with the same hash, or None.

    Raises:
        ModelError: the file cannot be read, is no regular file, or is too large.
        ModelHashError: size or sha256 differ from what the manifest pins.
    """
    entry = model.entry
    data = _read_regular(model.path, entry.bytes if entry else None)
    digest = hashlib.sha256(data).hexdigest()
    if entry is None:
        logger.info("%s has sha256 %s", model.path, digest)
        known = (e for e in load_manifest().values() if e.sha256 == digest and e.loadable)
        return data, next(known, None)
    if entry.pinned and digest != entry.sha256:
        raise ModelHashError(
            f"{model.path} is not the published {entry.name}: sha256 {digest[:12]}..., expected "
            f"{(entry.sha256 or '')[:12]}...; {_repair(entry)}"
        )
    return data, entry


def _read_regular(path: Path, expected_bytes: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{path} is not a regular file")
            if expected_bytes is not None and status.st_size != expected_bytes:
                raise ModelHashError(
                    f"{path} has {status.st_size} bytes, expected {expected_bytes}; it is damaged "
                    "or another file: fetch it again"
                )
            if status.st_size > MAX_MODEL_BYTES:
                raise ModelError(f"{path} is larger than {MAX_MODEL_BYTES >> 20} MiB: refused")
            return file.read(MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror or error}") from None


def _repair(entry: ModelEntry) -> str:
    return "reinstall rvm" if entry.file else f"run: rvm models pull {entry.name}"


def verify(entry: ModelEntry) -> None:
    """Check the file of a pinned model that is on this machine.

    Raises:
        ModelError: it is not here, or nothing is pinned to check it against.
        ModelHashError: it is another file.
    """
    located = _locate_entry(entry)
    if not entry.pinned:
        raise ModelError(f"model {entry.name} has no known sha256 to check against")
    read_verified(located)
