"""Options of the command line, built from the settings' rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from rvm.cli.console import DEBUG, NORMAL, QUIET, VERBOSE, Console, logging_to
from rvm.config import flag, rules, value_types

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from rvm.config import Rule

_SHORT = {"model": "-m", "overwrite": "-y"}
_GROUPS = {
    name: Group(name, sort_key=position)
    for position, name in enumerate(
        ("Run", "Picture", "Matting", "Load", "Output", "Talk"), start=10
    )
}


def options_for(settings: type[DataclassInstance]) -> type[Any]:
    """A dataclass of the same fields for the parser to fill; None where an option is absent.

    Its fields carry the help, the range and the default of each setting's rule, so the parser
    itself knows none of them; values are checked by `rvm.config_sources.resolve`.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    fields = [
        (
            name,
            Annotated[
                (str if rule.takes_clock else value_types(settings)[name]) | None,
                Parameter(
                    name=[flag(settings, name), *([_SHORT[name]] if name in _SHORT else [])],
                    help=_help(rule, defaults[name]),
                    group=_GROUPS[rule.group],
                    negative=_negative(flag(settings, name), rule, defaults[name]),
                    show_default=False,
                ),
            ],
            dataclasses.field(default=None),
        )
        for name, rule in rules(settings).items()
    ]
    name = settings.__name__.replace("Settings", "Options")
    # cyclopts takes a class of a standard module, the default here, for a plain value.
    namespace = {"__module__": __name__}
    made = dataclasses.make_dataclass(name, fields, frozen=True, kw_only=True, namespace=namespace)
    return Parameter(name="*")(made)


def _help(rule: Rule, default: Any) -> str:
    text = rule.help
    if rule.words:
        text += f": {', '.join(rule.words)}"
    if rule.range:
        text += f" ({rule.range})"
    if default is None:
        return f"{text} [default: {rule.unset}]"
    if isinstance(default, bool):
        return f"{text} [default: {'yes' if default else 'no'}]"
    return f"{text} [default: {default}]"


def _negative(option: str, rule: Rule, default: Any) -> tuple[str, ...]:
    """`--no-x` for a switch, but none for one that is off and can only be set right here."""
    if isinstance(default, bool) and not rule.command_line_only:
        return ("--no-" + option.removeprefix("--"),)
    return ()


ProgressMode = Literal["auto", "bar", "json", "none"]


def _talk(help: str, *names: str, show_default: bool = False) -> Parameter:
    return Parameter(
        name=list(names) or None,
        group=_GROUPS["Talk"],
        negative=(),
        help=help,
        show_default=show_default,
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Talk:
    """Options that every command has: how much is said, and in which form."""

    json: Annotated[bool, _talk("print the result as one JSON object a line")] = False
    quiet: Annotated[bool, _talk("say nothing but errors", "--quiet", "-q")] = False
    verbose: Annotated[bool, _talk("say more", "--verbose", "-v")] = False
    debug: Annotated[bool, _talk("say everything, with tracebacks")] = False
    no_color: Annotated[bool, _talk("no colours (like NO_COLOR=1)")] = False

    @contextmanager
    def console(self, progress: ProgressMode = "auto") -> Iterator[Console]:
        """The console these options ask for; what the library logs meanwhile goes there too."""
        level = DEBUG if self.debug else VERBOSE if self.verbose else NORMAL
        console = Console(
            QUIET if self.quiet else level,
            color=False if self.no_color else None,
            events=progress == "json",
        )
        with logging_to(console):
            yield console


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Running:
    """Options of the commands that run a pipeline and have settings."""

    progress: Annotated[
        ProgressMode,
        _talk(
            "auto: a live line on a terminal, else a line now and then; json: one JSON object a "
            "line for all that is said on stderr",
            show_default=True,
        ),
    ] = "auto"
    config: Annotated[
        str | None, _talk("TOML file with settings, or a preset: call, stream, offline-4k")
    ] = None
    print_config: Annotated[
        bool, _talk("print every setting and where its value comes from, and stop")
    ] = False
    dry_run: Annotated[
        bool,
        _talk(
            "check everything, say what would be done, and stop; cameras and virtual webcams are "
            "looked up at most (on Linux), network cameras are not asked"
        ),
    ] = False


def given(options: Any | None) -> dict[str, Any]:
    """What an instance of an `options_for` class holds, by setting name; None is not given."""
    if options is None:
        return {}
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
