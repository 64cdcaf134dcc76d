# SPDX-License-Identifier: Apache-2.0
"""Finds, for each package, a Python that can import it: the virtual environment of tools/setup
before the system's, so that PyPI's PyTorch goes before an old one of the distribution."""
import json
import os
import subprocess
import sys

PROBE = """
import importlib, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = getattr(importlib.import_module(name), "__version__", "?")
    except Exception as reason:
        found[name] = None
print(json.dumps(found))
"""


def default_environment():
    """Where tools/setup --peers puts the virtual environment."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("OUTFLOW_PEERS_VENV") or os.path.join(cache, "outflow", "peers")


def probe(python, packages):
    """Package -> version, None for one that cannot be imported."""
    try:
        result = subprocess.run([python, "-B", "-c", PROBE, *packages], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, timeout=120)
        return json.loads(result.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return dict.fromkeys(packages)


class Interpreters:
    """Asks each Python once. `given`: package -> the Python named on the command line."""

    def __init__(self, given):
        self.given = {package: python for package, python in given.items() if python}
        environment = os.path.join(default_environment(), "bin", "python")
        candidates = [environment, sys.executable, "/usr/bin/python3"]
        self.candidates = [python for i, python in enumerate(candidates)
                           if os.access(python, os.X_OK) and python not in candidates[:i]]
        self.known = {}

    def versions(self, python, packages):
        known = self.known.setdefault(python, {})
        unknown = [package for package in packages if package not in known]
        if unknown:
            known.update(probe(python, unknown))
        return [known[package] for package in packages]

    def find(self, packages):
        """A Python that has all of them, or None."""
        for package in packages:
            if package in self.given:
                python = self.given[package]
                return python if all(self.versions(python, packages)) else None
        for python in self.candidates:
            if all(self.versions(python, packages)):
                return python
        return None

    def remedy(self, packages):
        """Why `find` found none, in words."""
        for package in packages:
            if package in self.given:
                return f"{self.given[package]} cannot import {' and '.join(packages)}"
        return (f"no Python here imports {' and '.join(packages)}; tools/setup --peers installs "
                f"them, --{packages[0].replace('onnxruntime', 'onnx')}-python names another Python")
