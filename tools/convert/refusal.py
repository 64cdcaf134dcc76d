# SPDX-License-Identifier: Apache-2.0
"""Why a model cannot be converted."""
import re
from typing import Dict, Iterable, List, Tuple


class Refusal(Exception):
    """The lines that say why a model cannot be converted."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines: List[str] = list(lines)


def about(name: str, reason: str) -> Refusal:
    return Refusal(f"tensor '{name}': {reason}")


def grouped(problems: Iterable[Tuple[str, str]]) -> List[str]:
    """One line for all tensors that differ in their numbers alone and fail for the same reason."""
    groups: Dict[Tuple[str, str], List[str]] = {}
    for name, reason in problems:
        groups.setdefault((re.sub(r"\d+", "#", name), reason), []).append(name)
    lines = []
    for (_, reason), names in groups.items():
        more = f" and {len(names) - 1} like it" if len(names) > 1 else ""
        lines.append(f"tensor '{names[0]}'{more}: {reason}")
    return lines
