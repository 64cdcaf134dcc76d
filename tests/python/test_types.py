# SPDX-License-Identifier: Apache-2.0
"""Types: mypy --strict on the package, and its stub against the extension."""

import ast
import importlib.util
import inspect
import re
import subprocess
import sys

import pytest

import outflow
from conftest import ROOT
from outflow.lib import _core

PACKAGE = ROOT / "src" / "python" / "outflow"
STUB = PACKAGE / "lib" / "_core.pyi"


def test_the_package_is_strict(tmp_path):
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("SKIPPED: types are not checked: pip install mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml",
         "--cache-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def stub_parameters(body):
    """{name: parameters} of functions, those of classes as "Class.name"."""
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [one.arg for one in node.args.args if one.arg != "self"]
        elif isinstance(node, ast.ClassDef):
            inner = stub_parameters(node.body)
            found.update({f"{node.name}.{name}": names for name, names in inner.items()})
    return found


def real_parameters(owner, prefix=""):
    """The same of the extension, whose functions know their signatures as text."""
    found = {}
    for name, member in vars(owner).items():
        if inspect.isclass(member):
            found.update(real_parameters(member, f"{name}."))
        elif isinstance(member, property) or type(member).__name__ == "property":
            found[prefix + name] = []
        elif hasattr(member, "__nb_signature__") and (name == "__init__" or name[0] != "_"):
            signature = member.__nb_signature__[0][0]
            inside = signature[signature.index("(") + 1 : signature.rindex(")")]
            found[prefix + name] = re.findall(r"(?:^|, )(\w+): ", inside)
    return found


def test_the_stub_is_that_of_the_extension():
    stub = stub_parameters(ast.parse(STUB.read_text()).body)
    assert stub == real_parameters(_core)
    assert "object" not in re.sub(r"hooks: object", "", STUB.read_text())


def test_dictionaries_have_the_fields_that_their_types_name(calibrated, shapes, tmp_path):
    from outflow import _types

    def check(found, kind):
        assert set(found) == set(kind.__annotations__), kind

    info = calibrated.info
    check(info, _types.DetectorInfo)
    check(info["model"], _types.ModelInfo)
    check(info["model"]["architecture"], _types.ArchitectureFields)
    check(info["plan"], _types.PlanInfo)
    check(info["calibration"], _types.CalibrationInfo)
    check(outflow.Plan("demo-shapes").layers()[0], _types.LayerInfo)
    evaluation = outflow.evaluate(calibrated, shapes, {"more": shapes})
    check(evaluation.metrics["more"]["nll"], _types.Metrics)
    check(evaluation.flagged("nll")["in"], _types.FlaggedShare)
    check(evaluation._native.sets()[0], _types.SetInfo)
    check(evaluation._native.summary(), _types.EvaluationSummary)
    reports = []
    result = outflow.train(
        "synthetic:shapes:100", tmp_path / "w.safetensors", images=160, batch=16, log_every=2,
        architecture={"steps": 1, "hidden": 8}, hold_out=0.2, valid_every=80,
        out_of={"noise": "synthetic:noise:20"}, on_report=reports.append,
    )  # fmt: skip
    assert result.end == "finished"
    check(reports[0], _types.TrainReport)
    [validation, *_] = [r["validation"] for r in reports if r["validation"] is not None]
    check(validation, _types.Validation)
    check(validation["out_of"]["noise"], _types.ValidationSet)


def public_names():
    for name in outflow.__all__:
        member = getattr(outflow, name)
        yield name, member
        if inspect.isclass(member):
            for inner, value in vars(member).items():
                if inner[0] != "_" and (inspect.isfunction(value) or isinstance(value, property)):
                    yield f"{name}.{inner}", value


def test_everything_public_has_a_docstring():
    missing = [name for name, member in public_names() if not inspect.getdoc(member)]
    assert missing == []
