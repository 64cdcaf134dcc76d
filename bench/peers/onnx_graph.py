# SPDX-License-Identifier: Apache-2.0
"""Writes folded weights as an ONNX graph: bytes [N, C, H, W] in, log-likelihoods [N] out.

Scales and log-determinants are collected: the coupling's scales of all steps of a scale are joined,
so that a scale takes one Log and one sum. Nodes of a coupling network are named as its layers are
("0.3.conv2", "0.3.conv2.relu"), so that quantizers can be told which to take.
"""
from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # old enough for runtimes of some years
LARGEST = 2**31 - 2**24  # a protobuf message ends at 2 GiB
LAYERS = {"all": ("map", "conv1", "conv2", "conv3"), "networks": ("conv1", "conv2", "conv3"),
          "wide": ("conv2", "conv3")}


def in_scope(name: str, scope: str) -> bool:
    """Whether a node of this name is a layer that the scope quantizes, or the ReLU after one."""
    parts = name.split(".")
    return len(parts) > 2 and parts[2] in LAYERS[scope]


class Graph:
    def __init__(self):
        self.nodes, self.initializers, self.count = [], [], 0

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator, inputs, outputs=1, name=None, **attributes):
        names = [f"t{self.count + i}" for i in range(outputs)]
        self.count += outputs
        self.nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return names[0] if outputs == 1 else names


def build(folded, architecture):
    graph = Graph()
    affine = architecture["coupling"] == "affine"
    half = graph.constant("half", np.float32(0.5))
    rest_axes = graph.constant("rest_axes", np.array([1, 2, 3], np.int64))

    def conv(x, name, **attributes):
        tensors = [graph.constant(name + part, folded[name + part])
                   for part in (".weight", ".bias")]
        return graph.add("Conv", [x] + tensors, name=name, **attributes)

    def conv_relu(x, name, **attributes):
        return graph.add("Relu", [conv(x, name, **attributes)], name=name + ".relu")

    def coupling(x, name):
        """The next x, and the scales s whose logarithms are the log-determinant."""
        passed, rest = graph.add("Split", [x], 2, axis=1)
        h = conv_relu(passed, name + "conv1", pads=[1, 1, 1, 1])
        h = conv_relu(h, name + "conv2")
        h = conv(h, name + "conv3", pads=[1, 1, 1, 1])
        if not affine:
            return graph.add("Concat", [passed, graph.add("Add", [rest, h])], axis=1), None
        shift, raw = graph.add("Split", [h], 2, axis=1)
        s = graph.add("Sigmoid", [raw])
        rest = graph.add("Mul", [graph.add("Add", [rest, shift]), s])
        return graph.add("Concat", [passed, rest], axis=1), s

    x = graph.add("Cast", ["pixels"], to=TensorProto.FLOAT)
    parts = []
    for scale in range(architecture["scales"]):
        scales = []
        for step in range(architecture["steps"]):
            name = f"{scale}.{step}."
            x = conv(x, name + "map", **({} if step else {"strides": [2, 2]}))
            x, s = coupling(x, name)
            scales += [s] if affine else []
        if affine:
            joined = graph.add("Concat", scales, axis=1) if len(scales) > 1 else scales[0]
            parts.append(graph.add("ReduceSum", [graph.add("Log", [joined]), rest_axes],
                                   keepdims=0))
        z = x
        if scale + 1 < architecture["scales"]:
            z, x = graph.add("Split", [x], 2, axis=1)
        prior = f"{scale}.prior."
        z = graph.add("Mul", [z, graph.constant(prior + "scale", folded[prior + "scale"])])
        z = graph.add("Add", [z, graph.constant(prior + "shift", folded[prior + "shift"])])
        squares = graph.add("ReduceSumSquare", [z], axes=[1, 2, 3], keepdims=0)
        parts.append(graph.add("Neg", [graph.add("Mul", [squares, half])]))
    parts.append(graph.constant("constant", folded["constant"].reshape(1)))
    graph.nodes.append(helper.make_node("Sum", parts, ["logp"]))
    return graph


def write(folded, architecture, path):
    size = sum(values.nbytes for values in folded.values())
    if size > LARGEST:
        raise ValueError(f"{size / 2**30:.1f} GiB of weights: an ONNX file ends at 2 GiB")
    graph = build(folded, architecture)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8,
                                           ["N"] + architecture["image"])
    logp = helper.make_tensor_value_info("logp", TensorProto.FLOAT, ["N"])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "glow", [pixels], [logp], graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="outflow")
    onnx.checker.check_model(model)
    onnx.save(model, path)
