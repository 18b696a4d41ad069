"""What is wrong with the arguments, in one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts.exceptions import MissingArgumentError, UnknownOptionError, UnusedCliTokensError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts.exceptions import CycloptsError


def explain(error: CycloptsError, arguments: Sequence[str]) -> str:
    """The parser's error in words that fit, and where to read on."""
    command = " ".join(("rvm", *(error.command_chain or ())))
    return f"{_what(error, command, arguments)} See {command} --help."


def _what(error: CycloptsError, command: str, arguments: Sequence[str]) -> str:
    if "-" in arguments and isinstance(error, (MissingArgumentError, UnknownOptionError)):
        return "-: standard input and output are not used; give the name of a file."
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        first = error.unused_tokens[0]
        if command == "rvm live":
            return f"{first}: rvm live takes no input; name a camera or clip by --camera {first}."
        return f"{command} takes no {first!r}."
    return str(error)
