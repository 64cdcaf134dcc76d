# SPDX-License-Identifier: Apache-2.0
"""The guide's code runs, in order, and so do the docstrings' examples."""

import doctest
import re

import outflow
from conftest import ROOT


def test_guide():
    text = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) >= 2
    names = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)


def test_docstrings():
    failed, tried = doctest.testmod(outflow)
    assert tried > 0 and failed == 0
