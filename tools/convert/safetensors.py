# SPDX-License-Identifier: Apache-2.0
"""safetensors files: 8 bytes of length, a header in JSON, the tensors."""
import json
import os
import struct
from typing import Dict, Mapping, Tuple

import numpy as np

from .refusal import Refusal

KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
         "I8": "i1", "U8": "u1", "BOOL": "u1"}
HEADER_LIMIT = 100 << 20


def from_bfloat16(raw: bytes) -> np.ndarray:
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def read_header(file) -> Tuple[dict, int]:
    first = file.read(8)
    length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
    if not 0 < length <= HEADER_LIMIT:
        raise ValueError("the length of its header is impossible")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    return header, 8 + length


def read_entry(file, start: int, end: int, entry: Mapping) -> np.ndarray:
    begin, stop = entry["data_offsets"]
    if not 0 <= begin <= stop <= end - start:
        raise ValueError("a tensor lies outside the file")
    file.seek(start + begin)
    raw = file.read(stop - begin)
    if entry["dtype"] == "BF16":
        return from_bfloat16(raw).reshape(entry["shape"])
    return np.frombuffer(raw, KINDS[entry["dtype"]]).reshape(entry["shape"])


def read_safetensors(path: str) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """Tensors and metadata."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            header, start = read_header(file)
            metadata = header.pop("__metadata__", {})
            if sum(entry["data_offsets"][1] - entry["data_offsets"][0]
                   for entry in header.values()) > end - start:
                raise ValueError("its tensors overlap")
            state = {name: read_entry(file, start, end, entry) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError,
                IndexError, OverflowError) as reason:
            raise Refusal(f"not a usable safetensors file: {reason!r}") from reason
    return state, metadata if isinstance(metadata, dict) else {}


def write_safetensors(path: str, tensors: Mapping[str, np.ndarray], metadata: Mapping) -> None:
    """Writes F32 and I64 tensors in the order of the mapping; `path` is complete or unchanged."""
    header, offset = {"__metadata__": dict(metadata)}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "I64" if values.dtype.kind == "i" else "F32",
                        "shape": list(values.shape),
                        "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())
        file.flush()
        os.fsync(file.fileno())
