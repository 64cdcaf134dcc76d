#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Widens a set of photographs for use as a general set.

    tools/general_data.py degraded IMAGES OUT.npy   photographs out of focus: a small part of an
                                                    image enlarged, with other contrast, exposure
                                                    and noise
    tools/general_data.py cutouts IMAGES OUT.npy    things on black, in grey: patches, bands and
                                                    blobs filled with a photograph or a plain tone

IMAGES is CIFAR-100's train.bin, or a .npy file of bytes, images x 32 x 32 x 3. Options: --count N
(10000), --seed N. The same input gives the same output. Needs numpy.
"""
import argparse

import numpy as np

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


def enlarge(image, top, left, side):
    """The square of this side, bilinear, as large as the whole image."""
    places = (np.arange(SIZE) + 0.5) * side / SIZE - 0.5
    a, b, f = weights(top + places, SIZE - 1)
    image = image[a] * (1 - f)[:, None, None] + image[b] * f[:, None, None]
    a, b, f = weights(left + places, SIZE - 1)
    return image[:, a] * (1 - f)[None, :, None] + image[:, b] * f[None, :, None]


def smooth(random, cells):
    """Normal noise on a grid of so many cells, interpolated."""
    noise = random.normal(size=(cells, cells))
    a, b, f = weights((np.arange(SIZE) + 0.5) * cells / SIZE - 0.5, cells - 1)
    noise = noise[a] * (1 - f)[:, None] + noise[b] * f[:, None]
    return noise[:, a] * (1 - f)[None] + noise[:, b] * f[None]


def degraded(random, images):
    image = np.asarray(images[random.integers(len(images))], float)
    side = random.uniform(10, 28)
    image = enlarge(image, random.uniform(0, SIZE - side), random.uniform(0, SIZE - side), side)
    mean = image.mean()
    image = ((image - mean) * random.uniform(0.5, 1.2) + mean) * random.uniform(0.4, 1.2)
    return image + random.normal(0, random.uniform(0, 4), image.shape)


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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["degraded", "cutouts"])
    parser.add_argument("images")
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    images = read_images(arguments.images)
    make = {"degraded": degraded, "cutouts": cutout}[arguments.kind]
    random = np.random.default_rng(arguments.seed)
    made = [make(random, images) for _ in range(arguments.count)]
    np.save(arguments.out, np.clip(np.rint(made), 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
