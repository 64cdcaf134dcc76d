# SPDX-License-Identifier: Apache-2.0
"""Outflow's own names, from another program that uses them or from a weight file."""
import json
import math
import re
from typing import Any, Dict, List, Mapping

import numpy as np

from ..architecture import check_architecture
from ..evaluate import FileModel, Scores
from ..facts import Fact, Facts
from ..refusal import Refusal
from ..state import State
from .base import Layout


class Outflow(Layout):
    """Its tensors need no conversion: `architecture` and `rename` take the place of `convert`."""
    name = "outflow"
    signature = r"scales\.0\.steps\.0\.actnorm\.loc"
    facts = (Fact("family", "glow or patch-glow", "glow"),
             Fact("fixed", "whether plain mixing matrices are constants", False))

    def tensors(self, state: State) -> Dict[str, np.ndarray]:
        return {name: state.raw(name) for name in state.tensors
                if re.match(r"(scales|classes)\.", name)}

    def architecture(self, state: State, facts: Facts,
                     metadata: Mapping[str, str]) -> Dict[str, Any]:
        if "architecture" not in metadata:
            return check_architecture(infer(state.tensors, facts))
        try:
            return check_architecture(dict(json.loads(metadata["architecture"])))
        except (TypeError, ValueError) as reason:
            raise Refusal(f"its architecture is not a JSON object: {reason}") from reason

    def score_file(self, architecture: Mapping, tensors: Mapping[str, np.ndarray],
                   images: np.ndarray) -> Scores:
        return FileModel(architecture, tensors).score(images)


def infer_image(tensors: Mapping[str, np.ndarray], facts: Facts, dense: bool) -> List[int]:
    """Channels from the first ActNorm, a square side from the number of latents."""
    if facts.image:
        return facts.image
    total = sum(values.size for name, values in tensors.items()
                if re.fullmatch(r"scales\.\d+\.prior\.loc", name))
    first = tensors.get("scales.0.steps.0.actnorm.loc")
    candidates = (1, 3) if dense else (first.size // 4 if first is not None else 0,)
    for channels in candidates:
        side = math.isqrt(total // channels) if channels else 0
        if facts.get("family") == "glow" and side > 0 and channels * side * side == total:
            return [channels, side, side]
    raise Refusal("the image's size cannot be told from the tensors: give --image CxHxW")


def infer(tensors: Mapping[str, np.ndarray], facts: Facts) -> Dict[str, Any]:
    """`architecture` of tensors without metadata; of the extension, what leaves tensors."""
    numbers = [re.match(r"scales\.(\d+)\.steps\.(\d+)\.", name) for name in tensors]
    places = [(int(match[1]), int(match[2])) for match in numbers if match]
    if not places:
        raise Refusal("has no flow steps")

    def size(name: str, axis: int) -> int:
        values = tensors.get("scales.0.steps.0." + name)
        return values.shape[axis] if values is not None and values.ndim > axis else 0

    dense = size("net.fc1.weight", 0) > 0
    outputs = size("net.fc3.weight" if dense else "net.conv3.weight", 0)
    classes = [int(match[1]) for match in
               (re.match(r"classes\.(\d+)\.", name) for name in tensors) if match]
    plain = "invconvfixed" if facts.get("fixed") else "invconv"
    return {"family": facts.get("family"), "image": infer_image(tensors, facts, dense),
            "scales": 1 + max(scale for scale, _ in places),
            "steps": 1 + max(step for _, step in places),
            "hidden": size("net.fc1.weight" if dense else "net.conv1.weight", 0),
            "coupling": "additive" if outputs * 2 == size("actnorm.loc", 0) else "affine",
            "permutation": "shuffle" if size("mix.indices", 0) else plain,
            "lu": size("mix.permutation", 0) > 0, "block": "dense" if dense else "conv",
            "classes": 1 + max(classes, default=-1), **infer_extension(tensors)}


def infer_extension(tensors: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    step = "scales.0.steps.0.net."
    found: Dict[str, Any] = {}
    if "scales.0.split.weight" in tensors:
        found["split_prior"] = "conv"
    places = {"conv1": step + "conv1.edge", "conv3": step + "conv3.edge",
              "split": "scales.0.split.edge"}
    edges = [name for name, tensor in places.items() if tensor in tensors]
    if edges:
        found["edges"] = edges
    if step + "gain" in tensors:
        found["scale_map"] = "tanh"
    if step + "in.scale" in tensors:
        found["net_input"] = "affine-relu"
    if "scales.0.closing.actnorm.loc" in tensors:
        found["closing"] = True
    return found
