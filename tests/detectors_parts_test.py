#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The parts of bench/compare_detectors that need no peer: choosing images, AUROC, p-values.

    detectors_parts_test.py
"""
import io
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench" / "detectors"))

try:
    import numpy as np
    from PIL import Image
except ImportError as reason:
    print(f"SKIPPED: {reason}")
    sys.exit(77)

import data  # noqa: E402
import judging  # noqa: E402


def png(colour, side=4, mode="RGB"):
    written = io.BytesIO()
    Image.new(mode, (side, side), colour).save(written, "png")
    return written.getvalue()


class Choosing(unittest.TestCase):
    def names(self, text):
        choice = data.Choice.parse(text)
        return [n for n in ("cat/1.png", "a/cat/2.JPG", "cats/3.png", "cat/x.txt") if choice.takes(n)]

    def test_folders(self):
        self.assertEqual(self.names("x.tar"), ["cat/1.png", "a/cat/2.JPG", "cats/3.png"])
        self.assertEqual(self.names("x.tar:cat"), ["cat/1.png", "a/cat/2.JPG"])
        self.assertEqual(self.names("x.tar:!cat"), ["cats/3.png"])
        self.assertEqual(self.names("x.tar:cats,dogs"), ["cats/3.png"])

    def test_every_nth_is_spread(self):
        items = [(str(i), b"") for i in range(10)]
        self.assertEqual([name for name, _ in data.every_nth(items, 5)], list("02468"))
        self.assertEqual(data.every_nth(items, 10), items)

    def test_archive_becomes_parts(self):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            with tarfile.open(place / "a.tar", "w") as archive:
                for number in range(20):
                    content = png((number, 0, 0))
                    member = tarfile.TarInfo(f"cat/{number:02d}.png")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
            choice = data.Choice.parse(str(place / "a.tar") + ":cat")
            self.assertEqual(data.unpack([choice], place / "all", 100), 20)
            data.split(place / "all", place / "train", place / "held", 0.15, seed=0)
            train, held = ({p.name for p in (place / n).iterdir()} for n in ("train", "held"))
            self.assertEqual((len(train), len(held), len(train & held)), (17, 3, 0))
            pixels = data.read_pixels(place / "all", 4)
            self.assertEqual(pixels[:, 0, 0, 0].tolist(), list(range(20)))

    def test_transparent_is_white(self):
        picture = data.read_picture(png((10, 20, 30, 0), mode="RGBA"))
        self.assertEqual(picture.getpixel((0, 0)), (255, 255, 255))


class Judging(unittest.TestCase):
    def test_auroc(self):
        normal, odd = np.array([0.0, 1, 2, 3]), np.array([1.0, 2.5, 9])
        pairs = [(o > n) + 0.5 * (o == n) for o in odd for n in normal]
        self.assertAlmostEqual(judging.auroc(normal, odd), sum(pairs) / len(pairs))
        self.assertEqual(judging.auroc(normal, normal), 0.5)

    def test_p_values(self):
        held = np.arange(19.0)
        self.assertEqual(judging.p_values(held, np.array([18.5, 18, 0, -1])).tolist(),
                         [1 / 20, 2 / 20, 1, 1])
        self.assertEqual(judging.flagged(held, np.array([18.5, 18, 0, 20]), 0.05), 0.5)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
