#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a PyTorch state dict of a Glow into an Outflow weight file.

    tools/export_pytorch.py model.pt model.safetensors --image 3x32x32

Reads .pt and .pth (with torch.load(weights_only=True): nothing in the file is executed) and
.safetensors. Each naming of tensors that is understood is one table in pytorch_layouts.py; add a
table to read another. A model that Outflow's architecture cannot represent exactly is refused,
with every tensor that does not fit and the reason. What a state dict does not show (say, how a
convolution pads) is a fact of its layout; --fact NAME=VALUE corrects it for a model that differs.
"""
import argparse
import inspect
import json
import math
import os
import re
import struct
import sys
from dataclasses import dataclass, field

try:
    import numpy as np
except ImportError:  # said after the arguments are read: --help needs no numpy
    np = None

from pytorch_layouts import LAYOUTS, gaussian_prior


class Refusal(Exception):
    """The lines that say why a model cannot be exported."""

    def __init__(self, *lines):
        super().__init__("\n".join(lines))
        self.lines = list(lines)


# ---- Reading ----


def read_safetensors(path):
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    try:
        header = json.loads(data[8:8 + length])
        metadata = header.pop("__metadata__", {})
        state = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            kind = entry["dtype"]
            if kind == "BF16":
                wide = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
                values = wide.view(np.float32)
            else:
                values = np.frombuffer(data[begin:end], kinds[kind])
            state[name] = values.reshape(entry["shape"])
    except (ValueError, KeyError, TypeError, AttributeError) as reason:
        raise Refusal(f"not a usable safetensors file: {reason!r}") from reason
    return state, metadata


def lacks(module):
    """What to do about a module that this Python does not have."""
    return (f"{sys.executable} has no {module}; Debian's package python3-{module} brings it for "
            "/usr/bin/python3")


def read_torch(path, trust):
    try:
        import torch
    except ImportError as reason:
        raise Refusal(lacks("torch")) from reason
    safe = {"weights_only": True} if "weights_only" in inspect.signature(torch.load).parameters \
        else {}
    if not safe and not trust:
        raise Refusal("this PyTorch has no weights_only loading; a pickle runs code when it is "
                      "read: --trust-pickle, if you trust the file")
    with open(path, "rb") as file:
        try:
            content = torch.load(file, map_location="cpu", **safe)
        except Exception as reason:  # torch.load raises whatever the file makes it raise
            raise Refusal(f"cannot be read as a state dict: {reason}".splitlines()[0]) from reason
    for key in ("state_dict", "model", "net"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise Refusal("holds no state dict")
    state = {}
    for name, tensor in content.items():
        if not isinstance(tensor, torch.Tensor):
            raise Refusal(f"'{name}' is not a tensor: not a state dict")
        if tensor.dtype in (torch.bfloat16, torch.float16):
            tensor = tensor.float()
        state[name] = tensor.detach().cpu().numpy()
    return state, {}


def read_state(path, trust):
    state, metadata = (read_safetensors(path) if path.endswith(".safetensors")
                       else read_torch(path, trust))
    while state and all(name.startswith("module.") for name in state):
        state = {name[len("module."):]: values for name, values in state.items()}
    return state, metadata


# ---- Mapping ----


@dataclass
class Context:
    facts: dict
    image: tuple = None
    scales: int = 1
    affine: bool = True
    places: dict = field(default_factory=dict)  # flat number -> (scale, step)


def place_flat_steps(layout, state):
    """Consecutive numbers are the steps of one scale; a gap is a split and a squeeze."""
    numbers = sorted(int(match["n"]) for match in
                     (re.fullmatch(layout.flat, name) for name in state) if match)
    places, scale, step = {}, -1, 0
    for i, number in enumerate(numbers):
        fresh = i == 0 or number != numbers[i - 1] + 1
        scale, step = (scale + 1, 0) if fresh else (scale, step + 1)
        places[number] = (scale, step)
    return places


def locate(match, context):
    groups = match.groupdict()
    if "n" in groups:
        place = context.places.get(int(groups["n"]))
        if place is None:
            return None
        groups["scale"], groups["step"] = place
    return groups


def prior_scale(match, context):
    groups = match.groupdict()
    if "scale" in groups:
        return int(groups["scale"])
    if "n" in groups:
        return context.places.get(int(groups["n"]) - 1, (0, 0))[0]
    return context.scales - 1


def first_match(table, name):
    for key in table:
        match = re.fullmatch(key if isinstance(key, str) else key.pattern, name)
        if match:
            return key, match
    return None, None


def apply_rule(rule, groups, values, context, mapped):
    target = rule.target.format(**groups)
    mapped[target] = rule.transform(values, context)
    for template in rule.neutral:
        mapped[template.format(**groups)] = np.zeros_like(mapped[target])


def apply_prior(prior, match, name, state, context):
    stem = name[:-len("conv.weight")]
    parts = [state.get(stem + suffix) for suffix in (prior.bias, prior.log_scale)]
    if any(part is None for part in parts):
        raise ValueError(f"lacks {prior.bias} or {prior.log_scale} beside it")
    return gaussian_prior(state[name], *parts, prior_scale(match, context), prior.order, context)


def find_context(layout, state, image, facts):
    context = Context({**layout.facts, **facts}, image)
    if layout.flat:
        context.places = place_flat_steps(layout, state)
        context.scales = 1 + max((scale for scale, _ in context.places.values()), default=0)
    outputs = inputs = None
    for name, values in state.items():
        rule, match = first_match(layout.rules, name)
        if rule is None:
            continue
        groups = locate(match, context) or {}
        context.scales = max(context.scales, 1 + int(groups.get("scale", 0)))
        if rule.target.endswith("net.conv3.weight") and outputs is None:
            outputs = values.shape[0]
        if rule.target.endswith("net.conv1.weight") and inputs is None:
            inputs = values.shape[1] if values.ndim > 1 else None
    context.affine = outputs is None or inputs is None or outputs != inputs
    return context


def check_facts(layout, context):
    known = set(layout.facts)
    problems = [f"fact '{fact}' means nothing to layout '{layout.name}'"
                for fact in context.facts if fact not in known]
    for need in layout.requirements:
        if need.several and context.scales == 1:
            continue
        if context.facts.get(need.fact) != need.value:
            problems.append(f"{need.reason} (a model that differs: "
                            f"--fact \"{need.fact}={need.value}\")")
    return problems


def map_state(layout, state, context):
    """Tensors under Outflow's names, and a line for every tensor that has no place there."""
    mapped, problems, beside = {}, [], set()
    for name in state:
        prior, match = first_match(layout.priors, name)
        if prior:
            stem = name[:-len("conv.weight")]
            beside |= {name, stem + prior.bias, stem + prior.log_scale}
    for name, values in state.items():
        try:
            rule, match = first_match(layout.rules, name)
            prior, prior_match = first_match(layout.priors, name)
            ignored, _ = first_match(layout.ignored, name)
            refused, _ = first_match(layout.refused, name)
            groups = locate(match, context) if rule else None
            if refused:
                raise ValueError(layout.refused[refused])
            if ignored:
                if layout.ignored[ignored] == "zeros" and np.any(values):
                    raise ValueError("should be zero")
            elif prior:
                if context.image is None:
                    raise ValueError("its size needs the image's: give --image CxHxW")
                mapped.update(apply_prior(prior, prior_match, name, state, context))
            elif groups is not None:
                apply_rule(rule, groups, values, context, mapped)
            elif name not in beside:
                raise ValueError("unknown to this layout")
        except (ValueError, IndexError) as reason:
            problems.append(f"tensor '{name}': {reason}")
    return mapped, problems


# ---- Architecture ----


def infer_image(mapped, family, dense):
    """Channels from the first ActNorm, a square side from the number of latents."""
    total = sum(values.size for name, values in mapped.items()
                if re.fullmatch(r"scales\.\d+\.prior\.loc", name))
    first = mapped.get("scales.0.steps.0.actnorm.loc")
    candidates = (1, 3) if dense else (first.size // 4 if first is not None else 0,)
    for channels in candidates:
        side = math.isqrt(total // channels) if channels else 0
        if family == "glow" and side > 0 and channels * side * side == total:
            return [channels, side, side]
    raise Refusal("the image's size cannot be told from the tensors: give --image CxHxW")


CHOICES = {"family": ("glow", "patch-glow"), "coupling": ("affine", "additive"),
           "permutation": ("invconv", "invconvfixed", "shuffle"), "lu": (True, False),
           "block": ("conv", "dense")}
RANGES = {"scales": (1, 6), "steps": (1, 256), "hidden": (1, 8192), "classes": (0, 1000)}


def check_architecture(architecture):
    """The same limits as those of the library."""
    good = set(architecture) == {"image", *CHOICES, *RANGES}
    good = good and all(architecture[key] in values for key, values in CHOICES.items())
    good = good and all(type(architecture[key]) is int and low <= architecture[key] <= high
                        for key, (low, high) in RANGES.items())
    image = architecture.get("image")
    good = good and isinstance(image, list) and [type(size) for size in image] == [int] * 3
    if not good:
        raise Refusal(f"architecture {json.dumps(architecture)}: a field is missing, unknown or "
                      "out of range")
    unit = 8 if architecture["family"] == "patch-glow" else 1 << architecture["scales"]
    if image[0] not in (1, 3) or any(not 0 < size <= 4096 or size % unit for size in image[1:]):
        raise Refusal(f"image {image}: channels must be 1 or 3, sides divisible by {unit}")
    return architecture


def read_architecture(text):
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as reason:
        raise Refusal(f"its architecture is not a JSON object: {reason}") from reason


def infer_architecture(mapped, metadata, options):
    if "architecture" in metadata:
        return read_architecture(metadata["architecture"])
    numbers = [re.match(r"scales\.(\d+)\.steps\.(\d+)\.", name) for name in mapped]
    numbers = [(int(match[1]), int(match[2])) for match in numbers if match]
    if not numbers:
        raise Refusal("has no flow steps")

    def size(name, axis, absent=0):
        values = mapped.get("scales.0.steps.0." + name)
        return values.shape[axis] if values is not None and values.ndim > axis else absent

    dense = size("net.fc1.weight", 0) > 0
    width = size("actnorm.loc", 0)
    outputs = size("net.fc3.weight" if dense else "net.conv3.weight", 0)
    classes = [int(match[1]) for match in
               (re.match(r"classes\.(\d+)\.", name) for name in mapped) if match]
    lu = size("mix.permutation", 0) > 0
    plain = "invconvfixed" if options.fixed else "invconv"
    return {"family": options.family,
            "image": list(options.image or infer_image(mapped, options.family, dense)),
            "scales": 1 + max(scale for scale, _ in numbers),
            "steps": 1 + max(step for _, step in numbers),
            "hidden": size("net.fc1.weight" if dense else "net.conv1.weight", 0),
            "coupling": "additive" if outputs * 2 == width else "affine",
            "permutation": "shuffle" if size("mix.indices", 0) else plain,
            "lu": lu, "block": "dense" if dense else "conv",
            "classes": 1 + max(classes, default=-1)}


def latents_of_scales(architecture):
    """(channels, elements, latents) of every scale."""
    channels, height, width = architecture["image"]
    count = architecture["scales"]
    if architecture["family"] == "patch-glow":
        height = width = 8
        count = 1
    for scale in range(count):
        state = channels * 4 << scale
        elements = state * (height >> scale + 1) * (width >> scale + 1)
        yield state, elements, elements if scale == count - 1 else elements // 2


def expected_tensors(architecture):
    """Name -> (dtype, shape), in the order of the file."""
    table = {}
    hidden = architecture["hidden"]
    scales = list(latents_of_scales(architecture))
    dense = architecture["block"] == "dense"
    for scale, (channels, elements, latents) in enumerate(scales):
        width = elements if dense else channels
        outputs = width if architecture["coupling"] == "affine" else width // 2
        for step in range(architecture["steps"]):
            at = f"scales.{scale}.steps.{step}."
            shapes = {"actnorm.loc": [width], "actnorm.log_scale": [width]}
            if architecture["permutation"] == "shuffle":
                mixing = {"mix.indices": [width]}
            elif architecture["permutation"] == "invconv" and architecture["lu"]:
                mixing = {"mix.permutation": [width, width], "mix.sign": [width],
                          "mix.lower": [width, width], "mix.log_diag": [width],
                          "mix.upper": [width, width]}
            else:
                mixing = {"mix.weight": [width, width]}
            shapes.update(mixing)
            if dense:
                shapes.update({"net.fc1.weight": [hidden, width // 2], "net.fc1.bias": [hidden],
                               "net.fc2.weight": [hidden, hidden], "net.fc2.bias": [hidden],
                               "net.fc3.weight": [outputs, hidden], "net.fc3.bias": [outputs]})
            else:
                for layer, shape in (("conv1", [hidden, width // 2, 3, 3]),
                                     ("conv2", [hidden, hidden, 1, 1])):
                    shapes.update({f"net.{layer}.weight": shape,
                                   f"net.{layer}.actnorm.loc": [hidden],
                                   f"net.{layer}.actnorm.log_scale": [hidden]})
                shapes.update({"net.conv3.weight": [outputs, hidden, 3, 3],
                               "net.conv3.bias": [outputs], "net.conv3.log_scale": [outputs]})
            table.update({at + name: shape for name, shape in shapes.items()})
        table.update({f"scales.{scale}.prior.{name}": [latents] for name in ("loc", "log_scale")})
    for number in range(architecture["classes"]):
        for scale, (_, _, latents) in enumerate(scales):
            at = f"classes.{number}.scales.{scale}."
            table.update({at + name: [latents] for name in
                          ("actnorm.loc", "actnorm.log_scale", "mean", "log_std")})
    return {name: ("I64" if name.endswith("mix.indices") else "F32", shape)
            for name, shape in table.items()}


def check_constant(name, values):
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


def check_tensors(mapped, table):
    problems = [f"tensor '{name}': is not part of the architecture"
                for name in mapped if name not in table]
    checked = {}
    for name, (dtype, shape) in table.items():
        values = mapped.get(name)
        if values is None:
            problems.append(f"tensor '{name}': is missing")
        elif list(values.shape) != shape:
            problems.append(f"tensor '{name}': shape is {list(values.shape)}, must be {shape}")
        elif (values.dtype.kind == "i") != (dtype == "I64"):
            problems.append(f"tensor '{name}': type is {values.dtype}, must be {dtype}")
        else:
            checked[name] = values.astype("<i8" if dtype == "I64" else "<f4")
            reason = (check_constant(name, checked[name]) if np.isfinite(checked[name]).all()
                      else "holds values that are not finite")
            if reason:
                problems.append(f"tensor '{name}': {reason}")
    return checked, problems


# ---- Writing ----


def write_safetensors(path, tensors, table, metadata):
    header, offset = {"__metadata__": metadata}, 0
    for name, (dtype, shape) in table.items():
        size = tensors[name].nbytes
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in table:
                file.write(tensors[name].tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def choose_layout(state, wanted):
    for layout in LAYOUTS:
        if layout.name == wanted or \
                (wanted is None and any(re.fullmatch(layout.signature, name) for name in state)):
            return layout
    raise Refusal("no known layout: the first tensors are " +
                  ", ".join(f"'{name}'" for name in list(state)[:5]))


def export(options):
    state, metadata = read_state(options.input, options.trust_pickle)
    layout = choose_layout(state, options.layout)
    context = find_context(layout, state, options.image, options.fact)
    problems = check_facts(layout, context)
    mapped, more = map_state(layout, state, context)
    problems += more
    if problems:
        raise Refusal(*problems)
    architecture = check_architecture(infer_architecture(mapped, metadata, options))
    if layout.neutral_priors:
        for scale, (_, _, latents) in enumerate(latents_of_scales(architecture)):
            for name in ("loc", "log_scale"):
                mapped.setdefault(f"scales.{scale}.prior.{name}", np.zeros(latents, np.float32))
    table = expected_tensors(architecture)
    tensors, problems = check_tensors(mapped, table)
    if problems:
        raise Refusal(*problems)
    kept = {key: value for key, value in metadata.items()
            if key not in ("format", "version", "architecture")}
    write_safetensors(options.output, tensors, table,
                      {"format": "outflow", "version": "1",
                       "architecture": json.dumps(architecture), **kept})
    return layout, architecture


def parse_image(text):
    match = re.fullmatch(r"([13])x(\d{1,4})x(\d{1,4})", text)
    if not match:
        raise argparse.ArgumentTypeError("must be CxHxW, for example 3x32x32")
    return tuple(int(group) for group in match.groups())


def parse_fact(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def parse_options(arguments):
    layouts = "\n".join(f"  {layout.name:10} {layout.summary}" for layout in LAYOUTS)
    parser = argparse.ArgumentParser(description=__doc__, epilog="layouts:\n" + layouts,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help=".pt, .pth or .safetensors")
    parser.add_argument("output", help="the weight file to write")
    parser.add_argument("--layout", choices=[layout.name for layout in LAYOUTS],
                        help="how the input names its tensors; recognised unless given")
    parser.add_argument("--image", type=parse_image, help="CxHxW; inferred where tensors tell it")
    parser.add_argument("--family", choices=["glow", "patch-glow"], default="glow")
    parser.add_argument("--fixed", action="store_true",
                        help="plain mixing matrices are constants, not trained")
    parser.add_argument("--fact", type=parse_fact, action="append", default=[],
                        metavar="NAME=VALUE", help="corrects what the layout takes for granted")
    parser.add_argument("--trust-pickle", action="store_true",
                        help="with a PyTorch too old for weights_only: read anyway")
    options = parser.parse_args(arguments)
    options.fact = dict(options.fact)
    return options


def main(arguments=None):
    options = parse_options(arguments)
    if np is None:
        print(f"export_pytorch.py: {lacks('numpy')}", file=sys.stderr)
        return 1
    try:
        layout, architecture = export(options)
    except Refusal as refusal:
        for line in refusal.lines:
            print(f"{options.input}: {line}", file=sys.stderr)
        return 1
    except OSError as reason:
        print(f"{options.input}: {reason}", file=sys.stderr)
        return 1
    print(f"{options.output}: layout '{layout.name}', {json.dumps(architecture)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
