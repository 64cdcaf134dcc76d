# SPDX-License-Identifier: Apache-2.0
"""Errors of the library as exceptions.

All are `OutflowError`; each is also the exception of Python's own that fits: ValueError for arguments
that make no sense, FileNotFoundError, PermissionError and their kin for files, MemoryError.
"""

from __future__ import annotations

import os
from typing import Any


class OutflowError(Exception):
    """What went wrong in the library.

    Attributes:
        status: "argument", "memory", "io", "format", "unsupported", "mismatch", "numeric" or
            "internal".
        setting: the one setting that would help ("general_model"), "" where there is none.
        message: one line that names the place, the reason and, where there is one, the remedy.
        os_error: with "io" the errno of what failed, `errno.ENOENT` for example; else 0.

    >>> str(OutflowError("format", "", "a.png: not an image"))
    'a.png: not an image'
    """

    def __init__(self, status: str, setting: str, message: str, os_error: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.setting = setting
        self.message = message
        self.os_error = os_error

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.setting, self.message, self.os_error)

    def placed(self, place: str) -> OutflowError:
        """The same error, whose message begins with where it was."""
        return type(self)(self.status, self.setting, f"{place}: {self.message}", self.os_error)


class OutflowValueError(OutflowError, ValueError):
    """Something was passed that makes no sense: also a ValueError."""


class OutflowOSError(OutflowError, OSError):
    """A file could not be opened, read or written: also an OSError, with its `errno`."""

    def __init__(self, status: str, setting: str, message: str, os_error: int = 0) -> None:
        super().__init__(status, setting, message, os_error)
        if os_error != 0:
            self.errno = os_error
            self.strerror = os.strerror(os_error)


class OutflowFileNotFoundError(OutflowOSError, FileNotFoundError):
    """A file, or a model of that name, does not exist: also a FileNotFoundError."""


class OutflowPermissionError(OutflowOSError, PermissionError):
    """A file must not be read or written: also a PermissionError."""


class OutflowIsADirectoryError(OutflowOSError, IsADirectoryError):
    """A folder where a file is needed: also an IsADirectoryError."""


class OutflowNotADirectoryError(OutflowOSError, NotADirectoryError):
    """A file where a folder is needed: also a NotADirectoryError."""


class OutflowMemoryError(OutflowError, MemoryError):
    """Memory is exhausted: also a MemoryError."""


_KINDS: dict[str, type[OutflowError]] = {
    "argument": OutflowValueError,
    "io": OutflowOSError,
    "memory": OutflowMemoryError,
}

_FILE_KINDS = (
    OutflowFileNotFoundError,
    OutflowPermissionError,
    OutflowIsADirectoryError,
    OutflowNotADirectoryError,
)


def _kind_of(status: str, os_error: int) -> type[OutflowError]:
    """For files the one that is what Python makes of the errno."""
    usual = type(OSError(os_error, ""))
    if status == "io":
        for kind in _FILE_KINDS:
            if issubclass(kind, usual) and usual is not OSError:
                return kind
    return _KINDS.get(status, OutflowError)


def make(status: str, message: bytes, setting: str, os_error: int) -> OutflowError:
    """The exception for an error of the library."""
    text = message.decode("utf-8", "replace")
    return _kind_of(status, os_error)(status, setting, text, os_error)


def of_os_error(error: OSError, place: str) -> OutflowError:
    """The library's exception for one of Python's own."""
    number = error.errno or 0
    return _kind_of("io", number)("io", "", f"{place}: {error.strerror or error}", number)
