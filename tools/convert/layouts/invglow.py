# SPDX-License-Identifier: Apache-2.0
"""invglow, the code of the paper that Outflow's method is from: the same mathematics. Names are
paths through a graph of nodes, so that a tensor appears once for each path that leads to it."""
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts, image_size
from ..network import (ActNorm, ClassTerms, DenseNet, Layer, Mix, Net, Network, Scale, Step)
from ..numerics import double, gaussian, log_mean_exp, squeeze
from ..reference import (Moved, Transform, convolution, coupled, mapped, relu, scaled,
                         sigmoid_change)
from ..refusal import Refusal, about
from ..state import State
from .base import Layout, agree, quantised

EPSILON = 1e-8  # added to the scales of the priors
STEP = re.compile(r"((?:sequential\.0\.)?)prev\.(\d+)((?:\.prev\.0)+)\.module\.sequential\.(\d+)"
                  r"\.sequential\.0\.loc")
PATCH_STEP = re.compile(r"model\.sequential\.0\.sequential\.(\d+)\.sequential\.0\.loc")
CLASS = re.compile(r"sequential\.1\.module\.module_list\.(\d+)\.")


@dataclass
class Paths:
    """Where everything lies: prefixes of steps, priors and distributions, scale by scale."""
    steps: List[List[str]] = field(default_factory=list)
    copies: List[Tuple[str, str]] = field(default_factory=list)  # (copy, what it is of)
    priors: List[str] = field(default_factory=list)
    distributions: List[str] = field(default_factory=list)
    classes: List[List[Tuple[str, str]]] = field(default_factory=list)  # (actnorm, distribution)


class Invglow(Layout):
    name = "invglow"
    signature = STEP.pattern + "|" + PATCH_STEP.pattern
    facts = (Fact("patch_image", "the image that patches are taken from", (32, 32),
                  ("image_size", "img_size")),)

    # ---- Names ----

    def paths_of(self, state: State) -> Paths:
        if any(PATCH_STEP.fullmatch(name) for name in state.tensors):
            return self.patch_paths(state)
        prefix, last, found = self.walk(state)
        paths = Paths()
        for scale, (nodes, numbers) in enumerate(found[last]):
            paths.steps.append([f"{nodes}{n}.sequential." for n in sorted(numbers)])
            for other in range(scale, last):
                copy = found[other][scale][0] if scale < len(found[other]) else nodes
                paths.copies.append((copy, nodes))
        self.put_priors(paths, state, prefix, last)
        return paths

    def walk(self, state: State) -> Tuple[str, int, Dict[int, List[Tuple[str, set]]]]:
        """Of every output node: the scales that lead to it, deepest first, as (path, numbers)."""
        nodes: Dict[int, Dict[str, set]] = {}
        prefix = ""
        for match in filter(None, map(STEP.fullmatch, state.tensors)):
            prefix = match[1]
            path = f"{prefix}prev.{match[2]}{match[3]}.module.sequential."
            nodes.setdefault(int(match[2]), {}).setdefault(path, set()).add(int(match[4]))
        found = {output: sorted(paths.items(), key=lambda item: -len(item[0]))
                 for output, paths in nodes.items()}
        last = max(found)
        if sorted(found) != list(range(last + 1)) or len(found[last]) != last + 1:
            raise Refusal(f"output nodes {sorted(found)} lead to {len(found[last])} scales")
        return prefix, last, found

    def put_priors(self, paths: Paths, state: State, prefix: str, last: int) -> None:
        for scale in range(last + 1):
            node = f"{prefix}prev.{scale}."
            own = node + "prev.0.module.sequential.1."
            paths.priors.append(own if not prefix and own + "loc" in state
                                else node + "module.sequential.1.")
            if not prefix:
                paths.distributions.append(node + "module.dist.")
        for number in state.numbers(CLASS.pattern):
            at = f"sequential.1.module.module_list.{number}.prev.0.prev."
            paths.classes.append([(f"{at}{scale}.prev.0.module.sequential.1.",
                                   f"{at}{scale}.module.dist.") for scale in range(last + 1)])

    def patch_paths(self, state: State) -> Paths:
        numbers = state.numbers(PATCH_STEP.pattern)
        return Paths([[f"model.sequential.0.sequential.{n}.sequential." for n in numbers]], [],
                     ["model.sequential.1.sequential.1."], ["model.sequential.2.dist."])

    # ---- Conversion ----

    def mix_of(self, state: State, at: str) -> Mix:
        if at + "indices" in state:
            return Mix.shuffle(state.indices(at + "indices"))
        if at + "weight" in state:
            fixed = at + "weight_inverse" in state
            return Mix.plain(state.square(at + "weight"), "fixed" if fixed else "plain")
        return Mix.lu(*(state.take(at + name) for name in ("w_p", "s_sign", "w_l", "w_s", "w_u")))

    def net_of(self, state: State, at: str):
        if at + "0.weight" in state:
            return DenseNet([(state.take(f"{at}{n}.weight"), state.take(f"{at}{n}.bias"))
                             for n in (0, 2, 4)])
        layers = [Layer(state.take(f"{at}{n}.conv.weight"),
                        ActNorm(state.vector(f"{at}{n}.actnorm.loc"),
                                state.vector(f"{at}{n}.actnorm.log_scale"))) for n in (0, 2)]
        return Net(layers, state.take(at + "4.conv.weight"), state.take(at + "4.conv.bias"),
                   state.vector(at + "4.logs"))

    def step_of(self, state: State, at: str) -> Step:
        return Step(ActNorm(state.vector(at + "0.loc"), state.vector(at + "0.log_scale")),
                    self.mix_of(state, at + "1."),
                    self.net_of(state, at + "2.coef_extractor.module."))

    def prior_of(self, state: State, at: str, distribution: Optional[str]) -> ActNorm:
        """exp(log_scale) + epsilon, then a Gaussian that is N(0, 1) in all models seen."""
        log_scale = np.log(np.exp(state.vector(at + "log_scale")) + EPSILON)
        loc = state.vector(at + "loc")
        if distribution is None or distribution + "class_means" not in state:
            return ActNorm(loc, log_scale)
        mean = state.vector(distribution + "class_means", loc.size)
        log_std = state.vector(distribution + "class_log_stds", loc.size)
        return ActNorm(loc - mean * np.exp(-log_scale), log_scale - log_std)

    def class_of(self, state: State, places: Tuple[str, str]) -> ClassTerms:
        return ClassTerms(self.prior_of(state, places[0], None),
                          state.vector(places[1] + "class_means"),
                          state.vector(places[1] + "class_log_stds"))

    def convert(self, state: State, facts: Facts) -> Network:
        paths = self.paths_of(state)
        scales = [Scale([self.step_of(state, at) for at in steps]) for steps in paths.steps]
        for number, scale in enumerate(scales):
            distribution = paths.distributions[number] if paths.distributions else None
            scale.prior = self.prior_of(state, paths.priors[number], distribution)
        classes = [[self.class_of(state, places) for places in terms] for terms in paths.classes]
        self.use_copies(state, paths)
        state.ignore(r".*\.(u_mask|l_mask|l_eye|weight_inverse|fixed_log_det|invert_inds|"
                     r"initialized|is_initialized)")
        patch = next(iter(paths.steps))[0].startswith("model.")
        image = self.image_of(state, facts, scales, patch)
        agree(facts, ("K",), len(scales[0].steps), "K")
        return Network(image, scales, self.is_affine(scales[0].steps[0]),
                       "patch-glow" if patch else "glow", classes)

    def is_affine(self, step: Step) -> bool:
        outputs = step.net.layers[2][0] if isinstance(step.net, DenseNet) else step.net.weight
        return len(outputs) == step.actnorm.loc.size

    def use_copies(self, state: State, paths: Paths) -> None:
        for copy, original in paths.copies:
            for name in [name for name in state.tensors if name.startswith(copy)]:
                own = original + name[len(copy):]
                if own not in state or not np.array_equal(state.tensors[own], state.tensors[name]):
                    raise about(name, f"differs from '{own}', of which it should be a copy")
                state.used.add(name)

    def image_of(self, state: State, facts: Facts, scales: List[Scale], patch: bool) -> List[int]:
        total = sum(scale.prior.loc.size for scale in scales if scale.prior is not None)
        dense = isinstance(scales[0].steps[0].net, DenseNet)
        stated = facts.stated("n_chans")
        channels = scales[0].steps[0].actnorm.loc.size // 4
        if dense or patch and channels not in (1, 3):
            wanted = facts.image[0] if facts.image else stated
            channels = wanted if wanted in (1, 3) else square_channels(total, patch)
        if patch:
            size = facts.get("patch_image") if facts.image is None else facts.image[1:]
            sides = list(size) if isinstance(size, (list, tuple)) else [size, size]
            return image_size(facts, channels, None, [channels, *sides[-2:]])
        if facts.image is not None and int(np.prod(facts.image)) != total:
            raise Refusal(f"the image is said to be {facts.image}, the priors have {total} "
                          "elements")
        side = round((total / channels) ** 0.5)
        found = [channels, side, side] if channels * side * side == total else None
        return image_size(facts, channels, None, facts.image or facts.stated("image") or found)

    # ---- The original's density ----

    def transforms(self, t: Dict[str, np.ndarray], at: str) -> List[Transform]:
        scale = np.exp(double(t[at + "0.log_scale"]).reshape(-1))
        shift = double(t[at + "0.loc"]).reshape(-1) * scale
        net = at + "2.coef_extractor.module."

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            a = dense_outputs(t, net, a) if net + "0.weight" in t else outputs(t, net, a)
            if a.shape[1] == b.shape[1]:
                return b + a, np.zeros_like(a)
            return sigmoid_change(b, a[:, 0::2], a[:, 1::2])

        return [lambda x: scaled(x, scale, shift), lambda x: self.mixed(t, at + "1.", x),
                lambda x: coupled(x, change)]

    def mixed(self, t: Dict[str, np.ndarray], at: str, x: np.ndarray) -> Moved:
        if at + "indices" in t:
            return x[:, t[at + "indices"]], np.zeros(len(x))
        if at + "weight" in t:
            return mapped(x, t[at + "weight"])
        size = len(t[at + "w_s"])
        lower = np.tril(double(t[at + "w_l"]), -1) + np.eye(size)
        upper = np.triu(double(t[at + "w_u"]), 1) + np.diag(
            t[at + "s_sign"] * np.exp(double(t[at + "w_s"])))
        return mapped(x, double(t[at + "w_p"]) @ lower @ upper)

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        paths, t = self.paths_of(state), state.tensors
        x = quantised(images, 8)
        if paths.priors[0].startswith("model."):
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 8, 8, w // 8, 8).transpose(0, 2, 4, 1, 3, 5)
            scores = self.density(t, paths, x.reshape(-1, c, 8, 8))
            per_image = scores.logp.reshape(n, -1).sum(1)
            return Scores(per_image, [per_image])
        return self.density(t, paths, x)

    def density(self, t: Dict[str, np.ndarray], paths: Paths, x: np.ndarray) -> Scores:
        per_scale: List[np.ndarray] = []
        per_class = np.zeros((len(x), len(paths.classes)))
        for number, steps in enumerate(paths.steps):
            x = squeeze(x)
            shape, logp = x.shape, np.zeros(len(x))
            if steps[0] + "2.coef_extractor.module.0.weight" in t:
                x = x.reshape(len(x), -1, 1, 1)
            for at in steps:
                for transform in self.transforms(t, at):
                    x, logdet = transform(x)
                    logp = logp + logdet
            x, latents = last_or_split(x, shape, number == len(paths.steps) - 1)
            latents, logdet = element_scaled(t, paths.priors[number], latents)
            logp = logp + logdet
            if paths.classes:
                for k, terms in enumerate(paths.classes):
                    z, logdet = element_scaled(t, terms[number][0], latents)
                    per_class[:, k] += logp + logdet + distribution(t, terms[number][1], z)
            per_scale.append(logp + distribution(
                t, paths.distributions[number] if paths.distributions else "", latents))
        if paths.classes:
            return Scores(log_mean_exp(per_class), [], per_class)
        return Scores(sum(per_scale), per_scale)


def square_channels(total: int, patch: bool) -> int:
    """1 or 3, whichever makes the elements an image with equal sides."""
    fits = [c for c in (3, 1) if total % c == 0 and round((total / c) ** 0.5) ** 2 * c == total]
    if patch:
        return total // 64
    if len(fits) != 1:
        raise Refusal("the image's size cannot be told from the tensors: give --image CxHxW")
    return fits[0]


def outputs(t: Dict[str, np.ndarray], net: str, x: np.ndarray) -> np.ndarray:
    for n in (0, 2):
        x = convolution(x, t[f"{net}{n}.conv.weight"])
        scale = np.exp(double(t[f"{net}{n}.actnorm.log_scale"]).reshape(-1))
        x, _ = scaled(x, scale, double(t[f"{net}{n}.actnorm.loc"]).reshape(-1) * scale)
        x = relu(x)
    return convolution(x, t[net + "4.conv.weight"], t[net + "4.conv.bias"], t[net + "4.logs"])


def dense_outputs(t: Dict[str, np.ndarray], net: str, x: np.ndarray) -> np.ndarray:
    h = x.reshape(len(x), -1)
    for n in (0, 2, 4):
        h = h @ double(t[f"{net}{n}.weight"]).T + double(t[f"{net}{n}.bias"])
        h = relu(h) if n < 4 else h
    return h[:, :, None, None]


def last_or_split(x: np.ndarray, shape: Tuple[int, ...], last: bool) -> Moved:
    """(what goes on, latents): the first half are latents."""
    if last:
        return x, x
    latents, on = np.split(x, 2, 1)
    return on.reshape(len(x), shape[1] // 2, *shape[2:]), latents


def element_scaled(t: Dict[str, np.ndarray], at: str, z: np.ndarray) -> Moved:
    scale = np.exp(double(t[at + "log_scale"]).reshape(1, -1)) + EPSILON
    z = (z.reshape(len(z), -1) + double(t[at + "loc"]).reshape(1, -1)) * scale
    return z, np.full(len(z), np.log(scale).sum())


def distribution(t: Dict[str, np.ndarray], at: str, z: np.ndarray) -> np.ndarray:
    if at + "class_means" not in t:
        return gaussian(z)
    return gaussian(z, double(t[at + "class_means"]), double(t[at + "class_log_stds"]))
