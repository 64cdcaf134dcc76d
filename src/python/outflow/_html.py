# SPDX-License-Identifier: Apache-2.0
"""Tables as notebooks show them."""

from __future__ import annotations

import html
from typing import Any, Sequence


_LEFT = ' style="text-align:left"'


def cell_text(value: Any, form: str = ".5g") -> str:
    """Floating-point numbers in the form given, everything else as it is.

    >>> cell_text(0.123456789), cell_text(1.0, ".4f"), cell_text(12), cell_text(None)
    ('0.12346', '1.0000', '12', '')
    """
    if value is None:
        return ""
    return format(value, form) if isinstance(value, float) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], form: str = ".5g") -> str:
    """A table in HTML; text is escaped and stands on the left, numbers on the right.

    >>> table(["n"], [[1.5]])
    '<table><thead><tr><th>n</th></tr></thead><tbody><tr><td>1.5</td></tr></tbody></table>'
    >>> table(["set"], [["a<b"]]).split("<tbody>")[1]
    '<tr><td style="text-align:left">a&lt;b</td></tr></tbody></table>'
    """
    lefts = [bool(rows) and isinstance(cell, str) for cell in (rows[0] if rows else head)]

    def line(cells: Sequence[Any], tag: str) -> str:
        inner = "".join(
            f"<{tag}{_LEFT if left else ''}>{html.escape(cell_text(cell, form))}</{tag}>"
            for cell, left in zip(cells, lefts)
        )
        return f"<tr>{inner}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
