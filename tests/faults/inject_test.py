#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every allocation, read, write, rename, ... fails once, each in turn, in small runs of every verb.

Each run must end by itself, with one clear line where it fails, without a temporary left, without
a leak (where the program is built with sanitizers), and with its old outputs as they were or whole
new ones."""

import json
import shutil
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Dict, List

from support import CASES, SANITIZED, Case, command_line, make_inputs, points, run, tensors

OLD = b"what was there before\n"
USAGE = 2


def prepare(base: Path, folder: Path, case: Case) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    for name in case.outputs:
        if not (folder / name).exists():
            (folder / name).write_bytes(OLD)


def counts_of(path: Path) -> Dict[str, int]:
    return {kind: int(count) for kind, count in map(str.split, path.read_text().splitlines())}


def same_output(name: str, found: Path, whole: Path) -> bool:
    """Weights alone: what is said of a run (command, time) may differ."""
    if name.endswith(".model"):
        return tensors(found) == tensors(whole)
    if name.endswith(".json"): # has durations
        return bool(json.loads(found.read_text()))
    return name.endswith(".html") or found.read_bytes() == whole.read_bytes()


def faults_of(case: Case, folder: Path, before: Dict[str, bytes], whole: Path, code: int,
              errors: str) -> List[str]:
    found = []
    lines = [line for line in errors.splitlines() if line.startswith("outflow: error: ")]
    if code < 0 or code >= 126 or code == SANITIZED or "Sanitizer" in errors:
        found.append(f"crash, exit {code}")
    elif code == USAGE:
        found.append("blamed on the usage")
    elif code == 1 and len(lines) != 1:
        found.append(f"{len(lines)} error lines")
    elif code == 3 and "outflow: " not in errors:
        found.append("partial without a word")
    for name in case.outputs:
        path = folder / name
        if not path.exists():
            found.append(f"{name} is lost")
        elif path.read_bytes() == before[name]:
            if code == 0 and not same_output(name, path, whole / name):
                found.append(f"{name} is not written, exit 0")
        elif code in (0, 1) and not same_output(name, path, whole / name):
            found.append(f"{name} is neither old nor whole")
    found += [f"left: {path.name}" for path in folder.rglob(".*") if ".tmp-" in path.name]
    return found


def test_case(case: Case, program: Path, base: Path, work: Path, most: int) -> int:
    folder, whole = work / "run", work / "whole"
    arguments = [*case.arguments]
    if case.name != "inspect":
        arguments += ["--threads", "1"]
    prepare(base, whole, case)
    first = run(program, whole, arguments, FAULTS_COUNTS=str(work / "counts"))
    if first.code != 0:
        print(f"{case.name}: does not run: exit {first.code}: {first.errors}")
        return 1
    bad, told = 0, []
    for kind, count in counts_of(work / "counts").items():
        chosen = points(count, most)
        told.append(f"{kind} {len(chosen)} of {count}")
        for at in chosen:
            prepare(base, folder, case)
            before = {name: (folder / name).read_bytes() for name in case.outputs}
            result = run(program, folder, arguments, FAULTS_KIND=kind, FAULTS_AT=str(at))
            for what in faults_of(case, folder, before, whole, result.code, result.errors):
                bad += 1
                print(f"{case.name}: {kind} {at}: {what}: exit {result.code}: "
                      f"{result.errors.strip()[-300:]}")
    print(f"{case.name}: {', '.join(told)}: {bad} faults", flush=True)
    return bad


def wants(options: Namespace, case: Case) -> bool:
    """A choice of points leaves out fit, whose runs take seconds."""
    if options.case is not None:
        return bool(options.case == case.name)
    return options.most == 0 or case.name != "fit"


def main() -> int:
    options = command_line().parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "base").mkdir()
        make_inputs(work / "base", options.helpers)
        for case in CASES:
            if wants(options, case):
                bad += test_case(case, options.program, work / "base", work, options.most)
    return 1 if bad > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
