# SPDX-License-Identifier: Apache-2.0
"""How PyTorch implementations of Glow name and lay out their tensors: one table each, for
export_pytorch.py. A pattern matches a whole name; its groups `scale` and `step`, or `n` where
steps are numbered through all scales, say where the tensor belongs."""
from dataclasses import dataclass, field
from typing import Callable

try:
    import numpy as np
except ImportError:  # export_pytorch.py says so after it has read its arguments
    np = None

# ---- Transforms: what happens to one tensor on its way. They raise ValueError with a reason. ----


def keep(values, _):
    return values


def vector(values, _):
    """[1, C, 1, 1] or [C, 1, 1] -> [C]"""
    if max(values.shape, default=1) != values.size:
        raise ValueError(f"shape {list(values.shape)} is more than one vector")
    return values.reshape(-1)


def square(values, _):
    """[C, C, 1, 1] -> [C, C]"""
    return values.reshape(values.shape[0], -1)


def strictly_lower(values, _):
    return np.tril(square(values, _), -1)


def strictly_upper(values, _):
    return np.triu(square(values, _), 1)


def log_of_positive(values, _):
    if not (values > 0).all():
        raise ValueError("holds scales that are not positive; their logarithm does not exist")
    return np.log(values.astype(np.float64)).reshape(-1)


def halves_to_pairs(values, context):
    """Rows [raw..., add...] -> rows add, raw, add, raw, ...; additive couplings stay as they are."""
    if not context.affine:
        return values
    raw, add = np.split(values, 2)
    return np.stack([add, raw], 1).reshape(values.shape)


def vector_halves_to_pairs(values, context):
    return halves_to_pairs(vector(values, context), context)


def last_convolution(values, context):
    """Padding with ones is padding with zeros where every edge tap sums to zero."""
    edge = values.sum(1)
    edge[:, 1, 1] = 0
    if context.facts.get("padding") == "ones" and np.abs(edge).max() > 0:
        raise ValueError("the layout pads this convolution's input with ones, Outflow with zeros "
                         "(a model that pads with zeros: --fact padding=zeros)")
    return halves_to_pairs(values, context)


# ---- Priors: several tensors give the element-wise ActNorm of a scale's latents. ----


def convolution_of_zeros(weight, bias, log_scale, padding, height, width):
    """(conv3x3(0) + bias) * exp(3 log_scale), [N, H, W]; only padded values reach the weights."""
    output = np.empty((weight.shape[0], height, width))
    output[:] = bias.reshape(-1, 1, 1)
    if padding == "ones":
        taps = weight.astype(np.float64).sum(1)
        for dy in range(3):
            for dx in range(3):
                rows = [y for y in range(height) if not 0 <= y + dy - 1 < height]
                columns = [x for x in range(width) if not 0 <= x + dx - 1 < width]
                outside = np.zeros((height, width), bool)
                outside[rows, :] = True
                outside[:, columns] = True
                output[:, outside] += taps[:, dy, dx][:, None]
    return output * np.exp(3 * log_scale.astype(np.float64).reshape(-1, 1, 1))


def gaussian_prior(weight, bias, log_scale, scale, order, context):
    """N(mean, exp(log_std)^2) of fixed mean and log_std as an ActNorm followed by N(0, 1)."""
    last = scale == context.scales - 1
    if not last and np.abs(weight).max() > 0:
        raise ValueError("a learned prior that depends on the half that goes on; Outflow's prior is "
                         "an element-wise ActNorm")
    _, height, width = context.image
    height, width = height >> (scale + 1), width >> (scale + 1)
    padding = context.facts.get("padding") if last else "zeros"
    output = convolution_of_zeros(weight, bias, log_scale, padding, height, width)
    mean, log_std = (output[0::2], output[1::2]) if order == "pairs" else np.split(output, 2)
    return {f"scales.{scale}.prior.loc": -mean.reshape(-1),
            f"scales.{scale}.prior.log_scale": -log_std.reshape(-1)}


# ---- Layouts ----


@dataclass
class Rule:
    """A name, as a pattern, and where its tensor goes; `neutral` names become zeros beside it."""
    pattern: str
    target: str
    transform: Callable = keep
    neutral: tuple = ()


@dataclass
class Prior:
    """`pattern` matches the weight; bias and log_scale are the names beside it. The scale is the
    group "scale", or the last one, or that of the split behind flat step "n"."""
    pattern: str
    bias: str
    log_scale: str
    order: str


@dataclass
class Requirement:
    """A fact without which the mathematics differ. `several` asks only models of several scales."""
    fact: str
    value: str
    reason: str
    several: bool = False


@dataclass
class Layout:
    name: str
    summary: str
    signature: str                 # a name that only this layout has
    rules: list
    priors: list = field(default_factory=list)
    ignored: dict = field(default_factory=dict)  # pattern -> "any" or "zeros"
    refused: dict = field(default_factory=dict)  # pattern -> reason
    facts: dict = field(default_factory=dict)
    requirements: list = field(default_factory=list)
    flat: str = ""                 # steps numbered through all scales: pattern of one in each
    neutral_priors: bool = False   # scales without a prior have N(0, 1)


STEP = "scales.{scale}.steps.{step}."
BLOCK = r"blocks\.(?P<scale>\d+)\."
BLOCK_FLOW = BLOCK + r"flows\.(?P<step>\d+)\."
LAYER = r"flow\.layers\.(?P<n>\d+)\."
SECOND_HALF = Requirement("latents", "first half",
                          "a split keeps the first half and the second becomes latents; in Outflow "
                          "the first half becomes latents", several=True)
EIGHT_BITS = Requirement("bits", "8", "trained on images of fewer than 8 bits unless said otherwise")

LAYOUTS = [
    Layout("outflow", "Outflow's own names", r"scales\.0\.steps\.0\.actnorm\.loc",
           [Rule(r"(?P<name>(scales|classes)\..+)", "{name}")]),
    Layout("blocks", "blocks.I.flows.J.{actnorm,invconv,coupling}, as in rosinality's glow-pytorch",
           r"blocks\.0\.flows\.0\.actnorm\.loc", [
               Rule(BLOCK_FLOW + r"actnorm\.loc", STEP + "actnorm.loc", vector),
               Rule(BLOCK_FLOW + r"actnorm\.scale", STEP + "actnorm.log_scale", log_of_positive),
               Rule(BLOCK_FLOW + r"invconv\.weight", STEP + "mix.weight", square),
               Rule(BLOCK_FLOW + r"invconv\.w_p", STEP + "mix.permutation"),
               Rule(BLOCK_FLOW + r"invconv\.s_sign", STEP + "mix.sign"),
               Rule(BLOCK_FLOW + r"invconv\.w_l", STEP + "mix.lower", strictly_lower),
               Rule(BLOCK_FLOW + r"invconv\.w_s", STEP + "mix.log_diag"),
               Rule(BLOCK_FLOW + r"invconv\.w_u", STEP + "mix.upper", strictly_upper),
               Rule(BLOCK_FLOW + r"coupling\.net\.0\.weight", STEP + "net.conv1.weight"),
               Rule(BLOCK_FLOW + r"coupling\.net\.0\.bias", STEP + "net.conv1.actnorm.loc",
                    neutral=(STEP + "net.conv1.actnorm.log_scale",)),
               Rule(BLOCK_FLOW + r"coupling\.net\.2\.weight", STEP + "net.conv2.weight"),
               Rule(BLOCK_FLOW + r"coupling\.net\.2\.bias", STEP + "net.conv2.actnorm.loc",
                    neutral=(STEP + "net.conv2.actnorm.log_scale",)),
               Rule(BLOCK_FLOW + r"coupling\.net\.4\.conv\.weight", STEP + "net.conv3.weight",
                    last_convolution),
               Rule(BLOCK_FLOW + r"coupling\.net\.4\.conv\.bias", STEP + "net.conv3.bias",
                    halves_to_pairs),
               Rule(BLOCK_FLOW + r"coupling\.net\.4\.scale", STEP + "net.conv3.log_scale",
                    vector_halves_to_pairs),
           ],
           priors=[Prior(BLOCK + r"prior\.conv\.weight", "conv.bias", "scale", "halves")],
           ignored={BLOCK_FLOW + r"actnorm\.initialized": "any",
                    BLOCK_FLOW + r"invconv\.(u_mask|l_mask|l_eye)": "any"},
           facts={"padding": "ones", "latents": "second half", "bits": "5"},
           requirements=[EIGHT_BITS, SECOND_HALF]),
    Layout("layers", "flow.layers.N.{actnorm,invconv,block}, as in y0ast's Glow-PyTorch",
           r"flow\.layers\.1\.block\.0\.conv\.weight", [
               Rule(LAYER + r"actnorm\.bias", STEP + "actnorm.loc", vector),
               Rule(LAYER + r"actnorm\.logs", STEP + "actnorm.log_scale", vector),
               Rule(LAYER + r"invconv\.weight", STEP + "mix.weight", square),
               Rule(LAYER + r"invconv\.p", STEP + "mix.permutation"),
               Rule(LAYER + r"invconv\.sign_s", STEP + "mix.sign"),
               Rule(LAYER + r"invconv\.lower", STEP + "mix.lower", strictly_lower),
               Rule(LAYER + r"invconv\.log_s", STEP + "mix.log_diag"),
               Rule(LAYER + r"invconv\.upper", STEP + "mix.upper", strictly_upper),
               Rule(LAYER + r"block\.0\.conv\.weight", STEP + "net.conv1.weight"),
               Rule(LAYER + r"block\.0\.actnorm\.bias", STEP + "net.conv1.actnorm.loc", vector),
               Rule(LAYER + r"block\.0\.actnorm\.logs", STEP + "net.conv1.actnorm.log_scale", vector),
               Rule(LAYER + r"block\.2\.conv\.weight", STEP + "net.conv2.weight"),
               Rule(LAYER + r"block\.2\.actnorm\.bias", STEP + "net.conv2.actnorm.loc", vector),
               Rule(LAYER + r"block\.2\.actnorm\.logs", STEP + "net.conv2.actnorm.log_scale", vector),
               Rule(LAYER + r"block\.4\.conv\.weight", STEP + "net.conv3.weight"),
               Rule(LAYER + r"block\.4\.conv\.bias", STEP + "net.conv3.bias"),
               Rule(LAYER + r"block\.4\.logs", STEP + "net.conv3.log_scale", vector),
           ],
           priors=[Prior(LAYER + r"conv\.conv\.weight", "conv.bias", "logs", "pairs"),
                   Prior(r"learn_top_fn\.conv\.weight", "conv.bias", "logs", "halves")],
           ignored={r"prior_h": "zeros"},
           refused={r"project_(ycond|class)\..+": "class conditioning of the last scale only has no "
                                                  "counterpart in Outflow"},
           facts={"latents": "second half", "bits": "8"},
           requirements=[EIGHT_BITS, SECOND_HALF],
           flat=LAYER + r"actnorm\.bias", neutral_priors=True),
    Layout("layers-f", "flow.layers.N.{actnorm,invconv,f}, as in chaiyujin's glow-pytorch",
           r"flow\.layers\.1\.f\.0\.weight", [],
           refused={r".+": "trained on v/255 with Gaussian noise, without the permutations of its "
                           "LU matrices in the file: its density is not one of 8-bit images"}),
]
