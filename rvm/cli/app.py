"""The tree of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from rvm import __version__
from rvm.cli.console import DEBUG, NORMAL, Console
from rvm.cli.parse_errors import explain
from rvm.errors import EXIT_INTERRUPTED, RvmError, UsageError

_HELP = "Cut people out of moving pictures, hair and all, while the camera runs."
_EPILOGUE = """\
Exit codes:
    0  done
    1  failed while running, or some of several inputs failed
    2  wrong option or configuration
    3  an input cannot be opened, read or decoded
    4  a model is missing, or not what it claims
    5  no such camera, GPU or virtual webcam
    6  an output cannot be written
    7  finished, but more frames were lost than allowed
  130  Ctrl-C, and 143 SIGTERM: the output is finished first
       (a second time: given up, the output keeps its .part name)

Results go to stdout, talk goes to stderr (--progress json: as one JSON object
a line). A setting comes from its option, else from RVM_<SETTING> in the
environment (--start: RVM_START), else from --config FILE (or ./rvm.toml, or
rvm.toml in your configuration folder), where paths begin at that file's
place, else it has its default: rvm convert --print-config shows which.
"""


@dataclass(frozen=True, slots=True)
class _Command:
    """One line of the help; its module is imported when the command is used."""

    target: str
    help: str


_COMMANDS = {
    "convert": _Command("convert:convert_command", "Replace the background of a video."),
    "live": _Command("live:live_command", "A camera, live, into a virtual webcam."),
    "demo": _Command("demo:demo_command", "Make a small film that shows what it does."),
    "devices": _Command("devices:devices_command", "Cameras, virtual webcams, GPUs, encoders."),
    "doctor": _Command("doctor:doctor_command", "Check that everything is in place."),
    "bench": _Command("bench:bench_command", "Measure every stage on this machine."),
    "models": _Command("models:models_app", "List, fetch and check models."),
}


def build() -> App:
    """The parser with every command."""
    app = App(
        name="rvm",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        version=__version__,
        version_flags=["--version", "-V"],
    )
    for name, command in _COMMANDS.items():
        app.command(f"rvm.cli.commands.{command.target}", name=name, help=command.help)
    return app


def run(arguments: Sequence[str]) -> int:
    """Parse and run one command; return its exit code. Never raises, never shows a traceback
    unless `--debug` is given."""
    debug = "--debug" in arguments
    console = Console(
        DEBUG if debug else NORMAL,
        color=False if "--no-color" in arguments else None,
        events=_wants_events(arguments),
    )
    try:
        command, bound, _ = build().parse_args(
            list(arguments), exit_on_error=False, print_error=False, verbose=False
        )
        result = command(*bound.args, **bound.kwargs)
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        console.error(explain(error, arguments))
        return UsageError.exit_code
    except RvmError as error:
        _show_trace(console)
        console.error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:
        _show_trace(console)
        console.error(_unexpected(error))
        return RvmError.exit_code


def _wants_events(arguments: Sequence[str]) -> bool:
    """Whether talk is to be JSON; looked up by hand, as what is wrong may be the arguments."""
    return "--progress=json" in arguments or ("--progress", "json") in pairwise(arguments)


def _unexpected(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory; a smaller --downsample-ratio needs less"
    return (
        f"unexpected {type(error).__name__}: {error}; this is a mistake in rvm: please report it "
        "with what --debug prints and the output of rvm doctor --json"
    )


def _show_trace(console: Console) -> None:
    if console.level >= DEBUG:
        console.say(traceback.format_exc().rstrip(), DEBUG)


def _reader_left() -> int:
    """Whoever read stdout has seen enough (`rvm devices | head -1`): that is no failure."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
