"""The command line: parses to a context, a controller runs it; the library knows nothing of it.

stdout carries data only (JSON, paths, tables that were asked for); everything said to a person
goes to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the arguments without the program's name; `sys.argv[1:]` if None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["-V"]):
        # Answered before anything heavy is imported.
        from rvm import __version__

        sys.stdout.write(f"rvm {__version__}\n")
        return 0
    from rvm.cli.app import run
    from rvm.spared import spare_scipy

    spare_scipy()
    return run(arguments)
