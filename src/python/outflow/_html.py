# SPDX-License-Identifier: Apache-2.0
"""Tables as notebooks show them."""

from __future__ import annotations

import html
from typing import Any, Sequence


def cell_text(value: Any) -> str:
    """Numbers with five digits, everything else as it is.

    >>> cell_text(0.123456789), cell_text(12), cell_text(None)
    ('0.12346', '12', '')
    """
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in HTML; text is escaped.

    >>> table(["set"], [["a<b"]])
    '<table><thead><tr><th>set</th></tr></thead><tbody><tr><td>a&lt;b</td></tr></tbody></table>'
    """
    def line(cells: Sequence[Any], tag: str) -> str:
        inner = "".join(f"<{tag}>{html.escape(cell_text(cell))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
