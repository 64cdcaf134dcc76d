#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden vectors of tests/golden/vectors: small models and what they must give.

    tests/golden/make_vectors.py tests/golden/vectors       makes all of them anew
    tests/golden/make_vectors.py --verify DIR               recomputes those of DIR and compares

The network is written down a second time in reference.py, which shares nothing with the library but
the weight file's layout (models/FORMAT.md): golden_check compares two implementations of the maths.

NAME.expected.safetensors holds

    images, outlier_images       bytes, N x H x W x C
    logp.float64, bits_per_dim   per image; the byte's bin is taken at its middle
    logp.scaleI, z.scaleI        contribution and latents (N x C*H*W, channel-major) of a scale
    logp.class, logp.mixture     of a model with classes: N x classes, and their mixture
    loss.nll_mean_nats           the mean nll, and its gradients grad.nll.PARAMETER
    outlier.base_nll             nll of outlier_images under a general model
    outlier.{class,margin}_loss  the outlier losses, and grad.outlier_{class,margin}.PARAMETER

Needs PyTorch and numpy; no build and no test does. The same machine gives the same bytes.
"""
import argparse
import glob
import json
import math
import os
import random
import struct
import sys

try:
    import numpy as np
    import torch
    from reference import PATCH, expected_values, nll
except ImportError:  # said after the arguments are read: --help needs neither
    np = torch = None

# ---- Files ----

DTYPES = {"F64": "<f8", "I64": "<i8", "F32": "<f4", "U8": "|u1"}


def read_file(path):
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[begin + first:begin + last], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata


def write_file(path, tensors, metadata):
    """Wide types come first, which aligns all of them."""
    names = {np.dtype(kind): name for name, kind in DTYPES.items()}
    header, chunks, offset = {"__metadata__": metadata}, [], 0
    for name, values in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        data = np.ascontiguousarray(values).tobytes()
        header[name] = {"dtype": names[values.dtype], "shape": list(values.shape),
                        "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


# ---- Models ----

# The vectors: what differs from DEFAULTS, image as [C,H,W].
DEFAULTS = {"family": "glow", "image": [1, 8, 8], "scales": 2, "steps": 2, "hidden": 4,
            "coupling": "affine", "permutation": "invconv", "lu": True, "block": "conv",
            "classes": 0}
VECTORS = {
    "affine-lu": {"image": [3, 8, 8]},
    "affine-plain": {"image": [3, 8, 16], "lu": False},
    "affine-shuffle": {"image": [1, 16, 16], "scales": 3, "lu": False, "permutation": "shuffle"},
    "affine-fixed": {"image": [3, 16, 8], "scales": 1, "hidden": 8, "lu": False,
                     "permutation": "invconvfixed"},
    "additive-lu": {"image": [3, 8, 8], "scales": 3, "steps": 1, "hidden": 5,
                    "coupling": "additive"},
    "additive-shuffle": {"image": [3, 8, 8], "scales": 1, "steps": 3, "coupling": "additive",
                         "lu": False, "permutation": "shuffle"},
    "dense-affine-fixed": {"steps": 1, "lu": False, "permutation": "invconvfixed",
                           "block": "dense"},
    "dense-additive-lu": {"image": [1, 4, 8], "scales": 1, "steps": 1, "coupling": "additive",
                          "block": "dense"},
    "gray": {"image": [1, 16, 8], "scales": 3, "hidden": 5},
    "outlier-losses": {"steps": 1},
    "patch": {"family": "patch-glow", "image": [3, 16, 8], "scales": 1},
    "patch-gray-additive": {"family": "patch-glow", "image": [1, 16, 16], "scales": 1,
                            "coupling": "additive", "lu": False},
    "classes": {"steps": 1, "classes": 3},
}
OUTLIER_VECTOR = "outlier-losses"
IMAGES = 4


class Numbers:
    """Random tensors in float, the same for a seed on every machine."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def normal(self, *shape, deviation=1.0):
        count = int(np.prod(shape))
        values = [deviation * self.random.gauss(0, 1) for _ in range(count)]
        return np.array(values, np.float32).reshape(shape)

    def permutation(self, n):
        return np.array(self.random.sample(range(n), n), np.int64)

    def signs(self, n):
        return np.array([self.random.choice((-1, 1)) for _ in range(n)], np.float32)


def random_mixing(numbers, name, architecture, n):
    small = 0.3 / math.sqrt(n)
    if architecture["permutation"] == "shuffle":
        return {name + ".indices": numbers.permutation(n)}
    if not architecture["lu"]:
        rotation = np.linalg.qr(numbers.normal(n, n).astype(np.float64))[0]
        return {name + ".weight": (rotation + numbers.normal(n, n, deviation=small / 2)
                                   ).astype(np.float32)}
    return {name + ".permutation": np.eye(n, dtype=np.float32)[numbers.permutation(n)],
            name + ".sign": numbers.signs(n),
            name + ".lower": np.tril(numbers.normal(n, n, deviation=small), -1),
            name + ".log_diag": numbers.normal(n, deviation=0.2),
            name + ".upper": np.triu(numbers.normal(n, n, deviation=small), 1)}


def random_actnorm(numbers, name, n, mean_log_scale=0.0):
    return {name + ".loc": numbers.normal(n, deviation=0.2),
            name + ".log_scale": numbers.normal(n, deviation=0.2) + np.float32(mean_log_scale)}


def random_net(numbers, net, architecture, inputs, outputs):
    hidden, p = architecture["hidden"], {}

    def weight(rows, columns, *taps):
        return numbers.normal(rows, columns, *taps,
                              deviation=1 / math.sqrt(columns * int(np.prod(taps))))

    if architecture["block"] == "dense":
        widths = (inputs, hidden, hidden, outputs)
        for i in range(3):
            p[f"{net}.fc{i + 1}.weight"] = weight(widths[i + 1], widths[i]) / (4 if i == 2 else 1)
            p[f"{net}.fc{i + 1}.bias"] = numbers.normal(widths[i + 1], deviation=0.2)
        return p
    for layer, rows, columns, taps in (("conv1", hidden, inputs, 3), ("conv2", hidden, hidden, 1)):
        p[f"{net}.{layer}.weight"] = weight(rows, columns, taps, taps)
        p.update(random_actnorm(numbers, f"{net}.{layer}.actnorm", rows))
    p[net + ".conv3.weight"] = weight(outputs, hidden, 3, 3) / 4
    p[net + ".conv3.bias"] = numbers.normal(outputs, deviation=0.1)
    p[net + ".conv3.log_scale"] = numbers.normal(outputs, deviation=0.1)
    return p


def random_classes(numbers, architecture, latents):
    p = {}
    for c in range(architecture["classes"]):
        for i, size in enumerate(latents):
            name = f"classes.{c}.scales.{i}"
            p.update(random_actnorm(numbers, name + ".actnorm", size))
            p[name + ".mean"] = numbers.normal(size, deviation=0.5)
            p[name + ".log_std"] = numbers.normal(size, deviation=0.2)
    return p


def random_model(architecture, seed):
    """Weights that no training gives: every term of every equation counts."""
    numbers, p, latents = Numbers(seed), {}, []
    channels, height, width = architecture["image"]
    if architecture["family"] == "patch-glow":
        height = width = PATCH
    for i in range(architecture["scales"]):
        channels, height, width = 4 * channels, height // 2, width // 2
        n = channels * height * width if architecture["block"] == "dense" else channels
        outputs = n if architecture["coupling"] == "affine" else n // 2
        for j in range(architecture["steps"]):
            name = f"scales.{i}.steps.{j}"
            p.update(random_actnorm(numbers, name + ".actnorm", n, 1.5 if i + j == 0 else 0.1))
            p.update(random_mixing(numbers, name + ".mix", architecture, n))
            p.update(random_net(numbers, name + ".net", architecture, n // 2, outputs))
        channels = channels if i + 1 == architecture["scales"] else channels // 2
        latents.append(channels * height * width)
        p.update(random_actnorm(numbers, f"scales.{i}.prior", latents[-1]))
    p.update(random_classes(numbers, architecture, latents))
    return p


def random_images(architecture, seed, noise):
    """Waves of another direction in each image and channel, with noise."""
    numbers = Numbers(seed)
    channels, height, width = architecture["image"]
    waves = numbers.normal(IMAGES, 1, 1, channels, 3)
    y, x = (axis[None, :, :, None] for axis in np.mgrid[0:height, 0:width])
    values = 128 + 60 * np.sin(waves[..., 0] * x / 2 + waves[..., 1] * y / 2 + 3 * waves[..., 2])
    values = values + noise * numbers.normal(IMAGES, height, width, channels)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


# ---- Making and verifying ----


def make(folder):
    os.makedirs(folder, exist_ok=True)
    for name, differences in VECTORS.items():
        architecture = {**DEFAULTS, **differences}
        tensors = random_model(architecture, name)
        given = {"images": random_images(architecture, name + " images", 15)}
        outliers = base_nll = None
        if name == OUTLIER_VECTOR:
            outliers = random_images(architecture, name + " outliers", 50)
            general = expected_values(random_model(architecture, name + " general"), architecture,
                                      outliers)
            base_nll = nll(general["logp"], outliers[0].size).astype(np.float32)
            given.update({"outlier_images": outliers, "outlier.base_nll": base_nll})
        got = expected_values(tensors, architecture, given["images"], outliers, base_nll)
        del got["logp"]
        expected = {key: values if key == "logp.float64" else values.astype(np.float32)
                    for key, values in got.items()}
        write_file(f"{folder}/{name}.model.safetensors", tensors,
                   {"format": "outflow-golden", "architecture": json.dumps(architecture)})
        write_file(f"{folder}/{name}.expected.safetensors", {**given, **expected},
                   {"format": "outflow-golden-expected"})


def difference(name, got, wanted):
    """Largest distance; gradients and latents relative to the tensor's norm."""
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    if not name.startswith(("grad.", "z.")):
        return np.abs(got - wanted).max()
    norm = np.linalg.norm(wanted)
    return np.linalg.norm(got - wanted) / (norm if norm > 0 else 1)


def verify_case(prefix):
    """The largest difference of each kind of tensor, and how many tensors were compared."""
    tensors, metadata = read_file(prefix + ".model.safetensors")
    expected = read_file(prefix + ".expected.safetensors")[0]
    got = expected_values(tensors, json.loads(metadata["architecture"]), expected["images"],
                          expected.get("outlier_images"), expected.get("outlier.base_nll"))
    worst, count = {}, 0
    for name, wanted in expected.items():
        if name in ("images", "outlier_images", "outlier.base_nll"):
            continue
        kind = "gradients" if name.startswith("grad.") else \
            "latents" if name.startswith("z.") else \
            "float64" if name == "logp.float64" else "nats"
        if name not in got or got[name].size != wanted.size:
            sys.exit(f"{prefix}: {name} is none of this network's values")
        found = difference(name, got[name].reshape(wanted.shape), wanted)
        worst[kind] = max(worst.get(kind, 0), found)
        count += 1
    return worst, count


# golden_check's bounds, which leave room for single precision.
BOUNDS = {"nats": 0.02, "float64": 1e-4, "latents": 1e-5, "gradients": 2e-4}


def verify(folder):
    suffix = ".model.safetensors"
    prefixes = [path[:-len(suffix)] for path in sorted(glob.glob(f"{folder}/*{suffix}"))]
    if not prefixes:
        sys.exit(f"no *{suffix} in {folder}")
    passed, largest = True, {}
    for prefix in prefixes:
        worst, count = verify_case(prefix)
        for kind, value in worst.items():
            largest[kind] = max(largest.get(kind, 0), value)
            passed &= bool(value <= BOUNDS[kind])
        print(f"{os.path.basename(prefix):24s} {count:4d} tensors  " +
              "  ".join(f"{kind} {value:.1e}" for kind, value in worst.items()))
    print("largest: " + ", ".join(f"{kind} {value:.1e}" for kind, value in largest.items()) +
          ("" if passed else "  FAILED"))
    return 0 if passed else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="where the vectors are")
    parser.add_argument("--verify", action="store_true",
                        help="recompute the expected values of all models there, and compare")
    arguments = parser.parse_args()
    if torch is None:
        sys.exit(f"{sys.executable} has no numpy or no torch; Debian's packages python3-numpy and "
                 "python3-torch bring them for /usr/bin/python3")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.verify:
        return verify(arguments.folder)
    make(arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
