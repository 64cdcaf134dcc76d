# SPDX-License-Identifier: Apache-2.0
"""Images in folders, as a user has them, and as arrays."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Tuple

import numpy as np
from PIL import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Choice:
    """SRC, SRC:FOLDER or SRC:!FOLDER: all images of a folder or tar archive, those below FOLDER in
    it, or all but those. FOLDER may have alternatives, `cats,dogs`."""

    source: Path
    folders: Tuple[str, ...]
    negated: bool

    @classmethod
    def parse(cls, text: str) -> "Choice":
        source, _, folder = text.partition(":")
        names = tuple(name for name in folder.lstrip("!").split(",") if name)
        return cls(Path(source), names, folder.startswith("!"))

    def takes(self, name: str) -> bool:
        if not name.lower().endswith(ENDINGS):
            return False
        below = any(f"/{name}".find(f"/{folder}/") >= 0 for folder in self.folders)
        return not self.folders or below != self.negated


def members(choice: Choice) -> Iterator[Tuple[str, bytes]]:
    """Name and bytes of each image, sorted by name."""
    if choice.source.is_dir():
        for path in sorted(choice.source.rglob("*")):
            name = str(path.relative_to(choice.source))
            if choice.takes(name) and path.is_file() and not path.is_symlink():
                yield name, path.read_bytes()
        return
    with tarfile.open(choice.source) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.isfile() and choice.takes(member.name):
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read()


def every_nth(items: List[Tuple[str, bytes]], most: int) -> List[Tuple[str, bytes]]:
    """At most `most`, evenly over all: an archive may be sorted by class."""
    if len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def unpack(choices: List[Choice], folder: Path, most: int) -> int:
    """Writes the images of all choices into a folder without folders; how many there are."""
    found = [item for choice in choices for item in members(choice)]
    chosen = every_nth(found, most)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, content) in enumerate(chosen):
        (folder / f"{number:05d}-{Path(name).name}").write_bytes(content)
    return len(chosen)


def split(folder: Path, train: Path, held: Path, share: float, seed: int) -> None:
    """Links the folder's images into two others; `held` gets a share of them."""
    paths = sorted(folder.iterdir())
    is_held = np.zeros(len(paths), bool)
    held_count = round(share * len(paths))
    is_held[np.random.default_rng(seed).permutation(len(paths))[:held_count]] = True
    for path, there in zip(paths, is_held):
        target = held if there else train
        target.mkdir(parents=True, exist_ok=True)
        (target / path.name).hardlink_to(path)


def read_picture(content: bytes) -> Image.Image:
    """In colour, transparent pixels white."""
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def read_pixels(folder: Path, side: int) -> np.ndarray:
    """The folder's images as [count][side][side][3] bytes, in the order of their names."""
    pictures = (read_picture(path.read_bytes()) for path in sorted(folder.iterdir()))
    sized = (
        picture if picture.size == (side, side) else picture.resize((side, side), Image.BILINEAR)
        for picture in pictures
    )
    return np.stack([np.asarray(picture) for picture in sized])
