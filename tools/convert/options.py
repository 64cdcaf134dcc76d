# SPDX-License-Identifier: Apache-2.0
"""The command line."""
import argparse
import re
from typing import Any, List, Optional, Tuple

from .names import SUMMARIES, layout_names

DESCRIPTION = """Turns the weights of a published Glow into an Outflow weight file.

    tools/convert_weights.py checkpoint.pt model.safetensors

Reads PyTorch checkpoints (.pt, .pth: state dicts, whole models, what trainers save; nothing in them
is run), safetensors and TensorFlow checkpoints (NAME.ckpt). Needs numpy; neither PyTorch nor
TensorFlow nor the model's own code. What the tensors do not tell (bits, image size, options) comes
from the file's metadata, from --hyperparameters or from --fact, in the original's own words. After
converting, random images are scored with the original's equations and with the new file; if the two
differ, nothing is written."""


def parse_image(text: str) -> Tuple[int, ...]:
    match = re.fullmatch(r"([13])x(\d{1,4})x(\d{1,4})", text)
    if not match:
        raise argparse.ArgumentTypeError("must be CxHxW, for example 3x32x32")
    return tuple(int(group) for group in match.groups())


def parse_fact(text: str) -> Tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def parse_options(arguments: Optional[List[str]], program: Optional[str] = None) -> Any:
    layouts = "\n".join(f"  {name:10} {summary}" for name, summary in SUMMARIES.items())
    parser = argparse.ArgumentParser(
        prog=program, description=DESCRIPTION,
        epilog=f"layouts:\n{layouts}\n\ndocs/convert.md shows the whole path.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help=".pt, .pth, .safetensors or a TensorFlow checkpoint")
    parser.add_argument("output", help="the weight file to write")
    parser.add_argument("--layout", choices=layout_names(), metavar="NAME",
                        help="how the input names its tensors; recognised unless given")
    parser.add_argument("--image", type=parse_image, metavar="CxHxW",
                        help="the images' size; inferred where tensors or hyperparameters tell it")
    parser.add_argument("--hyperparameters", metavar="FILE",
                        help="a JSON file of the original's hyperparameters")
    parser.add_argument("--fact", type=parse_fact, action="append", default=[],
                        metavar="NAME=VALUE", help="one hyperparameter; counts before all others")
    parser.add_argument("--no-check", dest="check", action="store_false",
                        help="do not score random images to compare")
    parser.add_argument("--check", action="store_true", default=True, help=argparse.SUPPRESS)
    parser.add_argument("--outflow", metavar="PROGRAM",
                        help="the program to compare with; found unless given")
    parser.add_argument("--family", choices=["glow", "patch-glow"],
                        help="of Outflow's own names without metadata")
    parser.add_argument("--fixed", action="store_true",
                        help="Outflow's own names: plain mixing matrices are constants")
    parser.add_argument("--trust-pickle", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.fact = dict(options.fact)
    return options
