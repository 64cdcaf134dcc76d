#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly the functions that the public header marks with OF_API.
#
#   symbols.sh LIBRARY HEADER
set -euo pipefail
differences=$(diff \
    <(sed -nE 's/^OF_API .*\b(of_[a-z0-9_]+)\(.*/\1/p' "$2" | sort) \
    <(nm --dynamic --defined-only --format=posix "$1" | awk '{print $1}' | sort)) || {
    echo "$differences" | sed -n 's/^</declared in the header, not exported:/p; s/^>/exported, not in the header:/p'
    exit 1
}
echo "$(nm --dynamic --defined-only "$1" | wc -l) exported functions, all in the header"
