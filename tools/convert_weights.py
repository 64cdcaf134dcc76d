#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the weights of a published Glow into an Outflow weight file; see --help and
docs/convert.md. The work is in the folder convert, one file for each implementation in
convert/layouts."""
import json
import os
import sys
from typing import List, Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from convert.options import parse_options  # noqa: E402
from convert.refusal import Refusal  # noqa: E402

PROGRAM = os.path.basename(__file__)


def lacks(module: str) -> str:
    """What to do about a module that this Python does not have."""
    return (f"{sys.executable} has no {module}; Debian's package python3-{module} brings it for "
            "/usr/bin/python3")


def main(arguments: Optional[List[str]] = None) -> int:
    options = parse_options(arguments)
    try:
        from convert.convert import convert_file
    except ImportError:
        print(f"{PROGRAM}: {lacks('numpy')}", file=sys.stderr)
        return 1
    try:
        conversion = convert_file(options)
    except Refusal as refusal:
        for line in refusal.lines:
            print(f"{options.input}: {line}", file=sys.stderr)
        return 1
    except OSError as reason:
        print(f"{options.input}: {reason}", file=sys.stderr)
        return 1
    for note in conversion.notes:
        print(f"{options.output}: {note}", file=sys.stderr)
    print(f"{options.output}: layout '{conversion.layout.name}', "
          f"{json.dumps(conversion.architecture)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
