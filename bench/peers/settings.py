# SPDX-License-Identifier: Apache-2.0
"""What is tried for each contender before its best is timed, and a file that remembers it."""
import json
import os

FIELDS = ("threads", "streams", "part", "layout", "optimized", "foreach", "blas")


def usual(threads, batch):
    """What every contender starts from: all threads inside each layer, the whole batch a call."""
    return {"threads": threads, "streams": 1, "part": batch, "layout": "nchw",
            "optimized": False, "foreach": False, "blas": 1}


def forms(contender, threads, batch):
    """Ways to use the threads when scoring: `streams` calls at a time of `part` images each, with
    `threads` threads in each. Small parts keep hidden activations in the caches."""
    found = []
    if threads > 1 and batch < 4 * threads:
        found += [{"threads": 1}]
    if contender == "eager":  # Python itself keeps eager calls from running side by side
        return found + [{"part": part} for part in (16, 8) if batch % part == 0 and part < batch]
    share = batch // threads if batch % threads == 0 else 0
    parts = [part for part in (share, 8, 4) if part and share % part == 0 and part < batch]
    return found + [{"threads": 1, "streams": threads, "part": part}
                    for part in dict.fromkeys(parts)]


def axes(contender, mode, threads, batch):
    """Lists of changes. They are tried one list after the other, each change upon the best of what
    was tried before, the first of which is the usual setting."""
    if contender == "outflow":
        return []
    if mode == "train":
        return [[{"foreach": True}], [{"layout": "nhwc"}]] + blas_axis(threads)
    found = [forms(contender, threads, batch)]
    if contender == "eager":
        found += [[{"layout": "nhwc"}]]
    if contender == "frozen":
        found += [[{"layout": "nhwc"}, {"optimized": True}]]
    return found + (blas_axis(threads) if contender in ("eager", "frozen") else [])


def blas_axis(threads):
    return [[{"blas": threads}]] if threads > 1 else []


def describe(setting, batch):
    """The setting in a few words."""
    count, noun = ((setting["streams"], "stream") if setting["streams"] > 1 else
                   (setting["threads"], "thread"))
    words = [f"{count} {noun}" + "s" * (count > 1)]
    if setting["part"] != batch // setting["streams"]:
        words += [f"{setting['part']} images a call"]
    words += ["channels last"] if setting["layout"] == "nhwc" else []
    words += ["optimize_for_inference"] if setting["optimized"] else []
    words += ["foreach"] if setting["foreach"] else []
    words += ["threaded BLAS"] if setting["blas"] > 1 else []
    return ", ".join(words)


class Memory:
    """Best settings by row and contender in a JSON file; without a path, nothing is kept."""

    def __init__(self, path):
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

    def get(self, key):
        """None if unknown, or not of this version."""
        setting = self.entries.get(key)
        known = isinstance(setting, dict) and sorted(setting) == sorted(FIELDS)
        return setting if known else None

    def put(self, key, setting):
        self.entries[key] = setting
        if not self.path:
            return
        fresh = self.path + ".new"
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(self.entries, file, indent=1)
        os.replace(fresh, self.path)
