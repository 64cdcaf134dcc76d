# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to a weight file."""
import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from .architecture import check_tensors
from .assemble import assemble
from .check import check_engine, check_images, difference, words
from .checkpoints import Checkpoint, read_checkpoint, read_json, without_common_part
from .evaluate import FileModel
from .facts import Facts, parse_value
from .layouts import LAYOUTS
from .layouts.base import Layout
from .layouts.outflow import Outflow
from .names import ALIASES
from .refusal import Refusal
from .safetensors import write_safetensors
from .state import State

MISFITS = (ValueError, IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError,
           OverflowError, MemoryError, np.linalg.LinAlgError)


@dataclass
class Conversion:
    layout: Layout
    state: State
    facts: Facts
    architecture: Dict[str, Any]
    tensors: Dict[str, np.ndarray]
    notes: List[str] = field(default_factory=list)


def named_layout(name: str) -> Layout:
    return next(layout for layout in LAYOUTS if layout.name == ALIASES.get(name, name))


def choose_layout(checkpoint: Checkpoint,
                  wanted: Optional[str]) -> Tuple[Layout, Mapping[str, np.ndarray]]:
    """The layout, and the tensors without what trainers put in front of their names."""
    layouts: Sequence[Layout] = [named_layout(wanted)] if wanted else LAYOUTS
    tensors: Mapping[str, np.ndarray] = checkpoint.tensors
    while True:
        for layout in layouts:
            if layout.recognises(tensors):
                return layout, tensors
        shorter = without_common_part(dict(tensors))
        if shorter is None:
            break
        tensors = shorter[1]
    known = f"not of layout '{wanted}'" if wanted else "no known layout"
    raise Refusal(f"{known}: the first tensors are " +
                  ", ".join(f"'{name}'" for name in list(checkpoint.tensors)[:5]))


def read_hyperparameters(path: Optional[str]) -> Dict[str, Any]:
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        return read_json(file.read())


def gather_facts(layout: Layout, checkpoint: Checkpoint, options: Any) -> Facts:
    known = {name for fact in layout.facts for name in fact.names()}
    for name in options.fact:
        if name not in known:
            raise Refusal(f"fact '{name}' means nothing to layout '{layout.name}'" +
                          (f"; it knows {', '.join(sorted(known))}" if known else ""))
    given = {name: parse_value(value) for name, value in options.fact.items()}
    if layout.name == "outflow":
        given.update({"family": options.family} if options.family else {})
        given.update({"fixed": True} if options.fixed else {})
    sources = [given, read_hyperparameters(options.hyperparameters), checkpoint.hyperparameters,
               checkpoint.metadata]
    return Facts(sources, layout.facts, options.image)


def convert_state(layout: Layout, state: State, facts: Facts,
                  metadata: Mapping[str, str]) -> Conversion:
    try:
        if isinstance(layout, Outflow):
            architecture = layout.architecture(state, facts, metadata)
            tensors = check_tensors(layout.tensors(state), architecture)
        else:
            network = layout.convert(state, facts)
            state.refuse_unused(layout.name)
            architecture, tensors = assemble(network)
    except MISFITS as reason:
        raise Refusal(f"the tensors do not fit layout '{layout.name}': "
                      f"{reason!r}".splitlines()[0][:300]) from reason
    if isinstance(layout, Outflow):
        state.refuse_unused(layout.name)
        return Conversion(layout, state, facts, architecture, tensors)
    return Conversion(layout, state, facts, architecture, tensors, facts.notes())


def metadata_of(conversion: Conversion, checkpoint: Checkpoint) -> Dict[str, str]:
    ours = {"format": "outflow", "version": "1",
            "architecture": json.dumps(conversion.architecture)}
    if isinstance(conversion.layout, Outflow):
        return {**ours, **{key: value for key, value in checkpoint.metadata.items()
                           if key not in ours}}
    kept = {key: value for key, value in checkpoint.metadata.items()
            if key in ("source", "hyperparameters") and isinstance(value, str)}
    return {**ours, **kept, "converted": json.dumps({"layout": conversion.layout.name})}


def check_conversion(conversion: Conversion, path: str, engine: Optional[str]) -> str:
    """Compares the written file; the words say how near it is."""
    images = check_images(conversion.architecture["image"])
    file = FileModel(conversion.architecture, conversion.tensors).score(images).logp
    if isinstance(conversion.layout, Outflow):
        return words([check_engine(engine, path, file, images)])
    with np.errstate(all="ignore"):
        original = conversion.layout.score(conversion.state, conversion.facts, images).logp
    gap = difference(original, file, "the new file, evaluated in double precision,")
    return words([f"the file's equations within {gap:.2g}",
                  check_engine(engine, path, original, images)])


def convert_file(options: Any) -> Conversion:
    """Reads, converts, checks and writes; the output is complete or unchanged."""
    checkpoint = read_checkpoint(options.input)
    layout, tensors = choose_layout(checkpoint, options.layout)
    facts = gather_facts(layout, checkpoint, options)
    conversion = convert_state(layout, State(tensors), facts, checkpoint.metadata)
    temporary = f"{options.output}.tmp-{os.getpid()}.safetensors"
    try:
        write_safetensors(temporary, conversion.tensors, metadata_of(conversion, checkpoint))
        if options.check:
            conversion.notes.append(check_conversion(conversion, temporary, options.outflow))
        os.replace(temporary, options.output)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return conversion
