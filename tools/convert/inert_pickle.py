# SPDX-License-Identifier: Apache-2.0
"""Reads a pickle without running anything of it.

Python's own unpickler calls what a file tells it to call. This one is a machine of its own: it
builds lists, dictionaries, tuples, sets, numbers and strings, and *records* everything else. A
class becomes a Name, an instance an Instance with the state that the file gives it. Nothing is
imported, called or set, whatever the file holds. A file that asks for a call into Python itself
(os.system, eval, setattr ...) is refused: weights have no use for that.
"""
import pickletools
import sys
from collections import namedtuple
from typing import Any, BinaryIO, Callable, Dict, List, Optional

from .refusal import Refusal

Name = namedtuple("Name", "module name")

OPERATIONS_LIMIT = 50_000_000
MARK = object()
ABSENT = object()

# Modules of Python whose types are data: recorded like the classes of any other package.
DATA_MODULES = {"argparse", "array", "collections", "copy_reg", "copyreg", "_codecs", "datetime",
                "decimal", "enum", "fractions", "functools", "logging", "pathlib", "random",
                "types", "typing", "uuid"}
DATA_TYPES = {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list",
              "object", "range", "set", "slice", "str", "tuple", "unicode", "long"}
BUILTINS = {"builtins", "__builtin__"}
PYTHON_MODULES = BUILTINS | set(getattr(sys, "stdlib_module_names", ())) | {
    "os", "posix", "nt", "subprocess", "commands", "sys", "shutil", "socket", "importlib", "runpy",
    "ctypes", "pty", "pickle", "cPickle", "_pickle", "marshal", "code", "codeop", "webbrowser",
    "pdb", "bdb", "timeit", "cProfile", "profile", "operator", "_operator", "io", "builtins",
    "multiprocessing", "threading", "asyncio", "platform", "site", "tempfile", "zipimport",
    "urllib", "popen2"}


class Instance:
    """What a file says of an object of a class that stays unknown."""
    __slots__ = ("kind", "arguments", "state", "items")

    def __init__(self, kind: Any, arguments: Any) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: Any = None
        self.items: Dict[Any, Any] = {}

    def attributes(self) -> Dict[str, Any]:
        state = self.state[0] if isinstance(self.state, tuple) and self.state else self.state
        return state if isinstance(state, dict) else {}


def would_run(name: Name) -> bool:
    """Whether a call of this would reach into Python itself."""
    top = name.module.split(".")[0]
    if any(part.startswith("__") for part in name.name.split(".")):
        return True
    if top in BUILTINS:
        return name.name not in DATA_TYPES
    return top in PYTHON_MODULES and top not in DATA_MODULES


class InertUnpickler:
    """`admitted`: what is done for names that mean something here; all take the recorded
    arguments. `persistent`: gives the object of a persistent id."""

    def __init__(self, admitted: Dict[Name, Callable], persistent: Callable[[Any], Any]) -> None:
        self.admitted = admitted
        self.persistent = persistent
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}

    def load(self, file: BinaryIO) -> Any:
        """The object of the pickle at the file's position, which moves behind it."""
        self.stack, self.memo = [], {}
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if opcode.name == "STOP":
                    return self.stack.pop()
                if count > OPERATIONS_LIMIT:
                    raise Refusal("its pickle is too long")
                self.step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
                RecursionError, MemoryError, UnicodeError) as reason:
            raise Refusal(f"its pickle is damaged: {reason}".splitlines()[0][:200]) from reason
        raise Refusal("its pickle ends early")

    def step(self, operation: str, argument: Any) -> None:
        if operation in ("PROTO", "FRAME"):
            return
        if operation in CONSTANTS:
            self.stack.append(CONSTANTS[operation]())
        elif operation in LITERALS:
            self.stack.append(argument)
        else:
            method = METHODS.get(operation)
            if method is None:
                raise Refusal(f"its pickle uses {operation}, which weights have no use for")
            method(self, argument)

    # ---- Stack and memo ----

    def pop_mark(self) -> List[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                items = self.stack[place + 1:]
                del self.stack[place:]
                return items
        raise ValueError("a mark is missing")

    def pop(self, _: Any = None) -> Any:
        return self.stack.pop()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def get(self, place: Any) -> None:
        self.stack.append(self.memo[int(place)])

    def put(self, place: Any) -> None:
        self.memo[int(place)] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    # ---- Containers ----

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("the stack is too short")
        items = tuple(self.stack[len(self.stack) - count:])
        del self.stack[len(self.stack) - count:]
        self.stack.append(items)

    def append_items(self, items: List[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Instance):
            raise ValueError("items for something that is no list")

    def add_items(self, items: List[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(plain_key(item) for item in items)
        elif not isinstance(target, Instance):
            raise ValueError("items for something that is no set")

    def set_items(self, items: List[Any]) -> None:
        target = self.stack[-1]
        into = target.items if isinstance(target, Instance) else target
        if not isinstance(into, dict) or len(items) % 2:
            raise ValueError("items for something that is no dictionary")
        for key, value in zip(items[0::2], items[1::2]):
            into[plain_key(key)] = value

    def dictionary(self, _: Any) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self.set_items(items)

    # ---- Names and what is made of them ----

    def find(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no string")
        self.stack.append(Name(module, name))

    def stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.find(module, name)

    def make(self, kind: Any, arguments: Any) -> Any:
        if not isinstance(kind, Name):
            raise ValueError("a call of something that is no class")
        if not isinstance(arguments, (tuple, list)):
            raise ValueError("arguments are no tuple")
        if kind in self.admitted:
            return self.admitted[kind](*arguments)
        if would_run(kind):
            raise Refusal(f"its pickle would run '{kind.module}.{kind.name}'"[:200] +
                          " when it is read by Python: refused, nothing of it was run")
        return Instance(kind, tuple(arguments))

    def reduce(self, _: Any) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.stack.append(self.make(kind, arguments))

    def new_object_ex(self, _: Any) -> None:
        self.stack.pop()
        self.reduce(None)

    def instance(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self.make(Name(module, name), self.pop_mark()))

    def object(self, _: Any) -> None:
        kind, *arguments = self.pop_mark()
        self.stack.append(self.make(kind, arguments))

    def build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Instance):
            target.state = state
        elif isinstance(target, Name):
            raise Refusal(f"its pickle would change '{target.module}.{target.name}'"[:200] +
                          " when it is read by Python: refused")

    def persistent_id(self, identifier: Any) -> None:
        self.stack.append(self.persistent(identifier))


def plain_key(key: Any) -> Any:
    """Keys whose hash is not the file's to choose; others become distinct ones of ours."""
    return key if isinstance(key, (str, int, float, bytes, bool, Name, type(None))) else object()


CONSTANTS = {"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
             "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
             "MARK": lambda: MARK}
LITERALS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING",
            "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE",
            "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT"}
METHODS: Dict[str, Callable[[InertUnpickler, Any], Optional[Any]]] = {
    "POP": InertUnpickler.pop, "DUP": InertUnpickler.duplicate,
    "POP_MARK": lambda machine, _: machine.pop_mark(),
    "GET": InertUnpickler.get, "BINGET": InertUnpickler.get, "LONG_BINGET": InertUnpickler.get,
    "PUT": InertUnpickler.put, "BINPUT": InertUnpickler.put, "LONG_BINPUT": InertUnpickler.put,
    "MEMOIZE": InertUnpickler.memoize,
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "LIST": lambda machine, _: machine.stack.append(machine.pop_mark()),
    "FROZENSET": lambda machine, _: machine.stack.append(
        {plain_key(item) for item in machine.pop_mark()}),
    "DICT": InertUnpickler.dictionary,
    "APPEND": lambda machine, _: machine.append_items([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append_items(machine.pop_mark()),
    "ADDITEMS": lambda machine, _: machine.add_items(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items(
        [machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "GLOBAL": lambda machine, argument: machine.find(*argument.split(" ", 1)),
    "STACK_GLOBAL": InertUnpickler.stack_global,
    "REDUCE": InertUnpickler.reduce, "NEWOBJ": InertUnpickler.reduce,
    "NEWOBJ_EX": InertUnpickler.new_object_ex,
    "INST": InertUnpickler.instance, "OBJ": InertUnpickler.object, "BUILD": InertUnpickler.build,
    "PERSID": InertUnpickler.persistent_id,
    "BINPERSID": lambda machine, _: machine.persistent_id(machine.stack.pop()),
}
