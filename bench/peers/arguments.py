# SPDX-License-Identifier: Apache-2.0
"""The command line of compare_peers."""
from __future__ import annotations

import argparse
import math
import os

from contenders import ENGINES, PRECISIONS

HERE = os.path.dirname(os.path.realpath(__file__))
# A smoke run: a tiny model, the usual settings, hardly any time.
QUICK = {"steps": [2], "hidden": [32], "batch": [4], "rounds": 2, "seconds": 0.02, "images": 32}
SUITE_OWN = ("mode", "steps", "hidden", "batch", "model")


def numbers(least: int, most: int):
    """Reads a list such as 1,32,64."""
    def read(text: str) -> list[int]:
        try:
            values = [int(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not values or not all(least <= value <= most for value in values):
            raise argparse.ArgumentTypeError(
                f"'{text}': whole numbers from {least} to {most}, with commas between, are needed")
        return values
    return read


def number(least: float, most: float, kind=int):
    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}': a number from {least} to {most} is needed")
        return value
    return read


def names(known):
    """Reads a list of some of the known names."""
    def read(text: str) -> list[str]:
        values = text.split(",")
        for value in values:
            if value not in known:
                raise argparse.ArgumentTypeError(f"'{value}': there are {', '.join(known)}")
        return values
    return read


def make_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare_peers", description=description, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", metavar="DIR", default=os.path.join(HERE, "..", "..", "build", "release"),
        help="folder with liboutflow.so and outflow (build/release)")
    add("--mode", choices=["score", "train"], default="score",
        help="log-likelihoods of a batch, or a step of an optimizer on their mean (score)")
    add("--suite", action="store_true", help="the six rows that Outflow has goals for")
    add("--rows", type=numbers(1, 6), metavar="LIST", help="of the suite these alone, from 1 on")
    add("--quick", action="store_true",
        help="a smoke run: K 2, hidden 32, batch 4, the usual settings, turns too short to tell")
    add("--steps", type=numbers(1, 256), default=[8], metavar="LIST", help="K (8)")
    add("--hidden", type=numbers(1, 8192), default=[128], metavar="LIST", help="width (128)")
    add("--batch", type=numbers(1, 65536), default=[64], metavar="LIST", help="images (64)")
    add("--model", metavar="FILE", help="a weight file instead of random weights")
    add("--threads", type=number(1, 4096), default=len(os.sched_getaffinity(0)), metavar="N",
        help="CPUs each contender may use (those of this process)")
    add("--rounds", type=number(1, 1000), default=5, metavar="N",
        help="turns each contender gets (5)")
    add("--seconds", type=number(0.001, 3600, float), default=2.0, metavar="S",
        help="length of a turn, at least three calls (2)")
    add("--only", type=names(ENGINES), metavar="LIST", default=list(ENGINES),
        help="these peers only: " + ",".join(list(ENGINES)[1:]))
    add("--precision", type=names(PRECISIONS), metavar="LIST", default=list(PRECISIONS),
        help="these precisions only, beside Outflow's f32: " + ",".join(PRECISIONS))
    add("--in", dest="usual", metavar="SRC", default="synthetic:textures",
        help="usual images for the AUROC by which bf16 and int8 are checked, and for the scales "
        "of int8 (synthetic:textures)")
    add("--out-of", dest="others", metavar="SRC", default="synthetic:general",
        help="images from elsewhere for that AUROC (synthetic:general)")
    add("--images", type=number(1, 10000), default=256, metavar="N",
        help="of each of them, and to calibrate (256)")
    add("--settings", metavar="FILE",
        help="take the best settings from FILE; try and add those it lacks")
    add("--check", action="store_true",
        help="only compare what is computed, with the usual settings, and time nothing")
    add("--format", choices=["md", "json"], default="md")
    for option, package in (("torch", "PyTorch"), ("onnx", "onnx and ONNX Runtime"),
                            ("openvino", "OpenVINO and NNCF")):
        add(f"--{option}-python", metavar="PATH", help=f"a Python that has {package} (found)")
    return parser


def parse(arguments: list[str], description: str) -> argparse.Namespace:
    parser = make_parser(description)
    args = parser.parse_args(arguments)
    for name in ("torch", "onnx", "openvino"):
        python = getattr(args, name + "_python")
        if python and not os.access(python, os.X_OK):
            parser.error(f"--{name}-python {python}: no program that can be run")

    def given(options) -> list[str]:
        return [option for option in options
                if getattr(args, option) != parser.get_default(option)]

    args.suite = args.suite or bool(args.rows)
    if args.suite and given(SUITE_OWN):
        parser.error(f"--suite has its own rows: leave out --{given(SUITE_OWN)[0]}")
    if args.suite and (args.check or args.quick):
        parser.error(f"--suite and --{'check' if args.check else 'quick'} exclude each other")
    if args.model and given(("steps", "hidden")):
        parser.error("--model has its own --steps and --hidden: leave them out")
    if args.model and not os.path.isfile(args.model):
        parser.error(f"--model {args.model}: no such file")
    if args.quick:
        vars(args).update({name: value for name, value in QUICK.items() if not given([name])})
    return args
