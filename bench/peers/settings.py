# SPDX-License-Identifier: Apache-2.0
"""What is tried for each contender before its best is timed, and a file that remembers it."""
import json
import os
import tempfile

PLAIN = {"streams": 1, "layout": "nchw", "blas": 1, "optimized": False, "foreach": False}


def candidates(contender, mode, threads, batch):
    """Settings of a contender, the usual one first. `threads` are those of one stream."""
    everything = {**PLAIN, "threads": threads}
    if contender == "outflow":
        return [everything]
    found = [everything]
    if mode == "score" and contender in ("eager", "frozen"):
        found += [{**everything, "layout": "nhwc"}]
        if contender == "frozen":
            found += [{**everything, "optimized": True}]
    if mode == "train":
        found += [{**everything, "foreach": True},
                  {**everything, "layout": "nhwc", "foreach": True}]
    if threads > 1:
        if mode == "score" and batch < 4 * threads:
            found += [{**setting, "threads": 1} for setting in found]
        if mode == "score" and contender != "eager" and batch % threads == 0:
            found += [{**setting, "threads": 1, "streams": threads} for setting in found
                      if setting["threads"] == threads]
        if contender in ("eager", "frozen"):
            found += [{**everything, "blas": threads}]
    return found


def describe(contender, setting):
    """The setting in a few words."""
    if setting["streams"] > 1:
        words = [f"{setting['streams']} streams"]
    else:
        words = [f"{setting['threads']} thread" + "s" * (setting["threads"] > 1)]
    if contender in ("eager", "frozen"):
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
                assert isinstance(self.entries, dict)
            except (OSError, ValueError, AssertionError) as reason:
                raise ValueError(f"--settings {path}: not a file of settings ({reason}); "
                                 "remove it to have them tried again") from reason

    def get(self, key, allowed):
        """None if unknown, or if this version would not try it."""
        setting = self.entries.get(key)
        return setting if setting in allowed else None

    def put(self, key, setting):
        self.entries[key] = setting
        if not self.path:
            return
        folder = os.path.dirname(os.path.abspath(self.path))
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
            json.dump(self.entries, file, indent=1)
        os.replace(file.name, self.path)
