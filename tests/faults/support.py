# SPDX-License-Identifier: Apache-2.0
"""What the tests of faults share: the program's runs in folders of their own."""

import argparse
import json
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

SANITIZED = 99
TIMEOUT = 120
SMALL = ["--steps", "1", "--hidden", "8", "--batch", "8", "--scales", "2", "--size", "16x16"]


class Case(NamedTuple):
    """A run of the program; `outputs` are replaced by it, `inputs` it only reads."""

    name: str
    arguments: List[str]
    outputs: List[str]


CASES = [
    Case("score", ["score", "-m", "in.model", "-g", "general.model", "--out", "o.csv", "images"],
         ["o.csv"]),
    Case("score archive", ["score", "-m", "in.model", "--out", "o.csv", "images.tar"], ["o.csv"]),
    Case("heat maps", ["score", "-m", "in.model", "--heatmaps", "maps", "--out", "o.csv", "images"],
         ["o.csv"]),
    Case("eval", ["eval", "-m", "in.model", "--in", "images", "--out-of", "n=synthetic:noise:6",
                  "--json", "o.json", "--report", "o.html"], ["o.json", "o.html"]),
    Case("calibrate", ["calibrate", "-m", "cal.model", "--data", "synthetic:shapes:100"],
         ["cal.model"]),
    Case("quantize", ["quantize", "-m", "in.model", "--data", "synthetic:shapes:16", "-o", "q.model"],
         ["q.model"]),
    Case("train", ["train", "--data", "synthetic:shapes:20", *SMALL, "--images", "24", "--valid",
                   "synthetic:shapes:8", "--valid-every", "16", "--checkpoint-every", "0",
                   "--overwrite", "--out", "t.model", "--log", "t.jsonl"], ["t.model"]),
    Case("fit", ["fit", "synthetic:shapes:440", "--images", "32", "--general-model",
                 "general32.model", "--overwrite", "--out", "f.model"], ["f.model", "f.model.html"]),
    Case("sample", ["sample", "-m", "in.model", "--count", "2", "--out", "s.png"], ["s.png"]),
    Case("inspect", ["inspect", "in.model", "--ops"], []),
]


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=lambda path: Path(path).resolve(), help="outflow_faults")
    parser.add_argument("helpers", type=lambda path: Path(path).resolve(), help="folder of make_model")
    parser.add_argument("--most", type=int, default=0, help="points of a run and kind; 0: all")
    parser.add_argument("--case", help="this run alone")
    return parser


def png(path: Path, seed: int) -> None:
    """A 16x16 picture of a few colours."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = b"".join(
        b"\0" + bytes((seed * 40 + row * column) % 256 for column in range(48)) for row in range(16)
    )
    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def make_inputs(folder: Path, helpers: Path) -> None:
    for name, seed, size in (("in", "1", "16"), ("general", "2", "16"), ("general32", "3", "32")):
        shape = [seed, "3", size, size, "2", "1", "8"]
        subprocess.run([helpers / "make_model", f"{name}.model", *shape], cwd=folder, check=True)
    shutil.copy(folder / "in.model", folder / "cal.model")
    (folder / "images").mkdir()
    for seed in range(3):
        png(folder / "images" / f"{seed}.png", seed)
    subprocess.run(["tar", "-cf", "images.tar", "images"], cwd=folder, check=True)


class Result(NamedTuple):
    code: int
    errors: str


def run(program: Path, folder: Path, arguments: List[str], **wishes: str) -> Result:
    environment = {**os.environ, "LC_ALL": "C", "OMP_WAIT_POLICY": "passive", **wishes}
    for name in ("ASAN", "UBSAN"):
        given = environment.get(f"{name}_OPTIONS", "")
        environment[f"{name}_OPTIONS"] = f"{given}:exitcode={SANITIZED}"
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        timeout=TIMEOUT,
    )
    return Result(done.returncode, done.stderr)


def tensors(path: Path) -> Optional[Dict[str, bytes]]:
    """A weight file's tensors; None where it is not whole."""
    content = path.read_bytes()
    try:
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + length])
    except (struct.error, ValueError):
        return None
    header.pop("__metadata__", None)
    data = content[8 + length:]
    if any(entry["data_offsets"][1] > len(data) for entry in header.values()):
        return None
    return {
        name: data[entry["data_offsets"][0]:entry["data_offsets"][1]]
        for name, entry in header.items()
    }


def points(count: int, most: int) -> List[int]:
    """Of 1 to `count` all, or `most` of them evenly."""
    if most == 0 or count <= most:
        return list(range(1, count + 1))
    return sorted({1 + i * (count - 1) // (most - 1) for i in range(most)})
