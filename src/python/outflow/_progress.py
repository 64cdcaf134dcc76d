# SPDX-License-Identifier: Apache-2.0
"""Progress of long calls: a callable of the caller's, or a bar of tqdm's."""

from __future__ import annotations

from typing import Any, Callable, Optional, Union

Progress = Union[None, str, Callable[[int, int, float], object]]
"""None, "tqdm", or a callable (images, total, bits_per_dim); total is 0 if it is not known."""


class Bar:
    """A bar of tqdm's as such a callable."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("progress='tqdm' needs tqdm: pip install tqdm") from error
        self._make: Any = tqdm
        self._bar: Any = None

    def __call__(self, images: int, total: int, bits_per_dim: float) -> None:
        if self._bar is None:
            self._bar = self._make(total=total or None, unit=" images", unit_scale=True)
        self._bar.update(images - self._bar.n)
        if bits_per_dim == bits_per_dim:
            self._bar.set_postfix_str(f"{bits_per_dim:.3f} bits/dim", refresh=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def progress_callable(progress: Progress) -> Optional[Callable[[int, int, float], object]]:
    """What is to be called; raises for anything else than what `Progress` says."""
    if progress is None or callable(progress):
        return progress
    if progress == "tqdm":
        return Bar()
    raise ValueError(f"progress is None, 'tqdm' or a callable, not {progress!r}")
