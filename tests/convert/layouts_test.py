# SPDX-License-Identifier: Apache-2.0
"""Every layout with options that no test vector has: the original's equations, evaluated from the
original's tensors, against those of the converted file. The command does that comparison itself
(--check), so that it only has to succeed; it must fail where a fold is wrong."""
import json
import re
import sys
import unittest
from unittest import mock

import support  # first: it ends the test as skipped without numpy
import models
import numpy as np
from models import Maker

from convert import folds
from convert.layouts import LAYOUTS

COLOUR, GREY, TALL = (3, 16, 16), (1, 16, 16), (3, 24, 16)


def size(image) -> str:
    return "x".join(map(str, image))


class LayoutsTest(support.ConvertTest):
    def check(self, layout, tensors, image, *options, expect=None, hyperparameters=None):
        """Converts and gives the architecture; the check must have been as near as float allows."""
        metadata = {} if hyperparameters is None else {
            "hyperparameters": json.dumps(hyperparameters)}
        source = self.state_file(tensors, **metadata)
        code, errors = self.convert(source, "--image", size(image), *options)
        self.assertEqual(code, 0, errors)
        self.assertIn(f"layout '{layout}'", errors)
        gap = re.search(r"the file's equations within ([-0-9.e+]+)", errors)
        self.assertIsNotNone(gap, errors)
        self.assertLess(float(gap[1]), 2e-3)
        _, written = support.read_safetensors(self.path("out.safetensors"))
        architecture = json.loads(written["architecture"])
        self.assertEqual(architecture["image"], list(image))
        for field, value in (expect or {}).items():
            self.assertEqual(architecture.get(field), value, field)
        return architecture

    def test_y0ast(self):
        for seed, (image, scales, affine, mixing, top) in enumerate([
                (COLOUR, 3, True, "lu", True), (TALL, 2, False, "plain", False),
                (GREY, 4, True, "plain", True), (GREY, 1, False, "lu", True)]):
            maker = Maker(seed, image, scales, 2, 5, affine)
            self.check("y0ast", models.y0ast(maker, mixing, top), image,
                       expect={"coupling": "affine" if affine else "additive",
                               "latents": "second" if scales > 1 else None})

    def test_y0ast_without_mixing_tensors(self):
        maker = Maker(1, COLOUR, 2, 2, 5)
        tensors = models.y0ast(maker, "none")
        source = self.state_file(tensors)
        self.assert_refused(source, "'permutation' is not known", "reverse")
        self.assert_refused(source, "'indices' is not known",
                            options=("--fact", "flow_permutation=shuffle"))
        self.check("y0ast", tensors, COLOUR, "--fact", "flow_permutation=reverse",
                   expect={"permutation": "shuffle"})
        numbers = [int(name.split(".")[2]) for name in tensors if name.endswith("block.4.logs")]
        indices = {str(n): maker.permutation(tensors[f"flow.layers.{n}.actnorm.bias"].size).tolist()
                   for n in numbers}
        self.check("y0ast", tensors, COLOUR, hyperparameters={
            "flow_permutation": "shuffle", "indices_not_in_state_dict": indices})
        indices[str(numbers[0])][0] = indices[str(numbers[0])][1]
        self.assert_refused(self.state_file(tensors), "no permutation of 12 channels", options=(
            "--fact", "flow_permutation=shuffle", "--fact", "indices=" + json.dumps(indices)))

    def test_y0ast_classes_and_bits(self):
        for top in (True, False):
            maker = Maker(2, TALL, 2, 1, 4)
            self.check("y0ast", models.y0ast(maker, "lu", top, classes=3), TALL, "--fact", "bits=5",
                       expect={"classes": 3, "input": {
                           "bits": 5, "scale": 1 / 32, "shift": 1 / 64 - 0.5, "bin": 1 / 32,
                           "logit": 0}})

    def test_chaiyujin(self):
        for classes, affine in ((0, True), (4, False)):
            maker = Maker(3, GREY, 2, 2, 5, affine)
            tensors = models.y0ast(maker, "lu", classes == 0, classes, chaiyujin=True)
            architecture = self.check("chaiyujin", tensors, GREY, expect={"classes": classes})
            self.assertEqual(architecture["input"]["scale"], 1 / 255)
            self.assertEqual(architecture["input"]["shift"], 0)

    def test_rosinality(self):
        for seed, (image, scales, affine, lu, bits) in enumerate([
                (COLOUR, 3, True, True, 8), (TALL, 2, False, False, 5), (GREY, 4, True, False, 6),
                (GREY, 1, True, True, 8)]):
            maker = Maker(seed, image, scales, 2, 5, affine)
            architecture = self.check("rosinality", models.rosinality(maker, lu), image,
                                      "--fact", f"n_bits={bits}")
            self.assertEqual(architecture["lu"], lu or scales == 1)
            self.assertEqual(architecture["edges"], ["conv3", "split"] if scales > 1 else ["conv3"])

    def test_bits_taken_for_granted_are_said(self):
        source = self.state_file(models.rosinality(Maker(0, GREY, 1, 1, 4)))
        _, errors = self.convert(source, "--image", size(GREY))
        self.assertIn("trained on: 5, as nothing says otherwise (--fact n_bit", errors)
        _, errors = self.convert(source, "--image", size(GREY), "--fact", "bits=8")
        self.assertNotIn("as nothing says otherwise", errors)

    def test_kamen(self):
        for scales, image, options in ((3, COLOUR, ("--fact", "n_bits=8")),
                                       (2, TALL, ("--fact", "dataset=mnist")),
                                       (1, GREY, ())):
            maker = Maker(scales, image, scales, 2, 5)
            self.check("kamen", models.kamen(maker), image, *options,
                       expect={"shift": "after", "edges": ["conv3"], "latents": None})

    def test_pclucas14(self):
        for norm, mixing, top, affine in (
                (True, "conv", True, True), (False, "reverse", False, True),
                (True, "shuffle", False, False)):
            maker = Maker(4, TALL, 2, 2, 5, affine)
            self.check("pclucas14", models.pclucas14(maker, norm, mixing, top), TALL)

    def test_chrischute(self):
        for image, scales in ((COLOUR, 3), (TALL, 1)):
            self.check("chrischute", models.chrischute(Maker(5, image, scales, 2, 5)), image,
                       expect={"net_input": "affine-relu", "scale_map": "tanh"})

    def test_normflows(self):
        for lu, net_actnorm, base, affine, facts in (
                (True, False, "class", True, {}), (False, True, "diag", False, {"leaky": 0.1}),
                (False, False, "glow", True, {"scale_map": "sigmoid_inv"}),
                (True, False, "diag", True, {"scale_map": "exp", "split_mode": "channel_inv"})):
            maker = Maker(6, TALL, 3, 2, 5, affine)
            tensors = models.normflows(maker, lu, net_actnorm, base)
            for name in tensors:  # so that exp stays where float is exact enough
                tensors[name] *= 0.2 if name.endswith("net.4.weight") else 1
            architecture = self.check("normflows", tensors, TALL, hyperparameters=facts,
                                      expect={"leak": facts.get("leaky")})
            self.assertNotIn("input", architecture)  # the offset is in the first ActNorm
        source = self.state_file(tensors)
        self.assert_refused(source, "'split_mode' is \"checkerboard\"",
                            options=("--fact", "split_mode=checkerboard"))

    def test_flows_ood(self):
        for image, scales in ((GREY, 2), (TALL, 3)):
            self.check("flows_ood", models.flows_ood(Maker(7, image, scales, 2, 5)), image,
                       expect={"scale_map": "tanh"})

    def test_freia(self):
        for kind, hard, image in (("SOFTPLUS", False, TALL), ("EXP", True, GREY),
                                  ("SIGMOID", False, COLOUR)):
            tensors = models.freia(Maker(8, image, 2, 2, 5), hard)
            self.check("freia", tensors, image, "--fact", f"global_affine_type={kind}",
                       "--fact", "affine_clamping=1.7", expect={"closing": True, "shift": "after"})

    def test_openai(self):
        for mixing, top, classes, affine, image in (
                ("invconv", True, 0, True, TALL), ("shuffle", False, 0, False, COLOUR),
                ("reverse", True, 3, True, COLOUR), ("invconv", False, 2, False, GREY)):
            tensors = models.openai(Maker(9, image, 2, 2, 5, affine), mixing, top, classes)
            tensors["model/0/0/f1/l_1/W/Adam"] = np.zeros(3, np.float32)
            tensors["global_step"] = np.array(3, np.int64)
            self.check("openai", tensors, image, "--fact", "n_bits_x=5",
                       expect={"classes": classes})

    def test_invglow(self):
        for mixing, dense, image, affine, scales in (
                ("lu", False, TALL, True, 3), ("fixed", False, GREY, False, 2),
                ("shuffle", True, (1, 8, 8), True, 2), ("lu", True, (3, 4, 4), False, 2)):
            tensors = models.invglow(Maker(10, image, scales, 2, 5, affine), mixing, dense)
            self.check("invglow", tensors, image, expect={
                "block": "dense" if dense else "conv",
                "permutation": {"lu": "invconv", "fixed": "invconvfixed"}.get(mixing, mixing)})

    def test_copies_of_a_tensor_must_agree(self):
        tensors = models.invglow(Maker(11, TALL, 2, 1, 4))
        name = next(name for name in tensors if name.startswith("prev.0") and "w_l" in name)
        tensors[name] = tensors[name] + 1
        self.assert_refused(self.state_file(tensors), f"'{name}': differs from",
                            options=("--image", size(TALL)))

    def test_hyperparameters_of_another_model_are_refused(self):
        source = self.state_file(models.y0ast(Maker(0, GREY, 2, 2, 4)),
                                 hyperparameters=json.dumps({"K": 3}))
        self.assert_refused(source, "say K 3, the tensors are of 2")
        source = self.state_file(models.y0ast(Maker(0, GREY, 2, 2, 4)))
        self.assert_refused(source, "said to be [1, 32, 32]", options=("--image", "1x32x32"))

    def test_facts_from_a_file(self):
        path = self.path("hparams.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"Glow": {"img_size": [24, 16], "n_bits": 7}}, file)
        source = self.state_file(models.rosinality(Maker(0, TALL, 2, 1, 4)))
        tensors, metadata = self.converted(source, "--hyperparameters", path)
        architecture = json.loads(metadata["architecture"])
        self.assertEqual(architecture["image"], list(TALL))
        self.assertEqual(architecture["input"]["bits"], 7)

    def test_facts_that_mean_nothing_are_refused(self):
        source = self.state_file(models.rosinality(Maker(0, GREY, 1, 1, 4)))
        self.assert_refused(source, "'padding' means nothing to layout 'rosinality'",
                            options=("--fact", "padding=zeros"))

    def test_a_wrong_fold_does_not_pass(self):
        """Each of these makes some conversion wrong without an error of its own."""
        wrong = [
            ("convert.layouts.rosinality.edge_of_ones", lambda weight: 0 * weight.sum(1),
             models.rosinality(Maker(1, GREY, 2, 1, 4))),
            ("convert.layouts.kamen.second_half_conditions", lambda scale, last: None,
             models.kamen(Maker(1, GREY, 2, 1, 4))),
            ("convert.folds.positive_scale", lambda actnorm, mix: mix,
             models.rosinality(Maker(1, GREY, 2, 1, 4))),
            ("convert.layouts.chrischute.swap_pairs", np.asarray,
             models.chrischute(Maker(1, GREY, 2, 1, 4)))]
        for name, broken, tensors in wrong:
            source = self.state_file(tensors)
            with mock.patch(name, broken):
                errors = self.assert_refused(source, "differs from the original",
                                             options=("--image", size(GREY)))
            self.assertEqual(len(errors.splitlines()), 1, errors)
            self.assertEqual(self.convert(source, "--image", size(GREY))[0], 0)

    def test_every_layout_is_recognised_alone(self):
        made = {"y0ast": models.y0ast(Maker(0, GREY, 2, 1, 4)),
                "chaiyujin": models.y0ast(Maker(0, GREY, 2, 1, 4), chaiyujin=True),
                "rosinality": models.rosinality(Maker(0, GREY, 2, 1, 4)),
                "kamen": models.kamen(Maker(0, GREY, 2, 1, 4)),
                "pclucas14": models.pclucas14(Maker(0, GREY, 2, 1, 4)),
                "chrischute": models.chrischute(Maker(0, GREY, 2, 1, 4)),
                "normflows": models.normflows(Maker(0, GREY, 2, 1, 4)),
                "flows_ood": models.flows_ood(Maker(0, GREY, 2, 1, 4)),
                "freia": models.freia(Maker(0, GREY, 2, 1, 4)),
                "openai": models.openai(Maker(0, GREY, 2, 1, 4)),
                "invglow": models.invglow(Maker(0, GREY, 2, 1, 4))}
        self.assertEqual({layout.name for layout in LAYOUTS} - {"outflow"}, set(made))
        for name, tensors in made.items():
            found = [layout.name for layout in LAYOUTS if layout.recognises(tensors)]
            self.assertEqual(found, [name])

    def test_misfits_are_one_line_each(self):
        tensors = models.y0ast(Maker(0, GREY, 2, 2, 4))
        tensors.update({f"surprise.{n}": np.zeros(2, np.float32) for n in range(50)})
        errors = self.assert_refused(self.state_file(tensors),
                                     "'surprise.0' and 49 like it: unknown to layout 'y0ast'")
        self.assertEqual(len(errors.splitlines()), 1)
        tensors = models.y0ast(Maker(0, GREY, 2, 2, 4))
        del tensors["flow.layers.1.block.4.logs"]
        self.assert_refused(self.state_file(tensors), "'flow.layers.1.block.4.logs': is missing")
        tensors = models.y0ast(Maker(0, GREY, 2, 2, 4))
        tensors["flow.layers.1.block.0.conv.weight"] = np.zeros((4, 9), np.float32)
        self.assert_refused(self.state_file(tensors), "conv1.weight': shape is [4, 9], must be")
        tensors = models.y0ast(Maker(0, GREY, 2, 2, 4))
        tensors["prior_h"][0, 0, 0, 0] = 1
        self.assert_refused(self.state_file(tensors), "'prior_h': should be zero")
        tensors = models.y0ast(Maker(0, GREY, 2, 2, 4))
        tensors["flow.layers.1.actnorm.logs"][0, 0] = np.nan
        self.assert_refused(self.state_file(tensors), "actnorm.logs': holds values that are not")
        self.assert_refused(self.state_file({"conv1.weight": np.zeros(1, np.float32)}),
                            "no known layout")

    def test_swapping_twice_is_nothing(self):
        values = np.arange(8)
        np.testing.assert_array_equal(folds.swap_halves(folds.swap_halves(values)), values)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
