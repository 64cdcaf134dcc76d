#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The parts of bench/compare_peers that need no peer, and some no numpy: AUROC, settings, reports,
images of sources; with numpy, folding of weights; with onnx, its graph.

    peers_parts_test.py BUILD_DIR
"""
import os
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bench", "peers"))
BUILD = sys.argv[1]

import agreement  # noqa: E402
import outflow_library  # noqa: E402
import report  # noqa: E402
import settings  # noqa: E402
import suite  # noqa: E402
from contenders import ENGINES, PRECISIONS, REFERENCE, Contender, contenders  # noqa: E402
from processes import Failure  # noqa: E402

try:
    import numpy as np
    import pixels
    import prepare
    import weights
except ImportError:
    np = None
try:
    import onnx
    import onnx_graph
    from onnx.reference import ReferenceEvaluator
except ImportError:
    onnx = None
needs_numpy = unittest.skipUnless(np, "this Python has no numpy")
needs_onnx = unittest.skipUnless(np and onnx, "this Python has no onnx")


class Judging(unittest.TestCase):
    def test_auroc(self):
        self.assertEqual(agreement.auroc([3.0, 4.0], [1.0, 2.0]), 1.0)
        self.assertEqual(agreement.auroc([1.0, 2.0], [3.0, 4.0]), 0.0)
        self.assertEqual(agreement.auroc([1.0, 3.0], [2.0, 2.0]), 0.5)
        self.assertEqual(agreement.auroc([5.0, 5.0], [5.0]), 0.5)
        usual, others = [0.5, 2.0, 2.0, 7.0, -1.0], [2.0, 0.5, -3.0]
        slow = sum((o < u) + (o == u) / 2 for u in usual for o in others) / 15
        self.assertAlmostEqual(agreement.auroc(usual, others), slow)

    def test_bounds(self):
        self.assertTrue(agreement.close(0.5, 0.509))
        self.assertFalse(agreement.close(0.5, 0.489))
        agreement.check_auroc(0.5, 0.549)
        for theirs in (0.551, 0.449, float("nan")):
            with self.assertRaisesRegex(Failure, "its AUROC is"):
                agreement.check_auroc(0.5, theirs)
        self.assertNotEqual(agreement.auroc_of([float("nan"), 1.0]),
                            agreement.auroc_of([float("nan"), 1.0]))


class Contenders(unittest.TestCase):
    def test_which(self):
        scoring = contenders("score", list(ENGINES), list(PRECISIONS))
        self.assertEqual(scoring[0], REFERENCE)
        self.assertIn(Contender("openvino", "int8"), scoring)
        self.assertNotIn(Contender("eager", "int8"), scoring)
        self.assertIn(Contender("onnxruntime", "bf16"), scoring)  # that it lacks it is said
        training = contenders("train", list(ENGINES), list(PRECISIONS))
        self.assertEqual({c.engine for c in training}, {"outflow", "eager", "compiled"})
        self.assertEqual({c.precision for c in training}, {"f32", "bf16"})
        self.assertEqual(contenders("score", ["openvino"], ["int8"]),
                         [REFERENCE, Contender("outflow", "int8"), Contender("openvino", "int8")])


class Settings(unittest.TestCase):
    def test_axes(self):
        """Every change names known fields, divides the batch, and is described in words."""
        for mode in ("score", "train"):
            for contender in contenders(mode, list(ENGINES), list(PRECISIONS)):
                for threads, batch in ((1, 1), (2, 1), (2, 64), (3, 32), (4, 7)):
                    usual = settings.usual(threads, batch)
                    self.assertEqual(sorted(usual), sorted(settings.FIELDS))
                    for axis in settings.axes(contender, mode, threads, batch):
                        for change in axis:
                            trial = {**usual, **change}
                            self.assertEqual(sorted(trial), sorted(settings.FIELDS))
                            self.assertEqual(batch % trial["part"], 0)
                            self.assertLessEqual(trial["threads"] * trial["streams"], threads)
                            words = [settings.describe(s, contender, mode, batch)
                                     for s in (usual, trial)]
                            self.assertTrue(words[0] != words[1] or usual == trial, trial)

    def test_what_is_tried(self):
        def changes(engine, precision, mode="score"):
            axes = settings.axes(Contender(engine, precision), mode, 2, 64)
            return [change for axis in axes for change in axis]
        self.assertIn({"scope": "all"}, changes("openvino", "int8"))
        self.assertNotIn({"scope": "all"}, changes("openvino", "f32"))
        self.assertIn({"layout": "nhwc"}, changes("compiled", "f32"))
        self.assertIn({"optimizer": "fused"}, changes("eager", "bf16", "train"))
        self.assertEqual(changes("outflow", "bf16"), [])


def made_up_row(rates):
    return {"mode": "score", "steps": 8, "hidden": 128, "batch": 64, "threads": 2, "model": None,
            "peak_gflops": 200.0, "gflop_per_image": 0.24, "largest_difference": 0.001,
            "auroc_of": ["a", "b", 10], "skipped": ["OpenVINO int8: none"],
            "contenders": [{"contender": engine, "precision": precision, "version": "1",
                            "setting": settings.usual(2, 64), "images_per_second": rate,
                            "slowest": rate, "fastest": rate, "peak_percent": rate / 10,
                            "memory_mb": 100.0, "auroc": 0.5 if precision != "f32" else None,
                            "auroc_is_close": precision != "int8"}
                           for (engine, precision), rate in rates.items()]}


class Reports(unittest.TestCase):
    ROW = made_up_row({("outflow", "f32"): 800.0, ("outflow", "bf16"): 1600.0,
                       ("eager", "f32"): 200.0, ("openvino", "f32"): 400.0,
                       ("openvino", "bf16"): 1000.0, ("openvino", "int8"): 2000.0})

    def test_same_and_best(self):
        self.assertEqual(report.ratio(self.ROW, "f32"), 2.0)
        self.assertEqual(report.ratio(self.ROW, "bf16"), 1.6)
        self.assertIsNone(report.ratio(self.ROW, "int8"))
        self.assertEqual(report.ratio(self.ROW, "best"), 0.8)
        self.assertEqual(report.duel(self.ROW, "f32"), "800 / 400 OpenVINO (2.00x)")
        self.assertEqual(report.duel(self.ROW, "int8"), "- / 2000 OpenVINO\\*")
        lines = report.table(self.ROW).splitlines()
        int8, = [line for line in lines if line.startswith("| OpenVINO int8")]
        self.assertIn("| - | 0.80x | 0.5000\\* |", int8)
        self.assertIn("\\* more than 0.01 from that of f32", lines)
        self.assertIn("Skipped: OpenVINO int8: none", lines[-1])

    def test_goals(self):
        verdicts = report.judge(self.ROW, [suite.Goal("f32", 1.9, peak_percent=81),
                                           suite.Goal("best", 1.0, memory_mb=100),
                                           suite.Goal("int8", 1.0, ours=1.6)])
        self.assertEqual([met for *_, met in verdicts], [True, False, False, True, None, None])
        text = report.summary([self.ROW], [[suite.Goal("best", 1.0)]])
        self.assertIn("best against best 0.80x, goal ≥ 1.00x: MISSED", text)

    def test_suite(self):
        for row, goals in suite.SUITE:
            self.assertTrue(row["model"] is None or os.path.isfile(row["model"]), row)
            self.assertTrue(goals)


class Library(unittest.TestCase):
    def test_images(self):
        library = outflow_library.load(BUILD)
        images = outflow_library.read_source(library, "synthetic:general:300", [3, 32, 32], 290)
        self.assertEqual(len(images), 290)
        self.assertEqual({len(image) for image in images}, {3 * 32 * 32})
        self.assertGreater(len(set(images)), 200)
        with self.assertRaisesRegex(RuntimeError, "nowhere"):
            outflow_library.read_source(library, "nowhere.tar", [3, 32, 32], 1)

    def test_fields(self):
        """Of the plan's options: a wrong layout would put its defaults into other fields."""
        library = outflow_library.load(BUILD)
        options = library.of_plan_options_default()
        self.assertEqual((options.threads, options.isa, options.micro_batch, options.precision),
                         (0, 0, 0, 0))
        self.assertLess(options.size, outflow_library.ROOM)
        self.assertGreater(options.size, outflow_library.PlanOptions.precision.offset)


@needs_numpy
class Files(unittest.TestCase):
    def test_parts(self):
        images = np.arange(7 * 12, dtype=np.uint8).reshape(7, 3, 2, 2)
        parts = pixels.parts(images, 3)
        self.assertEqual([len(part) for part in parts], [3, 3, 3])
        self.assertTrue(np.array_equal(np.concatenate(parts)[:7], images))

    def test_images(self):
        """Calibration and judged images are disjoint, spread, and in both layouts the same."""
        with tempfile.TemporaryDirectory() as folder:
            prepare.prepare_images(folder, BUILD, [3, 32, 32], 5, "synthetic:textures:100",
                                   "synthetic:digits")
            job = {"folder": folder, "image": [3, 32, 32]}
            judged, seen = pixels.read(job, "judged"), pixels.read(job, "calibration")
            self.assertEqual((len(judged), len(seen)), (10, 5))
            self.assertFalse({image.tobytes() for image in judged} &
                             {image.tobytes() for image in seen})
            with open(os.path.join(folder, "judged.nhwc"), "rb") as file:
                plain = np.frombuffer(file.read(), np.uint8).reshape(10, 32, 32, 3)
            self.assertTrue(np.array_equal(plain.transpose(0, 3, 1, 2), judged))
            with self.assertRaisesRegex(ValueError, "100 images; 202 are needed"):
                prepare.prepare_images(folder, BUILD, [3, 32, 32], 101, "synthetic:textures:100",
                                       "synthetic:digits")

    def test_weight_files(self):
        architecture = weights.default_architecture(1, 8)
        tensors = weights.make_random(architecture)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            weights.write(path, tensors, architecture)
            again, read = weights.read(path)
            self.assertEqual(read, architecture)
            self.assertTrue(all(np.array_equal(again[name], tensors[name]) for name in tensors))
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", 5) + b"{...}")
            with self.assertRaises(weights.Unsuitable):
                weights.read(path)


@needs_onnx
class OnnxGraph(unittest.TestCase):
    def test_against_outflow(self):
        """The graph, run by onnx itself, gives what the program gives."""
        import run_outflow
        with tempfile.TemporaryDirectory() as folder:
            made = prepare.prepare_model(folder, None, 1, 8, 2)
            prepare.prepare_onnx(folder, made["architecture"])
            job = {"folder": folder, "model": made["model"], "mode": "score", "build": BUILD,
                   "batch": 2, "image": made["architecture"]["image"], "precision": "f32",
                   "setting": settings.usual(1, 2)}
            graph = onnx.load(os.path.join(folder, "model.onnx"))
            theirs, = ReferenceEvaluator(graph).run(None, {"pixels": pixels.read(job, "pixels")})
            ours = run_outflow.create(job).log_likelihoods()
            agreement.check_likelihoods("onnx", ours, theirs.tolist())
            names = [node.name for node in graph.graph.node]
            for scope, count in (("all", 6), ("networks", 5), ("wide", 3)):
                chosen = [name for name in names if onnx_graph.in_scope(name, scope)]
                self.assertEqual(len(chosen), 3 * count, scope)


if __name__ == "__main__":
    outcome = unittest.main(argv=sys.argv[:1], exit=False).result
    if not np or not onnx:
        print(f"SKIPPED: {sys.executable} has no {'numpy' if not np else 'onnx'}: weights, images, "
              "the ONNX graph; tools/setup --peers makes an environment that has both")
    sys.exit(not outcome.wasSuccessful())
