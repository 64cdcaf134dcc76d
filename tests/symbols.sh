#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly the functions that the public headers mark with OF_API.
#
#   symbols.sh LIBRARY HEADER...
set -euo pipefail
library=$1
shift
differences=$(diff \
    <(sed -nE 's/^OF_API .*\b(of_[a-z0-9_]+)\(.*/\1/p' "$@" | sort) \
    <(nm --dynamic --defined-only --format=posix "$library" | awk '{print $1}' | sort)) || {
    sed -n 's/^</declared but not exported:/p; s/^>/exported but not declared:/p' <<<"$differences"
    exit 1
}
echo "$(cat "$@" | grep -c "^OF_API .*(") exported functions, all in the headers"
