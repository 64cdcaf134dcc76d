# SPDX-License-Identifier: Apache-2.0
"""A network under the names of a weight file."""
from typing import Any, Dict, Tuple

import numpy as np

from .architecture import (DEFAULT_INPUT, EXTENSION, check_architecture, check_tensors,
                           shapes_of_scales)
from .folds import fold_signs, one_kind_of_mix
from .network import ActNorm, ClassTerms, DenseNet, Layer, Mix, Net, Network, Scale, Step
from .refusal import Refusal

Tensors = Dict[str, np.ndarray]


def put_actnorm(tensors: Tensors, at: str, actnorm: ActNorm) -> None:
    tensors[at + ".loc"], tensors[at + ".log_scale"] = actnorm.loc, actnorm.log_scale


def put_map(tensors: Tensors, at: str, actnorm: ActNorm, mix: Mix) -> None:
    put_actnorm(tensors, at + ".actnorm", actnorm)
    tensors.update({f"{at}.mix.{name}": values for name, values in mix.tensors.items()})


def put_layer(tensors: Tensors, at: str, layer: Layer) -> None:
    tensors[at + ".weight"] = layer.weight
    put_actnorm(tensors, at + ".actnorm", layer.actnorm)
    if layer.edge is not None:
        tensors[at + ".edge"] = layer.edge


def put_net(tensors: Tensors, at: str, net: Net) -> None:
    for number, layer in enumerate(net.layers):
        put_layer(tensors, f"{at}.conv{number + 1}", layer)
    tensors.update({at + ".conv3.weight": net.weight, at + ".conv3.bias": net.bias,
                    at + ".conv3.log_scale": net.log_scale})
    for name, values in ((".conv3.edge", net.edge), (".gain", net.gain),
                         (".in.scale", net.input_scale), (".in.shift", net.input_shift)):
        if values is not None:
            tensors[at + name] = values


def put_step(tensors: Tensors, at: str, step: Step) -> None:
    put_map(tensors, at, step.actnorm, step.mix)
    if isinstance(step.net, DenseNet):
        for number, (weight, bias) in enumerate(step.net.layers):
            tensors[f"{at}.net.fc{number + 1}.weight"] = weight
            tensors[f"{at}.net.fc{number + 1}.bias"] = bias
    else:
        put_net(tensors, at + ".net", step.net)


def put_scale(tensors: Tensors, at: str, scale: Scale, latents: int) -> None:
    for number, step in enumerate(scale.steps):
        put_step(tensors, f"{at}.steps.{number}", step)
    if scale.closing is not None:
        put_map(tensors, at + ".closing", scale.closing.actnorm, scale.closing.mix)
    if scale.split is not None:
        tensors.update({at + ".split.weight": scale.split.weight,
                        at + ".split.bias": scale.split.bias,
                        at + ".split.log_scale": scale.split.log_scale})
        if scale.split.edge is not None:
            tensors[at + ".split.edge"] = scale.split.edge
    put_actnorm(tensors, at + ".prior", scale.prior or ActNorm.neutral(latents))


def put_class(tensors: Tensors, at: str, terms: ClassTerms) -> None:
    put_actnorm(tensors, at + ".actnorm", terms.actnorm)
    tensors[at + ".mean"], tensors[at + ".log_std"] = terms.mean, terms.log_std


def hidden_units(net: Any) -> int:
    return len(net.layers[0].weight if isinstance(net, Net) else net.layers[0][0])


def edges_of(network: Network) -> list:
    """Which convolutions have constants for taps outside the image."""
    net, split = network.scales[0].steps[0].net, network.scales[0].split
    found = {"conv1": isinstance(net, Net) and net.layers[0].edge is not None,
             "conv3": isinstance(net, Net) and net.edge is not None,
             "split": split is not None and split.edge is not None}
    return [name for name, present in found.items() if present]


def extension_of(network: Network) -> Dict[str, Any]:
    """The optional fields that differ from what their absence means."""
    found = dict(network.extension)
    if network.scales[0].split is not None:
        found["split_prior"] = "conv"
    if edges_of(network):
        found["edges"] = edges_of(network)
    if network.scales[0].closing is not None:
        found["closing"] = True
    if len(network.scales) == 1 and network.family == "glow":
        found.pop("latents", None)
    if not network.affine:
        found.pop("scale_map", None)
        found.pop("shift", None)
    if found.get("input") == DEFAULT_INPUT:
        del found["input"]
    order = ("input", "latents", "split_prior", "edges", "scale_map", "shift", "net_input", "leak",
             "closing")
    return {name: found[name] for name in order if found.get(name) and not is_default(found, name)}


def is_default(fields: Dict[str, Any], name: str) -> bool:
    return name in EXTENSION and fields[name] == EXTENSION[name][0]


def assemble(network: Network) -> Tuple[Dict[str, Any], Tensors]:
    """`architecture` and the tensors of the file, checked against each other."""
    fold_signs(network)
    kind = one_kind_of_mix(network)
    steps = {len(scale.steps) for scale in network.scales}
    if len(steps) != 1:
        raise Refusal(f"scales have different numbers of steps: {sorted(steps)}")
    net = network.scales[0].steps[0].net
    architecture = check_architecture({
        "family": network.family, "image": [int(size) for size in network.image],
        "scales": len(network.scales), "steps": steps.pop(), "hidden": int(hidden_units(net)),
        "coupling": "affine" if network.affine else "additive",
        "permutation": {"shuffle": "shuffle", "fixed": "invconvfixed"}.get(kind, "invconv"),
        "lu": kind == "lu", "block": "conv" if isinstance(net, Net) else "dense",
        "classes": len(network.classes), **extension_of(network)})
    tensors: Tensors = {}
    latents = [sizes[3] for sizes in shapes_of_scales(architecture)]
    for number, scale in enumerate(network.scales):
        put_scale(tensors, f"scales.{number}", scale, latents[number])
    for number, terms in enumerate(network.classes):
        for scale, terms_of_scale in enumerate(terms):
            put_class(tensors, f"classes.{number}.scales.{scale}", terms_of_scale)
    return architecture, check_tensors(tensors, architecture)
