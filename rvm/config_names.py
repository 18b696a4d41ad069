"""What a setting may be called: by its name, or like its option (`start_seconds`, `start`)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rvm.config import COMMANDS, flag, rules

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Variables that are no settings: of this project, and of Ruby's version manager.
_OTHER_VARIABLES = frozenset(
    f"RVM_{name}"
    for name in ("MODEL_DIR", "OFFLINE", "SHARED", "TRAIN_DATA", "REQUIRE_GPU", "PATH", "PREFIX")
)
_ALIKE = 0.8


def names(settings: type[DataclassInstance]) -> dict[str, str]:
    """Every name of a setting -> its field."""
    by_option = {flag(settings, n).removeprefix("--").replace("-", "_"): n for n in rules(settings)}
    return by_option | {name: name for name in rules(settings)}


def variables(settings: type[DataclassInstance]) -> Iterator[tuple[str, str]]:
    """(variable, field) for every name of a setting that the environment may set."""
    for name, field in names(settings).items():
        if not rules(settings)[field].command_line_only:
            yield f"RVM_{name.upper()}", field


def misspelt_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that looks like a setting and is none."""
    known = {variable for kind in COMMANDS.values() for variable, _ in variables(kind)}
    never = {f"RVM_{n.upper()}" for kind in COMMANDS.values() for n in names(kind)} - known
    for variable in sorted(environment):
        if variable in never:
            option = variable.removeprefix("RVM_").lower().replace("_", "-")
            yield f"{variable} is ignored: only the command line may say --{option}"
        elif variable.startswith("RVM_") and variable not in known | _OTHER_VARIABLES:
            near = _nearest(variable, known)
            if near:
                yield f"{variable} is ignored: no such setting; did you mean {near}?"


def _nearest(variable: str, known: Iterable[str]) -> str:
    words = [name.removeprefix("RVM_") for name in known]
    close = difflib.get_close_matches(variable.removeprefix("RVM_"), words, 1, _ALIKE)
    return f"RVM_{close[0]}" if close else ""
