# SPDX-License-Identifier: Apache-2.0
"""Code blocks of the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List

DOCS = Path(__file__).resolve().parents[2] / "docs"

_BLOCK = re.compile(
    r"<!-- example: (?P<name>\S+)(?: needs: (?P<needs>[\w ]+))? -->\n```python\n(?P<code>.*?)```",
    re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    name: str
    needs: List[str]
    code: str


def examples_of(page: str) -> List[Example]:
    """The marked blocks of docs/PAGE; that every block is marked is asserted."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = [
        Example(m["name"], (m["needs"] or "").split(), m["code"]) for m in _BLOCK.finditer(text)
    ]
    assert len(found) == text.count("```python"), f"{page}: a block has no <!-- example: ... -->"
    return found
