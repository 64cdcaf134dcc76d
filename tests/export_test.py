# SPDX-License-Identifier: Apache-2.0
"""Tests of tools/export_pytorch.py: python3 export_test.py MODEL_CHECK [GOLDEN_FOLDER]

A state dict in Outflow's names comes back bit for bit. Models of other layouts are built here, and
an exported one must give the likelihood of the original. Everything else must be refused, tensor
by tensor. MODEL_CHECK is the program that loads a weight file with the library.
"""
import contextlib
import glob
import io
import math
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("SKIPPED: this Python has no torch; tools/setup --peers provides it", file=sys.stderr)
    sys.exit(77)

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import export_pytorch  # noqa: E402

MODEL_CHECK = os.path.abspath(sys.argv[1])
GOLDEN = sys.argv[2] if len(sys.argv) > 2 else ""


def squeeze(x):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(n, 4 * c, h // 2, w // 2)


def gaussian(z, mean=0.0, log_std=0.0):
    density = -0.5 * ((z - mean) * torch.exp(-torch.as_tensor(log_std))) ** 2 - log_std
    return (density - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def mixing(t):
    """W and log|det W| of a step in Outflow's names."""
    if "mix.weight" in t:
        return t["mix.weight"], torch.linalg.slogdet(t["mix.weight"])[1]
    lower = torch.tril(t["mix.lower"], -1) + torch.eye(len(t["mix.sign"]))
    upper = torch.triu(t["mix.upper"], 1) + torch.diag(t["mix.sign"] * t["mix.log_diag"].exp())
    return t["mix.permutation"] @ lower @ upper, t["mix.log_diag"].sum()


def outflow_logp(tensors, steps, affine, x):
    """The likelihood of a model of one scale, as models/FORMAT.md states it."""
    x = squeeze(x)
    pixels = x.shape[2] * x.shape[3]
    logp = torch.zeros(len(x))

    def column(v):
        return v.reshape(1, -1, 1, 1)

    for step in range(steps):
        prefix = f"scales.0.steps.{step}."
        t = {name[len(prefix):]: v for name, v in tensors.items() if name.startswith(prefix)}
        x = (x + column(t["actnorm.loc"])) * column(t["actnorm.log_scale"]).exp()
        weight, logdet = mixing(t)
        x = F.conv2d(x, weight[:, :, None, None])
        logp = logp + pixels * (t["actnorm.log_scale"].sum() + logdet)
        a, b = x.chunk(2, 1)
        h = a
        for layer, padding in (("net.conv1", 1), ("net.conv2", 0)):
            h = F.conv2d(h, t[layer + ".weight"], padding=padding)
            h = (h + column(t[layer + ".actnorm.loc"])) * \
                column(t[layer + ".actnorm.log_scale"]).exp()
            h = h.relu()
        h = F.conv2d(h, t["net.conv3.weight"], t["net.conv3.bias"], padding=1)
        h = h * (3 * column(t["net.conv3.log_scale"])).exp()
        if affine:
            s = torch.sigmoid(h[:, 1::2] + 2)
            b = (b + h[:, 0::2]) * s
            logp = logp + s.log().flatten(1).sum(1)
        else:
            b = b + h
        x = torch.cat([a, b], 1)
    z = (x.flatten(1) + tensors["scales.0.prior.loc"]) * tensors["scales.0.prior.log_scale"].exp()
    return logp + tensors["scales.0.prior.log_scale"].sum() + gaussian(z)


def random_lu(width):
    q = torch.linalg.qr(torch.randn(width, width))[0] + 0.1 * torch.randn(width, width)
    p, lower, upper = torch.lu_unpack(*torch.lu(q))
    diagonal = torch.diag(upper)
    return p, lower, upper, diagonal.sign(), diagonal.abs().log()


def blocks_state(steps, hidden, affine, lu, width=12):
    """A model of one block in the layout "blocks", all weights random."""
    state, outputs = {}, width if affine else width // 2
    for step in range(steps):
        at = f"blocks.0.flows.{step}."
        state[at + "actnorm.loc"] = 0.1 * torch.randn(1, width, 1, 1)
        state[at + "actnorm.scale"] = torch.rand(1, width, 1, 1) + 0.5
        state[at + "actnorm.initialized"] = torch.tensor(1, dtype=torch.uint8)
        if lu:
            p, lower, upper, sign, log_s = random_lu(width)
            state.update({at + "invconv.w_p": p, at + "invconv.w_l": lower,
                          at + "invconv.w_u": upper, at + "invconv.s_sign": sign,
                          at + "invconv.w_s": log_s, at + "invconv.l_eye": torch.eye(width),
                          at + "invconv.u_mask": torch.triu(torch.ones(width, width), 1),
                          at + "invconv.l_mask": torch.tril(torch.ones(width, width), -1)})
        else:
            state[at + "invconv.weight"] = torch.linalg.qr(
                torch.randn(width, width))[0][:, :, None, None]
        net = at + "coupling.net."
        state[net + "0.weight"] = 0.2 * torch.randn(hidden, width // 2, 3, 3)
        state[net + "0.bias"] = 0.1 * torch.randn(hidden)
        state[net + "2.weight"] = 0.3 * torch.randn(hidden, hidden, 1, 1)
        state[net + "2.bias"] = 0.1 * torch.randn(hidden)
        state[net + "4.conv.weight"] = 0.1 * torch.randn(outputs, hidden, 3, 3)
        state[net + "4.conv.bias"] = 0.1 * torch.randn(outputs)
        state[net + "4.scale"] = 0.1 * torch.randn(1, outputs, 1, 1)
    state["blocks.0.prior.conv.weight"] = 0.1 * torch.randn(2 * width, width, 3, 3)
    state["blocks.0.prior.conv.bias"] = 0.1 * torch.randn(2 * width)
    state["blocks.0.prior.scale"] = 0.1 * torch.randn(1, 2 * width, 1, 1)
    return state


def padded(x, weight, bias, value):
    return F.conv2d(F.pad(x, [1, 1, 1, 1], value=value), weight, bias)


def blocks_logp(state, steps, affine, padding, x):
    """What a model in the layout "blocks" computes."""
    x = squeeze(x)
    pixels = x.shape[2] * x.shape[3]
    logp = torch.zeros(len(x))
    for step in range(steps):
        at = f"blocks.0.flows.{step}."
        scale = state[at + "actnorm.scale"]
        x = scale * (x + state[at + "actnorm.loc"])
        if at + "invconv.weight" in state:
            weight = state[at + "invconv.weight"]
        else:
            lower = state[at + "invconv.w_l"] * state[at + "invconv.l_mask"]
            upper = state[at + "invconv.w_u"] * state[at + "invconv.u_mask"]
            diagonal = state[at + "invconv.s_sign"] * state[at + "invconv.w_s"].exp()
            weight = state[at + "invconv.w_p"] @ (lower + state[at + "invconv.l_eye"]) @ \
                (upper + torch.diag(diagonal))
            weight = weight[:, :, None, None]
        x = F.conv2d(x, weight)
        logdet = torch.linalg.slogdet(weight[:, :, 0, 0])[1]
        logp = logp + pixels * (scale.abs().log().sum() + logdet)
        a, b = x.chunk(2, 1)
        net = at + "coupling.net."
        h = F.conv2d(a, state[net + "0.weight"], state[net + "0.bias"], padding=1).relu()
        h = F.conv2d(h, state[net + "2.weight"], state[net + "2.bias"]).relu()
        h = padded(h, state[net + "4.conv.weight"], state[net + "4.conv.bias"], padding)
        h = h * (3 * state[net + "4.scale"]).exp()
        if affine:
            raw, add = h.chunk(2, 1)
            s = torch.sigmoid(raw + 2)
            b = (b + add) * s
            logp = logp + s.log().flatten(1).sum(1)
        else:
            b = b + h
        x = torch.cat([a, b], 1)
    prior = padded(torch.zeros_like(x), state["blocks.0.prior.conv.weight"],
                   state["blocks.0.prior.conv.bias"], padding)
    mean, log_std = (prior * (3 * state["blocks.0.prior.scale"]).exp()).chunk(2, 1)
    return logp + gaussian(x, mean, log_std)


def layers_state(steps, hidden, affine, lu, learn_top, width=12):
    """A model of one scale in the layout "layers"."""
    state, outputs = {}, width if affine else width // 2
    for step in range(steps):
        at = f"flow.layers.{1 + step}."
        state[at + "actnorm.bias"] = 0.1 * torch.randn(1, width, 1, 1)
        state[at + "actnorm.logs"] = 0.1 * torch.randn(1, width, 1, 1)
        if lu:
            p, lower, upper, sign, log_s = random_lu(width)
            state.update({at + "invconv.p": p, at + "invconv.lower": lower,
                          at + "invconv.upper": upper, at + "invconv.sign_s": sign,
                          at + "invconv.log_s": log_s})
        else:
            state[at + "invconv.weight"] = torch.linalg.qr(torch.randn(width, width))[0]
        for number, shape in ((0, (hidden, width // 2, 3, 3)), (2, (hidden, hidden, 1, 1))):
            state[at + f"block.{number}.conv.weight"] = 0.2 * torch.randn(*shape)
            state[at + f"block.{number}.actnorm.bias"] = 0.1 * torch.randn(1, hidden, 1, 1)
            state[at + f"block.{number}.actnorm.logs"] = 0.1 * torch.randn(1, hidden, 1, 1)
        state[at + "block.4.conv.weight"] = 0.1 * torch.randn(outputs, hidden, 3, 3)
        state[at + "block.4.conv.bias"] = 0.1 * torch.randn(outputs)
        state[at + "block.4.logs"] = 0.1 * torch.randn(outputs, 1, 1)
    if learn_top:
        state["learn_top_fn.conv.weight"] = 0.1 * torch.randn(2 * width, 2 * width, 3, 3)
        state["learn_top_fn.conv.bias"] = 0.1 * torch.randn(2 * width)
        state["learn_top_fn.logs"] = 0.1 * torch.randn(2 * width, 1, 1)
    state["prior_h"] = torch.zeros(1, 2 * width, 4, 4)
    return state


def layers_logp(state, steps, affine, x):
    """What a model in the layout "layers" computes."""
    x = squeeze(x)
    pixels = x.shape[2] * x.shape[3]
    logp = torch.zeros(len(x))
    for step in range(steps):
        at = f"flow.layers.{1 + step}."
        x = (x + state[at + "actnorm.bias"]) * state[at + "actnorm.logs"].exp()
        if at + "invconv.weight" in state:
            weight = state[at + "invconv.weight"]
        else:
            lower = torch.tril(state[at + "invconv.lower"], -1) + torch.eye(x.shape[1])
            upper = torch.triu(state[at + "invconv.upper"], 1) + torch.diag(
                state[at + "invconv.sign_s"] * state[at + "invconv.log_s"].exp())
            weight = state[at + "invconv.p"] @ lower @ upper
        x = F.conv2d(x, weight[:, :, None, None])
        logp = logp + pixels * (state[at + "actnorm.logs"].sum() +
                                torch.linalg.slogdet(weight)[1])
        a, b = x.chunk(2, 1)
        h = a
        for number, padding in ((0, 1), (2, 0)):
            layer = at + f"block.{number}."
            h = F.conv2d(h, state[layer + "conv.weight"], padding=padding)
            h = ((h + state[layer + "actnorm.bias"]) * state[layer + "actnorm.logs"].exp()).relu()
        h = F.conv2d(h, state[at + "block.4.conv.weight"], state[at + "block.4.conv.bias"],
                     padding=1) * (3 * state[at + "block.4.logs"]).exp()
        if affine:
            s = torch.sigmoid(h[:, 1::2] + 2)
            b = (b + h[:, 0::2]) * s
            logp = logp + s.log().flatten(1).sum(1)
        else:
            b = b + h
        x = torch.cat([a, b], 1)
    if "learn_top_fn.logs" not in state:
        return logp + gaussian(x)
    prior = state["learn_top_fn.conv.bias"][:, None, None] * (3 * state["learn_top_fn.logs"]).exp()
    mean, log_std = prior.expand(-1, *x.shape[2:]).chunk(2, 0)
    return logp + gaussian(x, mean[None], log_std[None])


class ExportTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float32)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def export(self, state, *options):
        """Exit code, standard error, and the tensors when it worked."""
        source, target = self.path("in.pt"), self.path("out.safetensors")
        if state is not None:
            torch.save(state, source)
        if os.path.exists(target):
            os.remove(target)
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            code = export_pytorch.main([source, target, *options])
        if code != 0:
            self.assertEqual(os.listdir(self.folder), ["in.pt"], "nothing may be written")
            return code, stderr.getvalue(), None
        checked = subprocess.run([MODEL_CHECK, target], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        tensors, _ = export_pytorch.read_safetensors(target)
        return code, stderr.getvalue(), {name: torch.tensor(v) for name, v in tensors.items()}

    def outflow_state(self):
        code, errors, tensors = self.export(layers_state(2, 8, True, True, True),
                                            "--image", "3x8x8")
        self.assertEqual(code, 0, errors)
        return tensors

    def assert_same(self, tensors, state):
        self.assertEqual(set(tensors), set(state))
        for name, values in state.items():
            self.assertTrue(torch.equal(tensors[name], values), name)

    def assert_refused(self, state, *words, options=()):
        code, errors, _ = self.export(state, *options)
        self.assertEqual(code, 1)
        for word in words:
            self.assertIn(word, errors)
        for line in errors.splitlines():
            self.assertTrue(line.startswith(self.path("in.pt")), line)

    def test_own_names_come_back_bit_for_bit(self):
        state = self.outflow_state()
        self.assert_same(self.export(state)[2], state)
        wrapped = {"epoch": 3, "state_dict": {"module." + n: v for n, v in state.items()}}
        self.assert_same(self.export(wrapped)[2], state)

    def test_golden_models_come_back_bit_for_bit(self):
        paths = sorted(glob.glob(os.path.join(GOLDEN, "*.model.safetensors")))
        if not paths:
            print("SKIPPED: no golden models", file=sys.stderr)
            self.skipTest("no golden models")
        for path in paths:
            arrays, metadata = export_pytorch.read_safetensors(path)
            state = {name: torch.tensor(values) for name, values in arrays.items()}
            options = ["--family", "patch-glow", "--image", "3x32x32"] if "patch" in path else []
            options += ["--fixed"] if "fixed" in path else []
            code, errors, tensors = self.export(state, *options)
            self.assertEqual(code, 0, errors)
            self.assert_same(tensors, state)
            with open(path, "rb") as before, open(self.path("out.safetensors"), "rb") as after:
                self.assertEqual(before.read()[-4096:], after.read()[-4096:])  # the same order
            for key in ("scales", "family"):
                self.assertIn(key, metadata["architecture"])

    def test_blocks_give_the_same_likelihood(self):
        x = torch.rand(3, 3, 8, 8) - 0.5
        for affine in (True, False):
            for lu in (True, False):
                state = blocks_state(2, 8, affine, lu)
                code, errors, tensors = self.export(
                    state, "--image", "3x8x8", "--fact", "bits=8", "--fact", "padding=zeros")
                self.assertEqual(code, 0, errors)
                expected = blocks_logp(state, 2, affine, 0.0, x)
                found = outflow_logp(tensors, 2, affine, x)
                self.assertLess((expected - found).abs().max(), 2e-3)

    def test_blocks_padded_with_ones(self):
        """Harmless where the edge taps sum to zero; the prior takes the padding in either case."""
        x = torch.rand(3, 3, 8, 8) - 0.5
        state = blocks_state(1, 8, True, True)
        options = ("--image", "3x8x8", "--fact", "bits=8")
        self.assert_refused(state, "'blocks.0.flows.0.coupling.net.4.conv.weight'", "with ones",
                            options=options)
        weight = state["blocks.0.flows.0.coupling.net.4.conv.weight"]
        kept = weight[:, :, 1, 1].clone()
        weight.copy_(torch.round(weight * 64) / 64)  # so that the sums are exactly zero
        weight[:, 0] -= weight.sum(1)
        weight[:, :, 1, 1] = kept
        code, errors, tensors = self.export(state, *options)
        self.assertEqual(code, 0, errors)
        expected = blocks_logp(state, 1, True, 1.0, x)
        self.assertLess((expected - outflow_logp(tensors, 1, True, x)).abs().max(), 2e-3)

    def test_layers_give_the_same_likelihood(self):
        x = torch.rand(3, 3, 8, 8) - 0.5
        for affine in (True, False):
            for lu, learn_top in ((True, True), (False, False)):
                state = layers_state(3, 8, affine, lu, learn_top)
                code, errors, tensors = self.export(state, "--image", "3x8x8")
                self.assertEqual(code, 0, errors)
                expected = layers_logp(state, 3, affine, x)
                found = outflow_logp(tensors, 3, affine, x)
                self.assertLess((expected - found).abs().max(), 2e-3)

    def test_several_scales_with_learned_priors_are_refused(self):
        state = layers_state(1, 4, True, True, True)
        deep = layers_state(1, 4, True, True, True, width=24)
        state["flow.layers.2.conv.conv.weight"] = torch.randn(12, 6, 3, 3)
        state["flow.layers.2.conv.conv.bias"] = torch.randn(12)
        state["flow.layers.2.conv.logs"] = torch.randn(12, 1, 1)
        for name, values in deep.items():
            state[name.replace("layers.1.", "layers.4.")] = values
        self.assert_refused(state, "first half becomes latents",
                            "'flow.layers.2.conv.conv.weight': a learned prior that depends",
                            options=("--image", "3x8x8"))
        state["flow.layers.2.conv.conv.weight"].zero_()  # now a constant, but the halves differ
        self.assert_refused(state, "first half becomes latents", options=("--image", "3x8x8"))
        code, errors, tensors = self.export(state, "--image", "3x8x8",
                                            "--fact", "latents=first half")
        self.assertEqual(code, 0, errors)
        mean = state["flow.layers.2.conv.conv.bias"][0] * (
            3 * state["flow.layers.2.conv.logs"][0, 0, 0]).exp()
        self.assertAlmostEqual(float(tensors["scales.0.prior.loc"][0]), -float(mean), places=5)
        self.assertEqual(list(tensors["scales.1.steps.0.mix.sign"].shape), [24])

    def test_every_misfit_is_listed(self):
        state = self.outflow_state()
        prefix = "scales.0.steps.1."
        del state[prefix + "mix.sign"]
        del state["scales.0.prior.loc"]
        state[prefix + "actnorm.loc"] = torch.zeros(13)
        state[prefix + "net.conv2.weight"][0, 0] = math.nan
        state[prefix + "mix.permutation"][0] = 0
        state[prefix + "net.conv1.bias"] = torch.zeros(8)
        self.assert_refused(
            state, f"'{prefix}mix.sign': is missing", "'scales.0.prior.loc': is missing",
            f"'{prefix}actnorm.loc': shape is [13], must be [12]",
            f"'{prefix}net.conv2.weight': holds values that are not finite",
            f"'{prefix}mix.permutation': is not a permutation matrix",
            f"'{prefix}net.conv1.bias': is not part", options=("--image", "3x8x8"))

    def test_what_has_no_counterpart_is_refused(self):
        state = layers_state(1, 4, True, True, True)
        state["project_class.linear.weight"] = torch.zeros(10, 12)
        state["surprise"] = torch.zeros(1)
        state["prior_h"][0, 0, 0, 0] = 1
        self.assert_refused(state, "'project_class.linear.weight': class conditioning",
                            "'surprise': unknown", "'prior_h': should be zero",
                            options=("--image", "3x8x8"))
        state = blocks_state(1, 4, True, True)
        state["blocks.0.flows.0.actnorm.scale"][0, 3] = -1
        self.assert_refused(state, "'blocks.0.flows.0.actnorm.scale': holds scales", "8 bits",
                            options=("--image", "3x8x8"))
        self.assert_refused({"flow.layers.1.f.0.weight": torch.zeros(1)}, "Gaussian noise")
        self.assert_refused({"conv1.weight": torch.zeros(1)}, "no known layout")
        self.assert_refused(blocks_state(1, 4, True, True), "give --image",
                            options=("--fact", "bits=8", "--fact", "padding=zeros"))
        self.assert_refused(self.outflow_state(), "fact 'bits' means nothing",
                            options=("--fact", "bits=8"))

    def test_files_that_are_no_state_dicts_are_refused(self):
        self.assert_refused([1, 2], "holds no state dict")
        self.assert_refused({"a": 1}, "'a' is not a tensor")
        with open(self.path("in.pt"), "wb") as file:
            file.write(b"this is text")
        self.assert_refused(None, "cannot be read")

    def test_pickles_are_not_executed(self):
        class Payload:
            def __reduce__(self):
                return os.mkdir, (Payload.target,)
        Payload.target = self.path("executed")
        torch.save({"a": Payload()}, self.path("in.pt"))
        self.assert_refused(None, "cannot be read")

    def test_usage(self):
        for arguments in ([], ["a.pt", "b", "--image", "4x32x32"], ["a", "b", "--fact", "bits"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as end:
                export_pytorch.main(arguments)
            self.assertEqual(end.exception.code, 2)
        arguments = [self.path("missing.pt"), self.path("out")]
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(export_pytorch.main(arguments), 1)
        self.assertIn("missing.pt", stderr.getvalue())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
