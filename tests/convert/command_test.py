# SPDX-License-Identifier: Apache-2.0
"""tools/convert_weights.py as a command: Outflow's own names, the engine's comparison, usage.

    command_test.py MODEL_CHECK OUTFLOW     the program that loads a weight file, and outflow"""
import contextlib
import glob
import io
import json
import math
import os
import stat
import subprocess
import sys
import unittest

import support  # first: it ends the test as skipped without numpy
import models
import numpy as np
from models import Maker
from support import convert_weights, read_safetensors

MODEL_CHECK, OUTFLOW = (os.path.abspath(path) for path in (sys.argv[1:3] or ("none", "none")))
GREY = (1, 16, 16)


class OwnNamesTest(support.ConvertTest):
    def own_state(self):
        tensors = models.y0ast(Maker(0, GREY, 1, 2, 8))
        return self.converted(self.state_file(tensors))[0]

    def load(self):
        done = subprocess.run([MODEL_CHECK, self.path("out.safetensors")], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_own_names_come_back_bit_for_bit(self):
        state = self.own_state()
        self.load()
        tensors, metadata = self.converted(self.state_file(state))
        self.assert_same(tensors, state)
        self.load()
        path = self.state_file({"module." + name: values for name, values in state.items()},
                               architecture=metadata["architecture"], training="{}")
        tensors, again = self.converted(path)
        self.assert_same(tensors, state)
        self.assertEqual(again["training"], "{}")
        self.load()

    def test_golden_models_come_back_bit_for_bit(self):
        paths = sorted(glob.glob(os.path.join(support.shared("golden"), "*.model.safetensors")))
        self.assertGreater(len(paths), 0)
        for path in paths:
            for kept in (True, False):  # with the file's metadata, and from the tensors alone
                state, metadata = read_safetensors(path)
                patch = ["--family", "patch-glow", "--image", "3x32x32"]
                options = list(patch) if "patch" in path else []
                options += ["--fixed"] if "fixed" in path else []
                source = path if kept else self.state_file(state)
                tensors, written = self.converted(source, *([] if kept else options))
                self.assert_same(tensors, state)
                found, stated = (json.loads(facts["architecture"]) for facts in (written, metadata))
                if not kept and "patch" in path:  # has one, and no tensor depends on this number
                    stated["scales"] = 1
                self.assertEqual(found, stated)
                self.load()

    def test_every_misfit_is_listed(self):
        state = self.own_state()
        prefix = "scales.0.steps.1."
        del state[prefix + "mix.sign"]
        del state["scales.0.prior.loc"]
        state[prefix + "actnorm.loc"] = np.zeros(13)
        state[prefix + "net.conv2.weight"] = state[prefix + "net.conv2.weight"] * math.nan
        state[prefix + "mix.permutation"] = state[prefix + "mix.permutation"] * 0
        state[prefix + "net.conv1.bias"] = np.zeros(8)
        self.assert_refused(
            self.state_file(state), f"'{prefix}mix.sign': is missing",
            "'scales.0.prior.loc': is missing",
            f"'{prefix}actnorm.loc': shape is [13], must be [4]",
            f"'{prefix}net.conv2.weight': holds values that are not finite",
            f"'{prefix}mix.permutation': is not a permutation matrix",
            f"'{prefix}net.conv1.bias': is not part", options=("--image", "1x16x16"))

    def test_extension_comes_back(self):
        for tensors, options in ((models.openai(Maker(0, GREY, 2, 1, 4)), ()),
                                 (models.freia(Maker(0, GREY, 2, 1, 4)), ()),
                                 (models.chrischute(Maker(0, GREY, 2, 1, 4)), ())):
            state, metadata = self.converted(self.state_file(tensors), "--image", "1x16x16")
            again, metadata_again = self.converted(
                self.state_file(state, architecture=metadata["architecture"]), *options)
            self.assert_same(again, state)
            self.assertEqual(json.loads(metadata_again["architecture"]),
                             json.loads(metadata["architecture"]))

    def test_bad_architectures(self):
        state, metadata = self.converted(self.state_file(models.openai(Maker(0, GREY, 2, 1, 4))),
                                         "--image", "1x16x16")
        good = json.loads(metadata["architecture"])
        for change in ({"latents": "third"}, {"edges": ["conv2"]}, {"edges": ["split", "split"]},
                       {"input": {"bits": 9}}, {"input": {"logit": 0.5}}, {"input": {"what": 1}},
                       {"leak": "0"}, {"closing": 1.5}, {"scales": 7}, {"surprise": 1},
                       {"image": [2, 16, 16]}, {"image": [1, 18, 16]}):
            text = json.dumps({**good, **change})
            self.assert_refused(self.state_file(state, architecture=text))


class EngineTest(support.ConvertTest):
    """What is said of the engine, and that a wrong result of it does not pass."""

    def engine(self, text):
        path = self.path("engine")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def setUp(self):
        super().setUp()
        self.source = self.state_file(models.y0ast(Maker(0, GREY, 1, 2, 8)))

    def test_agrees(self):
        code, errors = self.convert(self.source, "--outflow", OUTFLOW)
        self.assertEqual(code, 0, errors)
        self.assertRegex(errors, r"the engine within [-0-9.e+]+")

    def test_differs(self):
        wrong = self.engine("for i in 1 2 3 4; do echo '{\"logp\": -7.0}'; done\n")
        errors = self.assert_refused(self.source, "differs from the original by",
                                     options=("--outflow", wrong))
        self.assertEqual(len(errors.splitlines()), 1)

    def test_does_not_read_the_file(self):
        for text, words in (("echo 'outflow: error: what is that' >&2; exit 1\n", "what is that"),
                            ("exit 3\n", "exit code 3"), ("echo '{}'\n", "logp"),
                            ("echo '{\"logp\": -7.0}'\n", "1 scores for 4 images"),
                            ("echo nonsense\n", "not compared")):
            code, errors = self.convert(self.source, "--outflow", self.engine(text),
                                        "--fact", "n_bits=8")
            self.assertEqual(code, 0, errors)
            self.assertIn("not compared with the engine", errors)
            self.assertIn(words, errors)
            self.assertEqual(len(errors.splitlines()), 2)

    def test_no_check(self):
        wrong = self.engine("for i in 1 2 3 4; do echo '{\"logp\": -7.0}'; done\n")
        code, errors = self.convert(self.source, "--outflow", wrong, "--no-check")
        self.assertEqual(code, 0)
        self.assertNotIn("check", errors)


class UsageTest(support.ConvertTest):
    def test_usage(self):
        for arguments in ([], ["a.pt", "b", "--image", "4x32x32"], ["a", "b", "--fact", "bits"],
                          ["a", "b", "--layout", "none"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as end:
                convert_weights.main(arguments)
            self.assertEqual(end.exception.code, 2)

    def test_layouts_are_listed(self):
        from convert.layouts import LAYOUTS
        from convert.names import SUMMARIES
        self.assertEqual([layout.name for layout in LAYOUTS], list(SUMMARIES))

    def test_former_names(self):
        source = self.state_file(models.y0ast(Maker(0, GREY, 1, 1, 4)))
        self.converted(source, "--layout", "layers")
        self.assert_refused(source, "not of layout 'blocks'", options=("--layout", "blocks"))
        program = os.path.join(support.ROOT, "tools", "export_pytorch.py")
        done = subprocess.run([sys.executable, program, source, self.path("other.safetensors"),
                               "--no-check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_output_that_cannot_be_written(self):
        source = self.state_file(models.y0ast(Maker(0, GREY, 1, 1, 4)))
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            code = convert_weights.main([source, self.path("no/such/folder.safetensors")])
        self.assertEqual(code, 1)
        self.assertEqual(len(stderr.getvalue().splitlines()), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
