"""The errors a user can meet, one exit code a branch.

    RvmError                      1   something failed while running
    ├── UsageError      (ValueError)          2   wrong option, configuration or argument
    ├── InputError      (OSError)             3   the input cannot be opened, read or decoded
    │   └── UnsafeInputError                  3   the input would open something it does not name
    ├── ModelError      (RuntimeError)        4   a model is missing, unknown, or not what it claims
    │   └── ModelHashError                    4   a model file's sha256 is not the pinned one
    ├── DeviceError     (RuntimeError)        5   no camera, GPU or virtual webcam to work with
    ├── OutputError     (OSError)             6   the output cannot be written
    │   └── OutputExistsError (FileExistsError)  6   it exists and overwriting was not asked for
    └── LostFramesError (RuntimeError)        7   finished, but more frames were lost than allowed

Ctrl-C ends with 130 and SIGTERM with 143; both finalise the file first. Each branch also inherits
the builtin a caller would catch anyway. A message is one plain line that says what to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rvm.telemetry import Report

EXIT_OK = 0
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class RvmError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code: int = 1


class UsageError(RvmError, ValueError):
    """An option, argument or configuration value is wrong."""

    exit_code = 2


class InputError(RvmError, OSError):
    """The input cannot be opened, read or decoded."""

    exit_code = 3


class UnsafeInputError(InputError):
    """The input refers to something other than the one file that was named."""


class ModelError(RvmError, RuntimeError):
    """A model is missing, unknown, or does not follow its contract."""

    exit_code = 4


class ModelHashError(ModelError):
    """A model file does not have the pinned sha256; it was not parsed."""


class DeviceError(RvmError, RuntimeError):
    """A camera, accelerator or virtual webcam is not available."""

    exit_code = 5


class OutputError(RvmError, OSError):
    """The output cannot be written (permission, full disk, codec refused)."""

    exit_code = 6


class OutputExistsError(OutputError, FileExistsError):
    """The output exists and overwriting was not asked for."""


class LostFramesError(RvmError, RuntimeError):
    """The run finished, but lost more frames than was allowed.

    `report` says what was done all the same.
    """

    exit_code = 7

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report
