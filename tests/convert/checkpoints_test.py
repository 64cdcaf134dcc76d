# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as PyTorch and trainers write them, and files that mean harm: written here without
PyTorch, zip files and the format before 1.6."""
import os
import pickle
import struct
import sys
import unittest
import zipfile

import support  # first: it ends the test as skipped without numpy
import models
import numpy as np
from models import Maker
from torch_writer import (Call, Name, New, PersistentId, Pickler, Writer, module, ordered, saved,
                          tree)

from convert.checkpoints import read_checkpoint
from convert.safetensors import read_safetensors

GREY = (1, 16, 16)


def small_model():
    return models.y0ast(Maker(0, GREY, 2, 1, 4))


class CheckpointTest(support.ConvertTest):
    def setUp(self):
        super().setUp()
        self.tensors = small_model()
        self.converted(self.state_file(self.tensors))
        self.expected, _ = read_safetensors(self.path("out.safetensors"))

    def assert_converts(self, path, *options):
        tensors, _ = self.converted(path, *options)
        self.assert_same(tensors, self.expected)

    def test_formats(self):
        for legacy in (False, True):
            for cuda in (False, True):
                path = saved(self.path("model.pt"), self.tensors, legacy=legacy, cuda=cuda)
                self.assert_same(read_checkpoint(path).tensors, self.tensors)
                self.assert_converts(path)

    def test_wrapped_by_trainers(self):
        optimizer = {"state": {0: {"step": 3, "exp_avg": None}},
                     "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0]}]}

        def parallel(state):
            return {"module." + name: value for name, value in state.items()}

        for wrap in (lambda state: {"graph": state, "optim": optimizer, "global_step": 3},
                     lambda state: {"net": parallel(state), "test_loss": 3.5, "epoch": 7},
                     lambda state: {"model": parallel(parallel(state)), "optimizer": optimizer},
                     lambda state: {"state_dict": {"model." + name: value
                                                   for name, value in state.items()}},
                     lambda state: {"epoch": 1, "best": {"x" + "." + name: value
                                                         for name, value in state.items()}},
                     lambda state: ordered(parallel(state))):
            self.assert_converts(saved(self.path("model.pt"), self.tensors, wrap))

    def test_hyperparameters_beside_the_weights(self):
        tensors = models.rosinality(Maker(0, GREY, 1, 1, 4))
        for facts in ({"n_bits": 6, "img_size": 16},
                      New(Name("argparse", "Namespace"), {"n_bits": 6, "img_size": 16})):
            path = saved(self.path("model.pt"), tensors,
                         lambda state, facts=facts: {"state_dict": state, "args": facts})
            _, metadata = self.converted(path)
            self.assertIn('"bits": 6', metadata["architecture"])

    def test_whole_models(self):
        """Objects of classes that do not exist, in both formats."""
        for legacy in (False, True):
            path = saved(self.path("model.pt"), self.tensors,
                         lambda state: tree("somebody.models.Glow", state), legacy=legacy)
            self.assert_same(dict(sorted(read_checkpoint(path).tensors.items())),
                             dict(sorted(self.tensors.items())))
            self.assert_converts(path)
            path = saved(self.path("model.pt"), self.tensors, lambda state: {
                "epoch": 1, "model": module("torch.nn.DataParallel", children={
                    "module": tree("somebody.models.Glow", state)})}, legacy=legacy)
            self.assert_converts(path)

    def test_classes_with_source_text(self):
        """The format before 1.6 names a class by a persistent id with its source."""
        writer = Writer(legacy=True)
        whole = tree("somebody.models.Glow", writer.state(self.tensors))
        whole.kind = PersistentId("module", whole.kind, "glow.py", "import os; os.system('x')")
        writer.save(self.path("model.pt"), whole)
        self.assert_converts(self.path("model.pt"))

    def test_buffers_that_are_not_kept(self):
        writer = Writer()
        whole = module("a.B", {"w": writer.tensor(np.ones(2, np.float32))},
                       {"kept": writer.tensor(np.ones(3, np.float32)),
                        "hidden": writer.tensor(np.ones(4, np.float32)), "none": None})
        whole.state["_non_persistent_buffers_set"] = Call(Name("builtins", "set"), ["hidden"])
        writer.save(self.path("model.pt"), whole)
        self.assertEqual(list(read_checkpoint(self.path("model.pt")).tensors), ["w", "kept"])

    def test_types_and_views(self):
        writer = Writer()
        values = np.arange(24, dtype=np.float32).reshape(4, 6)
        storage = writer.storage(values.tobytes(), "FloatStorage", 24)
        halves = np.array([0.5, -2, 3], np.float32)
        writer.save(self.path("model.pt"), {
            "a.turned": writer.view(storage, 0, (6, 4), (1, 6)),
            "a.part": writer.view(storage, 7, (2, 2), (6, 2)),
            "a.repeated": writer.view(storage, 5, (3, 2), (0, 1)),
            "a.scalar": writer.view(storage, 23, (), ()),
            "a.empty": writer.view(storage, 24, (0, 3), (3, 1)),
            "a.half": writer.tensor(halves.astype(np.float16)),
            "a.bfloat16": writer.bfloat16(halves), "a.long": writer.tensor(np.arange(3)),
            "a.double": writer.tensor(halves.astype(np.float64))})
        found = read_checkpoint(self.path("model.pt")).tensors
        np.testing.assert_array_equal(found["a.turned"], values.T)
        np.testing.assert_array_equal(found["a.part"], values.reshape(-1)[[[7, 9], [13, 15]]])
        np.testing.assert_array_equal(found["a.repeated"], [[5, 6]] * 3)
        self.assertEqual(found["a.scalar"], 23)
        self.assertEqual(found["a.empty"].shape, (0, 3))
        for name in ("a.half", "a.bfloat16", "a.double"):
            np.testing.assert_array_equal(found[name], halves)
        np.testing.assert_array_equal(found["a.long"], [0, 1, 2])

    def test_what_is_no_state_dict(self):
        for value, words in (([1, 2], "holds no state dict"), ({"a": 1}, "'a' is not a tensor"),
                             (5, "holds no state dict")):
            writer = Writer()
            writer.save(self.path("model.pt"), value)
            self.assert_refused(self.path("model.pt"), words)
        path = saved(self.path("model.pt"), self.tensors,
                     lambda state: {"a": dict(state), "b": dict(state)})
        self.assert_refused(path, "several state dicts")
        for content in (b"this is text", b"", b"PK\x03\x04 and no more", b"\x80\x02]."):
            with open(self.path("model.pt"), "wb") as file:
                file.write(content)
            errors = self.assert_refused(self.path("model.pt"))
            self.assertEqual(len(errors.splitlines()), 1)
        self.assertEqual(self.convert(self.path("missing.pt"))[0], 1)


class HostileTest(support.ConvertTest):
    """Everything is refused in one line, and nothing is run: a marker would show it."""

    def setUp(self):
        super().setUp()
        self.marker = self.path("marker")
        self.tensors = small_model()

    def refused(self, *words):
        errors = self.assert_refused(self.path("model.pt"), *words)
        self.assertEqual(len(errors.splitlines()), 1, errors)
        self.assertLess(len(errors), 500)
        self.assertFalse(os.path.exists(self.marker), "the file was run")

    def save(self, harm, legacy=False):
        """A good state dict with something else beside it."""
        writer = Writer(legacy=legacy)
        writer.save(self.path("model.pt"), {"state_dict": writer.state(self.tensors), "x": harm})

    def test_the_tests_would_see_a_run(self):
        harm = Call(Name("os", "mkdir"), self.marker)
        pickle.loads(Pickler().dump(harm))
        self.assertTrue(os.path.exists(self.marker))

    def test_calls_into_python(self):
        touch = f"open({self.marker!r}, 'w')"
        for legacy in (False, True):
            for harm in (Call(Name("os", "system"), f"touch {self.marker}"),
                         Call(Name("posix", "system"), f"touch {self.marker}"),
                         Call(Name("os", "mkdir"), self.marker),
                         Call(Name("subprocess", "check_call"), ["touch", self.marker]),
                         Call(Name("builtins", "eval"), touch),
                         Call(Name("__builtin__", "exec"), touch),
                         Call(Name("builtins", "getattr"), Name("os", "system"), "__call__"),
                         Call(Name("builtins", "setattr"), Name("torch", "Size"), "x", 1),
                         Call(Name("builtins", "__import__"), "os"),
                         Call(Name("runpy", "run_path"), self.marker),
                         Call(Name("collections", "OrderedDict.__init__.__globals__"), 1),
                         Call(Name("operator", "methodcaller"), "mkdir", self.marker),
                         New(Name("os", "_wrap_close"), {"x": 1})):
                self.save(harm, legacy)
                self.refused("would run")

    def test_changes_of_classes(self):
        self.save(Call(Name("collections", "OrderedDict"), [], state=None))
        pickled = Pickler()
        pickled.out.write(b"\x80\x02")
        pickled.put(Name("torch", "Size"))
        pickled.put({"__reduce__": Name("os", "system")})
        pickled.out.write(b"b.")
        with zipfile.ZipFile(self.path("model.pt"), "w") as archive:
            archive.writestr("a/data.pkl", pickled.out.getvalue())
        self.refused("would change 'torch.Size'")

    def test_reduce_of_own_classes_runs_nothing(self):
        """Python would call this class; here it is a record, and the weights beside it are read."""
        self.save(Call(Name("os_helpers", "Touch"), self.marker))
        self.converted(self.path("model.pt"))
        self.assertFalse(os.path.exists(self.marker))

    def raw(self, pickled):
        with zipfile.ZipFile(self.path("model.pt"), "w") as archive:
            archive.writestr("a/data.pkl", pickled)

    def test_damaged_pickles(self):
        good = Pickler().dump({"a": 1})
        for pickled in (b"", good[:-1], b"\x80\x02.", b"\x80\x02t.", b"\x80\x02R.",
                        b"\x80\x02h\x05.", b"\x80\x02)b.", b"\x80\x02]q\x00h\x00R.",
                        b"\x80\x02]X\xff\xff\xff\x7fabc.", b"\x80\x02\x8b\xff\xff\xff\x7f1.",
                        b"\x80\x04\x8e" + b"\xff" * 8 + b".", b"\x80\x02}(K\x01u.",
                        b"\x80\x05\x97.", b"\x82\x01.", b"\x80\x02K\x01K\x02a."):
            self.raw(pickled)
            self.refused()

    def test_deep_nesting(self):
        for opening, closing in ((b"(", b"t"), (b"(", b"l"), (b")", b"\x85")):
            depth = 200_000
            self.raw(b"\x80\x02" + opening * (depth if opening == b"(" else 1) + b"K\x01" *
                     (opening == b"(") + closing * depth + b".")
            self.refused()
        self.raw(b"\x80\x02}(" + b")" + b"\x85" * 200_000 + b"K\x01u.")  # a deep key is not hashed
        self.refused("no state dict")
        nest = b"".join(b"X\x01\x00\x00\x00a}(" for _ in range(50_000))
        self.raw(b"\x80\x02}(" + nest + b"X\x01\x00\x00\x00aK\x01" + b"u" * 50_001 + b".")
        self.refused()

    def test_modules_nested_too_deeply(self):
        writer, whole = Writer(), module("a.B")
        for _ in range(250):
            whole = module("a.B", children={"a": whole})
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(20_000)  # for the writer
        self.addCleanup(sys.setrecursionlimit, limit)
        writer.save(self.path("model.pt"), whole)
        self.refused("nested too deeply")

    def storage_file(self, view, raw=b"\0" * 16, count=4, kind="FloatStorage", legacy=False):
        writer = Writer(legacy=legacy)
        storage = writer.storage(raw, kind, count)
        writer.save(self.path("model.pt"), {"a.b": view(writer, storage)})

    def test_tensors_outside_their_storage(self):
        for legacy in (False, True):
            for offset, size, stride in ((4, (1,), (1,)), (1, (4,), (1,)), (0, (2, 3), (3, 1)),
                                         (-1, (1,), (1,)), (0, (-1,), (1,)), (0, (2,), (-1,)),
                                         (0, (1 << 62, 1 << 62), (0, 0)), (0, (1 << 40,), (0,)),
                                         (1 << 70, (1,), (1,)), (0, (2,), (1 << 62,)),
                                         (0, (1.5,), (1,)), (0, (2,), (1, 1)), ("0", (1,), (1,)),
                                         (0, (True,), (1,)), (0, (1,) * 40, (1,) * 40)):
                self.storage_file(lambda writer, storage, o=offset, s=size, t=stride:
                                  writer.view(storage, o, s, t), legacy=legacy)
                self.refused()

    def test_storages_larger_than_the_file(self):
        for legacy in (False, True):
            for raw, count in ((b"\0" * 16, 5), (b"\0" * 16, 1 << 60), (b"\0" * 16, -1),
                               (b"\0" * 20, 4), (b"", 4), (b"\0" * 16, "4"), (b"\0" * 16, 4.0)):
                writer = Writer(legacy=legacy)
                storage = writer.storage(raw, "FloatStorage", count)
                if not isinstance(count, int):
                    writer.counts[-1] = 4
                writer.save(self.path("model.pt"), {"a.b": writer.view(storage, 0, (1,), (1,))})
                self.refused()

    def test_unknown_storages_and_ids(self):
        for parts in (("storage", Name("os", "system"), "0", "cpu", 4),
                      ("storage", Name("torch", "QuantStorage"), "0", "cpu", 4),
                      ("storage", Name("evil.torch", "FloatStorage"), "0", "cpu", 4),
                      ("storage", "FloatStorage", "0", "cpu", 4), ("storage",), ("what", 1),
                      ("storage", Name("torch", "FloatStorage"), "../../x", "cpu", 4),
                      ("storage", Name("torch", "FloatStorage"), "7", "cpu", 4)):
            writer = Writer()
            writer.storage(b"\0" * 16, "FloatStorage", 4)
            writer.save(self.path("model.pt"), {
                "a.b": writer.view(PersistentId(*parts), 0, (1,), (1,))})
            self.refused()

    def test_compressed_entries(self):
        """A small file that would become a large one."""
        with zipfile.ZipFile(self.path("model.pt"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/data.pkl", b"\0" * (1 << 20))
        self.refused("compressed")

    def test_many_storages_of_the_same_bytes(self):
        writer = Writer(legacy=True)
        storage = writer.storage(b"\0" * 16, "FloatStorage", 4)
        writer.save(self.path("model.pt"), {"a.b": writer.view(storage, 0, (1,), (1,))})
        with open(self.path("model.pt"), "r+b") as file:
            file.seek(-24, os.SEEK_END)
            file.write(struct.pack("<q", 1 << 50))
        self.refused()

    def test_safetensors(self):
        for header in (b"", b"[]", b'{"a": 1}', b'{"a": {"dtype": "F32", "shape": [9],'
                       b'"data_offsets": [0, 36]}}', b'{"a": {"dtype": "F32", "shape": [1],'
                       b'"data_offsets": [-4, 0]}}', b'{"a": {"dtype": "what", "shape": [1],'
                       b'"data_offsets": [0, 4]}}', b"[" * 100_000):
            with open(self.path("model.safetensors"), "wb") as file:
                file.write(struct.pack("<Q", len(header)) + header + b"\0" * 8)
            errors = self.assert_refused(self.path("model.safetensors"), "safetensors")
            self.assertEqual(len(errors.splitlines()), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
