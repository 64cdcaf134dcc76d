# SPDX-License-Identifier: Apache-2.0
"""The published models of ../shared/import, converted and scored by the engine on every instruction
set, against what the original code computed, and a table of the differences.

    engine_test.py MODEL_CHECK OUTFLOW

Latents are compared by vectors_test.py, from the file's equations: the program prints none, and so
the round trip through the engine's inverse is not tested here."""
import glob
import json
import os
import subprocess
import sys
import unittest
from typing import Dict, List

import support  # first: it ends the test as skipped without numpy
import numpy as np
from support import read_safetensors, shared

OUTFLOW = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else "none"
TOLERANCE = 0.02  # nats an image
SETS = ("scalar", "avx2", "auto")


def row(name: str, *cells: str) -> str:
    return f"{name:34s}" + "".join(f" {cell:>9s}" for cell in cells)


def runs(isa: str) -> bool:
    """Whether this CPU has the instruction set."""
    done = subprocess.run([OUTFLOW, "cpu"], env={**os.environ, "OUTFLOW_ISA": isa},
                          capture_output=True, check=False)
    return done.returncode == 0


class EngineVectorsTest(support.ConvertTest):
    def scores(self, isa: str, images: np.ndarray) -> List[Dict[str, float]]:
        path = self.path("images.npy")
        np.save(path, images[..., 0] if images.shape[3] == 1 else images)
        done = subprocess.run([OUTFLOW, "score", "--model", self.path("out.safetensors"),
                               "--format", "jsonl", path], capture_output=True, text=True,
                              env={**os.environ, "OUTFLOW_ISA": isa}, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def gaps(self, rows: List[Dict[str, float]], expected: Dict[str, np.ndarray]) -> Dict:
        """The largest difference in each of the numbers that the original gave."""
        self.assertEqual(len(rows), len(expected["images"]))
        wanted = {"logp": expected["logp"], "bits_per_dim": expected["bits_per_dim"]}
        wanted.update({name.replace(".", "_"): values for name, values in expected.items()
                       if name.startswith("logp.scale")})
        per_class = expected.get("logp.class", np.empty((0, 0)))
        wanted.update({f"logp_class{k}": per_class[:, k] for k in range(per_class.shape[1])})
        gaps: Dict[str, float] = {}
        for name, values in wanted.items():
            found = np.array([line[name] for line in rows], np.float64)
            self.assertTrue(np.isfinite(found).all(), name)
            kind = name.rstrip("0123456789")
            gaps[kind] = max(gaps.get(kind, 0.0), float(np.abs(found - values).max()))
        return gaps

    def test_all(self):
        paths = sorted(glob.glob(os.path.join(shared("import"), "*.model.safetensors")))
        self.assertGreaterEqual(len(paths), 26)
        available = [isa for isa in SETS if runs(isa)]
        self.assertIn("scalar", available)
        self.assertIn("auto", available)
        for isa in set(SETS) - set(available):
            print(f"SKIPPED: this CPU has no {isa}", file=sys.stderr)
        print(row("largest difference in nats, logp:", *available, "a scale", "a class"),
              file=sys.stderr)
        for path in paths:
            name = os.path.basename(path)[:-len(".model.safetensors")]
            with self.subTest(name):
                self.converted(path)
                expected, _ = read_safetensors(shared("import", name + ".expected.safetensors"))
                found = {isa: self.gaps(self.scores(isa, expected["images"]), expected)
                         for isa in available}
                worst = {kind: max(gaps[kind] for gaps in found.values())
                         for kind in found["scalar"]}
                cells = [found[isa]["logp"] for isa in available] + [
                    worst.get("logp_scale"), worst.get("logp_class")]
                print(row(name, *("-" if gap is None else f"{gap:.1e}" for gap in cells)),
                      file=sys.stderr)
                for kind, gap in worst.items():
                    self.assertLessEqual(gap, TOLERANCE, kind)


if __name__ == "__main__":
    support.need_vectors()
    unittest.main(argv=sys.argv[:1])
