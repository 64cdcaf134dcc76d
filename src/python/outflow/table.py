# SPDX-License-Identifier: Apache-2.0
"""Columns of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np  # noqa: F401 (doctests)
import numpy.typing as npt

from ._html import cell_text, table

_SHOWN = 20
_FORM = ".6g"


class Table(Mapping[str, "npt.NDArray[Any]"]):
    """Arrays of one length by name: `pandas.DataFrame(table)` takes it, a notebook shows it.

    >>> table = Table({"path": np.array(["a.png", "b.png"]), "nll": np.array([1.5, 2])})
    >>> float(table["nll"].mean()), list(table), table.rows
    (1.75, ['path', 'nll'], 2)
    >>> table
     path  nll
    a.png  1.5
    b.png    2
    [2 rows]
    """

    def __init__(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """Number of columns, as of every mapping; `rows` is that of rows."""
        return len(self._columns)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; needs pandas."""
        import pandas

        return pandas.DataFrame(self._columns)

    def __repr__(self) -> str:
        lines = [list(self), *self._first_rows()]
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
        more = ["..."] if self.rows > _SHOWN else []
        return "\n".join([*text, *more, f"[{self.rows} rows]"])

    def _repr_html_(self) -> str:
        columns = [column[:_SHOWN].tolist() for column in self._columns.values()]
        shown = min(self.rows, _SHOWN)
        note = f"{self.rows} rows" if shown == self.rows else f"{shown} of {self.rows} rows"
        return f"{table(list(self), list(zip(*columns)), _FORM)}<p>{note}</p>"

    def _first_rows(self) -> list[list[str]]:
        columns = [column[:_SHOWN].tolist() for column in self._columns.values()]
        return [[cell_text(value, _FORM) for value in row] for row in zip(*columns)]
