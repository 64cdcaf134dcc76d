#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images of further kinds, from a set of photographs, for use in a general set.

    tools/general_data.py cutouts IMAGES OUT.npy    grey on black: patches, bands and blobs, filled
                                                    with a photograph or a plain tone
    tools/general_data.py doodles IMAGES OUT.npy    grey on black: a few strokes in one tone
    tools/general_data.py degraded IMAGES OUT.npy   in colour: parts of a photograph, enlarged,
                                                    paler, darker or brighter, with a little noise
    tools/general_data.py emblems IMAGES OUT.npy    in colour: plates with a rim and some strokes,
                                                    before a blurred photograph, in poor light

IMAGES is CIFAR-100's train.bin, or a .npy file of bytes, images x 32 x 32 x 3. Options: --count N
(10000), --seed N. The same input gives the same output. Needs numpy.
"""
import argparse
import os
import sys

try:
    import numpy as np
except ImportError:  # said after the arguments are read: --help needs no numpy
    np = None

SIZE = 32


def read_images(path):
    if path.endswith(".npy"):
        images = np.load(path, mmap_mode="r")
    else:
        records = np.fromfile(path, np.uint8)
        if records.size == 0 or records.size % 3074 != 0:
            raise SystemExit(f"{path}: neither .npy nor a CIFAR-100 binary file")
        images = records.reshape(-1, 3074)[:, 2:].reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1)
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        raise SystemExit(f"{path}: {images.dtype} {images.shape}, expected uint8 images of 32x32x3")
    return images


def weights(places, last):
    """Neighbours of real-valued places on a grid 0..last, and the share of the second one."""
    places = np.clip(places, 0, last)
    below = np.floor(places).astype(int)
    return below, np.minimum(below + 1, last), places - below


def smooth(random, cells):
    """Normal noise on a grid of so many cells, interpolated."""
    noise = random.normal(size=(cells, cells))
    a, b, f = weights((np.arange(SIZE) + 0.5) * cells / SIZE - 0.5, cells - 1)
    noise = noise[a] * (1 - f)[:, None] + noise[b] * f[:, None]
    return noise[:, a] * (1 - f)[None] + noise[:, b] * f[None]


def mask(random):
    field = smooth(random, random.integers(3, 9))
    field /= field.std() + 1e-6
    kind = random.integers(3)
    if kind == 0:  # patches
        return np.clip((field - random.uniform(-0.5, 1)) * 6, 0, 1)
    if kind == 1:  # bands along level lines
        return np.clip(1 - (np.abs(field) - random.uniform(0.05, 0.3)) * 8, 0, 1)
    y, x = np.mgrid[0:SIZE, 0:SIZE] - (SIZE - 1) / 2  # a blob in the middle
    return np.clip((1 - np.hypot(y, x) * random.uniform(0.05, 0.12) - 0.5 * field) * 6, 0, 1)


def cutout(random, images):
    if random.random() < 0.5:
        filling = np.asarray(images[random.integers(len(images))], float).mean(-1)
    else:
        filling = random.uniform(60, 255) + random.uniform(0, 25) * smooth(random, 8)
    return (filling * mask(random))[..., None]


def stroke(random):
    """How far each pixel lies from a smooth curve through a few random points."""
    knots = random.uniform(5, SIZE - 6, (random.integers(2, 6), 2))
    at = np.linspace(0, len(knots) - 1, 48)
    a, b, f = weights(at, len(knots) - 1)
    f = (f * f * (3 - 2 * f))[:, None]
    curve = knots[a] * (1 - f) + knots[b] * f
    kernel = np.ones(9) / 9
    curve = np.stack([np.convolve(np.pad(c, 4, "edge"), kernel, "valid") for c in curve.T], 1)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    away = np.hypot(y[..., None] - curve[:, 0], x[..., None] - curve[:, 1])
    return away.min(-1)


def doodle(random, _):
    width = random.uniform(0.6, 2.4)
    away = np.min([stroke(random) for _ in range(random.integers(1, 4))], 0)
    return (random.uniform(100, 255) * np.clip((width - away) * 1.2 + 0.5, 0, 1))[..., None]


def enlarge(random, image):
    """A square part of 10 to 28 pixels, stretched to the whole."""
    side = random.uniform(10, 28)
    for axis in (0, 1):
        start = random.uniform(0, SIZE - side)
        a, b, f = weights(start + (np.arange(SIZE) + 0.5) * side / SIZE - 0.5, SIZE - 1)
        f = f[:, None, None] if axis == 0 else f[None, :, None]
        image = image.take(a, axis) * (1 - f) + image.take(b, axis) * f
    return image


def expose(random, image, darkest):
    """Less or more contrast and light, and the noise of a sensor."""
    contrast, brightness = random.uniform(0.5, 1.2), random.uniform(darkest, 1.2)
    image = ((image - image.mean()) * contrast + image.mean()) * brightness
    return np.clip(image + random.normal(0, random.uniform(0, 4), image.shape), 0, 255)


def degraded(random, images):
    image = enlarge(random, np.asarray(images[random.integers(len(images))], float))
    return expose(random, image, 0.4)


def blur(image, deviation):
    """Gaussian, of so many pixels."""
    places = np.arange(SIZE)
    kernel = np.exp(-0.5 * ((places[:, None] - places) / deviation) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    return np.einsum("ya,xb,abc->yxc", kernel, kernel, image, optimize=True)


def plate(random):
    """How many pixels each pixel lies inside a disc or a regular polygon about the middle."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] - (SIZE - 1) / 2 - random.normal(0, 1.5, (2, 1, 1))
    x = x * random.uniform(1, 1.3) + y * random.normal(0, 0.1)  # seen from aside
    radius = random.uniform(8, 16)
    if random.random() < 0.4:
        return radius - np.hypot(y, x)
    corners = random.choice([3, 4, 5, 6, 8])
    angles = 2 * np.pi * (np.arange(corners) + random.choice([0, 0.25, 0.5])) / corners
    sides = y[..., None] * np.cos(angles) + x[..., None] * np.sin(angles)
    return radius * max(0.6, np.cos(np.pi / corners)) - sides.max(-1)


def paint(random):
    """A colour; often white, black or pure, as paint is."""
    if random.random() < 0.3:
        return random.uniform(0, 255, 3)
    tone = random.choice([20, 235], 1 if random.random() < 0.5 else 3)
    return tone + random.normal(0, 15, 3)


def emblem(random, images):
    image = blur(enlarge(random, np.asarray(images[random.integers(len(images))], float)),
                 random.uniform(0.5, 4))
    inside = plate(random)
    strokes = np.maximum.reduce([random.uniform(0.8, 3) - stroke(random)
                                 for _ in range(random.integers(1, 4))])
    for depth in (inside, inside - random.uniform(1, 5), np.minimum(strokes, inside - 2)):
        if random.random() < 0.85:
            cover = np.clip(depth + 0.5, 0, 1)[..., None]
            image = image * (1 - cover) + paint(random) * cover
    return expose(random, blur(image, random.uniform(0.3, 1.5)), 0.15)


def write_images(arguments):
    images = read_images(arguments.images)
    make = {"cutouts": cutout, "doodles": doodle, "degraded": degraded,
            "emblems": emblem}[arguments.kind]
    random = np.random.default_rng(arguments.seed)
    made = [make(random, images) for _ in range(arguments.count)]
    # not under its name before it is whole: tools/train_models takes what is there as done
    unfinished = arguments.out + ".new"
    try:
        with open(unfinished, "wb") as file:
            np.save(file, np.clip(np.rint(made), 0, 255).astype(np.uint8))
        os.replace(unfinished, arguments.out)
    except BaseException:
        if os.path.exists(unfinished):
            os.remove(unfinished)
        raise


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["cutouts", "doodles", "degraded", "emblems"])
    parser.add_argument("images")
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if np is None:
        raise SystemExit(f"{parser.prog}: {sys.executable} has no numpy; Debian's package "
                         "python3-numpy brings it for /usr/bin/python3")
    try:
        write_images(arguments)
    except OSError as reason:
        raise SystemExit(f"{reason.filename}: {reason.strerror}") from reason


if __name__ == "__main__":
    main()
