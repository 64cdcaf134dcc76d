# SPDX-License-Identifier: Apache-2.0
"""What tensors do not tell: hyperparameters in the original's own words."""
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .refusal import Refusal

REQUIRED = object()


@dataclass
class Fact:
    """`default` is what the original takes; REQUIRED: nothing can be taken for granted. `words`
    are the original's names for it."""
    name: str
    meaning: str
    default: Any = REQUIRED
    words: Tuple[str, ...] = ()

    def names(self) -> Tuple[str, ...]:
        return (self.name, *self.words)


def parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


class Facts:
    """Looked up in the order of `sources`; sections inside a source count as well."""

    def __init__(self, sources: Sequence[Mapping[str, Any]], declared: Sequence[Fact],
                 image: Optional[Sequence[int]] = None) -> None:
        self.sources = sources
        self.declared = {fact.name: fact for fact in declared}
        self.image = list(image) if image else None
        self.assumed: Dict[str, Any] = {}

    def stated(self, *names: str) -> Any:
        """What the sources say under one of the names, or None."""
        for source in self.sources:
            sections = [source, *(value for value in source.values() if isinstance(value, dict))]
            for section in sections:
                for name in names:
                    if section.get(name) is not None:
                        return section[name]
        return None

    def get(self, name: str) -> Any:
        fact = self.declared[name]
        value = self.stated(*fact.names())
        if value is not None:
            return value
        if fact.default is REQUIRED:
            raise Refusal(f"fact '{name}' is not known: {fact.meaning} "
                          f"(--fact {fact.names()[-1]}=VALUE)")
        self.assumed[name] = fact.default
        return fact.default

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.get(name)
        value = int(value) if isinstance(value, str) and value.isdigit() else value
        if isinstance(value, float) and value == int(value):
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise Refusal(f"fact '{name}' is {json.dumps(value)}, must be {low} to {high}")
        return value

    def number(self, name: str) -> float:
        value = self.get(name)
        if type(value) not in (int, float):
            raise Refusal(f"fact '{name}' is {json.dumps(value)}, must be a number")
        return float(value)

    def choice(self, name: str, values: Sequence[str]) -> str:
        value = self.get(name)
        if value not in values:
            raise Refusal(f"fact '{name}' is {json.dumps(value)}, must be one of "
                          f"{', '.join(values)}")
        return value

    def notes(self) -> List[str]:
        """A line for every fact that was taken for granted."""
        return [f"{self.declared[name].meaning}: {json.dumps(value)}, as nothing says otherwise "
                f"(--fact {self.declared[name].names()[-1]}=VALUE)"
                for name, value in self.assumed.items()]


def sizes(value: Any) -> List[int]:
    """A number or a list of numbers."""
    values = value if isinstance(value, (list, tuple)) else [value]
    if not all(type(size) is int and size > 0 for size in values):
        raise Refusal(f"image size {json.dumps(value)} is no list of positive numbers")
    return list(values)


def image_size(facts: Facts, channels: int, found: Optional[Sequence[int]] = None,
               stated: Optional[Sequence[int]] = None) -> List[int]:
    """[C, H, W]: `found` from tensors, or what the caller or the hyperparameters state."""
    wanted = facts.image or (list(stated) if stated else None)
    if wanted is None and found is None:
        raise Refusal("the image's size cannot be told from the tensors: give --image CxHxW")
    if found is not None and wanted is not None and list(found) != list(wanted):
        raise Refusal(f"the image is said to be {wanted}, the tensors are of one of {list(found)}")
    image = list(found if found is not None else wanted or [])
    if len(image) != 3 or image[0] != channels:
        raise Refusal(f"the image is said to be {image}, the tensors have {channels} channels")
    return image
