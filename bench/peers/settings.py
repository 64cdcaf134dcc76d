# SPDX-License-Identifier: Apache-2.0
"""What is tried for each contender before its best is timed, and a file that remembers it."""
from __future__ import annotations

import json
import os

from contenders import Contender

FIELDS = ("threads", "streams", "part", "layout", "wrapper", "optimizer", "scope")
Setting = dict  # FIELDS -> value


def usual(threads: int, batch: int) -> Setting:
    """What every contender starts from: all threads inside each layer, the whole batch a call; of
    low precisions, in the coupling networks alone, as a careful user of flows would have it."""
    return {"threads": threads, "streams": 1, "part": batch, "layout": "nchw",
            "wrapper": "python", "optimizer": "usual", "scope": "networks"}


def forms(engine: str, threads: int, batch: int) -> list[Setting]:
    """Ways to use the threads when scoring: `streams` calls at a time of `part` images each, with
    `threads` threads in each. Small parts keep hidden activations in the caches."""
    found = []
    if threads > 1 and batch < 4 * threads:
        found += [{"threads": 1}]
    if engine == "eager":  # Python itself keeps eager calls from running side by side
        return found + [{"part": part} for part in (16, 8) if batch % part == 0 and part < batch]
    share = batch // threads if batch % threads == 0 else 0
    parts = [part for part in (share, 8, 4) if share and share % part == 0 and part < batch]
    return found + [{"threads": 1, "streams": threads, "part": part}
                    for part in dict.fromkeys(parts)]


def has_scope(contender: Contender) -> bool:
    """Whether there is a choice of what is in low precision: Outflow has none, and OpenVINO's hint
    of bf16 is for the whole graph."""
    return contender.precision != "f32" and contender.engine != "outflow" and \
        contender != ("openvino", "bf16")


def scopes(contender: Contender) -> list[Setting]:
    """Other choices of what is in low precision: all convolutions instead of those of the
    networks, and for int8 the two wide ones of the three in a network."""
    precision = contender.precision
    if not has_scope(contender):
        return []
    return [{"scope": "all"}] + ([{"scope": "wide"}] if precision == "int8" else [])


def axes(contender: Contender, mode: str, threads: int, batch: int) -> list[list[Setting]]:
    """Lists of changes. They are tried one list after the other, each change upon the best of what
    was tried before, the first of which is the usual setting."""
    engine = contender.engine
    if engine == "outflow":
        return []
    found = [scopes(contender)]
    if mode == "train":
        part = batch // 4
        found += [[{"layout": "nhwc"}], [{"optimizer": "foreach"}, {"optimizer": "fused"}]]
        found += [[{"part": part}]] if batch % 4 == 0 and part >= 4 else []
    else:
        found += [forms(engine, threads, batch)]
        found += [[{"layout": "nhwc"}]] if engine in ("eager", "compiled") else []
        found += [[{"wrapper": "cpp"}]] if engine == "compiled" else []
    return [axis for axis in found if axis]


SCOPES = {"networks": "low precision in the networks", "all": "low precision everywhere",
          "wide": "low precision in conv2 and conv3"}
OPTIMIZERS = {"usual": "Adamax", "foreach": "Adamax foreach", "fused": "Adam fused"}


def describe(setting: Setting, contender: Contender, mode: str, batch: int) -> str:
    """The setting in a few words."""
    count, noun = ((setting["streams"], "stream") if setting["streams"] > 1 else
                   (setting["threads"], "thread"))
    words = [f"{count} {noun}" + "s" * (count > 1)]
    if setting["part"] != batch // setting["streams"]:
        words += [f"{setting['part']} images a call"]
    words += ["channels last"] if setting["layout"] == "nhwc" else []
    words += ["C++ wrapper"] if setting["wrapper"] == "cpp" else []
    if contender.engine != "outflow":
        words += [OPTIMIZERS[setting["optimizer"]]] if mode == "train" else []
        words += [SCOPES[setting["scope"]]] if has_scope(contender) else []
    return ", ".join(words)


class Memory:
    """Best settings by row and contender in a JSON file; without a path, nothing is kept."""

    def __init__(self, path: str | None):
        self.path, self.entries = path, {}
        if path and os.path.exists(path):
            try:
                with open(path, encoding="utf-8") as file:
                    self.entries = json.load(file)
                if not isinstance(self.entries, dict):
                    raise ValueError("no object")
            except (OSError, ValueError) as reason:
                raise ValueError(f"--settings {path}: not a file of settings ({reason}); "
                                 "remove it to have them tried again") from reason

    def get(self, key: str) -> Setting | None:
        """None if unknown, or not of this version."""
        setting = self.entries.get(key)
        known = isinstance(setting, dict) and sorted(setting) == sorted(FIELDS)
        return setting if known else None

    def put(self, key: str, setting: Setting) -> None:
        self.entries[key] = setting
        if not self.path:
            return
        fresh = self.path + ".new"
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(self.entries, file, indent=1)
        os.replace(fresh, self.path)
