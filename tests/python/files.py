# SPDX-License-Identifier: Apache-2.0
"""Files of images, written with the standard library alone."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from typing import Dict, Sequence

import numpy as np


def png(image: np.ndarray) -> bytes:
    """A PNG file of an RGB image."""
    height, width, _ = image.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def zstandard(content: bytes) -> bytes:
    """A Zstandard frame (RFC 8878) of stored blocks, and an empty one at the end."""
    most = 1 << 17
    blocks = [content[at : at + most] for at in range(0, len(content), most)]
    headers = [struct.pack("<I", len(block) << 3)[:3] for block in blocks]
    body = b"".join(header + block for header, block in zip(headers, blocks))
    single_segment_of_four_size_bytes = 0b10100000
    start = struct.pack("<IBI", 0xFD2FB528, single_segment_of_four_size_bytes, len(content))
    return start + body + b"\x01\0\0"


def tar_of(members: Dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def zip_of(members: Dict[str, bytes], method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def archives_of(images: Sequence[np.ndarray]) -> Dict[str, bytes]:
    """The same images in every kind of archive that is read: file name, content."""
    members = {f"{i:03}.png": png(image) for i, image in enumerate(images)}
    tar = tar_of(members)
    return {
        "images.tar": tar,
        "images.tar.gz": gzip.compress(tar),
        "images.tar.bz2": bz2.compress(tar),
        "images.tar.xz": lzma.compress(tar),
        "images.tar.zst": zstandard(tar),
        "stored.zip": zip_of(members, zipfile.ZIP_STORED),
        "deflated.zip": zip_of(members, zipfile.ZIP_DEFLATED),
        "bzip2.zip": zip_of(members, zipfile.ZIP_BZIP2),
        "lzma.zip": zip_of(members, zipfile.ZIP_LZMA),
    }
