# SPDX-License-Identifier: Apache-2.0
"""Who is compared: engines, each in the precisions that it has."""
from __future__ import annotations

import typing

PRECISIONS = ("f32", "bf16", "int8")


class Engine(typing.NamedTuple):
    """A program or library. `lacks`: precision -> why it is not compared in it."""
    title: str
    module: str  # of a contender's process
    packages: tuple[str, ...]  # that its Python imports
    modes: tuple[str, ...]
    lacks: dict[str, str]


NO_INT8 = {"int8": ""}  # nothing to say: nobody expects it
ENGINES = {
    "outflow": Engine("Outflow", "run_outflow", (), ("score", "train"), {}),
    "eager": Engine("PyTorch eager", "run_pytorch", ("torch", "numpy"), ("score", "train"),
                    NO_INT8),
    "compiled": Engine("PyTorch compiled", "run_pytorch", ("torch", "numpy"),
                       ("score", "train"), NO_INT8),
    "onnxruntime": Engine("ONNX Runtime", "run_onnxruntime", ("onnxruntime", "numpy"), ("score",),
                          {"bf16": "it has no bfloat16 convolutions for CPUs"}),
    "openvino": Engine("OpenVINO", "run_openvino", ("openvino", "numpy"), ("score",), {}),
}
QUANTIZERS = {"onnxruntime": ("quantize_onnx.py", ("onnxruntime", "onnx", "numpy")),
              "openvino": ("quantize_openvino.py", ("openvino", "nncf", "numpy"))}


class Contender(typing.NamedTuple):
    """An engine in a precision."""
    engine: str
    precision: str

    @property
    def title(self) -> str:
        return f"{ENGINES[self.engine].title} {self.precision}"

    def packages(self) -> tuple[str, ...]:
        """What a Python must have to run it."""
        return ENGINES[self.engine].packages


REFERENCE = Contender("outflow", "f32")  # what all others are checked against


def contenders(mode: str, engines: typing.Collection[str],
               precisions: typing.Collection[str]) -> list[Contender]:
    """Those of a row, the reference first. Outflow takes part whatever engines are asked for, and
    the reference whatever precisions."""
    found = [Contender(engine, precision)
             for engine, about in ENGINES.items() if mode in about.modes
             for precision in PRECISIONS
             if engine in ("outflow", *engines) and precision in precisions
             and (precision not in about.lacks or about.lacks[precision])
             and not (mode == "train" and precision == "int8")]
    return [REFERENCE] + [contender for contender in found if contender != REFERENCE]
