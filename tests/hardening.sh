#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The protections of tools/cmake/hardening.cmake are in a program or shared library.
#
#   hardening.sh READELF FILE...
set -euo pipefail
readelf=$1
shift
failures=0

# has FILE WHAT PATTERN READELF_OPTION...
has() {
    local file=$1 what=$2 pattern=$3
    shift 3
    # not grep -q, which would end readelf early
    if ! "$readelf" --wide "$@" "$file" | grep -E "$pattern" >/dev/null; then
        echo "$file: $what is missing" >&2
        failures=$((failures + 1))
    fi
}

for file; do
    has "$file" 'position independence' 'Type: +DYN' --file-header
    has "$file" 'binding at the start' 'NOW' --dynamic
    has "$file" 'read-only relocation' 'GNU_RELRO' --segments
    has "$file" 'a stack without code' 'GNU_STACK.* RW ' --segments
    has "$file" 'stack protection' '__stack_chk_fail' --dyn-syms
    has "$file" 'checked copies (FORTIFY)' '__(memcpy|snprintf|vsnprintf|fprintf)_chk' --dyn-syms
done
[ "$failures" -eq 0 ]
echo "$# files: PIE, RELRO, BIND_NOW, no executable stack, stack protector, FORTIFY"
