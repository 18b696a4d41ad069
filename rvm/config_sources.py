"""Where settings come from, and which wins.

Highest first:

1. the command line;
2. the environment: `RVM_DEVICE=cuda` sets `device`, `RVM_START=1:30` or `RVM_START_SECONDS=90`
   `start_seconds`;
3. the file named by `--config`, or the preset of that name that ships (`--config call`);
   without `--config`: `./rvm.toml`, then `rvm.toml` in the user's configuration folder;
4. the defaults in `rvm.config`.

A file has settings at its top, for every command that knows them, and one table a command
(`[convert]`, `[live]`), which wins. An unknown key is an error. Paths in it begin where the file
lies. `./rvm.toml` may have been unpacked along with somebody's clips, so it cannot choose which
model file is parsed; and no file can allow overwriting.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rvm.config import COMMANDS, check, flag, nearest, rules, value_types
from rvm.config_names import misspelt_variables, names, variables
from rvm.config_paths import from_folder
from rvm.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")

logger = logging.getLogger(__name__)

_FILE_NAME = "rvm.toml"


@dataclass(frozen=True, slots=True)
class Resolved(Generic[Settings]):
    """Merged settings and, for each, where its value came from: a flag, a variable, a file.

    `files` are the configurations that were read.
    """

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layer:
    values: Mapping[str, Any]
    origin: Callable[[str], str]


def resolve(
    settings: type[Settings],
    given: Mapping[str, Any],
    *,
    config: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Resolved[Settings]:
    """Merge the command line, the environment, files and defaults.

    Args:
        settings: the class to fill.
        given: values from the command line by field name; None means not given.
        config: a TOML file, or the name of a preset that ships.
        environment: defaults to `os.environ`.
        folder: where `./rvm.toml` is looked for; defaults to the working folder.

    Raises:
        UsageError: an unknown key, a value of the wrong type or out of range, an unreadable file.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(settings)}
    origins = dict.fromkeys(values, "default")
    files = list(_files(config, folder or Path()))
    layers = [
        *_file_layers(settings, files, chosen=config is not None),
        _environment_layer(settings, environment),
        _command_line_layer(settings, given),
    ]
    for layer in layers:
        values.update(layer.values)
        origins.update({name: layer.origin(name) for name in layer.values})
    return Resolved(settings(**values), origins, tuple(path for path, _ in files))


def find_config(name: str | Path) -> Path:
    """The file of that name, or the preset that ships under it.

    Raises:
        UsageError: neither exists.
    """
    if Path(name).is_file():
        return Path(name)
    known = presets()
    if str(name) in known:
        return known[str(name)]
    raise UsageError(
        f"--config: {name} is neither a file nor a preset that ships ({', '.join(known)})"
    )


def presets() -> dict[str, Path]:
    """The configurations that ship, by name."""
    package = Path(__file__).parent
    folder = package / "_configs"
    if not folder.is_dir():  # run from a checkout
        folder = package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.toml")) if _is_preset(path)}


def _is_preset(path: Path) -> bool:
    """Training recipes lie in the same folder; they have no table of a command."""
    return not COMMANDS.keys().isdisjoint(tomllib.loads(path.read_text(encoding="utf-8")))


def _command_line_layer(settings: type[DataclassInstance], given: Mapping[str, Any]) -> _Layer:
    values = {
        name: check(settings, name, value, flag(settings, name))
        for name, value in given.items()
        if value is not None
    }
    return _Layer(values, lambda name: flag(settings, name))


# ── the environment ──────────────────────────────────────────────────────────────────────────


def _environment_layer(settings: type[DataclassInstance], environment: Mapping[str, str]) -> _Layer:
    """Values of `RVM_<SETTING>`; an empty variable counts as absent.

    Unknown `RVM_` variables are left alone: Ruby's version manager has some of its own. One that
    is nearly a setting is warned of.
    """
    for line in misspelt_variables(environment):
        logger.warning(line)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for variable, name in variables(settings):
        text = environment.get(variable)
        if not text:
            continue
        if name in values:
            raise UsageError(f"{origins[name]} and {variable} are the same setting; give one")
        values[name] = check(settings, name, _parse(value_types(settings)[name], text), variable)
        origins[name] = variable
    return _Layer(values, origins.__getitem__)


_WORDS = {"1": True, "true": True, "yes": True, "on": True} | {
    "0": False, "false": False, "no": False, "off": False
}  # fmt: skip


def _parse(kind: type, text: str) -> Any:
    """The text as that type where it looks like it; `check` then refuses the rest."""
    if kind is bool:
        return _WORDS.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


# ── files ────────────────────────────────────────────────────────────────────────────────────


def _file_layers(
    settings: type[DataclassInstance], files: Sequence[tuple[Path, bool]], *, chosen: bool
) -> Iterator[_Layer]:
    """One layer a file, weakest first; one that was chosen by name must have something to say."""
    for path, trusted in files:
        values = _read(path)[settings]
        _refuse_what_a_file_may_not_say(path, settings, values, trusted)
        if chosen and not values:
            command = next(name for name, kind in COMMANDS.items() if kind is settings)
            raise UsageError(f"--config: {path} has no setting for rvm {command}")
        yield _Layer(values, lambda _, label=str(path): label)  # type: ignore[misc]


def _files(config: str | Path | None, folder: Path) -> Iterator[tuple[Path, bool]]:
    """(file, whether the user chose it), weakest first."""
    if config is not None:
        yield find_config(config), True
        return
    from platformdirs import user_config_path

    mine = user_config_path("rvm", appauthor=False) / _FILE_NAME
    for path, trusted in ((mine, True), (folder / _FILE_NAME, False)):
        if path.is_file():
            yield path, trusted


def _read(path: Path) -> dict[type[DataclassInstance], dict[str, Any]]:
    """The values a file has for each command's settings; the whole file is checked."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    found: dict[type[DataclassInstance], dict[str, Any]] = {k: {} for k in COMMANDS.values()}
    tables = {title: part for title, part in content.items() if isinstance(part, dict)}
    top = {key: value for key, value in content.items() if key not in tables}
    knowing = {key: _those_that_know(path, key) for key in top}
    for kind in COMMANDS.values():
        own = {key: value for key, value in top.items() if kind in knowing[key]}
        found[kind].update(_values(kind, own, path))
    for title, table in tables.items():
        if title not in COMMANDS:
            raise UsageError(f"{path}: unknown table [{title}]{nearest(title, COMMANDS)}")
        kind = COMMANDS[title]
        found[kind].update(_values(kind, table, path, f"{title}."))
    return found


def _those_that_know(path: Path, key: str) -> list[type[DataclassInstance]]:
    known = {name for kind in COMMANDS.values() for name in names(kind)}
    if _plain(key) not in known:
        raise UsageError(f"{path}: {key}: unknown setting{nearest(key, known)}")
    return [kind for kind in COMMANDS.values() if _plain(key) in names(kind)]


def _values(
    kind: type[DataclassInstance], entries: Mapping[str, Any], path: Path, table: str = ""
) -> dict[str, Any]:
    """Checked values by field, from one part of a file."""
    found: dict[str, Any] = {}
    for key, value in entries.items():
        where = f"{path}: {table}{key}"
        name = names(kind).get(_plain(key))
        if name is None:
            raise UsageError(f"{where}: unknown setting{nearest(key, names(kind))}")
        if name in found:
            raise UsageError(f"{where}: the same setting is there under another name; give one")
        if isinstance(value, datetime.time):  # TOML has 00:01:30 without quotes
            value = value.isoformat()
        value = check(kind, name, value, where)
        rule = rules(kind)[name]
        found[name] = from_folder(value, path.parent) if rule.may_be_path else value
    return found


def _plain(key: str) -> str:
    """Files may write `downsample-ratio` like the option, or `downsample_ratio`."""
    return key.replace("-", "_")


def _refuse_what_a_file_may_not_say(
    path: Path, settings: type[DataclassInstance], values: Mapping[str, Any], trusted: bool
) -> None:
    for name in values:
        rule = rules(settings)[name]
        if rule.command_line_only:
            raise UsageError(f"{path}: {name} can only be set on the command line")
        if rule.trusted_only and not trusted:
            raise UsageError(
                f"{path}: {name} is not taken from a file that merely lies in the working folder; "
                f"say --config {_FILE_NAME} if you trust it"
            )


# ── telling ──────────────────────────────────────────────────────────────────────────────────


def to_toml(command: str, resolved: Resolved[Any]) -> str:
    """The settings as a TOML table that can be read back, each with where its value came from.

    Paths are absolute in it, as in a file they begin where the file lies.
    """
    kind: type[DataclassInstance] = type(resolved.settings)
    lines = [f"[{command}]"]
    for name, origin in resolved.origins.items():
        value = getattr(resolved.settings, name)
        rule = rules(kind)[name]
        if rule.may_be_path and value is not None:
            value = from_folder(value, Path.cwd())
        if value is None:
            text = f"# {name}: {rule.unset or 'unset'}"
        elif rule.command_line_only:
            text = f"# {name}: {_toml_value(value)}"
        else:
            text = f"{name} = {_toml_value(value)}"
        lines.append(f"{text:<44} # {origin}")
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
