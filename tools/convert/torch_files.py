# SPDX-License-Identifier: Apache-2.0
"""PyTorch checkpoints without PyTorch: zip files (1.6 and later) and the format before.

Both are a pickle whose tensors refer to storages by persistent ids; the storages are entries of
the zip file, or follow the pickle. Sizes, strides and offsets are the file's claims and are checked
against the bytes that are there."""
import io
import math
import os
import struct
import zipfile
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from .inert_pickle import InertUnpickler, Name
from .refusal import Refusal
from .safetensors import from_bfloat16

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

DTYPES = {"Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "bf16", "Long": "i8",
          "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "u1"}


class Storage:
    """Elements of one type; `data` may come after the tensors that refer to it."""

    def __init__(self, dtype: str, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.data: Optional[np.ndarray] = None

    @property
    def item_size(self) -> int:
        return 2 if self.dtype == "bf16" else int(self.dtype[1])

    def fill(self, raw: bytes, order: str = "<") -> None:
        if len(raw) != self.count * self.item_size:
            raise Refusal(f"a storage has {len(raw)} bytes, its {self.count} elements need "
                          f"{self.count * self.item_size}")
        if self.dtype == "bf16":
            self.data = from_bfloat16(raw if order == "<" else
                                      np.frombuffer(raw, ">u2").astype("<u2").tobytes())
        else:
            values = np.frombuffer(raw, order + self.dtype)
            self.data = values.astype(values.dtype.newbyteorder("="))


class Tensor:
    """A view of a storage: offset, sizes and strides in elements."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any) -> None:
        numbers = (offset, *size, *stride)
        if not isinstance(storage, Storage) or any(type(number) is not int for number in numbers):
            raise Refusal("a tensor is not described by a storage and integers")
        if len(size) != len(stride) or min(numbers) < 0 or len(size) > 16:
            raise Refusal(f"a tensor of impossible shape: size {size}, stride {stride}")
        count = math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride))
        if count > 0 and (last >= storage.count or count > storage.count):
            raise Refusal(f"a tensor of size {list(size)} lies outside its storage of "
                          f"{storage.count} elements")
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def array(self) -> np.ndarray:
        data = self.storage.data
        if data is None:
            raise Refusal("the storage of a tensor is missing")
        if math.prod(self.size) == 0:
            return np.zeros(self.size, data.dtype)
        strides = [step * data.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(data[self.offset:], self.size, strides,
                                               writeable=False)
        return view.astype(np.float32) if view.dtype == np.float16 else view


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(size, (tuple, list)) or not isinstance(stride, (tuple, list)):
        raise Refusal("a tensor's sizes are no tuple")
    return Tensor(storage, offset, tuple(size), tuple(stride))


def ordered_dictionary(*items: Any) -> Dict[Any, Any]:
    pairs = items[0] if items and isinstance(items[0], (list, tuple)) else []
    return {pair[0]: pair[1] for pair in pairs
            if isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str)}


def strings_of(items: Any = ()) -> set:
    return {item for item in items if isinstance(item, (str, int))} \
        if isinstance(items, (list, tuple, set)) else set()


ADMITTED: Dict[Name, Callable] = {
    Name("collections", "OrderedDict"): ordered_dictionary,
    Name("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    Name("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    Name("torch", "Size"): lambda sizes=(): tuple(sizes),
    Name("builtins", "set"): strings_of,
    Name("__builtin__", "set"): strings_of,
}


def storage_type(kind: Any) -> str:
    if isinstance(kind, Name) and kind.module in ("torch", "torch.cuda") and \
            kind.name.endswith("Storage") and kind.name[:-len("Storage")] in DTYPES:
        return DTYPES[kind.name[:-len("Storage")]]
    raise Refusal(f"a storage of unknown type {kind!r}"[:200])


def storage_id(identifier: Any) -> Tuple[str, str, int]:
    """(dtype, key, count) of a persistent id."""
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise Refusal("an unknown kind of persistent id")
    _, kind, key, _, count = identifier[:5]
    if type(count) is not int or count < 0 or not isinstance(key, (str, int)):
        raise Refusal("a storage of impossible size")
    return storage_type(kind), str(key), count


# ---- The zip format ----


def zip_member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        entry = archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise Refusal(f"entry '{name}' is compressed, which PyTorch never does")
        return archive.read(entry)
    except (KeyError, zipfile.BadZipFile, ValueError, EOFError, RuntimeError) as reason:
        raise Refusal(f"entry '{name}' of the zip file cannot be read") from reason


def read_zip(file) -> Any:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as reason:
        raise Refusal(f"not a usable zip file: {reason}") from reason
    names = archive.namelist()
    pickles = [name for name in names if name.endswith("data.pkl") and name.count("/") <= 1]
    if len(pickles) != 1:
        raise Refusal("a zip file, but not a PyTorch checkpoint")
    folder = pickles[0][:-len("data.pkl")]
    if folder + "constants.pkl" in names:
        raise Refusal("a TorchScript archive, not a checkpoint: save the state dict")
    order = ">" if folder + "byteorder" in names and \
        zip_member(archive, folder + "byteorder") == b"big" else "<"
    storages = ZipStorages(archive, folder, order, file.seek(0, os.SEEK_END))
    return InertUnpickler(ADMITTED, storages.find).load(io.BytesIO(zip_member(archive, pickles[0])))


class ZipStorages:
    """Storages by key, each read once; together no larger than the file."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, order: str, size: int) -> None:
        self.archive, self.folder, self.order, self.left = archive, folder, order, size
        self.storages: Dict[str, Storage] = {}

    def find(self, identifier: Any) -> Storage:
        dtype, key, count = storage_id(identifier)
        if key not in self.storages:
            self.storages[key] = self.read(Storage(dtype, count), key)
        storage = self.storages[key]
        if (storage.dtype, storage.count) != (dtype, count):
            raise Refusal(f"storage '{key}' is described in two ways")
        return storage

    def read(self, storage: Storage, key: str) -> Storage:
        self.left -= storage.count * storage.item_size
        if self.left < 0:
            raise Refusal("its storages are larger than the file")
        storage.fill(zip_member(self.archive, f"{self.folder}data/{key}"), self.order)
        return storage


# ---- The format before 1.6 ----


class LegacyStorages:
    """Storages by key; tensors refer to them before their elements are read."""

    def __init__(self) -> None:
        self.storages: Dict[str, Storage] = {}

    def find(self, identifier: Any) -> Any:
        if isinstance(identifier, tuple) and len(identifier) >= 2 and identifier[0] == "module":
            return identifier[1]  # a class; its source text, which follows, is of no interest
        dtype, key, count = storage_id(identifier)
        view = identifier[5] if len(identifier) > 5 else None
        storage = self.storages.setdefault(key, Storage(dtype, count))
        if storage.dtype != dtype:
            raise Refusal(f"storage '{key}' is described in two ways")
        if view is not None:
            raise Refusal("a storage that is a view of another one; save the state dict anew")
        return storage

    def fill(self, file, keys: List[Any], order: str) -> None:
        end = os.fstat(file.fileno()).st_size
        for key in keys:
            storage = self.storages.get(str(key))
            first = file.read(8)
            count = struct.unpack(order + "q", first)[0] if len(first) == 8 else -1
            if storage is None or count != storage.count:
                raise Refusal(f"storage '{str(key)[:64]}' is not what its tensors refer to")
            if count * storage.item_size > end - file.tell():
                raise Refusal(f"storage '{str(key)[:64]}' ends outside the file")
            storage.fill(file.read(count * storage.item_size), order)


def read_legacy(file) -> Any:
    storages = LegacyStorages()
    machine = InertUnpickler(ADMITTED, storages.find)
    if machine.load(file) != MAGIC or machine.load(file) != PROTOCOL:
        raise Refusal("not a PyTorch checkpoint: its first numbers are unknown")
    system = machine.load(file)
    order = ">" if isinstance(system, dict) and system.get("little_endian") is False else "<"
    root = machine.load(file)
    keys = machine.load(file)
    if not isinstance(keys, list):
        raise Refusal("its list of storages is no list")
    storages.fill(file, keys, order)
    return root


def read_torch(path: str) -> Any:
    """The object of a checkpoint, in dictionaries, lists, Tensor and Instance."""
    with open(path, "rb") as file:
        start = file.read(16)
        file.seek(0)
        if start.startswith(b"PK"):
            return read_zip(file)
        if start.startswith(LEGACY_START):
            return read_legacy(file)
    raise Refusal("cannot be read: neither a PyTorch checkpoint (.pt, .pth) nor safetensors")
