# SPDX-License-Identifier: Apache-2.0
"""TensorFlow checkpoints (V2) without TensorFlow.

NAME.index is a sorted table: blocks of entries whose keys share prefixes, an index of blocks, and a
footer of 48 bytes. Its values are protocol buffers that say where in NAME.data-... a tensor is."""
import glob
import os
import re
import struct
from typing import Dict, Iterator, List, Tuple, Union

import numpy as np

from .refusal import Refusal
from .safetensors import from_bfloat16

FOOTER_SIZE = 48
TABLE_MAGIC = 0xDB4775248B80FB57
INDEX_LIMIT = 256 << 20
BFLOAT16 = 14
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "u1", 19: "<f2"}


def varint(data: bytes, place: int) -> Tuple[int, int]:
    """A number of 7 bits a byte, low ones first, and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number is too long")


def read_block(data: bytes, offset: int, size: int) -> Iterator[Tuple[bytes, bytes]]:
    if offset + size + 5 > len(data):
        raise ValueError("a block lies outside the file")
    if data[offset + size] != 0:
        raise ValueError("its blocks are compressed")
    block = data[offset:offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 - 4 * restarts
    place, key = 0, b""
    while place < end:
        shared, place = varint(block, place)
        fresh, place = varint(block, place)
        length, place = varint(block, place)
        if shared > len(key) or place + fresh + length > end:
            raise ValueError("an entry lies outside its block")
        key = key[:shared] + block[place:place + fresh]
        yield key, block[place + fresh:place + fresh + length]
        place += fresh + length


def read_table(data: bytes) -> Iterator[Tuple[bytes, bytes]]:
    if len(data) < FOOTER_SIZE or \
            struct.unpack("<Q", data[-8:])[0] != TABLE_MAGIC:
        raise ValueError("its footer is unknown")
    footer = data[-FOOTER_SIZE:]
    _, place = varint(footer, 0)
    _, place = varint(footer, place)
    offset, place = varint(footer, place)
    size, _ = varint(footer, place)
    for _, handle in read_block(data, offset, size):
        block, place = varint(handle, 0)
        length, _ = varint(handle, place)
        yield from read_block(data, block, length)


def fields(message: bytes) -> Dict[int, List[Union[int, bytes]]]:
    """Number -> values of a protocol buffer."""
    found: Dict[int, List[Union[int, bytes]]] = {}
    place = 0
    while place < len(message):
        tag, place = varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = varint(message, place)
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, place = message[place:place + width], place + width
        elif kind == 2:
            length, place = varint(message, place)
            value, place = message[place:place + length], place + length
        else:
            raise ValueError("a field of unknown kind")
        found.setdefault(tag >> 3, []).append(value)
    return found


def number(entry: Dict, field: int) -> int:
    value = entry.get(field, [0])[0]
    if not isinstance(value, int):
        raise ValueError("a field is no number")
    return value


def read_tensor(prefix: str, shards: int, entry: Dict) -> np.ndarray:
    dims = fields(entry[2][0]).get(2, []) if 2 in entry else []
    shape = [number(fields(dim), 1) for dim in dims]
    offset, size = number(entry, 4), number(entry, 5)
    path = f"{prefix}.data-{number(entry, 3):05d}-of-{shards:05d}"
    with open(path, "rb") as file:
        if offset + size > os.fstat(file.fileno()).st_size:
            raise ValueError("a tensor lies outside its file")
        file.seek(offset)
        raw = file.read(size)
    kind = number(entry, 1)
    values = from_bfloat16(raw) if kind == BFLOAT16 else np.frombuffer(raw, DTYPES[kind])
    return values.reshape(shape)


def checkpoint_prefix(path: str) -> str:
    """NAME.ckpt of any of its files."""
    return re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)


def is_tensorflow(path: str) -> bool:
    return os.path.isfile(checkpoint_prefix(path) + ".index")


def read_tensorflow(path: str) -> Dict[str, np.ndarray]:
    """The tensors of a checkpoint; strings and slices, which weights do not need, are left out."""
    prefix = checkpoint_prefix(path)
    if os.path.getsize(prefix + ".index") > INDEX_LIMIT:
        raise Refusal("its index is too large")
    with open(prefix + ".index", "rb") as file:
        data = file.read()
    left = sum(map(os.path.getsize, glob.glob(glob.escape(prefix) + ".data-*")))
    state, shards = {}, 1
    try:
        for key, value in read_table(data):
            entry = fields(value)
            if key == b"":
                shards = number(entry, 1)
            elif (number(entry, 1) in DTYPES or number(entry, 1) == BFLOAT16) and 7 not in entry:
                state[key.decode()] = read_tensor(prefix, shards, entry)
                left -= number(entry, 5)
                if left < 0:
                    raise ValueError("its tensors overlap")
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as reason:
        raise Refusal(f"not a usable TensorFlow checkpoint: {reason}") from reason
    return state
