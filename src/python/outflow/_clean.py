# SPDX-License-Identifier: Apache-2.0
"""Misfiled, duplicated and broken images of a labelled set."""

from __future__ import annotations

import os
from typing import List, Optional, Union, cast

from .lib import _core
from ._types import CleanFinding

Path = Union[str, "os.PathLike[str]"]


def clean(
    source: Path,
    other: Optional[Path] = None,
    *,
    model: Optional[Path] = None,
    report: Optional[Path] = None,
    rate: float = 0.05,
    suspects: int = 0,
    limit: int = 0,
    threads: int = 0,
) -> List[CleanFinding]:
    """Which labelled images look misfiled, duplicated or broken, the surest first, as
    `outflow clean` does.

    `source` is a folder with a folder for each class, or another source with labels; with `other`,
    say the test set, copies across both are found as well. `model` (a file or an installed model)
    adds evidence. `rate` is the share of wrong ones among the misfiled that is accepted;
    `suspects` more are listed that may well be right. `report` is an HTML page to write.

    >>> clean("synthetic:noise:30")
    []
    """

    def text(path: Optional[Path]) -> Optional[str]:
        return None if path is None else os.fspath(path)

    return cast(
        List[CleanFinding],
        _core.clean(
            os.fspath(source), text(other), text(model), text(report), rate, suspects, limit,
            threads, None,
        ),
    )
