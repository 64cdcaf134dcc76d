# SPDX-License-Identifier: Apache-2.0
"""Random state dicts in the layouts of published implementations, for options that no test vector
has. Nothing in them is zero, scales differ from one, and ActNorms are
negative where theirs may be."""
from typing import Dict, List, Sequence, Tuple

import numpy as np

Tensors = Dict[str, np.ndarray]


class Maker:
    """Random tensors of one model."""

    def __init__(self, seed: int, image: Sequence[int], scales: int, steps: int, hidden: int,
                 affine: bool = True) -> None:
        self.random = np.random.default_rng(seed)
        self.image, self.scales, self.steps, self.hidden = list(image), scales, steps, hidden
        self.affine = affine
        self.tensors: Tensors = {}

    def put(self, name: str, shape: Sequence[int], deviation: float = 0.1) -> None:
        self.tensors[name] = (deviation * self.random.standard_normal(shape)).astype(np.float32)

    def conv(self, name: str, outputs: int, inputs: int, side: int = 3) -> None:
        self.put(name, (outputs, inputs, side, side), 0.7 / np.sqrt(inputs * side * side))

    def positive(self, name: str, shape: Sequence[int], signs: bool = False) -> None:
        values = self.random.uniform(0.6, 1.5, shape)
        if signs:
            values *= self.random.choice([-1, 1], shape)
        self.tensors[name] = values.astype(np.float32)

    def orthogonal(self, size: int) -> np.ndarray:
        q = np.linalg.qr(self.random.standard_normal((size, size)))[0]
        return (q + 0.1 * self.random.standard_normal((size, size))).astype(np.float32)

    def permutation(self, size: int) -> np.ndarray:
        return self.random.permutation(size)

    def lu(self, at: str, size: int, names: Sequence[str]) -> None:
        """names: permutation, sign, lower, log_diag, upper"""
        values = (np.eye(size)[self.permutation(size)], self.random.choice([-1.0, 1.0], size),
                  np.tril(0.2 * self.random.standard_normal((size, size)), -1),
                  0.2 * self.random.standard_normal(size),
                  np.triu(0.2 * self.random.standard_normal((size, size)), 1))
        for name, value in zip(names, values):
            self.tensors[at + name] = value.astype(np.float32)

    def widths(self) -> List[Tuple[int, int, int]]:
        """(channels after the squeeze, height, width) of every scale"""
        channels, height, width = self.image
        return [(channels * 4 << s, height >> s + 1, width >> s + 1) for s in range(self.scales)]

    def outputs(self, channels: int) -> int:
        return channels if self.affine else channels // 2


def y0ast(maker: Maker, mixing: str = "lu", top: bool = True, classes: int = 0,
          chaiyujin: bool = False) -> Tensors:
    """mixing: lu, plain or none (reverse and shuffle leave nothing)"""
    net, conv, zero = ("f", ".weight", "") if chaiyujin else ("block", ".conv.weight", "conv.")
    h, number = maker.hidden, 0
    for scale, (channels, height, width) in enumerate(maker.widths()):
        for step in range(maker.steps):
            number += 1
            at = f"flow.layers.{number}."
            for prefix, size in ((at, channels), (f"{at}{net}.0.", h), (f"{at}{net}.2.", h)):
                maker.put(prefix + "actnorm.bias", (1, size, 1, 1))
                maker.put(prefix + "actnorm.logs", (1, size, 1, 1))
            if mixing == "lu":
                lower, upper = ("l", "u") if chaiyujin else ("lower", "upper")
                maker.lu(at + "invconv.", channels, ("p", "sign_s", lower, "log_s", upper))
            elif mixing == "plain":
                maker.tensors[at + "invconv.weight"] = maker.orthogonal(channels)
            maker.conv(f"{at}{net}.0{conv}", h, channels // 2)
            maker.conv(f"{at}{net}.2{conv}", h, h, 1)
            zero_convolution(maker, f"{at}{net}.4.", zero, maker.outputs(channels), h)
        number += 2
        if scale < maker.scales - 1:
            zero_convolution(maker, f"flow.layers.{number - 1}.conv.", zero, channels,
                             channels // 2)
        else:
            maker.tensors["prior_h"] = np.zeros((2, 2 * channels, height, width), np.float32)
    if top:
        zero_convolution(maker, "learn_top." if chaiyujin else "learn_top_fn.", zero, 2 * channels,
                         2 * channels)
    if classes:
        linear = "" if chaiyujin else "linear."
        maker.put(f"project_ycond.{linear}weight", (2 * channels, classes))
        maker.put(f"project_ycond.{linear}bias", (2 * channels,))
        maker.put("project_ycond.logs", (2 * channels,))
        maker.put(f"project_class.{linear}weight", (classes, channels))
    return maker.tensors


def zero_convolution(maker: Maker, at: str, part: str, outputs: int, inputs: int) -> None:
    maker.conv(f"{at}{part}weight", outputs, inputs)
    maker.put(f"{at}{part}bias", (outputs,))
    maker.put(f"{at}logs", (outputs, 1, 1))


def rosinality(maker: Maker, lu: bool = True) -> Tensors:
    h = maker.hidden
    for scale, (channels, _, _) in enumerate(maker.widths()):
        last = scale == maker.scales - 1
        for step in range(maker.steps):
            at = f"blocks.{scale}.flows.{step}."
            maker.put(at + "actnorm.loc", (1, channels, 1, 1))
            maker.positive(at + "actnorm.scale", (1, channels, 1, 1), signs=True)
            maker.tensors[at + "actnorm.initialized"] = np.array(1, np.uint8)
            if lu or last:
                maker.lu(at + "invconv.", channels, ("w_p", "s_sign", "w_l", "w_s", "w_u"))
                maker.tensors[at + "invconv.l_eye"] = np.eye(channels, dtype=np.float32)
            else:
                maker.tensors[at + "invconv.weight"] = maker.orthogonal(channels)[:, :, None, None]
            net, outputs = at + "coupling.net.", maker.outputs(channels)
            maker.conv(net + "0.weight", h, channels // 2)
            maker.put(net + "0.bias", (h,))
            maker.conv(net + "2.weight", h, h, 1)
            maker.put(net + "2.bias", (h,))
            maker.conv(net + "4.conv.weight", outputs, h)
            maker.put(net + "4.conv.bias", (outputs,))
            maker.put(net + "4.scale", (1, outputs, 1, 1))
        at, inputs = f"blocks.{scale}.prior.", channels if last else channels // 2
        maker.conv(at + "conv.weight", 2 * inputs, inputs)
        maker.put(at + "conv.bias", (2 * inputs,))
        maker.put(at + "scale", (1, 2 * inputs, 1, 1))
    return maker.tensors


def kamen(maker: Maker) -> Tensors:
    h = maker.hidden

    def actnorm(at: str, size: int) -> None:
        maker.positive(at + "scale", (1, size, 1, 1), signs=True)
        maker.put(at + "bias", (1, size, 1, 1))
        maker.tensors[at + "initialized"] = np.array(1, np.uint8)

    def gaussianize(at: str, outputs: int, inputs: int) -> None:
        maker.conv(at + "net.weight", outputs, inputs)
        maker.put(at + "net.bias", (outputs,))
        maker.put(at + "log_scale_factor", (outputs, 1, 1))

    for scale, (channels, _, _) in enumerate(maker.widths()):
        last = scale == maker.scales - 1
        for step in range(maker.steps):
            at = f"flowstep.{step}." if last else f"flowlevels.{scale}.flowsteps.{step}."
            actnorm(at + "0.", channels)
            maker.tensors[at + "1.w"] = maker.orthogonal(channels)
            maker.conv(at + "2.conv1.weight", h, channels // 2)
            actnorm(at + "2.actnorm1.", h)
            maker.conv(at + "2.conv2.weight", h, h, 1)
            actnorm(at + "2.actnorm2.", h)
            maker.conv(at + "2.conv3.weight", channels, h)
            maker.put(at + "2.conv3.bias", (channels,))
            maker.put(at + "2.log_scale_factor", (channels, 1, 1))
        if not last:
            gaussianize(f"flowlevels.{scale}.split.gaussianize.", channels, channels // 2)
    gaussianize("gaussianize.", 2 * channels, channels)
    maker.tensors.update({"base_dist_mean": np.zeros(1, np.float32),
                          "base_dist_var": np.ones(1, np.float32)})
    return maker.tensors


def pclucas14(maker: Maker, norm: bool = True, mixing: str = "conv", top: bool = True) -> Tensors:
    h, number = maker.hidden, 0
    for scale, (channels, _, _) in enumerate(maker.widths()):
        number += 1
        for step in range(maker.steps):
            if norm:
                maker.put(f"layers.{number}.b", (1, channels, 1))
                maker.put(f"layers.{number}.logs", (1, channels, 1))
                number += 1
            if mixing == "conv":
                weight = maker.orthogonal(channels)[:, :, None, None]
                maker.tensors[f"layers.{number}.weight"] = weight
            else:
                order = (np.arange(channels)[::-1] if mixing == "reverse"
                         else maker.permutation(channels)).astype(np.int64)
                maker.tensors[f"layers.{number}.indices"] = order
                maker.tensors[f"layers.{number}.rev_indices"] = np.argsort(order)
            number += 1
            at = f"layers.{number}.NN."
            for layer, inputs, side in ((0, channels // 2, 3), (2, h, 1)):
                maker.conv(f"{at}{layer}.conv.weight", h, inputs, side)
                maker.put(f"{at}{layer}.actnorm.b", (1, h, 1))
                maker.put(f"{at}{layer}.actnorm.logs", (1, h, 1))
            zero_convolution(maker, at + "4.", "", maker.outputs(channels), h)
            number += 1
        if scale < maker.scales - 1:
            zero_convolution(maker, f"layers.{number}.conv_zero.", "", channels, channels // 2)
            number += 1
    if top:
        zero_convolution(maker, f"layers.{number}.conv.", "", 2 * channels, 2 * channels)
    return maker.tensors


def chrischute(maker: Maker) -> Tensors:
    h = maker.hidden
    for scale, (channels, _, _) in enumerate(maker.widths()):
        for step in range(maker.steps):
            at = "flows." + "next." * scale + f"steps.{step}."
            maker.put(at + "norm.bias", (1, channels, 1, 1))
            maker.put(at + "norm.logs", (1, channels, 1, 1))
            maker.tensors[at + "conv.weight"] = maker.orthogonal(channels)
            maker.put(at + "coup.scale", (channels // 2, 1, 1), 0.5)
            for name, inputs, outputs, side in (("in", channels // 2, h, 3), ("mid", h, h, 1),
                                                ("out", h, channels, 3)):
                norm = f"{at}coup.nn.{name}_norm."
                maker.positive(norm + "weight", (inputs,), signs=True)
                maker.put(norm + "bias", (inputs,))
                maker.put(norm + "running_mean", (inputs,))
                maker.positive(norm + "running_var", (inputs,))
                maker.tensors[norm + "num_batches_tracked"] = np.array(7, np.int64)
                maker.conv(f"{at}coup.nn.{name}_conv.weight", outputs, inputs, side)
            maker.put(at + "coup.nn.out_conv.bias", (channels,))
    maker.tensors["bounds"] = np.array([0.9], np.float32)
    return maker.tensors


def normflows(maker: Maker, lu: bool = True, net_actnorm: bool = False, base: str = "diag",
              classes: int = 3) -> Tensors:
    h = maker.hidden
    widths = maker.widths()
    for scale, (channels, height, width) in enumerate(widths):
        level = maker.scales - 1 - scale
        for step in range(maker.steps):
            at = f"flows.{level}.{step}."
            maker.put(at + "flows.2.s", (1, channels, 1, 1))
            maker.put(at + "flows.2.t", (1, channels, 1, 1))
            maker.tensors[at + "flows.2.data_dep_init_done"] = np.array(1, np.float32)
            if lu:
                maker.lu(at + "flows.1.", channels, ("P", "sign_S", "L", "log_S", "U"))
            else:
                maker.tensors[at + "flows.1.W"] = maker.orthogonal(channels)
            net = at + "flows.0.flows.1.param_map.net."
            numbers = (0, 3, 6) if net_actnorm else (0, 2, 4)
            outputs = (h, h, maker.outputs(channels))
            for number, inputs, count, side in zip(numbers, (channels // 2, h, h), outputs,
                                                   (3, 1, 3)):
                maker.conv(f"{net}{number}.weight", count, inputs, side)
                if number == numbers[-1] or not net_actnorm:
                    maker.put(f"{net}{number}.bias", (count,))
                else:
                    maker.put(f"{net}{number + 1}.actNorm.s", (1, h, 1, 1))
                    maker.put(f"{net}{number + 1}.actNorm.t", (1, h, 1, 1))
        latents = channels if level == 0 else channels // 2
        shape = {"diag": (1, latents, height, width), "glow": (1, latents, 1, 1),
                 "class": (latents, height, width, classes)}[base]
        names = ("loc", "log_scale") + (("loc_logs", "log_scale_logs") if base == "glow" else ())
        for name in names:
            maker.put(f"q0.{level}.{name}", shape)
    return maker.tensors


def flows_ood(maker: Maker) -> Tensors:
    h, number = maker.hidden, 1
    for scale, (channels, _, _) in enumerate(maker.widths()):
        number += 2
        for step in range(maker.steps):
            at = f"body.{number}."
            maker.put(at + "0.module1.bias", (1, channels, 1, 1))
            maker.put(at + "0.module1.logs", (1, channels, 1, 1))
            maker.tensors[at + "1.module1.weight"] = maker.orthogonal(channels)
            net = at + "2.module1."
            for layer, outputs, inputs, side in ((0, h, channels // 2, 3), (2, h, h, 1),
                                                 (4, channels, h, 3)):
                maker.conv(f"{net}st_net.{layer}.conv.weight", outputs, inputs, side)
                maker.put(f"{net}st_net.{layer}.conv.bias", (outputs,))
            maker.positive(net + "rescale.weight_g", (channels // 2, 1, 1))
            maker.put(net + "rescale.weight_v", (channels // 2, 1, 1), 1.0)
            number += 1
    return maker.tensors


def freia(maker: Maker, hard: bool = False) -> Tensors:
    h, number = maker.hidden, 0
    for channels, _, _ in maker.widths():
        kernel = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
        name = f"module_list.{number}.downsample_kernel"
        maker.tensors[name] = np.tile(kernel, (channels // 4, 1, 1, 1))
        for step in range(maker.steps):
            number += 1
            at = f"module_list.{number}."
            maker.put(at + "global_scale", (1, channels, 1, 1))
            maker.put(at + "global_offset", (1, channels, 1, 1))
            weight = np.linalg.qr(maker.random.standard_normal((channels, channels)))[0]
            weight = np.eye(channels)[maker.permutation(channels)] if hard else weight
            maker.tensors[at + "w_perm"] = weight[:, :, None, None].astype(np.float32)
            maker.tensors[at + "w_perm_inv"] = weight.T[:, :, None, None].astype(np.float32)
            for part, outputs, inputs, side in ((0, h, channels // 2, 3), (2, h, h, 1),
                                                (4, channels, h, 3)):
                maker.conv(f"{at}subnet.{part}.weight", outputs, inputs, side)
                maker.put(f"{at}subnet.{part}.bias", (outputs,))
        number += 2
    return maker.tensors


def openai(maker: Maker, mixing: str = "invconv", top: bool = True, classes: int = 0) -> Tensors:
    h = maker.hidden

    def actnorm(at: str, size: int) -> None:
        maker.put(at + "actnorm_center/b", (1, 1, 1, size))
        maker.put(at + "actnorm_scale/logs", (1, 1, 1, size))

    def zeros(at: str, outputs: int, inputs: int) -> None:
        maker.put(at + "W", (3, 3, inputs + 1, outputs), 0.1)
        maker.put(at + "b", (1, 1, 1, outputs))
        maker.put(at + "logs", (1, outputs))

    for scale, (channels, _, _) in enumerate(maker.widths()):
        for step in range(maker.steps):
            at = f"model/{scale}/{step}/"
            actnorm(at, channels)
            if mixing == "invconv":
                maker.tensors[at + "invconv/W"] = maker.orthogonal(channels)
            elif mixing == "shuffle":
                order = maker.permutation(channels).astype(np.int32)
                maker.tensors[at + "shuffle/indices"] = order
                maker.tensors[at + "shuffle/indices_inverse"] = np.argsort(order).astype(np.int32)
            maker.put(at + "f1/l_1/W", (3, 3, channels // 2 + 1, h), 0.1)
            actnorm(at + "f1/l_1/", h)
            maker.put(at + "f1/l_2/W", (1, 1, h, h), 0.2)
            actnorm(at + "f1/l_2/", h)
            zeros(at + "f1/l_last/", maker.outputs(channels), h)
        if scale < maker.scales - 1:
            zeros(f"model/pool{scale}/conv/", channels, channels // 2)
    if top:
        zeros("model/prior/p/", 2 * channels, 2 * channels)
    if classes:
        maker.put("model/prior/y_emb/W", (classes, 2 * channels))
        maker.put("model/prior/y_emb/b", (1, 2 * channels))
        maker.put("model/prior/y_emb/logs", (1, 2 * channels))
    return maker.tensors


def invglow(maker: Maker, mixing: str = "lu", dense: bool = False) -> Tensors:
    """Every tensor once for each output node that it leads to, as in the original's state dicts."""
    h, height, width = maker.hidden, *maker.image[1:]
    for scale, (channels, rows, columns) in enumerate(maker.widths()):
        elements = channels * rows * columns if dense else channels
        for step in range(maker.steps):
            own: Tensors = {}
            kept, maker.tensors = maker.tensors, own
            maker.put("0.loc", (1, elements, 1, 1))
            maker.put("0.log_scale", (1, elements, 1, 1))
            if mixing == "lu":
                maker.lu("1.", elements, ("w_p", "s_sign", "w_l", "w_s", "w_u"))
            elif mixing == "shuffle":
                own["1.indices"] = maker.permutation(elements)
            else:
                own["1.weight"] = maker.orthogonal(elements)
                own["1.weight_inverse"] = np.linalg.inv(own["1.weight"])
                own["1.fixed_log_det"] = np.array(0, np.float32)
            net = "2.coef_extractor.module."
            if dense:
                for layer, outputs, inputs in ((0, h, elements // 2), (2, h, h),
                                               (4, maker.outputs(elements), h)):
                    maker.put(f"{net}{layer}.weight", (outputs, inputs), 0.5 / np.sqrt(inputs))
                    maker.put(f"{net}{layer}.bias", (outputs,))
            else:
                for layer, inputs, side in ((0, channels // 2, 3), (2, h, 1)):
                    maker.conv(f"{net}{layer}.conv.weight", h, inputs, side)
                    maker.put(f"{net}{layer}.actnorm.loc", (1, h, 1, 1))
                    maker.put(f"{net}{layer}.actnorm.log_scale", (1, h, 1, 1))
                maker.conv(net + "4.conv.weight", maker.outputs(channels), h)
                maker.put(net + "4.conv.bias", (maker.outputs(channels),))
                maker.put(net + "4.logs", (maker.outputs(channels), 1, 1))
            maker.tensors = kept
            for output in range(scale, maker.scales):
                nodes = path_to(output, scale, maker.scales)
                number = step + (2 if dense else 1)
                kept.update({f"{nodes}.module.sequential.{number}.sequential.{name}": values
                             for name, values in own.items()})
        latents = maker.image[0] * height * width >> (scale + 1)
        latents *= 2 if scale == maker.scales - 1 else 1
        maker.put(f"prev.{scale}.prev.0.module.sequential.1.loc", (1, latents, 1, 1))
        maker.put(f"prev.{scale}.prev.0.module.sequential.1.log_scale", (1, latents, 1, 1))
        for name in ("class_means", "class_log_stds"):
            maker.tensors[f"prev.{scale}.module.dist.{name}"] = np.zeros((1, latents), np.float32)
    return maker.tensors


def path_to(output: int, scale: int, scales: int) -> str:
    """From an output node down to the steps of a scale."""
    depth = (2 if output == scales - 1 else 4) + 3 * (output - scale)
    return f"prev.{output}" + ".prev.0" * depth
