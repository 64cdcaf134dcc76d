# SPDX-License-Identifier: Apache-2.0
"""The guide's code runs, in order, and so do the docstrings' examples."""

import doctest
import importlib
import pkgutil
import re

import pytest

import outflow
from conftest import ROOT

GUIDE = ROOT / "docs" / "python.md"
MODULES = [
    module.name
    for module in pkgutil.walk_packages(outflow.__path__, "outflow.")
    if module.name != "outflow.lib._core"
]


def test_guide(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)


@pytest.mark.parametrize("name", ["outflow", *MODULES])
def test_docstrings(name):
    if name == "outflow.sklearn":
        pytest.importorskip("sklearn", reason="SKIPPED: pip install scikit-learn")
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_docstrings_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        example
        for name in ("outflow", "outflow.detector", "outflow.images", "outflow.model")
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) >= 15
