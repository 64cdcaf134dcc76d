#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The former name of tools/convert_weights.py."""
import sys

from convert_weights import main

if __name__ == "__main__":
    sys.exit(main())
