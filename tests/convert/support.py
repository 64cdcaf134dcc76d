# SPDX-License-Identifier: Apache-2.0
"""What the tests of tools/convert_weights.py share."""
import contextlib
import io
import os
import sys
import tempfile
import unittest
from typing import Dict, Tuple

try:
    import numpy as np
except ImportError:
    print("SKIPPED: this Python has no numpy; python3-numpy provides it", file=sys.stderr)
    sys.exit(77)

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import convert_weights  # noqa: E402
from convert.safetensors import read_safetensors, write_safetensors  # noqa: E402

SHARED = os.environ.get("OUTFLOW_SHARED") or os.path.join(ROOT, "..", "shared")


class ConvertTest(unittest.TestCase):
    """Runs the command in a folder of its own, without the engine unless a test asks for it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def convert(self, source: str, *options: str) -> Tuple[int, str]:
        """Exit code and standard error; the output is out.safetensors."""
        target = self.path("out.safetensors")
        if os.path.exists(target):
            os.remove(target)
        before = set(os.listdir(self.folder))
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            code = convert_weights.main([source, target, "--outflow", self.path("none"), *options])
        if code != 0:
            self.assertEqual(set(os.listdir(self.folder)), before, "nothing may be written")
        return code, stderr.getvalue()

    def converted(self, source: str, *options: str) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
        """Tensors and metadata of the file."""
        code, errors = self.convert(source, *options)
        self.assertEqual(code, 0, errors)
        return read_safetensors(self.path("out.safetensors"))

    def state_file(self, tensors: Dict[str, np.ndarray], **metadata: str) -> str:
        path = self.path("in.safetensors")
        write_safetensors(path, {name: stored(values) for name, values in tensors.items()},
                          metadata)
        return path

    def assert_refused(self, source: str, *words: str, options: Tuple[str, ...] = ()) -> str:
        code, errors = self.convert(source, *options)
        self.assertEqual(code, 1, errors)
        for word in words:
            self.assertIn(word, errors)
        for line in errors.splitlines():
            self.assertTrue(line.startswith(source), line)
        return errors

    def assert_same(self, tensors: Dict[str, np.ndarray], others: Dict[str, np.ndarray]) -> None:
        self.assertEqual(list(tensors), list(others))
        for name, values in others.items():
            np.testing.assert_array_equal(tensors[name], values, name)


def stored(values: np.ndarray) -> np.ndarray:
    """In a type that the writer has."""
    return np.ascontiguousarray(values, "<i8" if values.dtype.kind in "iu" else "<f4")


def shared(*parts: str) -> str:
    """A path of the shared vectors, or exit as skipped, loudly."""
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        print(f"SKIPPED: {path} is not there", file=sys.stderr)
        raise unittest.SkipTest(f"{path} is not there")
    return path


def need_vectors() -> None:
    """Ends the program as skipped, loudly, where the shared models are not there."""
    folder = os.path.join(SHARED, "import")
    if not os.path.isdir(folder):
        print(f"SKIPPED: {folder} is not there", file=sys.stderr)
        sys.exit(77)
