"""`rvm models`: which models there are, fetching and checking them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cyclopts import App

from rvm.cli.options import Talk
from rvm.errors import ModelError

if TYPE_CHECKING:
    from rvm.cli.console import Console
    from rvm.matting.weights import ModelEntry

_TELL_SECONDS = 2.0

models_app = App(name="models", help="List, fetch and check models.")


@models_app.command(name="list")
def list_models(*, talk: Talk = Talk()) -> int:  # noqa: B008 (frozen)
    """List the models of the registry: the default, and which are here (-v: every one)."""
    from rvm.matting.weights import load_manifest

    with talk.console() as console:
        for entry in load_manifest().values():
            if not (entry.loadable or talk.json or talk.verbose):
                continue
            if talk.json:
                console.json(_as_json(entry))
                continue
            size = f"{entry.bytes / 1e6:.1f} MB" if entry.bytes else "size unknown"
            mark = "*" if entry.default else " "
            console.data(
                f"{mark} {entry.name:<32} {entry.status:<14} {size:>12}  {entry.licence:<12} "
                f"{entry.description}"
            )
        console.say("rvm: * runs when no --model is given; --model also takes a file")
    return 0


@models_app.command(name="pull")
def pull_models(name: str, /, *, talk: Talk = Talk()) -> int:  # noqa: B008
    """Download a model; its sha256 is checked before it is kept.

    Args:
        name: see rvm models list.
    """
    from rvm.matting.download import pull

    with talk.console() as console:
        entry = _entry(name)
        console.say(f"rvm: fetching {entry.name} from {entry.url}")
        path = pull(entry, _Download(console))
        console.json({"name": name, "path": str(path)}) if talk.json else console.data(str(path))
    return 0


@models_app.command(name="verify")
def verify_models(name: str | None = None, /, *, talk: Talk = Talk()) -> int:  # noqa: B008
    """Check the sha256 of one model, or of every model that is here.

    Args:
        name: see rvm models list.
    """
    from rvm.matting.weights import load_manifest, verify

    with talk.console() as console:
        here = [e for e in load_manifest().values() if e.status in ("ships", "downloaded")]
        entries = [_entry(name)] if name else [entry for entry in here if entry.pinned]
        failure: ModelError | None = None
        for entry in entries:
            try:
                verify(entry)
                outcome = "ok"
            except ModelError as error:
                failure, outcome = error, str(error)
            if talk.json:
                console.json({"name": entry.name, "ok": outcome == "ok", "message": outcome})
            else:
                console.data(f"{entry.name}: {outcome}")
        if not entries:
            console.say("rvm: no model of the registry is on this machine")
    return 0 if failure is None else failure.exit_code


@models_app.command(name="path")
def model_path(name: str | None = None, /, *, talk: Talk = Talk()) -> int:  # noqa: B008
    """Print where a model's file lies, or without a name where pulled models go.

    Args:
        name: see rvm models list.
    """
    from rvm.matting.weights import download_dir, find_model

    with talk.console() as console:
        path = download_dir() if name is None else find_model(name).path
        console.json({"path": str(path)}) if talk.json else console.data(str(path))
    return 0


class _Download:
    """Says every few seconds how much has come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_line = time.monotonic() + _TELL_SECONDS

    def __call__(self, done: int, total: int) -> None:
        """Take note of `done` of `total` bytes."""
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _TELL_SECONDS
            self._console.say(f"rvm: {done / 1e6:.1f} of {total / 1e6:.1f} MB")


def _entry(name: str) -> ModelEntry:
    from rvm.config import nearest
    from rvm.matting.weights import load_manifest

    manifest = load_manifest()
    if name not in manifest:
        raise ModelError(f"no model {name!r} in the registry{nearest(name, manifest)}")
    return manifest[name]


def _as_json(entry: ModelEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "default": entry.default,
        "status": entry.status,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "contract": entry.contract,
        "format": entry.format,
        "url": entry.url,
        "path": str(entry.path) if entry.status in ("ships", "downloaded") else None,
        "description": entry.description,
    }
