# SPDX-License-Identifier: Apache-2.0
"""Weight files: reads them, makes random ones, and folds them into what inference needs.

Folding is what a careful user of any framework would do by hand: squeeze, ActNorm and channel
mixing become one convolution with a bias (2x2 with stride 2 where a scale begins), the hidden
ActNorms and the last layer's scale go into the convolutions, coefficients are put in two
contiguous halves, all constant log-determinants into one number. In double precision.
"""
import json
import math
import struct

import numpy as np


class Unsuitable(Exception):
    """A model that the peers are not given."""


def default_architecture(steps, hidden):
    return {"family": "glow", "image": [3, 32, 32], "scales": 3, "steps": steps,
            "hidden": hidden, "coupling": "affine", "permutation": "invconv", "lu": True,
            "block": "conv", "classes": 0}


def scale_shape(architecture, scale):
    """Channels, height and width inside a scale."""
    channels, height, width = architecture["image"]
    return channels * 4 * 2**scale, height >> (scale + 1), width >> (scale + 1)


# ---- Files ----


def read(path):
    """Tensors and architecture of a weight file."""
    with open(path, "rb") as file:
        data = file.read()
    kinds = {"F32": "<f4", "I64": "<i8"}
    try:
        length, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        architecture = json.loads(header.pop("__metadata__")["architecture"])
        tensors = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            if entry["dtype"] == "BF16":
                values = (np.frombuffer(data[begin:end], "<u2").astype("<u4") << 16).view("<f4")
            else:
                values = np.frombuffer(data[begin:end], kinds[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    except (struct.error, ValueError, KeyError, TypeError) as reason:
        raise Unsuitable(f"{path}: not an Outflow weight file ({reason!r}); "
                         "'outflow inspect' tells more") from reason
    for key, wanted in (("family", "glow"), ("block", "conv"), ("classes", 0)):
        if architecture.get(key) != wanted:
            raise Unsuitable(f"{path}: {key} is {architecture.get(key)}; the peers have models "
                             f"of {key} {wanted} only")
    return tensors, architecture


def write(path, tensors, architecture):
    header = {"__metadata__": {"format": "outflow", "version": "1",
                               "architecture": json.dumps(architecture)}}
    offset = 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())


def make_random(architecture, seed=1):
    """Random weights with nothing at zero, so that agreement of likelihoods means something."""
    random = np.random.default_rng(seed)
    hidden = architecture["hidden"]
    tensors = {}

    def put(name, shape, deviation):
        tensors[name] = (deviation * random.standard_normal(shape)).astype("<f4")

    for scale in range(architecture["scales"]):
        channels, height, width = scale_shape(architecture, scale)
        for step in range(architecture["steps"]):
            prefix = f"scales.{scale}.steps.{step}."
            for layer, count in (("", channels), ("net.conv1.", hidden), ("net.conv2.", hidden)):
                put(f"{prefix}{layer}actnorm.loc", count, 0.05)
                put(f"{prefix}{layer}actnorm.log_scale", count, 0.05)
            order = random.permutation(channels)
            tensors[prefix + "mix.permutation"] = np.eye(channels, dtype="<f4")[order]
            tensors[prefix + "mix.sign"] = random.choice([-1.0, 1.0], channels).astype("<f4")
            for name in ("lower", "upper"):
                put(f"{prefix}mix.{name}", (channels, channels), 0.2 / math.sqrt(channels))
            put(prefix + "mix.log_diag", channels, 0.05)
            put(prefix + "net.conv1.weight", (hidden, channels // 2, 3, 3), 0.05)
            put(prefix + "net.conv2.weight", (hidden, hidden, 1, 1), 0.05)
            put(prefix + "net.conv3.weight", (channels, hidden, 3, 3), 0.02)
            put(prefix + "net.conv3.bias", channels, 0.02)
            put(prefix + "net.conv3.log_scale", channels, 0.02)
        last = scale + 1 == architecture["scales"]
        latents = channels * height * width // (1 if last else 2)
        put(f"scales.{scale}.prior.loc", latents, 0.05)
        put(f"scales.{scale}.prior.log_scale", latents, 0.05)
    return tensors


# ---- Folding ----


def mixing(tensors, prefix, channels):
    """The matrix of a step and log|det|, whatever form it is stored in."""
    if prefix + "indices" in tensors:
        return np.eye(channels)[tensors[prefix + "indices"]], 0.0
    if prefix + "weight" in tensors:
        matrix = tensors[prefix + "weight"].astype(np.float64)
        return matrix, np.linalg.slogdet(matrix)[1]
    part = {name: tensors[prefix + name].astype(np.float64)
            for name in ("permutation", "lower", "upper", "log_diag", "sign")}
    lower = np.tril(part["lower"], -1) + np.eye(channels)
    upper = np.triu(part["upper"], 1) + np.diag(part["sign"] * np.exp(part["log_diag"]))
    return part["permutation"] @ lower @ upper, part["log_diag"].sum()


def first_map(matrix, bias, scale):
    """Squeeze and a channel map as one 2x2 convolution with stride 2; the first scale's takes
    bytes v and has x = (v + 1/2)/256 - 1/2 in it. Squeezed channel = c*4 + dy*2 + dx."""
    if scale == 0:
        bias = bias + matrix.sum(1) * (0.5 / 256 - 0.5)
        matrix = matrix / 256
    return matrix.reshape(len(matrix), -1, 2, 2), bias


def fold(tensors, architecture):
    """Name -> float32 array: per step map, conv1, conv2, conv3 as .weight and .bias, per scale
    prior.scale and prior.shift [C, H, W], and `constant`, all of logp that no image changes."""
    affine = architecture["coupling"] == "affine"
    folded, constant = {}, 0.0

    def put(name, weight, bias):
        folded[name + ".weight"] = np.ascontiguousarray(weight, np.float32)
        folded[name + ".bias"] = np.ascontiguousarray(bias, np.float32)

    def norm(prefix):
        return (tensors[prefix + "actnorm.loc"].astype(np.float64),
                tensors[prefix + "actnorm.log_scale"].astype(np.float64))

    for scale in range(architecture["scales"]):
        channels, height, width = scale_shape(architecture, scale)
        for step in range(architecture["steps"]):
            prefix, name = f"scales.{scale}.steps.{step}.", f"{scale}.{step}."
            loc, log_scale = norm(prefix)
            matrix, log_det = mixing(tensors, prefix + "mix.", channels)
            constant += height * width * (log_scale.sum() + log_det)
            matrix = matrix * np.exp(log_scale)
            bias = matrix @ loc
            if step == 0:
                put(name + "map", *first_map(matrix, bias, scale))
            else:
                put(name + "map", matrix[:, :, None, None], bias)
            for layer in ("conv1", "conv2"):
                loc, log_scale = norm(f"{prefix}net.{layer}.")
                factor = np.exp(log_scale)
                weight = tensors[f"{prefix}net.{layer}.weight"] * factor[:, None, None, None]
                put(name + layer, weight, factor * loc)
            net = prefix + "net.conv3."
            factor = np.exp(3 * tensors[net + "log_scale"].astype(np.float64))
            weight = tensors[net + "weight"] * factor[:, None, None, None]
            bias = tensors[net + "bias"] * factor
            if affine:  # add in the first half, raw + 2 in the second
                bias[1::2] += 2
                weight = np.concatenate((weight[0::2], weight[1::2]))
                bias = np.concatenate((bias[0::2], bias[1::2]))
            put(name + "conv3", weight, bias)
        if scale + 1 < architecture["scales"]:
            channels //= 2
        loc, log_scale = (tensors[f"scales.{scale}.prior.{part}"].astype(np.float64)
                          for part in ("loc", "log_scale"))
        shape = (1, channels, height, width)
        folded[f"{scale}.prior.scale"] = np.exp(log_scale).astype(np.float32).reshape(shape)
        folded[f"{scale}.prior.shift"] = (np.exp(log_scale) * loc).astype(np.float32).reshape(shape)
        constant += log_scale.sum() - 0.5 * math.log(2 * math.pi) * log_scale.size
    folded["constant"] = np.float32(constant)
    return folded


def flops(architecture):
    """Multiplications and additions of the direct convolutions, for one image."""
    total, hidden = 0, architecture["hidden"]
    for scale in range(architecture["scales"]):
        c, height, width = scale_shape(architecture, scale)
        step = c * c + 9 * (c // 2) * hidden + hidden * hidden
        step += 9 * hidden * (c if architecture["coupling"] == "affine" else c // 2)
        total += 2 * height * width * architecture["steps"] * step
    return total
