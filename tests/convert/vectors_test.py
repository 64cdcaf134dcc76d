# SPDX-License-Identifier: Apache-2.0
"""The published models of ../shared/import: what the original code computed, against the converted
file evaluated in double precision, and a table of the differences."""
import glob
import json
import os
import sys
import unittest

import support  # first: it ends the test as skipped without numpy
import numpy as np
from support import read_safetensors, shared

from convert.evaluate import FileModel, bits_per_dim

TOLERANCE = 1e-3  # nats an image: float's share of folded tensors and of the originals' constants
LATENTS = 1e-5    # relative
ROW = "{:34s} {:>9s} {:>9s} {:>9s} {:>9s} {:>9s}"


def largest(found, expected):
    return float(np.abs(found - expected).max())


def own_channel_order(z, channels, architecture):
    """Latents of a last scale that runs with its halves swapped, in the original's order."""
    if architecture.get("latents") == "second" or not architecture.get("scale_map",
                                                                      architecture.get("shift")):
        return z
    planes = z.reshape(len(z), channels, -1)
    return np.concatenate(np.split(planes, 2, 1)[::-1], 1).reshape(z.shape)


class VectorsTest(support.ConvertTest):
    def compare(self, name):
        """Converts a model and gives the differences: logp, scales, classes, latents, bits/dim."""
        folder = shared("import")
        tensors, metadata = self.converted(os.path.join(folder, name + ".model.safetensors"))
        expected, _ = read_safetensors(os.path.join(folder, name + ".expected.safetensors"))
        architecture = json.loads(metadata["architecture"])
        found = FileModel(architecture, tensors).score(expected["images"])
        gaps = {"logp": largest(found.logp, expected["logp"]), "bits": largest(
            bits_per_dim(found.logp, architecture), expected["bits_per_dim"])}
        if "logp.class" in expected:
            gaps["class"] = largest(found.per_class, expected["logp.class"])
        for scale in range(architecture["scales"]):
            if f"logp.scale{scale}" in expected and found.per_scale:
                gap = largest(found.per_scale[scale], expected[f"logp.scale{scale}"])
                gaps["scale"] = max(gap, gaps.get("scale", 0))
            if f"z.scale{scale}" in expected:
                z = found.latents[scale]
                if scale == architecture["scales"] - 1 and name.startswith(("kamen", "chrischute")):
                    z = own_channel_order(z, architecture["image"][0] * 4 << scale, architecture)
                wanted = expected[f"z.scale{scale}"]
                gap = float((np.abs(z - wanted) / np.maximum(1, np.abs(wanted))).max())
                gaps["z"] = max(gap, gaps.get("z", 0))
        return gaps

    def test_all(self):
        paths = sorted(glob.glob(os.path.join(shared("import"), "*.model.safetensors")))
        self.assertGreaterEqual(len(paths), 26)
        print(ROW.format("model", "logp", "a scale", "a class", "latents", "bits/dim"),
              file=sys.stderr)
        for path in paths:
            name = os.path.basename(path)[:-len(".model.safetensors")]
            with self.subTest(name):
                gaps = self.compare(name)
                print(ROW.format(name, *(f"{gaps[key]:.1e}" if key in gaps else "-" for key in
                                         ("logp", "scale", "class", "z", "bits"))), file=sys.stderr)
                for key, gap in gaps.items():
                    self.assertLess(gap, LATENTS if key in ("z", "bits") else TOLERANCE, key)

    def test_checkpoints_give_the_same_tensors(self):
        for source, name, *options in (
                ("invglow-affine-lu.whole.pt", "invglow-affine-lu"),
                ("chaiyujin-affine-plain.pt", "chaiyujin-affine-plain"),
                ("chrischute-glow.pt", "chrischute-glow", "--image", "3x32x32"),
                ("openai-affine-conv.ckpt", "openai-affine-conv", "--image", "3x32x32"),
                ("openai-affine-conv.ckpt.index", "openai-affine-conv", "--image", "3x32x32")):
            with self.subTest(source):
                expected, _ = self.converted(shared("import", name + ".model.safetensors"))
                path = os.path.join(shared("import"), source)
                self.assert_same(self.converted(path, *options)[0], expected)

    def test_without_the_packages(self):
        """What the readers replace is not there, or not used."""
        self.converted(shared("import", "invglow-affine-lu.whole.pt"))
        for module in ("torch", "tensorflow", "invglow"):
            self.assertNotIn(module, sys.modules)

    def test_damaged_tensorflow_checkpoints(self):
        with open(shared("import", "openai-affine-conv.ckpt.index"), "rb") as file:
            index = file.read()
        with open(shared("import", "openai-affine-conv.ckpt.data-00000-of-00001"), "rb") as file:
            data = file.read()
        random = np.random.default_rng(1)
        damaged = [index[:-1], index[:100], b"", index[:-48] + b"\xff" * 40 + index[-8:]]
        for place in random.integers(0, len(index), 60):
            copy = bytearray(index)
            copy[place] ^= int(random.integers(1, 255))
            damaged.append(bytes(copy))
        path = self.path("m.ckpt")
        for content in damaged:
            with open(path + ".index", "wb") as file:
                file.write(content)
            with open(path + ".data-00000-of-00001", "wb") as file:
                file.write(data)
            code, errors = self.convert(path, "--image", "3x32x32", "--no-check")
            self.assertIn(code, (0, 1))  # a byte of a checksum or of padding does no harm
            self.assertLess(len(errors), 3000)
        with open(path + ".index", "wb") as file:
            file.write(index)
        with open(path + ".data-00000-of-00001", "wb") as file:
            file.write(data[:1000])
        self.assert_refused(path, "not a usable TensorFlow checkpoint", "outside its file")


if __name__ == "__main__":
    support.need_vectors()
    unittest.main(argv=sys.argv[:1])
