#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the program takes from the library is public: every of_ symbol that its objects want and do
# not have themselves is exported by the shared library. A program that is linked with that library
# prints what the one with the static library prints.
#
#   program_symbols.sh SHARED_LIBRARY STATIC_PROGRAM SHARED_PROGRAM OBJECT...
set -euo pipefail
library=$1 static=$2 shared=$3
shift 3

wanted=$(comm -23 \
    <(nm --format=posix "$@" | awk '$2 == "U" && $1 ~ /^of_/ {print $1}' | sort -u) \
    <(nm --format=posix "$@" | awk '$2 ~ /^[TDBRVW]$/ {print $1}' | sort -u))
exported=$(nm --dynamic --defined-only --format=posix "$library" | awk '{print $1}' | sort -u)
private=$(comm -23 <(echo "$wanted") <(echo "$exported"))
if [[ -n $private ]]; then
    echo "the program takes what is not public:" >&2
    echo "$private" >&2
    exit 1
fi
readelf -d "$shared" | grep 'NEEDED.*liboutflow' >/dev/null || {
    echo "$shared is not linked with the shared library" >&2
    exit 1
}
if readelf -d "$static" | grep 'NEEDED.*liboutflow' >/dev/null; then
    echo "$static is linked with the shared library" >&2
    exit 1
fi
for command in version "score --quiet --model demo-shapes --limit 5 synthetic:digits"; do
    # shellcheck disable=SC2086 # words
    cmp <("$static" $command) <("$shared" $command)
done
echo "$(wc -l <<<"$wanted") functions of the library, all public"
