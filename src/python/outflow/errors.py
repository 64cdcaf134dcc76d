# SPDX-License-Identifier: Apache-2.0
"""Errors of the library as exceptions."""

from __future__ import annotations

import errno


class OutflowError(Exception):
    """What went wrong in the library.

    Attributes:
        status: "argument", "memory", "io", "format", "unsupported", "mismatch", "numeric" or
            "internal".
        setting: the one setting that would help ("general_model"), "" where there is none.
        message: one line that names the place, the reason and, where there is one, the remedy.
    """

    def __init__(self, status: str, setting: str, message: str) -> None:
        super().__init__(status, setting, message)
        self.status = status
        self.setting = setting
        self.message = message

    def __str__(self) -> str:
        return self.message


class OutflowValueError(OutflowError, ValueError):
    """Something was passed that makes no sense: also a ValueError."""


class OutflowFileNotFoundError(OutflowError, FileNotFoundError):
    """A file, or a model of that name, does not exist: also a FileNotFoundError."""

    def __init__(self, status: str, setting: str, message: str) -> None:
        super().__init__(status, setting, message)
        self.errno = errno.ENOENT


class OutflowOSError(OutflowError, OSError):
    """A file could not be opened, read or written: also an OSError."""


class OutflowMemoryError(OutflowError, MemoryError):
    """Memory is exhausted: also a MemoryError."""


_KINDS: dict[str, type[OutflowError]] = {
    "argument": OutflowValueError,
    "io": OutflowOSError,
    "memory": OutflowMemoryError,
}


def make(status: str, message: bytes, setting: str) -> OutflowError:
    """The exception for an error of the library."""
    text = message.decode("utf-8", "replace")
    if status == "io" and "No such file" in text:
        return OutflowFileNotFoundError(status, setting, text)
    return _KINDS.get(status, OutflowError)(status, setting, text)
