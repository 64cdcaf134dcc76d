# SPDX-License-Identifier: Apache-2.0
"""What other implementations do differently and needs nothing of the engine: exact rewritings of
the weights. Each takes a network as its layout reads it and changes it in place."""
from typing import Optional

import numpy as np

from .network import ActNorm, Layer, Mix, Network, Scale
from .numerics import double


def swap_halves(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """S x: the second half of the channels before the first."""
    first, second = np.split(values, 2, axis)
    return np.concatenate([second, first], axis)


def swapped_mix(mix: Mix, first: bool) -> Mix:
    """S W for the first step of a scale, S W S for the others."""
    if mix.kind == "shuffle":
        indices = swap_halves(mix.tensors["indices"])
        half = len(indices) // 2
        return Mix.shuffle(indices if first else (indices + half) % len(indices))
    weight = swap_halves(mix.matrix())
    return Mix.plain(weight if first else swap_halves(weight, 1),
                     "plain" if mix.kind == "lu" else mix.kind)


def swapped_actnorm(actnorm: ActNorm) -> ActNorm:
    sign = actnorm.sign
    return ActNorm(swap_halves(actnorm.loc), swap_halves(actnorm.log_scale),
                   None if sign is None else swap_halves(sign))


def second_half_conditions(scale: Scale, last: bool) -> None:
    """The second half feeds the network: the scale runs with its halves swapped and ends as
    [second, first], so that what the original keeps as latents, its second half, comes first."""
    for number, step in enumerate(scale.steps):
        step.mix = swapped_mix(step.mix, number == 0)
        if number > 0:
            step.actnorm = swapped_actnorm(step.actnorm)
    if last and scale.prior is not None:
        scale.prior = swapped_actnorm(scale.prior)


def columns_negated(mix: Mix, sign: np.ndarray) -> Mix:
    """W diag(sign)"""
    if mix.kind == "lu":
        tensors = dict(mix.tensors)
        tensors["sign"] = tensors["sign"] * sign
        tensors["upper"] = tensors["upper"] * sign
        return Mix("lu", tensors)
    kind = "plain" if mix.kind == "shuffle" else mix.kind
    return Mix.plain(mix.matrix() * sign, kind)


def positive_scale(actnorm: ActNorm, mix: Mix) -> Mix:
    """A negative scale of an ActNorm becomes a negative column of the map behind it."""
    sign = actnorm.sign
    actnorm.sign = None
    return mix if sign is None or (sign > 0).all() else columns_negated(mix, sign)


def positive_layer(layer: Layer) -> None:
    """Hidden: s (w x + loc) = |s| (sign w x + sign loc)."""
    sign = layer.actnorm.sign
    layer.actnorm.sign = None
    if sign is None or (sign > 0).all():
        return
    layer.weight = layer.weight * sign.reshape(-1, 1, 1, 1)
    layer.actnorm.loc = layer.actnorm.loc * sign
    if layer.edge is not None:
        layer.edge = layer.edge * sign.reshape(-1, 1, 1)


def fold_signs(network: Network) -> None:
    for scale in network.scales:
        for step in scale.steps:
            step.mix = positive_scale(step.actnorm, step.mix)
            for layer in getattr(step.net, "layers", []):
                if isinstance(layer, Layer):
                    positive_layer(layer)
        if scale.closing is not None:
            scale.closing.mix = positive_scale(scale.closing.actnorm, scale.closing.mix)


def one_kind_of_mix(network: Network) -> str:
    """A file has one kind of mixing: where steps differ, all become plain matrices."""
    mixes = [step.mix for scale in network.scales for step in scale.steps]
    mixes += [scale.closing.mix for scale in network.scales if scale.closing is not None]
    kinds = {mix.kind for mix in mixes}
    if len(kinds) == 1:
        return kinds.pop()
    for scale in network.scales:
        for step in scale.steps:
            step.mix = Mix.plain(step.mix.matrix())
        if scale.closing is not None:
            scale.closing.mix = Mix.plain(scale.closing.mix.matrix())
    return "plain"


def batch_norm_scale(weight, bias, mean, variance, epsilon: float = 1e-5):
    """Evaluation mode, as (scale, shift): the scale may be of either sign, or zero."""
    scale = double(weight) / np.sqrt(double(variance) + epsilon)
    return scale, double(bias) - double(mean) * scale


def scaled_layer(weight: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> Layer:
    """scale (w x) + shift with the scale in the rows of w: any sign, and zero, is exact."""
    rows = double(weight) * scale.reshape(-1, 1, 1, 1)
    return Layer(rows, ActNorm(double(shift).reshape(-1), np.zeros(len(rows))))


def biased_layer(weight: np.ndarray, bias: Optional[np.ndarray]) -> Layer:
    """A convolution with a bias and no ActNorm."""
    shift = np.zeros(len(weight)) if bias is None else bias
    return Layer(double(weight), ActNorm(double(shift).reshape(-1), np.zeros(len(weight))))


def edge_of_padding(weight: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """[o, ky, kx]: what a tap outside the image adds where channel c is outside[c] there."""
    return np.einsum("oiyx,i->oyx", double(weight), double(outside))


def convolution_of_zeros(edge: np.ndarray, bias: np.ndarray, height: int,
                         width: int) -> np.ndarray:
    """[o, H, W]: bias and the edges, all that a convolution of nothing gives."""
    output = np.empty((len(bias), height, width))
    output[:] = double(bias).reshape(-1, 1, 1)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for dy in range(3):
        for dx in range(3):
            y, x = rows + dy - 1, columns + dx - 1
            outside = (y < 0) | (y >= height) | (x < 0) | (x >= width)
            output[:, outside] += edge[:, dy, dx][:, None]
    return output
