#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a power cut could leave: training with checkpoints, calibrate, quantize and fit are recorded,
and the states of the disk that a cut could leave after each operation are made and tried.

A state: of each file, what was written since its last fsync is there, or not, or in part; of each
folder, any first part of the changes since its last fsync has happened. In each, what was there
before the run is there in its old or new form, every weight file is whole, and the run, started
again, ends well: training with the weights that it has without a cut."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from support import CASES, SMALL, Case, command_line, make_inputs, points, run, tensors

TRAIN = ["train", "--data", "synthetic:shapes:20", *SMALL, "--images", "24", "--checkpoint-every",
         "0", "--threads", "1", "--resume", "--out", "t.model"]
RUNS = [
    Case("train", TRAIN, ["t.model", "t.model.checkpoint"]),
    *(case for case in CASES if case.name in ("calibrate", "quantize")),
    Case("fit", ["fit", "synthetic:shapes:440", "--images", "32", "--general-model",
                 "general32.model", "--resume", "--out", "f.model", "--threads", "1"], ["f.model"]),
]


class File:
    """A file's bytes now, and those that are on the disk for certain."""

    def __init__(self, content: bytes = b"") -> None:
        self.now, self.certain = content, content

    def variants(self) -> Iterator[bytes]:
        yield self.now
        if self.now != self.certain:
            yield self.certain
            yield self.now[: (len(self.certain) + len(self.now)) // 2]
            yield self.now[:-1] + bytes([self.now[-1] ^ 1]) if self.now else b""


class Change(NamedTuple):
    name: str
    file: Optional[File]  # None: the name is gone


class Disk:
    """Names that are certain, and what has changed since, in order."""

    def __init__(self, folder: Path) -> None:
        self.certain: Dict[str, File] = {
            str(path.relative_to(folder)): File(path.read_bytes())
            for path in folder.rglob("*") if path.is_file()
        }
        self.changes: List[Change] = []

    def names(self, changes: int) -> Dict[str, File]:
        names = dict(self.certain)
        for change in self.changes[:changes]:
            if change.file is None:
                names.pop(change.name, None)
            else:
                names[change.name] = change.file
        return names

    def settle(self, folder: str) -> None:
        """fsync of a folder."""
        def inside(name: str) -> bool:
            return (name.rpartition("/")[0] or ".") == folder

        for change in self.changes:
            if inside(change.name) and change.file is None:
                self.certain.pop(change.name, None)
            elif inside(change.name) and change.file is not None:
                self.certain[change.name] = change.file
        self.changes = [change for change in self.changes if not inside(change.name)]

    def states(self) -> Iterator[Dict[str, bytes]]:
        for count in range(len(self.changes) + 1):
            names = self.names(count)
            unsure = [name for name, file in names.items() if file.now != file.certain]
            plain = {name: file.now for name, file in names.items()}
            yield plain
            for name in unsure:
                for content in names[name].variants():
                    yield {**plain, name: content}


def operations(record: Path, root: Path) -> Iterator[Tuple[str, List[str], bytes]]:
    """Of the record, with paths from the run's folder."""
    data, at = Path(f"{record}.data").read_bytes(), 0
    lines = iter(record.read_text().splitlines())

    def local(path: str) -> str:
        path = path[len(str(root)) + 1:] if path.startswith(f"{root}/") else path
        return path.rstrip("/") or "."

    for line in lines:
        what, _, rest = line.partition(" ")
        if what == "rename":
            yield what, [local(rest), local(next(lines))], b""
        elif what == "write":
            descriptor, size = rest.split()
            yield what, [descriptor], data[at:at + int(size)]
            at += int(size)
        elif what == "open":
            descriptor, truncates, path = rest.split(" ", 2)
            yield what, [descriptor, truncates, local(path)], b""
        elif what == "folder":
            descriptor, path = rest.split(" ", 1)
            yield what, [descriptor, "." if path == str(root) else local(path)], b""
        else:
            yield what, [local(rest)], b""


def replay(record: Path, root: Path, before: Path) -> Iterator[Dict[str, bytes]]:
    """All states, some of them more than once."""
    disk = Disk(before)
    files: Dict[str, File] = {}
    folders: Dict[str, str] = {}
    yield from disk.states()
    for what, words, content in operations(record, root):
        if what == "open":
            names = disk.names(len(disk.changes))
            new = words[2] not in names
            file = File() if new else names[words[2]]
            if words[1] == "1":
                file.now = b""
            files[words[0]] = file
            if new and not words[2].startswith("/"):
                disk.changes.append(Change(words[2], file))
        elif what == "folder":
            folders[words[0]] = words[1]
        elif what == "write" and words[0] in files:
            files[words[0]].now += content
        elif what == "sync" and words[0] in files:
            files[words[0]].certain = files[words[0]].now
        elif what == "sync" and words[0] in folders:
            disk.settle(folders[words[0]])
        elif what == "rename":
            names = disk.names(len(disk.changes))
            if words[0] in names: # both at once, as file systems do it
                disk.changes.append(Change(words[1], names[words[0]]))
                disk.changes.append(Change(words[0], None))
        elif what == "unlink":
            disk.changes.append(Change(words[0], None))
        elif what == "close":
            files.pop(words[0], None)
            folders.pop(words[0], None)
        yield from disk.states()


def write_state(state: Dict[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in state.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def faults_of(case: Case, program: Path, folder: Path, before: Path, whole: Path) -> List[str]:
    found = []
    for name in case.outputs:
        path = folder / name
        if path.exists() and tensors(path) is None:
            found.append(f"{name} is damaged")
        elif not path.exists() and (before / name).exists():
            found.append(f"{name} is lost")
    result = run(program, folder, case.arguments)
    last = case.outputs[0]
    if result.code not in (0, 1) or (result.code == 1 and "outflow: error: " not in result.errors):
        found.append(f"the next run: exit {result.code}: {result.errors.strip()[-200:]}")
    elif result.code == 1: # refused, which is right for fit's finished detector alone
        if "is there already" not in result.errors:
            found.append(f"refused: {result.errors.strip()[-200:]}")
    elif tensors(folder / last) != tensors(whole / last):
        found.append("the next run: other weights")
    return found


def test_case(case: Case, program: Path, base: Path, work: Path, most: int) -> int:
    whole, folder, record = work / "whole", work / "run", work / "record"
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(base, whole)
    first = run(program, whole, case.arguments, FAULTS_RECORD=str(record))
    if first.code != 0:
        print(f"{case.name}: does not run: exit {first.code}: {first.errors}")
        return 1
    states: List[Dict[str, bytes]] = []
    seen = set()
    for state in replay(record, whole.resolve(), base):
        key = hash(tuple(sorted(state.items())))
        if key not in seen:
            seen.add(key)
            states.append(state)
    bad = 0
    chosen = points(len(states), most)
    for index in chosen:
        write_state(states[index - 1], folder)
        for what in faults_of(case, program, folder, base, whole):
            bad += 1
            print(f"{case.name}: state {index}: {what}")
    print(f"{case.name}: {len(chosen)} of {len(states)} states, {bad} faults", flush=True)
    return bad


def main() -> int:
    options = command_line().parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        (work / "base").mkdir()
        make_inputs(work / "base", options.helpers)
        for case in RUNS:
            slow = options.case is None and options.most > 0 and case.name == "fit"
            if options.case in (None, case.name) and not slow:
                bad += test_case(case, options.program, work / "base", work, options.most)
    return 1 if bad > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
