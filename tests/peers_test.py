#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/compare_peers: arguments, agreement of every peer that is installed, a tiny comparison.

    peers_test.py BUILD_DIR GOLDEN_DIR      exit status 77: what needs a peer was left out
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench")
SCRIPT = os.path.join(BENCH, "compare_peers")
sys.path.insert(0, os.path.join(BENCH, "peers"))

import agreement  # noqa: E402
from contenders import ENGINES, Contender  # noqa: E402
from interpreters import Interpreters  # noqa: E402

BUILD, GOLDEN = sys.argv[1:3]
TINY = ["--steps", "1", "--hidden", "16", "--batch", "2"]
FASTEST_TO_START = ["onnxruntime", "openvino", "eager"]


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, "--build", BUILD, *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


interpreters = Interpreters({})
# PyTorch's compiled form takes minutes to start: the smoke run of a person has it.
INSTALLED = [name for name, engine in ENGINES.items()
             if engine.packages and name != "compiled" and interpreters.find(engine.packages) and
             (name == "eager" or interpreters.find(["onnx", "numpy"]))]
QUICK = next((name for name in FASTEST_TO_START if name in INSTALLED), None)
needs_peer = unittest.skipUnless(INSTALLED, "no peer is installed")


class Arguments(unittest.TestCase):
    def refused(self, words, *arguments, code=2):
        result = run(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(words, result.stderr.splitlines()[-1])
        self.assertNotIn("Traceback", result.stderr)
        self.assertEqual(result.stdout, "")

    def test_wrong_arguments(self):
        self.refused("whole numbers from 1", "--batch", "8,0")
        self.refused("whole numbers from 1", "--steps", "many")
        self.refused("a number from 0.001", "--seconds", "nan")
        self.refused("there are outflow, eager", "--only", "tensorflow")
        self.refused("there are f32, bf16, int8", "--precision", "f16")
        self.refused("leave out --batch", "--suite", "--batch", "3")
        self.refused("leave out --batch", "--rows", "1", "--batch", "3")
        self.refused("exclude each other", "--suite", "--quick")
        self.refused("no such file", "--model", "nowhere.safetensors")
        self.refused("no program", "--torch-python", "nowhere/python")

    def test_wrong_places(self):
        self.refused("build first", "--build", "nowhere", code=1)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write("[]")
            file.flush()
            self.refused("remove it", *TINY, "--settings", file.name, code=1)

    def test_python_without_the_package(self):
        result = run(*TINY, "--only", "eager", "--torch-python", "/bin/false",
                     "--precision", "f32")
        self.assertEqual(result.returncode, 77, result.stderr)
        self.assertIn("SKIPPED: PyTorch eager f32: /bin/false cannot import torch", result.stdout)


class Agreement(unittest.TestCase):
    def test_tolerance(self):
        def judge(ours, theirs):
            return agreement.check_likelihoods("somebody", ours, theirs)
        self.assertAlmostEqual(judge([-100.0, 5.0], [-100.01, 5.02]), 0.02)
        self.assertAlmostEqual(judge([-10000.0], [-10000.09]), 0.09)
        for wrong in ([-100.1, 5.0], [float("nan"), 5.0], [-100.0, float("inf")], [-100.0], []):
            with self.assertRaisesRegex(agreement.Disagreement, "nothing is timed|results for"):
                judge([-100.0, 5.0], wrong)

    def start(self, *arguments):
        command = [sys.executable, SCRIPT, "--build", BUILD, "--check", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.kill)
        return process

    @staticmethod
    def low_precisions():
        found = [Contender("eager", "bf16"), Contender("openvino", "bf16"),
                 Contender("onnxruntime", "int8")]
        if interpreters.find(["openvino", "nncf", "numpy"]):
            found.append(Contender("openvino", "int8"))
        return [contender for contender in found if contender.engine in INSTALLED]

    @needs_peer
    def test_installed_peers(self):
        """Side by side, to save time: all peers, training, other architectures, a refused one."""
        everyone = self.start(*TINY, "--only", ",".join(INSTALLED), "--images", "64")
        trained = (self.start(*TINY, "--mode", "train", "--only", "eager", "--images", "64")
                   if "eager" in INSTALLED else None)
        cases = [os.path.join(GOLDEN, f"glow-{case}.model.safetensors")
                 for case in ("additive-lu", "affine-shuffle", "gray", "dense-fixed")]
        given = [self.start("--model", model, "--batch", "2", "--only", QUICK,
                            "--precision", "f32")
                 for model in cases if os.path.exists(model)]

        def agreed(process):
            out, err = process.communicate()
            self.assertEqual(process.returncode, 0, err)
            self.assertIn("differ by at most", out)
            return out

        text = agreed(everyone)
        for name in INSTALLED:
            self.assertIn(Contender(name, "f32").title + " ", text.splitlines()[0])
        for contender in self.low_precisions():
            self.assertRegex(text, contender.title + r" [^\n]*AUROC 0\.\d+")
        if trained:
            self.assertIn("PyTorch eager f32", agreed(trained))
        if not given:
            print(f"SKIPPED: other architectures: no {GOLDEN}")
            return
        for process in given[:-1]:
            agreed(process)
        self.assertIn("block is dense", given[-1].communicate()[1])
        self.assertEqual(given[-1].returncode, 1)


class Timing(unittest.TestCase):
    @needs_peer
    def test_tiny(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "settings.json")
            options = [*TINY, "--rounds", "2", "--seconds", "0.001", "--threads", "2",
                       "--only", QUICK, "--settings", path, "--precision", "f32"]
            result = run(*options, "--format", "json")
            self.assertEqual(result.returncode, 0, result.stderr)
            row, = json.loads(result.stdout)
            self.assertEqual([(c["contender"], c["precision"]) for c in row["contenders"]],
                             [("outflow", "f32"), (QUICK, "f32")])
            for contender in row["contenders"]:
                self.assertGreater(contender["images_per_second"], 0)
                self.assertGreater(contender["peak_percent"], 0)
                self.assertGreater(contender["memory_mb"], 1)
                self.assertEqual(len(contender["samples_images_per_second"]), 2)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(len(json.load(file)), 2)
            again = run(*options)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertIn(Contender(QUICK, "f32").title, again.stdout)
            tried = [line for line in again.stderr.splitlines()
                     if Contender(QUICK, "f32").title + ":" in line]
            self.assertEqual(len(tried), 1, "the setting in the file was not taken")


if __name__ == "__main__":
    outcome = unittest.main(argv=sys.argv[:1], exit=False).result
    if outcome.wasSuccessful() and not INSTALLED:
        print("SKIPPED: no peer is installed; tools/setup --peers installs them")
        sys.exit(77)
    sys.exit(not outcome.wasSuccessful())
