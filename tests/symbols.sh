#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly the functions that the public header marks with OF_API.
#
#   symbols.sh LIBRARY HEADER
set -euo pipefail
differences=$(diff \
    <(sed -nE 's/^OF_API .*\b(of_[a-z0-9_]+)\(.*/\1/p' "$2" | sort) \
    <(nm --dynamic --defined-only --format=posix "$1" | awk '{print $1}' | sort)) || {
    sed -n 's/^</declared but not exported:/p; s/^>/exported but not declared:/p' <<<"$differences"
    exit 1
}
echo "$(grep -c "^OF_API .*(" "$2") exported functions, all in the header"
