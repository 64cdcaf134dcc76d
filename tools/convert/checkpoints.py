# SPDX-License-Identifier: Apache-2.0
"""Files of any kind as one flat state dict with what they say of the model beside it."""
import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from .inert_pickle import Instance
from .refusal import Refusal
from .safetensors import read_safetensors
from .tensorflow_files import is_tensorflow, read_tensorflow
from .torch_files import Tensor, read_torch

# Where trainers put the state dict, and what they know of the model.
WEIGHT_KEYS = ("state_dict", "model_state_dict", "model_state", "graph", "model", "net", "network",
               "flow", "weights", "params")
FACT_KEYS = ("hyperparameters", "hyper_parameters", "hparams", "args", "config", "opt")
DEPTH_LIMIT = 200


@dataclass
class Checkpoint:
    tensors: Dict[str, np.ndarray]
    metadata: Dict[str, str] = field(default_factory=dict)
    hyperparameters: Dict[str, Any] = field(default_factory=dict)


def walk_module(module: Instance, prefix: str, found: Dict[str, Any], depth: int = 0) -> None:
    """The state dict of an object of torch.nn: parameters, buffers, and those of its modules."""
    if depth > DEPTH_LIMIT:
        raise Refusal("its modules are nested too deeply")
    attributes = module.attributes()
    hidden = attributes.get("_non_persistent_buffers_set")
    hidden = hidden if isinstance(hidden, (set, list)) else ()
    for kind in ("_parameters", "_buffers"):
        tensors = attributes.get(kind)
        for name, value in (tensors.items() if isinstance(tensors, dict) else ()):
            if value is not None and name not in hidden:
                found[f"{prefix}{name}"] = value
    children = attributes.get("_modules")
    for name, child in (children.items() if isinstance(children, dict) else ()):
        if isinstance(child, Instance):
            walk_module(child, f"{prefix}{name}.", found, depth + 1)


def is_module(value: Any) -> bool:
    return isinstance(value, Instance) and isinstance(value.attributes().get("_modules"), dict)


def state_of(value: Any) -> Optional[Dict[str, Any]]:
    """A flat state dict, where the value is one or has one."""
    if is_module(value):
        found: Dict[str, Any] = {}
        walk_module(value, "", found)
        return found
    if isinstance(value, Instance) and value.items:
        value = value.items
    if isinstance(value, dict) and any(isinstance(entry, Tensor) for entry in value.values()):
        return value
    return None


def find_state(content: Any) -> Dict[str, Any]:
    state = state_of(content)
    if state is not None and (not isinstance(content, dict) or "." in "".join(map(str, state))):
        return state
    entries = content if isinstance(content, dict) else {}
    for key in WEIGHT_KEYS:
        if state_of(entries.get(key)) is not None:
            return state_of(entries[key]) or {}
        if isinstance(entries.get(key), dict) and find_nested(entries[key]):
            return find_state(entries[key])
    others = [key for key in entries if state_of(entries[key]) is not None]
    if len(others) == 1:
        return state_of(entries[others[0]]) or {}
    if others:
        raise Refusal("holds several state dicts, none of a known name: " +
                      ", ".join(f"'{key}'" for key in others[:8]))
    if state is not None:
        return state
    for key, value in entries.items():
        if isinstance(key, str) and not isinstance(value, (dict, list, Instance)):
            raise Refusal(f"'{key}' is not a tensor: not a state dict")
    raise Refusal("holds no state dict")


def find_nested(entries: Dict[str, Any]) -> bool:
    return any(state_of(value) is not None for value in entries.values())


def plain(value: Any, depth: int = 0) -> Any:
    """What JSON could hold of a value; the rest is None."""
    if isinstance(value, (str, int, float, bool)):
        return value
    if depth < 8 and isinstance(value, Instance):
        return plain(value.items or value.attributes(), depth + 1)
    if depth < 8 and isinstance(value, dict):
        return {key: plain(entry, depth + 1) for key, entry in value.items()
                if isinstance(key, str)}
    if depth < 8 and isinstance(value, (list, tuple)):
        return [plain(entry, depth + 1) for entry in value]
    return None


def find_hyperparameters(content: Any) -> Dict[str, Any]:
    if isinstance(content, dict):
        for key in FACT_KEYS:
            value = plain(content.get(key))
            if isinstance(value, dict) and value:
                return value
    return {}


def read_pytorch_checkpoint(path: str) -> Checkpoint:
    content = read_torch(path)
    tensors, wrong = {}, []
    for name, value in find_state(content).items():
        if isinstance(value, Tensor):
            tensors[str(name)] = value.array()
        elif value is not None and not str(name).endswith("_extra_state"):
            wrong.append(str(name))
    if wrong:
        more = f" (nor are {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise Refusal(f"'{wrong[0]}' is not a tensor{more}: not a state dict")
    return Checkpoint(tensors, {}, find_hyperparameters(content))


def read_checkpoint(path: str) -> Checkpoint:
    if path.endswith(".safetensors"):
        tensors, metadata = read_safetensors(path)
        return Checkpoint(tensors, metadata, read_json(metadata.get("hyperparameters")))
    if is_tensorflow(path):
        return Checkpoint(read_tensorflow(path))
    return read_pytorch_checkpoint(path)


def read_json(text: Any) -> Dict[str, Any]:
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (TypeError, ValueError, RecursionError) as reason:
        raise Refusal(f"its hyperparameters are not JSON: {reason}") from reason
    if not isinstance(values, dict):
        raise Refusal("its hyperparameters are not a JSON object")
    return values


def without_common_part(tensors: Dict[str, np.ndarray]) -> Optional[Tuple[str, Dict]]:
    """The tensors without the first part that all names share ("module.", "model." ...)."""
    firsts: List[str] = sorted({re.split(r"\.", name, 1)[0] for name in tensors if "." in name})
    if len(firsts) != 1 or any("." not in name for name in tensors):
        return None
    return firsts[0], {name[len(firsts[0]) + 1:]: values for name, values in tensors.items()}
