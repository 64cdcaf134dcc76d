# SPDX-License-Identifier: Apache-2.0
"""`architecture` of a weight file, and the tensors that it asks for (models/FORMAT.md)."""
import json
import math
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from .refusal import Refusal, grouped

CHOICES = {"family": ("glow", "patch-glow"), "coupling": ("affine", "additive"),
           "permutation": ("invconv", "invconvfixed", "shuffle"), "lu": (True, False),
           "block": ("conv", "dense")}
RANGES = {"scales": (1, 6), "steps": (1, 256), "hidden": (1, 8192), "classes": (0, 1000)}
EDGES = ("conv1", "conv3", "split")
DEFAULT_INPUT = {"bits": 8, "scale": 1 / 256, "shift": 1 / 512 - 1 / 2, "bin": 1 / 256, "logit": 0}
# Optional fields: what they mean when absent, and the values that they take.
EXTENSION: Dict[str, Tuple[Any, Tuple]] = {
    "latents": ("first", ("first", "second")), "split_prior": ("none", ("none", "conv")),
    "scale_map": ("sigmoid", ("sigmoid", "exp", "sigmoid_inverse", "tanh")),
    "shift": ("before", ("before", "after")), "net_input": ("none", ("none", "affine-relu")),
    "closing": (False, (True, False))}
MIXES = {"lu": ("permutation", "sign", "lower", "log_diag", "upper"), "plain": ("weight",),
         "shuffle": ("indices",)}


def option(architecture: Mapping, name: str) -> Any:
    """A field of the extension, or what its absence means."""
    defaults = {"input": DEFAULT_INPUT, "edges": [], "leak": 0}
    return architecture.get(name, defaults[name] if name in defaults else EXTENSION[name][0])


def input_map(architecture: Mapping) -> Dict[str, float]:
    return {**DEFAULT_INPUT, **option(architecture, "input")}


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def good_input(values: Any) -> bool:
    return isinstance(values, dict) and set(values) <= set(DEFAULT_INPUT) and \
        all(is_number(value) for value in values.values()) and \
        values.get("bits", 8) in range(1, 9) and values.get("scale", 1) > 0 and \
        values.get("bin", 1) > 0 and 0 <= values.get("logit", 0) < 0.5


def good_extension(architecture: Mapping) -> bool:
    known = all(architecture[name] in values for name, (_, values) in EXTENSION.items()
                if name in architecture)
    edges = option(architecture, "edges")
    return known and good_input(option(architecture, "input")) and isinstance(edges, list) and \
        all(edge in EDGES for edge in edges) and len(set(edges)) == len(edges) and \
        is_number(option(architecture, "leak"))


def check_architecture(architecture: Dict[str, Any]) -> Dict[str, Any]:
    """The same limits as those of the library."""
    base = {"image", *CHOICES, *RANGES}
    good = base <= set(architecture) <= base | {"input", "edges", "leak", *EXTENSION}
    good = good and all(architecture[key] in values for key, values in CHOICES.items())
    good = good and all(type(architecture[key]) is int and low <= architecture[key] <= high
                        for key, (low, high) in RANGES.items())
    image = architecture.get("image")
    good = good and isinstance(image, list) and [type(size) for size in image] == [int] * 3
    if not good or not good_extension(architecture):
        raise Refusal(f"architecture {json.dumps(architecture)}: a field is missing, unknown or "
                      "out of range")
    unit = 8 if architecture["family"] == "patch-glow" else 1 << architecture["scales"]
    if image[0] not in (1, 3) or any(not 0 < size <= 4096 or size % unit for size in image[1:]):
        raise Refusal(f"image {image}: channels must be 1 or 3, sides divisible by {unit}")
    return architecture


def shapes_of_scales(architecture: Mapping) -> Iterator[Tuple[int, int, int, int]]:
    """(channels, height, width, latents) of every scale."""
    channels, height, width = architecture["image"]
    count = architecture["scales"]
    if architecture["family"] == "patch-glow":
        height, width, count = 8, 8, 1
    for scale in range(count):
        state = channels * 4 << scale
        rows, columns = height >> scale + 1, width >> scale + 1
        latents = state * rows * columns
        yield state, rows, columns, latents if scale == count - 1 else latents // 2


def mix_kind(architecture: Mapping) -> str:
    if architecture["permutation"] == "shuffle":
        return "shuffle"
    return "lu" if architecture["lu"] and architecture["permutation"] == "invconv" else "plain"


def map_shapes(architecture: Mapping, width: int) -> Dict[str, List[int]]:
    """An ActNorm and a mixing."""
    shapes = {"actnorm.loc": [width], "actnorm.log_scale": [width]}
    for name in MIXES[mix_kind(architecture)]:
        vector = name in ("sign", "log_diag", "indices")
        shapes["mix." + name] = [width] if vector else [width, width]
    return shapes


def convolution_shapes(architecture: Mapping, width: int, outputs: int) -> Dict[str, List[int]]:
    hidden, half = architecture["hidden"], width // 2
    edges = option(architecture, "edges")
    shapes: Dict[str, List[int]] = {}
    if option(architecture, "net_input") == "affine-relu":
        shapes.update({"net.in.scale": [half], "net.in.shift": [half]})
    for layer, shape in (("conv1", [hidden, half, 3, 3]), ("conv2", [hidden, hidden, 1, 1])):
        shapes[f"net.{layer}.weight"] = shape
        if layer in edges:
            shapes[f"net.{layer}.edge"] = [hidden, 3, 3]
        shapes.update({f"net.{layer}.actnorm.loc": [hidden],
                       f"net.{layer}.actnorm.log_scale": [hidden]})
    shapes["net.conv3.weight"] = [outputs, hidden, 3, 3]
    if "conv3" in edges:
        shapes["net.conv3.edge"] = [outputs, 3, 3]
    shapes.update({"net.conv3.bias": [outputs], "net.conv3.log_scale": [outputs]})
    if has_gain(architecture):
        shapes["net.gain"] = [half]
    return shapes


def has_gain(architecture: Mapping) -> bool:
    return option(architecture, "scale_map") == "tanh" and architecture["coupling"] == "affine"


def dense_shapes(architecture: Mapping, width: int, outputs: int) -> Dict[str, List[int]]:
    hidden = architecture["hidden"]
    return {"net.fc1.weight": [hidden, width // 2], "net.fc1.bias": [hidden],
            "net.fc2.weight": [hidden, hidden], "net.fc2.bias": [hidden],
            "net.fc3.weight": [outputs, hidden], "net.fc3.bias": [outputs]}


def scale_shapes(architecture: Mapping, scale: int, sizes: Tuple[int, int, int, int],
                 last: bool) -> Dict[str, List[int]]:
    channels, rows, columns, latents = sizes
    dense = architecture["block"] == "dense"
    width = channels * rows * columns if dense else channels
    outputs = width if architecture["coupling"] == "affine" else width // 2
    table: Dict[str, List[int]] = {}
    for step in range(architecture["steps"]):
        shapes = map_shapes(architecture, width)
        shapes.update((dense_shapes if dense else convolution_shapes)(architecture, width, outputs))
        table.update({f"scales.{scale}.steps.{step}.{name}": s for name, s in shapes.items()})
    if option(architecture, "closing"):
        table.update({f"scales.{scale}.closing.{name}": s
                      for name, s in map_shapes(architecture, width).items()})
    if option(architecture, "split_prior") == "conv" and not last:
        split = {"weight": [channels, channels // 2, 3, 3]}
        if "split" in option(architecture, "edges"):
            split["edge"] = [channels, 3, 3]
        split.update({"bias": [channels], "log_scale": [channels]})
        table.update({f"scales.{scale}.split.{name}": s for name, s in split.items()})
    table.update({f"scales.{scale}.prior.{name}": [latents] for name in ("loc", "log_scale")})
    return table


def expected_tensors(architecture: Mapping) -> Dict[str, Tuple[str, List[int]]]:
    """Name -> (dtype, shape), in the order of the file."""
    table: Dict[str, List[int]] = {}
    scales = list(shapes_of_scales(architecture))
    for scale, sizes in enumerate(scales):
        table.update(scale_shapes(architecture, scale, sizes, scale == len(scales) - 1))
    for number in range(architecture["classes"]):
        for scale, (_, _, _, latents) in enumerate(scales):
            at = f"classes.{number}.scales.{scale}."
            table.update({at + name: [latents] for name in
                          ("actnorm.loc", "actnorm.log_scale", "mean", "log_std")})
    return {name: ("I64" if name.endswith("mix.indices") else "F32", shape)
            for name, shape in table.items()}


def check_constant(name: str, values: np.ndarray) -> Optional[str]:
    """Why a permutation or a sign is none, or None."""
    if name.endswith("mix.indices") and sorted(values.tolist()) != list(range(values.size)):
        return "is not a permutation of the channels"
    if name.endswith("mix.permutation"):
        if not np.isin(values, (0, 1)).all() or (values.sum(0) != 1).any() or \
                (values.sum(1) != 1).any():
            return "is not a permutation matrix"
    if name.endswith("mix.sign") and not np.isin(values, (-1, 1)).all():
        return "holds other values than 1 and -1"
    return None


def check_tensors(mapped: Mapping[str, np.ndarray], architecture: Mapping) -> Dict[str, np.ndarray]:
    """The tensors of the file in their order and types; refuses what does not fit."""
    table = expected_tensors(architecture)
    problems = [(name, "is not part of the architecture") for name in mapped if name not in table]
    checked = {}
    for name, (dtype, shape) in table.items():
        values = mapped.get(name)
        if values is None:
            problems.append((name, "is missing"))
        elif list(values.shape) != shape:
            problems.append((name, f"shape is {list(values.shape)}, must be {shape}"))
        elif (values.dtype.kind == "i") != (dtype == "I64"):
            problems.append((name, f"type is {values.dtype}, must be {dtype}"))
        else:
            with np.errstate(over="ignore"):
                checked[name] = values.astype("<i8" if dtype == "I64" else "<f4")
            reason = (check_constant(name, checked[name]) if np.isfinite(checked[name]).all()
                      else "holds values that are not finite")
            if reason:
                problems.append((name, reason))
    if problems:
        raise Refusal(*grouped(problems))
    return checked
