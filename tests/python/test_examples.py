# SPDX-License-Identifier: Apache-2.0
"""The worked examples of docs/python-examples.md: types and results."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

from examples import DOCS, Example, examples_of

EXAMPLES = examples_of("python-examples.md")


def run(example: Example, folder: Path) -> List[str]:
    for module in example.needs:
        pytest.importorskip(module, reason=f"{example.name} needs {module}")
    script = folder / example.name
    script.write_text(example.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=folder, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Example:
    return {one.name: one for one in EXAMPLES}[request.param]


@pytest.mark.parametrize("example", ["own.py"], indirect=True)
def test_own_detector(example: Example, tmp_path: Path) -> None:
    printed = eval(run(example, tmp_path)[-1])
    assert printed["count"] > 285 and 0 < printed["low"] <= printed["share"] <= printed["high"]
    assert [path.name for path in tmp_path.glob("shapes*")] == ["shapes.safetensors"]


@pytest.mark.parametrize("example", ["notebook.py"], indirect=True)
def test_notebook(example: Example, tmp_path: Path) -> None:
    lines = run(example, tmp_path)
    assert lines[0].split() == ["AUROC", "digits", "stripes"]
    table: Dict[str, str] = {line.split()[0]: line.split()[1] for line in lines[1:-2]}
    assert table["ratio"] == f"{float(lines[-2]):.4f}"
    inliers, digits = map(float, lines[-1].split())
    assert inliers < digits
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" in (tmp_path / "scores.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", ["pipeline.py"], indirect=True)
def test_pipeline(example: Example, tmp_path: Path) -> None:
    normal, other = map(float, run(example, tmp_path)[0].split())
    assert normal < 0.15 and other > 0.9


@pytest.mark.parametrize("example", ["adapter.py"], indirect=True)
def test_adapter(example: Example, tmp_path: Path) -> None:
    inliers, others = map(float, run(example, tmp_path)[0].split())
    assert inliers < others


@pytest.mark.parametrize("example", ["loader.py"], indirect=True)
def test_loader(example: Example, tmp_path: Path) -> None:
    assert run(example, tmp_path)[0].split() == ["48", "True", "True"]


def test_loader_without_torch(tmp_path: Path) -> None:
    """What does not need it: workers by multiprocessing, each with a detector of its own."""
    [example] = [one for one in EXAMPLES if one.name == "loader.py"]
    stand_in = tmp_path / "torch" / "utils"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").write_text("")
    (tmp_path / "torch" / "__init__.py").write_text("")
    (stand_in / "data.py").write_text(STAND_IN, encoding="utf-8")
    (tmp_path / example.name).write_text(example.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, example.name], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert (done.stdout.split(), done.stderr) == (["48", "True", "True"], "")


STAND_IN = """
# What the example uses of torch.utils.data: batches are collated in forked workers.
import multiprocessing
from typing import Generic, TypeVar

T = TypeVar("T")


class Dataset(Generic[T]):
    pass


def collated(job):
    data, collate, indices = job
    return collate([data[i] for i in indices])


def DataLoader(data, batch_size, num_workers, collate_fn):
    batches = [range(i, min(i + batch_size, len(data))) for i in range(0, len(data), batch_size)]
    with multiprocessing.get_context("fork").Pool(num_workers) as pool:
        yield from pool.map(collated, [(data, collate_fn, batch) for batch in batches])
"""


def test_all_are_tested() -> None:
    names = {"own.py", "notebook.py", "pipeline.py", "loader.py", "adapter.py"}
    assert {one.name for one in EXAMPLES} == names


def check_types(codes: Dict[str, str], folder: Path) -> None:
    """mypy --strict accepts them, with the package's own types."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("SKIPPED: types are not checked: pip install mypy")
    import outflow

    package = Path(outflow.__file__).parent
    assert (package / "py.typed").is_file()
    for name, code in codes.items():
        (folder / name).write_text(code, encoding="utf-8")
    # scikit-learn has no types of its own.
    (folder / "mypy.ini").write_text("[mypy-sklearn.*]\nignore_missing_imports = True\n")
    installed = "site-packages" in str(package)  # else it is found by PYTHONPATH
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *sorted(codes)],
        cwd=folder, capture_output=True, text=True,
        env={**os.environ, "MYPYPATH": str(package.parent)} if not installed else None,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_types(tmp_path: Path) -> None:
    check_types({one.name: one.code for one in EXAMPLES if "torch" not in one.needs}, tmp_path)


def test_types_with_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="SKIPPED: loader.py needs torch")
    check_types({one.name: one.code for one in EXAMPLES if "torch" in one.needs}, tmp_path)


def test_types_of_the_guide(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
    check_types({"guide.py": "\n".join(blocks)}, tmp_path)
