# SPDX-License-Identifier: Apache-2.0
"""Writes PyTorch checkpoints without PyTorch, zip files and the format before 1.6: the pickle is
made of names that need not exist, so that tests can write whole models and hostile files."""
import io
import pickle
import struct
import zipfile
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage",
            "int64": "LongStorage", "int32": "IntStorage", "uint8": "ByteStorage"}


class Name:
    """A global of the pickle, by name alone."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """What REDUCE makes of a global and arguments; `state` goes to BUILD."""

    def __init__(self, target: Name, *arguments: Any, state: Any = None) -> None:
        self.target, self.arguments, self.state = target, arguments, state


class New:
    """An instance made by NEWOBJ, with its state."""

    def __init__(self, kind: Name, state: Any) -> None:
        self.kind, self.state = kind, state


class PersistentId:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Pickler:
    """Protocol 2 by hand."""

    def __init__(self) -> None:
        self.out = io.BytesIO()

    def dump(self, value: Any) -> bytes:
        self.out.write(b"\x80\x02")
        self.put(value)
        self.out.write(b".")
        return self.out.getvalue()

    def put(self, value: Any) -> None:
        write = self.out.write
        if isinstance(value, Name):
            write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            self.put(value.target)
            self.put(tuple(value.arguments))
            write(b"R")
            self.build(value.state)
        elif isinstance(value, New):
            self.put(value.kind)
            write(b")\x81")
            self.build(value.state)
        elif isinstance(value, PersistentId):
            self.put(tuple(value.parts))
            write(b"Q")
        elif isinstance(value, tuple):
            write(b"(")
            for item in value:
                self.put(item)
            write(b"t")
        elif isinstance(value, list):
            write(b"](")
            for item in value:
                self.put(item)
            write(b"e")
        elif isinstance(value, dict):
            write(b"}(")
            for key, item in value.items():
                self.put(key)
                self.put(item)
            write(b"u")
        else:
            write(pickle.dumps(value, 2)[2:-1])

    def build(self, state: Any) -> None:
        if state is not None:
            self.put(state)
            self.out.write(b"b")


def ordered(items: Dict[str, Any]) -> Call:
    """An OrderedDict, as modules keep their tensors and children."""
    return Call(Name("collections", "OrderedDict"), [(key, value) for key, value in items.items()])


def module(kind: str, tensors: Optional[Dict[str, Any]] = None,
           buffers: Optional[Dict[str, Any]] = None, children: Optional[Dict[str, Any]] = None,
           **attributes: Any) -> New:
    """An object of torch.nn, of any class."""
    place, _, name = kind.rpartition(".")
    parameters = {key: Call(Name("torch._utils", "_rebuild_parameter"), value, True, ordered({}))
                  for key, value in (tensors or {}).items()}
    return New(Name(place, name), {
        "training": False, "_parameters": ordered(parameters), "_buffers": ordered(buffers or {}),
        "_non_persistent_buffers_set": Call(Name("__builtin__", "set"), []),
        "_modules": ordered(children or {}), **attributes})


def tree(kind: str, tensors: Dict[str, Any]) -> New:
    """A whole model whose modules have the paths of a flat state dict."""
    own = {name: value for name, value in tensors.items() if "." not in name}
    firsts = dict.fromkeys(name.split(".")[0] for name in tensors if "." in name)
    children = {first: tree("somebody.models.Part", {
        name[len(first) + 1:]: value for name, value in tensors.items()
        if name.startswith(first + ".")}) for first in firsts}
    return module(kind, own, {}, children)


class Writer:
    """Collects storages while the object is built; `tensor` gives what refers to one."""

    def __init__(self, cuda: bool = False, legacy: bool = False) -> None:
        self.cuda, self.legacy = cuda, legacy
        self.storages: List[bytes] = []
        self.counts: List[int] = []

    def storage(self, raw: bytes, kind: str, count: int) -> PersistentId:
        key = str(len(self.storages))
        self.storages.append(raw)
        self.counts.append(count)
        place = Name("torch.cuda" if self.cuda else "torch", kind)
        tail: Tuple[Any, ...] = (None,) if self.legacy else ()
        return PersistentId("storage", place, key, "cuda:0" if self.cuda else "cpu", count, *tail)

    def tensor(self, values: np.ndarray) -> Call:
        values = np.asarray(values)
        contiguous = np.ascontiguousarray(values)
        storage = self.storage(contiguous.tobytes(), STORAGES[values.dtype.name], values.size)
        return self.view(storage, 0, values.shape, strides_of(values.shape))

    def bfloat16(self, values: np.ndarray) -> Call:
        raw = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        storage = self.storage(raw.tobytes(), "BFloat16Storage", values.size)
        return self.view(storage, 0, values.shape, strides_of(values.shape))

    def view(self, storage: PersistentId, offset: Any, size: Any, stride: Any) -> Call:
        return Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, offset, tuple(size),
                    tuple(stride), False, ordered({}))

    def state(self, tensors: Dict[str, np.ndarray]) -> Dict[str, Call]:
        return {name: self.tensor(values) for name, values in tensors.items()}

    def save(self, path: str, root: Any) -> None:
        (self.save_legacy if self.legacy else self.save_zip)(path, Pickler().dump(root))

    def save_zip(self, path: str, pickled: bytes) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/byteorder", "little")
            for key, raw in enumerate(self.storages):
                archive.writestr(f"archive/data/{key}", raw)
            archive.writestr("archive/version", "3\n")

    def save_legacy(self, path: str, pickled: bytes) -> None:
        with open(path, "wb") as file:
            for value in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}):
                file.write(Pickler().dump(value))
            file.write(pickled)
            file.write(Pickler().dump([str(key) for key in range(len(self.storages))]))
            for raw, count in zip(self.storages, self.counts):
                file.write(struct.pack("<q", count) + raw)


def strides_of(shape: Tuple[int, ...]) -> Tuple[int, ...]:
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def saved(path: str, tensors: Dict[str, np.ndarray],
          wrap: Callable[[Dict[str, Any]], Any] = lambda state: state, **options: bool) -> str:
    writer = Writer(**options)
    writer.save(path, wrap(writer.state(tensors)))
    return path
